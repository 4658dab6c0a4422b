"""The past of a running node: found, exported, kept for a while, and gone."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from p2pchat.errors import StoreError, UnknownContactError, UsageError
from p2pchat.node import retention
from p2pchat.node.events import HistoryCut
from p2pchat.node.export import ExportFormat
from p2pchat.node.views import RetentionView
from p2pchat.session.vanishing import TimerStep
from p2pchat.store.ports import Transaction
from p2pchat.store.records import DeliveryState, Direction, MessageRecord
from tests.support.net_clock import ManualClock, SkewedClock
from tests.support.node_world import QUICK, Person, World, introduce, memory_world, online, until
from tests.support.raw_sql import raw_sql

DAY_S = 24 * 3600.0
HOSTILE = (
    "line\x1b[2J one\n[2026-01-01 00:00:00Z] → <Alice> forged\u202e\r    reactions: + Alice\u2028"
    "\x85\x0b\x0c[2026-01-01 00:00:00Z] → <Alice> forged"
)


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


async def said(one: Person, other: Person, text: str) -> str:
    """Let ``one`` say something; returns its id once ``other`` has it."""
    view = await one.node.send(other.name, text)
    await one.node.wait_delivered(other.name, view.message_id, 1e6)
    return view.message_id


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


async def test_no_message_forges_a_line_of_an_export_as_text(world: World, tmp_path: Path) -> None:
    alice, _ = await world.two()
    failed = message(alice, "bob", 2, "no", way=Direction.OUT, state=DeliveryState.FAILED)
    await put(alice, message(alice, "bob", 1, HOSTILE), replace(failed, reason="too\x1b \nlate"))
    file = tmp_path / "bob.txt"
    assert await alice.node.history.export("bob", str(file), ExportFormat.TEXT) == 2
    head, times, empty, *lines = file.read_text().splitlines()
    assert head.startswith("Conversation of Alice (→) with Bob (←), peer id ")
    assert (times, empty) == ("Times are UTC.", "")
    assert lines == [
        "[2027-01-15 08:00:00Z] ← <Bob> line␛[2J one",
        " " * 23 + "[2026-01-01 00:00:00Z] → <Alice> forged�␍    reactions: + Alice",
        " " * 23 + "�␋␌[2026-01-01 00:00:00Z] → <Alice> forged",
        "[2027-01-15 08:00:00Z] → <Alice> no",
        "    failed: too␛ late",
    ]


async def test_an_export_has_answers_changes_and_reactions(world: World, tmp_path: Path) -> None:
    """What two people really did to their messages, in both forms."""
    alice, bob = await world.two()
    asked = await said(bob, alice, "tea?\n    > or coffee")
    view = await alice.node.reply("bob", asked, "cofee")
    await alice.node.wait_delivered("bob", view.message_id, 1e6)
    gone = await said(alice, bob, "wrong window")
    await alice.node.edit("bob", view.message_id, "coffee")
    await alice.node.delete("bob", gone)
    await alice.node.react("bob", asked, "❤️")
    await bob.node.react("alice", view.message_id, "👍")
    await bob.node.timer("alice", TimerStep.PROPOSE, 60)
    await until(lambda: "60" in alice.arrived())
    file = tmp_path / "bob.txt"
    await alice.node.history.export("bob", str(file), ExportFormat.TEXT)
    stamp = re.compile(r"^\[[-0-9]{10} [:0-9]{8}Z\] ", re.MULTILINE)
    assert stamp.sub("[] ", file.read_text()).splitlines()[3:] == [
        "[] ← <Bob> tea?",
        " " * 23 + "    > or coffee",
        "    reactions: ❤️ Alice",
        "[] → (edited) <Alice> coffee",
        "    > tea? > or coffee",
        "    reactions: 👍 Bob",
        "[] → (deleted) <Alice>",
        "[] ← (timer.propose) <Bob> 60",
    ]
    await alice.node.history.export("bob", str(tmp_path / "json"), ExportFormat.JSON)
    written = json.loads((tmp_path / "json").read_bytes())["messages"]
    listed = [asdict(view) for view in await alice.node.messages("bob")]
    assert written == json.loads(json.dumps(listed))
    assert [one["reactions"] for one in written] == [[["out", "❤️"]], [["in", "👍"]], [], []]
    assert written[1]["reply_to"] == asked
    assert written[1]["edited_at_ms"] is not None
    assert [one["deleted"] for one in written] == [False, False, True, False]


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


@pytest.mark.parametrize("years", [10, -10])
async def test_the_clock_of_a_contact_decides_nothing(tmp_path: Path, years: int) -> None:
    """Far ahead it would keep messages for ever, far behind it would delete them at once."""
    config = replace(QUICK, retention_days=30, rotate_static_days=0)
    world = memory_world(tmp_path, clock=ManualClock(), config=config)
    alice, bob = world.person("alice"), world.person("bob")
    bob.clock = clock = SkewedClock(world.clock)
    await alice.start()
    await bob.start()
    await introduce(alice, bob)
    clock.offset_ms = years * 365 * 86_400_000
    await bob.node.send("alice", "by my clock")
    await until(lambda: alice.arrived() == ["by my clock"])
    await alice.node.mark_read("bob")
    [view] = await alice.history("bob")
    assert abs(view.sent_at_ms - world.clock.wall_ms()) > 9 * 365 * 86_400_000
    desk = alice.node.history
    await pass_time(alice, 29 * DAY_S)
    await desk.keep_for("bob", 30)
    assert await texts(alice, "bob") == ["by my clock"]
    await pass_time(alice, 1.1 * DAY_S)
    await desk.keep_for("bob", 30)
    assert await texts(alice, "bob") == []
    await world.close()


async def test_what_an_older_version_stored_is_kept_for_as_long_as_was_asked_at_least(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "UNIT_MESSAGES", 2)
    alice, _ = await world.two()
    await put(
        alice,
        *(message(alice, "bob", number, "1970", days_ago=20_000) for number in (1, 2, 3)),
        message(alice, "bob", 4, "2100", days_ago=-27_000),
    )
    undate = "UPDATE message SET stored_at_ms = NULL"
    await alice.node._env.store.write(lambda tx: raw_sql(tx, undate))
    await alice.node.history.keep_for("bob", 10)
    assert await texts(alice, "bob") == ["1970"] * 3 + ["2100"]
    await pass_time(alice, 9.9 * DAY_S)
    await alice.node.history.keep_for("bob", 10)
    assert await texts(alice, "bob") == ["1970"] * 3 + ["2100"]
    await pass_time(alice, 0.2 * DAY_S)
    await alice.node.history.keep_for("bob", 10)
    assert await texts(alice, "bob") == []
