"""Messages as rows: adding, changing, finding, and letting them go.

Whatever event comes late, a delivered message never becomes undelivered again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from p2pchat.errors import UsageError
from p2pchat.store import changes, history, unsent
from p2pchat.store.changes import HIDDEN, Changes
from p2pchat.store.operations.base import Operations
from p2pchat.store.records import DeliveryState, MessageRecord
from p2pchat.store.rows import MESSAGE_QUERY, message_from

_NO_POSITION: Final = 2**63 - 1
"""Above every position."""


class MessageOperations(Operations):
    """The conversation with each contact, and for how long it is kept."""

    __slots__ = ()

    # --- One message, and what becomes of it -------------------------------------------------

    def add_message(
        self, message: MessageRecord, *, stored_at_ms: int | None = None
    ) -> MessageRecord | None:
        """See ``ports.Transaction``."""
        inserted = self._execute(
            "INSERT INTO message (position, contact_id, message_id, direction, state, sent_at_ms,"
            " reason, body, kind, signed, refers_to, lifetime_s, unsent_until_ms, stored_at_ms)"
            " VALUES (1 + max(coalesce((SELECT max(position) FROM message), 0),"
            " (SELECT indexed_to FROM search_state)), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
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
                message.unsent_until_ms,
                message.sent_at_ms if stored_at_ms is None else stored_at_ms,
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
        due = (changes.next_expiry(self._execute), unsent.next_due(self._execute))
        return min((at_ms for at_ms in due if at_ms is not None), default=None)

    def expire(self, now_ms: int) -> list[tuple[int, bytes]]:
        """See ``ports.Transaction``."""
        gone = changes.expire(self._execute, self._index, now_ms)
        if gone:
            self._mark_erased()
        return gone

    def overdue(self, now_ms: int) -> list[int]:
        """See ``ports.Transaction``."""
        return unsent.overdue(self._execute, now_ms)

    def give_up(self, contact_id: int, now_ms: int) -> list[bytes]:
        """See ``ports.Transaction``."""
        return unsent.give_up(self._execute, contact_id, now_ms)

    def _mark_erased(self) -> None:
        self.erased = True

    def mark_read(self, contact_id: int) -> None:
        """See ``ports.Transaction``."""
        self._execute(
            "UPDATE message SET state = 'read'"
            " WHERE contact_id = ? AND direction = 'in' AND state = 'delivered'",
            (contact_id,),
        )

    # --- Many of them ------------------------------------------------------------------------

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

    def has_undated(self, contact_id: int) -> bool:
        """See ``ports.Transaction``."""
        return history.has_undated(self._execute, contact_id)

    def date_undated(self, contact_id: int, now_ms: int, limit: int) -> None:
        """See ``ports.Transaction``."""
        history.date_undated(self._execute, contact_id, now_ms, limit)

    def has_outlived(self, contact_id: int, before_ms: int) -> bool:
        """See ``ports.Transaction``."""
        return bool(history.outlived(self._execute, contact_id, before_ms, 1))

    def delete_outlived(self, contact_id: int, before_ms: int, limit: int) -> int:
        """See ``ports.Transaction``."""
        positions = history.outlived(self._execute, contact_id, before_ms, limit)
        history.delete(self._execute, positions)
        self._index.forget(positions)
        return len(positions)


def _span(after_ms: int | None, before_ms: int | None) -> tuple[int, int]:
    """Return the first time that counts and the first that does not any more."""
    first, end = history.ALWAYS_MS
    return (first if after_ms is None else after_ms, end if before_ms is None else before_ms)
