"""Lines on their way to one client, bounded in bytes (interface.md, "JSON-RPC 2.0").

Answers wait for room, which in turn stops the reading of requests. Notifications cannot wait:
the node goes on. So a client that lets more than ``OUTBOX_MAX_BYTES`` pile up is given up, which
is better than to drop single notifications and leave it with a picture that is silently wrong.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from p2pchat.errors import P2PChatError

OUTBOX_MAX_BYTES: Final = 16 << 20
"""About 60,000 notifications that nobody has read."""
OUTBOX_ROOM_BYTES: Final = 4 << 20
"""Answers wait while more than this is queued; one answer may exceed it."""
_CHUNK_BYTES: Final = 1 << 18
"""Lines are joined up to this size for one write."""


class SlowClientError(P2PChatError):
    """A client does not read what it is sent."""


class Outbox:
    """The queue of one connection: many writers, one ``next_chunk`` reader."""

    def __init__(
        self, *, max_bytes: int = OUTBOX_MAX_BYTES, room_bytes: int = OUTBOX_ROOM_BYTES
    ) -> None:
        self._max_bytes = max_bytes
        self._room_bytes = room_bytes
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._closed = False
        self._changed = asyncio.Condition()

    async def put_answer(self, line: bytes) -> None:
        """Queue a response once there is room; after ``close`` it is dropped."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._bytes <= self._room_bytes or self._closed)
            self._append(line)
            self._changed.notify_all()

    async def put_notification(self, line: bytes) -> None:
        """Queue a notification at once.

        Raises:
            SlowClientError: Too much is waiting already.
        """
        if self._bytes + len(line) > self._max_bytes:
            raise SlowClientError("an RPC client does not read its notifications; disconnected")
        async with self._changed:
            self._append(line)
            self._changed.notify_all()

    async def next_chunk(self) -> bytes:
        """Wait for queued lines and take up to ``_CHUNK_BYTES`` of them; empty when all is over."""
        async with self._changed:
            await self._changed.wait_for(lambda: bool(self._lines) or self._closed)
            taken: list[bytes] = []
            size = 0
            while self._lines and (not taken or size + len(self._lines[0]) <= _CHUNK_BYTES):
                taken.append(self._lines.popleft())
                size += len(taken[-1])
            self._bytes -= size
            self._changed.notify_all()
            return b"".join(taken)

    async def close(self) -> None:
        """Take no more lines; what is queued still leaves."""
        async with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _append(self, line: bytes) -> None:
        if self._closed:
            return
        self._lines.append(line + b"\n")
        self._bytes += len(line) + 1
