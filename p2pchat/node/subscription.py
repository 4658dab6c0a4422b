"""Notifications to whoever listens: bounded, never blocking the node.

A listener that does not keep up loses the oldest notifications, and ``lost`` says how many: what
was lost is a hint only, since contacts and messages can always be listed anew from the store.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from p2pchat.node.events import MessageArrived, MessageChanged, MessageQueued, NodeEvent

EVENTS_MAX: Final = 8192
"""Waiting for one listener: thousands of messages at once are an ordinary reconnect."""
TEXT_MAX_CHARS: Final = 16 << 20
"""Characters of message text waiting for one listener; bounds its memory."""


class Subscription:
    """An asynchronous iterator of events; ends after ``close``."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._events: deque[NodeEvent] = deque()
        self._text = 0
        self._closed = False
        self._waiter: asyncio.Future[None] | None = None
        self.lost = 0
        """How many notifications were dropped since this was set to 0."""

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> NodeEvent:
        while not self._events:
            if self._closed:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self.pop()

    @property
    def pending(self) -> int:
        """How many events wait."""
        return len(self._events)

    def pop(self) -> NodeEvent:
        """Return the oldest event without waiting; there must be one."""
        event = self._events.popleft()
        self._text -= _text_chars(event)
        return event

    def close(self) -> None:
        """End: what waits can still be read, nothing is added."""
        self._closed = True
        self._hub.forget(self)
        self._wake()

    def put(self, event: NodeEvent) -> None:
        """Add an event, and drop the oldest ones if there is no room."""
        self._events.append(event)
        self._text += _text_chars(event)
        while len(self._events) > EVENTS_MAX or self._text > TEXT_MAX_CHARS:
            self.pop()
            self.lost += 1
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Hub:
    """All subscriptions of a node."""

    def __init__(self) -> None:
        self._subscriptions: list[Subscription] = []

    @property
    def is_heard(self) -> bool:
        """Whether anybody listens; events for nobody need not be made."""
        return bool(self._subscriptions)

    def subscribe(self) -> Subscription:
        """Begin to listen."""
        subscription = Subscription(self)
        self._subscriptions.append(subscription)
        return subscription

    def forget(self, subscription: Subscription) -> None:
        """Stop telling this one."""
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)

    def publish(self, event: NodeEvent) -> None:
        """Tell everybody."""
        for subscription in self._subscriptions:
            subscription.put(event)

    def close(self) -> None:
        """End all subscriptions."""
        for subscription in list(self._subscriptions):
            subscription.close()


def _text_chars(event: NodeEvent) -> int:
    return (
        len(event.message.text)
        if isinstance(event, MessageArrived | MessageQueued | MessageChanged)
        else 0
    )
