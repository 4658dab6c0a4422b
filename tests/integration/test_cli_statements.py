"""The record and statements by commands; checking one needs no profile (protocol.md §9.4)."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.support.cli_world import Profile, plain_node, run


def until_record(profile: Profile, state: str) -> None:
    for _ in range(500):
        if profile.json("contacts")[0]["record"] == state:
            return
        time.sleep(0.02)
    raise AssertionError(profile.json("contacts"))


def test_two_people_on_the_record_and_a_third_who_checks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = Profile.quick(tmp_path, "Alice"), Profile.quick(tmp_path, "Bob")
    file = tmp_path / "statement.json"
    with plain_node(bob) as (_, link):
        bob.run("add", alice.link())
        alice.run("add", link.removeprefix("link "))
        with plain_node(alice, "--listen", "none"):
            assert "only on the record" in alice.run("sign", "Bob", "too early", code=5)
            assert "proposed to Bob" in alice.run("record", "Bob", "propose")
            until_record(bob, "asked")
            assert "on the record" in bob.run("record", "Alice", "accept")
            until_record(alice, "on")
            shown = alice.run("sign", "Bob", "I owe Bob a boat.\nA \x1b[31mred one.")
            message_id = shown.split()[-2]
            alice.run("send", "Bob", "signed: I owe Bob a ship", "--wait", "20")
            lines = [line[17:] for line in bob.run("log", "Alice").splitlines()]
            assert lines[2].startswith("✎← Alice: signed: I owe Bob a boat.")
            assert lines[-1] == "← Alice: signed: I owe Bob a ship"  # no text looks like one
            bob.run("export-statement", "Alice", message_id, str(file))
            assert "cannot write" in bob.run(
                "export-statement", "Alice", message_id, str(file), code=2
            )
            (entry,) = [each for each in bob.json("log", "Alice") if each["kind"] == "statement"]
            assert entry["message_id"] == message_id
            alice_id, bob_id = (each.json("whoami")[0]["peer_id"] for each in (alice, bob))
    monkeypatch.setenv("P2PCHAT_HOME", str(tmp_path / "nobody"))
    checked = run("verify-statement", str(file)).splitlines()
    assert checked[0] == f"the statement holds; it was signed by {alice_id}"
    assert checked[1] == f"for {bob_id}"
    assert checked[3:] == ["  I owe Bob a boat.", "  A ␛[31mred one."]
    assert not (tmp_path / "nobody").exists()
    content = json.loads(file.read_text())
    for change, problem in (
        ({"text": "I owe Bob a ship."}, "is not what was signed"),
        ({"signed": content["signed"][:-8] + "AAAAAAA="}, "does not hold"),
        ({"signed": ""}, "no statement"),
    ):
        file.write_text(json.dumps(content | change))
        assert problem in run("verify-statement", str(file), code=1)
    file.write_text("I owe Bob a boat.")
    assert "no exported statement" in run("verify-statement", str(file), code=1)
    assert "cannot read" in run("verify-statement", str(tmp_path / "none"), code=2)
