"""The checker's run at an address of its own: the other side dials, again and again.

Each connection that comes serves one check, in order. We are one contact here, the same for the
whole run, with one session that goes on from check to check where it is not broken on purpose.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from p2pchat.errors import UnreachableError
from p2pchat.interop.check.answer import Answer
from p2pchat.interop.check.dialler import GROUND, perform
from p2pchat.interop.check.dialogue import Dialogue
from p2pchat.interop.check.kit import Kit, set_up
from p2pchat.interop.check.registry import Role, checks_of
from p2pchat.interop.check.report import NotReachedError
from p2pchat.interop.check.talk import Talk
from p2pchat.interop.check.wire import EndedError, Wire
from p2pchat.interop.personas import Persona
from p2pchat.transport.base import Stream

HOST: Final = "kit-host"
"""Who we are to the side that dials."""
FIRST_DIAL_S: Final = 30.0
"""The other side dials for the first time within this time."""
DIAL_S: Final = 10.0
"""It dials again within this time."""
TOTAL_S: Final = 58.0
"""A run is over after this time, whatever the other side does."""
WAITING_MAX: Final = 8
"""Connections kept until their turn; more are closed at once."""


class NobodyCameError(Exception):
    """Nobody has dialled us."""


class Listening(Kit):
    """A run in which the other side dials."""

    def prepare(self) -> None:
        """Get ready for connections."""
        self._queue: asyncio.Queue[Stream] = asyncio.Queue(WAITING_MAX)
        self._came = False

    @property
    def host(self) -> Persona:
        """Who we are."""
        return self.persona(HOST)

    def accept(self, stream: Stream) -> None:
        """Keep a connection for the next check."""
        try:
            self._queue.put_nowait(stream)
        except asyncio.QueueFull:
            stream.abort()

    @asynccontextmanager
    async def wire(self) -> AsyncIterator[Wire]:
        """Wait for a connection; it ends with the block."""
        try:
            async with asyncio.timeout(DIAL_S if self._came else FIRST_DIAL_S):
                wire = Wire(await self._queue.get())
        except TimeoutError:
            if not self._came:
                raise NobodyCameError from None
            raise NotReachedError("it did not dial again within 10 s") from None
        self._came = True
        try:
            yield wire
        finally:
            wire.close()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Answer]:
        """Wait for a connection and read its first message, as a set-up.

        Connections that the other side gave up before their turn are passed over.
        """
        for _ in range(WAITING_MAX):
            async with self.wire() as wire:
                answer = Answer(self, wire, self.host)
                try:
                    with set_up("its first message"):
                        await answer.opened()
                except NotReachedError as error:
                    if isinstance(error.__cause__, EndedError):
                        continue
                    raise
                yield answer
                return
        raise NotReachedError("it ended its connections before their turn")

    @asynccontextmanager
    async def talk(self) -> AsyncIterator[Talk]:
        """Wait for a connection and shake hands, as a set-up."""
        async with self.opened() as answer:
            with set_up("the handshake"):
                talk = await answer.through()
            yield talk

    @asynccontextmanager
    async def dialogue(self) -> AsyncIterator[Dialogue]:
        """Wait for a connection, shake hands and open the session, as a set-up."""
        async with self.talk() as talk:
            dialogue = Dialogue(talk, self.host)
            with set_up("opening a session"):
                await dialogue.open()
                await dialogue.settle(0.05)
            yield dialogue


async def run(kit: Listening) -> None:
    """Do all checks of the responder's role, one connection after the other.

    Raises:
        UnreachableError: Nobody dialled, so there is nothing to report.
    """
    try:
        async with asyncio.timeout(max(TOTAL_S, kit.patience + 20)):
            for check in checks_of(Role.RESPONDER):
                if kit.wants(check.requirements) or check.name in GROUND:
                    await perform(kit, check)
    except TimeoutError:
        pass  # what is left was not reached
    except NobodyCameError:
        raise UnreachableError(f"nobody dialled within {FIRST_DIAL_S:.0f} s") from None
