"""A man in the middle who reads frames: a TCP proxy that hands each one to an attack."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from enum import Enum, auto
from typing import Final

_PREAMBLE_HEAD_LEN: Final = 12


class Side(Enum):
    """Who sent a piece: the one who dialled, or the one who listens."""

    DIALLER = auto()
    LISTENER = auto()


class Flow:
    """One proxied connection.

    Attributes:
        sent: What each side has sent so far; the dialler's first piece is its preamble, every
            other one is a frame with its length.
    """

    def __init__(self, writers: dict[Side, asyncio.StreamWriter]) -> None:
        self._writers = writers
        self.sent: dict[Side, list[bytes]] = {side: [] for side in Side}

    def give(self, side: Side, data: bytes) -> None:
        """Write to one side."""
        if not self._writers[side].is_closing():
            self._writers[side].write(data)

    def cut(self, side: Side) -> None:
        """End the stream towards one side."""
        if not self._writers[side].is_closing():
            self._writers[side].close()


Attack = Callable[[Flow, Side, int, bytes], None]
"""Takes the flow, the sender, the number of the piece among its sender's, and the piece."""


def other(side: Side) -> Side:
    """The receiving side."""
    return Side.LISTENER if side is Side.DIALLER else Side.DIALLER


def honest(flow: Flow, side: Side, number: int, piece: bytes) -> None:
    """Pass everything on."""
    flow.give(other(side), piece)


class Middleman:
    """The proxy.

    Attributes:
        attack: What happens to pieces from now on, on every flow.
        flows: All connections so far.
        address: Where to dial.
    """

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = host, int(port)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.attack: Attack = honest
        self.flows: list[Flow] = []
        self.address = ""

    async def __aenter__(self) -> Middleman:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()[:2]
        self.address = f"{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        writers = {Side.DIALLER: writer}
        try:
            with contextlib.suppress(OSError):
                back, writers[Side.LISTENER] = await asyncio.open_connection(*self._target)
                flow = Flow(writers)
                self.flows.append(flow)
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._carry(flow, Side.DIALLER, reader))
                    group.create_task(self._carry(flow, Side.LISTENER, back))
        finally:
            for open_writer in writers.values():
                open_writer.close()

    async def _carry(self, flow: Flow, side: Side, reader: asyncio.StreamReader) -> None:
        first = side is Side.DIALLER
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                piece = await reader.readexactly(_PREAMBLE_HEAD_LEN if first else 2)
                piece += await reader.readexactly(int.from_bytes(piece[-2:], "big"))
                first = False
                number = len(flow.sent[side])
                flow.sent[side].append(piece)
                self.attack(flow, side, number, piece)
        flow.cut(other(side))
