"""The command line from ``init`` to ``log``."""

import asyncio
import json
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from p2pchat.cli import message_commands
from p2pchat.rpc.opening import attach
from p2pchat.store import keyfile
from tests.support.cli_world import PASSPHRASE, Profile, plain_node, run

T = TypeVar("T")


@pytest.fixture
def alice(tmp_path: Path) -> Profile:
    return Profile.quick(tmp_path, "Alice")


@pytest.fixture
def bob(tmp_path: Path) -> Profile:
    return Profile.quick(tmp_path, "Bob")


def test_init_makes_a_private_profile_with_the_full_password_hash(tmp_path: Path) -> None:
    alice = Profile(tmp_path, "Alice")
    made = alice.process("init", "--name", "Alice Liddell")
    assert str(alice.path) in made
    assert stat.S_IMODE(alice.path.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in alice.path.iterdir()} == {0o600}
    assert keyfile.read(alice.path / "key").memory_kib == 256 * 1024
    me = json.loads(alice.process("whoami", "--json"))
    assert set(me) == {"name", "peer_id", "link"}
    assert me["name"] == "Alice Liddell"
    assert me["peer_id"] in made


def test_two_people_meet_and_write_by_commands_alone(alice: Profile, bob: Profile) -> None:
    (me,) = alice.json("whoami")
    shown = alice.run("whoami", "--qr")
    assert me["link"] in shown
    assert "▀" in shown
    with plain_node(bob, "--listen", "127.0.0.1:0") as announced:
        address, link = announced
        assert address.startswith("listening on 127.0.0.1:")
        alice.process("add", link.removeprefix("link "), "--name", "bob", "--note", "it is me")
        with plain_node(alice, "--listen", "none") as silent:
            assert [line.split()[0] for line in silent] == ["link"]
            # A strange request: bob decides by command, his node holds the profile meanwhile.
            (request,) = _until(lambda: bob.json("contacts"))
            assert (request["trust"], request["note"]) == ("request", "it is me")
            assert "writes: it is me" in bob.run("contacts")
            bob.process("accept", "Alice")
            delivered = alice.process("send", "bob", "Hello\nBob", "--wait", "20")
            assert delivered == "delivered to bob\n"
            bob.run("send", "ALICE", "Hello Alice", "--wait", "20")
            number = alice.process("verify", "bob").splitlines()[0]
            assert bob.run("verify", "Alice").splitlines()[0] == number
            groups = number.split(" ")
            assert len(groups) == 12
            assert all(len(group) == 5 and group.isdigit() for group in groups)
            pasted = number.replace(" ", "\n  ")
            assert "✓ verified" in alice.run("verify", "bob", "--number", pasted)
            (contact,) = alice.json("contacts")
            assert (contact["contact"], contact["trust"]) == ("bob", "verified")
            assert contact["online"] is True
            assert "● online" in alice.process("contacts")
    # Both have ended; the conversation is there.
    lines = alice.process("log", "bob").splitlines()
    assert [line[17:] for line in lines] == ["→ Hello", "  Bob  ✓✓", "← bob: Hello Alice"]
    found = alice.json("log", "bob", "--search", "hello alice")
    assert [(entry["direction"], entry["text"]) for entry in found] == [("in", "Hello Alice")]
    assert [entry["text"] for entry in alice.json("log", "bob", "--limit", "1")] == ["Hello Alice"]
    alice.run("remove", "bob")
    assert alice.run("contacts").splitlines()[0].startswith("no contacts yet")


def test_send_delivers_without_a_running_node(alice: Profile, bob: Profile) -> None:
    with plain_node(bob, "--listen", "127.0.0.1:0") as (_, link):
        alice.run("add", link.removeprefix("link "))
        bob.run("add", alice.link())
        assert alice.process("send", "bob", "hello", "--wait", "20") == "delivered to bob\n"


def test_a_long_conversation_is_shown_page_by_page(
    alice: Profile, bob: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_commands, "_PAGE", 3)
    alice.run("add", bob.link())
    texts = [f"message {n}" for n in range(8)]
    for text in texts:
        assert alice.run("send", "bob", text).startswith("queued for bob")
    assert [entry["text"] for entry in alice.json("log", "Bob", "--limit", "500")] == texts
    assert [entry["text"] for entry in alice.json("log", "Bob", "--limit", "7")] == texts[1:]
    assert [entry["text"] for entry in alice.json("log", "Bob", "--limit", "6")] == texts[2:]
    assert "○ queued: no node runs" in alice.run("log", "bob")


def test_a_running_node_needs_no_passphrase_again(alice: Profile) -> None:
    with plain_node(alice):
        assert "peer id" in run("--profile", f"{alice.path}{os.sep}", "whoami")
    assert "locked" in run("--profile", f"{alice.path}{os.sep}", "whoami", code=3)


def test_a_client_can_end_a_node_whose_answer_still_leaves(alice: Profile) -> None:
    with plain_node(alice):
        asyncio.run(_stop(alice.path))
        _until(lambda: not (alice.path / "socket").exists())


async def _stop(path: Path) -> None:
    client = await attach(path)
    assert client is not None
    assert await client.call("node.stop") == {}
    await client.close()


def test_the_passphrase_comes_from_standard_input_as_well(tmp_path: Path) -> None:
    folder = f"{tmp_path}/new/"
    secret = f"{PASSPHRASE}\n".encode()
    run("init", "--name", "N", "--profile", folder, "--passphrase-file", "-", stdin=secret)
    run("--passphrase-file", "-", "whoami", "--profile", folder, stdin=PASSPHRASE.encode())


def test_profiles_are_found_by_name_under_the_home(
    alice: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("P2PCHAT_HOME", str(alice.path.parent))
    name, passphrase = alice.path.name, str(alice.passphrase_file)
    assert "Alice" in run("--profile", name, "whoami", "--passphrase-file", passphrase)
    run("--profile", "../etc", "whoami", code=1)
    run("--profile", "..", "whoami", code=2)


def test_deciding_about_a_contact(alice: Profile, bob: Profile) -> None:
    alice.run("add", bob.link())
    alice.run("block", "bob")
    assert "⊘ blocked" in alice.run("contacts")
    alice.run("send", "bob", "hello", code=5)
    alice.run("accept", "bob")
    alice.run("keep", "bob")
    assert alice.json("contacts")[0]["trust"] == "unverified"
    alice.run("send", "bob", "hello")


def _until(ask: Callable[[], T]) -> T:
    """Ask again until there is an answer."""
    for _ in range(500):
        if answer := ask():
            return answer
        time.sleep(0.02)
    raise AssertionError("there was never an answer")
