"""What became of stored messages, and what was agreed about them (protocol.md §9.5, §9.6).

A change of ours that waits for its delivery is a row of ``message`` of one of ``HIDDEN`` kinds, so
that texts and changes leave in the order in which they were said; it goes when it is delivered. A
change of theirs leaves no row: the ledger knows its id. A deleted message stays as an empty row,
one that disappeared does not.

What it deliberately does not do: judge who may change what.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from p2pchat.session.vanishing import Proposal, Vanishing
from p2pchat.store.execute import Execute

HIDDEN: Final = "('edit', 'delete', 'reaction', 'read')"
"""Kinds of rows of ``message`` that are no line of the conversation, for SQL's IN."""

TABLES: Final = f"""
ALTER TABLE message ADD COLUMN refers_to BLOB;
ALTER TABLE message ADD COLUMN edited_at_ms INTEGER;
ALTER TABLE message ADD COLUMN deleted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE message ADD COLUMN lifetime_s INTEGER;
ALTER TABLE message ADD COLUMN expires_at_ms INTEGER;
CREATE INDEX message_expiring ON message (expires_at_ms) WHERE expires_at_ms IS NOT NULL;
CREATE INDEX message_lasting ON message (contact_id)
    WHERE lifetime_s IS NOT NULL AND expires_at_ms IS NULL;
CREATE INDEX message_hidden ON message (contact_id) WHERE kind IN {HIDDEN};
CREATE TABLE reaction (
    contact_id INTEGER NOT NULL REFERENCES contact ON DELETE CASCADE,
    message_id BLOB NOT NULL,
    direction TEXT NOT NULL CHECK (direction IN ('in', 'out')),
    emoji TEXT NOT NULL,
    PRIMARY KEY (contact_id, message_id, direction)
) STRICT, WITHOUT ROWID;
CREATE TABLE agreement (
    contact_id INTEGER PRIMARY KEY REFERENCES contact ON DELETE CASCADE,
    kinds TEXT NOT NULL DEFAULT '',
    read_to INTEGER NOT NULL DEFAULT 0,
    timer_s INTEGER NOT NULL DEFAULT 0,
    timer_before_s INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE timer_proposal (
    contact_id INTEGER NOT NULL REFERENCES contact ON DELETE CASCADE,
    whose TEXT NOT NULL CHECK (whose IN ('ours', 'theirs', 'spent')),
    message_id BLOB NOT NULL,
    seconds INTEGER NOT NULL,
    PRIMARY KEY (contact_id, whose)
) STRICT, WITHOUT ROWID;
"""
"""``deleted`` rows hold no text. ``lifetime_s`` runs from ``expires_at_ms`` being set on."""

CROSSINGS: Final = """
ALTER TABLE agreement ADD COLUMN timer_accepted_s INTEGER NOT NULL DEFAULT 0;
ALTER TABLE timer_proposal RENAME TO timer_proposal_one_each;
CREATE TABLE timer_proposal (
    contact_id INTEGER NOT NULL REFERENCES contact ON DELETE CASCADE,
    whose TEXT NOT NULL CHECK (whose IN ('ours', 'theirs', 'spent')),
    message_id BLOB NOT NULL,
    seconds INTEGER NOT NULL,
    PRIMARY KEY (contact_id, message_id)
) STRICT, WITHOUT ROWID;
INSERT INTO timer_proposal SELECT contact_id, whose, message_id, seconds
    FROM timer_proposal_one_each;
DROP TABLE timer_proposal_one_each;
"""
"""Several proposals can be spent at a time."""

EXPIRED_MAX: Final = 256
"""Messages removed in one transaction."""


class Index(Protocol):
    """What ``search.SearchIndex`` does about messages that change."""

    def forget(self, positions: Sequence[int]) -> None:
        """Take deleted messages out."""

    def replace(self, position: int, contact_id: int, body: str) -> None:
        """Put another text in a message's place."""


