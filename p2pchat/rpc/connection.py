"""One JSON-RPC connection: lines in, answers and notifications out (interface.md).

Requests run as tasks in one ``TaskGroup`` and are answered as they finish; ``ordering`` decides
what may overtake what, so a client that writes ten ``message.send`` in a row finds them in that
order at the other end, and one that then waits for a delivery may go on working. Whatever
carries the bytes is a ``Channel``.

Invariants: memory is bounded in every direction (line, requests at work, lines to send), no
request can end the connection by being wrong, and at the end of input the answers still leave.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Coroutine, Sequence
from typing import Any, ClassVar, Final, Protocol

from p2pchat.rpc.lines import LineSplitter, LineTooLong
from p2pchat.rpc.ordering import Order, Turn
from p2pchat.rpc.outbox import Outbox, SlowClientError
from p2pchat.rpc.protocol import (
    LINE_MAX_BYTES,
    BadCall,
    Batch,
    Call,
    RpcCode,
    RpcError,
    format_batch,
    format_error,
    format_notification,
    format_result,
    parse_line,
)

REQUESTS_AT_WORK_MAX: Final = 1024
"""Of one connection, more than one batch; then its input is left unread until some are done."""
FINISH_S: Final = 3.0
"""After the end of input: so long may requests at work and unsent lines still take."""

_TOO_LONG: Final = BadCall(
    RpcError(RpcCode.INVALID_REQUEST, f"a line has at most {LINE_MAX_BYTES} bytes")
)

_log = logging.getLogger(__name__)


class Channel(Protocol):
    """Bytes both ways, as a socket or a pair of pipes gives them."""

    async def read(self) -> bytes:
        """Return some bytes, or none at the end of input."""

    async def write(self, data: bytes) -> None:
        """Return when the bytes are accepted and there is room for more.

        Raises:
            OSError: The other side is gone.
        """

    async def close(self) -> None:
        """Give both directions up at once."""


class NotificationStream(Protocol):
    """An asynchronous iterator over (method, params) from the moment it was made."""

    def __aiter__(self) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Return itself."""

    async def __anext__(self) -> tuple[str, dict[str, Any]]:
        """Return the next notification."""

    def close(self) -> None:
        """Stop collecting; the iteration ends."""


class Dispatcher(Protocol):
    """What a connection needs of a service."""

    SIDE_BY_SIDE: ClassVar[frozenset[str]]
    """Methods of which several run at once, begun in order (see ``ordering``)."""
    UNORDERED: ClassVar[frozenset[str]]
    """Methods that must not hold up the requests behind them."""

    def call(self, method: str, params: dict[str, Any] | list[Any]) -> Awaitable[object]:
        """Run a method; raises only RpcError."""

    def subscribe(self) -> NotificationStream:
        """Begin to collect notifications."""


async def serve(
    channel: Channel,
    dispatcher: Dispatcher,
    *,
    ending: asyncio.Event,
    outbox: Outbox | None = None,
) -> None:
    """Serve one connection until its input ends or it proves unusable; closes the channel.

    Args:
        channel: Exclusively ours.
        dispatcher: Shared by all connections.
        ending: Once set, it is as if the input had ended: answers still leave, then all is over.
        outbox: Another bound than the usual one, for tests.
    """
    connection = _Connection(channel, dispatcher, outbox or Outbox())
    try:
        await connection.run(ending)
    finally:
        await channel.close()


class _Connection:
    def __init__(self, channel: Channel, dispatcher: Dispatcher, outbox: Outbox) -> None:
        self._channel = channel
        self._dispatcher = dispatcher
        self._outbox = outbox
        self._order = Order(side_by_side=dispatcher.SIDE_BY_SIDE, unordered=dispatcher.UNORDERED)
        self._room = asyncio.Semaphore(REQUESTS_AT_WORK_MAX)

    async def run(self, ending: asyncio.Event) -> None:
        stream = self._dispatcher.subscribe()
        try:
            async with asyncio.TaskGroup() as tasks:
                writer = tasks.create_task(self._write())
                notifier = tasks.create_task(self._notify(stream))
                await self._serve_requests(ending)
                notifier.cancel()
                await self._outbox.close()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(writer, FINISH_S)
        except* OSError:
            pass  # the other side is gone; nobody is left to be told
        except* SlowClientError as group:
            _log.warning("%s", group.exceptions[0])
        finally:
            stream.close()

    async def _serve_requests(self, ending: asyncio.Event) -> None:
        """Read until the input ends, then wait a little for what is at work."""
        try:
            async with asyncio.timeout(None) as patience, asyncio.TaskGroup() as requests:
                reading = requests.create_task(self._read(requests))
                ended = requests.create_task(ending.wait())
                await asyncio.wait((reading, ended), return_when=asyncio.FIRST_COMPLETED)
                reading.cancel()
                ended.cancel()
                patience.reschedule(asyncio.get_running_loop().time() + FINISH_S)
        except TimeoutError:
            _log.info("requests were still at work when their client left")

    async def _read(self, requests: asyncio.TaskGroup) -> None:
        lines = LineSplitter(LINE_MAX_BYTES)
        while data := await self._channel.read():
            for line in lines.feed(data):
                await self._begin(line, requests)
        if last := lines.finish():
            await self._begin(last, requests)

    async def _begin(self, line: bytes | LineTooLong, requests: asyncio.TaskGroup) -> None:
        """Take the places of a line's calls in the order, and let them run."""
        parsed = _TOO_LONG if isinstance(line, LineTooLong) else parse_line(line)
        calls = parsed.calls if isinstance(parsed, Batch) else (parsed,)
        running = []
        for call in calls:
            await self._room.acquire()
            running.append(requests.create_task(self._work_on(call)))
        requests.create_task(self._answer(running, in_one=isinstance(parsed, Batch)))

    def _work_on(self, call: Call | BadCall) -> Coroutine[None, None, bytes | None]:
        """Take the call's place at once and return what is to be done for it."""
        if isinstance(call, BadCall):
            return _refuse(call)
        return self._run(call, self._order.take(call.method))

    async def _write(self) -> None:
        while chunk := await self._outbox.next_chunk():
            await self._channel.write(chunk)

    async def _notify(self, stream: NotificationStream) -> None:
        async for method, params in stream:
            await self._outbox.put_notification(format_notification(method, params))

    async def _answer(self, running: Sequence[asyncio.Task[bytes | None]], *, in_one: bool) -> None:
        """Send the answers of one line; notifications have none."""
        answers = [answer for task in running if (answer := await task) is not None]
        if answers:
            await self._outbox.put_answer(format_batch(answers) if in_one else answers[0])
        for _ in running:
            self._room.release()  # only now: a client that reads nothing gets no further

    async def _run(self, call: Call, turn: Turn) -> bytes | None:
        try:
            async with turn.entered():
                result = await self._dispatcher.call(call.method, call.params)
            answer = format_result(call.request_id, result)
        except RpcError as error:
            answer = format_error(call.request_id, error)
        return None if call.is_notification else answer


async def _refuse(call: BadCall) -> bytes | None:
    return format_error(call.request_id, call.error)
