"""The half of a stream that all transports share: what was received, and who waits for it.

A transport calls ``_received`` and ``_ended``; the owner calls ``take`` or ``read``. Above
``RECEIVE_BUFFER_BYTES`` the transport is asked to pause, and to go on once the owner took all.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable

from p2pchat.constants import RECEIVE_BUFFER_BYTES


class BufferedStream(ABC):
    """Receive buffer, wake-up callback, and the waiting forms ``read``, ``drain``."""

    def __init__(self, peer_address: str) -> None:
        self._peer_address = peer_address
        self._chunks: list[bytes] = []
        self._buffered = 0
        self._at_end = False
        self._paused = False
        self._gone = False
        self._wake: Callable[[], None] | None = None
        self._waiters: list[asyncio.Future[None]] = []

    # --- for the owner ------------------------------------------------------------------------

    @property
    def peer_address(self) -> str:
        """``host:port`` of the other side."""
        return self._peer_address

    @property
    @abstractmethod
    def writable(self) -> bool:
        """Whether the send buffer is below its mark."""

    @property
    @abstractmethod
    def is_closed(self) -> bool:
        """Whether nothing can be written any more."""

    def on_activity(self, wake: Callable[[], None] | None) -> None:
        """Set the callback; it is called at once if something waits already."""
        self._wake = wake
        if wake is not None and (self._chunks or self._at_end):
            wake()

    def take(self) -> bytes | None:
        """Return all bytes received so far, ``b""`` at the end, None if there are none now."""
        if self._chunks:
            data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
            self._chunks.clear()
            self._buffered = 0
            if self._paused:
                self._paused = False
                self._resume_receiving()
            return data
        return b"" if self._at_end else None

    async def read(self) -> bytes:
        """Wait for bytes and return them; ``b""`` is the end."""
        while (data := self.take()) is None:
            await self._activity()
        return data

    async def drain(self) -> None:
        """Wait until ``writable``, or until the stream is over."""
        while not self.writable and not self.is_closed:
            await self._activity()

    async def wait_closed(self) -> None:
        """Wait until the connection is gone."""
        while not self._gone:
            await self._activity()

    # --- for the transport --------------------------------------------------------------------

    @abstractmethod
    def _pause_receiving(self) -> None:
        """Deliver no more until resumed."""

    @abstractmethod
    def _resume_receiving(self) -> None:
        """Deliver again."""

    def _received(self, data: bytes) -> None:
        self._chunks.append(data)
        self._buffered += len(data)
        if self._buffered >= RECEIVE_BUFFER_BYTES and not self._paused:
            self._paused = True
            self._pause_receiving()
        self._notify()

    def _ended(self) -> None:
        """The peer's direction is over, properly or not."""
        if not self._at_end:
            self._at_end = True
            self._notify()

    def _lost(self) -> None:
        """The connection is gone in both directions."""
        self._at_end = True
        self._gone = True
        self._notify()

    def _notify(self) -> None:
        if self._wake is not None:
            self._wake()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    async def _activity(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter
