"""The profile's Unix socket as a JSON-RPC server (interface.md).

Asyncio's own server makes one task for each client; inside it ``connection.serve`` owns the rest.
A defect in one connection ends that connection. What is served comes from a ``Dispatcher``.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Final

from p2pchat.rpc import unix
from p2pchat.rpc.channels import StreamChannel
from p2pchat.rpc.connection import Dispatcher, serve

CLIENTS_MAX: Final = 64
"""Of one person on one computer; more than this is a loop gone wild, and is turned away."""

_log = logging.getLogger(__name__)


class SocketServer:
    """Serves clients at ``path`` from ``start`` to ``close``.

    Args:
        path: The profile's socket; the caller holds the profile's lock throughout.
        dispatcher: What answers.
    """

    def __init__(self, path: Path, dispatcher: Dispatcher) -> None:
        self._path = path
        self._dispatcher = dispatcher
        self._server: asyncio.Server | None = None
        self._ending = asyncio.Event()
        self._clients = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def start(self) -> None:
        """Listen.

        Raises:
            StoreError: The socket cannot be made.
        """
        self._server = await asyncio.start_unix_server(self._converse, sock=unix.bind(self._path))

    async def close(self) -> None:
        """Take no more requests, let answers leave (bounded by ``FINISH_S``), remove the socket."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        unix.unbind(self._path)
        self._ending.set()
        await self._idle.wait()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._clients >= CLIENTS_MAX:
            _log.warning("more than %d RPC clients; one was turned away", CLIENTS_MAX)
            writer.transport.abort()
            return
        self._clients += 1
        self._idle.clear()
        try:
            await serve(StreamChannel(reader, writer), self._dispatcher, ending=self._ending)
        except Exception:  # noqa: BLE001  # a defect in one connection ends only that one
            _log.exception("an RPC connection failed")
        finally:
            self._clients -= 1
            if not self._clients:
                self._idle.set()
