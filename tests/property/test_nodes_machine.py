"""Two whole nodes, and everything that befalls people who chat (protocol.md §8, §10).

Rules: say something, take it back; let a little time pass, or much; partition and heal the network;
crash; lose the power in the midst of writing; put an older copy of the profile, or of its database
alone, back, on one side, on both, over and over, or from another past; set a clock wrong. At each
settling, and at the end, the network is whole, both nodes run, the clocks are right, and then, of
what was said since the last settling:

- every message that its sender still has is delivered, and one taken back is not;
- the other side has each of them, once, in the order in which it was said, and still has all that
  it had before, unless a copy that was put back did not hold it;
- what is missing by such a copy is told to the side that lacks it, by number, and to the other one
  by name;
- without such a copy no session was made anew, and the accounts of the two sides agree; with one,
  at most one session was, and never because something could not be decrypted;
- an older database is known by its count as soon as it is opened;
- a session is made anew no more often in an hour than it may be;
- the conversation goes on: what is said next arrives.

A crash takes the bytes under way with it and lets the peer notice nothing before the healing. After
a loss of power the disk holds the first so many writes and nothing later, though everything else
went on for a moment. Real processes are killed in tests/integration/test_kills.py. Which breaks of
the program this machine was seen to notice is in tests/mutation/README.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from p2pchat.config import Config
from p2pchat.constants import SESSION_RESETS_PER_HOUR
from p2pchat.errors import StoreError, UsageError
from p2pchat.node.presence import Reason
from p2pchat.node.sessions import MISMATCH
from p2pchat.node.views import LedgersDiffered, LedgerView, MessageView, SessionRestarted
from p2pchat.store.audit_types import AuditKind
from p2pchat.store.freshness import OLDER_DATABASE, CountFile
from p2pchat.store.ports import Store
from p2pchat.store.profile import COUNT
from tests.support.net_clock import ManualClock, SkewedClock
from tests.support.node_faulty_store import DyingStore
from tests.support.node_world import Person, World, memory_world
from tests.support.sizes import sized

DAY_MS: Final = 86_400_000
OFFSETS_MS: Final = (-5 * DAY_MS, 0, 5 * DAY_MS, 10 * 365 * DAY_MS)
STEP_S: Final = 0.1
"""The nodes' time at each look; so many looks follow on each other without a pause."""
LIMIT_S: Final = 30.0
"""Real seconds until anything that has to become true is true."""
HOUR_S: Final = 3601.0
OLD_COPY: Final = "was an old copy of this profile put back?"
DATABASE_FILES: Final = ("chat.db", "chat.db-wal", "chat.db-shm")

sides = st.sampled_from([0, 1])


@dataclass(slots=True)
class Side:
    """One person, and what the test knows of them.

    Attributes:
        saved: The label of the copy of their profile.
        renewed: An older database was put back since that copy was made, and known as such: the
            static key is of a generation that no key in the copy, nor its successors, will reach.
        restored: How often a copy was put back since the last settling.
        cancelled: Ids of the messages taken back.
        sent: Ids of their messages at the last settling, in order.
        got: Ids of the other's messages that they had then, in order.
        events_seen: How many of their node's events came before the last settling.
        refusal: Why the other side refused them, when they last acted on it.
    """

    person: Person
    clock: SkewedClock
    runs: bool = False
    disk: DyingStore | None = None
    saved: str = ""
    renewed: bool = False
    restored: int = 0
    cancelled: set[str] = field(default_factory=set)
    sent: list[str] = field(default_factory=list)
    got: list[str] = field(default_factory=list)
    events_seen: int = 0
    refusal: Reason | None = None

    def restarts(self) -> list[str]:
        """Causes of the sessions made anew since the last settling."""
        news = self.person.events[self.events_seen :]
        return [event.cause for event in news if isinstance(event, SessionRestarted)]

    def differences(self) -> list[LedgerView]:
        """What was told of the accounts since the last settling."""
        news = self.person.events[self.events_seen :]
        return [event.ledger for event in news if isinstance(event, LedgersDiffered)]


