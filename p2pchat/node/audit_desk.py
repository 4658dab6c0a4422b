"""What can be asked of the audit log: to show it, to verify it, to export it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from p2pchat.errors import AuditError, UsageError
from p2pchat.node.environment import Environment
from p2pchat.node.events import AuditWarned
from p2pchat.node.journal import Journal
from p2pchat.store.audit_file import export_lines
from p2pchat.store.audit_head import HeadFile
from p2pchat.store.audit_types import AuditKind, AuditLog, AuditRecord, Head, Verified
from p2pchat.store.audit_verify import verify
from p2pchat.store.ports import Transaction

RECORDS_MAX: Final = 10_000
"""In one answer of ``records``."""


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What verifying the profile's own log brought.

    Attributes:
        log: What is known of the log; None if it is not whole.
        finding: What is wrong first, in words; empty if nothing is.
        sequence: Of the record that ``finding`` is about, if it is about one.
        has_witness: Whether a head outside of the database could be compared.
    """

    log: Verified | None
    finding: str = ""
    sequence: int | None = None
    has_witness: bool = False


class AuditDesk:
    """Reads the audit log of the running profile."""

    def __init__(self, env: Environment, head: HeadFile, journal: Journal) -> None:
        self._env = env
        self._head = head
        self._journal = journal

    def warnings(self) -> tuple[AuditWarned, ...]:
        """Return the latest warnings since the node began, oldest first."""
        return self._journal.warnings

    async def records(self, limit: int, kind: str | None = None) -> list[AuditRecord]:
        """Return the newest records, oldest first; not verified.

        Raises:
            UsageError: There is no such kind, or the limit is out of range.
        """
        if not 1 <= limit <= RECORDS_MAX:
            raise UsageError(f"ask for 1 to {RECORDS_MAX} audit records at once")
        if kind is not None and kind not in set(AuditKind):
            raise UsageError(f"no audit record is of that kind; there are: {', '.join(AuditKind)}")
        return await self._env.store.read(lambda tx: tx.audit_records(limit, kind))

    async def verify(self) -> AuditReport:
        """Check the whole log, and the head that is kept outside of the database.

        Raises:
            DamagedStoreError: The log's key or head is gone.
            StoreError: The head's file cannot be read.
        """
        # The file before the log, which grows meanwhile: so the file is not ahead of it.
        try:
            witness = self._head.read()
        except AuditError as error:
            return AuditReport(None, str(error))
        log = await self._env.store.read(lambda tx: tx.audit_log())
        # A hundred thousand records take seconds: on another thread.
        return await asyncio.to_thread(self._verify, log, witness)

    async def export(self) -> list[bytes]:
        """Sign a checkpoint, and return the lines of an export of the log up to it."""
        at_ms = self._env.clock.wall_ms()

        def work(tx: Transaction) -> AuditLog:
            tx.audit_checkpoint(at_ms)
            return tx.audit_log()

        return list(export_lines(await self._env.store.write(work)))

    def _verify(self, log: AuditLog, witness: Head | None) -> AuditReport:
        try:
            verified = verify(log, identity=self._env.credentials.identity)
            if witness is not None:
                self._head.require(log, witness)
        except AuditError as error:
            return AuditReport(None, str(error), error.sequence)
        return AuditReport(verified, has_witness=witness is not None)
