"""One audit record as bytes, and the chain and signatures over such bytes.

A record is one JSON object in canonical form: names sorted, no spaces, ASCII. Its bytes are stored
and exported as they were hashed, and never made anew to be verified. Everything is kept apart by
labels, so that no hash or signature of one kind can stand for another::

    h(0) = SHA-256(LOG_LABEL    ‖ audit key)
    h(n) = SHA-256(RECORD_LABEL ‖ h(n-1) ‖ record n)
    statement = Ed25519(audit key, statement's label ‖ sequence 8, big-endian ‖ h(sequence))

The audit key names the log: another log has another h(0), and its signatures do not verify here.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any, Final

from p2pchat.constants import HASH_LEN, SIGNATURE_LEN
from p2pchat.crypto import ed25519
from p2pchat.crypto.secret import Secret
from p2pchat.errors import AuditError
from p2pchat.identity.keys import peer_id
from p2pchat.sanitize import clean_line
from p2pchat.store.audit_types import AuditEvent, AuditRecord

LOG_LABEL: Final = b"p2pchat/1 audit log\x00"
RECORD_LABEL: Final = b"p2pchat/1 audit record\x00"
HEAD_LABEL: Final = b"p2pchat/1 audit head\x00"
"""Signs the last record: nothing came after it at that time."""
CHECKPOINT_LABEL: Final = b"p2pchat/1 audit checkpoint\x00"
"""Signs a record in the middle."""
PRUNING_LABEL: Final = b"p2pchat/1 audit pruning\x00"
"""Signs the last of the records that were deleted because of their age."""

TEXT_MAX_CHARS: Final = 200
"""Of one string in a record's context: a sentence of ours, or a signature in hexadecimal."""
RECORD_MAX_BYTES: Final = 1 << 16
"""Longer than every field at once in letters that JSON writes with 12 bytes each."""
_SAFE_INTEGER: Final = 2**53 - 1
"""Beyond it other programs read another number."""


def first_hash(audit_key: bytes) -> bytes:
    """Return h(0) of the log that a 32-byte audit key signs."""
    return sha256(LOG_LABEL + audit_key).digest()


def next_hash(previous: bytes, record: bytes) -> bytes:
    """Return h(n) for the record after the one whose hash is ``previous``."""
    return sha256(RECORD_LABEL + previous + record).digest()


def sign(seed: Secret, label: bytes, sequence: int, digest: bytes) -> bytes:
    """Sign h(sequence) with the audit key, for one purpose."""
    return ed25519.sign(seed, _statement(label, sequence, digest))


def verify(audit_key: bytes, label: bytes, sequence: int, digest: bytes, signature: bytes) -> None:
    """Check a signature of ``sign``.

    Raises:
        SignatureError: It does not verify.
    """
    ed25519.verify(audit_key, _statement(label, sequence, digest), signature)


def _statement(label: bytes, sequence: int, digest: bytes) -> bytes:
    return label + sequence.to_bytes(8, "big") + digest


def encode(event: AuditEvent, sequence: int) -> bytes:
    """Return the bytes of a record; strings are cleaned and cut, numbers held in range."""
    return _canonical(
        {
            "at_ms": _integer(event.at_ms),
            "context": {name: _bounded(value) for name, value in event.context.items()},
            "key_id": None if event.key_id is None else event.key_id.hex(),
            "kind": event.kind.value,
            "principal": None if event.principal is None else peer_id(event.principal),
            "sequence": sequence,
        }
    )


def decode(record: bytes) -> AuditRecord:
    """Read a record back, strictly.

    Raises:
        AuditError: It is not one in canonical form.
    """
    try:
        if len(record) > RECORD_MAX_BYTES:
            raise ValueError  # before it is parsed
        value = json.loads(record)
        if _canonical(value) != record:
            raise ValueError
        read = AuditRecord(**value)
        if (
            type(read.sequence) is not int
            or not 0 < read.sequence <= _SAFE_INTEGER
            or type(read.at_ms) is not int
            or type(read.kind) is not str
            or type(read.context) is not dict
            or not all(type(item) in (str, int) for item in read.context.values())
            or not all(type(item) in (str, type(None)) for item in (read.principal, read.key_id))
        ):
            raise ValueError
    except (ValueError, TypeError, RecursionError):
        raise AuditError("is not an audit record") from None
    return read


def checkpoint_signature(record: AuditRecord) -> bytes:
    """Return the signature that a checkpoint or pruning record carries.

    Raises:
        AuditError: It carries none.
    """
    return _hex_field(record, "signature", SIGNATURE_LEN)


def pruned_hash(record: AuditRecord) -> bytes:
    """Return the hash of the last record that a pruning took away.

    Raises:
        AuditError: The record does not tell.
    """
    return _hex_field(record, "hash", HASH_LEN)


def _hex_field(record: AuditRecord, name: str, length: int) -> bytes:
    try:
        value = bytes.fromhex(str(record.context[name]))
    except (KeyError, ValueError):
        value = b""
    if len(value) != length:
        raise AuditError(f"is a {record.kind} record without its {name}")
    return value


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _bounded(value: str | int) -> str | int:
    if isinstance(value, int):
        return _integer(value)
    return clean_line(value, TEXT_MAX_CHARS)


def _integer(value: int) -> int:
    return max(-_SAFE_INTEGER, min(int(value), _SAFE_INTEGER))
