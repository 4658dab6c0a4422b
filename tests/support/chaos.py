"""A TCP proxy that damages what passes through it, from a seed, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import random  # noqa: TID251 - a seeded generator makes the faults reproducible
from collections import Counter

CHUNK_BYTES = 4096
CLEAN_SHARE = 0.90
"""Of the chunks; the rest is damaged, so that handshakes sometimes succeed."""


class ChaosProxy:
    """Listens on loopback and forwards to one target.

    While ``chaos`` is true, each chunk may be flipped, dropped, repeated, or cut short together
    with its connection. ``faults`` counts what was really done.
    """

    def __init__(self, target: tuple[str, int], seed: int) -> None:
        self.chaos = True
        self.faults: Counter[str] = Counter()
        self._target = target
        self._random = random.Random(seed)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> ChaosProxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._server is not None:
            self._server.close()
            for connection in self._connections:
                connection.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)
            await self._server.wait_closed()

    def aim(self, target: tuple[str, int]) -> None:
        """Forward new connections elsewhere."""
        self._target = target

    @property
    def address(self) -> str:
        """Where to dial."""
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"{host}:{port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.current_task()
        assert serving is not None
        self._connections.add(serving)
        serving.add_done_callback(self._connections.discard)
        # Cancelled by __aexit__, which is an ordinary end.
        with contextlib.closing(writer), contextlib.suppress(OSError, asyncio.CancelledError):
            far_reader, far_writer = await asyncio.open_connection(*self._target)
            with contextlib.closing(far_writer):
                async with asyncio.TaskGroup() as group:
                    pumps = [
                        group.create_task(self._pump(reader, far_writer)),
                        group.create_task(self._pump(far_reader, writer)),
                    ]
                    await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
                    for pump in pumps:
                        pump.cancel()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                damaged, ends = self._damage(chunk) if self.chaos else (chunk, False)
                writer.write(damaged)
                await writer.drain()
                if ends:
                    return

    def _damage(self, chunk: bytes) -> tuple[bytes, bool]:
        if self._random.random() < CLEAN_SHARE:
            return chunk, False
        fault = self._random.choice(("flip", "drop", "repeat", "truncate"))
        self.faults[fault] += 1
        position = self._random.randrange(len(chunk))
        match fault:
            case "flip":
                flipped = chunk[position] ^ (1 << self._random.randrange(8))
                return chunk[:position] + bytes([flipped]) + chunk[position + 1 :], False
            case "drop":
                return chunk[:position], False
            case "repeat":
                return chunk + chunk[position:], False
            case _:
                return chunk[:position], True
