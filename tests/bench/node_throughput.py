"""Durably delivered messages a second between two nodes, against a plain durable queue.

Ours: two nodes, each in its own process with its own encrypted profile, over loopback TCP. A
message of 100 bytes counts once ``send`` has stored it, the peer has decrypted and stored it and
acknowledged, and the acknowledgement is stored; every step synced to the disk. At most 256 calls
of ``send`` wait at once.

The floor is what the same path costs with nothing of ours in it: two processes, a plain socket,
plain SQLite files with ``synchronous=FULL``, the same three commits for each group of 128
messages, no encryption, no index, no event loop. No chat program can be that simple; the ratio
says what everything else costs.

Beside it: as many messages both ways at once, of which the slower direction counts, and the time
from one ``send`` to its stored acknowledgement while nothing else is said.
"""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, Popen
from typing import IO, Any, Final

from p2pchat.config import Config
from p2pchat.crypto.secret import Secret, system_rng
from p2pchat.node.clock import SystemClock
from p2pchat.node.node import Node
from p2pchat.store.open import PassphraseUnlock, create_profile

NAME: Final = "node-throughput"
MESSAGES: Final = 4000
TEXT: Final = "m" * 100
AT_ONCE: Final = 256
GROUP: Final = 128
ROUNDS: Final = 5
SINGLES: Final = 100
"""Messages one at a time, for each round."""
RECORD_LEN: Final = 116
"""The floor's message: 16-byte id and 100 bytes."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Seconds of one round: ``MESSAGES`` one way, both ways, and of one message alone."""

    one_way: float
    both_ways: float
    single: float


def run() -> Iterator[dict[str, Any]]:
    """Measure ours and the floor in turn; the medians count."""
    ours, floor = [], []
    with tempfile.TemporaryDirectory(prefix="p2pchat-bench-") as folder:
        for number in range(ROUNDS):
            ours.append(asyncio.run(_ours(Path(folder, f"ours{number}"))))
            floor.append(_floor(Path(folder, f"floor{number}")))
    our_time, floor_time = statistics.median(one.one_way for one in ours), statistics.median(floor)
    both_ways = MESSAGES / statistics.median(one.both_ways for one in ours)
    latency_ms = statistics.median(one.single for one in ours) * 1000
    yield {
        "name": NAME,
        "ours": round(MESSAGES / our_time),
        "peer": round(MESSAGES / floor_time),
        "peer_name": "plain TCP and SQLite, unencrypted",
        "unit": "messages/s",
        "ratio": round(our_time / floor_time, 2),
    }
    yield _alone("both ways", both_ways, "messages/s each")
    yield _alone("latency p50", latency_ms, "ms")


def _alone(what: str, ours: float, unit: str) -> dict[str, Any]:
    return {
        "name": f"node {what}",
        "ours": ours,
        "peer": None,
        "peer_name": None,
        "unit": unit,
        "ratio": None,
    }


# --- ours -----------------------------------------------------------------------------------------


async def _ours(folder: Path) -> Figures:
    with _child("node", folder / "receiver") as (told, tell):
        async with await _node(folder / "sender", "Sender", dial=True) as sender:
            view = await sender.add_contact(told())
            tell(sender.identity().link)
            warm = await sender.send(view.contact, TEXT)
            await sender.wait_delivered(view.contact, warm.message_id, 10.0)
            one_way = await measure(sender, view.contact)
            singles = [await _single(sender, view.contact) for _ in range(SINGLES)]
            tell("go")
            here = await measure(sender, view.contact)
            there = float(await asyncio.to_thread(told))
            return Figures(one_way, max(here, there), statistics.median(singles))


async def _single(sender: Node, contact: str) -> float:
    start = time.perf_counter()
    sent = await sender.send(contact, TEXT)
    await sender.wait_delivered(contact, sent.message_id, 10.0)
    return time.perf_counter() - start


async def measure(sender: Node, contact: str) -> float:
    """Return the seconds from the first ``send`` to the last delivery."""
    room = asyncio.Semaphore(AT_ONCE)
    last = ""

    async def one() -> None:
        nonlocal last
        async with room:
            last = (await sender.send(contact, TEXT)).message_id

    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(MESSAGES):
            group.create_task(one())
    await sender.wait_delivered(contact, last, 60.0)
    return time.perf_counter() - start


