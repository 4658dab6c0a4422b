"""Everything at once, for a while: damage, resets, restarts, impatience (protocol.md §8, §10)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from p2pchat.config import Config
from p2pchat.node.events import SessionRestarted
from p2pchat.transport.memory import Faults
from tests.support.net_clock import FastClock
from tests.support.net_random import seeded_rng
from tests.support.node_world import delivered, memory_world

MESSAGES = 150
STORMS = {
    "breezy": Faults(
        fragment=0.3, flip=0.01, drop=0.01, repeat=0.01, truncate=0.01, reset=0.01, delay_turns=5
    ),
    "violent": Faults(
        fragment=0.3, flip=0.06, drop=0.05, repeat=0.05, truncate=0.05, reset=0.04, delay_turns=2
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("storm", STORMS)
@pytest.mark.parametrize("seed", range(5))
async def test_after_a_storm_everything_has_arrived_once(
    tmp_path: Path, storm: str, seed: int
) -> None:
    """R-8.2.1, R-8.2.2, R-8.5.4: no message lost, doubled or out of order; no session lost."""
    chance = seeded_rng(seed + 5000)

    def one_in(bound: int) -> bool:
        return int.from_bytes(chance(4), "big") % bound == 0

    # Time runs 50 times as fast, so that handshake and keepalive deadlines pass, too.
    world = memory_world(
        tmp_path,
        seed=seed,
        clock=FastClock(50.0),
        config=Config(retry_first_s=1.0, retry_max_s=5.0),
    )
    try:
        alice, bob = await world.two()
        assert world.network is not None
        world.network.faults = STORMS[storm]
        for number in range(MESSAGES):
            await alice.node.send("bob", f"a{number}")
            await bob.node.send("alice", f"b{number}")
            for person, other in ((alice, "bob"), (bob, "alice")):
                link = person.node._book.find(other).link
                if link is not None and one_in(30):
                    link.abort()  # type: ignore[attr-defined]  # of Link, not of what Peer sees
                if one_in(30):
                    person.node.retry()
                if one_in(80):
                    await person.stop()
                    await person.start()
            for _ in range(5):
                await asyncio.sleep(0)
        world.network.faults = Faults()
        await delivered(alice, "bob")
        await delivered(bob, "alice")
        assert await bob.texts("alice") == [f"a{number}" for number in range(MESSAGES)]
        assert await alice.texts("bob") == [f"b{number}" for number in range(MESSAGES)]
        assert bob.arrived() == [f"a{number}" for number in range(MESSAGES)]
        assert alice.arrived() == [f"b{number}" for number in range(MESSAGES)]
        restarts = [e for e in (*alice.events, *bob.events) if isinstance(e, SessionRestarted)]
        assert restarts == []
    finally:
        await world.close()
