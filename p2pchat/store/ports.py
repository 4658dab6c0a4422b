"""What the node needs of a store, as protocols; ``database`` is the one implementation.

A unit of work is a function of a ``Transaction``. The store runs units on its own thread, joins
those that wait into one durable commit, and completes their futures only after it: an awaited
``write`` is on the disk. A unit that raises is undone alone and its error is delivered to its
caller; the others of the group still commit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from p2pchat.crypto.secret import Secret
from p2pchat.session.ledger import Head, LedgerSummary
from p2pchat.store.audit_types import AuditEvent, AuditLog, AuditRecord
from p2pchat.store.changes import Changes
from p2pchat.store.records import (
    ContactRecord,
    DeliveryState,
    EnvelopeRecord,
    IdentityRecord,
    LedgerFinding,
    MessageRecord,
    RevocationRecord,
    SessionRecord,
    SuccessionRecord,
)

T = TypeVar("T")


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

    def add_message(
        self, message: MessageRecord, *, stored_at_ms: int | None = None
    ) -> MessageRecord | None:
        """Append; returns it with its position, or None if that contact's message id exists.

        ``stored_at_ms`` is our wall clock, from which its age counts; without, it is the time that
        the message states, which for ours is the same.

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
        """Return when the next message disappears or is given up, as Unix milliseconds."""

    def expire(self, now_ms: int) -> list[tuple[int, bytes]]:
        """Remove some messages whose time has come; returns contact and message id of each."""

    def overdue(self, now_ms: int) -> list[int]:
        """Return the contacts for whom queued messages have waited long enough."""

    def give_up(self, contact_id: int, now_ms: int) -> list[bytes]:
        """Let some of these fail; returns their ids."""

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

    def has_undated(self, contact_id: int) -> bool:
        """Tell whether an older version has stored messages without noting when."""

    def date_undated(self, contact_id: int, now_ms: int, limit: int) -> None:
        """Let some of them count from the time that they state, or from now if it cannot be."""

    def has_outlived(self, contact_id: int, before_ms: int) -> bool:
        """Tell whether ``delete_outlived`` would delete something."""

    def delete_outlived(self, contact_id: int, before_ms: int, limit: int) -> int:
        """Delete the oldest settled messages that were stored before ``before_ms``.

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
        self, contact_id: int, theirs: LedgerSummary, *, at_ms: int, told: Head | None = None
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
