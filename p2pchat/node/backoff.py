"""How long to wait before dialling again (protocol.md §10.1): pure, chance is an argument.

Doubling from the first to the longest delay of the settings, half a minute by default: a peer
that comes back is found soon. While a contact was online only minutes ago, the pauses stay short:
most likely a network is away, not the person, and it is back before anybody can tell us. Half of
each delay is random, so that two nodes, or a thousand, do not dial in step.
"""

from __future__ import annotations

from typing import Final

from p2pchat.crypto.secret import Rng

STABLE_AFTER_S: Final = 10.0
"""A connection that lived this long was a good one: the next attempt follows at once."""
RECENT_S: Final = 600.0
"""A contact that was connected so recently is dialled without long pauses: some 150 attempts of a
few packets each, then it counts as gone for the time being."""
RECENT_PAUSE_MAX_S: Final = 1.5
RECENT_PATIENCE_S: Final = 3.0
"""Of one attempt. The kernel repeats a lost SYN after 1, 3 and 7 seconds; with these two figures
one leaves at least every 3.5 s, so a network that returns has a connection within 5."""
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
        self._connected_until: float | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether the next attempt has to wait."""
        return self._failures > 0

    def delay(self, now: float) -> float:
        """Return the seconds to wait before the next attempt; 0.0 before the first."""
        if self._failures == 0:
            return 0.0
        doublings = min(self._failures - 1, _DOUBLINGS_MAX)
        full = min(self._longest_s, self._first_s * (1 << doublings))
        if self._is_recent(now):
            full = min(full, RECENT_PAUSE_MAX_S)
        chance = int.from_bytes(self._rng(_JITTER_BYTES), "big") / (1 << 8 * _JITTER_BYTES)
        return full / 2 + full / 2 * chance

    def patience(self, now: float, full_s: float) -> float:
        """Return how long one address may take to answer, ``full_s`` as a rule."""
        return min(full_s, RECENT_PATIENCE_S) if self._is_recent(now) else full_s

    def failed(self) -> None:
        """No address led to the contact."""
        self._failures += 1

    def refused(self) -> None:
        """The contact was there, and one side could not or would not go on: no hurry."""
        self._failures += 1
        self._connected_until = None

    def lost(self, lived_s: float, now: float) -> None:
        """An authenticated connection has ended after ``lived_s`` seconds."""
        self._failures = 0 if lived_s >= STABLE_AFTER_S else min(self._failures + 1, 2)
        self._connected_until = now

    def reset(self) -> None:
        """The person asks to try now, or there is something new to try."""
        self._failures = 0

    def _is_recent(self, now: float) -> bool:
        return self._connected_until is not None and now < self._connected_until + RECENT_S
