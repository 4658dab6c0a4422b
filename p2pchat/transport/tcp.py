"""TCP over IPv4 and IPv6 (protocol.md §4.1).

Built on ``asyncio.BufferedProtocol``: about 2 KiB for an idle connection, and no allocation of
a large buffer for each read. Small frames leave at once (no Nagle delay); a vanished peer is
noticed by the kernel where it can (keepalive, and ``TCP_USER_TIMEOUT`` on Linux), by the
session's own keepalive everywhere. After a short outage the kernel repeats what was lost soon.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import sys
from collections.abc import Callable
from typing import Any, Final, cast

from p2pchat.constants import KEEPALIVE_INTERVAL_S, LISTEN_BACKLOG, RECEIVE_BUFFER_BYTES
from p2pchat.errors import IdentityError, TransportError, UnreachableError
from p2pchat.identity.link import parse_address
from p2pchat.transport.base import SEND_BUFFER_BYTES, Listener, Stream
from p2pchat.transport.buffered import BufferedStream

HEAD_START_S: Final = 0.25
"""Of one address of a name before the next is tried too, as RFC 8305 recommends."""
USER_TIMEOUT_MS: Final = 30_000
"""Unacknowledged this long: the kernel gives up. Below the session's 45 s, above a short outage."""
RTO_MAX_MS: Final = 3_000
"""What was not acknowledged is repeated at least this often. Left alone the kernel doubles its
pauses, and after an outage of 15 s is silent for 12 more. A path slower than this is hardly usable;
ten small packets more in an outage cost nothing.
"""
DIALLED_TIMEOUT_MS: Final = 8_000
"""Instead of ``USER_TIMEOUT_MS``, of what we dialled, where the kernel lacks that limit: a new
connection is then sooner there than the next repetition. Five are lost by then, as a rule, so it is
not merely a lossy path. Who was dialled may know no address, and waits for the repetition.
"""
_TCP_RTO_MAX_MS: Final = 44 if sys.platform == "linux" else None
"""Linux 6.15 and later; the socket module does not name it."""
KEEPALIVE_PROBES: Final = 2
"""Unanswered TCP probes, one each keepalive interval, before the kernel gives up."""


class TcpTransport:
    """Dials and listens with the running event loop."""

    def __init__(self) -> None:
        # One scratch buffer serves all streams: a selector loop calls get_buffer, recv_into and
        # buffer_updated without anything in between, and buffer_updated copies the bytes out.
        self._scratch = memoryview(bytearray(RECEIVE_BUFFER_BYTES))

    async def listen(self, address: str, accept: Callable[[Stream], None]) -> Listener:
        """Bind ``host:port``; a host name binds all its addresses.

        Raises:
            TransportError: Malformed, or the system refuses to bind it.
        """
        host, port = _listen_address(address)
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(
                lambda: TcpStream(self._scratch, accept),
                host,
                port,
                backlog=LISTEN_BACKLOG,
                reuse_address=os.name == "posix",  # on Windows it would let others steal the port
            )
        except OSError as error:
            raise TransportError(f"cannot listen on {address}: {_words(error)}") from error
        return TcpListener(server)

    async def dial(self, address: str) -> Stream:
        """Connect; of a name with several addresses the first that answers.

        Raises:
            UnreachableError: The message says why in plain words.
        """
        try:
            host, port = parse_address(address)
        except IdentityError as error:
            raise UnreachableError(str(error)) from error
        loop = asyncio.get_running_loop()
        try:
            infos = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            hosts = list(dict.fromkeys(str(info[4][0]) for info in infos))
            return await self._first_of(hosts, port, address)
        except OSError as error:
            raise UnreachableError(f"{address}: {_words(error)}") from error

    async def _first_of(self, hosts: list[str], port: int, address: str) -> TcpStream:
        """Connect to the first that answers, each with a head start before the next (RFC 8305).

        asyncio's own form of this loses an open socket when it is cancelled at the wrong moment.
        """
        winner: TcpStream | None = None
        errors: list[OSError] = []
        changed = asyncio.Event()

        async def attempt(host: str) -> None:
            nonlocal winner
            try:
                stream = await self._connect(host, port, address)
            except OSError as error:
                errors.append(error)
            else:
                if winner is None:
                    winner = stream
                else:
                    stream.abort()
            changed.set()

        try:
            async with asyncio.TaskGroup() as group:
                tasks = []
                for host in hosts:
                    tasks.append(group.create_task(attempt(host)))
                    changed.clear()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(HEAD_START_S):
                            await changed.wait()
                    if winner is not None:
                        break
                while winner is None and len(errors) < len(tasks):
                    changed.clear()
                    await changed.wait()
                for task in tasks:
                    task.cancel()
        except BaseException:  # cancelled: whoever answered meanwhile is not wanted any more
            if winner is not None:
                winner.abort()
            raise
        if winner is None:
            raise errors[0]
        return winner

    async def _connect(self, host: str, port: int, address: str) -> TcpStream:
        _, stream = await asyncio.get_running_loop().create_connection(
            lambda: TcpStream(self._scratch, None, address), host, port
        )
        return stream


class TcpListener:
    """The bound sockets of one ``listen``."""

    def __init__(self, server: asyncio.Server) -> None:
        self._server = server
        self._addresses = tuple(format_address(*s.getsockname()[:2]) for s in server.sockets)

    @property
    def addresses(self) -> tuple[str, ...]:
        """The bound ``host:port``."""
        return self._addresses

    async def aclose(self) -> None:
        """Stop listening. Accepted streams belong to whoever took them and are not awaited."""
        self._server.close()


