"""Locked and unlocked again: a running profile lets go of its keys, and everything comes back."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from p2pchat.cli.main import main
from p2pchat.crypto.secret import Secret
from p2pchat.errors import P2PChatError, ProfileInUseError
from p2pchat.rpc.client import Client
from p2pchat.rpc.idle import IdleWatch
from p2pchat.rpc.opening import HeldProfile, attach, is_served
from p2pchat.rpc.protocol import RpcCode, RpcError
from p2pchat.store import keychain
from p2pchat.store.audit_record import decode
from p2pchat.store.audit_types import AuditKind, AuditRecord
from p2pchat.store.open import PassphraseUnlock
from p2pchat.store.ports import Transaction
from p2pchat.store.transaction import SqlTransaction
from p2pchat.store.unlocking import change_unlock
from tests.support.cli_world import PASSPHRASE, Profile, plain_node
from tests.unit.store.test_keychain import Desktop, install

METHODS_WHEN_LOCKED = ("node.status", "identity.show", "contact.list", "message.list")


async def held(profile: Profile) -> HeldProfile:
    return await HeldProfile.open(
        profile.path,
        unlock=PassphraseUnlock(profile.secret),
        network=True,
        listen=["127.0.0.1:0"],
    )


def encoded(passphrase: str) -> str:
    return base64.b64encode(passphrase.encode()).decode()


RIGHT = {"passphrase": encoded(PASSPHRASE)}


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    return Profile.quick(tmp_path, "Alice")


@pytest.fixture
async def alice(profile: Profile) -> AsyncIterator[HeldProfile]:
    async with asyncio.timeout(60):
        client = await held(profile)
        yield client
        await client.close()


async def refusal(client: Client, method: str, **params: object) -> RpcError:
    with pytest.raises(RpcError) as caught:
        await client.call(method, params)
    return caught.value


async def events(profile: Profile, stream: Any, *wanted: str) -> list[str]:
    """Return the methods of a stream's notifications until all of ``wanted`` have come."""
    seen: list[str] = []
    while not set(wanted) <= set(seen):
        seen.append((await anext(stream))[0])
    return seen


async def test_while_locked_nothing_but_unlocking_is_answered(
    profile: Profile, alice: HeldProfile
) -> None:
    before = await alice.call("node.status")
    by_socket = await attach(profile.path)
    assert by_socket is not None
    heard = by_socket.notifications()
    assert await by_socket.call("node.lock") == {}
    assert await by_socket.call("node.lock") == {}
    for client in (alice, by_socket):
        for method in METHODS_WHEN_LOCKED:
            error = await refusal(client, method, contact="x")
            assert (error.code, "p2pchat unlock" in error.message) == (RpcCode.LOCKED, True)
    again = await attach(profile.path)  # a new client finds it alive
    assert again is not None
    await again.close()
    error = await refusal(by_socket, "node.unlock", passphrase=encoded("wrong words"))
    assert (error.code, error.message) == (RpcCode.LOCKED, "the passphrase is wrong")
    assert (await refusal(by_socket, "node.unlock")).code == RpcCode.LOCKED  # no keychain profile
    for no_base64 in (1, "wrong words"):
        error = await refusal(by_socket, "node.unlock", passphrase=no_base64)
        assert error.code == RpcCode.INVALID_PARAMS
    assert await by_socket.call("node.unlock", RIGHT) == {"failures": 1}
    assert await events(profile, heard, "node.unlocked") == ["node.locked", "node.unlocked"]
    assert await alice.call("node.status") == before  # on the same port
    error = await refusal(
        by_socket, "node.unlock", passphrase=encoded("wrong words")
    )  # open: checked too
    assert error.code == RpcCode.LOCKED
    assert await by_socket.call("node.unlock", RIGHT) == {"failures": 0}
    await by_socket.close()


async def test_locking_closes_store_and_connections_and_drops_every_secret(
    tmp_path: Path, profile: Profile
) -> None:
    bob_profile = Profile.quick(tmp_path, "Bob")
    others = alive_secrets()  # constants of test modules
    alice, bob = await held(profile), await held(bob_profile)
    for one, other in ((alice, bob), (bob, alice)):
        link = (await other.call("identity.show"))["link"]
        await one.call("contact.add", {"link": link})
    sent = await alice.call("message.send", {"contact": "Bob", "text": "before"})
    waits = {"contact": "Bob", "message_id": sent["message_id"], "timeout": 30}
    await alice.call("message.wait", waits)
    gone = await bob.call("message.send", {"contact": "Alice", "text": "wakes nobody"})
    await bob.call("message.wait", {**waits, "contact": "Alice", "message_id": gone["message_id"]})
    await bob.call("node.lock")
    late = await alice.call("message.send", {"contact": "Bob", "text": "while locked"})
    await bob.close()
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(
            refusal(alice, "message.wait", **{**waits, "message_id": late["message_id"]})
        )
        await asyncio.sleep(0.01)  # lets it begin; one that has not is refused all the same
        await alice.call("node.lock")  # who waits for a delivery is not waited for
        assert (await waiting).code == RpcCode.LOCKED
    assert [each for each in alive_secrets() if not any(each is other for other in others)] == []
    with pytest.raises(ProfileInUseError):  # nobody else may open it meanwhile
        profile.open()
    assert open_files(profile.path) == {"lock"}
    assert (await alice.call("node.unlock", RIGHT)) == {"failures": 0}
    texts = [each["text"] for each in await alice.call("message.list", {"contact": "Bob"})]
    assert texts == ["before", "wakes nobody", "while locked"]
    assert open_files(profile.path) > {"chat.db", "chat.db-wal"}
    await alice.close()


