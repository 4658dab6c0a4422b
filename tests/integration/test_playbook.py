"""The incident playbook of SECURITY.md, played: its own commands, against a thief with a copy.

The commands are taken out of the text, so a playbook that does not work, or names a command that
is none, fails here. What stands for something in them (``pass``, ``words``, ``LINK``, …) is put in.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from p2pchat.cli.main import main
from p2pchat.cli.parser import build_parser
from p2pchat.crypto.secret import Secret
from p2pchat.store.open import PassphraseUnlock, open_profile
from tests.support.cli_world import Profile, plain_node

SECURITY = (Path(__file__).parents[2] / "SECURITY.md").read_text(encoding="utf-8")
PLAYBOOK = SECURITY.split("## Incident playbook\n")[1].split("\n## ")[0]
INCIDENTS = {
    title: [line.strip() for line in body.splitlines() if line.startswith("    p2pchat ")]
    for title, body in re.findall(r"### ([^\n]+)\n(.*?)(?=\n### |\Z)", PLAYBOOK, re.DOTALL)
}
NODE = ("--listen", "127.0.0.1:0")
DEADLINE_S = 30.0


class Stage:
    """The people of the playbook, and what its words stand for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.alice = Profile.quick(folder, "Alice")
        self.bob = Profile.quick(folder, "Bob")
        self.new = Profile(folder, "Alice")
        self.profiles = {"old": self.alice, "new": self.new, "bob": self.bob}
        self.files = {"newpass": self._file("newpass", "another passphrase\n")}
        self.words: dict[str, str] = {}

    def _file(self, name: str, content: str) -> str:
        (self.folder / name).write_text(content)
        return str(self.folder / name)

    def put(self, name: str, content: str) -> None:
        """Let a file of the playbook have this content."""
        self.files[name] = self._file(name, content)

    def play(self, incident: str) -> list[str]:
        """Run the commands of an incident in order; returns what each printed.

        Left to the test: a node, which runs beside it, and what a contact does by hand.
        """
        return [
            self.command(line)
            for line in INCIDENTS[incident]
            if not line.endswith(" node") and "CERTIFICATE" not in line
        ]

    def command(self, line: str, code: int = 0) -> str:
        """Run one command of the playbook."""
        _, *words = shlex.split(line)
        profile = self.profiles[words[words.index("--profile") + 1]]
        stands_for = {
            **{name: f"{each.path}/" for name, each in self.profiles.items()},
            "pass": str(profile.passphrase_file),
            "audit.jsonl": str(self.folder / "audit.jsonl"),
            **self.files,
            **self.words,
        }
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            found = main([stands_for.get(word, word) for word in words])
        assert found == code, (line, out.getvalue(), err.getvalue())
        return out.getvalue()

    def steal(self) -> Profile:
        """A thief copies the profile's folder and knows the passphrase."""
        thief = Profile(self.folder, "Mallory")
        shutil.copytree(
            self.alice.path, thief.path, ignore=shutil.ignore_patterns("socket", "lock")
        )
        return thief

    def meet(self, announced: list[str]) -> None:
        """Alice and Bob become contacts, and have written to each other once."""
        self.alice.run("add", announced[-1].removeprefix("link "), "--name", "Bob")
        self.bob.run("add", self.alice.link(), "--name", "Alice")
        self.alice.run("send", "Bob", "hello", "--wait", "20")

    def bobs(self, name: str) -> dict[str, Any]:
        return next(each for each in self.bob.json("contacts") if each["contact"] == name)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def texts(person: Profile, contact: str) -> list[str]:
    return [message["text"] for message in person.json("log", contact)]


def until(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.2)  # another process is at work


def test_every_command_of_the_playbook_is_one_of_ours() -> None:
    assert len(INCIDENTS) == 7
    for title, lines in INCIDENTS.items():
        assert lines, title
        for line in lines:
            build_parser().parse_args(shlex.split(line)[1:])


