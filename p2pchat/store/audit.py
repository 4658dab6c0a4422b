"""The audit log inside the database: key and trust events, chained, signed, never rewritten.

Each record is appended in the transaction of what it tells, so neither is there without the
other. The head (number and hash of the last record) is signed anew with each record; a checkpoint
record signs the chain every ``CHECKPOINT_RECORDS`` or once a day, so that a change which makes all
later hashes anew is found near its place. The oldest records go when there are more than
``RECORDS_MAX``; a signed pruning record then says where the log begins.

What it proves: whoever can write to the database but does not have the audit key (an old page or
row put back, a tool that edits, damage) cannot delete, change, insert, reorder or cut records
unnoticed. What it cannot prove: anything against someone who has the unlocked profile. The audit
key lies in the same database, so such a person can sign another past. Keys that evolve with each
record and are erased after use would protect what was recorded before the theft; they are not
used, because old pages stay in SQLite's write-ahead log, which would have to be emptied after
each record. Nor does the log notice by itself that an older copy of the whole database was put
back: the head kept outside of it does (``store.audit_head``), unless that was put back as well.
An export handed to somebody else in time is the one witness that a thief cannot reach.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import apsw

from p2pchat.crypto import ed25519
from p2pchat.crypto.secret import Secret
from p2pchat.errors import AuditError, DamagedStoreError
from p2pchat.identity.audit_key import certify_audit_key, derive_audit_seed
from p2pchat.store import audit_record as form
from p2pchat.store.audit_types import AuditEvent, AuditKind, AuditLog, AuditRecord, Head
from p2pchat.store.audit_watch import LOOK_BACK, WATCHED, warnings_due, was_told
from p2pchat.store.execute import Execute
from p2pchat.store.rows import Row

CHECKPOINT_RECORDS: Final = 64
"""Records from one checkpoint to the next: verifying costs as many signatures less."""
CHECKPOINT_INTERVAL_MS: Final = 24 * 3600 * 1000
"""Or with the first record after this long."""
RECORDS_MAX: Final = 100_000
"""Kept at least, some 40 MB at most; a person's whole life with p2pchat is a tenth of it."""
PRUNE_RECORDS: Final = 1000
"""Pruned at once, so that a full log does not say so in every other record."""

_PAGE: Final = 500
"""Records read at once when some are looked for."""
_ABOVE_ALL: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Appended:
    """What came of an event: the new head, and the warnings that it gave rise to."""

    head: Head
    warnings: tuple[AuditEvent, ...]


def begin(execute: Execute, identity_seed: Secret) -> None:
    """Make the key of a new, empty log; there must be none yet."""
    ((salt,),) = execute("SELECT randomblob(16)", ())
    seed = derive_audit_seed(identity_seed, salt)
    audit_key = ed25519.public_key(seed)
    head = _signed(seed, 0, form.first_hash(audit_key))
    execute(
        "INSERT INTO audit_log VALUES (1, ?, ?, ?, ?, ?, 0, 0)",
        (
            seed.reveal(),
            certify_audit_key(identity_seed, audit_key),
            head.sequence,
            head.digest,
            head.signature,
        ),
    )


def certify(execute: Execute, identity_seed: Secret) -> None:
    """Let another identity vouch for the log's key: the profile has changed its own."""
    seed, _ = _load(execute)
    execute(
        "UPDATE audit_log SET certificate = ?",
        (certify_audit_key(identity_seed, ed25519.public_key(seed)),),
    )


def append(execute: Execute, event: AuditEvent) -> Appended:
    """Append a record, and a warning, a checkpoint or a pruning if one is due.

    A warning that was given already in the last day is left out.

    Raises:
        DamagedStoreError: The log's key or head is gone.
    """
    seed, head = _load(execute)
    warnings: list[AuditEvent] = []
    if event.kind is AuditKind.WARNING:
        if not was_told(event.context.get("reason"), latest(execute, LOOK_BACK), event.at_ms):
            warnings.append(event)
    else:
        head = _append(execute, seed, head, event)
        if event.kind in WATCHED:
            warnings += warnings_due(latest(execute, LOOK_BACK), event.at_ms)
    for warning in warnings:
        head = _append(execute, seed, head, warning)
    if _checkpoint_is_due(execute, head, event.at_ms):
        head = checkpoint(execute, event.at_ms).head
    if head.sequence >= _first(execute) + RECORDS_MAX + PRUNE_RECORDS:
        head = _prune(execute, seed, head, event.at_ms)
    return Appended(head, tuple(warnings))


def checkpoint(execute: Execute, at_ms: int) -> Appended:
    """Sign the chain as it is, in a record of its own.

    Raises:
        DamagedStoreError: The log's key or head is gone.
    """
    seed, head = _load(execute)
    signature = form.sign(seed, form.CHECKPOINT_LABEL, head.sequence, head.digest)
    event = AuditEvent(AuditKind.CHECKPOINT, at_ms, context={"signature": signature.hex()})
    head = _append(execute, seed, head, event)
    execute(
        "UPDATE audit_log SET checkpoint = ?, checkpoint_at_ms = ?", (head.sequence, event.at_ms)
    )
    return Appended(head, ())


