"""Which patterns of audit records deserve the person's attention; pure, over the newest records.

A warning is itself a record, so that the log says when the person was told, and at most one of a
pattern in ``QUIET_MS``: a stream of warnings is read by nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from p2pchat.store.audit_types import AuditEvent, AuditKind, AuditRecord

LOOK_BACK: Final = 200
"""Records looked at: more than the patterns need, a few milliseconds' work."""
QUIET_MS: Final = 24 * 3600 * 1000
LOG_REPLACED: Final = "log_replaced"
"""The one warning that no pattern of records gives: the log is not the one of last time."""
_HOUR_MS: Final = 3600 * 1000


@dataclass(frozen=True, slots=True)
class Pattern:
    """Something that happens too often.

    Attributes:
        name: The warning's ``reason``.
        kinds: Of the records that count.
        limit: So many within ``window_ms`` are unusual.
        window_ms: Up to the newest record.
        each_principal_once: Count people instead of events.
    """

    name: str
    kinds: frozenset[str]
    limit: int
    window_ms: int
    each_principal_once: bool = False


PATTERNS: Final = (
    # A scanner or two a day is usual on an open port; a person mistypes twice; a group of friends
    # gets new computers, but not within a day.
    Pattern(
        "many_failed_handshakes",
        frozenset(
            (
                AuditKind.HANDSHAKE_REFUSED,
                AuditKind.CERTIFICATE_REFUSED,
                AuditKind.DOWNGRADE_REFUSED,
            )
        ),
        limit=50,
        window_ms=_HOUR_MS,
    ),
    Pattern(
        "many_failed_unlocks",
        frozenset((AuditKind.UNLOCK_FAILED,)),
        limit=5,
        window_ms=24 * _HOUR_MS,
    ),
    Pattern(
        "many_key_changes",
        frozenset((AuditKind.KEY_CHANGED,)),
        limit=3,
        window_ms=24 * _HOUR_MS,
        each_principal_once=True,
    ),
)
WATCHED: Final = frozenset(kind for pattern in PATTERNS for kind in pattern.kinds)


def warnings_due(records: Sequence[AuditRecord], now_ms: int) -> list[AuditEvent]:
    """Return the warnings for the newest records, the last of which has just been appended."""
    return [
        AuditEvent(AuditKind.WARNING, now_ms, context={"reason": pattern.name, "count": count})
        for pattern in PATTERNS
        if (count := _count(pattern, records, now_ms)) >= pattern.limit
        and not was_told(pattern.name, records, now_ms)
    ]


def was_told(reason: object, records: Iterable[AuditRecord], now_ms: int) -> bool:
    """Whether the person had this warning in the last ``QUIET_MS``."""
    return any(
        record.kind == AuditKind.WARNING
        and record.context.get("reason") == reason
        and record.at_ms > now_ms - QUIET_MS
        for record in records
    )


def _count(pattern: Pattern, records: Iterable[AuditRecord], now_ms: int) -> int:
    recent = [
        record
        for record in records
        if record.kind in pattern.kinds
        and record.at_ms > now_ms - pattern.window_ms
        # What we dial ourselves fails for hours if something else lives at a contact's address.
        and record.context.get("direction") != "outbound"
    ]
    if pattern.each_principal_once:
        return len({record.principal for record in recent})
    counts = (record.context.get("count", 1) for record in recent)
    return sum(count for count in counts if isinstance(count, int))
