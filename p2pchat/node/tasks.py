"""Where the node's tasks live, and how their owners are woken.

All tasks belong to one ``TaskGroup`` inside one supervising task, so that none is forgotten and
all are gone when ``aclose`` returns. A task that fails is reported and ends alone: one broken
connection never takes the node down.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from p2pchat.node.clock import Clock, Timer, deadline

_log = logging.getLogger(__name__)


class Supervisor:
    """Owner of every task of the node."""

    def __init__(self) -> None:
        self._group: asyncio.TaskGroup | None = None
        self._holder: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._release = asyncio.Event()

    async def start(self) -> None:
        """Open the task group."""
        ready = asyncio.Event()
        # A TaskGroup must be left by the task that entered it, but start and stop are called
        # from anywhere: this one task holds it. It is the only task made outside of the group.
        self._holder = asyncio.get_running_loop().create_task(self._hold(ready))
        await ready.wait()

    def spawn(
        self, work: Callable[[], Coroutine[Any, Any, None]], name: str
    ) -> asyncio.Task[None] | None:
        """Run ``work()`` as a task of the group; after ``aclose`` it is not run at all."""
        if self._group is None or self._release.is_set():
            return None
        task = self._group.create_task(_guarded(work, name), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def aclose(self) -> None:
        """Cancel all tasks and wait until they are gone."""
        self._release.set()
        for task in list(self._tasks):
            task.cancel()
        if self._holder is not None:
            await self._holder

    async def _hold(self, ready: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as self._group:
            ready.set()
            await self._release.wait()


async def _guarded(work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
    try:
        await work()
    except Exception as error:  # noqa: BLE001 - the last border: a fault ends its own task only
        # The kind of error and the place, but not its text, which may quote what a peer sent.
        last = error.__traceback__
        while last is not None and last.tb_next is not None:
            last = last.tb_next
        place = "" if last is None else f"{last.tb_frame.f_code.co_filename}:{last.tb_lineno}"
        _log.error("task %s failed: %s at %s", name, type(error).__name__, place)


class Signal:
    """Wakes one waiting task; remembers a wake-up that came while it did not wait."""

    def __init__(self) -> None:
        self._set = False
        self._waiter: asyncio.Future[None] | None = None

    def notify(self) -> None:
        """Wake the waiter, now or at its next ``wait``."""
        self._set = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self) -> None:
        """Return at the next notification, or at once if one is due."""
        if not self._set:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        self._set = False

    async def wait_until(self, clock: Clock, when: float) -> bool:
        """Wait at most until ``when``; tells whether a notification came."""
        try:
            async with deadline(clock, when):
                await self.wait()
        except TimeoutError:
            return False
        return True


class Alarm:
    """Notifies a signal at the earliest of the times set.

    Deadlines mostly move away: an early alarm costs its owner one idle round, and to move it each
    time would cost one timer a round. So it is never moved back.
    """

    def __init__(self, clock: Clock, signal: Signal) -> None:
        self._clock = clock
        self._signal = signal
        self._timer: Timer | None = None
        self._due = 0.0

    def set(self, due: float | None) -> None:
        """Notify at ``due`` at the latest; None asks for nothing."""
        if due is None or (self._timer is not None and self._due <= due):
            return
        self.cancel()
        self._due = due
        self._timer = self._clock.call_at(due, self._fired)

    def cancel(self) -> None:
        """Notify no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fired(self) -> None:
        self._timer = None
        self._signal.notify()