@pytest.mark.slow
def test_a_copied_profile_is_noticed_and_the_playbook_restores_a_safe_state(stage: Stage) -> None:
    """Endpoint compromise: the thief writes in her name, is noticed, shut out, and stays out."""
    alice, bob = stage.alice, stage.bob
    with plain_node(bob, *NODE) as announced:
        stage.meet(announced)
        stage.play("Before anything happens")
        thief = stage.steal()
        thief.run("send", "Bob", "send money", "--wait", "20")
        assert texts(bob, "Alice") == ["hello", "send money"]

        # She comes back. Her own log says that the session was another's, and what was said.
        alice.run("send", "Bob", "how are you", "--wait", "20")
        shown, verified, _ = stage.play("Copied profile")
        assert "session" in shown
        assert "ledger differed" in shown
        assert "the audit log is whole" in verified
        alice.run("send", "Bob", "I have rotated", "--wait", "20")
        complaint = thief.run("send", "Bob", "send more", "--wait", "4", code=4)
        assert "not delivered" in complaint

        # The thief has the identity key as well, and rotates past her.
        for _ in range(3):
            thief.run("key", "rotate")
        thief.run("send", "Bob", "it is me again", "--wait", "20")

        revoked, _ = stage.play("Suspected compromise")
        assert "1 contact to be told" in revoked
        with plain_node(alice, "--listen", "none"):
            until(lambda: stage.bobs("Alice")["revoked"])
        assert "revoked" in thief.run("send", "Bob", "one more", "--wait", "4", code=4)
        assert "revoked" in bob.run("send", "Alice", "are you there?", code=5)

        # A new identity, compared by voice: safe again.
        stage.new.run("add", bob.link(), "--name", "Bob")
        bob.run("add", stage.new.link(), "--name", "Alice anew")
        (number,) = re.findall(r"(?:\d{5}\s+){11}\d{5}", stage.new.run("verify", "Bob"))
        bob.run("verify", "Alice anew", "--number", number)
        stage.new.run("send", "Bob", "my new key", "--wait", "20")
        assert texts(bob, "Alice anew") == ["my new key"]
        assert "one more" not in texts(bob, "Alice")
        assert stage.bobs("Alice anew")["trust"] == "verified"
    assert "whole" in bob.run("audit", "verify")


@pytest.mark.slow
def test_a_lost_device_is_shut_out_by_the_words(stage: Stage) -> None:
    alice, bob = stage.alice, stage.bob
    with plain_node(bob, *NODE) as announced:
        stage.meet(announced)
        shown, certificate, _ = stage.play("Before anything happens")
        cells = re.findall(r"(\d+)\. ([a-z]+)", shown)
        stage.put("words", " ".join(word for _, word in cells))
        stage.words["LINK"] = bob.link()
        number = bob.run("verify", "Alice")
        stage.play("Lost device")
        stage.new.run("send", "Bob", "from another computer", "--wait", "20")
        assert texts(bob, "Alice") == ["hello", "from another computer"]
        assert bob.run("verify", "Alice") == number
        assert "not delivered" in alice.run("send", "Bob", "found it", "--wait", "4", code=4)

    # And the certificate on paper ends it at a contact's, without any of her computers.
    stage.words["CERTIFICATE"] = certificate.strip()
    by_hand = next(line for line in INCIDENTS["Suspected compromise"] if "CERTIFICATE" in line)
    assert "refused from now on" in stage.command(by_hand)
    assert stage.bobs("Alice")["revoked"]


def test_a_leaked_passphrase_is_changed(stage: Stage) -> None:
    stage.play("Passphrase leaked")
    assert "passphrase is wrong" in stage.alice.run("whoami", code=3)
    changed = PassphraseUnlock(Secret(b"another passphrase"))
    open_profile(stage.alice.path, unlock=changed, now_ms=time.time_ns() // 1_000_000).close()


def test_a_compromised_peer_and_a_bad_release(stage: Stage) -> None:
    stage.alice.run("add", stage.bob.link(), "--name", "Bob")
    stage.play("Peer compromised")
    assert stage.alice.json("contacts")[0]["trust"] == "blocked"
    verified, rotated = stage.play("Bad release")
    assert "whole" in verified
    assert re.search(r"generation \d{10}\b", rotated)
