"""``audit show``, ``verify`` and ``export`` as a person gives them."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path

import pytest

from p2pchat.cli.main import main
from p2pchat.store import keyfile
from p2pchat.store.connection import open_database
from tests.support.cli_world import Profile, plain_node, run


@pytest.fixture
def alice(tmp_path: Path) -> Profile:
    """A profile with a contact, so with a log."""
    profile = Profile.quick(tmp_path, "Alice")
    bob = Profile.quick(tmp_path, "Bob")
    profile.run("add", bob.link(), "--name", "bob")
    return profile


def told(profile: Profile, *arguments: str, code: int, capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that answers on standard output and with its exit code."""
    capsys.readouterr()
    assert main([*profile.options, *arguments]) == code
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def damage(profile: Profile, sql: str) -> None:
    """Change the database as somebody would who has its key."""
    key_file = keyfile.read(profile.path / "key")
    key = keyfile.unwrap(key_file, keyfile.derive_wrapping_key(key_file, profile.secret))
    connection = open_database(profile.path / "chat.db", key)
    connection.execute(sql)
    connection.close()


def test_show_tells_what_happened_in_words(alice: Profile) -> None:
    lines = alice.run("audit", "show").splitlines()
    assert lines[0].split() == ["NUMBER", "TIME", "WHAT", "WHO", "MORE"]
    assert any("contact pinned" in line and line.rstrip().endswith("bob") for line in lines)
    assert any("identity made" in line and "yourself" in line for line in lines)
    assert "signature" not in "".join(lines)


def test_show_as_json_by_kind_and_number(alice: Profile) -> None:
    (pinned,) = alice.json("audit", "show", "--kind", "contact_pinned")
    assert pinned["kind"] == "contact_pinned"
    assert set(pinned) == {"sequence", "at_ms", "kind", "principal", "key_id", "context"}
    records = alice.json("audit", "show", "--limit", "2")
    assert len(records) == 2
    assert records[0]["sequence"] + 1 == records[1]["sequence"]
    assert "contact_pinned" in alice.run("audit", "show", "--kind", "gossip", code=2)


def test_verify_says_that_the_log_is_whole(
    alice: Profile, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "the audit log is whole: records 1 to " in alice.run("audit", "verify")
    (report,) = alice.json("audit", "verify")
    assert report["ok"]
    (alice.path / "audit.head").unlink()
    # The very opening for this command writes the file anew, so its lack does not show here.
    assert "is whole" in told(alice, "audit", "verify", code=0, capsys=capsys)


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("DELETE FROM audit_record WHERE sequence = 2", "record 2 is missing"),
        ("UPDATE audit_record SET record = x'7b7d' WHERE sequence = 3", "record 3 was chang"),
        ("DELETE FROM audit_record WHERE sequence = 1", "record 1 is missing"),
    ],
)
def test_a_log_that_was_changed_is_code_6_and_located(
    alice: Profile, sql: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(alice, sql)
    said = told(alice, "audit", "verify", code=6, capsys=capsys)
    assert "NOT what was recorded" in said
    assert words in said
    (line,) = told(alice, "audit", "verify", "--json", code=6, capsys=capsys).splitlines()
    assert json.loads(line)["ok"] is False
    assert str(json.loads(line)["sequence"]) in words
    alice.run("audit", "show")  # can still be read


def test_an_older_database_put_back_is_code_6(
    alice: Profile, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(alice.path / "chat.db", alice.path.with_name("old"))
    alice.run("contacts")
    shutil.copy(alice.path.with_name("old"), alice.path / "chat.db")
    said = told(alice, "audit", "verify", code=6, capsys=capsys)
    assert "copy of the database" in said
    assert "audit.head" in said
    assert "⚠ warning" in alice.run("audit", "show")
    assert "an older copy of the profile" in alice.run("audit", "show", "--kind", "warning")


def test_a_log_without_its_key_is_damage(alice: Profile) -> None:
    damage(alice, "DELETE FROM audit_log")
    assert "restore the profile" in alice.run("audit", "verify", code=6)
    assert "restore the profile" in alice.run("block", "bob", code=6)
    assert "bob" in alice.run("contacts")


def test_an_export_is_verified_without_any_profile(alice: Profile, tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    said = alice.run("audit", "export", str(file))
    assert f"audit verify {file}" in said
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for line in file.read_text().splitlines():
        json.loads(line)
    (me,) = alice.json("whoami")
    nowhere = ("--profile", f"{tmp_path}/nowhere/")
    said = run(*nowhere, "audit", "verify", str(file))
    assert me["peer_id"] in said
    assert "give --peer" in said
    run(*nowhere, "audit", "verify", str(file), "--peer", me["peer_id"])
    assert not (tmp_path / "nowhere").exists()


def test_an_export_that_was_changed_is_code_1(
    alice: Profile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "audit.jsonl"
    alice.run("audit", "export", str(file))
    good = file.read_text()
    file.write_text(good.replace("contact_pinned", "contact_kept"))
    said = told(alice, "audit", "verify", str(file), code=1, capsys=capsys)
    assert "NOT what was exported" in said
    number = next(
        each["sequence"] for each in alice.json("audit", "show", "--kind", "contact_pinned")
    )
    assert f"record {number} was changed" in said
    (line,) = told(
        alice, "audit", "verify", str(file), "--json", code=1, capsys=capsys
    ).splitlines()
    assert json.loads(line)["sequence"] == number
    file.write_text("".join(good.splitlines(keepends=True)[:-1]))
    assert "cut off" in told(alice, "audit", "verify", str(file), code=1, capsys=capsys)
    file.write_text(good)
    other = Profile.quick(tmp_path, "Bob").json("whoami")[0]["peer_id"]
    said = told(alice, "audit", "verify", str(file), "--peer", other, code=1, capsys=capsys)
    assert "belongs to another identity" in said


def test_what_cannot_be_is_one_line(alice: Profile, tmp_path: Path) -> None:
    file = tmp_path / "taken"
    file.write_text("mine")
    assert "not overwritten" in alice.run("audit", "export", str(file), code=2)
    assert file.read_text() == "mine"
    assert "cannot write" in alice.run("audit", "export", str(tmp_path / "no" / "file"), code=1)
    assert "cannot read" in alice.run("audit", "verify", str(tmp_path / "none"), code=1)
    assert "peer id" in alice.run("audit", "verify", str(file), "--peer", "me", code=2)


def test_a_running_node_answers(alice: Profile, tmp_path: Path) -> None:
    with plain_node(alice, "--listen", "127.0.0.1:0"):
        assert "is whole" in alice.run("audit", "verify")
        assert "contact pinned" in alice.run("audit", "show")
        alice.run("audit", "export", str(tmp_path / "file"))
    alice.run("audit", "verify", str(tmp_path / "file"))
