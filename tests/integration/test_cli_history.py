"""``search``, ``log --since``, ``export`` and ``retention`` as commands, and over JSON-RPC."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from p2pchat.identity.trust import Pin, Trust
from p2pchat.rpc.opening import open_client
from p2pchat.rpc.protocol import RpcError
from p2pchat.store.open import PassphraseUnlock
from p2pchat.store.ports import Transaction
from p2pchat.store.records import ContactRecord, DeliveryState, Direction, MessageRecord
from tests.support.cli_world import Profile

DAYS = {1: "2026-03-01", 2: "2026-03-02", 3: "2026-03-03"}


@pytest.fixture
def alice(tmp_path: Path) -> Profile:
    """Alice, who has written with bob for three days and with carol once."""
    profile = Profile.quick(tmp_path, "Alice")

    def noon(day: str) -> int:
        return round(time.mktime(time.strptime(f"{day} 12:00", "%Y-%m-%d %H:%M")) * 1000)

    def work(tx: Transaction) -> None:
        for name in ("Bob", "Carol"):
            pin = Pin(name.encode().ljust(32), Trust.UNVERIFIED)
            tx.put_contact(ContactRecord(0, name, pin))
        for number, day in DAYS.items():
            tx.add_message(
                MessageRecord(
                    number.to_bytes(16, "big"), 1, Direction.IN, f"kite {number}\x1b[2J",
                    noon(day), DeliveryState.READ,
                )
            )  # fmt: skip
        tx.add_message(
            MessageRecord(
                bytes(16), 2, Direction.OUT, "my kite", noon(DAYS[3]), DeliveryState.DELIVERED
            )
        )

    opened = profile.open()

    async def fill() -> None:
        await opened.store.write(work)

    asyncio.run(fill())
    opened.close()
    return profile


def test_log_between_two_days(alice: Profile) -> None:
    shown = alice.json("log", "bob", "--since", DAYS[2], "--until", DAYS[2])
    assert [one["text"] for one in shown] == ["kite 2\x1b[2J"]
    assert len(alice.json("log", "bob", "--until", DAYS[2])) == 2
    error = alice.run("log", "bob", "--since", "yesterday", code=2)
    assert "'yesterday' is not a day; write it as 2026-01-31" in error


def test_search_over_all_conversations(alice: Profile) -> None:
    lines = alice.run("search", "kite").splitlines()
    assert [line.partition(" ")[2] for line in lines] == [
        "12:00 ← Bob: kite 1␛[2J",
        "12:00 ← Bob: kite 2␛[2J",
        "12:00 ← Bob: kite 3␛[2J",
        "12:00 → Carol: my kite  ✓✓",
    ]
    (newest,) = alice.json("search", "kite", "--limit", "1")
    assert newest["contact"] == "Carol"
    assert alice.run("search", "albatross") == ""
    assert "which words" in alice.run("search", " ", code=2)


def test_export(alice: Profile, tmp_path: Path) -> None:
    file = tmp_path / "bob.json"
    told = alice.run("export", "bob", str(file), "--format", "json")
    assert told == f"wrote {file}: 3 messages, not encrypted\n"
    assert [one["text"] for one in json.loads(file.read_text())["messages"]] == [
        f"kite {number}\x1b[2J" for number in DAYS
    ]
    assert "never replaces a file" in alice.run("export", "bob", str(file), code=2)
    alice.run("export", "carol", str(tmp_path / "carol.txt"))
    assert "my kite" in (tmp_path / "carol.txt").read_text()


def test_retention(alice: Profile) -> None:
    assert alice.run("retention", "bob") == (
        "messages with bob are kept for good (retention_days)\n"
    )
    (alice.path / "config.toml").write_text("retention_days = 1\n")
    assert "for 1 day (retention_days)" in alice.run("retention", "bob")
    assert len(alice.json("log", "bob")) == 3, "only a node that runs looks at its messages' age"
    assert alice.run("retention", "bob", "--days", "0") == "messages with bob are kept for good\n"
    alice.run("retention", "bob", "--days", "2")
    assert alice.json("log", "bob") == []
    alice.run("retention", "bob", "--days", "default")
    assert "'default'" in alice.run("retention", "bob", "--days", "soon", code=2)


async def test_json_rpc(alice: Profile) -> None:
    client = await open_client(alice.path, unlock=PassphraseUnlock(alice.secret))
    try:
        listed = await client.call(
            "message.list", {"contact": "bob", "after_ms": 0, "limit": 1, "oldest": True}
        )
        assert [one["text"] for one in listed] == ["kite 1\x1b[2J"]
        after = {"contact": "bob", "after": listed[0]["message_id"]}
        later = await client.call("message.list", {**after, "limit": 1})
        assert [one["text"] for one in later] == ["kite 2\x1b[2J"]
        later = await client.call("message.list", after)
        assert [one["text"] for one in later] == ["kite 2\x1b[2J", "kite 3\x1b[2J"]
        found = await client.call("message.search", {"words": "my"})
        assert [(one["contact"], one["text"]) for one in found] == [("Carol", "my kite")]
        kept = await client.call("contact.retention", {"contact": "bob", "days": 10**4})
        assert kept == {"days": 10**4, "follows_settings": False}
        kept = await client.call("contact.retention", {"contact": "bob", "days": None})
        assert kept == {"days": 0, "follows_settings": True}
        assert set(await client.call("history.shrink")) == {"before_bytes", "after_bytes"}
        for method, params in (
            ("message.list", {"contact": "bob", "after_ms": 2**63}),
            ("message.list", {**after, "search": "kite"}),
            ("message.list", {**after, "oldest": True}),
            ("message.list", {"contact": "bob", "after": "f" * 32}),
            ("message.search", {"words": "a", "limit": 0}),
            ("contact.retention", {"contact": "bob", "days": -1}),
            ("message.export", {"contact": "bob", "path": "/x", "format": "pdf"}),
            ("message.export", {"contact": "bob", "path": "relative"}),
        ):
            with pytest.raises(RpcError) as refused:
                await client.call(method, params)
            assert refused.value.code == -32602
    finally:
        await client.close()
