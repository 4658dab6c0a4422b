"""How long messages are kept (``retention_days``, and what a contact has of its own).

Old messages are deleted in small units of work, so that nobody waits for one, with their words in
the search index. What is never deleted for its age: a message of ours that is not delivered yet,
and one that nobody has read. A message ages from when it was stored here, whatever time it states.

Ages are measured by the wall clock, which people set, and a deletion cannot be taken back. So a
clock that has leapt ahead since the last look deletes nothing at the next one, an hour later at
the earliest: somebody has noticed by then, or that much time has really passed.
"""

from __future__ import annotations

import logging
from typing import Final

from p2pchat.errors import StoreError, UsageError
from p2pchat.node.book import PeerBook
from p2pchat.node.environment import Environment
from p2pchat.node.events import HistoryCut
from p2pchat.node.peer import Peer
from p2pchat.node.tasks import Signal
from p2pchat.node.views import RetentionView
from p2pchat.store.ports import Transaction

FIRST_LOOK_S: Final = 60.0
"""After the start, which has more urgent things to do."""
LEAP_LOOK_S: Final = 3600.0
"""How long a clock that has leapt has to come to its senses."""
LOOK_S: Final = 24 * 3600.0
"""Between two looks: each deletion makes the search index be written anew."""
LEAP_MS: Final = 7 * 24 * 3600 * 1000
"""Since the last look, beyond which the clock counts as having leapt; a week's absence is usual."""
UNIT_MESSAGES: Final = 100
"""Deleted in one unit of work: some five milliseconds."""
DAYS_MAX: Final = 36_500
DAY_MS: Final = 24 * 3600 * 1000
_LOOKED: Final = "retention_looked_at_ms"
"""The setting that tells when the last look was."""

_log = logging.getLogger(__name__)


class RetentionDesk:
    """Deletes what has been kept long enough."""

    def __init__(self, env: Environment, book: PeerBook) -> None:
        self._env = env
        self._book = book

    def start(self) -> None:
        """Look soon, and then each day."""
        self._env.supervisor.spawn(self._keep_looking, "retention")

    async def show(self, peer: Peer) -> RetentionView:
        """Return for how long this contact's messages are kept."""
        own = await self._env.store.read(lambda tx: tx.retention(peer.contact_id))
        return RetentionView(self._days(own), own is None)

    async def keep_for(self, peer: Peer, days: int | None) -> RetentionView:
        """Set it; 0 keeps all, None leaves it to the settings. What is too old goes at once.

        Raises:
            UsageError: Not a number of days that can be.
        """
        if days is not None and not 0 <= days <= DAYS_MAX:
            raise UsageError(f"keep messages for 1 to {DAYS_MAX} days, or 0 for good")
        await self._env.store.write(lambda tx: tx.set_retention(peer.contact_id, days))
        await self._cut(peer, self._env.clock.wall_ms())
        return RetentionView(self._days(days), days is None)

    def _days(self, own: int | None) -> int:
        return self._env.config.retention_days if own is None else own

    async def _keep_looking(self) -> None:
        never, clock, pause = Signal(), self._env.clock, FIRST_LOOK_S
        while True:
            await never.wait_until(clock, clock.monotonic() + pause)
            pause = LOOK_S
            try:
                if await self._has_leapt():
                    pause = LEAP_LOOK_S
                else:
                    await self._look()
            except StoreError as error:
                _log.warning("old messages could not be deleted: %s", error)

    async def _has_leapt(self) -> bool:
        """Tell whether the clock is far ahead of the last look, and remember this one."""
        now_ms = self._env.clock.wall_ms()

        def work(tx: Transaction) -> bool:
            looked = tx.get_setting(_LOOKED)
            tx.put_setting(_LOOKED, str(now_ms))
            return looked is not None and now_ms - int(looked) > LEAP_MS

        return await self._env.store.write(work)

    async def _look(self) -> None:
        now_ms = self._env.clock.wall_ms()
        for peer in list(self._book):
            await self._cut(peer, now_ms)

    async def _cut(self, peer: Peer, now_ms: int) -> None:
        """Delete the contact's messages that are too old."""
        contact_id = peer.contact_id
        days = self._days(await self._env.store.read(lambda tx: tx.retention(contact_id)))
        if not days:
            return
        while await self._env.store.read(lambda tx: tx.has_undated(contact_id)):
            await self._env.store.write(
                lambda tx: tx.date_undated(contact_id, now_ms, UNIT_MESSAGES)
            )
        before_ms = now_ms - days * DAY_MS
        if not await self._env.store.read(lambda tx: tx.has_outlived(contact_id, before_ms)):
            return
        count, gone = 0, UNIT_MESSAGES
        while gone == UNIT_MESSAGES:
            gone = await self._env.store.write(
                lambda tx: tx.delete_outlived(contact_id, before_ms, UNIT_MESSAGES)
            )
            count += gone
        if count:
            self._env.hub.publish(HistoryCut(peer.record.name, count))
