"""Two real nodes on two hosts, and a network between them that is as bad as networks are.

    namespace p2p-…1              this process                namespace p2p-…2
    +------------------+     +-----------------------+     +------------------+
    | p2pchat node     |     | Wire: a heap of       |     | p2pchat node     |
    | alice            |     | frames and when they  |     | bob              |
    | 10.77.0.1:4000   |     | are due, from a seed  |     | 10.77.0.2:4000   |
    |   tap  ==========+=====+==>  loss, delay,   ===+=====+==========  tap   |
    |          <=======+=====+===  rate, cut      <==+=====+=======>          |
    +------------------+     +-----------------------+     +------------------+

Nothing leaves the namespaces. The hosts need root, iproute2 and /dev/net/tun; where they cannot
be made the tests are skipped, and say so.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from p2pchat.constants import KEEPALIVE_TIMEOUT_S
from tests.netns.two_hosts import Host, Quality, Wire, two_hosts, why_not
from tests.support.cli_world import Profile
from tests.support.kernel import repeats_soon
from tests.support.sizes import sized
from tests.support.talkers import (
    Talker,
    end_both,
    kill_all,
    nothing_lost_doubled_or_reordered,
    start_both,
)

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why := why_not()), reason=why)]

BACK_WITHIN_S = 5.0
"""From the network's return to ``online`` on both sides."""
SLACK_S = 1.0
"""For a loaded machine, on top of the 45 s of protocol.md §7.4."""
STAYS_CUT_S = sized(20, 700)
MESSAGES = sized(60, 1_000)
LIMIT_S = float(sized(120, 900))


@contextlib.asynccontextmanager
async def chat(
    folder: Path, label: str, seed: int = 1, *, both_dial: bool = True
) -> AsyncIterator[tuple[Talker, Talker, tuple[Host, Host], Wire]]:
    """Two who chat; if not both dial, only Alice knows an address."""
    async with two_hosts(label, seed) as (one, other, wire):
        home = folder / label
        home.mkdir()
        listen = one.listen if both_dial else "none"
        alice = Talker(Profile.quick(home, "alice"), program=one.program, listen=listen)
        bob = Talker(Profile.quick(home, "bob"), program=other.program, listen=other.listen)
        try:
            async with asyncio.timeout(LIMIT_S + 2 * STAYS_CUT_S):
                await start_both(alice, bob)
                yield alice, bob, (one, other), wire
        finally:
            await kill_all(alice, bob)


async def talk(alice: Talker, bob: Talker, count: int) -> None:
    """Both say so many messages, in bursts."""
    for said in range(0, count, 10):
        burst = min(10, count - said)
        await asyncio.gather(alice.say(bob, burst), bob.say(alice, burst))


async def all_is_there(alice: Talker, bob: Talker, count: int) -> None:
    await asyncio.gather(alice.all_delivered(bob, LIMIT_S), bob.all_delivered(alice, LIMIT_S))
    assert await nothing_lost_doubled_or_reordered(alice, bob) == count
    assert await nothing_lost_doubled_or_reordered(bob, alice) == count
    await end_both(alice, bob)


BAD_PATHS = {
    "loss": Quality(loss=0.10, twice=0.05, late=0.20, delay_s=0.01),
    "far": Quality(delay_s=0.5),
    "slow": Quality(bit_s=256_000),
    "all": Quality(loss=0.05, twice=0.05, late=0.20, delay_s=0.25, bit_s=256_000),
}


async def test_on_a_bad_path_everything_arrives_once(tmp_path: Path) -> None:
    """10 % loss with reordering and duplication; 500 ms each way; 256 kbit/s; a bit of each."""

    async def on(label: str, quality: Quality) -> str:
        async with chat(tmp_path, label) as (alice, bob, _, wire):
            wire.set(quality)
            start = time.monotonic()
            await talk(alice, bob, MESSAGES)
            await all_is_there(alice, bob, MESSAGES)
            if quality.loss:
                assert all(wire.fates[fate] for fate in ("lost", "twice", "late"))
            return f"{label}: {time.monotonic() - start:.1f} s, {dict(wire.fates)}"

    figures = await asyncio.gather(*(on(*path) for path in BAD_PATHS.items()))
    sys.stdout.write("\n".join(figures))


