"""Two ``node --rpc stdio`` processes: everything arrives once, whatever is killed."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from p2pchat.cli.demo_peer import PeerProcess, until_contact
from p2pchat.identity.certificate import parse_and_verify
from p2pchat.identity.keys import peer_id
from p2pchat.rpc.protocol import LINE_MAX_BYTES
from tests.support.cli_world import PASSPHRASE, TIMEOUT_S, Profile, command

WORD = "xylophone"
"""In every message; must be found nowhere in the profiles."""


class Side:
    """One person: profile, process, and what the process announced."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.sent: list[dict[str, str]] = []
        self.texts: list[str] = []
        self.process: PeerProcess

    async def start(self) -> None:
        self.process = await PeerProcess.start(self.profile.path, self.profile.secret)

    async def call(self, method: str, **params: object) -> Any:
        return await self.process.call(method, params)

    async def send(self, to: "Side", texts: Sequence[str]) -> None:
        """Write all requests in one go, as a program does that does not wait for answers."""
        calls = [self.call("message.send", contact=to.profile.name, text=text) for text in texts]
        self.sent += await asyncio.gather(*calls)
        self.texts += texts

    async def all_delivered(self, to: "Side") -> None:
        calls = [
            self.call(
                "message.wait",
                contact=to.profile.name,
                message_id=message["message_id"],
                timeout=TIMEOUT_S,
            )
            for message in self.sent
        ]
        assert {message["state"] for message in await asyncio.gather(*calls)} == {"delivered"}

    async def expect(self, other: "Side") -> None:
        """The other's messages are all here, once, in order; ours are listed in order."""
        history = await self.call("message.list", contact=other.profile.name, limit=5000)
        for direction, side in (("in", other), ("out", self)):
            found = [entry for entry in history if entry["direction"] == direction]
            assert [entry["text"] for entry in found] == side.texts
            assert [entry["message_id"] for entry in found] == [
                message["message_id"] for message in side.sent
            ]
            assert {entry["state"] for entry in found} <= {"delivered", "read"}


@pytest.fixture
async def sides(tmp_path: Path) -> AsyncIterator[tuple[Side, Side]]:
    alice = Side(Profile.quick(tmp_path, "Alice Liddell"))
    bob = Side(Profile.quick(tmp_path, "Bob Dodgson"))
    try:
        await asyncio.gather(alice.start(), bob.start())
        for side, other in ((alice, bob), (bob, alice)):
            link = (await other.call("identity.show"))["link"]
            await side.call("contact.add", link=link)
        for side, other in ((alice, bob), (bob, alice)):
            await until_contact(side.process, other.profile.name, online=True)
        yield alice, bob
        for side in (alice, bob):
            assert await side.process.end() == 0
            assert side.process.complaint == ""
    finally:
        for side in (alice, bob):
            if hasattr(side, "process"):
                await side.process.kill()


def texts(who: str, count: int, start: int = 0) -> list[str]:
    return [f"{WORD} {who} {n} of {start + count}" for n in range(start, start + count)]


async def both_ways_then_killed(alice: Side, bob: Side, each: int, while_away: int) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        await asyncio.gather(
            alice.send(bob, texts("alice", each)), bob.send(alice, texts("bob", each))
        )
        await asyncio.gather(alice.all_delivered(bob), bob.all_delivered(alice))
        await alice.expect(bob)
        await bob.expect(alice)
        # Bob dies while alice writes on: some of it is under way, the rest is queued.
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(alice.send(bob, texts("alice", while_away, each)))
            await asyncio.sleep(0)
            assert await bob.process.kill() == -signal.SIGKILL
        await bob.start()
        await alice.all_delivered(bob)
        await bob.expect(alice)
        await alice.expect(bob)


async def test_both_ways_at_once_then_one_is_killed(sides: tuple[Side, Side]) -> None:
    await both_ways_then_killed(*sides, each=200, while_away=50)
    grep(sides)


@pytest.mark.slow
async def test_a_thousand_both_ways_then_one_is_killed_five_times(
    sides: tuple[Side, Side],
) -> None:
    alice, bob = sides
    await both_ways_then_killed(alice, bob, each=1000, while_away=200)
    for _ in range(4):
        await both_ways_then_killed(alice, bob, each=10, while_away=200)
    grep(sides)


async def test_the_log_shows_it_all_after_a_restart_of_both(tmp_path: Path) -> None:
    alice, bob = Side(Profile.quick(tmp_path, "Alice")), Side(Profile.quick(tmp_path, "Bob"))
    async with asyncio.timeout(TIMEOUT_S):
        await asyncio.gather(alice.start(), bob.start())
        link = (await bob.call("identity.show"))["link"]
        await alice.call("contact.add", link=link)
        await bob.call("contact.add", link=(await alice.call("identity.show"))["link"])
        await alice.send(bob, texts("alice", 20))
        await alice.all_delivered(bob)
        assert await alice.process.kill() == await bob.process.kill() == -signal.SIGKILL
    shown = await asyncio.to_thread(bob.profile.process, "log", "alice")
    assert [line[17:] for line in shown.splitlines()] == [
        f"← alice: {text}" for text in alice.texts
    ]
    shown = await asyncio.to_thread(alice.profile.process, "log", "bob", "--limit", "3")
    assert [line[17:] for line in shown.splitlines()] == [
        f"→ {text}  ✓✓" for text in alice.texts[-3:]
    ]


