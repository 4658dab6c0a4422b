"""What the node tells the audit log, and what the log's warnings tell the person.

Changes of trust are recorded in the transaction that makes them (``node.audit_events``). Failed
handshakes change nothing and cost a stranger nothing, so they are counted here: of each kind the
first is recorded at once, those that follow in one record with their number: at first after a
minute, then twice as long each time, up to an hour, until there was none for an hour. A flood thus
costs neither the disk nor a commit each, and cannot push the rest out of the log.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from functools import partial
from typing import Final

from p2pchat.errors import ErrorCode, StoreError
from p2pchat.identity.keys import key_id
from p2pchat.node.audit_events import Failure
from p2pchat.node.clock import Timer
from p2pchat.node.environment import Environment
from p2pchat.node.events import AuditWarned
from p2pchat.store.audit_types import AuditEvent, AuditKind
from p2pchat.store.audit_watch import LOG_REPLACED
from p2pchat.store.database import Database
from p2pchat.store.ports import Transaction

GATHER_S: Final = 60.0
"""After a first failure, more of its kind are gathered for so long."""
GATHER_MAX_S: Final = 3600.0
"""While they go on, each record takes twice as long as the one before, up to this; so long
without one, and the next is a first one again."""
FAILURES_MAX: Final = 1024
"""Kinds of failures told apart: reasons, directions, contacts; more than there can be of the
first two, and contacts are the person's own."""
WARNINGS_MAX: Final = 16
"""Remembered; there is at most one of a pattern a day."""

_NO_FAILURE: Final = frozenset((ErrorCode.NORMAL, ErrorCode.SUPERSEDED, ErrorCode.GOING_AWAY))

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Gathering:
    """Failures of one kind that are not recorded yet.

    Attributes:
        lasts_s: From the first one gathered to the record.
        timer: Runs until that record; None while nothing is gathered.
        quiet_since: When the last record was made; monotonic seconds.
        count: Gathered so far.
        source: Of the last one.
    """

    lasts_s: float = GATHER_S
    timer: Timer | None = None
    quiet_since: float = 0.0
    count: int = 0
    source: str = ""

    def is_forgotten(self, now: float) -> bool:
        """Whether the next one of this kind counts as the first."""
        return self.timer is None and now >= self.quiet_since + GATHER_MAX_S


class Journal:
    """Writes to the audit log what is no part of another change.

    Attributes:
        warnings: The latest of the log since the node began.
    """

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._gathering: dict[Failure, _Gathering] = {}
        self._writing: set[asyncio.Task[None]] = set()
        self._ends = False
        self.warnings: tuple[AuditWarned, ...] = ()

    async def begin(self, store: Database) -> None:
        """Record that our keys are in use, and whether what was opened is older than it was.

        The log's warnings are passed on from now on.
        """
        loop = asyncio.get_running_loop()

        def warned(warning: AuditEvent) -> None:
            # The loop may be closed: then the record is there for the next look.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._warned, warning)

        store.on_warning(warned)
        at_ms = self._env.clock.wall_ms()
        identity = self._env.credentials.identity
        loaded = AuditEvent(AuditKind.IDENTITY_LOADED, at_ms, identity, key_id(identity))

        def work(tx: Transaction) -> None:
            tx.audit(loaded)
            # An older database mostly has an older log, so what is found of either is one report.
            # That of the log says more: something recorded is gone, which only the person can
            # explain. What became of the sessions, each conversation is told when its next begins.
            if store.audit_head.finding:
                tx.audit(AuditEvent(AuditKind.WARNING, at_ms, context={"reason": LOG_REPLACED}))
            elif store.stale:
                tx.audit(
                    AuditEvent(AuditKind.SESSION_HEALED, at_ms, context={"reason": store.stale})
                )

        try:
            await self._env.store.write(work)
        except StoreError as error:
            # On a full disk a person can still read what is there.
            _log.warning("that the profile was opened was not recorded: %s", error)

    def _warned(self, warning: AuditEvent) -> None:
        context = warning.context
        warned = AuditWarned(
            str(context.get("reason", "")), int(context.get("count", 0)), warning.at_ms
        )
        self.warnings = (*self.warnings[1 - WARNINGS_MAX :], warned)
        self._env.hub.publish(warned)

    async def end(self) -> None:
        """Record what was gathered."""
        self._ends = True
        if self._writing:
            await asyncio.wait(self._writing)
        for gathering in self._gathering.values():
            if gathering.timer is not None:
                gathering.timer.cancel()
        for failure, gathering in self._gathering.items():
            if gathering.count:
                await self._record(failure, gathering.count, gathering.source)

    async def record(self, event: AuditEvent) -> None:
        """Append one record; the caller's own change, if any, is in another transaction."""
        await self._env.store.write(lambda tx: tx.audit(event))

    def refused(
        self,
        code: ErrorCode,
        *,
        outbound: bool,
        by_peer: bool,
        principal: bytes | None,
        source: str,
    ) -> None:
        """Note a handshake that came to nothing, unless nobody refused anything."""
        if code in _NO_FAILURE or self._ends:
            return
        failure = Failure(code, outbound, by_peer, principal)
        now = self._env.clock.monotonic()
        gathering = self._gathering.get(failure)
        if gathering is None or gathering.is_forgotten(now):
            gathering = self._remember(failure, now)
            if gathering is None:
                return
            self._start(failure, gathering, now)
            self._spawn(failure, 1, source)
            return
        if gathering.timer is None:
            gathering.lasts_s = min(2 * gathering.lasts_s, GATHER_MAX_S)
            self._start(failure, gathering, now)
        gathering.count += 1
        gathering.source = source

    def turned_away(self, source: str) -> None:
        """There were too many: not even a handshake was begun with this one."""
        self.refused(
            ErrorCode.LIMIT_EXCEEDED, outbound=False, by_peer=False, principal=None, source=source
        )

    def _remember(self, failure: Failure, now: float) -> _Gathering | None:
        if len(self._gathering) >= FAILURES_MAX:
            for other in [each for each, g in self._gathering.items() if g.is_forgotten(now)]:
                del self._gathering[other]
        if len(self._gathering) >= FAILURES_MAX:
            _log.warning("a refused handshake was not recorded: too many kinds of them")
            return None
        self._gathering[failure] = _Gathering()
        return self._gathering[failure]

    def _start(self, failure: Failure, gathering: _Gathering, now: float) -> None:
        due = now + gathering.lasts_s
        gathering.timer = self._env.clock.call_at(due, partial(self._due, failure, gathering))

    def _due(self, failure: Failure, gathering: _Gathering) -> None:
        gathering.timer = None
        gathering.quiet_since = self._env.clock.monotonic()
        if gathering.count:
            self._spawn(failure, gathering.count, gathering.source)
            gathering.count = 0

    def _spawn(self, failure: Failure, count: int, source: str) -> None:
        work = partial(self._record, failure, count, source)
        task = self._env.supervisor.spawn(work, "audit")
        if task is not None:
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)

    async def _record(self, failure: Failure, count: int, source: str) -> None:
        event = failure.event(self._env.clock.wall_ms(), count, source)
        try:
            await self.record(event)
        except StoreError as error:
            _log.warning("%d refused handshakes were not recorded: %s", count, error)