async def _node(folder: Path, name: str, *, dial: bool) -> Node:
    profile = create_profile(
        folder,
        name=name,
        unlock=PassphraseUnlock(Secret(b"bench")),
        rng=system_rng,
        now_ms=SystemClock().wall_ms(),
        memory_kib=8,
    )
    node = Node(profile, config=Config(), rng=system_rng, clock=SystemClock())
    await node.start(["127.0.0.1:0"], dial=dial)
    return node


async def _receiver(folder: Path) -> None:
    async with await _node(folder, "Receiver", dial=False) as node:
        print(node.identity().link, flush=True)
        link = await asyncio.to_thread(sys.stdin.readline)
        contact = (await node.add_contact(link)).contact
        if await asyncio.to_thread(sys.stdin.readline):
            print(await measure(node, contact), flush=True)
        await asyncio.to_thread(sys.stdin.read)


# --- the floor ------------------------------------------------------------------------------------


def _floor(folder: Path) -> float:
    with _child("floor", folder / "receiver") as (told, _):
        database = _plain_database(folder / "sender")
        with socket.create_connection(("127.0.0.1", int(told()))) as stream:
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            start = time.perf_counter()
            for first in range(0, MESSAGES, GROUP):
                count = min(GROUP, MESSAGES - first)
                records = [system_rng(16) + TEXT.encode() for _ in range(count)]
                with database:
                    database.executemany(
                        "INSERT INTO message VALUES (NULL, ?, ?, 'queued')",
                        [(record[:16], record[16:]) for record in records],
                    )
                stream.sendall(b"".join(records))
                _receive(stream, count)
                with database:
                    database.executemany(
                        "UPDATE message SET state = 'delivered' WHERE id = ?",
                        [(record[:16],) for record in records],
                    )
            taken = time.perf_counter() - start
        database.close()
        return taken


def _floor_receiver(folder: Path) -> None:
    database = _plain_database(folder)
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        stream, _ = server.accept()
    with stream:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for first in range(0, MESSAGES, GROUP):
            count = min(GROUP, MESSAGES - first)
            data = _receive(stream, count * RECORD_LEN)
            records = [data[at : at + RECORD_LEN] for at in range(0, len(data), RECORD_LEN)]
            with database:
                database.executemany(
                    "INSERT INTO message VALUES (NULL, ?, ?, 'delivered')",
                    [(record[:16], record[16:]) for record in records],
                )
            stream.sendall(bytes(count))
    database.close()


def _plain_database(folder: Path) -> sqlite3.Connection:
    folder.mkdir(parents=True)
    database = sqlite3.connect(folder / "plain.db")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute(
        "CREATE TABLE message (position INTEGER PRIMARY KEY, id BLOB UNIQUE, body BLOB, state TEXT)"
    )
    database.commit()
    return database


def _receive(stream: socket.socket, count: int) -> bytes:
    parts = []
    while count:
        data = stream.recv(min(count, 1 << 18))
        if not data:
            raise ConnectionError("the other side ended")
        parts.append(data)
        count -= len(data)
    return b"".join(parts)


# --- the other process ---------------------------------------------------------------------------


@contextmanager
def _child(role: str, folder: Path) -> Iterator[tuple[Any, Any]]:
    """Run this module as the receiving side; yields how to hear a line of it and how to tell it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.bench.node_throughput", role, str(folder)]
    with Popen(command, stdin=PIPE, stdout=PIPE, text=True) as process:  # ourselves
        hear, tell = _pipe(process.stdout), _pipe(process.stdin)

        def say(line: str) -> None:
            tell.write(line + "\n")
            tell.flush()

        try:
            yield lambda: hear.readline().strip(), say
        finally:
            tell.close()


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


if __name__ == "__main__":
    if sys.argv[1] == "node":
        asyncio.run(_receiver(Path(sys.argv[2])))
    else:
        _floor_receiver(Path(sys.argv[2]))
