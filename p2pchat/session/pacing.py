"""The ticks of cover traffic (protocol.md §7.7): when a frame leaves, said or unsaid.

Ticks that were missed, since the machine slept or was busy, are skipped and not made up for: a
burst after a pause would tell of the pause.
"""

from __future__ import annotations


class Pacer:
    """A tick each ``interval_s`` seconds."""

    __slots__ = ("_interval_s", "next_at")

    def __init__(self, interval_s: float, *, now: float) -> None:
        self._interval_s = interval_s
        self.next_at = now + interval_s

    def tick(self, now: float) -> bool:
        """Tell whether a frame is due, and look forward to the next one."""
        if now < self.next_at:
            return False
        missed = int((now - self.next_at) / self._interval_s)
        self.next_at += (missed + 1) * self._interval_s
        return True
