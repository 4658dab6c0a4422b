"""One suite for every transport: what ``transport.base`` promises (R-4.1 and design §1).

Nothing here sleeps: each test waits for an event under one deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from p2pchat.constants import RECEIVE_BUFFER_BYTES
from p2pchat.errors import TransportError, UnreachableError
from p2pchat.transport.base import SEND_BUFFER_BYTES, Listener, Stream, Transport
from p2pchat.transport.memory import Faults, MemoryNetwork
from p2pchat.transport.tcp import TcpTransport
from tests.support.net_random import seeded_rng

DEADLINE_S = 20.0


@dataclass
class Ground:
    """A transport with one listener, and a queue of what it accepted."""

    transport: Transport
    listener: Listener
    accepted: asyncio.Queue[Stream]
    streams: list[Stream]

    async def pair(self) -> tuple[Stream, Stream]:
        here = await self.transport.dial(self.listener.addresses[0])
        there = await self.accepted.get()
        self.streams += [here, there]
        return here, there


@pytest.fixture(params=["tcp", "memory", "memory-fragmented"])
async def ground(request: pytest.FixtureRequest) -> AsyncIterator[Ground]:
    transport: Transport
    if request.param == "tcp":
        transport, address = TcpTransport(), "127.0.0.1:0"
    else:
        faults = Faults(fragment=0.7, delay_turns=3) if "frag" in request.param else Faults()
        network = MemoryNetwork(seeded_rng(1), faults)
        transport, address = network.transport("alice"), "alice:0"
    accepted: asyncio.Queue[Stream] = asyncio.Queue()
    async with asyncio.timeout(DEADLINE_S):
        listener = await transport.listen(address, accepted.put_nowait)
        ground = Ground(transport, listener, accepted, [])
        yield ground
        for stream in ground.streams:
            stream.abort()
            await stream.wait_closed()
        await listener.aclose()


async def read_to_end(stream: Stream) -> bytes:
    parts = []
    while data := await stream.read():
        parts.append(data)
    return b"".join(parts)


async def read_exactly(stream: Stream, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = await stream.read()
        assert piece, "the stream ended too early"
        data += piece
    assert len(data) == count
    return data


async def test_bytes_arrive_in_order_both_ways(ground: Ground) -> None:
    here, there = await ground.pair()
    for number in range(200):
        here.write(b"%04d" % number)
        there.write(b"%04d" % (number + 5000))
    assert await read_exactly(there, 800) == b"".join(b"%04d" % n for n in range(200))
    assert await read_exactly(here, 800) == b"".join(b"%04d" % (n + 5000) for n in range(200))


async def test_take_does_not_wait(ground: Ground) -> None:
    here, there = await ground.pair()
    assert there.take() is None
    here.write(b"x")
    assert await there.read() == b"x"
    assert there.take() is None
    here.close()
    assert await there.read() == b""
    assert there.take() == b""


async def test_activity_is_signalled_for_bytes_and_for_the_end(ground: Ground) -> None:
    here, there = await ground.pair()
    signal = asyncio.Event()
    there.on_activity(signal.set)
    here.write(b"x")
    await signal.wait()
    assert there.take() == b"x"
    signal.clear()
    here.close()
    await signal.wait()
    assert there.take() == b""


async def test_a_late_listener_for_activity_is_told_of_what_waits(ground: Ground) -> None:
    here, there = await ground.pair()
    first = asyncio.Event()
    there.on_activity(first.set)
    here.write(b"x")
    await first.wait()
    second = asyncio.Event()
    there.on_activity(second.set)
    assert second.is_set()


async def test_half_close_lets_the_answer_through(ground: Ground) -> None:
    here, there = await ground.pair()
    here.write(b"question")
    here.write_eof()
    assert await read_to_end(there) == b"question"
    there.write(b"answer")
    there.close()
    assert await read_to_end(here) == b"answer"
    here.close()
    await here.wait_closed()
    await there.wait_closed()


async def test_close_sends_what_was_written(ground: Ground) -> None:
    here, there = await ground.pair()
    here.write(bytes(100_000))
    here.close()
    assert len(await read_to_end(there)) == 100_000


async def test_close_and_abort_can_be_repeated(ground: Ground) -> None:
    here, there = await ground.pair()
    here.close()
    here.close()
    here.write_eof()
    here.write(b"dropped")
    assert here.is_closed
    assert await read_to_end(there) == b""
    there.abort()
    there.abort()
    there.close()
    await here.wait_closed()
    await there.wait_closed()
    here.abort()
    assert here.is_closed
    assert there.is_closed


async def test_abort_ends_the_other_side(ground: Ground) -> None:
    here, there = await ground.pair()
    here.write(b"x")
    assert await there.read() == b"x"
    here.abort()
    assert await there.read() == b""
    await here.wait_closed()


async def test_writing_to_a_vanished_peer_ends_the_stream(ground: Ground) -> None:
    here, there = await ground.pair()
    there.abort()
    await there.wait_closed()
    while not here.is_closed:
        here.write(bytes(1000))
        await asyncio.sleep(0)
    await here.wait_closed()


async def test_a_slow_reader_slows_the_writer_and_buffers_stay_bounded(ground: Ground) -> None:
    here, there = await ground.pair()
    piece = bytes(16384)
    written = 0
    # A kernel's own buffers are bounded too, by a few MiB on loopback.
    while here.writable:
        here.write(piece)
        written += len(piece)
        assert written < 64 << 20, "nothing ever pushed back"
        await asyncio.sleep(0)
    assert here.pending_bytes <= SEND_BUFFER_BYTES + len(piece)
    first = there.take()
    assert first is not None
    assert len(first) <= 2 * RECEIVE_BUFFER_BYTES
    received = len(first)
    async with asyncio.TaskGroup() as group:
        room = group.create_task(here.drain())
        while not room.done():
            received += len(await there.read())
    here.close()
    received += len(await read_to_end(there))
    assert received == written


async def test_drain_waits_for_room(ground: Ground) -> None:
    here, there = await ground.pair()
    while here.writable:
        here.write(bytes(65536))
        await asyncio.sleep(0)
    async with asyncio.TaskGroup() as group:
        draining = group.create_task(here.drain())
        await asyncio.sleep(0)
        assert not draining.done()
        while not draining.done():
            assert await there.read()
    assert here.writable


async def test_drain_ends_with_the_stream(ground: Ground) -> None:
    here, _ = await ground.pair()
    while here.writable:
        here.write(bytes(65536))
        await asyncio.sleep(0)
    async with asyncio.TaskGroup() as group:
        group.create_task(here.drain())
        await asyncio.sleep(0)
        here.abort()


async def test_large_transfer_both_ways_at_once(ground: Ground) -> None:
    here, there = await ground.pair()
    size = 3 << 20
    body = bytes(range(256)) * (size // 256)

    async def send(stream: Stream) -> None:
        for start in range(0, size, 50_000):
            stream.write(body[start : start + 50_000])
            await stream.drain()
        stream.write_eof()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(read_to_end(stream)) for stream in (here, there)]
        group.create_task(send(here))
        group.create_task(send(there))
    assert all(task.result() == body for task in tasks)


async def test_many_streams_do_not_mix(ground: Ground) -> None:
    pairs = [await ground.pair() for _ in range(20)]
    for number, (here, _) in enumerate(pairs):
        here.write(b"%02d" % number * 1000)
        here.close()
    for number, (_, there) in enumerate(pairs):
        assert await read_to_end(there) == b"%02d" % number * 1000


async def test_the_peer_address_names_the_other_side(ground: Ground) -> None:
    here, there = await ground.pair()
    assert here.peer_address == ground.listener.addresses[0]
    assert there.peer_address.rpartition(":")[0] == here.peer_address.rpartition(":")[0]


async def test_dialling_where_nobody_listens(ground: Ground) -> None:
    address = ground.listener.addresses[0]
    await ground.listener.aclose()
    with pytest.raises(UnreachableError, match="connection refused"):
        await ground.transport.dial(address)


@pytest.mark.parametrize(
    "address", ["", "alice", "alice:", ":1", "alice:0", "alice:65536", "a b:1"]
)
async def test_dialling_nonsense(ground: Ground, address: str) -> None:
    with pytest.raises(UnreachableError, match="host:port"):
        await ground.transport.dial(address)


@pytest.mark.parametrize("address", ["", "alice", "127.0.0.1:", "127.0.0.1:65536", "0"])
async def test_listening_on_nonsense(ground: Ground, address: str) -> None:
    with pytest.raises(TransportError, match="host:port"):
        await ground.transport.listen(address, ground.accepted.put_nowait)


async def test_listening_twice_on_one_address(ground: Ground) -> None:
    with pytest.raises(TransportError, match="another program listens there"):
        await ground.transport.listen(ground.listener.addresses[0], ground.accepted.put_nowait)


async def test_listening_on_an_address_that_is_not_ours(ground: Ground) -> None:
    with pytest.raises(TransportError, match="does not have that address"):
        await ground.transport.listen("192.0.2.1:4000", ground.accepted.put_nowait)


async def test_streams_outlive_their_listener(ground: Ground) -> None:
    here, there = await ground.pair()
    await ground.listener.aclose()
    here.write(b"still here")
    assert await read_exactly(there, 10) == b"still here"


async def test_ending_a_stream_that_the_peer_has_reset_is_no_error(ground: Ground) -> None:
    here, there = await ground.pair()
    here.write(b"never read")
    await here.drain()
    there.abort()
    await there.wait_closed()
    here.write_eof()  # before this side's event loop has heard of the reset
    assert await here.read() == b""
