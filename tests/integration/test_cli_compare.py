"""Comparing a phrase by commands: two nodes, two people who each type it (protocol.md §3.8)."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

from tests.support.cli_world import Profile, command, plain_node, run

PHRASE = "zebra canary phrase"


def compare(profile: Profile, contact: str, phrase: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        command(*profile.options, "verify", contact, "--secret-file", "-"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(f"{phrase}\n")
    process.stdin.close()
    process.stdin = None
    return process


def asked(profile: Profile, *, wanted: bool = True) -> dict[str, object]:
    """Wait until the contact asks, or does not ask any more."""
    for _ in range(500):
        (contact,) = profile.json("contacts")
        if contact["compare_asked"] is wanted:
            return dict(contact)
        time.sleep(0.02)
    raise AssertionError(profile.json("contacts"))


def test_two_people_compare_a_phrase(tmp_path: Path) -> None:
    alice, bob = Profile.quick(tmp_path, "Alice"), Profile.quick(tmp_path, "Bob")
    with plain_node(bob) as (_, link):
        bob.run("add", alice.link())
        alice.run("add", link.removeprefix("link "))
        with plain_node(alice, "--listen", "none"):
            alice.run("send", "Bob", "hello", "--wait", "20")
            for right in (False, True):
                alices = compare(alice, "bob", PHRASE)
                asked(bob)
                assert "asks you to type the phrase that you both know" in bob.run("contacts")
                bobs = compare(bob, "Alice", PHRASE.upper() if right else "something else")
                results = [process.communicate(timeout=30) for process in (alices, bobs)]
                codes = [process.returncode for process in (alices, bobs)]
                assert "asked Bob to type the phrase too; waiting\n" in results[0][0]
                if right:
                    assert codes == [0, 0], results
                    assert all("typed the same phrase" in out for out, _ in results)
                else:
                    assert codes == [5, 5], results
                    for _, err in results:
                        assert err.startswith("p2pchat: Not verified: the two phrases differ.")
                        assert err.count("\n") == 1
                        assert "2 tries are left" in err
                assert not any("zebra" in text for result in results for text in result)
            assert "Bob was verified just now by shared secret" in alice.run("contacts")
            (contact,) = bob.json("contacts")
            assert (contact["trust"], contact["verified_by"]) == ("verified", "secret")


def test_who_is_interrupted_breaks_it_off_for_both(tmp_path: Path) -> None:
    alice, bob = Profile.quick(tmp_path, "Alice"), Profile.quick(tmp_path, "Bob")
    with plain_node(bob) as (_, link):
        bob.run("add", alice.link())
        alice.run("add", link.removeprefix("link "))
        with plain_node(alice, "--listen", "none"):
            alice.run("send", "Bob", "hello", "--wait", "20")
            alices = compare(alice, "bob", PHRASE)
            asked(bob)
            alices.send_signal(signal.SIGINT)
            alices.communicate(timeout=30)
            assert alices.returncode == 130
            asked(bob, wanted=False)


def test_what_a_command_refuses(tmp_path: Path) -> None:
    alice, bob = Profile.quick(tmp_path, "Alice"), Profile.quick(tmp_path, "Bob")
    alice.run("add", bob.link())
    secret = tmp_path / "secret"
    secret.write_bytes(b"\xff\xfe\xfd\xfc\n")
    assert "not UTF-8" in alice.run("verify", "Bob", "--secret-file", str(secret), code=2)
    secret.write_text("abc\n")
    assert "4 characters" in alice.run("verify", "Bob", "--secret-file", str(secret), code=2)
    secret.write_text(PHRASE)
    refused = alice.run("verify", "Bob", "--secret-file", str(secret), code=4)
    assert "not online" in refused
    assert "zebra" not in refused
    missing = alice.run("verify", "Bob", "--secret-file", str(tmp_path / "none"), code=2)
    assert "cannot read the phrase" in missing
    both = ("--secret-file", str(secret), "--number", "1")
    assert "takes one of" in run(*alice.options, "verify", "Bob", *both, code=2)
    assert "three times" in alice.run("verify", "Bob", "--new-tries")


def test_the_safety_number_as_a_code(tmp_path: Path) -> None:
    alice, bob = Profile.quick(tmp_path, "Alice"), Profile.quick(tmp_path, "Bob")
    alice.run("add", bob.link())
    shown = alice.run("verify", "Bob", "--qr").splitlines()
    assert len(shown[0].split()) == 12
    assert sum(set(line) <= set(" ▀▄█") and line != "" for line in shown) == 15
