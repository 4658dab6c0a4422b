"""How long to wait before dialling again (protocol.md §10.1): pure, chance is an argument.

Doubling from the first to the longest delay of the settings, half a minute by default: a peer
that comes back is found soon. Half of each delay is random, so that two nodes, or a thousand, do
not dial in step.
"""

from __future__ import annotations

from typing import Final

from p2pchat.crypto.secret import Rng

STABLE_AFTER_S: Final = 10.0
"""A connection that lived this long was a good one: the next attempt follows at once."""
_JITTER_BYTES: Final = 4
_DOUBLINGS_MAX: Final = 16
"""Enough for any setting; a year of failures must not make a huge power."""


class Backoff:
    """The delays of one contact."""

    def __init__(self, rng: Rng, *, first_s: float, longest_s: float) -> None:
        self._rng = rng
        self._first_s = first_s
        self._longest_s = longest_s
        self._failures = 0

    @property
    def is_waiting(self) -> bool:
        """Whether the next attempt has to wait."""
        return self._failures > 0

    def delay(self) -> float:
        """Return the seconds to wait before the next attempt; 0.0 before the first."""
        if self._failures == 0:
            return 0.0
        doublings = min(self._failures - 1, _DOUBLINGS_MAX)
        full = min(self._longest_s, self._first_s * (1 << doublings))
        chance = int.from_bytes(self._rng(_JITTER_BYTES), "big") / (1 << 8 * _JITTER_BYTES)
        return full / 2 + full / 2 * chance

    def failed(self) -> None:
        """No address led to the contact."""
        self._failures += 1

    def lost(self, lived_s: float) -> None:
        """An authenticated connection ended after ``lived_s`` seconds."""
        self._failures = 0 if lived_s >= STABLE_AFTER_S else min(self._failures + 1, 2)

    def reset(self) -> None:
        """The person asks to try now, or there is something new to try."""
        self._failures = 0
