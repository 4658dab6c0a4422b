"""Two nodes whose messages disappear, by a clock that the test moves (protocol.md §9.6)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from p2pchat.errors import UsageError
from p2pchat.node.events import ContactChanged, MessageRemoved
from p2pchat.node.expiry import LOOK_AGAIN_S
from p2pchat.session.vanishing import TimerStep, Vanishing
from p2pchat.store.records import DeliveryState, Direction, MessageKind, MessageRecord
from tests.support.net_clock import ManualClock
from tests.support.node_faulty_store import FaultyStore
from tests.support.node_world import (
    Person,
    World,
    delivered,
    memory_world,
    online,
    until,
    view_of,
)

HOUR_S = 3600


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = memory_world(tmp_path, clock=ManualClock())
    yield world
    await world.close()


def seconds(person: Person, contact: str) -> int:
    return view_of(person, contact).vanishing.seconds


async def agreed(world: World, after_s: int = HOUR_S) -> tuple[Person, Person]:
    alice, bob = await world.two()
    await alice.node.timer("bob", TimerStep.PROPOSE, after_s)
    await until(lambda: view_of(bob, "alice").vanishing.theirs is not None)
    assert seconds(alice, "bob") == seconds(bob, "alice") == 0  # one alone does not decide
    await bob.node.timer("alice", TimerStep.ACCEPT)
    await until(lambda: seconds(alice, "bob") == after_s)
    assert seconds(bob, "alice") == after_s
    for person in (alice, bob):  # whoever listens hears of it
        told = [each.contact for each in person.events if isinstance(each, ContactChanged)]
        assert told[-1].vanishing.seconds == after_s
    return alice, bob


async def plain(person: Person, contact: str) -> list[str]:
    """Texts of both sides, without the words about the timer."""
    return [view.text for view in await person.history(contact) if view.kind is MessageKind.TEXT]


def gone(person: Person) -> list[str]:
    return [each.message_id for each in person.events if isinstance(each, MessageRemoved)]


def manual(world: World) -> ManualClock:
    assert isinstance(world.clock, ManualClock)
    return world.clock


async def test_messages_go_after_the_time_that_both_agreed_on(world: World) -> None:
    """R-9.6.1 to R-9.6.5: ours from delivery on, theirs from when they were read."""
    alice, bob = await agreed(world)
    view = await alice.node.send("bob", "burn this")
    assert view.lifetime_s == HOUR_S
    await delivered(alice, "bob")
    due = (await alice.history("bob"))[-1].expires_at_ms
    assert due is not None
    assert 0 <= world.clock.wall_ms() + HOUR_S * 1000 - due < 1000
    manual(world).advance((due - world.clock.wall_ms()) / 1000 - 0.5)
    assert await plain(alice, "bob") == ["burn this"]
    manual(world).advance(0.5)
    await until(lambda: gone(alice) == [view.message_id])
    assert await plain(alice, "bob") == []
    assert await alice.node.messages("bob", search="burn") == []
    # Bob has not seen it yet: nothing vanishes unseen.
    await online(alice, "bob")
    assert await plain(bob, "alice") == ["burn this"]
    await bob.node.mark_read("alice")
    manual(world).advance(HOUR_S)
    await until(lambda: gone(bob) == [view.message_id])
    assert await plain(bob, "alice") == []
    assert await bob.node.messages("alice", search="burn") == []
    assert not any("burn" in view.text for view in await bob.history("alice"))


async def test_the_time_passes_while_nothing_runs(world: World) -> None:
    """R-9.6.5: what is due goes before anything is shown, whoever opens the profile."""
    alice, bob = await agreed(world)
    await alice.node.send("bob", "soon gone")
    await delivered(alice, "bob")
    await bob.node.mark_read("alice")
    for person in (alice, bob):
        await person.stop()
    manual(world).advance(HOUR_S)
    for person, other in ((alice, "bob"), (bob, "alice")):
        await person.start(listen=False, dial=False)
        assert await plain(person, other) == []


async def test_a_wall_clock_that_is_set_forward_is_noticed(world: World) -> None:
    """R-9.6.5: it is the wall clock that counts; it is looked at every minute."""
    alice, _ = await agreed(world)
    await alice.node.send("bob", "short")
    await delivered(alice, "bob")
    manual(world)._wall_ms += HOUR_S * 1000
    manual(world).advance(LOOK_AGAIN_S)
    await until(lambda: len(gone(alice)) == 1)


async def test_a_repeated_message_that_has_disappeared_stays_away(world: World) -> None:
    """R-8.5.4: its row is gone, but the ledger knows it."""
    alice, bob = await agreed(world)
    view = await alice.node.send("bob", "once only")
    await delivered(alice, "bob")
    await bob.node.mark_read("alice")
    manual(world).advance(HOUR_S)
    await until(lambda: len(gone(bob)) == 1)
    # Alice's store forgot that it was delivered, and the session with it.
    peer = alice.node._book.find("bob")
    again = MessageRecord(
        bytes.fromhex(view.message_id),
        peer.contact_id,
        Direction.OUT,
        "once only",
        view.sent_at_ms,
        DeliveryState.QUEUED,
    )
    await until(lambda: len(gone(alice)) == 1)
    await alice.node._env.store.write(lambda tx: tx.add_message(again))
    await online(alice, "bob")
    assert peer.link is not None
    peer.link.messages_wait()
    await alice.node.send("bob", "marker")
    await delivered(alice, "bob")
    assert await plain(bob, "alice") == ["marker"]


async def test_a_time_that_nobody_agreed_to_is_not_obeyed(world: World) -> None:
    """R-9.6.3: a dishonest program makes its messages vanish too soon."""
    alice, bob = await agreed(world)
    peer = alice.node._book.find("bob")
    records = [
        MessageRecord(
            bytes([number]) * 16,
            peer.contact_id,
            Direction.OUT,
            f"after {lifetime_s}",
            world.clock.wall_ms(),
            DeliveryState.QUEUED,
            lifetime_s=lifetime_s,
        )
        for number, lifetime_s in enumerate((5, HOUR_S))
    ]
    await alice.node._env.store.write(lambda tx: [tx.add_message(each) for each in records])
    assert peer.link is not None
    peer.link.messages_wait()
    await delivered(alice, "bob")
    await bob.node.mark_read("alice")
    manual(world).advance(HOUR_S)
    await until(lambda: len(gone(bob)) == 1)
    assert await plain(bob, "alice") == ["after 5"]


async def test_a_program_that_has_unlearned_it_is_not_sent_what_would_stay(world: World) -> None:
    """R-8.3.6: the person is told, and can end it."""
    alice, bob = await agreed(world)
    peer = alice.node._book.find("bob")
    await alice.node._reception.changes.greeted(peer, frozenset({"text"}))
    with pytest.raises(UsageError, match="Bob's program would not let messages disappear"):
        await alice.node.send("bob", "would stay")
    await alice.node.timer("bob", TimerStep.END)
    await alice.node.send("bob", "may stay")
    await delivered(alice, "bob")
    assert await plain(bob, "alice") == ["may stay"]
    assert seconds(bob, "alice") == 0


async def test_either_ends_it_and_what_was_said_before_still_goes(world: World) -> None:
    """R-9.6.2"""
    alice, bob = await agreed(world)
    await alice.node.send("bob", "before")
    await delivered(alice, "bob")
    await bob.node.timer("alice", TimerStep.END)
    await until(lambda: seconds(alice, "bob") == 0)
    await alice.node.send("bob", "after")
    await delivered(alice, "bob")
    await bob.node.mark_read("alice")
    manual(world).advance(HOUR_S)
    await until(lambda: len(gone(alice)) == 1 and len(gone(bob)) == 1)
    assert await plain(alice, "bob") == await plain(bob, "alice") == ["after"]
    assert not any(view.reply_to for view in await alice.history("bob"))
    kinds = [view.kind.value for view in await alice.history("bob")]
    assert kinds == ["timer.propose", "timer.accept", "timer.end", "text"]


async def test_what_is_no_answer_to_where_you_stand_is_refused(world: World) -> None:
    alice, bob = await world.two()
    for step in (TimerStep.ACCEPT, TimerStep.DECLINE):
        with pytest.raises(UsageError, match="proposed nothing"):
            await alice.node.timer("bob", step)
    with pytest.raises(UsageError, match="do not disappear"):
        await alice.node.timer("bob", TimerStep.END)
    await alice.node.timer("bob", TimerStep.PROPOSE, 60)
    with pytest.raises(UsageError, match="already"):
        await alice.node.timer("bob", TimerStep.PROPOSE, 120)
    await until(lambda: view_of(bob, "alice").vanishing.theirs is not None)
    await bob.node.timer("alice", TimerStep.DECLINE)
    await until(lambda: view_of(alice, "bob").vanishing.ours is None)
    assert seconds(alice, "bob") == seconds(bob, "alice") == 0


async def test_agreement_survives_a_restart_and_not_another_key(world: World) -> None:
    """R-9.6.1"""
    alice, bob = await agreed(world)
    await alice.node.timer("bob", TimerStep.PROPOSE, 60)
    await bob.stop()
    await bob.start()
    await online(bob, "alice")
    await until(lambda: view_of(bob, "alice").vanishing.theirs is not None)
    assert seconds(bob, "alice") == HOUR_S
    peer = bob.node._book.find("alice")
    await peer.update(
        lambda record: replace(record, pin=replace(record.pin, identity=bytes(range(32))))
    )
    assert peer.vanishing == Vanishing()
    await bob.stop()
    await bob.start()
    assert view_of(bob, "alice").vanishing == Vanishing()
    assert (await bob.node.send("alice", "to somebody else")).lifetime_s is None


async def test_a_full_disk_delays_and_does_not_end_it(world: World, tmp_path: Path) -> None:
    alice, bob = await agreed(world)
    await alice.node.send("bob", "stubborn")
    await delivered(alice, "bob")
    store = alice.node._env.store = FaultyStore(alice.node._env.store)
    store.broken = True
    manual(world).advance(HOUR_S)
    for _ in range(20):
        await asyncio.sleep(0)
    store.broken = False
    await asyncio.sleep(0.05)
    manual(world).advance(LOOK_AGAIN_S)
    await until(lambda: len(gone(alice)) == 1)
    assert bob.node.status().contacts_online <= 1
