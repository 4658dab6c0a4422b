"""Time for the node: the only place below the interface that reads a clock (design §2.4).

Monotonic seconds (``float``) measure durations and deadlines; wall-clock milliseconds (``int``)
are written on messages. Everything that waits, waits through a ``Clock``, so a test can move
time by hand.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol


class Timer(Protocol):
    """A callback that is due once."""

    def cancel(self) -> None:
        """Forget it; harmless if it has run."""


class Clock(Protocol):
    """What the node needs to know of time."""

    def monotonic(self) -> float:
        """Return seconds that only grow."""

    def wall_ms(self) -> int:
        """Return Unix milliseconds."""

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Call ``callback`` once ``monotonic`` has reached ``when``."""


class SystemClock:
    """The computer's clocks and the running event loop's timers."""

    def monotonic(self) -> float:
        """Return seconds that only grow."""
        return time.monotonic()

    def wall_ms(self) -> int:
        """Return Unix milliseconds."""
        return time.time_ns() // 1_000_000

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Call ``callback`` once ``monotonic`` has reached ``when``."""
        return asyncio.get_running_loop().call_later(max(0.0, when - time.monotonic()), callback)


@asynccontextmanager
async def deadline(clock: Clock, when: float) -> AsyncIterator[None]:
    """Cancel the body and raise TimeoutError if it is not done by ``when``."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as scope:
        timer = clock.call_at(when, lambda: scope.reschedule(loop.time()))
        try:
            yield
        finally:
            timer.cancel()
