"""``key``: what is done to the keys of an identity, by commands."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

from p2pchat.identity.keys import peer_id
from p2pchat.identity.revocation import parse_revocation_text
from tests.support.cli_world import Profile, plain_node


@pytest.fixture
def alice(tmp_path: Path) -> Profile:
    return Profile.quick(tmp_path, "Alice")


@pytest.fixture
def bob(tmp_path: Path) -> Profile:
    return Profile.quick(tmp_path, "Bob")


def test_the_certificate_is_there_from_the_first_day_and_showing_it_revokes_nothing(
    alice: Profile, tmp_path: Path
) -> None:
    (me,) = alice.json("whoami")
    certificate = alice.run("key", "revoke", "--print")
    assert peer_id(parse_revocation_text(certificate).identity) == me["peer_id"]
    assert alice.run("key", "revoke", "--print") == certificate
    assert "revoked" not in alice.run("whoami")
    carol = Profile(tmp_path, "Carol")
    made = carol.run("init", "--name", "Carol", "--print-revocation")
    assert carol.run("key", "revoke", "--print") in made


def test_a_lost_device_is_revoked_from_anywhere(
    alice: Profile, bob: Profile, tmp_path: Path
) -> None:
    """By the certificate on paper, typed into a file, on a contact's computer."""
    bob.run("add", alice.link())
    paper = tmp_path / "paper"
    paper.write_text(alice.run("key", "revoke", "--print"))
    said = bob.run("key", "revoke", str(paper), "--yes")
    assert said == "the key of Alice is revoked: it is refused from now on\n"
    (contact,) = bob.json("contacts")
    assert (contact["trust"], contact["revoked"]) == ("blocked", True)
    assert "⊘ KEY REVOKED" in bob.run("contacts")
    assert "Alice has revoked this key" in bob.run("contacts")
    assert "revoked" in bob.run("send", "Alice", "hello", code=5)
    assert "revoked" in bob.run("accept", "Alice", code=5)
    bob.run("remove", "Alice")
    assert "revoked" in bob.run("add", alice.link(), code=5)


def test_our_own_key(alice: Profile, bob: Profile) -> None:
    alice.run("add", bob.link())
    assert "--yes" in alice.run("key", "revoke", code=2)  # nobody is there to be asked
    assert "revoked" not in alice.run("whoami")
    said = alice.run("key", "revoke", "--yes")
    assert said.startswith("your key is revoked: ")
    assert "1 contact to be told, each when it is next met" in said
    assert "p2pchat node" in said
    assert "revoked  on 2" in alice.run("whoami")
    assert "you have revoked your key" in alice.run("send", "Bob", "hello", code=5)


@pytest.mark.parametrize("given", ["p2pchat-revocation:AAAA", "no such file", "p2pchat:AAAA"])
def test_what_is_no_certificate_is_a_usage_error(alice: Profile, given: str) -> None:
    complaint = alice.run("key", "revoke", given, "--yes", code=2)
    assert "revocation" in complaint
    assert "revoked" not in alice.run("whoami")


# --- replacing ------------------------------------------------------------------------------------


def test_another_identity_in_the_same_profile(alice: Profile, bob: Profile) -> None:
    """R-3.7.9: contacts stay, the old key's revocation is handed over, nothing runs meanwhile."""
    alice.run("add", bob.link())
    (before,) = alice.json("whoami")
    old_certificate = alice.run("key", "revoke", "--print").strip()
    assert "--yes" in alice.run("key", "replace", code=2)
    with plain_node(alice, "--listen", "none"):
        assert "end it first" in alice.run("key", "replace", "--yes", code=1)
    assert alice.json("whoami") == [before]
    said = alice.run("key", "replace", "--yes")
    (after,) = alice.json("whoami")
    assert after["peer_id"] in said
    assert after["peer_id"] != before["peer_id"]
    assert [contact["contact"] for contact in alice.json("contacts")] == ["Bob"]
    assert f"p2pchat key revoke {old_certificate}" in said
    assert alice.run("key", "revoke", "--print").strip() != old_certificate
    revoked = alice.run("key", "revoke", old_certificate, "--yes")
    assert revoked.startswith(f"your key is revoked: {before['peer_id']}")
    assert "revoked" not in alice.run("whoami")
    alice.run("send", "Bob", "with the new key")


# --- recovery -------------------------------------------------------------------------------------


def words_in(shown: str) -> str:
    """The words alone, in order, as a person writes them down."""
    cells = re.findall(r"(\d+)\. ([a-z]+)", shown)
    assert [int(number) for number, _ in cells] == list(range(1, 25))
    return " ".join(word for _, word in cells)


def test_24_words_bring_the_identity_back(alice: Profile, tmp_path: Path) -> None:
    (me,) = alice.json("whoami")
    assert "terminal only" in alice.run("key", "recovery", code=2)
    paper = tmp_path / "paper"
    paper.write_text(words_in(alice.run("key", "recovery", "--yes")))
    other = Profile(tmp_path, "other")
    said = other.run("init", "--name", "Alice", "--words-file", str(paper))
    assert f"brought back the identity of Alice in {other.path}" in said
    (again,) = other.json("whoami")
    assert again == me
    assert other.run("key", "revoke", "--print") == alice.run("key", "revoke", "--print")


def test_a_recovery_file_brings_identity_and_name_back(alice: Profile, tmp_path: Path) -> None:
    (me,) = alice.json("whoami")
    kit, key = tmp_path / "kit", tmp_path / "kit-passphrase"
    key.write_text("of the kit alone\n")
    options = ("--kit-passphrase-file", str(key))
    alice.run("key", "recovery", "--file", str(kit), *options)
    assert stat.S_IMODE(kit.stat().st_mode) == 0o600
    assert "never overwritten" in alice.run("key", "recovery", "--file", str(kit), *options, code=2)
    other = Profile(tmp_path, "other")
    wrong = ("--kit-passphrase-file", str(other.passphrase_file))
    assert "passphrase is wrong" in other.run("init", "--recovery-file", str(kit), *wrong, code=3)
    assert not (other.path / "key").exists()
    other.run("init", "--recovery-file", str(kit), *options)
    assert other.json("whoami") == [me]


def test_a_running_node_does_not_tell_the_words(alice: Profile) -> None:
    with plain_node(alice, "--listen", "none"):
        assert "end it first" in alice.run("key", "recovery", "--yes", code=1)


@pytest.mark.parametrize(
    "arguments",
    [
        ("init",),
        ("init", "--name", "A", "--words-file", "no such file"),
        ("init", "--name", "A", "--words-file", "w", "--recovery-file", "f"),
        ("init", "--name", "A", "--kit-passphrase-file", "p"),
        ("key", "recovery", "--kit-passphrase-file", "p"),
        ("key", "recovery", "p2pchat-revocation:x"),
        ("key", "revoke", "--file", "f"),
    ],
)
def test_what_does_not_belong_together(arguments: tuple[str, ...], tmp_path: Path) -> None:
    nobody = Profile(tmp_path, "Nobody")
    nobody.run(*arguments, code=2)
    assert not (nobody.path / "key").exists()


def test_mistaken_words_make_nothing(tmp_path: Path) -> None:
    nobody = Profile(tmp_path, "Nobody")
    paper = tmp_path / "paper"
    paper.write_text("abandon " * 24)
    complaint = nobody.run("init", "--name", "A", "--words-file", str(paper), code=2)
    assert "do not belong together" in complaint
    assert not (nobody.path / "key").exists()
