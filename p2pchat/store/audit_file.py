"""An audit log outside of the database, as a file that anybody can verify.

An export is one JSON object a line, so that any program can read it, and each line has one
form, so that it can be verified byte for byte::

    {"certificate":"<hex>","format":1,"type":"audit log"}
    {"hash":"<hex>","record":<the record's own bytes>}       one for each record, oldest first
    {"hash":"<hex>","sequence":<number>,"signature":"<hex>","type":"audit head"}
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from p2pchat.constants import HASH_LEN, SIGNATURE_LEN
from p2pchat.errors import AuditError, StoreError
from p2pchat.identity.audit_key import AUDIT_CERTIFICATE_LEN
from p2pchat.store.audit import PRUNE_RECORDS, RECORDS_MAX
from p2pchat.store.audit_record import RECORD_MAX_BYTES, decode
from p2pchat.store.audit_types import AuditLog, Head

FORMAT: Final = 1
LINE_MAX_BYTES: Final = RECORD_MAX_BYTES + 128
LINES_MAX: Final = RECORDS_MAX + 2 * PRUNE_RECORDS
"""No export of ours is longer; a file that goes on is not read to its end."""
_SEQUENCE_MAX: Final = 2**63 - 1
_RECORD_HEAD: Final = b'{"hash":"'
_RECORD_MIDDLE: Final = b'","record":'


def first_line(certificate: bytes) -> bytes:
    """Return the line that an export begins with."""
    return _line({"certificate": certificate.hex(), "format": FORMAT, "type": "audit log"})


def record_line(record: bytes, digest: bytes) -> bytes:
    """Return the line of a record, around its bytes as they are."""
    return _RECORD_HEAD + digest.hex().encode() + _RECORD_MIDDLE + record + b"}\n"


def head_line(head: Head) -> bytes:
    """Return the line that an export ends with."""
    return _line(
        {
            "hash": head.digest.hex(),
            "sequence": head.sequence,
            "signature": head.signature.hex(),
            "type": "audit head",
        }
    )


def export_lines(log: AuditLog) -> Iterator[bytes]:
    """Return all lines of an export."""
    yield first_line(log.certificate)
    for _, record, digest in log.records:
        yield record_line(record, digest)
    yield head_line(log.head)


def read_export(path: Path) -> AuditLog:
    """Read an exported log; nothing in it is verified but its form.

    Raises:
        AuditError: It is none, or its end is missing.
        StoreError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return parse_export(iter(lambda: file.readline(LINE_MAX_BYTES + 1), b""))
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error


def parse_export(lines: Iterable[bytes]) -> AuditLog:
    """Read the lines of an export.

    Raises:
        AuditError: As for ``read_export``; ``sequence`` is that of the first line that is wrong,
            if it should be a record's.
    """
    certificate: bytes | None = None
    records: list[tuple[int, bytes, bytes]] = []
    head: Head | None = None
    for number, line in enumerate(lines):
        if head is not None or number > LINES_MAX:
            raise AuditError(f"line {number + 1} of the export stands after its end")
        if certificate is None:
            certificate = _parse_first(line)
        elif line.startswith(_RECORD_HEAD) and line[73:84] == _RECORD_MIDDLE:
            records.append(_parse_record(line, number + 1, records))
        else:
            head = _parse_head(line, number + 1, records)
    if certificate is None:
        raise AuditError("the file is empty, so it is no export of an audit log")
    if head is None:
        after = records[-1][0] + 1 if records else None
        raise AuditError("the end of the export is missing: it was cut off", after)
    return AuditLog(certificate, records, head)


def parse_head(line: bytes) -> Head:
    """Read a head's line.

    Raises:
        AuditError: It is none.
    """
    try:
        value = json.loads(line)
        head = Head(
            value["sequence"], bytes.fromhex(value["hash"]), bytes.fromhex(value["signature"])
        )
        if (
            type(head.sequence) is not int
            or not 0 <= head.sequence <= _SEQUENCE_MAX
            or (len(head.digest), len(head.signature)) != (HASH_LEN, SIGNATURE_LEN)
            or head_line(head) != line
        ):
            raise ValueError
    except (ValueError, TypeError, KeyError, RecursionError):
        raise AuditError("not the head of an audit log") from None
    return head


def _parse_first(line: bytes) -> bytes:
    try:
        certificate = bytes.fromhex(json.loads(line)["certificate"])
        if len(certificate) != AUDIT_CERTIFICATE_LEN or first_line(certificate) != line:
            raise ValueError
    except (ValueError, TypeError, KeyError, RecursionError):
        raise AuditError("the file does not begin as an export of an audit log") from None
    return certificate


def _parse_record(
    line: bytes, number: int, before: list[tuple[int, bytes, bytes]]
) -> tuple[int, bytes, bytes]:
    digest, record = line[9:73], line[84:-2]
    try:
        if not line.endswith(b"}\n") or digest != digest.lower():
            raise ValueError
        return decode(record).sequence, record, bytes.fromhex(digest.decode("ascii"))
    except (ValueError, AuditError):
        raise _bad_line(number, before) from None


def _parse_head(line: bytes, number: int, before: list[tuple[int, bytes, bytes]]) -> Head:
    try:
        return parse_head(line)
    except AuditError:
        raise _bad_line(number, before) from None


def _bad_line(number: int, before: list[tuple[int, bytes, bytes]]) -> AuditError:
    return AuditError(
        f"line {number} of the export is neither a record nor its end",
        before[-1][0] + 1 if before else None,
    )


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"
