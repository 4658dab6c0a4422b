"""The operations of ``ports.Transaction`` as SQL, valid during one unit of work.

Records go in and out whole; nothing here decides. Two rules are kept nevertheless, because a
late event must not break them: a delivered message never becomes undelivered again, and a
removed contact is not brought back by a stale record.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import apsw

from p2pchat.constants import MESSAGE_ID_LEN
from p2pchat.crypto.secret import Secret
from p2pchat.errors import ContactError, StoreError, UnknownContactError, UsageError
from p2pchat.session.ledger import Head, LedgerSummary
from p2pchat.store import audit, changes, freshness, history, ledger, statements
from p2pchat.store.audit_types import AuditEvent, AuditLog, AuditRecord
from p2pchat.store.changes import HIDDEN, Changes
from p2pchat.store.records import (
    ContactRecord,
    DeliveryState,
    EnvelopeRecord,
    IdentityRecord,
    LedgerFinding,
    MessageRecord,
    PreviousStaticKey,
    RevocationRecord,
    SessionRecord,
    SuccessionRecord,
)
from p2pchat.store.rows import CONTACT_QUERY, MESSAGE_QUERY, Row, contact_from, message_from
from p2pchat.store.search import SearchIndex

_NO_POSITION: Final = 2**63 - 1
"""Above every position."""


class SqlTransaction:
    """One unit's view of the database; ``end`` makes it useless.

    Attributes:
        added: Messages added by this unit: so many more for the search index to follow up.
        erased: This unit has replaced private keys or removed texts, whose pages must not stay
            in the log.
        audited: What this unit appended to the audit log.
    """

    __slots__ = ("_connection", "_index", "added", "audited", "erased")

    def __init__(self, connection: apsw.Connection, index: SearchIndex) -> None:
        self._connection: apsw.Connection | None = connection
        self._index = index
        self.added = 0
        self.erased = False
        self.audited: list[audit.Appended] = []

    def end(self) -> None:
        """Refuse every further call: the unit is over and its thread may be elsewhere."""
        self._connection = None

    def _execute(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """Run a statement to its end; one left in the middle would hold an old snapshot."""
        if self._connection is None:
            raise StoreError("a transaction was used after its unit of work")
        return self._connection.execute(sql, values).fetchall()

    # --- The profile's own identity and settings ---------------------------------------------

    def identity(self) -> IdentityRecord | None:
        """See ``ports.Transaction``."""
        previous = None
        for private, certificate, until_ms in self._execute(
            "SELECT private, certificate, until_ms FROM previous_static_key"
        ):
            previous = PreviousStaticKey(Secret(private), certificate, until_ms)
        for name, seed, static, certificate in self._execute(
            "SELECT name, signing_seed, static_private, certificate FROM identity"
        ):
            return IdentityRecord(name, Secret(seed), Secret(static), certificate, previous)
        return None

    def put_identity(self, identity: IdentityRecord) -> None:
        """See ``ports.Transaction``; the audit log begins with the first, and follows another."""
        before = self.identity()
        if before is None:
            audit.begin(self._execute, identity.signing_seed)
        elif before.signing_seed != identity.signing_seed:
            audit.certify(self._execute, identity.signing_seed)
            self._execute("DELETE FROM statement_key")  # certified by the identity before
        statements.seal_own_revocation(self._execute, identity.signing_seed)
        self.erased = True
        self._execute(
            "INSERT INTO identity (id, name, signing_seed, static_private, certificate)"
            " VALUES (1, ?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET name = excluded.name,"
            " signing_seed = excluded.signing_seed, static_private = excluded.static_private,"
            " certificate = excluded.certificate",
            (
                identity.name,
                identity.signing_seed.reveal(),
                identity.static_private.reveal(),
                identity.certificate,
            ),
        )
        self._execute("DELETE FROM previous_static_key")
        if (previous := identity.previous) is not None:
            self._execute(
                "INSERT INTO previous_static_key VALUES (1, ?, ?, ?)",
                (previous.private.reveal(), previous.certificate, previous.until_ms),
            )

    def revocations(self) -> list[RevocationRecord]:
        """See ``ports.Transaction``."""
        return statements.revocations(self._execute)

    def put_revocation(self, revocation: RevocationRecord) -> None:
        """See ``ports.Transaction``."""
        statements.put_revocation(self._execute, revocation)

    def succession_to(self, new: bytes) -> SuccessionRecord | None:
        """See ``ports.Transaction``."""
        return statements.succession_to(self._execute, new)

    def put_succession(self, succession: SuccessionRecord) -> None:
        """See ``ports.Transaction``."""
        statements.put_succession(self._execute, succession)

    def statement_key(self) -> tuple[Secret, bytes] | None:
        """See ``ports.Transaction``."""
        for seed, certificate in self._execute("SELECT seed, certificate FROM statement_key"):
            return Secret(seed), certificate
        return None

    def put_statement_key(self, seed: Secret, certificate: bytes) -> None:
        """See ``ports.Transaction``."""
        self._execute(
            "INSERT OR REPLACE INTO statement_key VALUES (1, ?, ?)", (seed.reveal(), certificate)
        )

    def get_setting(self, key: str) -> str | None:
        """See ``ports.Transaction``."""
        for (value,) in self._execute("SELECT value FROM setting WHERE key = ?", (key,)):
            return str(value)
        return None

    def put_setting(self, key: str, value: str) -> None:
        """See ``ports.Transaction``."""
        self._execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (key, value))

    def audit(self, event: AuditEvent) -> None:
        """See ``ports.Transaction``."""
        self.audited.append(audit.append(self._execute, event))

    def audit_certificate(self) -> bytes:
        """See ``ports.Transaction``."""
        return audit.read_certificate(self._execute)

    def audit_checkpoint(self, at_ms: int) -> None:
        """See ``ports.Transaction``."""
        self.audited.append(audit.checkpoint(self._execute, at_ms))

    def audit_records(self, limit: int, kind: str | None = None) -> list[AuditRecord]:
        """See ``ports.Transaction``."""
        return audit.latest(self._execute, limit, kind)

    def audit_log(self) -> AuditLog:
        """See ``ports.Transaction``."""
        return audit.read_log(self._execute)

    # --- Contacts ----------------------------------------------------------------------------

    def contacts(self) -> list[ContactRecord]:
        """See ``ports.Transaction``."""
        return [contact_from(row) for row in self._execute(f"{CONTACT_QUERY} ORDER BY name_key")]

    def contact(self, contact_id: int) -> ContactRecord | None:
        """See ``ports.Transaction``."""
        for row in self._execute(f"{CONTACT_QUERY} WHERE contact_id = ?", (contact_id,)):
            return contact_from(row)
        return None

    def put_contact(self, contact: ContactRecord) -> ContactRecord:
        """See ``ports.Transaction``."""
        name_key = name_key_of(contact.name)
        self._require_free("name_key", name_key, contact)
        self._require_free("identity", contact.pin.identity, contact)
        values = (
            contact.name,
            name_key,
            contact.pin.identity,
            contact.pin.trust,
            contact.pin.offered,
            json.dumps(contact.addresses),
            contact.note,
            contact.certificate_generation,
            contact.added_at_ms,
            contact.verified_at_ms,
            int(contact.post_quantum),
            contact.static,
            contact.handshake_time_ms,
            contact.verified_by,
            contact.secret_tries,
        )
        if contact.contact_id == 0:
            sql = (
                "INSERT INTO contact (name, name_key, identity, trust, offered, addresses, note,"
                " certificate_generation, added_at_ms, verified_at_ms, post_quantum, static,"
                " handshake_time_ms, verified_by, secret_tries)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING contact_id"
            )
        else:
            sql = (
                "UPDATE contact SET name = ?, name_key = ?, identity = ?, trust = ?, offered = ?,"
                " addresses = ?, note = ?, certificate_generation = ?, added_at_ms = ?,"
                " verified_at_ms = ?, post_quantum = ?, static = ?, handshake_time_ms = ?,"
                " verified_by = ?, secret_tries = ?"
                " WHERE contact_id = ? RETURNING contact_id"
            )
            values = (*values, contact.contact_id)  # type: ignore[assignment]  # one value more
        stored = self._execute(sql, values)
        if not stored:
            raise UnknownContactError("the contact does not exist any more")
        record = self.contact(stored[0][0])
        assert record is not None  # noqa: S101  # written in the statement before
        return record

    def remove_contact(self, contact_id: int) -> None:
        """See ``ports.Transaction``."""
        self._index.forget(
            [
                position
                for (position,) in self._execute(
                    "SELECT position FROM message WHERE contact_id = ?", (contact_id,)
                )
            ]
        )
        freshness.change(self._execute, contact_id, None)
        self._execute("DELETE FROM contact WHERE contact_id = ?", (contact_id,))

    def _require_free(self, column: str, value: str | bytes, contact: ContactRecord) -> None:
        taken = self._execute(
            f"SELECT name FROM contact WHERE {column} = ? AND contact_id <> ?",  # noqa: S608  # one of two constants
            (value, contact.contact_id),
        )
        if taken and column == "identity":
            raise ContactError(f"that identity is the contact {taken[0][0]!r} already")
        if taken:
            raise ContactError(f"another contact is called {taken[0][0]!r}; choose another name")

    # --- Messages ----------------------------------------------------------------------------

    def add_message(self, message: MessageRecord) -> MessageRecord | None:
        """See ``ports.Transaction``."""
        inserted = self._execute(
            "INSERT INTO message (position, contact_id, message_id, direction, state, sent_at_ms,"
            " reason, body, kind, signed, refers_to, lifetime_s)"
            " VALUES (1 + max(coalesce((SELECT max(position) FROM message), 0),"
            " (SELECT indexed_to FROM search_state)), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (contact_id, message_id) DO NOTHING RETURNING position",
            (
                message.contact_id,
                message.message_id,
                message.direction,
                message.state,
                message.sent_at_ms,
                message.reason,
                message.text,
                message.kind,
                message.signed,
                message.refers_to,
                message.lifetime_s,
            ),
        )
        if not inserted:
            return None
        self.added += 1
        if message.refers_to is not None:
            return self.message(message.contact_id, message.message_id)  # with what it answers
        return replace(message, position=inserted[0][0])

    def message(self, contact_id: int, message_id: bytes) -> MessageRecord | None:
        """See ``ports.Transaction``."""
        for row in self._execute(
            f"{MESSAGE_QUERY} WHERE contact_id = ? AND message_id = ?",
            (contact_id, message_id),
        ):
            return message_from(row)
        return None

    def set_message_state(
        self, contact_id: int, message_ids: Sequence[bytes], state: DeliveryState, reason: str = ""
    ) -> None:
        """See ``ports.Transaction``."""
        for message_id in message_ids:
            self._execute(
                "UPDATE message SET state = ?1, reason = ?2 WHERE contact_id = ?3"
                " AND message_id = ?4 AND direction = 'out'"
                " AND (state NOT IN ('delivered', 'read')"
                " OR (state = 'delivered' AND ?1 = 'read'))",
                (state, reason, contact_id, message_id),
            )

    def delete_message(self, contact_id: int, message_id: bytes) -> None:
        """See ``ports.Transaction``."""
        deleted = self._execute(
            "DELETE FROM message WHERE contact_id = ? AND message_id = ? RETURNING position",
            (contact_id, message_id),
        )
        self._mark_erased()
        self._index.forget([position for (position,) in deleted])

    def changes(self, contact_id: int) -> Changes:
        """See ``ports.Transaction``."""
        return Changes(self._execute, self._index, contact_id, self._mark_erased)

    def next_expiry(self) -> int | None:
        """See ``ports.Transaction``."""
        return changes.next_expiry(self._execute)

    def expire(self, now_ms: int) -> list[tuple[int, bytes]]:
        """See ``ports.Transaction``."""
        self._mark_erased()
        return changes.expire(self._execute, self._index, now_ms)

    def _mark_erased(self) -> None:
        self.erased = True

    def undelivered(
        self, contact_id: int, limit: int, *, unsealed_only: bool
    ) -> list[MessageRecord]:
        """See ``ports.Transaction``."""
        unsealed = (
            " AND message_id NOT IN (SELECT message_id FROM envelope"
            " WHERE envelope.contact_id = ?1 AND message_id IS NOT NULL)"
        )
        return [
            message_from(row)
            for row in self._execute(
                f"{MESSAGE_QUERY} WHERE contact_id = ?1 AND direction = 'out'"
                f" AND state IN ('queued', 'sent'){unsealed if unsealed_only else ''}"
                " ORDER BY position LIMIT ?2",
                (contact_id, limit),
            )
        ]

    def mark_read(self, contact_id: int) -> None:
        """See ``ports.Transaction``."""
        self._execute(
            "UPDATE message SET state = 'read'"
            " WHERE contact_id = ? AND direction = 'in' AND state = 'delivered'",
            (contact_id,),
        )

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
        """See ``ports.Transaction``."""
        span_ms = _span(after_ms, before_ms)
        if limit < 1:
            raise UsageError("ask for at least one message")
        below = _NO_POSITION
        if before is not None:
            anchor = self.message(contact_id, before)
            if anchor is None:
                raise UsageError("there is no such message to start before")
            below = anchor.position
        if search is not None and search.strip():
            if oldest:
                raise UsageError("a search finds the newest; give the dates between which to look")
            rows = self._index.find(search, below, limit, contact_id=contact_id, span_ms=span_ms)
        else:
            rows = self._execute(
                f"{MESSAGE_QUERY} WHERE contact_id = ? AND position < ?"
                f" AND kind NOT IN {HIDDEN} AND sent_at_ms >= ? AND sent_at_ms < ?"
                f" ORDER BY position {'' if oldest else 'DESC'} LIMIT ?",
                (contact_id, below, *span_ms, limit),
            )
        records = [message_from(row) for row in rows]
        return records if oldest else records[::-1]

    def find_messages(
        self,
        words: str,
        *,
        limit: int,
        after_ms: int | None = None,
        before_ms: int | None = None,
    ) -> list[MessageRecord]:
        """See ``ports.Transaction``."""
        if limit < 1:
            raise UsageError("ask for at least one message")
        rows = self._index.find(words, _NO_POSITION, limit, span_ms=_span(after_ms, before_ms))
        return [message_from(row) for row in reversed(rows)]

    def messages_above(self, contact_id: int, position: int, limit: int) -> list[MessageRecord]:
        """See ``ports.Transaction``."""
        rows = self._execute(
            f"{MESSAGE_QUERY} WHERE contact_id = ? AND position > ? AND kind NOT IN {HIDDEN}"
            " ORDER BY position LIMIT ?",
            (contact_id, position, limit),
        )
        return [message_from(row) for row in rows]

    # --- Retention ---------------------------------------------------------------------------

    def retention(self, contact_id: int) -> int | None:
        """See ``ports.Transaction``."""
        return history.days_of(self._execute, contact_id)

    def set_retention(self, contact_id: int, days: int | None) -> None:
        """See ``ports.Transaction``."""
        history.keep_for(self._execute, contact_id, days)

    def has_outlived(self, contact_id: int, before_ms: int) -> bool:
        """See ``ports.Transaction``."""
        return bool(history.outlived(self._execute, contact_id, before_ms, 1))

    def delete_outlived(self, contact_id: int, before_ms: int, limit: int) -> int:
        """See ``ports.Transaction``."""
        positions = history.outlived(self._execute, contact_id, before_ms, limit)
        history.delete(self._execute, positions)
        self._index.forget(positions)
        return len(positions)

    # --- Session and envelopes ---------------------------------------------------------------

    def session(self, contact_id: int) -> SessionRecord | None:
        """See ``ports.Transaction``."""
        for (state,) in self._execute(
            "SELECT state FROM session WHERE contact_id = ?", (contact_id,)
        ):
            return SessionRecord(
                state,
                tuple(
                    EnvelopeRecord(*row)
                    for row in self._execute(
                        "SELECT number, envelope, digest, message_id FROM envelope"
                        " WHERE contact_id = ? ORDER BY number",
                        (contact_id,),
                    )
                ),
            )
        return None

    def put_session(self, contact_id: int, state: bytes) -> None:
        """See ``ports.Transaction``."""
        mark = freshness.change(self._execute, contact_id, state)
        self._execute(
            "INSERT INTO session (contact_id, state, mark) VALUES (?, ?, ?)"
            " ON CONFLICT (contact_id) DO UPDATE SET state = excluded.state, mark = excluded.mark",
            (contact_id, state, mark),
        )

    def break_session(self, contact_id: int) -> None:
        """See ``ports.Transaction``."""
        freshness.change(self._execute, contact_id, None)
        self._execute("DELETE FROM session WHERE contact_id = ?", (contact_id,))
        self._execute("DELETE FROM envelope WHERE contact_id = ?", (contact_id,))

    def replace_envelopes(self, contact_id: int, envelopes: Sequence[EnvelopeRecord]) -> None:
        """See ``ports.Transaction``."""
        self._execute("DELETE FROM envelope WHERE contact_id = ?", (contact_id,))
        self.append_envelopes(contact_id, envelopes)

    def append_envelopes(self, contact_id: int, envelopes: Sequence[EnvelopeRecord]) -> None:
        """See ``ports.Transaction``."""
        for record in envelopes:
            self._execute(
                "INSERT INTO envelope VALUES (?, ?, ?, ?, ?)",
                (contact_id, record.index, record.message_id, record.digest, record.envelope),
            )

    def acknowledge(self, contact_id: int, index: int) -> None:
        """See ``ports.Transaction``."""
        self._execute(
            "DELETE FROM envelope WHERE contact_id = ? AND number <= ?", (contact_id, index)
        )

    # --- Ledger ------------------------------------------------------------------------------

    def ledger(self, contact_id: int) -> LedgerSummary:
        """See ``ports.Transaction``."""
        return ledger.summary(self._execute, contact_id)

    def count_received(self, contact_id: int, message_ids: Sequence[bytes]) -> None:
        """See ``ports.Transaction``."""
        ledger.received(self._execute, contact_id, message_ids)

    def is_counted(self, contact_id: int, message_id: bytes) -> bool:
        """See ``ports.Transaction``."""
        return ledger.holds(self._execute, contact_id, message_id)

    def count_delivered(self, contact_id: int, message_ids: Sequence[bytes]) -> None:
        """See ``ports.Transaction``."""
        ledger.delivered(self._execute, contact_id, message_ids)

    def compare_ledger(
        self, contact_id: int, theirs: LedgerSummary, *, at_ms: int
    ) -> LedgerFinding | None:
        """See ``ports.Transaction``."""
        waiting = self.undelivered(contact_id, ledger.LAG_MAX, unsealed_only=False)
        ids = [message.message_id for message in waiting]
        return ledger.compare(self._execute, contact_id, theirs, ids, at_ms=at_ms)

    def ledger_agrees(self, contact_id: int, sent: Head) -> bool:
        """See ``ports.Transaction``."""
        return ledger.agrees(self._execute, contact_id, sent)

    def ledger_findings(self, contact_id: int, limit: int) -> list[LedgerFinding]:
        """See ``ports.Transaction``."""
        return ledger.findings(self._execute, contact_id, limit, MESSAGE_ID_LEN)

    def forget_ledger(self, contact_id: int) -> None:
        """See ``ports.Transaction``."""
        ledger.forget(self._execute, contact_id)


def _span(after_ms: int | None, before_ms: int | None) -> tuple[int, int]:
    """Return the first time that counts and the first that does not any more."""
    first, end = history.ALWAYS_MS
    return (first if after_ms is None else after_ms, end if before_ms is None else before_ms)


def name_key_of(name: str) -> str:
    """Return what two names must differ in: compatibility-normalised and without case."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