def alive_secrets() -> list[Secret]:
    """Return what secrets this process can still reach."""
    return [each for each in gc.get_objects() if isinstance(each, Secret) and len(each)]


def open_files(folder: Path) -> set[str]:
    """Return the names of the files in ``folder`` that this process holds open."""
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the listing's own is gone already
            file = descriptor.readlink()
            if file.parent == folder:
                found.add(file.name)
    return found


async def audit_records(profile: Profile) -> list[AuditRecord]:
    def work(tx: Transaction) -> list[AuditRecord]:
        assert isinstance(tx, SqlTransaction)
        rows = tx._execute("SELECT record FROM audit_record ORDER BY sequence")
        return [decode(record) for (record,) in rows if isinstance(record, bytes)]

    opened = profile.open()
    records = await opened.store.read(work)
    opened.close()
    return records


async def test_failures_are_told_once_and_recorded(profile: Profile) -> None:
    for _ in range(2):
        with pytest.raises(P2PChatError, match="wrong"):
            await HeldProfile.open(
                profile.path, unlock=PassphraseUnlock(Secret(b"guess")), network=False
            )
    client = await held(profile)
    heard = client.notifications()
    method, params = await anext(heard)
    assert (method, params["count"]) == ("unlock.failures", 2)
    assert params["last_at_ms"] > 0
    assert client.service.take_failures() == 0
    await client.call("node.lock")
    await client.close()
    kinds = [each.kind for each in await audit_records(profile)]
    assert kinds.count(AuditKind.UNLOCK_FAILED) == 2
    assert kinds.count(AuditKind.LOCKED) == 1
    assert not (profile.path / "attempts").exists()


async def test_an_idle_profile_locks_itself_and_a_call_keeps_it_open(profile: Profile) -> None:
    now_ms = 1_000_000
    idle = IdleWatch(900, lambda: now_ms)
    client = await HeldProfile.open(
        profile.path, unlock=PassphraseUnlock(profile.secret), network=False, idle=idle
    )
    now_ms += 899_000
    await client.call("node.status")
    now_ms += 899_000
    locked = asyncio.Event()

    async def lock() -> None:
        await client.service.lock()
        locked.set()

    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(idle.run(lock))
        await asyncio.sleep(0)
        assert not locked.is_set()
        watching.cancel()
        now_ms += 2_000
        watching = tasks.create_task(idle.run(lock))
        await locked.wait()
        watching.cancel()
    assert (await refusal(client, "contact.list")).code == RpcCode.LOCKED
    await client.close()


def test_the_commands_lock_unlock_and_key(
    tmp_path: Path, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert change_unlock.__kwdefaults__ is not None
    monkeypatch.setitem(change_unlock.__kwdefaults__, "memory_kib", 8)
    assert "nothing is unlocked" in profile.run("lock")
    assert "p2pchat node" in profile.run("unlock", code=2)
    with plain_node(profile):
        assert is_served(profile.path)
        assert profile.run("lock") == "locked\n"
        assert "p2pchat unlock" in profile.run("contacts", code=3)
        new = tmp_path / "new"
        new.write_text("another one\n")
        change = ("key", "passphrase", "--new-passphrase-file", str(new))
        assert "p2pchat unlock" in profile.run(*change, code=3)
        assert profile.run("unlock") == "unlocked\n"
        profile.run("contacts")
        assert "from now on" in profile.run(*change)
        assert "the passphrase is wrong" in profile.run(*change, code=3)
    assert "passphrase is wrong" in profile.run("whoami", code=3)
    profile.passphrase_file.write_text("another one\n")
    options = ["--profile", f"{profile.path}{os.sep}"]
    assert main([*profile.options, "whoami"]) == 0  # which warns, so not by ``run``
    install(monkeypatch, Desktop)
    profile.run("key", "keychain")
    assert main([*options, "whoami"]) == 0
    assert len(Desktop.kept) == 2  # the key, and the count of changes
    assert "not by a passphrase" in profile.run("whoami", code=3)
    assert main([*options, "key", "passphrase", "--new-passphrase-file", str(new)]) == 0
    assert Desktop.kept == {}
    monkeypatch.setattr(keychain, "ALLOWED", ())
    before = profile.files()["key"]
    assert "use a passphrase" in profile.run("key", "keychain", code=3)
    assert profile.files()["key"] == before
    profile.run("key", "keychain", "--new-passphrase-file", str(new), code=2)
    profile.run("key", code=2)
