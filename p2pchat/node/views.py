"""What the node shows of itself to rpc, cli and tui: plain values, ready to be printed.

Names and notes of peers have passed ``p2pchat.sanitize``. The text of a message is as it was
sent (protocol.md §9.3): programs get it whole, and whoever shows it to a person cleans it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from p2pchat.identity.on_record import OnRecord
from p2pchat.identity.trust import Trust, VerifiedBy
from p2pchat.session.vanishing import Vanishing
from p2pchat.store.records import DeliveryState, Direction, MessageKind


@dataclass(frozen=True, slots=True)
class StatusView:
    """The node as a whole; ``listen`` holds the bound ``host:port`` addresses."""

    version: str
    peer_id: str
    listen: tuple[str, ...]
    contacts_online: int


@dataclass(frozen=True, slots=True)
class BackupView:
    """A backup that was written: when, and how much is in it."""

    made_at_ms: int
    contacts: int
    messages: int


@dataclass(frozen=True, slots=True)
class IdentityView:
    """Ourselves: name, peer id, and a contact link with the addresses of this moment.

    Attributes:
        revoked_at_ms: When we revoked this identity, or None.
    """

    name: str
    peer_id: str
    link: str
    revoked_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class RevokedView:
    """What was revoked.

    Attributes:
        peer_id: Of the identity.
        ours: It is, or was, our own; otherwise that of ``contact``.
        contact: The contact's name, or "".
        untold: Of our own: contacts that do not know yet.
    """

    peer_id: str
    ours: bool
    contact: str
    untold: int


@dataclass(frozen=True, slots=True)
class KeyView:
    """One long-lived key of ours, without the key.

    Attributes:
        name: One word, the same for good: ``identity``, ``static``, ``static_previous``, ``audit``,
            ``statement``, ``database``.
        purpose: What it does, as the end of a sentence that begins with it.
        algorithm: Its kind.
        key_id: 16 hexadecimal digits; of the database's key, which has no public half, its id.
        stored: Where the private key lies.
        generation: Of its certificate, where there is one.
        made_at_ms: Wall clock; None if that is not known.
        rotates_at_ms: When the next one takes its place, if that is on a schedule.
        ends_at_ms: When it is deleted, if it is.
    """

    name: str
    purpose: str
    algorithm: str
    key_id: str
    stored: str
    generation: int | None = None
    made_at_ms: int | None = None
    rotates_at_ms: int | None = None
    ends_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ContactView:
    """One contact as the person sees it.

    Attributes:
        contact: Local name, the handle in every call.
        name: The same, for display.
        peer_id: Of the pinned identity.
        trust: The person's decision.
        online: An authenticated connection is open now.
        post_quantum: That connection, or the last one, was hybrid.
        unread: Messages not seen yet.
        note: What a stranger wrote.
        addresses: Where it is dialled.
        offline_reason: Why it is not reachable, in plain words; empty while online.
        offered_peer_id: While ``trust`` is ``changed``: the identity that appeared instead.
        verified_at_ms: When a comparison last agreed, or None.
        verified_by: What was compared then, or None.
        compare_asked: The contact asks to compare a phrase now.
        on_record: Whether both agreed to be on the record, or who has proposed it.
        verify_first: The settings hold messages back until the contact is verified.
        revoked_at_ms: When we learnt that the pinned identity is revoked, or None.
        announced: The identity that appeared instead was announced, signed with the pinned one.
        vanishing: After which time messages disappear, and what is proposed.
    """

    contact: str
    name: str
    peer_id: str
    trust: Trust
    online: bool
    post_quantum: bool
    unread: int
    note: str = field(repr=False)
    addresses: tuple[str, ...]
    offline_reason: str
    offered_peer_id: str | None
    verified_at_ms: int | None
    verified_by: VerifiedBy | None
    compare_asked: bool
    verify_first: bool
    on_record: OnRecord
    revoked_at_ms: int | None = None
    announced: bool = False
    vanishing: Vanishing = field(default_factory=Vanishing)


@dataclass(frozen=True, slots=True)
class MessageView:
    """One message; ids are 32 hexadecimal digits.

    Attributes:
        reply_to: The message that it answers.
        quote: The beginning of that message's text; empty if it is not here any more.
        edited_at_ms: When its author edited it last, or None.
        deleted: Its author deleted it; the text is empty.
        reactions: Who (ours are ``out``) reacted how.
        lifetime_s: It disappears so long after it was delivered (ours) or read (theirs).
        expires_at_ms: When that is, once it is known.
        unsent_until_ms: While it is queued: when it is given up; None waits for ever.
    """

    contact: str
    message_id: str
    direction: Direction
    text: str = field(repr=False)
    sent_at_ms: int
    state: DeliveryState
    reason: str
    kind: MessageKind = MessageKind.TEXT
    reply_to: str | None = None
    quote: str = field(default="", repr=False)
    edited_at_ms: int | None = None
    deleted: bool = False
    reactions: tuple[tuple[Direction, str], ...] = field(default=(), repr=False)
    lifetime_s: int | None = None
    expires_at_ms: int | None = None
    unsent_until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class RetentionView:
    """For how many days a contact's messages are kept, 0 for good; whether the settings say so."""

    days: int
    follows_settings: bool


@dataclass(frozen=True, slots=True)
class ShrinkView:
    """How large the database was, and how large it is now that nothing deleted is left in it."""

    before_bytes: int
    after_bytes: int


@dataclass(frozen=True, slots=True)
class LedgerView:
    """A difference between the two sides' accounts of a conversation (protocol.md §8.6).

    Attributes:
        contact: Whose.
        lost_here: Messages of the contact that were delivered and are not here (any more).
        sent_elsewhere: Messages sent in our name that this profile knows nothing of.
        lost_there: Our messages that were delivered and that the contact does not have any more.
        lost_there_ids: Their ids; of very many only the first.
        forked: The two sides remember another past altogether.
        at_ms: When it was found.
    """

    contact: str
    lost_here: int
    sent_elsewhere: int
    lost_there: int
    lost_there_ids: tuple[str, ...]
    forked: bool
    at_ms: int
