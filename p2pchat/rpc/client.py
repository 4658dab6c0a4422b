"""The client's side of JSON-RPC: one protocol, in the same process or over the profile's socket.

The command line and the terminal app know only ``Client``; whether another process holds the
profile makes no difference to them. Both kinds raise ``RpcError`` and nothing else from ``call``.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, cast

import msgspec

from p2pchat.rpc.connection import Dispatcher, NotificationStream
from p2pchat.rpc.lines import LineSplitter, LineTooLong
from p2pchat.rpc.protocol import RpcCode, RpcError, format_request

ANSWER_MAX_BYTES: Final = 1 << 30
"""Our own node answers; this only stops a program that is something else at the socket."""
NOTIFICATIONS_MAX: Final = 10_000
"""Kept for an iterator that lags; then it ends, since what follows would have a hole."""

Notification = tuple[str, dict[str, Any]]


class Client(Protocol):
    """A way to a running node."""

    async def call(self, method: str, params: dict[str, Any] | None = None) -> Any:
        """Run a method of interface.md and return its result.

        Raises:
            RpcError: The answer is an error, or the connection is lost.
        """

    def notifications(self) -> NotificationStream:
        """Iterate over what happens from this call on; ends when the connection does."""

    async def close(self) -> None:
        """Leave; ends the node as well if it runs in this process."""


class LocalClient:
    """A client of a service in this process.

    Args:
        dispatcher: The service.
        on_close: Ends what was started for this client.
    """

    def __init__(self, dispatcher: Dispatcher, *, on_close: Callable[[], Awaitable[None]]) -> None:
        self._dispatcher = dispatcher
        self._on_close = on_close

    async def call(self, method: str, params: dict[str, Any] | None = None) -> Any:
        """Run a method (see ``Client``)."""
        return await self._dispatcher.call(method, params or {})

    def notifications(self) -> NotificationStream:
        """Iterate over what happens from this call on (see ``Client``)."""
        return self._dispatcher.subscribe()

    async def close(self) -> None:
        """End the node (see ``Client``)."""
        await self._on_close()


class LineClient:
    """A client on any pair of byte streams: answers complete futures, it needs no task.

    Subclasses bring the bytes: they set ``_write`` once they can send, and call ``feed`` and
    ``lose``.
    """

    def __init__(self) -> None:
        self._lines = LineSplitter(ANSWER_MAX_BYTES)
        self._pending: dict[int, asyncio.Future[Any]] = {}
        self._streams: set[_QueuedStream] = set()
        self._last_id = 0
        self._write: Callable[[bytes], None] | None = None
        self._lost = asyncio.Event()

    async def call(self, method: str, params: dict[str, Any] | None = None) -> Any:
        """Run a method (see ``Client``)."""
        if self._write is None or self._lost.is_set():
            raise _connection_lost()
        self._last_id += 1
        request_id = self._last_id
        try:
            line = format_request(request_id, method, params or {}) + b"\n"
        except UnicodeEncodeError:
            raise RpcError(RpcCode.INVALID_PARAMS, "half a surrogate pair is not text") from None
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._pending[request_id] = answer
        try:
            self._write(line)
            return await answer
        finally:
            self._pending.pop(request_id, None)

    def notifications(self) -> NotificationStream:
        """Iterate over what happens from this call on (see ``Client``)."""
        stream = _QueuedStream(self._streams.discard)
        if self._lost.is_set():
            stream.close()
        else:
            self._streams.add(stream)
        return stream

    def feed(self, data: bytes) -> None:
        """Take bytes from the other side.

        Raises:
            ValueError: They are no JSON-RPC; whoever answers is no p2pchat node.
        """
        try:
            for line in self._lines.feed(data):
                if isinstance(line, LineTooLong):
                    raise ValueError("a line is too long")
                self._take(msgspec.json.decode(line))
        except (msgspec.DecodeError, RecursionError) as error:
            raise ValueError("a line is no JSON") from error

    def lose(self) -> None:
        """The other side is gone: fail what waits."""
        self._lost.set()
        for answer in self._pending.values():
            if not answer.done():
                answer.set_exception(_connection_lost())
        for stream in tuple(self._streams):
            stream.close()

    def _take(self, message: object) -> None:
        if not isinstance(message, dict):
            return
        if "method" in message:
            for stream in tuple(self._streams):
                stream.put((message["method"], message.get("params", {})))
            return
        answer = self._pending.get(message.get("id", 0))
        if answer is None or answer.done():
            return
        error = message.get("error")
        if not isinstance(error, dict):
            answer.set_result(message.get("result"))
            return
        data = error.get("data")
        answer.set_exception(
            RpcError(
                error.get("code", RpcCode.INTERNAL_ERROR),
                error.get("message", "the node answered with an error that says nothing"),
                kind=data.get("kind", "") if isinstance(data, dict) else "",
            )
        )


class SocketClient(LineClient, asyncio.Protocol):
    """A client of another process by its socket; made by ``SocketClient.open``."""

    _transport: asyncio.Transport

    @classmethod
    async def open(cls, connected: socket.socket) -> SocketClient:
        """Return a client on a connected socket, which it owns from now on."""
        loop = asyncio.get_running_loop()
        _, client = await loop.create_unix_connection(cls, sock=connected)
        return client

    async def close(self) -> None:
        """Leave; the node goes on."""
        self._transport.close()
        await self._lost.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (called by asyncio)."""
        self._transport = cast(asyncio.Transport, transport)
        self._write = self._transport.write

    def data_received(self, data: bytes) -> None:
        """Take answers and notifications (called by asyncio)."""
        try:
            self.feed(data)
        except ValueError:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what waits (called by asyncio)."""
        self.lose()


class _QueuedStream:
    """Notifications of one iterator, bounded."""

    def __init__(self, on_close: Callable[[_QueuedStream], None]) -> None:
        self._queue: asyncio.Queue[Notification | None] = asyncio.Queue()
        self._on_close = on_close
        self._closed = False

    def put(self, notification: Notification) -> None:
        if self._queue.qsize() >= NOTIFICATIONS_MAX:
            self.close()
        else:
            self._queue.put_nowait(notification)

    def __aiter__(self) -> _QueuedStream:
        return self

    async def __anext__(self) -> Notification:
        item = await self._queue.get()
        if item is None:
            self._queue.put_nowait(None)  # every further call ends as well
            raise StopAsyncIteration
        return item

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._queue.put_nowait(None)
            self._on_close(self)


def _connection_lost() -> RpcError:
    return RpcError(RpcCode.FAILED, "the running p2pchat node ended before it answered")
