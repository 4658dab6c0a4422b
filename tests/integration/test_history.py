"""The past of a running node: found, exported, kept for a while, and gone."""

from __future__ import annotations

import json
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from p2pchat.errors import StoreError, UnknownContactError, UsageError
from p2pchat.node import retention
from p2pchat.node.export import ExportFormat
from p2pchat.node.views import HistoryCut, RetentionView
from p2pchat.store.ports import Transaction
from p2pchat.store.records import DeliveryState, Direction, MessageRecord
from tests.support.net_clock import ManualClock
from tests.support.node_world import QUICK, Person, World, memory_world, online, until

DAY_S = 24 * 3600.0
HOSTILE = "line\x1b[2J one\n2026-01-01 00:00:00Z → : forged\u202e"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    config = replace(QUICK, retention_days=30, rotate_static_days=0)
    world = memory_world(tmp_path, clock=ManualClock(), config=config)
    yield world
    await world.close()


async def put(person: Person, *records: MessageRecord) -> None:
    """Store messages as if they had been exchanged."""

    def work(tx: Transaction) -> None:
        for record in records:
            tx.add_message(record)

    await person.node._env.store.write(work)


def message(
    person: Person,
    contact: str,
    number: int,
    text: str,
    *,
    days_ago: float = 0.0,
    way: Direction = Direction.IN,
    state: DeliveryState = DeliveryState.READ,
) -> MessageRecord:
    return MessageRecord(
        number.to_bytes(16, "big"),
        person.node._book.find(contact).contact_id,
        way,
        text,
        person.world.clock.wall_ms() - round(days_ago * DAY_S * 1000),
        state,
    )


async def texts(person: Person, contact: str) -> list[str]:
    return [view.text for view in await person.history(contact)]


async def pass_time(person: Person, seconds: float) -> None:
    """Let the clock run, and everything that became due with it."""
    assert isinstance(person.world.clock, ManualClock)
    person.world.clock.advance(seconds)


async def two(world: World) -> tuple[Person, Person]:
    """Alice with bob and carol as contacts; bob."""
    alice, bob = await world.two()
    carol = world.person("carol")
    await carol.start()
    await alice.node.add_contact(carol.node.identity().link)
    await carol.node.add_contact(alice.node.identity().link)
    await online(alice, "carol")
    return alice, bob


async def test_a_search_over_all_contacts(world: World) -> None:
    alice, _ = await two(world)
    await put(
        alice,
        message(alice, "bob", 1, "a red kite", days_ago=9),
        message(alice, "carol", 2, "red", days_ago=5),
        message(alice, "carol", 3, "blue"),
        message(alice, "bob", 4, "Red!", way=Direction.OUT, state=DeliveryState.DELIVERED),
    )
    found = await alice.node.history.search("red")
    assert [(view.contact, view.text) for view in found] == [
        ("Bob", "a red kite"),
        ("Carol", "red"),
        ("Bob", "Red!"),
    ]
    now_ms = world.clock.wall_ms()
    recent = await alice.node.history.search("red", after_ms=now_ms - 6 * 86_400_000, limit=2)
    assert [view.text for view in recent] == ["red", "Red!"]
    with pytest.raises(UsageError, match="which words"):
        await alice.node.history.search("  ")
    with pytest.raises(UsageError, match="1 to 1000"):
        await alice.node.history.search("red", limit=1001)


async def test_an_export_as_json_is_exact(world: World, tmp_path: Path) -> None:
    alice, _ = await world.two()
    await put(alice, *(message(alice, "bob", number, f"{number}") for number in range(1, 1203)))
    await put(alice, message(alice, "bob", 2000, HOSTILE))
    file = tmp_path / "bob.json"
    assert await alice.node.history.export("bob", str(file), ExportFormat.JSON) == 1203
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    written = json.loads(file.read_bytes())
    assert written["contact"] == "Bob"
    listed = await alice.node.messages("bob", limit=2000)
    assert [one["text"] for one in written["messages"]] == [view.text for view in listed]
    assert written["messages"][-1]["text"] == HOSTILE
    assert written["messages"][0]["message_id"] == listed[0].message_id


async def test_an_export_as_text_is_harmless(world: World, tmp_path: Path) -> None:
    alice, _ = await world.two()
    failed = message(alice, "bob", 2, "no", way=Direction.OUT, state=DeliveryState.FAILED)
    await put(alice, message(alice, "bob", 1, HOSTILE), replace(failed, reason="too\x1b late"))
    file = tmp_path / "bob.txt"
    assert await alice.node.history.export("bob", str(file), ExportFormat.TEXT) == 2
    head, empty, *lines = file.read_text().splitlines()
    assert head.startswith("Conversation with Bob, peer id ")
    assert empty == ""
    assert lines == [
        "2027-01-15 08:00:00Z ← Bob: line␛[2J one",
        " " * 21 + "2026-01-01 00:00:00Z → : forged�",
        "2027-01-15 08:00:00Z →: no (failed: too␛ late)",
    ]


