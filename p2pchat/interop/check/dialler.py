"""The checker's run against an address: one connection for each check, a few at a time.

Connections begin at a bounded rate, since an implementation may limit the handshakes of one
address (§11); checks of one story follow one another, since they share a session.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from p2pchat.errors import P2PChatError, TransportError
from p2pchat.interop.check.dialogue import Dialogue
from p2pchat.interop.check.kit import Kit, set_up
from p2pchat.interop.check.knock import Knock
from p2pchat.interop.check.registry import Check, Role, checks_of
from p2pchat.interop.check.report import FailedError, NotReachedError
from p2pchat.interop.check.talk import Talk
from p2pchat.interop.check.wire import EndedError, Wire
from p2pchat.interop.personas import Persona
from p2pchat.session.negotiation import OUR_OFFER, XX_HFS, Offer, Suite
from p2pchat.transport.base import Transport

AT_ONCE: Final = 4
"""Checks under way at a time, those that only wait not counted."""
PACE_S: Final = 0.07
"""Between two connections: below the 20 handshakes a second that §11 allows one address."""
TOTAL_S: Final = 58.0
"""A run is over after this time, whatever the other side does."""
GROUND: Final = frozenset({"a_first_contact", "a_new_session", "an_echo"})
"""What other checks build on; done even if only others are asked for."""
FRIEND: Final = "kit-friend"
"""Who converses."""


class Dialling(Kit):
    """A run in which we dial."""

    transport: Transport
    address: str
    pace: float

    def aim(self, transport: Transport, address: str, *, pace: float = PACE_S) -> None:
        """Say where to connect, and how many seconds to leave between two connections."""
        self.transport, self.address, self.pace = transport, address, pace
        self._gate = asyncio.Lock()
        self._strangers = 0

    @asynccontextmanager
    async def wire(self) -> AsyncIterator[Wire]:
        """Connect; the connection ends with the block."""
        async with self._gate:
            await asyncio.sleep(self.pace)
            try:
                stream = await self.transport.dial(self.address)
            except TransportError as error:
                raise NotReachedError(str(error)) from None
        wire = Wire(stream)
        try:
            yield wire
        finally:
            wire.close()

    @asynccontextmanager
    async def knock(
        self,
        who: Persona | str = "",
        *,
        suite: Suite = XX_HFS,
        offer: Offer = OUR_OFFER,
        static: bytes | None = None,
    ) -> AsyncIterator[Knock]:
        """Connect and prepare a handshake; nothing is sent yet."""
        if suite.knows_responder and static is None:
            if self.target.static is None:
                raise NotReachedError("its static key is not known, since no handshake completed")
            static = self.target.static
        if not who:  # each a stranger of his own: a newer connection of one would end the older
            self._strangers += 1
            who = f"kit-stranger-{self._strangers}"
        person = self.persona(who) if isinstance(who, str) else who
        async with self.wire() as wire:
            yield Knock(self, wire, person, suite=suite, offer=offer, static=static)

    @asynccontextmanager
    async def talk(
        self, who: Persona | str = "", **options: Suite | Offer | bytes
    ) -> AsyncIterator[Talk]:
        """Connect and shake hands, as a set-up."""
        async with self.knock(who, **options) as knock:  # type: ignore[arg-type]  # as knock's
            with set_up("the handshake"):
                talk = await knock.through()
            yield talk

    @asynccontextmanager
    async def dialogue(self, who: str) -> AsyncIterator[Dialogue]:
        """Connect, shake hands and open the persona's session, as a set-up."""
        if self.target.accepts is False:
            raise NotReachedError("it does not accept our personas as contacts")
        async with self.talk(who) as talk:
            dialogue = Dialogue(talk, self.persona(who))
            with set_up("opening a session"):
                await dialogue.open()
                await dialogue.settle(0.05)
            yield dialogue


async def run(kit: Dialling) -> None:
    """Do all checks of the initiator's role."""
    stories: dict[str, list[Check]] = {}
    for number, check in enumerate(checks_of(Role.INITIATOR)):
        if not kit.wants(check.requirements) and check.name not in GROUND:
            continue
        stories.setdefault(check.story or str(number), []).append(check)
    busy = asyncio.Semaphore(AT_ONCE)

    async def tell(story: list[Check]) -> None:
        waits = any(check.seconds for check in story)
        for check in story:
            if waits:
                await perform(kit, check)
            else:
                async with busy:
                    await perform(kit, check)

    try:
        async with asyncio.timeout(max(TOTAL_S, kit.patience + 10)), asyncio.TaskGroup() as group:
            first = stories.pop("first", [])
            await tell(first)  # what it learns, others need
            for story in stories.values():
                group.create_task(tell(story))
    except TimeoutError:
        pass  # what is left was not reached


async def perform(kit: Kit, check: Check) -> None:
    """Do one check and note what came of it."""
    if check.seconds > kit.patience:
        kit.report.obstruct(
            check.requirements, f"takes {check.seconds:.0f} s; --patience allows it"
        )
        return
    try:
        await check.run(kit)
    except NotReachedError as error:
        kit.report.obstruct(check.requirements, f"{check.name}: {error}")
    except TimeoutError:
        kit.report.fail(check.requirements, f"{check.name}: no answer")
    except (FailedError, EndedError, P2PChatError) as error:
        kit.report.fail(check.requirements, f"{check.name}: {error}")
    else:
        kit.report.keep(*check.requirements)
