"""Two whole nodes, and everything that befalls people who chat (protocol.md §8, §10).

Rules: say something; let a little time pass, or much; partition and heal the network; crash; put
an older copy of the profile back; set a clock wrong. After each settling, and at the end, the
network is whole, both nodes run, the clocks are right, and then:

- every message that its sender still has is delivered;
- the other side has each of them, once, in the order in which it was said, unless a copy that was
  put back did not hold it;
- what is missing by such a copy is told to the side that lacks it, by number, once;
- without such a copy no session was made anew, and the accounts of the two sides agree;
- after it, the conversation goes on: what is said next arrives.

A crash takes the bytes under way with it and lets the peer notice nothing before the healing; that
the store survives it at any instant is shown with real processes (tests/integration/test_kills.py).
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from p2pchat.config import Config
from p2pchat.node.views import LedgersDiffered, MessageView, SessionRestarted
from tests.support.net_clock import ManualClock, SkewedClock
from tests.support.node_world import Person, World, memory_world
from tests.support.sizes import sized

DAY_MS: Final = 86_400_000
OFFSETS_MS: Final = (-5 * DAY_MS, 0, 5 * DAY_MS, 10 * 365 * DAY_MS)
STEP_S: Final = 0.1
"""The nodes' time at each look; so many looks follow on each other without a pause."""
LIMIT_S: Final = 30.0
"""Real seconds until anything that has to become true is true."""
HOUR_S: Final = 3601.0

sides = st.sampled_from([0, 1])