class TcpStream(BufferedStream, asyncio.BufferedProtocol):
    """One TCP connection."""

    def __init__(
        self,
        scratch: memoryview,
        accept: Callable[[Stream], None] | None,
        peer_address: str = "",
    ) -> None:
        super().__init__(peer_address)
        self._scratch = scratch
        self._accept = accept
        self._writable = True
        self._closed = False
        self._transport: asyncio.Transport

    # --- asyncio's side -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket, set its options, hand the stream to the listener's owner."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=SEND_BUFFER_BYTES)
        set_socket_options(transport.get_extra_info("socket"), dialled=self._accept is None)
        if self._accept is not None:
            peer = transport.get_extra_info("peername")
            # A connection that was reset before we got to it has no peer name any more.
            self._peer_address = format_address(*peer[:2]) if peer else "unknown:0"
            self._accept(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Lend the shared scratch buffer for one read."""
        return self._scratch

    def buffer_updated(self, nbytes: int) -> None:
        """Copy out what was read."""
        self._received(bytes(self._scratch[:nbytes]))

    def eof_received(self) -> bool:
        """Keep our direction open: the owner decides what an end means."""
        self._ended()
        return True

    def pause_writing(self) -> None:
        """The send buffer is above its mark."""
        self._writable = False

    def resume_writing(self) -> None:
        """The send buffer has room again."""
        self._writable = True
        self._notify()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone; a reset reads as an end."""
        self._closed = True
        self._lost()

    # --- the owner's side -------------------------------------------------------------------------

    @property
    def writable(self) -> bool:
        """Whether the send buffer is below its mark."""
        return self._writable and not self._closed

    @property
    def pending_bytes(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return self._transport.get_write_buffer_size()

    @property
    def is_closed(self) -> bool:
        """Closed by us, or lost."""
        return self._closed

    def write(self, data: bytes) -> None:
        """Send at once what the kernel takes, the rest when it can."""
        if not self._closed:
            self._transport.write(data)

    def write_eof(self) -> None:
        """Shut down our direction after what was written."""
        if not self._closed:
            self._closed = True
            try:
                self._transport.write_eof()
            except OSError:
                # The peer has reset the connection and the event loop has not said so yet.
                self._transport.abort()

    def close(self) -> None:
        """Flush, then close."""
        self._closed = True
        self._transport.close()

    def abort(self) -> None:
        """Close now."""
        self._closed = True
        self._transport.abort()

    def _pause_receiving(self) -> None:
        self._transport.pause_reading()

    def _resume_receiving(self) -> None:
        self._transport.resume_reading()


def set_socket_options(sock: Any, *, dialled: bool) -> None:
    """Ask the kernel to send small frames at once, and to notice a vanished peer and its return.

    ``sock`` is asyncio's wrapper of a socket, which the type checker knows as Any only. An
    option that this system lacks is left out: the session's keepalive does not depend on it.
    """
    gives_up_soon = not _set_tcp(sock, _TCP_RTO_MAX_MS, RTO_MAX_MS) and dialled
    wanted = {
        "TCP_NODELAY": 1,
        "TCP_KEEPIDLE": int(KEEPALIVE_INTERVAL_S),
        "TCP_KEEPINTVL": int(KEEPALIVE_INTERVAL_S),
        "TCP_KEEPCNT": KEEPALIVE_PROBES,
        "TCP_USER_TIMEOUT": DIALLED_TIMEOUT_MS if gives_up_soon else USER_TIMEOUT_MS,
    }
    for name, value in wanted.items():
        _set_tcp(sock, getattr(socket, name, None), value)
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def _set_tcp(sock: Any, option: int | None, value: int) -> bool:
    """Set one option; tell whether the system has it."""
    if option is None:
        return False
    try:
        sock.setsockopt(socket.IPPROTO_TCP, option, value)
    except OSError:  # unknown here, or reset already, which the loop will report by itself
        return False
    return True


def format_address(host: str, port: int) -> str:
    """Join a numeric host and a port; IPv6 in brackets, its zone left out."""
    if ":" in host:
        return f"[{host.partition('%')[0]}]:{port}"
    return f"{host}:{port}"


def _listen_address(address: str) -> tuple[str, int]:
    """Split as ``parse_address`` does, but allow port 0 (any free port)."""
    try:
        if address.endswith(":0"):
            return parse_address(address[:-1] + "1")[0], 0
        return parse_address(address)
    except IdentityError as error:
        raise TransportError(f"cannot listen on {address!r}: {error}") from error


_WORDS: Final = {
    errno.ECONNREFUSED: "connection refused",
    errno.ETIMEDOUT: "no answer",
    errno.EHOSTUNREACH: "no route to that host",
    errno.ENETUNREACH: "no route to that network",
    errno.ECONNRESET: "connection reset",
    errno.EADDRINUSE: "another program listens there",
    errno.EADDRNOTAVAIL: "this computer does not have that address",
    errno.EACCES: "not permitted",
    errno.EMFILE: "too many open files",
}


def _words(error: OSError) -> str:
    """Say in plain words what the system's error means."""
    if isinstance(error, socket.gaierror):
        return "unknown host name"
    if error.errno in _WORDS:
        return _WORDS[error.errno]
    return error.strerror or str(error)
