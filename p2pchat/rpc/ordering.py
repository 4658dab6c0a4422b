"""Which requests of one connection may run together, without changing what they mean.

A client may write requests one after the other without waiting for answers, and finds them
carried out in that order. Most methods run alone. Of those *side by side* many are under way at
once, but begin in order: what they do before they first wait is done in order, and then the
store, say, commits them together. *Unordered* ones take long by nature and hold up nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence, Set


class Turn:
    """A place in the order; who takes one must enter it, since others wait for its end."""

    def __init__(
        self, before: Sequence[asyncio.Event], begun: asyncio.Event, done: asyncio.Event
    ) -> None:
        self._before = before
        self._begun = begun
        self._done = done

    @contextlib.asynccontextmanager
    async def entered(self) -> AsyncIterator[None]:
        """Wait until it is our turn; the body runs at once after the wait."""
        try:
            for event in self._before:
                await event.wait()
            self._begun.set()
            yield
        finally:
            self._begun.set()
            self._done.set()


class Order:
    """The order of one connection.

    Args:
        side_by_side: Methods that only begin in order.
        unordered: Methods outside of the order.
    """

    def __init__(self, *, side_by_side: Set[str], unordered: Set[str]) -> None:
        self._side_by_side = side_by_side
        self._unordered = unordered
        self._alone = _set_event()  # the last method that runs alone is done
        self._begun = _set_event()  # the last method of either kind has begun
        self._since: list[asyncio.Event] = []  # done events of what came after ``_alone``

    def take(self, method: str) -> Turn:
        """Take the next place, for ``method``; never waits."""
        begun, done = asyncio.Event(), asyncio.Event()
        if method in self._unordered:
            return Turn((), begun, done)
        if method in self._side_by_side:
            # The predecessor's beginning as well, not just the event that it waits for too: a
            # task that finds an event set goes on at once, before those whom it has yet to wake.
            before = [self._alone, self._begun]
            self._since = [event for event in self._since if not event.is_set()]
            self._since.append(done)
        else:
            before = [self._alone, *self._since]
            self._alone, self._since = done, []
        self._begun = begun
        return Turn(before, begun, done)


def _set_event() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event
