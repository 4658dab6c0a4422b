"""Notifications are bounded, in order, and end with the node."""

from __future__ import annotations

import asyncio

import pytest

from p2pchat.node.events import MessageArrived, NodeEvent, SessionRestarted
from p2pchat.node.subscription import EVENTS_MAX, TEXT_MAX_CHARS, Hub, Subscription
from p2pchat.node.views import MessageView
from p2pchat.store.records import DeliveryState, Direction


def event(number: int) -> SessionRestarted:
    return SessionRestarted("bob", str(number))


def arrival(text: str) -> MessageArrived:
    view = MessageView("bob", "00" * 16, Direction.IN, text, 0, DeliveryState.DELIVERED, "")
    return MessageArrived(view)


async def test_events_come_in_order_and_only_from_now_on() -> None:
    hub = Hub()
    hub.publish(event(0))
    first = hub.subscribe()
    hub.publish(event(1))
    second = hub.subscribe()
    hub.publish(event(2))
    hub.close()
    assert [item async for item in first] == [event(1), event(2)]
    assert [item async for item in second] == [event(2)]
    assert not hub.is_heard


async def test_a_waiting_listener_is_woken_by_an_event_and_by_the_end() -> None:
    hub = Hub()
    subscription = hub.subscribe()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        waiting = group.create_task(subscription.__anext__())
        await asyncio.sleep(0)
        hub.publish(event(1))
        assert await waiting == event(1)
        ending = group.create_task(collect(subscription))
        await asyncio.sleep(0)
        subscription.close()
        assert await ending == []
    with pytest.raises(StopAsyncIteration):
        await anext(subscription)


async def collect(subscription: Subscription) -> list[NodeEvent]:
    return [item async for item in subscription]


async def test_a_slow_listener_loses_the_oldest_and_is_told() -> None:
    hub = Hub()
    subscription = hub.subscribe()
    for number in range(EVENTS_MAX + 10):
        hub.publish(event(number))
    assert subscription.lost == 10
    assert subscription.pending == EVENTS_MAX
    assert await anext(subscription) == event(10)


async def test_long_texts_are_bounded_by_their_length() -> None:
    hub = Hub()
    subscription = hub.subscribe()
    text = "x" * 65536
    fitting = TEXT_MAX_CHARS // len(text)
    for _ in range(fitting + 5):
        hub.publish(arrival(text))
    assert subscription.pending == fitting
    assert subscription.lost == 5
