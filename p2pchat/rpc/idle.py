"""When has nobody used something for so long that it is to be locked.

Measured on the wall clock, since the monotonic one stands still while a computer sleeps: who
opens the lid after an hour finds the profile locked. A clock that is set back begins anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

LOOK_S: Final = 10.0
"""Between two looks at the clock: so much later than asked for, after a sleep of the computer."""


class IdleWatch:
    """Counts from the last ``touch``.

    Args:
        after_s: Idle for so long is idle.
        now_ms: Wall clock.
    """

    def __init__(self, after_s: float, now_ms: Callable[[], int]) -> None:
        self._after_ms = after_s * 1000
        self._now_ms = now_ms
        self._last_ms = now_ms()

    def touch(self) -> None:
        """It was used just now."""
        self._last_ms = self._now_ms()

    async def run(self, lock: Callable[[], Awaitable[None]]) -> None:
        """Call ``lock`` each time that the idleness is reached; until cancelled."""
        while True:
            now_ms = self._now_ms()
            self._last_ms = min(self._last_ms, now_ms)
            left_ms = self._last_ms + self._after_ms - now_ms
            if left_ms <= 0:
                await lock()
                self.touch()
            else:
                await asyncio.sleep(min(left_ms / 1000, LOOK_S))