class TwoNodes(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._folder = Path(tempfile.mkdtemp(prefix="p2pchat-machine-"))
        self._clock = ManualClock()
        self._world: World
        self._sides: tuple[Side, Side]
        self._numbers = itertools.count(1)
        self._settled_at = 0
        self._wore_down = self._lived_twice = False

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
            one, other = (
                Side(self._world.person(name), SkewedClock(self._clock))
                for name in ("alice", "bob")
            )
            self._sides = one, other
            for side in self._sides:
                side.person.clock = side.clock
                await self._start(side)
            for side in self._sides:
                link = self._other(side).person.node.identity().link
                await side.person.node.add_contact(link)
            await self._until(self._both_online)
            for side in self._sides:
                await self._copy(side)

        self._do(work())

    @rule(number=sides, count=st.integers(1, 4))
    def say(self, number: int, count: int) -> None:
        side = self._sides[number]

        async def work() -> None:
            for _ in range(count):
                await self._say(side)

        if side.runs:
            self._do(work())

    @rule(number=sides)
    def take_back(self, number: int) -> None:
        side = self._sides[number]

        async def work() -> None:
            node, name = side.person.node, self._other(side).person.name
            queued = [view for view in await side.person.history(name) if view.state == "queued"]
            for view in queued[:1]:
                with contextlib.suppress(UsageError):  # it leaves this very moment
                    await node.cancel(name, view.message_id)
                    side.cancelled.add(view.message_id)

        if side.runs:
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

    @rule(number=sides)
    def crash(self, number: int) -> None:
        if self._sides[number].runs:
            self._do(self._crash(self._sides[number]))

    @rule(number=sides, writes=st.integers(0, 5), count=st.integers(0, 3), looks=st.integers(1, 20))
    def cut_the_power(self, number: int, writes: int, count: int, looks: int) -> None:
        """Let ``writes`` more writes reach the disk while both talk, and no later one."""
        side = self._sides[number]

        async def work() -> None:
            assert side.disk is not None
            side.disk.left = writes
            left = f"power {next(self._numbers)}"
            folder = self._folder / f"{side.person.name}.{left}"
            async with asyncio.TaskGroup() as group:
                for one in self._sides:
                    if one.runs:
                        group.create_task(self._say_in_vain(one, count))
                await self._look(looks)
                await side.disk.copy(side.person.path, folder)
                await self._crash(side, side.disk.give_up)
            side.person.restore(left)

        if side.runs:
            self._do(work())

    @rule(number=sides)
    def start(self, number: int) -> None:
        if not self._sides[number].runs:
            self._do(self._start(self._sides[number]))

    @rule(number=sides)
    def copy_the_profile(self, number: int) -> None:
        self._do(self._copy(self._sides[number]))

    @rule(
        numbers=st.sampled_from([(0,), (1,), (0, 1)]),
        lived_on=st.integers(0, 3),
        whole=st.booleans(),
    )
    def put_the_copy_back(self, numbers: tuple[int, ...], lived_on: int, whole: bool) -> None:
        """``whole`` with the count beside the database, which then cannot tell."""

        async def work() -> None:
            if lived_on:
                self._network.heal()
            for _ in range(lived_on):
                for side in self._sides:
                    if side.runs:
                        await self._say(side)
                await self._look(20)
            for number in numbers:
                await self._put_back(self._sides[number], whole=whole)
            await self._look(1)
            self._clock.advance(HOUR_S)  # the sessions of an hour are limited, and rightly so
            for number in numbers:
                await self._start(self._sides[number])

        self._do(work())

    @precondition(lambda self: not self._wore_down)
    @rule(number=sides)
    def wear_down(self, number: int) -> None:
        """Put a copy back more often than new sessions are made in an hour."""
        side = self._sides[number]
        self._wore_down = True

        async def work() -> None:
            await self._make_good()
            await self._copy(side)
            restarts = len(self._other(side).restarts())
            for _ in range(SESSION_RESETS_PER_HOUR + 2):
                await self._put_back(side, whole=True)
                await self._start(side)
                for one in self._sides:
                    await self._say(one)
                await self._look(30)
            assert len(self._other(side).restarts()) - restarts <= SESSION_RESETS_PER_HOUR
            self._clock.advance(HOUR_S)

        self._do(work())

    @precondition(lambda self: not self._lived_twice)
    @rule(number=sides)
    def live_twice(self, number: int) -> None:
        """Both go back to one moment and live on; then one side gets its first life back.

        Its session has the id and the counts of the other side's: only the digests differ.
        """
        side = self._sides[number]
        self._lived_twice = True

        async def work() -> None:
            await self._settle()
            for one in self._sides:
                await self._copy(one)
            await self._exchange()
            first = f"life {next(self._numbers)}"
            await self._crash(side)
            side.person.save(first)
            for one in self._sides:
                await self._put_back(one, whole=True)
            self._clock.advance(HOUR_S)
            for one in self._sides:
                await self._start(one)
            await self._exchange()
            side.saved = first
            await self._put_back(side, whole=True)
            await self._start(side)

        self._do(work())

    @rule(number=sides, offset_ms=st.sampled_from(OFFSETS_MS))
    def set_the_clock(self, number: int, offset_ms: int) -> None:
        self._sides[number].clock.offset_ms = offset_ms

    @rule()
    def settle(self) -> None:
        self._do(self._settle())

    def teardown(self) -> None:
        async def close() -> None:
            async with asyncio.TaskGroup() as group:
                closing = group.create_task(self._world.close())
                await self._until(closing.done)

        try:
            if hasattr(self, "_sides"):
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

    def _other(self, side: Side) -> Side:
        return self._sides[side is self._sides[0]]

    def _both_online(self) -> bool:
        return all(
            side.person.node._book.find(self._other(side).person.name).online
            for side in self._sides
        )

    async def _look(self, times: int) -> None:
        """Let the nodes work, and a little of their time pass."""
        for _ in range(times):
            await asyncio.sleep(0.0005)
            self._clock.advance(STEP_S)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._look(1)

    async def _say(self, side: Side) -> None:
        name = self._other(side).person.name
        await side.person.node.send(name, str(next(self._numbers)))

    async def _say_in_vain(self, side: Side, count: int) -> None:
        with contextlib.suppress(StoreError):
            for _ in range(count):
                await self._say(side)

    async def _exchange(self) -> None:
        """Let both say something, and it arrive."""
        for side in self._sides:
            if not side.runs:
                await self._start(side)
            await self._say(side)
        while not await self._all_delivered():
            await self._look(10)
            for side in self._sides:
                await self._rotate_if_told(side)

    async def _rotate_if_told(self, side: Side) -> None:
        """A copy from before a change of keys is refused; the person is told, and changes them."""
        reason = side.person.node._book.find(self._other(side).person.name).reason
        if side.restored and side.refusal is not reason and OLD_COPY in reason.detail:
            side.refusal = reason
            await side.person.node.rotate_key()

    async def _start(self, side: Side) -> None:
        def dying(store: Store) -> Store:
            side.disk = DyingStore(store)
            return cast("Store", side.disk)

        await side.person.start(wrap_store=dying)
        side.runs = True

    async def _crash(self, side: Side, meanwhile: Callable[[], None] = lambda: None) -> None:
        """End a node so that nothing of its end, and nothing still under way, is heard."""
        was_cut = self._network.is_cut("alice", "bob")
        self._network.partition("alice", "bob")
        meanwhile()
        async with asyncio.TaskGroup() as group:
            stopping = group.create_task(side.person.stop())
            await self._until(stopping.done)
        side.runs = False
        if not was_cut:
            self._network.heal()

    async def _copy(self, side: Side) -> None:
        if side.runs:
            await self._crash(side)
        side.saved, side.renewed = f"copy {next(self._numbers)}", False
        side.person.save(side.saved)
        await self._start(side)

    async def _put_back(self, side: Side, *, whole: bool) -> None:
        """Put the copy back; who opens an older database alone finds it out at once.

        A whole copy from before a renewed key would be refused by the other side for good.
        """
        if side.runs:
            await self._crash(side)
        side.restored += 1
        path = side.person.path
        if whole and not side.renewed:
            side.person.restore(side.saved)
            return
        saved = self._folder / f"{side.person.name}.{side.saved}"
        is_older = CountFile(saved / COUNT).read() < CountFile(path / COUNT).read()
        for name in DATABASE_FILES:
            (path / name).unlink(missing_ok=True)
            if (saved / name).exists():
                shutil.copy(saved / name, path / name)
        side.renewed |= is_older
        since_ms = side.clock.wall_ms()
        await self._start(side)
        healed = await side.person.node.audit.records(1, AuditKind.SESSION_HEALED)
        told = [one.context.get("reason") for one in healed if one.at_ms >= since_ms]
        assert told == ([OLDER_DATABASE] if is_older else [])
        await self._crash(side)

    # --- what must hold ---------------------------------------------------------------------------

    async def _make_good(self) -> None:
        """Take away what keeps the two apart."""
        self._network.heal()
        for side in self._sides:
            side.clock.offset_ms = 0
            if not side.runs:
                await self._start(side)

    async def _all_delivered(self) -> bool:
        for side in self._sides:
            for view in await self._history(side):
                if view.direction == "out" and view.state != "delivered":
                    return False
        return True

    async def _history(self, side: Side) -> list[MessageView]:
        return await side.person.history(self._other(side).person.name)

    async def _settle(self) -> None:
        await self._make_good()
        await self._exchange()
        if any(side.restored for side in self._sides):
            # What was taken over from the other side's account is certain with the next greeting.
            await self._crash(self._sides[0])
            await self._exchange()
        histories = [await self._history(side) for side in self._sides]
        for side, history in zip(self._sides, histories, strict=True):
            theirs = histories[side is self._sides[0]]
            self._check(
                side,
                self._other(side),
                [view for view in history if view.direction == "out"],
                [view for view in theirs if view.direction == "in"],
            )
        for side, history in zip(self._sides, histories, strict=True):
            side.sent = [view.message_id for view in history if view.direction == "out"]
            side.got = [view.message_id for view in history if view.direction == "in"]
            side.events_seen = len(side.person.events)
            side.restored = 0
        self._settled_at = next(self._numbers)

    def _check(
        self,
        sender: Side,
        receiver: Side,
        out: list[MessageView],
        arrived: list[MessageView],
    ) -> None:
        """Look at what one side has sent, and at what the other has of it."""
        sent = [view.message_id for view in out]
        got = [view.message_id for view in arrived]
        numbers = [int(view.text) for view in arrived]
        new = [view.message_id for view in out if int(view.text) > self._settled_at]
        new_got = [v.message_id for v in arrived if int(v.text) > self._settled_at]
        assert len(set(got)) == len(got)
        assert len(set(numbers)) == len(numbers)
        missing = (set(sent) - set(got)) - (set(sender.sent) - set(receiver.got))
        restored = sender.restored + receiver.restored
        if not receiver.restored:
            assert not missing
            assert got[: len(receiver.got)] == receiver.got
        if not sender.restored:
            assert set(got) - set(receiver.got) <= set(sent)
            assert [one for one in new if one in set(new_got)] == new_got
            assert not sender.cancelled & (set(got) - set(receiver.got))
            told = receiver.differences()
            assert sum(ledger.lost_here for ledger in told) >= len(missing)
            named = {one for ledger in sender.differences() for one in ledger.lost_there_ids}
            assert named >= missing
        if not (sender.restored and receiver.restored):
            since = [number for number in numbers if number > self._settled_at]
            assert since == sorted(since)
        for side in (sender, receiver):
            assert len(side.restarts()) <= restored
            assert set(side.restarts()) <= {MISMATCH, OLDER_DATABASE}
            assert restored or not side.differences()


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
