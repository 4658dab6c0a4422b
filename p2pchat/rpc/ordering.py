"""Which requests of one connection may run together, without changing what they mean.

A client may write requests one after the other without waiting for answers, and finds them
carried out in that order. Most methods run alone. Of those *side by side* many are under way at
once, but begin in order: what they do before they first wait is done in order, and then the
store, say, commits them together. *Unordered* ones take long by nature and hold up nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Set


class Order:
    """The order of one connection.

    Args:
        side_by_side: Methods that only begin in order.
        unordered: Methods outside of the order.
    """

    def __init__(self, *, side_by_side: Set[str], unordered: Set[str]) -> None:
        self._side_by_side = side_by_side
        self._unordered = unordered
        self._alone = _set_event()  # the last method that ran alone is done
        self._begun = _set_event()  # the last method of either kind has begun
        self._since: list[asyncio.Event] = []  # done events of what came after ``_alone``

    @contextlib.asynccontextmanager
    async def turn(self, method: str) -> AsyncIterator[None]:
        """Wait until ``method`` may begin; to be entered in the order of arrival.

        The body runs at once after the wait, and what follows in the order waits for it.
        """
        if method in self._unordered:
            yield
            return
        begun, done = asyncio.Event(), asyncio.Event()
        # Nothing is awaited before the place in the order is taken. Who runs side by side waits
        # for the predecessor's beginning as well, not just for the same event as it: a task that
        # finds an event set goes on at once, before those that the event has yet to wake.
        if method in self._side_by_side:
            before = [self._alone, self._begun]
            self._since = [event for event in self._since if not event.is_set()]
            self._since.append(done)
        else:
            before = [self._alone, *self._since]
            self._alone, self._since = done, []
        self._begun = begun
        try:
            for event in before:
                await event.wait()
            begun.set()
            yield
        finally:
            begun.set()
            done.set()


def _set_event() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event
