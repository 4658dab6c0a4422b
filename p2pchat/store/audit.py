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
used, because old pages stay in SQLite's write-ahead log for a while, so the erasure could not be
promised. Nor does the log notice by itself that an older copy of the whole database was put
back: the head kept outside of it does (``store.audit_head``), unless that was put back as well.
An export handed to somebody else in time is the one witness that a thief cannot reach.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import apsw

from p2pchat.crypto import ed25519
from p2pchat.crypto.secret import Secret
from p2pchat.errors import DamagedStoreError
from p2pchat.identity.audit_key import certify_audit_key, derive_audit_seed
from p2pchat.store import audit_record as form
from p2pchat.store.ports import AuditEvent, AuditKind
from p2pchat.store.rows import Row

CHECKPOINT_RECORDS: Final = 64
"""Records from one checkpoint to the next: verifying costs as many signatures less."""
CHECKPOINT_INTERVAL_MS: Final = 24 * 3600 * 1000
"""Or with the first record after this long."""
RECORDS_MAX: Final = 100_000
"""Kept at least, some 40 MB at most; a person's whole life with p2pchat is a tenth of it."""
PRUNE_RECORDS: Final = 1000
"""Pruned at once, so that a full log does not say so in every other record."""

Execute = Callable[[str, Sequence[Any]], list[Row]]
"""Runs one statement inside the current transaction and returns all its rows."""


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a log, as signed.

    Attributes:
        sequence: Of the last record; 0 of an empty log.
        digest: Its hash; 32 bytes.
        signature: By the audit key, over ``HEAD_LABEL`` and both; 64 bytes.
    """

    sequence: int
    digest: bytes
    signature: bytes


def executor(connection: apsw.Connection) -> Execute:
    """Return an ``Execute`` of a connection."""
    return lambda sql, values: connection.execute(sql, values).fetchall()


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


def append(execute: Execute, event: AuditEvent) -> None:
    """Append a record, and a checkpoint or a pruning if one is due.

    Raises:
        DamagedStoreError: The log's key or head is gone.
    """
    seed, head = _load(execute)
    head = _append(execute, seed, head, event)
    if _checkpoint_is_due(execute, head, event.at_ms):
        head = checkpoint(execute, event.at_ms)
    if head.sequence >= _first(execute) + RECORDS_MAX + PRUNE_RECORDS:
        _prune(execute, seed, head, event.at_ms)


def checkpoint(execute: Execute, at_ms: int) -> Head:
    """Sign the chain as it is, in a record of its own; returns the new head.

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
    return head


def read_head(execute: Execute) -> Head:
    """Return the head as stored, not verified.

    Raises:
        DamagedStoreError: It is gone.
    """
    return _load(execute)[1]


def read_certificate(execute: Execute) -> bytes:
    """Return the audit key's certificate as stored, not verified.

    Raises:
        DamagedStoreError: It is gone.
    """
    for (certificate,) in execute("SELECT certificate FROM audit_log", ()):
        return bytes(certificate)
    raise _gone()


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
    execute("INSERT INTO audit_record VALUES (?, ?, ?)", (new.sequence, record, new.digest))
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


def _prune(execute: Execute, seed: Secret, head: Head, at_ms: int) -> None:
    """Delete the oldest records, and say in a signed record what the first one left follows."""
    last = head.sequence - RECORDS_MAX
    ((digest,),) = execute("SELECT hash FROM audit_record WHERE sequence = ?", (last,))
    signature = form.sign(seed, form.PRUNING_LABEL, last, digest)
    context = {"first": last + 1, "hash": digest.hex(), "signature": signature.hex()}
    _append(execute, seed, head, AuditEvent(AuditKind.PRUNED, at_ms, context=context))
    execute("DELETE FROM audit_record WHERE sequence <= ?", (last,))
