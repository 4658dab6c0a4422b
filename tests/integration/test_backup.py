"""Backups as people make them: by command, with and without a node, onto another computer."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from p2pchat.crypto.secret import Secret, system_rng
from p2pchat.errors import StoreError, UsageError
from p2pchat.store.backup import archive
from tests.support.cli_world import Profile, plain_node
from tests.support.node_world import UNLOCK, World, delivered, online, until

PASSPHRASE = Secret(b"of the backup")


async def test_on_a_new_computer_the_chat_goes_on(world: World, tmp_path: Path) -> None:
    """Identity, trust and history come back; what waited is delivered; nothing comes twice."""
    alice, bob = await world.two()
    await alice.node.send("bob", "before")
    await bob.node.send("alice", "answer")
    await delivered(alice, "bob")
    await delivered(bob, "alice")
    await alice.node.verify("bob", await alice.node.safety_number("bob"))
    await bob.stop()
    await alice.node.send("bob", "waits")
    made = await alice.node.back_up(str(tmp_path / "file"), PASSPHRASE)
    assert (made.contacts, made.messages) == (1, 3)
    await bob.start()
    await online(alice, "bob")
    await alice.node.rotate_key()  # bob knows a later key than the backup
    await until(lambda: bob.node._book.find("alice").record.certificate_generation > 0)
    await bob.stop()
    await alice.stop()
    alice.path = tmp_path / "new computer"
    await asyncio.to_thread(
        lambda: archive.restore(
            tmp_path / "file",
            PASSPHRASE,
            alice.path,
            unlock=UNLOCK,
            rng=system_rng,
            now_ms=world.clock.wall_ms(),
            memory_kib=8,
        ).close()
    )
    await bob.start()
    await alice.start()
    await online(alice, "bob")
    await alice.node.send("bob", "after")
    await bob.node.send("alice", "welcome back")
    await delivered(alice, "bob")
    await delivered(bob, "alice")
    assert await bob.texts("alice") == ["before", "waits", "after"]
    assert await alice.texts("bob") == ["answer", "welcome back"]
    [view] = await alice.node.contacts()
    assert view.trust == "verified"


async def test_a_running_node_refuses_what_cannot_be(world: World, tmp_path: Path) -> None:
    alice = world.person("alice")
    await alice.start()
    with pytest.raises(UsageError, match="whole path"):
        await alice.node.back_up("here", PASSPHRASE)
    with pytest.raises(UsageError, match="empty"):
        await alice.node.back_up(str(tmp_path / "file"), Secret(b""))
    with pytest.raises(StoreError, match="cannot write"):
        await alice.node.back_up("/proc/nowhere/file", PASSPHRASE)


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process make backups and profiles whose passphrase costs nothing."""
    for make in (archive.create, archive.restore):
        defaults = make.__kwdefaults__
        assert defaults is not None
        monkeypatch.setitem(defaults, "memory_kib", 8)


@pytest.mark.usefixtures("cheap")
def test_by_commands(tmp_path: Path) -> None:
    alice, bob = Profile.quick(tmp_path, "Alice"), Profile.quick(tmp_path, "Bob")
    alice.run("add", bob.link(), "--name", "Bob")
    alice.run("send", "Bob", "a \x1b[31mletter")
    other = tmp_path / "other"
    other.write_text("the backup's own passphrase\n")
    own = ("--backup-passphrase-file", str(other))
    file = str(tmp_path / "backup")
    with plain_node(alice, "--listen", "none"):
        assert "1 contact, 1 message" in alice.run("backup", "create", f"{file}.2", *own)
    alice.run("backup", "create", f"{file}.3")  # no node runs; the profile's passphrase serves
    alice.run("backup", "create", file, *own)
    assert "choose another name" in alice.run("backup", "create", file, *own, code=2)
    assert "passphrase is wrong" in alice.run("backup", "verify", file, code=3)
    verified = alice.run("backup", "verify", file, *own)
    assert verified.startswith("whole: a backup of Alice made ")
    assert alice.json("whoami")[0]["peer_id"] in verified

    assert "never overwritten" in alice.run("backup", "restore", file, *own, code=1)
    new = Profile(tmp_path, "Alice")
    assert "passphrase is wrong" in new.run("backup", "restore", file, code=3)
    assert "1 contact, 1 message" in new.run("backup", "restore", file, *own)
    assert new.json("whoami")[0]["peer_id"] == alice.json("whoami")[0]["peer_id"]
    (message,) = new.json("log", "Bob")
    assert (message["text"], message["state"]) == ("a \x1b[31mletter", "queued")


@pytest.mark.usefixtures("cheap")
def test_mistakes_are_one_line(tmp_path: Path) -> None:
    alice = Profile.quick(tmp_path, "Alice")
    (tmp_path / "no backup").write_text("something else")
    (tmp_path / "empty").write_text("")
    assert "is not a p2pchat backup" in alice.run(
        "backup", "verify", str(tmp_path / "no backup"), code=6
    )
    assert "is not a p2pchat backup" in alice.run(
        "backup", "verify", str(tmp_path / "empty"), code=6
    )
    assert "No such file" in alice.run("backup", "verify", str(tmp_path / "missing"), code=1)
    assert "No such file" in alice.run("backup", "create", str(tmp_path / "no/file"), code=1)
    assert "no --keychain" in alice.run("backup", "verify", "x", "--keychain", code=2)
    alice.run("backup", "create", str(tmp_path / "good"))
    whole = (tmp_path / "good").read_bytes()
    (tmp_path / "cut").write_bytes(whole[:-1])
    assert "cut short" in alice.run("backup", "verify", str(tmp_path / "cut"), code=6)
    assert "--backup-passphrase-file" in alice.run(
        "backup", "verify", str(tmp_path / "good"), "--passphrase-file", "-", code=2
    )
