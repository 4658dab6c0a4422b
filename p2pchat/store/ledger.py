"""The stored ledger of each contact, and what the peer's says about it (protocol.md §8.6).

A row a message and direction, of its number and id; every ``DIGEST_EVERY`` rows, and where the
chain was taken over from the peer, the digest stands beside it, so that the digest at any number
is a few hashes away. The ids stay when messages are deleted: they are random and say nothing.

Our own direction is *uncertain* after it was taken over while messages waited for their
acknowledgement: the peer may have had some of them before, and then does not count them again,
which an acknowledgement does not tell. Until a HELLO that finds none of them waiting sets it right,
nothing is claimed. Messages that were queued since and have not left are no obstacle: otherwise
who always has something to say when a connection begins would stay uncertain for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from p2pchat.session.ledger import EMPTY, Head, LedgerSummary, extend
from p2pchat.store.execute import Execute
from p2pchat.store.records import LedgerFinding

DIGEST_EVERY: Final = 64
"""Hashes to any digest at most; 2 us each."""
LAG_MAX: Final = 256
"""Messages whose acknowledgement can be under way: a whole window (``SEND_WINDOW``)."""
NAMED_MAX: Final = 1000
"""Messages that a finding names; more are only counted."""

TABLES: Final = """
CREATE TABLE ledger (
    contact_id INTEGER NOT NULL REFERENCES contact ON DELETE CASCADE,
    direction TEXT NOT NULL CHECK (direction IN ('in', 'out')),
    number INTEGER NOT NULL,
    message_id BLOB,
    digest BLOB CHECK (length(digest) = 32),
    PRIMARY KEY (contact_id, direction, number),
    UNIQUE (contact_id, direction, message_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE ledger_head (
    contact_id INTEGER NOT NULL REFERENCES contact ON DELETE CASCADE,
    direction TEXT NOT NULL CHECK (direction IN ('in', 'out')),
    count INTEGER NOT NULL,
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    uncertain INTEGER NOT NULL CHECK (uncertain IN (0, 1)),
    PRIMARY KEY (contact_id, direction)
) STRICT, WITHOUT ROWID;
CREATE TABLE ledger_finding (
    finding_id INTEGER PRIMARY KEY,
    contact_id INTEGER NOT NULL REFERENCES contact ON DELETE CASCADE,
    at_ms INTEGER NOT NULL,
    lost_here INTEGER NOT NULL,
    sent_elsewhere INTEGER NOT NULL,
    lost_there INTEGER NOT NULL,
    lost_there_ids BLOB NOT NULL,
    forked INTEGER NOT NULL CHECK (forked IN (0, 1))
) STRICT;
CREATE INDEX ledger_finding_by_contact ON ledger_finding (contact_id, finding_id);
"""

_IN: Final = "in"
_OUT: Final = "out"


def summary(execute: Execute, contact_id: int) -> LedgerSummary:
    """Return both directions of a contact's ledger, as the peer is told."""
    sent = EMPTY if is_uncertain(execute, contact_id) else _head(execute, contact_id, _OUT)
    return LedgerSummary(sent, _head(execute, contact_id, _IN))


def received(execute: Execute, contact_id: int, message_ids: Sequence[bytes]) -> None:
    """Count messages of the peer that were stored for the first time."""
    _append(execute, contact_id, _IN, message_ids)


def holds(execute: Execute, contact_id: int, message_id: bytes) -> bool:
    """Tell whether a message of the peer is counted, though it may not be stored any more."""
    return bool(
        execute(
            "SELECT 1 FROM ledger WHERE contact_id = ? AND direction = 'in' AND message_id = ?",
            (contact_id, message_id),
        )
    )


def delivered(execute: Execute, contact_id: int, message_ids: Sequence[bytes]) -> None:
    """Count messages of ours that the peer has acknowledged."""
    _append(execute, contact_id, _OUT, message_ids)


def forget(execute: Execute, contact_id: int) -> None:
    """Begin a new ledger: the contact has another identity."""
    for table in ("ledger", "ledger_head", "ledger_finding"):
        execute(f"DELETE FROM {table} WHERE contact_id = ?", (contact_id,))  # noqa: S608  # constants


def compare(
    execute: Execute,
    contact_id: int,
    theirs: LedgerSummary,
    undelivered: Sequence[bytes],
    *,
    has_left: bool,
    at_ms: int,
    told: Head | None = None,
) -> LedgerFinding | None:
    """Hold the peer's ledger against ours, and take over what it knows more (R-8.6.3, R-8.6.4).

    Args:
        execute: In a transaction.
        contact_id: Whose.
        theirs: As in the peer's HELLO.
        undelivered: Ids of our messages without acknowledgement, oldest first; the first
            ``LAG_MAX`` will do.
        has_left: Some of these were sent, or taken for sent: the peer may have them.
        at_ms: Wall clock.
        told: What the peer says it sent, if the person knows already that it is another past.

    Returns:
        How they differ, stored as well; None if they agree.
    """
    if is_uncertain(execute, contact_id):
        _take_over(execute, contact_id, _OUT, theirs.received, uncertain=has_left)
        lost_there, ids, sent_elsewhere, out_forked = _AGREED
    else:
        lost_there, ids, sent_elsewhere, out_forked = _compare_sent(
            execute, contact_id, theirs.received, undelivered
        )
    lost_here, in_forked = _compare_received(execute, contact_id, theirs.sent)
    in_forked = in_forked and theirs.sent != told
    finding = LedgerFinding(
        lost_here, sent_elsewhere, lost_there, ids, out_forked or in_forked, at_ms
    )
    if finding == LedgerFinding(at_ms=at_ms):
        return None
    execute(
        "INSERT INTO ledger_finding (contact_id, at_ms, lost_here, sent_elsewhere, lost_there,"
        " lost_there_ids, forked) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (contact_id, at_ms, lost_here, sent_elsewhere, lost_there, b"".join(ids), finding.forked),
    )
    return finding


def agrees(execute: Execute, contact_id: int, sent: Head) -> bool:
    """Tell whether what the peer says it had delivered is a beginning of what we have (R-8.6.5)."""
    ours = _digest_at(execute, contact_id, _IN, sent.count)
    return ours is None or ours == sent.digest


def is_uncertain(execute: Execute, contact_id: int) -> bool:
    """Tell whether our own direction is not known for certain, and so not compared."""
    rows = execute(
        "SELECT uncertain FROM ledger_head WHERE contact_id = ? AND direction = 'out'",
        (contact_id,),
    )
    return bool(rows and rows[0][0])


def findings(execute: Execute, contact_id: int, limit: int, id_len: int) -> list[LedgerFinding]:
    """Return the newest findings, newest first."""
    return [
        LedgerFinding(
            row[0],
            row[1],
            row[2],
            tuple(row[3][start : start + id_len] for start in range(0, len(row[3]), id_len)),
            bool(row[4]),
            row[5],
        )
        for row in execute(
            "SELECT lost_here, sent_elsewhere, lost_there, lost_there_ids, forked, at_ms"
            " FROM ledger_finding WHERE contact_id = ? ORDER BY finding_id DESC LIMIT ?",
            (contact_id, limit),
        )
    ]


_Sent = tuple[int, tuple[bytes, ...], int, bool]
_AGREED: Final[_Sent] = (0, (), 0, False)


def _compare_sent(
    execute: Execute, contact_id: int, theirs: Head, undelivered: Sequence[bytes]
) -> _Sent:
    """Our direction: lost there, their ids, sent elsewhere, forked."""
    ours = _head(execute, contact_id, _OUT)
    if theirs == ours:
        return _AGREED
    if theirs.count < ours.count:
        known = _digest_at(execute, contact_id, _OUT, theirs.count)
        lost = ours.count - theirs.count
        ids = execute(
            "SELECT message_id FROM ledger WHERE contact_id = ? AND direction = 'out'"
            " AND number > ? AND message_id IS NOT NULL ORDER BY number LIMIT ?",
            (contact_id, theirs.count, NAMED_MAX),
        )
        return lost, tuple(row[0] for row in ids), 0, known not in (None, theirs.digest)
    ahead = theirs.count - ours.count
    if 0 < ahead <= LAG_MAX and extend(ours, undelivered[:ahead]) == theirs:
        return _AGREED  # their acknowledgements are on the way
    _take_over(execute, contact_id, _OUT, theirs, uncertain=bool(undelivered))
    return 0, (), ahead, ahead == 0


def _compare_received(execute: Execute, contact_id: int, theirs: Head) -> tuple[int, bool]:
    """Their direction: lost here, forked."""
    ours = _head(execute, contact_id, _IN)
    if theirs.count <= ours.count:
        return 0, not agrees(execute, contact_id, theirs)
    _take_over(execute, contact_id, _IN, theirs, uncertain=False)
    return theirs.count - ours.count, False


def _append(
    execute: Execute, contact_id: int, direction: str, message_ids: Sequence[bytes]
) -> None:
    head = _head(execute, contact_id, direction)
    start = head.count
    for message_id in message_ids:
        following = extend(head, [message_id])
        digest = following.digest if following.count % DIGEST_EVERY == 0 else None
        # An id counts once, whatever brings it a second time.
        if execute(
            "INSERT INTO ledger VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (contact_id, direction, message_id) DO NOTHING RETURNING number",
            (contact_id, direction, following.count, message_id, digest),
        ):
            head = following
    if head.count != start:
        execute(
            "INSERT INTO ledger_head VALUES (?, ?, ?, ?, 0) ON CONFLICT (contact_id, direction)"
            " DO UPDATE SET count = excluded.count, digest = excluded.digest",
            (contact_id, direction, head.count, head.digest),
        )


def _take_over(
    execute: Execute, contact_id: int, direction: str, head: Head, *, uncertain: bool
) -> None:
    """Go on from the peer's chain; what lies between, if it is not ours, is unknown here."""
    if head != _head(execute, contact_id, direction):
        execute(
            "DELETE FROM ledger WHERE contact_id = ? AND direction = ? AND number >= ?",
            (contact_id, direction, head.count),
        )
        if head.count:
            execute(
                "INSERT INTO ledger VALUES (?, ?, ?, NULL, ?)",
                (contact_id, direction, head.count, head.digest),
            )
    execute(
        "INSERT INTO ledger_head VALUES (?, ?, ?, ?, ?) ON CONFLICT (contact_id, direction)"
        " DO UPDATE SET count = excluded.count, digest = excluded.digest,"
        " uncertain = excluded.uncertain",
        (contact_id, direction, head.count, head.digest, uncertain),
    )


def _head(execute: Execute, contact_id: int, direction: str) -> Head:
    for count, digest in execute(
        "SELECT count, digest FROM ledger_head WHERE contact_id = ? AND direction = ?",
        (contact_id, direction),
    ):
        return Head(count, digest)
    return EMPTY


def _digest_at(execute: Execute, contact_id: int, direction: str, number: int) -> bytes | None:
    """Return the digest over the first ``number`` messages; None where the chain has a gap."""
    head = _head(execute, contact_id, direction)
    if number == head.count:
        return head.digest
    if number > head.count:
        return None
    base = EMPTY
    for known, digest in execute(
        "SELECT number, digest FROM ledger WHERE contact_id = ? AND direction = ?"
        " AND number <= ? AND number > ? AND digest IS NOT NULL ORDER BY number DESC LIMIT 1",
        (contact_id, direction, number, number - DIGEST_EVERY),
    ):
        base = Head(known, digest)
    rows = execute(
        "SELECT message_id FROM ledger WHERE contact_id = ? AND direction = ?"
        " AND number > ? AND number <= ? ORDER BY number",
        (contact_id, direction, base.count, number),
    )
    ids = [row[0] for row in rows]
    if len(ids) != number - base.count or None in ids:
        return None
    return extend(base, ids).digest