async def test_an_export_replaces_nothing_and_leaves_nothing_behind(
    world: World, tmp_path: Path
) -> None:
    alice, _ = await world.two()
    file = tmp_path / "exports" / "file"
    file.parent.mkdir()
    file.write_text("mine")
    with pytest.raises(StoreError, match="never replaces a file"):
        await alice.node.history.export("bob", str(file), ExportFormat.TEXT)
    assert file.read_text() == "mine"
    with pytest.raises(StoreError, match="cannot write an export"):
        await alice.node.history.export("bob", str(tmp_path / "no" / "file"), ExportFormat.TEXT)
    with pytest.raises(UsageError, match="whole path"):
        await alice.node.history.export("bob", "file", ExportFormat.TEXT)
    with pytest.raises(UnknownContactError):
        await alice.node.history.export("nobody", str(tmp_path / "x"), ExportFormat.TEXT)
    assert [each.name for each in file.parent.iterdir()] == ["file"]


async def test_old_messages_go_by_themselves(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "UNIT_MESSAGES", 3)
    alice, _ = await two(world)
    await alice.node.history.keep_for("carol", 0)
    await put(
        alice,
        *(message(alice, "bob", number, "old", days_ago=31) for number in range(1, 9)),
        message(alice, "bob", 20, "unread", days_ago=31, state=DeliveryState.DELIVERED),
        message(
            alice, "bob", 21, "waits", days_ago=31, way=Direction.OUT, state=DeliveryState.QUEUED
        ),
        message(alice, "bob", 22, "young", days_ago=29.9),
        message(alice, "carol", 23, "kept for good", days_ago=400),
    )
    await pass_time(alice, retention.FIRST_LOOK_S)
    await until(lambda: HistoryCut("Bob", 8) in alice.events)
    assert await texts(alice, "bob") == ["unread", "waits", "young"]
    assert await texts(alice, "carol") == ["kept for good"]
    assert (await alice.node.contact("bob")).unread == 1


async def test_a_clock_that_leaps_deletes_nothing_for_an_hour(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Other parts of the node wake up each hour and day as well; this one is told by its second.
    monkeypatch.setattr(retention, "LEAP_LOOK_S", 3601.0)
    monkeypatch.setattr(retention, "LOOK_S", DAY_S + 1.0)
    alice, _ = await world.two()
    await pass_time(alice, retention.FIRST_LOOK_S)
    await waits(alice, retention.LOOK_S)
    await put(alice, message(alice, "bob", 1, "today's"))
    world.clock._wall_ms += 10 * 365 * 86_400_000  # type: ignore[attr-defined]
    await pass_time(alice, retention.LOOK_S)
    await waits(alice, retention.LEAP_LOOK_S)
    assert await texts(alice, "bob") == ["today's"]
    await pass_time(alice, retention.LEAP_LOOK_S)  # it persists, so it is believed
    await until(lambda: HistoryCut("Bob", 1) in alice.events)


async def waits(person: Person, seconds: float) -> None:
    """Wait until all nodes have looked for old messages, and will again after so many seconds."""
    clock, nodes = person.world.clock, len(person.world.people)
    assert isinstance(clock, ManualClock)
    due = clock.monotonic() + seconds
    await until(lambda: sum(when == due for when, _, _ in clock._timers) == nodes)


async def test_a_contact_has_a_rule_of_its_own(world: World) -> None:
    alice, _ = await world.two()
    await put(
        alice, message(alice, "bob", 1, "two days", days_ago=2), message(alice, "bob", 2, "x")
    )
    history = alice.node.history
    assert await history.retention("bob") == RetentionView(30, follows_settings=True)
    assert await history.keep_for("bob", 1) == RetentionView(1, follows_settings=False)
    assert await texts(alice, "bob") == ["x"]  # at once
    assert await history.keep_for("bob", None) == RetentionView(30, follows_settings=True)
    with pytest.raises(UsageError, match="36500"):
        await history.keep_for("bob", 36_501)


async def test_after_shrinking_everything_works_as_before(world: World) -> None:
    alice, bob = await world.two()
    await put(alice, *(message(alice, "bob", number, "x" * 2000) for number in range(1, 400)))
    contact_id = alice.node._book.find("bob").contact_id
    await alice.node._env.store.write(
        lambda tx: tx.delete_outlived(contact_id, world.clock.wall_ms() + 1, 400)
    )
    store = alice.node.history._store
    await until(lambda: store.size_bytes() > 500_000)  # the log is folded in
    shrunk = await alice.node.history.shrink()
    assert shrunk.after_bytes < shrunk.before_bytes
    await bob.node.send("alice", "still there?")
    await until(lambda: alice.arrived() == ["still there?"], clock=world.clock)
