"""The date is wrong on one side while two people chat: by ten years, and by five days.

Durations are measured on the other clock, which only grows, so what is connected stays so. A
new connection shows certificates, and those have dates (protocol.md §3.3, R-3.3.4): within their
tolerance nothing happens; beyond it both people are told, nothing is lost, and everything
arrives once the clock is right. The same again with two processes under libfaketime.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import pytest

from p2pchat.node.events import SessionRestarted
from tests.support.cli_world import Profile
from tests.support.net_clock import SkewedClock
from tests.support.node_world import (
    Person,
    World,
    delivered,
    introduce,
    online,
    until,
    view_of,
)
from tests.support.talkers import (
    PLAIN_PROGRAM,
    Talker,
    end_both,
    kill_all,
    nothing_lost_doubled_or_reordered,
    start_both,
)

DAY_S: Final = 86_400
YEAR_S: Final = 365 * DAY_S
LIMIT_S: Final = 90.0


async def two_clocks(world: World) -> tuple[Person, Person, SkewedClock]:
    """Alice, whose clock can be set, and Bob, who have each other's addresses and are online."""
    alice, bob = world.person("alice"), world.person("bob")
    alice.clock = clock = SkewedClock(world.clock)
    await alice.start()
    await bob.start()
    await introduce(alice, bob)
    return alice, bob, clock


async def chat(alice: Person, bob: Person, label: str) -> None:
    for number in range(3):
        await alice.node.send("bob", f"{label} a{number}")
        await bob.node.send("alice", f"{label} b{number}")


async def all_is_there(alice: Person, bob: Person, *labels: str) -> None:
    await delivered(alice, "bob")
    await delivered(bob, "alice")
    for person, other, letter in ((alice, "bob", "b"), (bob, "alice", "a")):
        assert await person.texts(other) == [
            f"{label} {letter}{number}" for label in labels for number in range(3)
        ]
        assert not [event for event in person.events if isinstance(event, SessionRestarted)]


async def restart(person: Person) -> None:
    await person.stop()
    await person.start()


@pytest.mark.parametrize("years", [10, -10])
async def test_ten_years_are_told_to_both_and_lose_nothing(world: World, years: int) -> None:
    alice, bob, clock = await two_clocks(world)
    await chat(alice, bob, "before")
    clock.offset_ms = years * YEAR_S * 1000
    await chat(alice, bob, "connected")
    await all_is_there(alice, bob, "before", "connected")
    await restart(alice)
    await chat(alice, bob, "apart")
    for person, other in ((alice, "bob"), (bob, "alice")):
        await until(lambda p=person, o=other: "clock" in view_of(p, o).offline_reason)  # type: ignore[misc]  # bound now
        reason = view_of(person, other).offline_reason
        assert "is a clock wrong, theirs or ours (" in reason
        year = 1970 + person.clock.wall_ms() // 1000 / YEAR_S
        assert any(f"here it is {y}-" in reason for y in (int(year), int(year) - 1))
    assert [view.state for view in await alice.history("bob")][-3:] != ["delivered"] * 3
    clock.offset_ms = 0
    await online(alice, "bob")
    await all_is_there(alice, bob, "before", "connected", "apart")


async def test_who_sees_the_others_certificate_first_is_told_by_how_much(world: World) -> None:
    """A first contact: nobody has a known key, so Alice reads Bob's certificate, and judges."""
    alice, bob = world.person("alice"), world.person("bob")
    alice.clock = clock = SkewedClock(world.clock)
    clock.offset_ms = 10 * YEAR_S * 1000
    await alice.start()
    await bob.start()
    await alice.node.add_contact(bob.node.identity().link)
    await until(lambda: "clock" in view_of(alice, "bob").offline_reason)
    assert "ended 9 years ago: is a clock wrong" in view_of(alice, "bob").offline_reason


async def test_five_days_back_change_nothing(world: World) -> None:
    """A known peer's first message is then older than one before, so it is asked again (§5.6)."""
    alice, bob, clock = await two_clocks(world)
    await chat(alice, bob, "before")
    clock.offset_ms = -5 * DAY_S * 1000
    await chat(alice, bob, "connected")
    for person in (alice, bob):
        await restart(person)
        await online(alice, "bob")
        await chat(alice, bob, f"after {person.name}")
    await all_is_there(alice, bob, "before", "connected", "after alice", "after bob")


# --- two processes --------------------------------------------------------------------------------

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


class SetClock:
    """What the date is for one process; the other clock is left alone."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set(0)

    def set(self, offset_s: int) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(f"{offset_s:+d}\n")
        new.rename(self._file)

    @property
    def program(self) -> tuple[str, ...]:
        return (
            "env",
            f"LD_PRELOAD={FAKETIME}",
            f"FAKETIME_TIMESTAMP_FILE={self._file}",
            "FAKETIME_NO_CACHE=1",
            "FAKETIME_DONT_FAKE_MONOTONIC=1",
            *PLAIN_PROGRAM,
        )


@pytest.mark.slow
@pytest.mark.skipif(FAKETIME is None, reason="there is no libfaketime (Debian: faketime)")
async def test_the_same_between_two_processes(tmp_path: Path) -> None:
    clock = SetClock(tmp_path / "clock")
    alice = Talker(Profile.quick(tmp_path, "alice"), program=clock.program)
    bob = Talker(Profile.quick(tmp_path, "bob"))
    try:
        async with asyncio.timeout(LIMIT_S):
            await start_both(alice, bob)
            for offset_s in (-5 * DAY_S, 10 * YEAR_S):
                clock.set(offset_s)
                await speak(alice, bob)
            times = [entry["sent_at_ms"] for entry in await bob.history(alice)]
            assert max(times) - min(times) > 9 * YEAR_S * 1000  # the clock really was set
            clock.set(-5 * DAY_S)
            await reconnect(alice)
            await alice.online(bob)
            await speak(alice, bob)
            clock.set(10 * YEAR_S)
            await reconnect(alice)
            await speak(alice, bob, arrives=False)
            for side, other in ((alice, bob), (bob, alice)):
                while "is a clock wrong" not in await side.offline_reason(other):  # noqa: ASYNC110 - it is told on demand
                    await asyncio.sleep(0.1)
            clock.set(0)
            for side, other in ((alice, bob), (bob, alice)):
                await side.online(other)
                await side.all_delivered(other, LIMIT_S)
            assert await nothing_lost_doubled_or_reordered(alice, bob) == 20
            assert await nothing_lost_doubled_or_reordered(bob, alice) == 20
            await end_both(alice, bob)
    finally:
        await kill_all(alice, bob)


async def reconnect(side: Talker) -> None:
    await side.process.end()
    await side.start()


async def speak(alice: Talker, bob: Talker, *, arrives: bool = True) -> None:
    for side, other in ((alice, bob), (bob, alice)):
        await side.say(other, 5)
        if arrives:
            await side.all_delivered(other, LIMIT_S)
