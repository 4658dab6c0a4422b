"""Stores around a real one: one whose disk refuses on demand, one whose power fails."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

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


class DyingStore:
    """A store whose computer loses its power: some more writes reach the disk, the others wait.

    Attributes:
        left: Writes that still reach the disk; None is as many as there are.
    """

    def __init__(self, inner: Store) -> None:
        self._inner = inner
        self._waiting: list[asyncio.Future[Any]] = []
        self.left: int | None = None

    def write(self, work: Callable[[Transaction], T]) -> Awaitable[T]:
        if self.left is None:
            return self._inner.write(work)
        if self.left:
            self.left -= 1
            return self._inner.write(work)
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        return future

    def read(self, work: Callable[[Transaction], T]) -> Awaitable[T]:
        return self._inner.read(work)

    async def copy(self, source: Path, target: Path) -> None:
        """Copy a folder as the disk has it now: nothing else is written meanwhile."""

        def work(_: Transaction) -> None:
            shutil.copytree(source, target)

        await self._inner.write(work)

    def give_up(self) -> None:
        """Let who waits go, now that it does not matter any more what comes of it."""
        self.left = None
        for future in self._waiting:
            if not future.done():
                future.set_exception(StoreError("the power failed"))

    async def close(self) -> None:
        await self._inner.close()
