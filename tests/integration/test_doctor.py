"""``doctor``: plain words and exit codes for what is right and wrong, and its two ways to help."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.cli_world import Profile, plain_node, run_raw

PAGE = 4096


@pytest.fixture
def alice(tmp_path: Path) -> Profile:
    return Profile.quick(tmp_path, "Alice")


def doctor(profile: Profile, *arguments: str) -> tuple[int, str]:
    """Run it in a process of its own, as a person would."""
    result = run_raw(*profile.options, "doctor", *arguments)
    return result.returncode, (result.stdout + result.stderr).decode()


def spoil(file: Path, page: int) -> None:
    raw = bytearray(file.read_bytes())
    raw[page * PAGE + 100 : page * PAGE + 140] = bytes(40)
    file.write_bytes(raw)


def test_nothing_is_wrong_with_a_new_profile(alice: Profile) -> None:
    before = alice.files()
    code, said = doctor(alice)
    assert (code, "✗" in said) == (0, False), said
    for what in ("folder", "disk", "clock", "cipher", "core dumps", "settings", "key file"):
        assert f"✓ {what}: " in said
    assert "✓ database: whole; 0 contacts, 0 messages" in said
    assert alice.files()["chat.db"] == before["chat.db"]


def test_a_running_node_is_left_in_peace(alice: Profile) -> None:
    with plain_node(alice):
        code, said = doctor(alice)
        assert code == 0, said
        assert "✓ node: runs" in said
        code, said = doctor(alice, "--vacuum")
        assert (code, "no trace of deleted messages" in said) == (0, True)


def test_what_is_wrong_is_said_with_code_1(alice: Profile) -> None:
    alice.path.chmod(0o755)
    (alice.path / "config.toml").write_text("listne = 1\n")
    code, said = doctor(alice)
    assert code == 1
    assert re.search("✗ folder: others may read", said)
    assert "✗ settings: " in said
    assert "'listne'" in said
    assert "✓ database: whole" in said


def test_without_the_passphrase_the_database_is_not_looked_at(alice: Profile) -> None:
    alice.passphrase_file.write_text("wrong\n")
    code, said = doctor(alice)
    assert code == 0
    assert "- database: not looked at: " in said


def test_damage_is_code_6_and_is_salvaged_into_a_new_profile(
    alice: Profile, tmp_path: Path
) -> None:
    database = alice.path / "chat.db"
    pages = database.stat().st_size // PAGE
    spoil(database, pages - 1)
    spoiled = database.read_bytes()
    code, said = doctor(alice)
    assert code == 6, said
    assert "✗ database: " in said
    assert "--salvage" in said
    code, said = doctor(alice, "--salvage", str(tmp_path / "saved"))
    assert code == 0, said
    assert "saved 0 contacts and 0 messages" in said
    assert "begin" not in said
    assert database.read_bytes() == spoiled
    (tmp_path / "saved" / "key").stat()
    code, said = doctor(alice, "--salvage", str(tmp_path / "saved"))
    assert (code, "already" in said) == (1, True)
    database.write_bytes(b"SQLite format 3\x00" + spoiled[16:])
    code, said = doctor(alice)
    assert (code, "plaintext" in said) == (6, True)


def test_a_salvage_that_costs_the_records_says_so_in_a_line_each(
    alice: Profile, tmp_path: Path
) -> None:
    profile = alice.open()
    connection = profile.store.snapshot()
    places = connection.execute(
        "SELECT rootpage FROM sqlite_schema WHERE name IN ('audit_record', 'ledger_head')"
    ).fetchall()
    connection.close()
    profile.close()
    for (page,) in places:
        spoil(alice.path / "chat.db", int(str(page)) - 1)
    lines = alice.run("doctor", "--salvage", str(tmp_path / "saved")).splitlines()
    assert len([line for line in lines if line.startswith("not whole: audit_record, led")]) == 1
    assert len([line for line in lines if line.startswith("the audit log was not whole: ")]) == 1
    assert len([line for line in lines if line.startswith("the ledgers of the conv")]) == 1
    alice.path = tmp_path / "saved"
    shown = alice.json("audit", "show")
    assert (shown[0]["sequence"], shown[0]["kind"]) == (1, "recovered")
    assert shown[0]["context"] == {"source": "salvage", "lost": "audit_record, ledger_head"}
    (verified,) = alice.json("audit", "verify")
    assert (verified["ok"], verified["head_outside"]) == (True, True)


def test_no_profile_is_no_damage(tmp_path: Path) -> None:
    result = run_raw("--profile", f"{tmp_path}/none/", "doctor")
    assert result.returncode == 1
    assert b"p2pchat init" in result.stderr