class Changes:
    """The changes and agreements of one contact, inside a transaction."""

    __slots__ = ("_contact_id", "_erased", "_execute", "_index")

    def __init__(
        self, execute: Execute, index: Index, contact_id: int, erased: Callable[[], None]
    ) -> None:
        self._execute = execute
        self._index = index
        self._contact_id = contact_id
        self._erased = erased

    # --- What the contact's program understands, and what both agreed on ---------------------

    def kinds(self) -> frozenset[str]:
        """Return the kinds of messages that the contact's program said it understands."""
        for (kinds,) in self._agreement("kinds"):
            return frozenset(kinds.split())
        return frozenset()

    def put_kinds(self, kinds: frozenset[str]) -> None:
        """Note what the contact's program understands; no name has a space."""
        self._put("kinds", " ".join(sorted(kinds)))

    def lifetime_s(self) -> int | None:
        """Return the time in force until messages disappear; None if they stay."""
        return next((seconds or None for (seconds,) in self._agreement("timer_s")), None)

    def vanishing(self) -> Vanishing:
        """Return where we stand about disappearing messages."""
        proposals: dict[str, Any] = {}
        for whose, message_id, seconds in self._execute(
            "SELECT whose, message_id, seconds FROM timer_proposal WHERE contact_id = ?",
            (self._contact_id,),
        ):
            proposal = Proposal(message_id, seconds)
            if whose == "spent":
                proposals["spent"] = (*proposals.get("spent", ()), proposal)
            else:
                proposals[whose] = proposal
        columns = "timer_s, timer_before_s, timer_accepted_s"
        for seconds, before, accepted in self._agreement(columns):
            return Vanishing(seconds, before, accepted=accepted, **proposals)
        return Vanishing(**proposals)

    def put_vanishing(self, state: Vanishing) -> None:
        """Note where we stand about disappearing messages."""
        self._put("timer_s", state.seconds)
        self._put("timer_before_s", state.before)
        self._put("timer_accepted_s", state.accepted)
        self._execute("DELETE FROM timer_proposal WHERE contact_id = ?", (self._contact_id,))
        for whose, proposals in (
            ("ours", [state.ours]),
            ("theirs", [state.theirs]),
            ("spent", state.spent),
        ):
            for proposal in proposals:
                if proposal is not None:
                    self._execute(
                        "INSERT INTO timer_proposal VALUES (?, ?, ?, ?)",
                        (self._contact_id, whose, proposal.message_id, proposal.seconds),
                    )

    def forget_agreements(self) -> None:
        """Begin anew: the contact has another identity, to which no change means anything."""
        for table in ("agreement", "timer_proposal"):
            self._execute(f"DELETE FROM {table} WHERE contact_id = ?", (self._contact_id,))  # noqa: S608  # constants
        self._execute(
            "DELETE FROM message WHERE contact_id = ? AND direction = 'out'"  # noqa: S608  # a constant
            f" AND state IN ('queued', 'sent') AND (deleted OR kind IN {HIDDEN})",
            (self._contact_id,),
        )

    def _agreement(self, columns: str) -> list[tuple[Any, ...]]:
        return self._execute(
            f"SELECT {columns} FROM agreement WHERE contact_id = ?",  # noqa: S608  # constants
            (self._contact_id,),
        )

    def _put(self, column: str, value: str | int) -> None:
        self._execute(
            f"INSERT INTO agreement (contact_id, {column}) VALUES (?, ?)"  # noqa: S608  # constants
            f" ON CONFLICT (contact_id) DO UPDATE SET {column} = excluded.{column}",
            (self._contact_id, value),
        )

    # --- Messages ----------------------------------------------------------------------------

    def edit(self, message_id: bytes, body: str, at_ms: int | None) -> None:
        """Replace a text, in the search index too; ``at_ms`` is None if nobody has seen the old."""
        for (position,) in self._execute(
            "UPDATE message SET body = ?, edited_at_ms = ? WHERE contact_id = ? AND message_id = ?"
            " RETURNING position",
            (body, at_ms, self._contact_id, message_id),
        ):
            self._index.replace(position, self._contact_id, body)
            self._erased()

    def erase(self, message_id: bytes) -> None:
        """Leave an empty row of a message: its text and its reactions are gone."""
        positions = self._execute(
            "UPDATE message SET body = '', deleted = 1, edited_at_ms = NULL, refers_to = NULL"
            " WHERE contact_id = ? AND message_id = ? RETURNING position",
            (self._contact_id, message_id),
        )
        self._index.forget([position for (position,) in positions])
        self._erased()
        self._execute(
            "DELETE FROM reaction WHERE contact_id = ? AND message_id = ?",
            (self._contact_id, message_id),
        )

    def react(self, message_id: bytes, direction: str, emoji: str) -> None:
        """Set one side's reaction to a message; an empty one takes it back."""
        key = (self._contact_id, message_id, direction)
        if emoji:
            self._execute("INSERT OR REPLACE INTO reaction VALUES (?, ?, ?, ?)", (*key, emoji))
        else:
            self._execute(
                "DELETE FROM reaction WHERE contact_id = ? AND message_id = ? AND direction = ?",
                key,
            )

    def read_up_to(self, message_id: bytes) -> list[bytes]:
        """Mark delivered messages of ours up to this one as read; returns which changed.

        Looks only at what lies above the last receipt, so that no receipt costs a whole history.
        """
        for (position,) in self._execute(
            "SELECT position FROM message WHERE contact_id = ? AND message_id = ?"
            " AND direction = 'out'",
            (self._contact_id, message_id),
        ):
            ((waiting,),) = self._execute(
                "SELECT min(position) FROM message WHERE contact_id = ? AND direction = 'out'"
                " AND state IN ('queued', 'sent')",
                (self._contact_id,),
            )
            read_to = next((row[0] for row in self._agreement("read_to")), 0)
            changed = self._execute(
                "UPDATE message SET state = 'read' WHERE contact_id = ? AND direction = 'out'"
                " AND state = 'delivered' AND position > ? AND position <= ? RETURNING message_id",
                (self._contact_id, read_to, position),
            )
            # One whose acknowledgement is still under way is for the next receipt.
            reached = position if waiting is None else min(position, waiting - 1)
            self._put("read_to", max(read_to, reached))
            return [row[0] for row in changed]
        return []

    def newest_unread(self) -> bytes | None:
        """Return the newest incoming message that was not seen yet."""
        for (message_id,) in self._execute(
            "SELECT message_id FROM message WHERE contact_id = ? AND direction = 'in'"
            " AND state = 'delivered' ORDER BY position DESC LIMIT 1",
            (self._contact_id,),
        ):
            return bytes(message_id)
        return None

    def withdraw(self, kind: str, of: bytes | None = None) -> None:
        """Delete changes of one kind that have not left yet: a later one takes their place.

        Args:
            kind: One of ``HIDDEN``.
            of: Only those about this message.
        """
        self._execute(
            "DELETE FROM message"  # noqa: S608  # a constant
            " WHERE contact_id = ?1 AND direction = 'out' AND state = 'queued'"
            f" AND kind IN {HIDDEN} AND kind = ?2 AND (?3 IS NULL OR refers_to = ?3)",
            (self._contact_id, kind, of),
        )

    def settle(self) -> list[bytes]:
        """Delete our changes that were delivered, and return their ids: they have done it."""
        deleted = self._execute(
            "DELETE FROM message WHERE contact_id = ? AND direction = 'out'"  # noqa: S608  # a constant
            f" AND kind IN {HIDDEN} AND state = 'delivered' RETURNING message_id",
            (self._contact_id,),
        )
        return [message_id for (message_id,) in deleted]

    # --- Disappearing ------------------------------------------------------------------------

    def start(self, direction: str, at_ms: int) -> bool:
        """Start the clocks of messages that are to disappear; tells whether there were any.

        Of ours, those that were delivered; of theirs, those that were read (R-9.6.4).
        """
        states = "('read')" if direction == "in" else "('delivered', 'read')"
        return bool(
            self._execute(
                "UPDATE message SET expires_at_ms = ?1 + 1000 * lifetime_s"  # noqa: S608  # constants
                " WHERE contact_id = ?2"
                " AND lifetime_s IS NOT NULL AND expires_at_ms IS NULL"
                f" AND direction = ?3 AND state IN {states} RETURNING position",
                (at_ms, self._contact_id, direction),
            )
        )


def next_expiry(execute: Execute) -> int | None:
    """Return when the next message disappears, as Unix milliseconds."""
    ((at_ms,),) = execute(
        "SELECT min(expires_at_ms) FROM message WHERE expires_at_ms IS NOT NULL", ()
    )
    return None if at_ms is None else int(at_ms)


def expire(execute: Execute, index: Index, now_ms: int) -> list[tuple[int, bytes]]:
    """Remove up to ``EXPIRED_MAX`` messages whose time has come.

    Returns:
        Contact and message id of each.
    """
    gone = execute(
        "DELETE FROM message WHERE position IN (SELECT position FROM message"
        " WHERE expires_at_ms <= ? ORDER BY expires_at_ms LIMIT ?)"
        " RETURNING position, contact_id, message_id",
        (now_ms, EXPIRED_MAX),
    )
    index.forget([position for position, _, _ in gone])
    for _, contact_id, message_id in gone:
        execute(
            "DELETE FROM reaction WHERE contact_id = ? AND message_id = ?", (contact_id, message_id)
        )
    return [(contact_id, message_id) for _, contact_id, message_id in gone]
