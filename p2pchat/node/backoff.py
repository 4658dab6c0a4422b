"""How long to wait before dialling again (protocol.md §10.1): pure, chance is an argument.

Doubling from the first to the longest delay of the settings, half a minute by default. A contact
who is awaited is dialled without long pauses: if a network was away there is nobody in the middle
to tell that it is back, and most outages are not seen on this computer at all. Half of each delay
is random, so that two nodes, or a thousand, do not dial in step.
"""

from __future__ import annotations

from typing import Final

from p2pchat.crypto.secret import Rng

STABLE_AFTER_S: Final = 10.0
"""A connection that lived this long was a good one: the next attempt follows at once."""
AWAITED_S: Final = 24 * 3600.0
"""A contact is awaited for so long after it was last connected, or after the program started: the
longest outage that people sit out. Asleep a computer counts no time on most systems."""
AWAITED_PERIOD_S: Final = 4.0
"""At most, from the beginning of one round to that of the next: a network that returns has a
connection within 5 s. One address that does not answer costs 0.9 SYN a second, 4.7 MB and 37 s of
processor time a day (measured)."""
AWAITED_PATIENCE_S: Final = 3.0
"""Of one attempt. The kernel repeats a lost SYN after 1, 3 and 7 seconds, which is too rarely."""
FULL_PATIENCE_EVERY: Final = 8
"""One round in so many has the patience of the settings, for a path, or a server of names, that
needs longer than that."""
AWAITED_ADDRESSES: Final = 6
"""Where more are dialled so, each is dialled more rarely, and all cost no more together than so
many: two dials a second, and a quarter of a percent of a processor (measured with 40)."""
_JITTER_BYTES: Final = 4
_DOUBLINGS_MAX: Final = 16
"""Enough for any setting; a year of failures must not make a huge power."""


class Backoff:
    """The delays of one contact."""

    def __init__(self, rng: Rng, *, first_s: float, longest_s: float, now: float) -> None:
        self._rng = rng
        self._first_s = first_s
        self._longest_s = longest_s
        self._failures = 0
        self._awaited_until = now + AWAITED_S
        self._began = now
        self._answered = False

    @property
    def is_waiting(self) -> bool:
        """Whether the next attempt has to wait."""
        return self._failures > 0

    def is_awaited(self, now: float) -> bool:
        """Whether a network that returns should be noticed within seconds."""
        return now < self._awaited_until and not self._answered

    def delay(self, now: float, awaited: int = 1) -> float:
        """Return the seconds to wait before the next attempt; 0.0 before the first.

        Args:
            now: Monotonic seconds.
            awaited: How many addresses, of all contacts that are awaited, are dialled just now.
        """
        if self._failures == 0:
            return 0.0
        doublings = min(self._failures - 1, _DOUBLINGS_MAX)
        full = min(self._longest_s, self._first_s * (1 << doublings))
        since = now
        if self.is_awaited(now):
            period = AWAITED_PERIOD_S * max(1.0, awaited / AWAITED_ADDRESSES)
            full = min(full, max(self._first_s, period))
            since = self._began
        chance = int.from_bytes(self._rng(_JITTER_BYTES), "big") / (1 << 8 * _JITTER_BYTES)
        return max(0.0, since + full / 2 + full / 2 * chance - now)

    def patience(self, now: float, full_s: float) -> float:
        """Return how long one address may take to answer, ``full_s`` as a rule."""
        if self.is_awaited(now) and self._failures % FULL_PATIENCE_EVERY:
            return min(full_s, AWAITED_PATIENCE_S)
        return full_s

    def failed(self, began: float, *, answered: bool = False) -> None:
        """No address led to the contact.

        Args:
            began: When the round did.
            answered: It was no network's fault: somebody said no, or is somebody else.
        """
        self._failures += 1
        self._began = began
        self._answered = answered

    def refused(self) -> None:
        """The contact was there, and one side could not or would not go on: no hurry."""
        self._failures += 1
        self._awaited_until = 0.0

    def lost(self, lived_s: float, now: float) -> None:
        """An authenticated connection has ended after ``lived_s`` seconds."""
        self._failures = 0 if lived_s >= STABLE_AFTER_S else min(self._failures + 1, 2)
        self._awaited_until = now + AWAITED_S
        self._began = now
        self._answered = False

    def reset(self) -> None:
        """The person asks to try now, or there is something new to try."""
        self._failures = 0
