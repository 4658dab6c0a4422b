"""A whole conversation, and then: no secret of it is anywhere but where it belongs.

The first test runs both people in this process, where every key that is made is noted, and looks
at logs, errors, objects, answers, audit records and files. The second runs processes as people
start them, and looks at what an operating system shows of those.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from p2pchat.crypto.secret import Secret
from p2pchat.node.messages import message_view
from p2pchat.rpc import failures
from p2pchat.rpc.client import SocketClient
from p2pchat.rpc.opening import HeldProfile, attach
from p2pchat.rpc.protocol import RpcError
from p2pchat.store import attempts, audit_record
from p2pchat.store.open import OpenProfile, PassphraseUnlock, open_profile
from p2pchat.store.ports import Transaction
from p2pchat.store.transaction import SqlTransaction
from p2pchat.store.unlocking import change_unlock
from tests.support.canaries import SHORTEST, Canaries, Surfaces
from tests.support.cli_world import PASSPHRASE, TIMEOUT_S, Profile

NOTE = "a note that only Bob may read"
TEXT = "words that only two people read"
GUESS = "a passphrase that was mistyped"
LATER = "the passphrase from today on"


@pytest.fixture
def canaries(monkeypatch: pytest.MonkeyPatch) -> Canaries:
    found = Canaries()
    found.watch(monkeypatch)
    for text in (NOTE, TEXT, GUESS, LATER, PASSPHRASE):
        found.add(text.encode(), "a passphrase or plaintext")
    return found


@pytest.fixture
def surfaces(monkeypatch: pytest.MonkeyPatch) -> Surfaces:
    seen = Surfaces()
    seen.watch(monkeypatch)
    return seen


def encoded(passphrase: str) -> str:
    return base64.b64encode(passphrase.encode()).decode()


async def held(profile: Profile) -> HeldProfile:
    return await HeldProfile.open(
        profile.path,
        unlock=PassphraseUnlock(profile.secret),
        network=True,
        listen=["127.0.0.1:0"],
    )


async def converse(folder: Path, surfaces: Surfaces) -> None:
    """Everything that a profile lives through: meet, talk, verify, fail, lock, change, unlock."""
    loop = asyncio.get_running_loop()
    loop.set_debug(True)  # asyncio then logs each callback with its arguments
    loop.slow_callback_duration = 0
    profiles = Profile.quick(folder, "Alice"), Profile.quick(folder, "Bob")
    async with contextlib.AsyncExitStack() as stack:
        alice, bob = await held(profiles[0]), await held(profiles[1])
        stack.push_async_callback(alice.close)
        stack.push_async_callback(bob.close)
        await talk(alice, bob, profiles, surfaces)
    for profile in profiles:
        surfaces.add_files(profile.path)
    later = PassphraseUnlock(Secret(LATER.encode()))
    opened = open_profile(profiles[0].path, unlock=later, now_ms=time.time_ns() // 1_000_000)
    surfaces.add("audit records", *await audit_records(opened))


async def talk(
    alice: HeldProfile, bob: HeldProfile, profiles: Sequence[Profile], surfaces: Surfaces
) -> None:
    link = (await bob.call("identity.show"))["link"]
    await alice.call("contact.add", {"link": link, "note": NOTE})
    await bob.call("contact.add", {"link": (await alice.call("identity.show"))["link"]})
    for number in range(3):
        for one, contact in ((alice, "Bob"), (bob, "Alice")):
            sent = await one.call("message.send", {"contact": contact, "text": f"{TEXT} {number}"})
            waits = {"contact": contact, "message_id": sent["message_id"], "timeout": TIMEOUT_S}
            await one.call("message.wait", waits)
    number = (await alice.call("contact.safety_number", {"contact": "Bob"}))["number"]
    await alice.call("contact.verify", {"contact": "Bob", "number": number})
    surfaces.look_at_objects()
    await fail(profiles[0], surfaces)
    for profile in profiles:
        surfaces.add_files(profile.path)  # with the write-ahead log as it is in use
    await alice.call("key.passphrase", {"old": encoded(PASSPHRASE), "new": encoded(LATER)})
    await alice.call("node.lock")
    surfaces.look_at_objects()
    await refused(alice, surfaces, "node.unlock", passphrase=encoded(GUESS))
    surfaces.add_files(profiles[0].path)
    await alice.call("node.unlock", {"passphrase": encoded(LATER)})
    surfaces.look_at_objects()


async def refused(client: HeldProfile, surfaces: Surfaces, method: str, **params: Any) -> None:
    with pytest.raises(RpcError) as caught:
        await client.call(method, params)
    surfaces.failed(caught.value)


async def fail(profile: Profile, surfaces: Surfaces) -> None:
    """Provoke refusals of every kind over the socket, with secrets in what is refused."""
    reader, writer = await asyncio.open_unix_connection(str(profile.path / "socket"))
    calls: list[tuple[str, dict[str, object]]] = [
        ("message.send", {"contact": "nobody", "text": TEXT}),
        ("message.send", {"contact": "Bob", "text": TEXT, "more": TEXT}),
        ("message.send", {"contact": "Bob", "text": TEXT * 5000}),
        ("message.send", {"contact": "Bob", "text": [TEXT]}),
        ("message.cancel", {"contact": "Bob", "message_id": TEXT}),
        ("contact.add", {"link": TEXT, "note": NOTE}),
        ("contact.verify", {"contact": "Bob", "number": PASSPHRASE}),
        ("node.unlock", {"passphrase": encoded(GUESS), "more": GUESS}),
        ("node.unlock", {"passphrase": [GUESS]}),
        ("node.unlock", {"passphrase": GUESS}),
        ("key.passphrase", {"old": encoded(GUESS), "new": encoded(LATER)}),
        ("key.passphrase", {"old": encoded(PASSPHRASE), "new": ""}),
        ("key.passphrase", {"new": encoded(LATER), "older": GUESS}),
        ("key.keychain", {"old": encoded(GUESS)}),
        (TEXT, {}),
    ]
    for number, (method, params) in enumerate(calls):
        call = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        writer.write(json.dumps(call).encode() + b"\n")
    writer.write(f'{{"jsonrpc":"2.0","id":99,"method":"message.send", {TEXT}\n'.encode())
    answers = 0
    while answers <= len(calls):
        line = json.loads(await reader.readline())
        if "method" not in line:  # notifications hold messages, as they should
            assert "error" in line
            surfaces.add("RPC errors", json.dumps(line).encode())
            answers += 1
    writer.close()
    await writer.wait_closed()


async def audit_records(opened: OpenProfile) -> list[bytes]:
    def work(tx: Transaction) -> list[bytes]:
        assert isinstance(tx, SqlTransaction)
        rows = tx._execute("SELECT record FROM audit_record")
        return [record for (record,) in rows if isinstance(record, bytes)]

    records = await opened.store.read(work)
    opened.close()
    return records


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    assert change_unlock.__kwdefaults__ is not None
    monkeypatch.setitem(change_unlock.__kwdefaults__, "memory_kib", 8)


async def test_no_secret_is_where_it_does_not_belong(
    tmp_path: Path, canaries: Canaries, surfaces: Surfaces
) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        await converse(tmp_path, surfaces)
    kinds = set(canaries.values.values())
    assert {"a message key", "a chain key", "a Secret", "a passphrase or plaintext"} <= kinds
    assert len(canaries.values) > 60
    seen = surfaces.all()
    assert set(seen) == {"logs", "reprs", "errors", "files", "RPC errors", "audit records"}
    assert [name for name, parts in seen.items() if not any(parts)] == []
    assert canaries.found_in(seen) == []


def leaky_log(monkeypatch: pytest.MonkeyPatch) -> None:
    def leak(*arguments: Any) -> Any:
        logging.getLogger("p2pchat.node").debug("sending %s", arguments[1].text)
        return message_view(*arguments)

    monkeypatch.setattr("p2pchat.node.message_calls.message_view", leak)


def leaky_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Secret, "__repr__", lambda secret: secret.reveal().hex())


def leaky_file(monkeypatch: pytest.MonkeyPatch) -> None:
    original = attempts.Attempts.failed

    def leak(found: attempts.Attempts, now_ms: int) -> None:
        original(found, now_ms)
        found._path.with_name("debug").write_text(f"tried {GUESS}")

    monkeypatch.setattr(attempts.Attempts, "failed", leak)


def leaky_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def leak(error: Exception) -> RpcError:
        return RpcError(-32000, f"{original(error).message} (text was {TEXT[:20]!r})")

    original = failures.to_rpc_error
    monkeypatch.setattr("p2pchat.rpc.service.to_rpc_error", leak)


def leaky_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    original = audit_record.encode

    def leak(*arguments: Any) -> bytes:
        return original(*arguments).replace(b"{", b'{"text":"%s",' % TEXT.encode(), 1)

    monkeypatch.setattr(audit_record, "encode", leak)


async def test_planted_leaks_are_found(
    tmp_path: Path, canaries: Canaries, surfaces: Surfaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    for plant in (leaky_log, leaky_repr, leaky_file, leaky_answer, leaky_audit):
        plant(monkeypatch)
    async with asyncio.timeout(TIMEOUT_S):
        await converse(tmp_path, surfaces)
    leaks = canaries.found_in(surfaces.all())
    for where in ("logs", "reprs", "errors", "files", "RPC errors", "audit records"):
        assert any(line.endswith(f" in {where}") for line in leaks), where


_NODE = """
import logging, sys
from p2pchat.cli import main, node_command
from p2pchat.cli.logs import log_to_stderr
node_command.log_to_stderr = lambda: log_to_stderr(logging.DEBUG)
sys.exit(main.main(sys.argv[1:]))
"""


class Process:
    """A node in a process of its own that logs all it can, and a client of it."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.running = subprocess.Popen(
            [
                *(sys.executable, "-c", _NODE),
                *("--profile", f"{profile.path}{os.sep}", "--passphrase-file", "-"),
                *("node", "--listen", "127.0.0.1:0"),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self.running.stdin is not None
        self.running.stdin.write(f"{PASSPHRASE}\n".encode())
        self.running.stdin.close()
        self.running.stdin = None  # or ``communicate`` would flush it

    async def attach(self) -> SocketClient:
        while (client := await attach(self.profile.path)) is None:
            assert self.running.poll() is None
            await asyncio.sleep(0.05)
        return client

    def shown(self) -> dict[str, bytes]:
        """Return what the system tells other programs of a process, as far as it does."""
        found = {}
        for name in ("cmdline", "environ", "comm", "maps"):
            with contextlib.suppress(PermissionError):  # not dumpable: only root is told
                found[name] = Path(f"/proc/{self.running.pid}/{name}").read_bytes()
        return found

    def end(self) -> list[bytes]:
        """End it; returns what it wrote to its standard error."""
        self.running.terminate()
        out, err = self.running.communicate(timeout=TIMEOUT_S)
        assert b"link p2pchat:" in out
        return [err]


async def test_processes_show_no_secret_to_the_system(tmp_path: Path) -> None:
    canaries, surfaces = Canaries(), Surfaces()
    for text in (NOTE, TEXT, GUESS, PASSPHRASE):
        canaries.add(text.encode(), "a passphrase or plaintext")
    profiles = Profile.quick(tmp_path, "Alice"), Profile.quick(tmp_path, "Bob")
    for profile in profiles:
        opened = profile.open()
        canaries.add(opened.identity.signing_seed.reveal(), "an identity's seed")
        canaries.add(opened.identity.static_private.reveal(), "a static private key")
        opened.close()
    alice, bob = (Process(profile) for profile in profiles)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            at_alice, at_bob = await alice.attach(), await bob.attach()
            link = (await at_bob.call("identity.show"))["link"]
            await at_alice.call("contact.add", {"link": link, "note": NOTE})
            link = (await at_alice.call("identity.show"))["link"]
            await at_bob.call("contact.add", {"link": link})
            sent = await at_alice.call("message.send", {"contact": "Bob", "text": TEXT})
            waits = {"contact": "Bob", "message_id": sent["message_id"], "timeout": TIMEOUT_S}
            await at_alice.call("message.wait", waits)
            with pytest.raises(RpcError):
                await at_alice.call("node.unlock", {"passphrase": encoded(GUESS)})
            await at_alice.call("node.lock")
            await at_alice.call("node.unlock", {"passphrase": encoded(PASSPHRASE)})
            for one in (alice, bob):
                surfaces.add_files(one.profile.path)
                for name, content in one.shown().items():
                    surfaces.add(name, content)
            await at_alice.close()
            await at_bob.close()
        surfaces.add("standard error", *alice.end(), *bob.end())
    finally:
        for one in (alice, bob):
            one.running.kill()
            one.running.wait()
    seen = surfaces.all()
    assert b"DEBUG" in b"".join(seen["standard error"]).upper()
    assert canaries.found_in(seen) == []
    canaries.add(str(profiles[0].path).encode()[:SHORTEST], "control")
    assert any("in cmdline" in line for line in canaries.found_in(seen))
