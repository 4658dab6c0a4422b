"""What the node needs of a store, as protocols; ``database`` is the one implementation.

A unit of work is a function of a ``Transaction``. The store runs units on its own thread, joins
those that wait into one durable commit, and completes their futures only after it: an awaited
``write`` is on the disk. A unit that raises is undone alone and its error is delivered to its
caller; the others of the group still commit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol, TypeVar

from p2pchat.crypto.secret import Secret
from p2pchat.identity.trust import Pin, VerifiedBy
from p2pchat.session.ledger import Head, LedgerSummary
from p2pchat.store.audit_types import AuditLog, AuditRecord
from p2pchat.store.changes import Changes

T = TypeVar("T")


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


class AuditKind(StrEnum):
    """What an audit record tells; values are stored and exported, so none ever changes."""

    IDENTITY_MADE = "identity_made"
    IDENTITY_LOADED = "identity_loaded"
    KEY_MADE = "key_made"
    IDENTITY_REPLACED = "identity_replaced"
    KEY_ROTATED = "key_rotated"
    KEY_REVOKED = "key_revoked"
    KEY_ERASED = "key_erased"
    RECOVERED = "recovered"
    """An identity was brought back from its recovery kit: ours, or a contact's that says so."""
    RECOVERY_KIT_MADE = "recovery_kit_made"
    UNLOCK_FAILED = "unlock_failed"
    UNLOCK_CHANGED = "unlock_changed"
    LOCKED = "locked"
    CONTACT_PINNED = "contact_pinned"
    CONTACT_REQUESTED = "contact_requested"
    CONTACT_ACCEPTED = "contact_accepted"
    CONTACT_KEPT = "contact_kept"
    CONTACT_BLOCKED = "contact_blocked"
    CONTACT_REMOVED = "contact_removed"
    CONTACT_VERIFIED = "contact_verified"
    VERIFICATION_FAILED = "verification_failed"
    KEY_CHANGED = "key_changed"
    """Another identity answered in a contact's place, or a contact has announced one."""
    HANDSHAKE_REFUSED = "handshake_refused"
    CERTIFICATE_REFUSED = "certificate_refused"
    DOWNGRADE_REFUSED = "downgrade_refused"
    SESSION_HEALED = "session_healed"
    LEDGER_DIFFERED = "ledger_differed"
    STATEMENT_SIGNED = "statement_signed"
    WARNING = "warning"
    CHECKPOINT = "checkpoint"
    PRUNED = "pruned"


