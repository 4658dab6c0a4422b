"""What an audit log is made of, as values (``store.audit`` says what it is for)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """A record as it can be read back; names and numbers are as in its JSON.

    Attributes:
        sequence: 1 for the first of the log.
        at_ms: Wall clock.
        kind: An ``AuditKind``, or what a later version records.
        principal: A peer id, or None.
        key_id: 16 hexadecimal digits, or None.
        context: Strings and whole numbers.
    """

    sequence: int
    at_ms: int
    kind: str
    principal: str | None
    key_id: str | None
    context: dict[str, str | int]


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


@dataclass(frozen=True, slots=True)
class AuditLog:
    """A log as it was found, nothing of it checked.

    Attributes:
        certificate: Of the audit key.
        records: Number, bytes and hash of each, in the order in which they were found.
        head: The signed end.
    """

    certificate: bytes
    records: Sequence[tuple[int, bytes, bytes]]
    head: Head


@dataclass(frozen=True, slots=True)
class Verified:
    """What is known of a log that is whole.

    Attributes:
        identity: Whose log it is; 32 bytes.
        first: Number of its first record; more than 1 after a pruning, 0 if there is none.
        last: Number of its last record.
        checkpoints: How many signatures stand inside it.
    """

    identity: bytes
    first: int
    last: int
    checkpoints: int
