"""What the store keeps, as values: the profile's keys, contacts, messages, sessions, statements.

The database holds the words of ``Direction``, ``DeliveryState`` and ``MessageKind``, so none ever
changes.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from enum import StrEnum

from p2pchat.crypto.secret import Secret
from p2pchat.identity.trust import Pin, VerifiedBy


class Direction(StrEnum):
    """Who wrote a message."""

    IN = "in"
    OUT = "out"


class DeliveryState(StrEnum):
    """How far a message came; incoming ones are ``DELIVERED`` until ``READ``."""

    QUEUED = "queued"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"


class MessageKind(StrEnum):
    """What a stored message is; values are stored, so none ever changes."""

    TEXT = "text"
    STATEMENT = "statement"
    """Signed, on the record (protocol.md §9.4)."""
    RECORD_PROPOSE = "record.propose"
    RECORD_ACCEPT = "record.accept"
    RECORD_DECLINE = "record.decline"
    RECORD_END = "record.end"
    TIMER_PROPOSE = "timer.propose"
    """A word about disappearing messages (§9.6); its text is the proposed number of seconds."""
    TIMER_ACCEPT = "timer.accept"
    TIMER_DECLINE = "timer.decline"
    TIMER_END = "timer.end"
    EDIT = "edit"
    """This and what follows is no line of the conversation: a change on its way out (§9.5)."""
    DELETE = "delete"
    REACTION = "reaction"
    READ = "read"

    @property
    def is_hidden(self) -> bool:
        """Whether it is no line of the conversation."""
        return self in (self.EDIT, self.DELETE, self.REACTION, self.READ)


@dataclass(frozen=True, slots=True)
class PreviousStaticKey:
    """The static key before the current one, kept for contacts who do not know of a newer.

    Attributes:
        private: X25519 private key, 32 bytes.
        certificate: Its certificate, as signed.
        until_ms: Wall clock from which on it is of no more use.
    """

    private: Secret
    certificate: bytes
    until_ms: int


@dataclass(frozen=True, slots=True)
class IdentityRecord:
    """The profile's own secrets, kept only inside the encrypted database.

    Attributes:
        name: The person's own name.
        signing_seed: Ed25519 seed, 32 bytes.
        static_private: X25519 static private key, 32 bytes.
        certificate: The static key's certificate, as signed; it begins when the key was made.
        previous: The static key before, while it overlaps.
    """

    name: str
    signing_seed: Secret
    static_private: Secret
    certificate: bytes
    previous: PreviousStaticKey | None = None


@dataclass(frozen=True, slots=True)
class ContactRecord:
    """One contact. ``contact_id`` is 0 until stored.

    Attributes:
        name: Local name, unique regardless of case.
        pin: Identity key and trust.
        addresses: ``host:port`` hints for dialling.
        note: What a stranger wrote with the request.
        certificate_generation: Highest seen; a lower one is refused as rolled back.
        added_at_ms: Wall clock.
        verified_at_ms: Wall clock of the last comparison that agreed, or None.
        verified_by: What was compared then; None where ``verified_at_ms`` is.
        secret_tries: Phrases that were wrong since one agreed, or the person allowed new tries.
        unread: Incoming messages not yet seen.
        post_quantum: It has spoken a hybrid suite; less is refused from then on.
        static: The Noise static key of its last certificate; 32 bytes, or None before the first.
        handshake_time_ms: Of its last known-peer handshake; an earlier one is a replay.
    """

    contact_id: int
    name: str
    pin: Pin
    addresses: tuple[str, ...] = ()
    note: str = field(default="", repr=False)
    certificate_generation: int = 0
    added_at_ms: int = 0
    verified_at_ms: int | None = None
    unread: int = 0
    post_quantum: bool = False
    static: bytes | None = None
    handshake_time_ms: int = 0
    verified_by: VerifiedBy | None = None
    secret_tries: int = 0


@dataclass(frozen=True, slots=True)
class MessageRecord:
    """One line of a conversation; ``position`` orders the conversation and grows.

    Attributes:
        signed: The bytes of a statement, as they were signed.
        refers_to: The message that it answers, or that it is about.
        lifetime_s: It disappears so long after it was delivered (ours) or read (theirs).
        expires_at_ms: When that is, once it is known.
        edited_at_ms: The author's clock at the last edit.
        deleted: Its author deleted it for both; ``text`` is empty.
        quote: The beginning of the text that it answers, unless that is gone; not stored twice.
        reactions: Direction and reaction of each side that has one; not stored with it.
        unsent_until_ms: While it is queued: it is given up then; None waits for ever.
    """

    message_id: bytes
    contact_id: int
    direction: Direction
    text: str = field(repr=False)
    sent_at_ms: int
    state: DeliveryState
    position: int = 0
    reason: str = ""
    kind: MessageKind = MessageKind.TEXT
    signed: bytes | None = None
    refers_to: bytes | None = None
    lifetime_s: int | None = None
    expires_at_ms: int | None = None
    edited_at_ms: int | None = None
    deleted: bool = False
    quote: str = field(default="", repr=False)
    reactions: tuple[tuple[Direction, str], ...] = field(default=(), repr=False)
    unsent_until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class EnvelopeRecord:
    """One encrypted message that the peer has not acknowledged (see session.delivery)."""

    index: int
    envelope: bytes
    digest: bytes
    message_id: bytes | None


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """The stored session of a contact: an opaque state and its unacknowledged envelopes."""

    state: bytes
    envelopes: tuple[EnvelopeRecord, ...]


@dataclass(frozen=True, slots=True)
class RevocationRecord:
    """A revocation certificate that this profile keeps.

    Attributes:
        identity: 32-byte identity that it ends.
        statement: As signed, verified (``identity.revocation``).
        revoked_at_ms: When it took effect here, wall clock; None while it is kept for that day.
        ours: The identity is, or was, this profile's own.
    """

    identity: bytes
    statement: bytes
    revoked_at_ms: int | None
    ours: bool


@dataclass(frozen=True, slots=True)
class SuccessionRecord:
    """The announcement that one identity takes the place of another; ours, or a contact's.

    Attributes:
        old: 32-byte identity that hands over.
        new: 32-byte identity that takes over.
        statement: As signed by both, verified (``identity.succession``).
        seen_at_ms: When it was made or first seen here, wall clock.
    """

    old: bytes
    new: bytes
    statement: bytes
    seen_at_ms: int


@dataclass(frozen=True, slots=True)
class LedgerFinding:
    """How the two sides' ledgers differ.

    Attributes:
        lost_here: Messages of the peer that it has seen delivered and this side does not have.
        sent_elsewhere: Messages of ours that the peer has and this side knows nothing of: an
            older copy of the profile was put back, or another copy of it is in use.
        lost_there: Ours that were delivered and that the peer does not have any more.
        lost_there_ids: Their ids, of the first ``NAMED_MAX``.
        forked: The chains differ even where both sides have messages.
        at_ms: Wall clock; 0 until stored.
    """

    lost_here: int = 0
    sent_elsewhere: int = 0
    lost_there: int = 0
    lost_there_ids: tuple[bytes, ...] = ()
    forked: bool = False
    at_ms: int = 0


def name_key_of(name: str) -> str:
    """Return what two names must differ in: compatibility-normalised and without case."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
