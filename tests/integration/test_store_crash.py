"""kill -9 in the middle of commits: nothing acknowledged is lost, doubled, or out of step.

A child process writes messages to a real store, each in one unit with a session state that counts
them and an envelope; it says "stored" only after the awaited write. It is killed at a moment that
the parent does not choose. Then the parent opens the same file, as the next start would.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from p2pchat.crypto.secret import Secret
from p2pchat.store.database import create_store, open_store, write_identity
from p2pchat.store.ports import Transaction
from p2pchat.store.records import IdentityRecord

KEY = Secret(bytes(range(32)))
DATABASE_ID = bytes(range(100, 116))
IDENTITY = IdentityRecord("Ada", Secret(b"\xa1" * 32), Secret(b"\xb2" * 32), b"certificate")

CHILD = """
import asyncio, os, pathlib, sys
from p2pchat.crypto.secret import Secret
from p2pchat.identity.trust import Pin, Trust
from p2pchat.store import writer
from p2pchat.store.database import open_store
from p2pchat.store.records import *

writer.IDLE_S = 0.002           # index and fold the log all the time
writer.CHECKPOINT_PAGES = 100
path, burst = pathlib.Path(sys.argv[1]), int(sys.argv[2])
store, _ = open_store(path, Secret(bytes(range(32))), bytes(range(100, 116)))

def begin(t):
    contacts = t.contacts()
    bob = contacts[0] if contacts else t.put_contact(
        ContactRecord(0, "Bob", Pin(b"b" * 32, Trust.UNVERIFIED)))
    session = t.session(bob.contact_id)
    return bob.contact_id, int(session.state) if session else 0

def add(bob, number):
    def unit(t):
        message_id = number.to_bytes(16, "big")
        session = t.session(bob)
        assert (int(session.state) if session else 0) == number - 1
        t.put_session(bob, str(number).encode())
        assert t.add_message(MessageRecord(message_id, bob, Direction.OUT, f"text {number}",
                                           number, DeliveryState.QUEUED))
        t.append_envelopes(bob, [EnvelopeRecord(number, b"e" * 300, b"d" * 32, message_id)])
        t.acknowledge(bob, number - 20)
    return unit

async def main():
    bob, number = await store.write(begin)
    while True:
        units = []
        for _ in range(burst):
            number += 1
            units.append(store.write(add(bob, number)))
        for position, unit in enumerate(units, number - burst + 1):
            await unit
            os.write(1, b"%d\\n" % position)
        await asyncio.sleep(0.003 if number % 40 < burst else 0)

asyncio.run(main())
"""


def _run_and_kill(path: Path, burst: int, stop_after: int, delay_s: float) -> int:
    """Let a child write, kill it, and return the last number that it acknowledged."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path), str(burst)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        last = 0
        for _ in range(stop_after):
            line = child.stdout.readline()
            if not line:
                assert child.stderr is not None
                raise AssertionError(child.stderr.read().decode())
            last = int(line)
        try:
            child.wait(delay_s)  # it goes on meanwhile
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
        assert child.wait(10) == -signal.SIGKILL
        return max(last, _last_whole_line(child.stdout))


def _last_whole_line(stream: IO[bytes]) -> int:
    lines = stream.read().split(b"\n")[:-1]  # the last one may be cut
    return int(lines[-1]) if lines else 0


async def _look(path: Path, acknowledged: int) -> int:
    """Check the file after the crash; return how many messages it holds."""
    store, identity = open_store(path, KEY, DATABASE_ID)
    assert identity == IDENTITY

    def check(transaction: Transaction) -> int:
        (bob,) = transaction.contacts()
        messages = transaction.messages(bob.contact_id, limit=1_000_000)
        numbers = [int.from_bytes(m.message_id, "big") for m in messages]
        assert numbers == list(range(1, len(numbers) + 1))
        assert [m.text for m in messages] == [f"text {number}" for number in numbers]
        positions = [m.position for m in messages]
        assert positions == sorted(set(positions))
        assert len(numbers) >= acknowledged
        session = transaction.session(bob.contact_id)
        assert session is not None
        assert int(session.state) == len(numbers)
        kept = [envelope.index for envelope in session.envelopes]
        assert kept == numbers[-20:]
        # Each is found exactly once, whether it was indexed before the crash or not.
        found = transaction.messages(bob.contact_id, search="text", limit=1_000_000)
        assert found == messages
        return len(numbers)

    count = await store.read(check)
    await store.close()
    return count


def _crash(tmp_path: Path, rounds: int, messages: int) -> int:
    path = tmp_path / "chat.db"
    create_store(path, KEY, DATABASE_ID, lambda made: write_identity(made, IDENTITY))
    count = 0
    for number in range(rounds):
        burst = (1, 7, 40)[number % 3]
        delay_s = (os.urandom(1)[0] % 16) / 1000
        acknowledged = _run_and_kill(path, burst, messages, delay_s)
        now = asyncio.run(_look(path, acknowledged))
        assert now >= acknowledged >= count + messages
        count = now
    return count


def test_killed_in_the_middle_of_commits(tmp_path: Path) -> None:
    assert _crash(tmp_path, rounds=6, messages=25) >= 150


@pytest.mark.slow
def test_killed_a_hundred_times(tmp_path: Path) -> None:
    assert _crash(tmp_path, rounds=100, messages=100) >= 10_000
