"""What an audit log is made of, as values (``store.audit`` says what it is for)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class AuditKind(StrEnum):
    """What an audit record tells; values are stored and exported, so none ever changes."""

    IDENTITY_MADE = "identity_made"
    IDENTITY_LOADED = "identity_loaded"
    KEY_MADE = "key_made"
    IDENTITY_REPLACED = "identity_replaced"
    KEY_ROTATED = "key_rotated"
    KEY_REVOKED = "key_revoked"
    KEY_ERASED = "key_erased"
    RECOVERED = "recovered"
    """An identity was brought back: ours, from its recovery kit, a backup or a damaged profile
    (``source``), or a contact's that says so."""
    RECOVERY_KIT_MADE = "recovery_kit_made"
    UNLOCK_FAILED = "unlock_failed"
    UNLOCK_CHANGED = "unlock_changed"
    LOCKED = "locked"
    CONTACT_PINNED = "contact_pinned"
    CONTACT_REQUESTED = "contact_requested"
    CONTACT_ACCEPTED = "contact_accepted"
    CONTACT_KEPT = "contact_kept"
    CONTACT_BLOCKED = "contact_blocked"
    CONTACT_REMOVED = "contact_removed"
    CONTACT_VERIFIED = "contact_verified"
    VERIFICATION_FAILED = "verification_failed"
    KEY_CHANGED = "key_changed"
    """Another identity answered in a contact's place, or a contact has announced one."""
    HANDSHAKE_REFUSED = "handshake_refused"
    CERTIFICATE_REFUSED = "certificate_refused"
    DOWNGRADE_REFUSED = "downgrade_refused"
    SESSION_HEALED = "session_healed"
    LEDGER_DIFFERED = "ledger_differed"
    STATEMENT_SIGNED = "statement_signed"
    WARNING = "warning"
    CHECKPOINT = "checkpoint"
    PRUNED = "pruned"


AUDIT_FIELDS: Final[Mapping[str, type[str | int]]] = {
    "by": str,
    "count": int,
    "direction": str,
    "first": int,
    "generation": int,
    "hash": str,
    "lost": str,
    "lost_here": int,
    "lost_there": int,
    "method": str,
    "number": int,
    "other": str,
    "purpose": str,
    "reason": str,
    "sent_elsewhere": int,
    "signature": str,
    "source": str,
    "trust": str,
}
"""The fields that an audit record's context may have, and their types. None has room for a key,
a passphrase or a text; ``other`` is a peer id, ``signature`` and ``hash`` are the log's own."""


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """A key or trust event, to be recorded in the transaction of what it tells.

    Attributes:
        kind: What happened.
        at_ms: Wall clock.
        principal: The 32-byte identity that it is about, if any.
        key_id: Of the key that it is about (``identity.keys.key_id``), if any; 8 bytes.
        context: More of it: names and types as in ``AUDIT_FIELDS``. Words of others are made
            harmless and cut when they are recorded.
    """

    kind: AuditKind
    at_ms: int
    principal: bytes | None = None
    key_id: bytes | None = None
    context: Mapping[str, str | int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in self.context.items():
            wanted = AUDIT_FIELDS.get(name)
            # A subclass is as good (an enumeration of words), but a truth value is no number.
            if wanted is None or not isinstance(value, wanted) or isinstance(value, bool):
                raise ValueError(f"{name!r} is no field of an audit record, or of another type")


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