def read_log(execute: Execute) -> AuditLog:
    """Return all of the log as stored, not verified.

    Raises:
        DamagedStoreError: The log's key or head is gone.
    """
    rows = execute("SELECT sequence, record, hash FROM audit_record ORDER BY sequence", ())
    return _log(execute, rows)


def read_log_at(execute: Execute, sequence: int) -> AuditLog:
    """Return the log with no record but that one, if it has it."""
    sql = "SELECT sequence, record, hash FROM audit_record WHERE sequence = ?"
    return _log(execute, execute(sql, (sequence,)))


def latest(execute: Execute, limit: int, kind: str | None = None) -> list[AuditRecord]:
    """Return the newest records, oldest first, only those of ``kind`` if given.

    What cannot be read is left out: to say what is wrong is the verification's business.
    """
    found: list[AuditRecord] = []
    below = _ABOVE_ALL
    while len(found) < limit:
        rows = execute(
            "SELECT sequence, record FROM audit_record WHERE sequence < ?"
            " ORDER BY sequence DESC LIMIT ?",
            (below, _PAGE),
        )
        for _, record in rows:
            try:
                read = form.decode(record)
            except AuditError:
                continue
            if kind is None or read.kind == kind:
                found.append(read)
        if len(rows) < _PAGE:
            break
        below = rows[-1][0]
    return found[:limit][::-1]


def read_certificate(execute: Execute) -> bytes:
    """Return the audit key's certificate as stored, not verified.

    Raises:
        DamagedStoreError: The log's key is gone.
    """
    for (certificate,) in execute("SELECT certificate FROM audit_log", ()):
        return bytes(certificate)
    raise _gone()


def _log(execute: Execute, rows: list[Row]) -> AuditLog:
    _, head = _load(execute)
    return AuditLog(read_certificate(execute), [(row[0], row[1], row[2]) for row in rows], head)


def _load(execute: Execute) -> tuple[Secret, Head]:
    for seed, sequence, digest, signature in execute(
        "SELECT seed, sequence, hash, signature FROM audit_log", ()
    ):
        return Secret(seed), Head(sequence, digest, signature)
    raise _gone()


def _gone() -> DamagedStoreError:
    return DamagedStoreError(
        "the key of the profile's audit log is gone; restore the profile from a backup"
    )


def _signed(seed: Secret, sequence: int, digest: bytes) -> Head:
    return Head(sequence, digest, form.sign(seed, form.HEAD_LABEL, sequence, digest))


def _append(execute: Execute, seed: Secret, head: Head, event: AuditEvent) -> Head:
    record = form.encode(event, head.sequence + 1)
    new = _signed(seed, head.sequence + 1, form.next_hash(head.digest, record))
    try:
        execute("INSERT INTO audit_record VALUES (?, ?, ?)", (new.sequence, record, new.digest))
    except apsw.ConstraintError:
        raise DamagedStoreError(
            f"the audit log has a record {new.sequence} after its end; p2pchat audit verify says "
            "more, and a backup of the profile is needed"
        ) from None
    execute(
        "UPDATE audit_log SET sequence = ?, hash = ?, signature = ?",
        (new.sequence, new.digest, new.signature),
    )
    return new


def _first(execute: Execute) -> int:
    ((first,),) = execute("SELECT coalesce(min(sequence), 1) FROM audit_record", ())
    return int(first)


def _checkpoint_is_due(execute: Execute, head: Head, now_ms: int) -> bool:
    ((last, at_ms),) = execute("SELECT checkpoint, checkpoint_at_ms FROM audit_log", ())
    return bool(
        head.sequence - last >= CHECKPOINT_RECORDS or now_ms - at_ms >= CHECKPOINT_INTERVAL_MS
    )


def _prune(execute: Execute, seed: Secret, head: Head, at_ms: int) -> Head:
    """Delete the oldest records, and say in a signed record what the first one left follows."""
    last = head.sequence - RECORDS_MAX
    rows = execute("SELECT hash FROM audit_record WHERE sequence = ?", (last,))
    if not rows:  # somebody has deleted it: the log goes on, and begins after the next one
        return head
    digest: bytes = rows[0][0]
    signature = form.sign(seed, form.PRUNING_LABEL, last, digest)
    context: dict[str, str | int] = {
        "first": last + 1,
        "hash": digest.hex(),
        "signature": signature.hex(),
    }
    head = _append(execute, seed, head, AuditEvent(AuditKind.PRUNED, at_ms, context=context))
    execute("DELETE FROM audit_record WHERE sequence <= ?", (last,))
    return head
