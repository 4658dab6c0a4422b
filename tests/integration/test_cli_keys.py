"""``key``: what is done to the keys of an identity, by commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2pchat.identity.keys import peer_id
from p2pchat.identity.revocation import parse_revocation_text
from tests.support.cli_world import Profile


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
