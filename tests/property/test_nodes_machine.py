"""Two whole nodes, and everything that befalls people who chat (protocol.md §8, §10).

Rules: say something, for a while only, take it back; let a little time pass, or much; partition and
heal the network; crash; lose the power in the midst of writing; put an older copy of the profile,
or of its database alone, back, on one side, on both, over and over, or from another past; set a
clock wrong. At each settling, and at the end, the network is whole, both nodes run, the clocks are
right, and then, of what was said since the last settling:

- every message that its sender still has is delivered, but for one whose time was over; that one
  did not arrive, nor did one taken back;
- the other side has each of them, once, in the order in which it was said, and still has all that
  it had before, unless a copy that was put back did not hold it;
- what is missing by such a copy is told to the side that lacks it, by number, and to the other one
  by name;
- without such a copy no session was made anew, and the accounts of the two sides agree; with some,
  at most one session for each was, and never because something could not be decrypted;
- an older database is known by its count as soon as it is opened;
- a session is made anew no more often in an hour than it may be;
- the conversation goes on: what is said next arrives.

How that is done and looked at is in tests/support/couple.py. Real processes are killed in
tests/integration/test_kills.py. Which breaks of the program this machine was seen to notice is in
tests/mutation/README.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from p2pchat.constants import SESSION_RESETS_PER_HOUR
from p2pchat.errors import UsageError
from tests.support.couple import Couple
from tests.support.sizes import sized

DAY_MS: Final = 86_400_000
OFFSETS_MS: Final = (-5 * DAY_MS, 0, 5 * DAY_MS, 10 * 365 * DAY_MS)
LIMIT_S: Final = 30.0
"""Real seconds until anything that has to become true is true."""
HOUR_S: Final = 3601.0

sides = st.sampled_from([0, 1])


class TwoNodes(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._folder = Path(tempfile.mkdtemp(prefix="p2pchat-machine-"))
        self._two: Couple
        self._wore_down = self._lived_twice = False

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(LIMIT_S):
                await work

        self._runner.run(bounded())

    # --- what happens ---------------------------------------------------------------------------

    @initialize(seed=st.integers(0, 1000))
    def meet(self, seed: int) -> None:
        self._two = Couple(self._folder, seed)
        self._do(self._two.meet())

    @rule(number=sides, count=st.integers(1, 4))
    def say(self, number: int, count: int) -> None:
        side = self._two.sides[number]

        async def work() -> None:
            for _ in range(count):
                await self._two.say(side)

        if side.runs:
            self._do(work())

    @rule(number=sides, alone=st.booleans(), looks=st.integers(0, 30))
    def take_back(self, number: int, alone: bool, looks: int) -> None:
        """Take back what was queued a moment ago; unless the side is alone, it may have left."""
        side = self._two.sides[number]

        async def work() -> None:
            node, name = side.person.node, self._two.other(side).person.name
            if alone:
                if self._two.other(side).runs:
                    await self._two.crash(self._two.other(side))
                await self._two.live(60)
            else:
                await self._two.make_good()
                await self._two.exchange()
            message_id = await self._two.say(side)
            await self._two.look(looks)
            with contextlib.suppress(UsageError):  # too late
                await node.cancel(name, message_id)
                side.cancelled.add(message_id)

        if side.runs:
            self._do(work())

    @rule(number=sides, seconds=st.sampled_from([1, 30]))
    def say_for_a_while(self, number: int, seconds: int) -> None:
        """Mostly it is too late when the other side, which is away, comes back."""
        side = self._two.sides[number]

        async def work() -> None:
            if self._two.other(side).runs:
                await self._two.crash(self._two.other(side))
            await self._two.live(60)
            await self._two.say(side, expires_in_s=seconds)
            await self._two.live(20)
            history = await side.person.history(self._two.other(side).person.name)
            side.cancelled |= {view.message_id for view in history if view.state == "failed"}

        if side.runs:
            self._do(work())

    @rule(looks=st.integers(1, 30))
    def pass_some_time(self, looks: int) -> None:
        self._do(self._two.look(looks))

    @rule(seconds=st.sampled_from([20, 60, 700]))
    def pass_much_time(self, seconds: int) -> None:
        self._do(self._two.live(seconds))

    @rule()
    def partition(self) -> None:
        self._two.network.partition("alice", "bob")

    @rule()
    def heal(self) -> None:
        async def work() -> None:
            self._two.network.heal()

        self._do(work())

    @rule(number=sides)
    def crash(self, number: int) -> None:
        if self._two.sides[number].runs:
            self._do(self._two.crash(self._two.sides[number]))

    @rule(
        number=sides,
        writes=st.integers(0, 3),
        count=st.integers(1, 3),
        looks=st.integers(10, 20),
        online=st.sampled_from([True, True, False]),
    )
    def cut_the_power(self, number: int, writes: int, count: int, looks: int, online: bool) -> None:
        """Let ``writes`` more writes reach the disk while both talk, and no later one."""
        side = self._two.sides[number]

        async def work() -> None:
            if online:
                await self._two.make_good()
                await self._two.exchange()
            await self._two.cut_power(side, writes, count, looks)

        if side.runs or online:
            self._do(work())

    @rule(number=sides)
    def start(self, number: int) -> None:
        if not self._two.sides[number].runs:
            self._do(self._two.start(self._two.sides[number]))

    @rule(number=sides)
    def copy_the_profile(self, number: int) -> None:
        self._do(self._two.copy(self._two.sides[number]))

    @rule(
        numbers=st.sampled_from([(0,), (1,), (0, 1)]),
        lived_on=st.integers(0, 3),
        whole=st.booleans(),
        in_peace=st.booleans(),
    )
    def put_the_copy_back(
        self, numbers: tuple[int, ...], lived_on: int, whole: bool, in_peace: bool
    ) -> None:
        """``whole`` with the count beside the database, which then cannot tell.

        ``in_peace`` with nothing else that happens to them at that time.
        """

        async def work() -> None:
            if in_peace:
                await self._two.settle()
            if lived_on:
                self._two.network.heal()
            for _ in range(lived_on):
                for side in self._two.sides:
                    if side.runs:
                        await self._two.say(side)
                await self._two.look(20)
            for number in numbers:
                await self._two.put_back(self._two.sides[number], whole=whole)
            await self._two.look(1)
            self._two.clock.advance(HOUR_S)  # the sessions of an hour are limited, and rightly so
            for number in numbers:
                await self._two.start(self._two.sides[number])
            if in_peace:
                await self._two.settle()

        self._do(work())

    @precondition(lambda self: not self._wore_down)
    @rule(number=sides)
    def wear_down(self, number: int) -> None:
        """Put a copy back more often than new sessions are made in an hour."""
        side = self._two.sides[number]
        self._wore_down = True

        async def work() -> None:
            await self._two.make_good()
            await self._two.copy(side)
            restarts = len(self._two.other(side).restarts())
            for _ in range(SESSION_RESETS_PER_HOUR + 2):
                await self._two.put_back(side, whole=True)
                await self._two.start(side)
                for one in self._two.sides:
                    await self._two.say(one)
                await self._two.look(30)
            assert len(self._two.other(side).restarts()) - restarts <= SESSION_RESETS_PER_HOUR
            self._two.clock.advance(HOUR_S)

        self._do(work())

    @precondition(lambda self: not self._lived_twice)
    @rule(number=sides)
    def live_twice(self, number: int) -> None:
        """Both go back to one moment and live on; then one side gets its first life back.

        Its session has the id and the counts of the other side's: only the digests differ.
        """
        side = self._two.sides[number]
        self._lived_twice = True

        async def work() -> None:
            await self._two.settle()
            for one in self._two.sides:
                await self._two.copy(one)
            await self._two.exchange()
            first = f"life {next(self._two.numbers)}"
            await self._two.crash(side)
            side.person.save(first)
            for one in self._two.sides:
                await self._two.put_back(one, whole=True)
            self._two.clock.advance(HOUR_S)
            for one in self._two.sides:
                await self._two.start(one)
            await self._two.exchange()
            side.saved = first
            await self._two.put_back(side, whole=True)
            await self._two.start(side)

        self._do(work())

    @rule(number=sides, offset_ms=st.sampled_from(OFFSETS_MS))
    def set_the_clock(self, number: int, offset_ms: int) -> None:
        self._two.sides[number].clock.offset_ms = offset_ms

    @rule()
    def settle(self) -> None:
        self._do(self._two.settle())

    def teardown(self) -> None:
        try:
            if hasattr(self, "_two"):
                try:
                    self._do(self._two.settle())
                finally:
                    self._do(self._two.close())
        finally:
            self._runner.close()
            shutil.rmtree(self._folder, ignore_errors=True)


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