class Outage:
    """Ways for a network to go away and come back."""

    def __init__(self, hosts: tuple[Host, Host], wire: Wire) -> None:
        self._hosts, self._wire = hosts, wire

    def begin(self, how: str) -> None:
        match how:
            case "cut":
                self._wire.set(Quality(cut=True))
            case "halfopen":
                self._wire.ends[0] = Quality(cut=True)
            case _:
                self._hosts[0].link("down")

    def end(self) -> None:
        self._wire.set(Quality())
        self._hosts[0].link("up")


async def test_a_dead_link_shows_within_45_s_and_a_live_one_within_5(tmp_path: Path) -> None:
    """R-7.4.3, §10.1: the path swallows everything; one direction only; the device goes down."""

    async def on(how: str, *, speaking: bool) -> str:
        async with chat(tmp_path, how + str(int(speaking))) as (alice, bob, hosts, wire):
            outage = Outage(hosts, wire)
            await talk(alice, bob, 10)
            start = time.monotonic()
            outage.begin(how)
            if speaking:
                await talk(alice, bob, 10)
            await asyncio.gather(alice.online(bob, online=False), bob.online(alice, online=False))
            dark = time.monotonic() - start
            assert dark <= KEEPALIVE_TIMEOUT_S + SLACK_S
            assert await alice.offline_reason(bob)
            await talk(alice, bob, 10)
            await asyncio.sleep(STAYS_CUT_S)
            start = time.monotonic()
            outage.end()
            await asyncio.gather(alice.online(bob), bob.online(alice))
            back = time.monotonic() - start
            assert back <= BACK_WITHIN_S
            await all_is_there(alice, bob, 30 if speaking else 20)
            return f"{how}, speaking {speaking}: dark after {dark:.1f} s, back after {back:.1f} s"

    figures = await asyncio.gather(
        on("cut", speaking=False),
        on("cut", speaking=True),
        on("halfopen", speaking=True),
        on("down", speaking=True),
    )
    sys.stdout.write("\n".join(figures))


FLAPS_S = (0.3, 9, 1, 4, 13, 2) * sized(1, 10)
SHORT_OUTAGES_S = (5, 12, 15, 18, 20, 28)


async def test_after_a_short_outage_what_waits_arrives_within_5_s(tmp_path: Path) -> None:
    """§10.1: the connection may outlive it; both dial and both speak, or one each.

    Where the kernel does not repeat soon, who speaks and cannot dial has to wait longer.
    """

    async def on(outage_s: int, *, both: bool) -> float:
        label = f"short{outage_s}{'both' if both else 'one'}"
        async with chat(tmp_path, label, both_dial=both) as (alice, bob, _, wire):
            await talk(alice, bob, 10)
            await asyncio.gather(
                alice.all_delivered(bob, LIMIT_S), bob.all_delivered(alice, LIMIT_S)
            )
            wire.set(Quality(cut=True))
            await asyncio.sleep(1)
            if both:
                await alice.say(bob)
            await bob.say(alice)
            await asyncio.sleep(outage_s - 1)
            start = time.monotonic()
            wire.set(Quality())
            await asyncio.gather(alice.say(bob), bob.say(alice))
            await asyncio.gather(
                alice.all_delivered(bob, LIMIT_S), bob.all_delivered(alice, LIMIT_S)
            )
            back = time.monotonic() - start
            assert await nothing_lost_doubled_or_reordered(alice, bob) == 11 + both
            assert await nothing_lost_doubled_or_reordered(bob, alice) == 12
            await end_both(alice, bob)
            sys.stdout.write(f"{label}: back after {back:.1f} s\n")
            return back

    backs = await asyncio.gather(
        *(
            on(outage_s, both=both)
            for outage_s in SHORT_OUTAGES_S
            for both in ((True, False) if repeats_soon() else (True,))
        )
    )
    assert max(backs) <= BACK_WITHIN_S


async def test_a_network_that_comes_and_goes_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Some outages end the connection, some do not; what is under way then may come twice."""

    async def on(*, both: bool) -> None:
        async with chat(tmp_path, f"flaps{int(both)}", both_dial=both) as (alice, bob, _, wire):
            for cut_s in FLAPS_S:
                wire.set(Quality(cut=True))
                await talk(alice, bob, 10)
                await asyncio.sleep(cut_s)
                wire.set(Quality())
                await talk(alice, bob, 10)
                await asyncio.sleep(0.5)
            await all_is_there(alice, bob, 20 * len(FLAPS_S))

    await asyncio.gather(on(both=True), on(both=False))
