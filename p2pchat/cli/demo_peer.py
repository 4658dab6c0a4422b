"""One of the demo's two people: a process of its own, spoken to over its standard streams.

It is exactly what ``p2pchat node --rpc stdio`` starts; the demo knows no shortcut into it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Self, cast

from p2pchat.crypto.secret import Secret
from p2pchat.errors import P2PChatError
from p2pchat.rpc.client import LineClient

_STDERR_MAX_BYTES: Final = 4096
_END_S: Final = 5.0


class PeerProcess(LineClient, asyncio.SubprocessProtocol):
    """A running node. Make it with ``start``; ``end`` or ``kill`` it."""

    def __init__(self) -> None:
        super().__init__()
        self._errors = b""
        self._exited = asyncio.Event()
        self._transport: asyncio.SubprocessTransport

    @classmethod
    async def start(
        cls,
        profile: Path,
        passphrase: Secret,
        *,
        program: Sequence[str] = (sys.executable, "-m", "p2pchat"),
        listen: str = "127.0.0.1:0",
    ) -> Self:
        """Start a node and wait until it answers.

        Args:
            profile: The folder of a finished profile.
            passphrase: Goes through the process's standard input, never into its arguments.
            program: What is started with a node's arguments.
            listen: ``host:port``; a free port of the loopback interface unless given.

        Raises:
            P2PChatError: The node did not start; the message is what it said.
        """
        loop = asyncio.get_running_loop()
        _, peer = await loop.subprocess_exec(
            cls,
            *program,
            *("--profile", f"{profile}{os.sep}", "--passphrase-file", "-"),
            *("node", "--listen", listen, "--rpc", "stdio"),
        )
        try:
            peer.write(passphrase.reveal() + b"\n")
            await peer.call("node.status")
        except P2PChatError as error:
            await peer.kill()
            raise P2PChatError(f"a node did not start: {peer.complaint or error}") from None
        except BaseException:  # whatever it was, no process stays behind
            await peer.kill()
            raise
        return peer

    @property
    def complaint(self) -> str:
        """The end of what the process wrote to its standard error."""
        return self._errors.decode(errors="replace").strip()

    def write(self, data: bytes) -> None:
        """Send bytes to the process's standard input."""
        stdin = cast(asyncio.WriteTransport, self._transport.get_pipe_transport(0))
        stdin.write(data)

    async def kill(self) -> int:
        """End the process as a power cut would, and return its exit code."""
        if not self._exited.is_set():
            self._transport.kill()
        return await self._gone()

    async def end(self) -> int:
        """Close the process's input, which ends it properly, and return its exit code.

        Raises:
            TimeoutError: It goes on running; ``kill`` it.
        """
        stdin = self._transport.get_pipe_transport(0)
        if stdin is not None:
            stdin.close()
        async with asyncio.timeout(_END_S):
            return await self._gone()

    async def _gone(self) -> int:
        await self._exited.wait()
        self._transport.close()
        code = self._transport.get_returncode()
        return -1 if code is None else code

    # --- asyncio.SubprocessProtocol -----------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (called by asyncio)."""
        self._transport = cast(asyncio.SubprocessTransport, transport)
        self._write = self.write

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Take answers, or what the process complains about (called by asyncio)."""
        if fd == 1:
            try:
                self.feed(data)
            except ValueError:
                self.lose()  # whatever runs there, it does not speak JSON-RPC
        else:
            self._errors = (self._errors + data)[-_STDERR_MAX_BYTES:]

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """No answer will come any more (called by asyncio)."""
        if fd == 1:
            self.lose()

    def process_exited(self) -> None:
        """Remember it (called by asyncio)."""
        self._exited.set()


async def contact_of(peer: PeerProcess, name: str) -> dict[str, Any]:
    """Return what a peer knows of one of its contacts.

    Raises:
        P2PChatError: It has no such contact.
    """
    contacts: list[dict[str, Any]] = await peer.call("contact.list")
    for contact in contacts:
        if contact["contact"] == name:
            return contact
    raise P2PChatError(f"there is no contact {name}")


async def until_contact(peer: PeerProcess, name: str, *, online: bool) -> dict[str, Any]:
    """Wait until a peer sees a contact come or go; bounded by the caller."""
    changes = peer.notifications()
    try:
        while True:
            contact = await contact_of(peer, name)
            if contact["online"] == online:
                return contact
            await anext(changes)
    finally:
        changes.close()
