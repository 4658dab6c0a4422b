"""The stored session of each contact, and its envelopes that are not acknowledged yet."""

from __future__ import annotations

from collections.abc import Sequence

from p2pchat.store import freshness
from p2pchat.store.operations.base import Operations
from p2pchat.store.records import EnvelopeRecord, SessionRecord


class SessionOperations(Operations):
    """Sessions and envelopes; each new state gets its mark of freshness in the same unit."""

    __slots__ = ()

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
