"""Clocks that a test moves, hastens or sets wrong."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable

from p2pchat.node.clock import Clock, Timer


class ManualTimer:
    """One callback that is due once."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None

    def fire(self) -> None:
        if self.callback is not None:
            self.callback()


class ManualClock:
    """Time stands still until ``advance``."""

    def __init__(self, wall_ms: int = 1_800_000_000_000) -> None:
        self._now = 1000.0
        self._wall_ms = wall_ms
        self._timers: list[tuple[float, int, ManualTimer]] = []
        self._order = itertools.count()

    def monotonic(self) -> float:
        return self._now

    def wall_ms(self) -> int:
        return self._wall_ms

    def call_at(self, when: float, callback: Callable[[], None]) -> ManualTimer:
        timer = ManualTimer(callback)
        if when <= self._now:
            asyncio.get_running_loop().call_soon(timer.fire)
            return timer
        heapq.heappush(self._timers, (when, next(self._order), timer))
        return timer

    def advance(self, seconds: float) -> None:
        """Let time pass and call what has become due, in order."""
        end = self._now + seconds
        while self._timers and self._timers[0][0] <= end:
            when, _, timer = heapq.heappop(self._timers)
            self._now = max(self._now, when)
            timer.fire()
        self._wall_ms += round(seconds * 1000)
        self._now = end


class SkewedClock:
    """Another clock whose date is wrong by ``offset_ms``, which may change at any time."""

    def __init__(self, inner: Clock) -> None:
        self._inner = inner
        self.offset_ms = 0

    def monotonic(self) -> float:
        return self._inner.monotonic()

    def wall_ms(self) -> int:
        return self._inner.wall_ms() + self.offset_ms

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        return self._inner.call_at(when, callback)


class FastClock:
    """The computer's time, so many times faster: for tests that pass through real deadlines."""

    def __init__(self, factor: float) -> None:
        self._factor = factor
        self._start = time.monotonic()
        self._wall_ms = time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return (time.monotonic() - self._start) * self._factor

    def wall_ms(self) -> int:
        return self._wall_ms + round(self.monotonic() * 1000)

    def call_at(self, when: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        delay = max(0.0, when - self.monotonic()) / self._factor
        return asyncio.get_running_loop().call_later(delay, callback)
