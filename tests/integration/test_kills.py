"""SIGKILL of either of two chatting nodes, again and again, at moments drawn from a seed.

At any instant: while a node starts, shakes hands, resumes, seals, commits, acknowledges, or
idles. What is claimed of it (protocol.md §8.2, R-8.2.1, R-8.2.2, R-8.4.3): nothing that was
confirmed is lost, nothing arrives twice or out of order, the session goes on without being made
anew, and no message key ever seals two messages that leave.
"""

from __future__ import annotations

import asyncio
import random  # noqa: TID251 - a seeded generator makes the moments reproducible
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from p2pchat.rpc.protocol import RpcError
from tests.support.cli_world import Profile
from tests.support.recording_node import Record, forget_record
from tests.support.sizes import sized
from tests.support.talkers import (
    Talker,
    end_both,
    kill_all,
    nothing_lost_doubled_or_reordered,
    start_both,
)

KILLS = sized(40, 500)
MESSAGES = sized(2_000, 20_000)
LIMIT_S = 60.0
RECORDING = (sys.executable, "-m", "tests.support.recording_node")


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[Talker, Talker]]:
    alice = Talker(Profile.quick(tmp_path, "alice"), program=RECORDING)
    bob = Talker(Profile.quick(tmp_path, "bob"), program=RECORDING)
    yield alice, bob
    await kill_all(alice, bob)


class Killing:
    """The rounds: both talk, one or both are killed, and start again."""

    def __init__(self, alice: Talker, bob: Talker, seed: int) -> None:
        self._both = (alice, bob)
        self._random = random.Random(seed)
        self.kills = 0
        self.in_doubt = 0

    async def run(self, kills: int, messages: int) -> None:
        while self.kills < kills:
            missing = messages - sum(len(side.confirmed) for side in self._both)
            share = max(1, missing // (2 * (kills - self.kills)))
            async with asyncio.timeout(LIMIT_S):
                await self._round(share)

    async def _round(self, share: int) -> None:
        alice, bob = self._both
        victims = self._random.choice([[alice], [alice], [bob], [bob], [alice, bob]])
        if self._random.random() < 0.5:
            await asyncio.gather(alice.online(bob), bob.online(alice))
        async with asyncio.TaskGroup() as group:
            talking = [group.create_task(self._talk(side, share)) for side in self._both]
            await asyncio.sleep(self._random.choice((0.02, 0.1, 0.3)) * self._random.random())
            for victim in victims:
                assert await victim.process.kill() == -signal.SIGKILL
                self.kills += 1
            await asyncio.wait(talking)
        await asyncio.gather(*(self._start(victim) for victim in victims))

    async def _start(self, side: Talker) -> None:
        while self._random.random() < 0.15:  # it dies while it starts
            try:
                async with asyncio.timeout(0.6 * self._random.random()):
                    await side.start()
                assert await side.process.kill() == -signal.SIGKILL
            except TimeoutError:
                pass
            self.kills += 1
        await side.start()

    async def _talk(self, side: Talker, share: int) -> None:
        (other,) = (one for one in self._both if one is not side)
        said = 0
        while said < share:
            burst = min(self._random.randint(1, 12), share - said)
            said += burst
            try:
                await side.say(other, burst)
            except RpcError:  # killed: whether these were stored nobody knows
                self.in_doubt += burst
                return
            await asyncio.sleep(0.01 * self._random.random())


@pytest.mark.slow
async def test_kills_at_any_instant_lose_double_and_reorder_nothing(
    pair: tuple[Talker, Talker], capsys: pytest.CaptureFixture[str]
) -> None:
    alice, bob = pair
    await start_both(alice, bob)
    for side, other in ((alice, bob), (bob, alice)):
        await side.say(other)
        await side.all_delivered(other, LIMIT_S)
        # From here on they have one session; who dialled first may have left an unused one.
        forget_record(side.profile.path)
    killing = Killing(alice, bob, seed=20)
    await killing.run(KILLS, MESSAGES)
    async with asyncio.timeout(2 * LIMIT_S):
        missing = MESSAGES - len(alice.confirmed) - len(bob.confirmed)
        for side, other in ((alice, bob), (bob, alice)):
            for _ in range(max(1, missing // 200 + 1)):
                await side.say(other, 100)
        await alice.all_delivered(bob, LIMIT_S)
        await bob.all_delivered(alice, LIMIT_S)
        messages = await nothing_lost_doubled_or_reordered(alice, bob)
        messages += await nothing_lost_doubled_or_reordered(bob, alice)
        await end_both(alice, bob)
    assert messages >= MESSAGES
    figures = _no_key_sealed_two_messages(alice, bob)
    with capsys.disabled():
        sys.stdout.write(f"\n{killing.kills} kills, {messages} messages, {figures}\n")


def _no_key_sealed_two_messages(alice: Talker, bob: Talker) -> str:
    records = [Record.read(side.profile.path) for side in (alice, bob)]
    for record in records:
        assert all(len(envelopes) == 1 for envelopes in record.envelopes.values())
    assert not records[0].envelopes.keys() & records[1].envelopes.keys()
    # One session all along: an index names one envelope for good, so none was made anew.
    for record in records:
        left = [envelope for (envelope,) in record.envelopes.values()]
        assert len({index for index, _ in left}) == len(left)
    sealed, left_in_all = sum(r.sealed for r in records), sum(r.left for r in records)
    distinct = sum(len(record.envelopes) for record in records)
    assert left_in_all > distinct  # some were sent again after a kill, byte for byte
    return f"{distinct} message keys, {left_in_all - distinct} sent again, {sealed} sealed"