def grep(sides: Sequence[Side]) -> None:
    """Look for everything that must not be readable, in every file, while the nodes run."""
    needles = [WORD.encode(), PASSPHRASE.encode()]
    for side in sides:
        needles.append(side.profile.name.encode())
        needles += [message["message_id"].encode() for message in side.sent[:20]]
        needles += [bytes.fromhex(message["message_id"]) for message in side.sent[:20]]
    size = 0
    for side in sides:
        files = side.profile.files()
        assert {"key", "chat.db", "chat.db-wal"} <= set(files)
        for name, content in files.items():
            size += len(content)
            for needle in needles:
                assert needle not in content, f"{needle!r} in {name}"
    assert size > 100_000


async def test_keys_and_ids_are_not_readable_in_the_folder(tmp_path: Path) -> None:
    profile = Profile.quick(tmp_path, "Alice")
    opened = profile.open()
    identity = opened.identity
    certificate = parse_and_verify(identity.certificate, now_ms=time.time_ns() // 1_000_000)
    secrets = [identity.signing_seed.reveal(), identity.static_private.reveal()]
    public = [certificate.identity, certificate.static, identity.certificate]
    names = [peer_id(certificate.identity).encode(), b"Alice", PASSPHRASE.encode()]
    opened.close()
    for name, content in profile.files().items():
        for needle in (*secrets, *public, *names):
            assert needle not in content, name


# --- one process, spoken to byte by byte --------------------------------------------------------


def speak(profile: Profile, requests: bytes, *, code: int = 0) -> list[Any]:
    """Run a node with all its input given at once; return its lines, all of them JSON."""
    result = subprocess.run(
        command(*profile.options, "node", "--listen", "127.0.0.1:0", "--rpc", "stdio"),
        input=requests,
        capture_output=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert (result.returncode, result.stderr) == (code, b"")
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_standard_output_holds_json_rpc_and_nothing_else(tmp_path: Path) -> None:
    profile = Profile.quick(tmp_path, "Alice")
    status = b'{"jsonrpc":"2.0","id":%d,"method":"node.status"}'
    answers = speak(
        profile,
        b"\n".join(
            [
                status % 1,
                b"nonsense",
                b"[" * 100_000,
                b"x" * (LINE_MAX_BYTES + 1),
                b'{"jsonrpc":"2.0","id":2,"method":"unheard.of"}',
                b'{"jsonrpc":"2.0","id":3,"method":"node.status","params":{"extra":1}}',
                b'{"jsonrpc":"2.0","method":"node.status"}',
                b"[" + status % 4 + b"," + status % 5 + b"]",
                status % 6,  # the last line needs no end
            ]
        ),
    )
    codes = [
        (answer.get("id"), answer.get("error", {}).get("code"))
        for answer in answers
        if isinstance(answer, dict)
    ]
    assert codes == [
        *((1, None), (None, -32700), (None, -32700), (None, -32600)),
        *((2, -32601), (3, -32602), (6, None)),
    ]
    (batch,) = [answer for answer in answers if isinstance(answer, list)]
    assert [answer["id"] for answer in batch] == [4, 5]
    assert not (profile.path / "socket").exists()


def test_the_end_of_input_and_node_stop_end_the_node(tmp_path: Path) -> None:
    profile = Profile.quick(tmp_path, "Alice")
    assert speak(profile, b"") == []
    (answer,) = speak(profile, b'{"jsonrpc":"2.0","id":1,"method":"node.stop"}\n')
    assert answer == {"jsonrpc": "2.0", "id": 1, "result": {}}


async def test_sigterm_ends_the_node_and_a_stop_lets_its_answer_leave(tmp_path: Path) -> None:
    side = Side(Profile.quick(tmp_path, "Alice"))
    async with asyncio.timeout(TIMEOUT_S):
        for number in (signal.SIGTERM, signal.SIGINT):
            await side.start()
            side.process._transport.send_signal(number)
            assert await side.process._gone() == 0
        await side.start()
        assert await side.call("node.stop") == {}
        assert await side.process._gone() == 0
    assert side.process.complaint == ""


def test_what_is_secret_is_not_in_the_process_list(tmp_path: Path) -> None:
    profile = Profile.quick(tmp_path, "Alice")

    async def look() -> None:
        process = await PeerProcess.start(profile.path, profile.secret)
        pid = process._transport.get_pid()
        for name in ("cmdline", "environ"):
            with contextlib.suppress(PermissionError):  # not dumpable: only root is told
                shown = await asyncio.to_thread(Path(f"/proc/{pid}/{name}").read_bytes)
                assert PASSPHRASE.encode() not in shown
        assert PASSPHRASE not in str(os.environ)
        assert await process.end() == 0

    asyncio.run(look())