class TwoNodes(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._folder = Path(tempfile.mkdtemp(prefix="p2pchat-machine-"))
        self._clock = ManualClock()
        self._world: World
        self._people: tuple[Person, Person]
        self._clocks: list[SkewedClock] = []
        self._runs = [False, False]
        self._saved = ["", ""]
        self._restored = [0, 0]
        self._numbers = itertools.count(1)

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(LIMIT_S):
                await work

        self._runner.run(bounded())

    # --- what happens ---------------------------------------------------------------------------

    @initialize(seed=st.integers(0, 1000))
    def meet(self, seed: int) -> None:
        async def work() -> None:
            self._world = memory_world(self._folder, clock=self._clock, seed=seed, config=Config())
            self._people = (self._world.person("alice"), self._world.person("bob"))
            for person in self._people:
                self._clocks.append(SkewedClock(self._clock))
                person.clock = self._clocks[-1]
                await person.start()
            for person, other in zip(self._people, reversed(self._people), strict=True):
                await person.node.add_contact(other.node.identity().link)
            self._runs = [True, True]
            await self._until(self._both_online)
            for side in (0, 1):
                await self._copy(side)

        self._do(work())

    @rule(side=sides, count=st.integers(1, 4))
    def say(self, side: int, count: int) -> None:
        async def work() -> None:
            for _ in range(count):
                await self._say(side)

        if self._runs[side]:
            self._do(work())

    @rule(looks=st.integers(1, 30))
    def pass_some_time(self, looks: int) -> None:
        self._do(self._look(looks))

    @rule(seconds=st.sampled_from([20, 60, 700]))
    def pass_much_time(self, seconds: int) -> None:
        async def work() -> None:
            for _ in range(10):
                self._clock.advance(seconds / 10)
                await self._look(3)

        self._do(work())

    @rule()
    def partition(self) -> None:
        self._network.partition("alice", "bob")

    @rule()
    def heal(self) -> None:
        async def work() -> None:
            self._network.heal()

        self._do(work())

    @rule(side=sides)
    def crash(self, side: int) -> None:
        if self._runs[side]:
            self._do(self._crash(side))

    @rule(side=sides)
    def start(self, side: int) -> None:
        if not self._runs[side]:
            self._do(self._start(side))

    @rule(side=sides)
    def copy_the_profile(self, side: int) -> None:
        self._do(self._copy(side))

    @rule(side=sides, lived_on=st.integers(0, 3))
    def put_the_copy_back(self, side: int, lived_on: int) -> None:
        async def work() -> None:
            if lived_on:
                self._network.heal()
            for _ in range(lived_on):
                for one in (0, 1):
                    if self._runs[one]:
                        await self._say(one)
                await self._look(20)
            if self._runs[side]:
                await self._crash(side)
            self._people[side].restore(self._saved[side])
            self._restored[side] += 1
            await self._look(1)
            self._clock.advance(HOUR_S)  # the sessions of an hour are limited, and rightly so
            await self._start(side)

        self._do(work())

    @rule(side=sides, offset_ms=st.sampled_from(OFFSETS_MS))
    def set_the_clock(self, side: int, offset_ms: int) -> None:
        self._clocks[side].offset_ms = offset_ms

    @rule()
    def settle(self) -> None:
        self._do(self._settle())

    def teardown(self) -> None:
        async def close() -> None:
            async with asyncio.TaskGroup() as group:
                closing = group.create_task(self._world.close())
                await self._until(closing.done)

        try:
            if hasattr(self, "_people"):
                try:
                    self._do(self._settle())
                finally:
                    self._do(close())
        finally:
            self._runner.close()
            shutil.rmtree(self._folder, ignore_errors=True)

    # --- how --------------------------------------------------------------------------------------

    @property
    def _network(self) -> Any:
        return self._world.network

    def _both_online(self) -> bool:
        return all(
            person.node._book.find(other.name).online
            for person, other in zip(self._people, reversed(self._people), strict=True)
        )

    async def _look(self, times: int) -> None:
        """Let the nodes work, and a little of their time pass."""
        for _ in range(times):
            await asyncio.sleep(0.0005)
            self._clock.advance(STEP_S)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._look(1)

    async def _say(self, side: int) -> None:
        name = self._people[1 - side].name
        await self._people[side].node.send(name, str(next(self._numbers)))

    async def _start(self, side: int) -> None:
        await self._people[side].start()
        self._runs[side] = True

    async def _copy(self, side: int) -> None:
        if self._runs[side]:
            await self._crash(side)
        self._saved[side] = f"copy {next(self._numbers)}"
        self._people[side].save(self._saved[side])
        await self._start(side)

    async def _crash(self, side: int) -> None:
        """End a node so that nothing of its end, and nothing still under way, is heard."""
        was_cut = self._network.is_cut("alice", "bob")
        self._network.partition("alice", "bob")
        async with asyncio.TaskGroup() as group:
            stopping = group.create_task(self._people[side].stop())
            await self._until(stopping.done)
        self._runs[side] = False
        if not was_cut:
            self._network.heal()

    # --- what must hold ---------------------------------------------------------------------------

    async def _settle(self) -> None:
        self._network.heal()
        for side in (0, 1):
            self._clocks[side].offset_ms = 0
            if not self._runs[side]:
                await self._start(side)
        for side in (0, 1):
            await self._say(side)
        histories: list[list[MessageView]] = []

        async def all_delivered() -> bool:
            nonlocal histories
            histories = [
                await person.history(other.name)
                for person, other in zip(self._people, reversed(self._people), strict=True)
            ]
            return all(
                view.state == "delivered"
                for history in histories
                for view in history
                if view.direction == "out"
            )

        while not await all_delivered():
            await self._look(10)
        for side in (0, 1):
            self._check(side, histories)

    def _check(self, side: int, histories: list[list[MessageView]]) -> None:
        """Look at what one side has sent, and at what the other has of it."""
        sent = [view.message_id for view in histories[side] if view.direction == "out"]
        texts = [int(view.text) for view in histories[1 - side] if view.direction == "in"]
        got = [view.message_id for view in histories[1 - side] if view.direction == "in"]
        missing = set(sent) - set(got)
        assert len(set(got)) == len(got)
        receiver, sender = self._people[1 - side], self._people[side]
        if not self._restored[1 - side]:
            assert not missing
        if not self._restored[side]:
            assert set(got) <= set(sent)
            assert [one for one in sent if one in set(got)] == got
        if not any(self._restored):
            assert texts == sorted(texts)
        for person in (sender, receiver):
            restarts = [e for e in person.events if isinstance(e, SessionRestarted)]
            differences = [e.ledger for e in person.events if isinstance(e, LedgersDiffered)]
            if not any(self._restored):
                assert not restarts
                assert not differences
            assert len(restarts) <= sum(self._restored)
        if not self._restored[side]:
            told = [e.ledger for e in receiver.events if isinstance(e, LedgersDiffered)]
            assert sum(ledger.lost_here for ledger in told) >= len(missing)


TestTwoNodes = TwoNodes.TestCase
TestTwoNodes.settings = settings(
    max_examples=4,
    stateful_step_count=12,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


class ManyTwoNodes(TwoNodes):
    """The same, longer."""


TestManyTwoNodes = pytest.mark.slow(ManyTwoNodes.TestCase)
TestManyTwoNodes.settings = settings(
    max_examples=sized(30, 200),
    stateful_step_count=30,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
