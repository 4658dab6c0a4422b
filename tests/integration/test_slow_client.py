"""A JSON-RPC client that never reads costs a bounded amount of memory, and nobody else anything."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from p2pchat.node.events import MessageArrived
from p2pchat.node.views import MessageView
from p2pchat.rpc.outbox import OUTBOX_MAX_BYTES
from p2pchat.rpc.server import SocketServer
from p2pchat.rpc.service import Service
from p2pchat.store.records import DeliveryState, Direction
from tests.support.node_world import Person, memory_world, until

NOTIFICATIONS = 100_000
TEXT = "t" * 1000
ALLOWED_BYTES = OUTBOX_MAX_BYTES + (24 << 20)
"""What the node lets wait for a client, the sockets' buffers, and this test's own work; all the
notifications together would be more than 100 MB."""


async def test_a_client_that_never_reads_is_bounded_and_others_are_served(tmp_path: Path) -> None:
    world = memory_world(tmp_path)
    alice = world.person("alice")
    node = await alice.start(listen=False, dial=False)
    server = SocketServer(tmp_path / "socket", Service(node))
    await server.start()
    try:
        async with connected(tmp_path / "socket") as (never_read, _):
            async with connected(tmp_path / "socket") as (reader, writer):
                before = resident_bytes()
                peak = await flood(alice, reader, writer)
                assert peak - before < ALLOWED_BYTES
            # The silent one was given up: what had left before is all that there is for it.
            got = await never_read.read()
            while more := await never_read.read(1 << 20):
                got += more
            assert len(got) < OUTBOX_MAX_BYTES
    finally:
        await server.close()
        await world.close()


async def flood(alice: Person, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
    """Announce messages while one client reads and asks; returns the most memory seen."""
    peak = arrived = answered = lost = 0

    async def read() -> None:
        nonlocal arrived, answered, lost
        while arrived + lost < NOTIFICATIONS:
            line: dict[str, Any] = json.loads(await reader.readline())
            if line.get("method") == "message.received":
                arrived += 1
            elif line.get("method") == "notifications.lost":
                lost += line["params"]["count"]
            else:
                assert "result" in line
                answered += 1

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        reading = group.create_task(read())
        for number in range(NOTIFICATIONS):
            view = MessageView(
                "bob", f"{number:032x}", Direction.IN, TEXT, number, DeliveryState.DELIVERED, ""
            )
            alice.node._env.hub.publish(MessageArrived(view))
            if number % 500 == 0:
                writer.write(b'{"jsonrpc": "2.0", "id": 1, "method": "node.status"}\n')
                peak = max(peak, resident_bytes())
                sent = number
                await until(lambda: sent - arrived - lost < 2000)  # noqa: B023  # over before the next
        await reading
    assert answered > NOTIFICATIONS // 1000
    assert lost == 0, "who reads loses nothing"
    return max(peak, resident_bytes())


@asynccontextmanager
async def connected(
    path: Path,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_unix_connection(path)
    # A client that asks once is known to be served from then on.
    writer.write(b'{"jsonrpc": "2.0", "id": 0, "method": "node.status"}\n')
    assert b"result" in await reader.readline()
    try:
        yield reader, writer
    finally:
        writer.close()


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