AUDIT_FIELDS: Final[Mapping[str, type[str | int]]] = {
    "by": str,
    "count": int,
    "direction": str,
    "first": int,
    "generation": int,
    "hash": str,
    "lost_here": int,
    "lost_there": int,
    "method": str,
    "number": int,
    "other": str,
    "purpose": str,
    "reason": str,
    "sent_elsewhere": int,
    "signature": str,
    "source": str,
    "trust": str,
}
"""The fields that an audit record's context may have, and their types. None has room for a key,
a passphrase or a text; ``other`` is a peer id, ``signature`` and ``hash`` are the log's own."""


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """A key or trust event, to be recorded in the transaction of what it tells.

    Attributes:
        kind: What happened.
        at_ms: Wall clock.
        principal: The 32-byte identity that it is about, if any.
        key_id: Of the key that it is about (``identity.keys.key_id``), if any; 8 bytes.
        context: More of it: names and types as in ``AUDIT_FIELDS``. Words of others are made
            harmless and cut when they are recorded.
    """

    kind: AuditKind
    at_ms: int
    principal: bytes | None = None
    key_id: bytes | None = None
    context: Mapping[str, str | int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in self.context.items():
            wanted = AUDIT_FIELDS.get(name)
            # A subclass is as good (an enumeration of words), but a truth value is no number.
            if wanted is None or not isinstance(value, wanted) or isinstance(value, bool):
                raise ValueError(f"{name!r} is no field of an audit record, or of another type")


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


class Transaction(Protocol):
    """The store inside one transaction; valid only during the unit of work."""

    def identity(self) -> IdentityRecord | None:
        """Return the profile's own identity, if made."""

    def put_identity(self, identity: IdentityRecord) -> None:
        """Write or replace the profile's own identity.

        The private keys that this replaces are gone from the database's files once the write is
        awaited, or, if a reader was in the way, with the next write or the close.
        """

    def contacts(self) -> list[ContactRecord]:
        """Return all contacts, by name."""

    def contact(self, contact_id: int) -> ContactRecord | None:
        """Return one contact."""

    def put_contact(self, contact: ContactRecord) -> ContactRecord:
        """Insert (``contact_id`` 0) or replace; returns it with its id.

        ``unread`` is counted from the messages, so the record's figure is not stored. Names
        differ in more than case and width.

        Raises:
            ContactError: The name or the pinned identity belongs to another contact.
            UnknownContactError: The contact was removed in the meantime; a stale record does
                not bring it back.
        """

    def remove_contact(self, contact_id: int) -> None:
        """Delete a contact with its session, envelopes and messages."""

    def add_message(self, message: MessageRecord) -> MessageRecord | None:
        """Append; returns it with its position, or None if that contact's message id exists.

        Incoming messages raise the contact's ``unread``. As in every method that adds something
        to a contact, a contact that was removed is an ``UnknownContactError`` for the unit's
        caller.
        """

    def message(self, contact_id: int, message_id: bytes) -> MessageRecord | None:
        """Return one message."""

    def set_message_state(
        self, contact_id: int, message_ids: Sequence[bytes], state: DeliveryState, reason: str = ""
    ) -> None:
        """Move outgoing messages to ``state``; a delivered one only ever to ``READ``."""

    def delete_message(self, contact_id: int, message_id: bytes) -> None:
        """Delete one message (cancelled while queued)."""

    def changes(self, contact_id: int) -> Changes:
        """Return the changes and agreements of a contact, to be used in this unit only."""

    def next_expiry(self) -> int | None:
        """Return when the next message disappears, as Unix milliseconds."""

    def expire(self, now_ms: int) -> list[tuple[int, bytes]]:
        """Remove some messages whose time has come; returns contact and message id of each."""

    def undelivered(
        self, contact_id: int, limit: int, *, unsealed_only: bool
    ) -> list[MessageRecord]:
        """Return the oldest outgoing messages in state queued or sent, oldest first.

        With ``unsealed_only``, those that have no envelope in the current session.
        """

    def mark_read(self, contact_id: int) -> None:
        """Set the contact's ``unread`` to 0 and its incoming messages to ``READ``."""

    def messages(
        self,
        contact_id: int,
        *,
        before: bytes | None = None,
        limit: int = 100,
        search: str | None = None,
        after_ms: int | None = None,
        before_ms: int | None = None,
        oldest: bool = False,
    ) -> list[MessageRecord]:
        """Return the newest ``limit`` messages (before a message id), oldest first.

        ``search`` keeps those that contain all words (whole ones; case and diacritics ignored,
        no character has a special meaning); empty or blank, it keeps all. ``after_ms`` keeps
        those that state this time or a later one, ``before_ms`` those that state an earlier one.
        With ``oldest``, the oldest ``limit`` of what is kept; not with ``search``.

        Raises:
            UsageError: ``limit`` is not positive, ``before`` does not exist, too many words, or
                ``oldest`` with a search.
        """

    def find_messages(
        self,
        words: str,
        *,
        limit: int,
        after_ms: int | None = None,
        before_ms: int | None = None,
    ) -> list[MessageRecord]:
        """Return the newest ``limit`` messages of all contacts with all words, oldest first.

        Raises:
            UsageError: ``limit`` is not positive, or too many words.
        """

    def messages_above(self, contact_id: int, position: int, limit: int) -> list[MessageRecord]:
        """Return the oldest messages above a position, oldest first."""

    def retention(self, contact_id: int) -> int | None:
        """Return for how many days a contact's messages are kept; None if as the settings say."""

    def set_retention(self, contact_id: int, days: int | None) -> None:
        """Set it; 0 keeps all, None leaves it to the settings."""

    def has_outlived(self, contact_id: int, before_ms: int) -> bool:
        """Tell whether ``delete_outlived`` would delete something."""

    def delete_outlived(self, contact_id: int, before_ms: int, limit: int) -> int:
        """Delete the oldest settled messages that state a time before ``before_ms``.

        Neither outgoing ones that are not delivered yet, nor incoming ones that are not read.

        Returns:
            How many went, ``limit`` at most.
        """

    def session(self, contact_id: int) -> SessionRecord | None:
        """Return the contact's session, unless none or broken."""

    def put_session(self, contact_id: int, state: bytes) -> None:
        """Write or replace the session's state; clears the broken mark."""

    def break_session(self, contact_id: int) -> None:
        """Drop the session and its envelopes."""

    def replace_envelopes(self, contact_id: int, envelopes: Sequence[EnvelopeRecord]) -> None:
        """Delete all envelopes of the contact and insert these."""

    def append_envelopes(self, contact_id: int, envelopes: Sequence[EnvelopeRecord]) -> None:
        """Insert envelopes with growing index."""

    def acknowledge(self, contact_id: int, index: int) -> None:
        """Delete envelopes up to and including ``index``."""

    def ledger(self, contact_id: int) -> LedgerSummary:
        """Return our account of the conversation (protocol.md §8.6)."""

    def count_received(self, contact_id: int, message_ids: Sequence[bytes]) -> None:
        """Enter messages of the peer, stored for the first time, into the ledger."""

    def is_counted(self, contact_id: int, message_id: bytes) -> bool:
        """Tell whether this message of the peer was stored before, though it may be gone."""

    def count_delivered(self, contact_id: int, message_ids: Sequence[bytes]) -> None:
        """Enter messages of ours that the peer has acknowledged into the ledger."""

    def compare_ledger(
        self, contact_id: int, theirs: LedgerSummary, *, at_ms: int
    ) -> LedgerFinding | None:
        """Hold the peer's account against ours, and go on from what it knows more.

        Returns:
            How they differ, which is stored as well; None if they agree.
        """

    def ledger_agrees(self, contact_id: int, sent: Head) -> bool:
        """Tell whether what the peer has seen delivered is a beginning of what we have."""

    def ledger_findings(self, contact_id: int, limit: int) -> list[LedgerFinding]:
        """Return the newest differences that were found, newest first."""

    def forget_ledger(self, contact_id: int) -> None:
        """Begin a new account: the contact has another identity."""

    def revocations(self) -> list[RevocationRecord]:
        """Return all revocation certificates; a profile's own is there from its first day."""

    def put_revocation(self, revocation: RevocationRecord) -> None:
        """Write or replace the certificate for its identity; once in effect it stays so."""

    def succession_to(self, new: bytes) -> SuccessionRecord | None:
        """Return the announcement of an identity that has taken another's place."""

    def put_succession(self, succession: SuccessionRecord) -> None:
        """Keep an announcement; a contact on offer of its ``new`` then shows as announced."""

    def statement_key(self) -> tuple[Secret, bytes] | None:
        """Return the statement key's 32-byte seed and its certificate, once made."""

    def put_statement_key(self, seed: Secret, certificate: bytes) -> None:
        """Write or replace the statement key."""

    def get_setting(self, key: str) -> str | None:
        """Return a small named value."""

    def put_setting(self, key: str, value: str) -> None:
        """Write a small named value."""

    def audit(self, event: AuditEvent) -> None:
        """Append to the audit log: the record is there if, and only if, this unit commits.

        Raises:
            DamagedStoreError: The log's key or head is gone.
        """

    def audit_certificate(self) -> bytes:
        """Return the audit key's certificate, as stored."""

    def audit_checkpoint(self, at_ms: int) -> None:
        """Sign the audit log as it is now."""

    def audit_records(self, limit: int, kind: str | None = None) -> list[AuditRecord]:
        """Return the newest audit records (of one kind), oldest first; not verified."""

    def audit_log(self) -> AuditLog:
        """Return the whole audit log, to be verified or exported.

        Raises:
            DamagedStoreError: The log's key or head is gone.
        """


class Store(Protocol):
    """An open, unlocked store."""

    def write(self, work: Callable[[Transaction], T]) -> Awaitable[T]:
        """Run a unit of work; completes after the durable commit."""

    def read(self, work: Callable[[Transaction], T]) -> Awaitable[T]:
        """Run a unit that only reads; does not wait for a disk sync."""

    async def close(self) -> None:
        """Finish what is queued and close the files."""
