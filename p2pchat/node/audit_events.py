"""What happens in the node as events of the audit log; pure.

The words of ``reason`` are the names of protocol.md's error codes (§12), so that programs can tell
them apart; what a person reads is the interface's business.
"""

from __future__ import annotations

from dataclasses import dataclass

from p2pchat.errors import ErrorCode
from p2pchat.identity.keys import key_id, peer_id
from p2pchat.identity.trust import Trust
from p2pchat.store.audit_types import AuditEvent, AuditKind
from p2pchat.store.records import ContactRecord


@dataclass(frozen=True, slots=True)
class Failure:
    """A handshake that came to nothing, without what would tell one from the next of its kind.

    Attributes:
        code: Why.
        outbound: We dialled.
        by_peer: They refused, not we.
        principal: The contact whom it concerns, if any; 32 bytes.
    """

    code: ErrorCode
    outbound: bool
    by_peer: bool
    principal: bytes | None

    def event(self, at_ms: int, count: int, source: str) -> AuditEvent:
        """Return the record of so many of them, the last from ``source``."""
        context: dict[str, str | int] = {
            "reason": self.code.name.lower(),
            "direction": "outbound" if self.outbound else "inbound",
            "by": "peer" if self.by_peer else "us",
            "count": count,
        }
        if source:
            context["source"] = source
        match self.code:
            case ErrorCode.CERTIFICATE_INVALID:
                kind = AuditKind.CERTIFICATE_REFUSED
            case ErrorCode.DOWNGRADE_DETECTED:
                kind = AuditKind.DOWNGRADE_REFUSED
            case _:
                kind = AuditKind.HANDSHAKE_REFUSED
        return AuditEvent(kind, at_ms, self.principal, context=context)


def trust_events(
    before: ContactRecord | None, after: ContactRecord, at_ms: int
) -> list[AuditEvent]:
    """Return what a change of a contact means for the audit log."""
    pin = after.pin

    def event(kind: AuditKind, **context: str | int) -> AuditEvent:
        return AuditEvent(kind, at_ms, pin.identity, key_id(pin.identity), context)

    if before is None:
        if pin.trust is Trust.REQUEST:
            return [event(AuditKind.CONTACT_REQUESTED)]
        return [event(AuditKind.CONTACT_PINNED)]
    was = before.pin
    if pin.identity != was.identity:
        return [event(AuditKind.CONTACT_PINNED, other=peer_id(was.identity))]
    events = []
    if pin.trust is not was.trust:
        match pin.trust:
            case Trust.CHANGED:
                # Only the first key that appears: whoever sits at the contact's address could
                # show another one at each attempt.
                other = {} if pin.offered is None else {"other": peer_id(pin.offered)}
                events.append(event(AuditKind.KEY_CHANGED, trust=was.trust.value, **other))
            case Trust.BLOCKED:
                events.append(event(AuditKind.CONTACT_BLOCKED, trust=was.trust.value))
            case Trust.UNVERIFIED | Trust.VERIFIED if was.trust is Trust.CHANGED:
                other = {} if was.offered is None else {"other": peer_id(was.offered)}
                events.append(event(AuditKind.CONTACT_KEPT, **other))
            case Trust.UNVERIFIED:
                events.append(event(AuditKind.CONTACT_ACCEPTED, trust=was.trust.value))
            case _:
                pass
    if after.verified_at_ms is not None and after.verified_at_ms != before.verified_at_ms:
        how = {} if after.verified_by is None else {"method": after.verified_by.value}
        events.append(event(AuditKind.CONTACT_VERIFIED, **how))
    return events
