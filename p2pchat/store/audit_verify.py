"""Is an audit log what was recorded? Pure: over records, head and certificate, wherever they are.

The first thing that is wrong is raised with its number. A record that was changed alone breaks
its own hash. If the hashes after it were made anew, the next signature (checkpoint, pruning or
head) does not fit: then the error names the first record after the last signature that did, since
nearer nobody can tell. What is not looked at: whether what a record says is true.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from p2pchat.constants import HASH_LEN
from p2pchat.errors import AuditError, CertificateError, CryptoError
from p2pchat.identity.audit_key import verify_audit_certificate
from p2pchat.store import audit_record as form
from p2pchat.store.audit_types import AuditKind, AuditLog, AuditRecord, Head, Verified


def verify(log: AuditLog, *, identity: bytes | None = None) -> Verified:
    """Check everything that the log's key has signed or chained.

    Args:
        log: As found.
        identity: Whose it must be; whoever it says if not given.

    Raises:
        AuditError: Something was deleted, changed, inserted, reordered, cut or exchanged; the
            message and ``sequence`` say what comes first.
    """
    try:
        owner, audit_key = verify_audit_certificate(log.certificate)
    except CertificateError as error:
        raise AuditError(str(error)) from error
    if identity is not None and owner != identity:
        raise AuditError("the log belongs to another identity")
    records = log.records
    pruning = _last_pruning(records)
    first, digest = _beginning(audit_key, pruning)
    signed, checkpoints = first - 1, 0
    for expected, (sequence, record, stored) in enumerate(records, start=first):
        _require_sequence(expected, sequence)
        previous, digest = digest, form.next_hash(digest, record)
        if digest != stored:
            raise AuditError(f"record {sequence} was changed, or the one before it", sequence)
        read = _decode(record, sequence)
        if read.kind == AuditKind.CHECKPOINT:
            signature = _field(form.checkpoint_signature, read)
            _require_signed(
                audit_key, form.CHECKPOINT_LABEL, sequence - 1, previous, signature,
                AuditError(
                    f"a record from {signed + 1} to {sequence} was changed, with the hashes after "
                    "it: the checkpoint does not verify",
                    signed + 1,
                ),
            )  # fmt: skip
            signed, checkpoints = sequence - 1, checkpoints + 1
    _require_head(audit_key, log.head, first - 1 + len(records), digest, signed)
    return Verified(owner, first if records else 0, log.head.sequence, checkpoints)


def require_witness(log: AuditLog, witness: Head) -> None:
    """Check a verified log against a head that was kept elsewhere.

    Raises:
        AuditError: The log does not contain that head: an older or another copy was put back.
    """
    _, audit_key = verify_audit_certificate(log.certificate)
    _require_signed(
        audit_key, form.HEAD_LABEL, witness.sequence, witness.digest, witness.signature,
        AuditError("the head that was kept outside of the database is not of this log"),
    )  # fmt: skip
    if witness.sequence > log.head.sequence:
        raise AuditError(
            f"the log ends at record {log.head.sequence} but had {witness.sequence}: an older "
            "copy of the database was put back",
            log.head.sequence + 1,
        )
    for sequence, _, digest in log.records:
        if sequence == witness.sequence and digest != witness.digest:
            raise AuditError(
                f"record {sequence} is not the one that was there before: the log had gone on "
                "in another copy of the database",
                sequence,
            )


def _last_pruning(records: Sequence[tuple[int, bytes, bytes]]) -> AuditRecord | None:
    for sequence, record, _ in reversed(records):
        if b'"kind":"pruned"' in record:  # as canonical form writes it, so most are not parsed
            read = _decode(record, sequence)
            if read.kind == AuditKind.PRUNED:
                return read
    return None


def _beginning(audit_key: bytes, pruning: AuditRecord | None) -> tuple[int, bytes]:
    """Return the number of the first record, and the hash that it follows."""
    if pruning is None:
        return 1, form.first_hash(audit_key)
    first = pruning.context.get("first")
    if not isinstance(first, int) or not 1 < first < pruning.sequence:
        raise AuditError(
            f"record {pruning.sequence} does not say where the log begins", pruning.sequence
        )
    digest = _field(form.pruned_hash, pruning)
    signature = _field(form.checkpoint_signature, pruning)
    _require_signed(
        audit_key, form.PRUNING_LABEL, first - 1, digest, signature,
        AuditError(
            f"record {pruning.sequence}, which says where the log begins, does not verify",
            pruning.sequence,
        ),
    )  # fmt: skip
    return first, digest


def _require_sequence(expected: int, sequence: int) -> None:
    if sequence > expected:
        raise AuditError(f"record {expected} is missing", expected)
    if sequence < expected:
        raise AuditError(
            f"record {sequence} stands where record {expected} belongs", min(sequence, expected)
        )


def _decode(record: bytes, sequence: int) -> AuditRecord:
    try:
        read = form.decode(record)
    except AuditError as error:
        raise AuditError(f"record {sequence} {error}", sequence) from None
    if read.sequence != sequence:
        raise AuditError(f"record {sequence} says that it is record {read.sequence}", sequence)
    return read


def _field(reader: Callable[[AuditRecord], bytes], record: AuditRecord) -> bytes:
    try:
        return reader(record)
    except AuditError as error:
        raise AuditError(f"record {record.sequence} {error}", record.sequence) from None


def _require_signed(
    audit_key: bytes,
    label: bytes,
    sequence: int,
    digest: bytes,
    signature: bytes,
    finding: AuditError,
) -> None:
    try:
        form.verify(audit_key, label, sequence, digest, signature)
    except CryptoError:
        raise finding from None


def _require_head(audit_key: bytes, head: Head, last: int, digest: bytes, signed: int) -> None:
    if len(head.digest) != HASH_LEN:
        raise AuditError("the head is damaged")
    if head.sequence > last:
        raise AuditError(f"the end is missing, from record {last + 1} to {head.sequence}", last + 1)
    if head.sequence < last:
        raise AuditError(
            f"record {head.sequence + 1} was added after the signed end", head.sequence + 1
        )
    if head.digest != digest:
        raise AuditError(
            f"the signed end does not fit: a record from {signed + 1} on was changed", signed + 1
        )
    _require_signed(
        audit_key, form.HEAD_LABEL, last, digest, head.signature,
        AuditError(
            f"the signature of the end, record {last}, does not verify: a record from "
            f"{signed + 1} on was changed or added, or what came after {last} was cut off",
            signed + 1,
        ),
    )  # fmt: skip
