"""``key status`` and ``key rotate``, on a profile at rest and on a running node."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from p2pchat.cli.key_commands import _when
from p2pchat.constants import STATIC_KEY_OVERLAP_MS
from tests.support.cli_world import Profile, plain_node

DAY_MS = 24 * 3600 * 1000


@pytest.fixture
def alice(tmp_path: Path) -> Profile:
    return Profile.quick(tmp_path, "Alice")


def test_a_rotation_at_rest_and_one_of_a_running_node(alice: Profile) -> None:
    whoami = alice.run("whoami")
    identity, first, *others = alice.json("key", "status")
    assert [key["name"] for key in others] == ["audit", "database"]
    assert (identity["name"], identity["algorithm"]) == ("identity", "Ed25519")
    assert (first["name"], first["generation"]) == ("static", 0)
    assert first["rotates_at_ms"] == first["made_at_ms"] + 30 * DAY_MS
    started_ms = time.time_ns() // 1_000_000
    said = alice.run("key", "rotate")
    same, second, previous, *again = alice.json("key", "status")
    assert again == others
    assert same == identity
    assert second["name"] == "static"
    assert second["generation"] >= started_ms // 1000
    assert f"generation {second['generation']}" in said
    assert second["made_at_ms"] >= started_ms
    assert previous["name"] == "static_previous"
    assert previous["key_id"] == first["key_id"] != second["key_id"]
    assert previous["ends_at_ms"] == second["made_at_ms"] + STATIC_KEY_OVERLAP_MS
    with plain_node(alice):
        assert alice.json("key", "status") == [same, second, previous, *others]
        said = alice.process("key", "rotate")
    _, third, previous, *_ = alice.json("key", "status")
    assert previous["key_id"] == second["key_id"]
    assert third["generation"] > second["generation"]
    assert f"generation {third['generation']}" in said
    assert alice.run("whoami") == whoami


def test_the_status_says_what_each_key_is_for_and_fits_a_terminal(alice: Profile) -> None:
    alice.run("key", "rotate")
    lines = alice.run("key", "status").splitlines()
    text = "\n".join(lines)
    assert max(map(len, lines)) <= 80
    for words in (
        "the safety number is made of it\n  no end is set",
        "X25519, key id ",
        "next rotation ",
        "(in 30 days)",
        "deleted ",
        "(in 14 days)",
        "in the profile's encrypted database",
        "signs the log of key and trust events",
        "in the key file, wrapped by the passphrase",
    ):
        assert words in text
    (alice.path / "config.toml").write_text("rotate_static_days = 0\n")
    assert "next rotation" not in alice.run("key", "status")


def test_how_far_off_a_day_is() -> None:
    now_ms = 1_800_000_000_000
    for days, words in ((0, "today"), (0.4, "today"), (1, "in 1 day"), (29.9, "in 30 days")):
        assert _when(now_ms + round(days * DAY_MS), now_ms).endswith(f"({words})")
    assert _when(now_ms - DAY_MS, now_ms).endswith("(1 day ago)")
    assert _when(now_ms - 400 * DAY_MS, now_ms).endswith("(400 days ago)")
