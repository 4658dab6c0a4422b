"""Two nodes that chat on one clock, and the account of what each of them has to have.

A crash takes the bytes under way with it and lets the peer notice nothing before the healing. After
a loss of power the disk holds the first so many writes and nothing later, though everything else
went on for a moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

from p2pchat.config import Config
from p2pchat.constants import SESSION_ID_LEN
from p2pchat.errors import StoreError
from p2pchat.node.events import LedgersDiffered, SessionRestarted
from p2pchat.node.presence import Reason
from p2pchat.node.sessions import MISMATCH
from p2pchat.node.views import LedgerView, MessageView
from p2pchat.store.freshness import OLDER_DATABASE
from p2pchat.store.outside_count import CountFile
from p2pchat.store.ports import Store
from p2pchat.store.profile import COUNT
from p2pchat.transport.memory import MemoryNetwork
from tests.support.net_clock import ManualClock, SkewedClock
from tests.support.node_faulty_store import DyingStore
from tests.support.node_world import Person, memory_world

STEP_S: Final = 0.1
"""The nodes' time at each look; so many looks follow on each other without a pause."""
DISK_S: Final = 0.003
"""Real seconds that a write takes."""
OLD_COPY: Final = "was an old copy of this profile put back"
DATABASE_FILES: Final = ("chat.db", "chat.db-wal", "chat.db-shm")


@dataclass(slots=True)
class Side:
    """One person, and what the test knows of them.

    Attributes:
        saved: The label of the copy of their profile.
        session: The id of the session in it, if there is one.
        restored: How often a copy was put back since the last settling.
        has_gaps: A copy was put back at any time: what was said until the accounts were certain
            again is counted in them, and cannot always be named.
        cancelled: Ids of the messages taken back, or whose time was over.
        sent: Ids of their messages at the last settling, in order.
        got: Ids of the other's messages that they had then, in order.
        events_seen: How many of their node's events came before the last settling.
        findings: What their profile held of differences between the accounts then.
        told: What they were told of the accounts since.
        refusal: Why the other side refused them, when they last acted on it.
    """

    person: Person
    clock: SkewedClock
    runs: bool = False
    disk: DyingStore | None = None
    saved: str = ""
    session: bytes | None = None
    restored: int = 0
    has_gaps: bool = False
    cancelled: set[str] = field(default_factory=set)
    sent: list[str] = field(default_factory=list)
    got: list[str] = field(default_factory=list)
    events_seen: int = 0
    findings: set[LedgerView] = field(default_factory=set)
    told: set[LedgerView] = field(default_factory=set)
    refusal: Reason | None = None

    def restarts(self) -> list[str]:
        """Causes of the sessions made anew since the last settling."""
        news = self.person.events[self.events_seen :]
        return [event.cause for event in news if isinstance(event, SessionRestarted)]

    def differences(self) -> set[LedgerView]:
        """What was told of the accounts since the last settling."""
        news = self.person.events[self.events_seen :]
        return {event.ledger for event in news if isinstance(event, LedgersDiffered)}


