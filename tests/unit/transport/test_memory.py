"""The in-memory network's faults do what they say, and the same seed does the same again."""

from __future__ import annotations

import asyncio

import pytest

from p2pchat.transport.base import Stream
from p2pchat.transport.memory import Faults, MemoryNetwork
from tests.support.net_random import seeded_rng

BODY = bytes(range(256)) * 40


async def transfer(faults: Faults, seed: int = 1, pieces: int = 40) -> bytes:
    """Send ``BODY`` in pieces over a faulty path and return what comes out."""
    network = MemoryNetwork(seeded_rng(seed), faults)
    accepted: asyncio.Queue[Stream] = asyncio.Queue()
    await network.transport("bob").listen("bob:1", accepted.put_nowait)
    here = await network.transport("alice").dial("bob:1")
    there = await accepted.get()
    step = len(BODY) // pieces
    for start in range(0, len(BODY), step):
        here.write(BODY[start : start + step])
    here.close()
    received = b""
    async with asyncio.timeout(10):
        while data := await there.read():
            received += data
    there.abort()
    return received


async def test_without_faults_everything_arrives() -> None:
    assert await transfer(Faults()) == BODY


async def test_fragments_and_delays_change_nothing() -> None:
    assert await transfer(Faults(fragment=0.9, delay_turns=5)) == BODY


async def test_a_flip_changes_single_bits() -> None:
    received = await transfer(Faults(flip=0.5))
    assert len(received) == len(BODY)
    changed = [a ^ b for a, b in zip(received, BODY, strict=True) if a != b]
    assert 5 < len(changed) < 40
    assert all(item.bit_count() == 1 for item in changed)


async def test_drops_shorten_and_repeats_lengthen() -> None:
    assert 0 < len(await transfer(Faults(drop=0.3))) < len(BODY)
    assert len(await transfer(Faults(repeat=0.3))) > len(BODY)


async def test_truncation_ends_the_stream_with_a_true_beginning() -> None:
    received = await transfer(Faults(truncate=0.1))
    assert len(received) < len(BODY)
    assert BODY.startswith(received)


async def test_a_reset_ends_the_stream() -> None:
    assert len(await transfer(Faults(reset=0.2))) < len(BODY)


@pytest.mark.parametrize("faults", [Faults(flip=0.5), Faults(drop=0.5, repeat=0.5)])
async def test_the_same_seed_does_the_same(faults: Faults) -> None:
    assert await transfer(faults, seed=3) == await transfer(faults, seed=3)
    assert await transfer(faults, seed=3) != await transfer(faults, seed=4)


async def test_a_partition_holds_everything_until_it_heals() -> None:
    network = MemoryNetwork(seeded_rng(1))
    accepted: asyncio.Queue[Stream] = asyncio.Queue()
    await network.transport("bob").listen("bob:1", accepted.put_nowait)
    here = await network.transport("alice").dial("bob:1")
    there = await accepted.get()
    network.partition("alice", "bob")
    here.write(b"late")
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        dialling = group.create_task(network.transport("alice").dial("bob:1"))
        for _ in range(20):
            await asyncio.sleep(0)
        assert there.take() is None
        assert not dialling.done()
        network.heal()
        assert await there.read() == b"late"
    for stream in (here, there, dialling.result(), await accepted.get()):
        stream.abort()
