"""The order of requests, without any connection around it."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pchat.rpc.ordering import Order, Turn


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["alone", "beside", "free"]), st.integers(0, 5), st.integers(0, 3)
        ),
        max_size=25,
    )
)
@settings(max_examples=100)
def test_whatever_arrives_begins_in_order_and_alone_runs_alone(
    requests: list[tuple[str, int, int]],
) -> None:
    async def run() -> None:
        order = Order(side_by_side={"beside"}, unordered={"free"})
        begun: list[int] = []
        under_way: list[str] = []

        async def call(turn: Turn, number: int, method: str, turns: int) -> None:
            async with turn.entered():
                if method != "free":
                    begun.append(number)
                    assert method == "beside" or not under_way
                    assert "alone" not in under_way
                    under_way.append(method)
                for _ in range(turns):
                    await asyncio.sleep(0)
                if method != "free":
                    under_way.remove(method)

        async with asyncio.TaskGroup() as tasks:
            for number, (method, turns, pause) in enumerate(requests):
                tasks.create_task(call(order.take(method), number, method, turns))
                for _ in range(pause):
                    await asyncio.sleep(0)
        assert begun == [n for n, (method, *_) in enumerate(requests) if method != "free"]

    asyncio.run(run())


@pytest.mark.parametrize("method", ["alone", "beside"])
async def test_whoever_is_cancelled_or_fails_lets_the_next_one_begin(method: str) -> None:
    order = Order(side_by_side={"beside"}, unordered=set())
    gate = asyncio.Event()
    done: list[str] = []

    async def call(turn: Turn, name: str, end: Callable[[], None]) -> None:
        async with turn.entered():
            await gate.wait()
            end()
            done.append(name)

    def fail() -> None:
        raise ZeroDivisionError

    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        first = tasks.create_task(call(order.take(method), "first", lambda: None))
        waiting = tasks.create_task(call(order.take(method), "cancelled", lambda: None))
        await asyncio.sleep(0)
        waiting.cancel()
        failing = tasks.create_task(_suppress(call(order.take(method), "failing", fail)))
        last = tasks.create_task(call(order.take(method), "last", lambda: None))
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(first, failing, last)
    assert done == ["first", "last"]


async def _suppress(work: Coroutine[None, None, None]) -> None:
    with contextlib.suppress(ZeroDivisionError):
        await work
