"""The two ways in which JSON-RPC bytes travel: a socket, and the process's standard streams.

Standard streams are read and written by one daemon thread each. Event loops cannot watch a
regular file or ``/dev/null``, and would set a shared terminal non-blocking for everybody who
uses it; threads can wait on anything, and a daemon thread that is stuck does not keep a process.
"""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from typing import Final

READ_BYTES: Final = 1 << 16
"""Taken from a socket or pipe at once: what a pipe holds."""


class StreamChannel:
    """A connected stream socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        # ``write`` then returns only when the kernel has everything, so that giving the socket
        # up loses nothing, and what waits for a slow client waits where it is counted.
        writer.transport.set_write_buffer_limits(high=0)

    async def read(self) -> bytes:
        """Return some bytes, or none at the end of input."""
        return await self._reader.read(READ_BYTES)

    async def write(self, data: bytes) -> None:
        """Hand all bytes to the kernel."""
        self._writer.write(data)
        await self._writer.drain()

    async def close(self) -> None:
        """Give the socket up at once."""
        self._writer.transport.abort()


class PipeChannel:
    """A descriptor to read from and one to write to; both stay open, their owner closes them."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._incoming: asyncio.Queue[bytes | OSError] = asyncio.Queue()
        self._wanted = threading.Semaphore(1)
        self._outgoing: queue.SimpleQueue[tuple[bytes, asyncio.Future[None]] | None] = (
            queue.SimpleQueue()
        )
        for target, fd in ((self._read_all, read_fd), (self._write_all, write_fd)):
            threading.Thread(target=target, args=(fd,), daemon=True, name="rpc-stdio").start()

    async def read(self) -> bytes:
        """Return some bytes, or none at the end of input."""
        item = await self._incoming.get()
        self._wanted.release()
        if isinstance(item, OSError):
            raise item
        return item

    async def write(self, data: bytes) -> None:
        """Return when the kernel has taken all bytes."""
        done = self._loop.create_future()
        self._outgoing.put((data, done))
        await done

    async def close(self) -> None:
        """Let the writing thread end; a reading one that is stuck ends with the process."""
        self._outgoing.put(None)

    def _read_all(self, fd: int) -> None:
        item: bytes | OSError
        while True:
            # One chunk at a time: a pipe that is not read then fills and stops its writer.
            self._wanted.acquire()
            try:
                item = os.read(fd, READ_BYTES)
            except OSError as error:
                item = error
            try:
                self._loop.call_soon_threadsafe(self._incoming.put_nowait, item)
            except RuntimeError:
                return  # the loop has ended
            if not item or isinstance(item, OSError):
                return

    def _write_all(self, fd: int) -> None:
        while (item := self._outgoing.get()) is not None:
            data, done = item
            failure: OSError | None = None
            view = memoryview(data)
            try:
                while view:
                    view = view[os.write(fd, view) :]
            except OSError as error:
                failure = error
            try:
                self._loop.call_soon_threadsafe(_settle, done, failure)
            except RuntimeError:
                return  # the loop has ended


def _settle(done: asyncio.Future[None], failure: OSError | None) -> None:
    if done.done():
        return
    if failure is None:
        done.set_result(None)
    else:
        done.set_exception(failure)
