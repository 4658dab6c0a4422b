"""A store whose disk refuses on demand, around a real one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from p2pchat.errors import StoreError
from p2pchat.store.ports import Store, Transaction

T = TypeVar("T")


class FaultyStore:
    """Passes everything on, but for what a test asks.

    Attributes:
        broken: A write is lost and reported as failed.
        reading: While cleared, what has been read is handed out only later.
    """

    def __init__(self, inner: Store) -> None:
        self._inner = inner
        self.broken = False
        self.reading = asyncio.Event()
        self.reading.set()
        self.held = 0

    def write(self, work: Callable[[Transaction], T]) -> Awaitable[T]:
        if not self.broken:
            return self._inner.write(work)
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        future.set_exception(StoreError("the disk is full"))
        return future

    def read(self, work: Callable[[Transaction], T]) -> Awaitable[T]:
        return self._read(work)

    async def _read(self, work: Callable[[Transaction], T]) -> T:
        result = await self._inner.read(work)
        if not self.reading.is_set():
            self.held += 1
            await self.reading.wait()
        return result

    async def close(self) -> None:
        await self._inner.close()
