"""Two people whose nodes are processes of their own, and what those have promised.

Whatever befalls the processes: each message that ``message.send`` has confirmed arrives, each
message arrives once, and in the order in which its sender has it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sys
from collections.abc import Sequence
from typing import Any

from p2pchat.cli.demo_peer import PeerProcess, contact_of, until_contact
from p2pchat.errors import P2PChatError
from tests.support.cli_world import Profile

PAGE = 5000
PLAIN_PROGRAM = (sys.executable, "-m", "p2pchat")


class Talker:
    """One person.

    Attributes:
        confirmed: The ids of the messages that the node has taken, in order.
    """

    def __init__(
        self,
        profile: Profile,
        *,
        program: Sequence[str] = PLAIN_PROGRAM,
        listen: str = "127.0.0.1:0",
    ) -> None:
        self.profile = profile
        self.name = profile.name
        self.program = program
        self.listen = listen
        self.confirmed: list[str] = []
        self.process: PeerProcess
        self._numbers = itertools.count(1)

    async def start(self) -> None:
        self.process = await PeerProcess.start(
            self.profile.path, self.profile.secret, program=self.program, listen=self.listen
        )

    async def call(self, method: str, **params: object) -> Any:
        return await self.process.call(method, params)

    async def link(self) -> str:
        link: str = (await self.call("identity.show"))["link"]
        return link

    async def say(self, to: Talker, count: int = 1) -> None:
        """Send so many messages in one go.

        Raises:
            RpcError: The node has refused one, or has died; then what it had not confirmed may
                have been stored or not.
        """
        calls = [
            self.call("message.send", contact=to.name, text=f"{self.name} {next(self._numbers)}")
            for _ in range(count)
        ]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
            self.confirmed.append(answer["message_id"])

    async def all_delivered(self, to: Talker, limit_s: float) -> None:
        """Wait for the last message, which is delivered after all others.

        Raises:
            RpcError: Not within so many seconds.
        """
        await self.call(
            "message.wait", contact=to.name, message_id=self.confirmed[-1], timeout=limit_s
        )

    async def online(self, other: Talker, *, online: bool = True) -> None:
        await until_contact(self.process, other.name, online=online)

    async def offline_reason(self, other: Talker) -> str:
        reason: str = (await contact_of(self.process, other.name))["offline_reason"]
        return reason

    async def history(self, other: Talker) -> list[dict[str, Any]]:
        pages: list[dict[str, Any]] = []
        before: dict[str, Any] = {}
        while True:
            page = await self.call("message.list", contact=other.name, limit=PAGE, **before)
            pages = page + pages
            if len(page) < PAGE:
                return pages
            before = {"before": page[0]["message_id"]}


async def start_both(one: Talker, other: Talker) -> None:
    """Start both, let each add the other, and wait until they see each other."""
    await asyncio.gather(one.start(), other.start())
    for side, peer in ((one, other), (other, one)):
        await side.call("contact.add", link=await peer.link())
    for side, peer in ((one, other), (other, one)):
        await side.online(peer)


async def end_both(one: Talker, other: Talker) -> None:
    """End both as they should end: at once, without a complaint."""
    for side in (one, other):
        code = await side.process.end()
        assert (code, side.process.complaint) == (0, "")


async def kill_all(*talkers: Talker) -> None:
    """Leave no process behind, whatever has happened."""
    for talker in talkers:
        if hasattr(talker, "process"):
            with contextlib.suppress(P2PChatError):
                await talker.process.kill()


async def nothing_lost_doubled_or_reordered(sender: Talker, receiver: Talker) -> int:
    """Compare what one has sent with what the other has; return how many messages that are."""
    sent = [entry for entry in await sender.history(receiver) if entry["direction"] == "out"]
    got = [entry for entry in await receiver.history(sender) if entry["direction"] == "in"]
    ids = [entry["message_id"] for entry in sent]
    assert len(set(ids)) == len(ids)
    assert [entry["message_id"] for entry in got] == ids
    assert [entry["text"] for entry in got] == [entry["text"] for entry in sent]
    assert {entry["state"] for entry in sent} == {"delivered"}
    numbers = [int(entry["text"].rpartition(" ")[2]) for entry in sent]
    assert numbers == sorted(set(numbers))
    # What was never confirmed may be there or not; what was confirmed is there, in its order.
    confirmed = set(sender.confirmed)
    assert [one for one in ids if one in confirmed] == sender.confirmed
    return len(ids)