class Couple:
    """Alice and Bob; what they say are numbers that grow.

    Attributes:
        clock: Of both nodes, but for how wrong each side's date is.
        sides: Alice's and Bob's.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.clock = ManualClock()
        self.numbers = itertools.count(1)
        self._folder = folder
        self._world = memory_world(folder, clock=self.clock, seed=seed, config=Config())
        alice, bob = self._world.person("alice"), self._world.person("bob")
        self.sides = (
            Side(alice, SkewedClock(self.clock)),
            Side(bob, SkewedClock(self.clock)),
        )
        self._settled_at = 0
        self._interrupted = False

    async def meet(self) -> None:
        """Let both add each other; copies are made."""
        for side in self.sides:
            side.person.clock = side.clock
            await self.start(side)
        for side in self.sides:
            link = self.other(side).person.node.identity().link
            await side.person.node.add_contact(link)
        await self.until(self.both_online)
        for side in self.sides:
            await self.copy(side)

    async def close(self) -> None:
        """End everything."""
        async with asyncio.TaskGroup() as group:
            closing = group.create_task(self._world.close())
            await self.until(closing.done)

    @property
    def network(self) -> MemoryNetwork:
        """Between the two."""
        assert self._world.network is not None
        return self._world.network

    def other(self, side: Side) -> Side:
        return self.sides[side is self.sides[0]]

    def both_online(self) -> bool:
        return all(
            side.person.node._book.find(self.other(side).person.name).online for side in self.sides
        )

    async def look(self, times: int) -> None:
        """Let the nodes work, and a little of their time pass."""
        for _ in range(times):
            await asyncio.sleep(0.0005)
            self.clock.advance(STEP_S)

    async def live(self, seconds: float) -> None:
        """Let much of the nodes' time pass, in ten steps."""
        for _ in range(10):
            self.clock.advance(seconds / 10)
            await self.look(3)

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self.look(1)

    async def say(self, side: Side, *, expires_in_s: int | None = None) -> str:
        """Queue the next number; returns the message's id."""
        name, text = self.other(side).person.name, str(next(self.numbers))
        return (await side.person.node.send(name, text, expires_in_s=expires_in_s)).message_id

    async def _say_in_vain(self, side: Side, count: int) -> None:
        with contextlib.suppress(StoreError):
            for _ in range(count):
                await self.say(side)

    async def exchange(self) -> None:
        """Let both say something, and it arrive."""
        for side in self.sides:
            if not side.runs:
                await self.start(side)
            await self.say(side)
        while not await self._all_delivered():
            await self.look(10)
            for side in self.sides:
                await self._rotate_if_told(side)

    async def _rotate_if_told(self, side: Side) -> None:
        """A copy from before a change of keys is refused; the person is told, and changes them."""
        reason = side.person.node._book.find(self.other(side).person.name).reason
        if side.restored and side.refusal is not reason and OLD_COPY in reason.detail:
            side.refusal = reason
            await side.person.node.rotate_key()

    async def start(self, side: Side) -> None:
        def dying(store: Store) -> Store:
            side.disk = DyingStore(store)
            return cast("Store", side.disk)

        await side.person.start(wrap_store=dying)
        side.runs = True

    async def crash(self, side: Side, meanwhile: Callable[[], None] = lambda: None) -> None:
        """End a node so that nothing of its end, and nothing still under way, is heard."""
        was_cut = self.network.is_cut("alice", "bob")
        self.network.partition("alice", "bob")
        meanwhile()
        async with asyncio.TaskGroup() as group:
            stopping = group.create_task(side.person.stop())
            await self.until(stopping.done)
        side.runs = False
        self._interrupted |= any(one.restored for one in self.sides)
        if not was_cut:
            self.network.heal()

    async def cut_power(self, side: Side, writes: int, count: int, looks: int) -> None:
        """Let ``writes`` more writes reach the disk while both talk, and no later one."""
        assert side.disk is not None
        side.disk.left = writes
        left = f"power {next(self.numbers)}"
        folder = self._folder / f"{side.person.name}.{left}"
        async with asyncio.TaskGroup() as group:
            for one in self.sides:
                if one.runs:
                    group.create_task(self._say_in_vain(one, count))
            for _ in range(looks):
                await asyncio.sleep(DISK_S)
                await self.look(1)
            await side.disk.copy(side.person.path, folder)
            await self.crash(side, side.disk.give_up)
        side.person.restore(left)

    async def copy(self, side: Side) -> None:
        if not side.runs:
            await self.start(side)
        side.session = await self._session(side)
        await self.crash(side)
        side.saved = f"copy {next(self.numbers)}"
        side.person.save(side.saved)
        await self.start(side)

    async def _session(self, side: Side) -> bytes | None:
        """Return the id of the stored session."""
        peer = side.person.node._book.find(self.other(side).person.name)
        stored = await side.person.node._env.store.read(lambda tx: tx.session(peer.contact_id))
        return None if stored is None else stored.state[1 : 1 + SESSION_ID_LEN]

    async def put_back(self, side: Side, *, whole: bool) -> None:
        """Put the copy back; who opens an older database alone finds it out at once.

        That renews its key: after one was renewed while the clock was ahead, the other side would
        refuse any until that day.
        """
        if side.runs:
            await self.crash(side)
        side.restored += 1
        side.has_gaps = True
        path = side.person.path
        if whole:
            side.person.restore(side.saved)
            return
        saved = self._folder / f"{side.person.name}.{side.saved}"
        is_older = CountFile(saved / COUNT).read() < CountFile(path / COUNT).read()
        for name in DATABASE_FILES:
            (path / name).unlink(missing_ok=True)
            if (saved / name).exists():
                shutil.copy(saved / name, path / name)
        side.clock.offset_ms = 0
        await self.start(side)
        assert side.person.node._profile.store.stale == (OLDER_DATABASE if is_older else "")
        if is_older and side.session is not None:
            assert await self._session(side) != side.session  # its keys would be used again
        await self.crash(side)

    # --- What must hold ---------------------------------------------------------------------------

    async def make_good(self) -> None:
        """Take away what keeps the two apart."""
        self.network.heal()
        for side in self.sides:
            side.clock.offset_ms = 0
            if not side.runs:
                await self.start(side)

    async def _all_delivered(self) -> bool:
        for side in self.sides:
            for view in await self._history(side):
                if view.direction == "out" and view.state not in ("delivered", "failed"):
                    return False
        return True

    async def _history(self, side: Side) -> list[MessageView]:
        return await side.person.history(self.other(side).person.name)

    async def _findings(self, side: Side) -> set[LedgerView]:
        return set(await side.person.node.ledger(self.other(side).person.name, 1000))

    async def settle(self) -> None:
        """Bring the two together, and look at everything that must be true of them then."""
        await self.make_good()
        await self.exchange()
        interrupted = self._interrupted
        for side in self.sides:
            side.told = side.differences()
            if interrupted:  # what its node ended before announcing is in the profile
                side.told |= await self._findings(side) - side.findings
        if any(side.restored for side in self.sides):
            # What was taken over from the other side's account is certain with the next greeting.
            await self.crash(self.sides[0])
            await self.exchange()
        histories = [await self._history(side) for side in self.sides]
        for side, history in zip(self.sides, histories, strict=True):
            theirs = histories[side is self.sides[0]]
            self._check(
                side,
                self.other(side),
                [view for view in history if view.direction == "out"],
                [view for view in theirs if view.direction == "in"],
                interrupted=interrupted,
            )
        for side, history in zip(self.sides, histories, strict=True):
            side.sent = [
                view.message_id
                for view in history
                if view.direction == "out" and view.state == "delivered"
            ]
            side.got = [view.message_id for view in history if view.direction == "in"]
            side.events_seen = len(side.person.events)
            side.findings = await self._findings(side)
            side.restored = 0
        self._interrupted = False
        self._settled_at = next(self.numbers)

    def _check(
        self,
        sender: Side,
        receiver: Side,
        out: list[MessageView],
        arrived: list[MessageView],
        *,
        interrupted: bool,
    ) -> None:
        """Look at what one side has sent, and at what the other has of it.

        A connection that was interrupted between the two HELLOs may have told one side only.
        """
        failed = {view.message_id for view in out if view.state == "failed"}
        sent = [view.message_id for view in out if view.message_id not in failed]
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
            assert sum(ledger.lost_here for ledger in receiver.told) >= len(missing)
            named = {one for ledger in sender.told for one in ledger.lost_there_ids}
            assert named >= missing or interrupted or sender.has_gaps
        if not (sender.restored and receiver.restored):
            since = [number for number in numbers if number > self._settled_at]
            assert since == sorted(since)
        for side in (sender, receiver):
            assert len(side.restarts()) <= restored
            assert set(side.restarts()) <= {MISMATCH, OLDER_DATABASE}
            assert restored or not side.differences()
