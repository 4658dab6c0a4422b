"""What is entered as it happens, to be compared later: the audit log, and each contact's ledger.

``store.audit`` and ``store.ledger`` do the work.
"""

from __future__ import annotations

from collections.abc import Sequence

from p2pchat.constants import MESSAGE_ID_LEN
from p2pchat.session.ledger import Head, LedgerSummary
from p2pchat.store import audit, ledger
from p2pchat.store.audit_types import AuditEvent, AuditLog, AuditRecord
from p2pchat.store.operations.base import Operations
from p2pchat.store.operations.messages import MessageOperations
from p2pchat.store.records import DeliveryState, LedgerFinding


class AuditOperations(Operations):
    """The audit log of the profile."""

    __slots__ = ()

    def audit(self, event: AuditEvent) -> None:
        """See ``ports.Transaction``."""
        self.audited.append(audit.append(self._execute, event))

    def audit_certificate(self) -> bytes:
        """See ``ports.Transaction``."""
        return audit.read_certificate(self._execute)

    def audit_checkpoint(self, at_ms: int) -> None:
        """See ``ports.Transaction``."""
        self.audited.append(audit.checkpoint(self._execute, at_ms))

    def audit_records(self, limit: int, kind: str | None = None) -> list[AuditRecord]:
        """See ``ports.Transaction``."""
        return audit.latest(self._execute, limit, kind)

    def audit_log(self) -> AuditLog:
        """See ``ports.Transaction``."""
        return audit.read_log(self._execute)


class LedgerOperations(MessageOperations):
    """The ledger of each contact; to compare it takes the messages that still wait."""

    __slots__ = ()

    def ledger(self, contact_id: int) -> LedgerSummary:
        """See ``ports.Transaction``."""
        return ledger.summary(self._execute, contact_id)

    def count_received(self, contact_id: int, message_ids: Sequence[bytes]) -> None:
        """See ``ports.Transaction``."""
        ledger.received(self._execute, contact_id, message_ids)

    def is_counted(self, contact_id: int, message_id: bytes) -> bool:
        """See ``ports.Transaction``."""
        return ledger.holds(self._execute, contact_id, message_id)

    def count_delivered(self, contact_id: int, message_ids: Sequence[bytes]) -> None:
        """See ``ports.Transaction``."""
        ledger.delivered(self._execute, contact_id, message_ids)

    def compare_ledger(
        self, contact_id: int, theirs: LedgerSummary, *, at_ms: int, told: Head | None = None
    ) -> LedgerFinding | None:
        """See ``ports.Transaction``."""
        waiting = self.undelivered(contact_id, ledger.LAG_MAX, unsealed_only=False)
        was_uncertain = ledger.is_uncertain(self._execute, contact_id)
        finding = ledger.compare(
            self._execute,
            contact_id,
            theirs,
            [message.message_id for message in waiting],
            has_left=any(message.state is DeliveryState.SENT for message in waiting),
            at_ms=at_ms,
            told=told,
        )
        if not was_uncertain and ledger.is_uncertain(self._execute, contact_id):
            # In the past that is lost here, each that waits may have left.
            self._execute(
                "UPDATE message SET state = 'sent' WHERE contact_id = ? AND direction = 'out'"
                " AND state = 'queued'",
                (contact_id,),
            )
        return finding

    def ledger_agrees(self, contact_id: int, sent: Head) -> bool:
        """See ``ports.Transaction``."""
        return ledger.agrees(self._execute, contact_id, sent)

    def ledger_findings(self, contact_id: int, limit: int) -> list[LedgerFinding]:
        """See ``ports.Transaction``."""
        return ledger.findings(self._execute, contact_id, limit, MESSAGE_ID_LEN)

    def forget_ledger(self, contact_id: int) -> None:
        """See ``ports.Transaction``."""
        ledger.forget(self._execute, contact_id)
