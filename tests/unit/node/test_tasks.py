"""Tasks, signals and clocks of the node."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest

from p2pchat.node.clock import SystemClock, deadline
from p2pchat.node.tasks import Alarm, Signal, Supervisor
from tests.support.net_clock import ManualClock


async def test_a_failing_task_ends_alone_and_its_text_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    supervisor = Supervisor()
    await supervisor.start()
    going = asyncio.Event()

    async def fails() -> None:
        raise ValueError("the text of a secret message")

    async def goes_on() -> None:
        await going.wait()

    with caplog.at_level(logging.ERROR):
        supervisor.spawn(fails, "one")
        other = supervisor.spawn(goes_on, "other")
        assert other is not None
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert not other.done()
    going.set()
    await other
    await supervisor.aclose()
    assert "task one failed: ValueError at" in caplog.text
    assert "secret message" not in caplog.text


async def test_closing_cancels_all_tasks_and_waits_for_their_ends() -> None:
    supervisor = Supervisor()
    await supervisor.start()
    ended = []

    async def lingers() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    for number in range(3):
        supervisor.spawn(lingers, str(number))
    await asyncio.sleep(0)
    await supervisor.aclose()
    assert ended == [True] * 3
    assert supervisor.spawn(lingers, "too late") is None


async def test_a_signal_is_not_lost_while_nobody_waits() -> None:
    signal = Signal()
    signal.notify()
    signal.notify()
    await signal.wait()
    assert not await signal.wait_until(SystemClock(), time.monotonic())


async def test_a_signal_wakes_its_waiter() -> None:
    signal = Signal()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(signal.wait())
        await asyncio.sleep(0)
        signal.notify()


async def test_waiting_ends_when_the_clock_says_so() -> None:
    clock, signal = ManualClock(), Signal()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        waiting = group.create_task(signal.wait_until(clock, clock.monotonic() + 10))
        await asyncio.sleep(0)
        clock.advance(9.9)
        await asyncio.sleep(0)
        assert not waiting.done()
        clock.advance(0.2)
    assert waiting.result() is False


async def test_an_alarm_goes_off_at_the_earliest_time_set_and_once() -> None:
    clock, signal = ManualClock(), Signal()
    alarm, now = Alarm(clock, signal), clock.monotonic()
    for due in (now + 10, None, now + 20, now + 5):
        alarm.set(due)
    assert not await signal.wait_until(clock, now)
    clock.advance(5)
    assert await signal.wait_until(clock, now)
    clock.advance(20)
    assert not await signal.wait_until(clock, now)
    alarm.set(now + 30)
    alarm.cancel()
    clock.advance(20)
    assert not await signal.wait_until(clock, now)


async def test_a_deadline_that_is_met_leaves_no_timer_behind() -> None:
    clock = ManualClock()
    async with deadline(clock, clock.monotonic() + 1):
        pass
    clock.advance(10)
    await asyncio.sleep(0)


async def test_the_system_clock_calls_back() -> None:
    clock = SystemClock()
    called = asyncio.Event()
    clock.call_at(clock.monotonic() - 5, called.set)
    async with asyncio.timeout(5):
        await called.wait()
    assert abs(clock.wall_ms() - time.time() * 1000) < 5000
