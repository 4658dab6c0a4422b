"""Messages of ours that could not be sent for as long as they may wait, by a clock that we move."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from p2pchat.config import UNSENT_MAX_H
from p2pchat.crypto.secret import Secret, system_rng
from p2pchat.errors import UsageError
from p2pchat.identity.on_record import RecordStep
from p2pchat.node.events import LedgersDiffered, MessageRemoved, MessageStateChanged
from p2pchat.node.expiry import LOOK_AGAIN_S
from p2pchat.node.views import MessageView
from p2pchat.session.vanishing import TimerStep, Vanishing
from p2pchat.store.backup import archive
from p2pchat.store.records import DeliveryState, Direction, MessageRecord
from p2pchat.store.unsent import EXPIRED
from tests.support.net_clock import ManualClock
from tests.support.node_faulty_store import FaultyStore
from tests.support.node_world import (
    QUICK,
    UNLOCK,
    Person,
    World,
    delivered,
    memory_world,
    online,
    until,
)

HOUR_S = 3600
WHY = "it expired before it could be sent; send it again if it still matters"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = memory_world(tmp_path, clock=ManualClock())
    yield world
    await world.close()


@pytest.fixture
async def hourly(tmp_path: Path) -> AsyncIterator[World]:
    """By the settings, whatever cannot leave is given up after an hour."""
    config = replace(QUICK, unsent_expires_h=1)
    world = memory_world(tmp_path, clock=ManualClock(), config=config)
    yield world
    await world.close()


async def apart(world: World) -> tuple[Person, Person]:
    """Alice and bob, who know each other; bob is away."""
    alice, bob = await world.two()
    await bob.stop()
    return alice, bob


def manual(world: World) -> ManualClock:
    assert isinstance(world.clock, ManualClock)
    return world.clock


def failed(person: Person) -> list[str]:
    return [
        event.message_id
        for event in person.events
        if isinstance(event, MessageStateChanged) and event.state is DeliveryState.FAILED
    ]


async def stand(person: Person, contact: str) -> list[tuple[str, str]]:
    return [(view.text, view.state.value) for view in await person.history(contact)]


async def view(person: Person, message_id: str) -> MessageView:
    [found] = [each for each in await person.history("bob") if each.message_id == message_id]
    return found


async def waiting(person: Person) -> list[MessageRecord]:
    contact_id = person.node._book.find("bob").contact_id
    return await person.node._env.store.read(
        lambda tx: tx.undelivered(contact_id, 100, unsealed_only=False)
    )


async def test_what_waited_long_enough_fails_and_is_never_sent(world: World) -> None:
    alice, bob = await apart(world)
    sent = await alice.node.send("bob", "come at five", expires_in_s=HOUR_S)
    await alice.node.send("bob", "whenever")
    assert sent.unsent_until_ms == world.clock.wall_ms() + HOUR_S * 1000
    manual(world).advance(HOUR_S - 1)
    assert (await view(alice, sent.message_id)).state is DeliveryState.QUEUED
    manual(world).advance(1)
    await until(lambda: failed(alice) == [sent.message_id])
    [told] = [each for each in alice.events if isinstance(each, MessageStateChanged)][-1:]
    assert told.reason == WHY
    given_up = await view(alice, sent.message_id)
    assert (given_up.state, given_up.reason) == (DeliveryState.FAILED, WHY)
    assert given_up.unsent_until_ms is None
    await alice.stop()
    await alice.start()
    await bob.start()
    await online(alice, "bob")
    await until(lambda: bob.arrived() == ["whenever"], clock=world.clock)
    await alice.node.send("bob", "marker")
    await until(lambda: bob.arrived() == ["whenever", "marker"], clock=world.clock)
    assert (await view(alice, sent.message_id)).state is DeliveryState.FAILED
    for person in (alice, bob):
        assert not [event for event in person.events if isinstance(event, LedgersDiffered)]


async def test_who_waits_for_its_delivery_is_told(world: World) -> None:
    alice, _ = await apart(world)
    sent = await alice.node.send("bob", "soon", expires_in_s=60)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(
            alice.node.wait_delivered("bob", sent.message_id, 10.0 * HOUR_S)
        )
        await until(lambda: bool(alice.node._book.find("bob").outbox._waiters))
        manual(world).advance(60)
    assert waiting.result().state is DeliveryState.FAILED
    assert waiting.result().reason == WHY


async def test_the_time_passes_while_nothing_runs(world: World) -> None:
    """Given up before anybody is dialled or shown anything, whoever opens the profile."""
    alice, _ = await apart(world)
    await alice.node.send("bob", "too late", expires_in_s=HOUR_S)
    await alice.stop()
    manual(world).advance(HOUR_S)
    await alice.start(listen=False, dial=False)
    assert await stand(alice, "bob") == [("too late", "failed")]


async def test_a_computer_that_wakes_up_sends_nothing_that_is_too_late(world: World) -> None:
    """Its wall clock has leapt, and the network is back before anybody has looked at the time."""
    alice, bob = await apart(world)
    await alice.node.send("bob", "first")
    late = await alice.node.send("bob", "too late", expires_in_s=HOUR_S)
    await alice.node.send("bob", "last")
    manual(world)._wall_ms += HOUR_S * 1000
    # Whoever wants to seal gets nothing from there on, and has it given up at once.
    ready = await alice.node._book.find("bob").outbox.fetch(10, world.clock.wall_ms())
    assert [record.text for record in ready] == ["first"]
    await until(lambda: failed(alice) == [late.message_id])
    await bob.start()
    await until(lambda: bob.arrived() == ["first", "last"], clock=world.clock)
    assert failed(alice) == [late.message_id]
    await delivered_but_failed(alice)
    for person in (alice, bob):
        assert not [event for event in person.events if isinstance(event, LedgersDiffered)]


async def delivered_but_failed(person: Person) -> None:
    states = {"delivered", "failed"}

    async def settled() -> bool:
        return {state for _, state in await stand(person, "bob")} <= states

    async with asyncio.timeout(10):
        while not await settled():
            await asyncio.sleep(0.001)
            manual(person.world).advance(0.01)


async def test_a_clock_that_leaps_ahead_is_believed_and_loses_nothing(world: World) -> None:
    """It may have been right to: what failed stands where it was, and can be sent again."""
    alice, bob = await apart(world)
    sent = await alice.node.send("bob", "still true", expires_in_s=HOUR_S)
    await alice.node.send("bob", "another")
    manual(world)._wall_ms += 10 * 365 * 86_400_000
    manual(world).advance(LOOK_AGAIN_S)  # not in ten years: a minute later at the latest
    await until(lambda: failed(alice) == [sent.message_id])
    assert await stand(alice, "bob") == [("still true", "failed"), ("another", "queued")]
    manual(world)._wall_ms -= 10 * 365 * 86_400_000
    again = await alice.node.resend("bob", sent.message_id)
    assert (again.text, again.state) == ("still true", DeliveryState.QUEUED)
    assert again.reason != WHY
    assert again.sent_at_ms == world.clock.wall_ms()
    assert MessageRemoved("Bob", sent.message_id) in alice.events
    assert [text for text, _ in await stand(alice, "bob")] == ["another", "still true"]
    await bob.start()
    await until(lambda: bob.arrived() == ["another", "still true"], clock=world.clock)


async def test_what_was_sealed_goes_on_waiting(world: World) -> None:
    """The contact may have it: its copy and the ledgers count it."""
    alice, bob = await apart(world)
    contact_id = alice.node._book.find("bob").contact_id
    now_ms = world.clock.wall_ms()
    sealed = MessageRecord(
        bytes(16), contact_id, Direction.OUT, "sealed", now_ms, DeliveryState.SENT,
        unsent_until_ms=now_ms + 1,
    )  # fmt: skip
    await alice.node._env.store.write(lambda tx: tx.add_message(sealed))
    manual(world).advance(HOUR_S)
    await bob.start()
    await until(lambda: bob.arrived() == ["sealed"], clock=world.clock)
    assert failed(alice) == []


async def test_nothing_is_given_up_while_it_is_being_sealed(world: World) -> None:
    alice, _ = await apart(world)
    sent = await alice.node.send("bob", "leaves just now", expires_in_s=60)
    peer = alice.node._book.find("bob")
    async with peer.outbox.sealing:
        manual(world).advance(60)
        for _ in range(50):
            await asyncio.sleep(0.001)
        await alice.node._env.store.write(
            lambda tx: tx.set_message_state(
                peer.contact_id, [bytes.fromhex(sent.message_id)], DeliveryState.SENT
            )
        )
    await alice.node.send("bob", "marker", expires_in_s=60)
    manual(world).advance(60)
    await until(lambda: len(failed(alice)) == 1)
    assert await stand(alice, "bob") == [("leaves just now", "sent"), ("marker", "failed")]


async def test_the_settings_say_what_holds_where_nothing_is_said(hourly: World) -> None:
    alice, _ = await apart(hourly)
    now_ms = hourly.clock.wall_ms()
    sent = [
        await alice.node.send("bob", "as set"),
        await alice.node.send("bob", "shorter", expires_in_s=1),
        await alice.node.send("bob", "longer", expires_in_s=2 * HOUR_S),
    ]
    sent.append(await alice.node.reply("bob", sent[0].message_id, "a reply, as set"))
    waits_s = [HOUR_S, 1, 2 * HOUR_S, HOUR_S]
    assert [each.unsent_until_ms for each in sent] == [now_ms + 1000 * each for each in waits_s]
    for seconds in (0, -1, UNSENT_MAX_H * 3600 + 1):
        with pytest.raises(UsageError, match="1 second to 365 days"):
            await alice.node.send("bob", "x", expires_in_s=seconds)
    longest = await alice.node.send("bob", "x", expires_in_s=UNSENT_MAX_H * 3600)
    assert longest.unsent_until_ms == now_ms + UNSENT_MAX_H * 3_600_000
    manual(hourly).advance(HOUR_S)
    await until(lambda: len(failed(alice)) == 3)
    again = await alice.node.resend("bob", sent[3].message_id)
    assert again.reply_to == sent[0].message_id
    assert again.unsent_until_ms == hourly.clock.wall_ms() + HOUR_S * 1000


async def test_what_is_sent_again_waits_as_long_again(hourly: World) -> None:
    alice, _ = await apart(hourly)
    peer = alice.node._book.find("bob")
    first = await alice.node.send("bob", "dinner?")
    manual(hourly).advance(HOUR_S)
    await until(lambda: failed(alice) == [first.message_id])
    agreed = Vanishing(60)
    await alice.node._env.store.write(lambda tx: tx.changes(peer.contact_id).put_vanishing(agreed))
    second = await alice.node.resend("bob", first.message_id)
    assert second.lifetime_s == 60  # what both agreed on meanwhile
    await asyncio.sleep(0.01)  # nothing else is due, so somebody has to be told of this
    manual(hourly).advance(HOUR_S)
    await until(lambda: failed(alice) == [first.message_id, second.message_id])


async def test_changes_and_words_about_an_agreement_wait_for_good(hourly: World) -> None:
    """They are about what the contact has; without them the two sides would differ."""
    alice, bob = await hourly.two()
    first = await alice.node.send("bob", "one")
    second = await alice.node.send("bob", "two")
    theirs = await bob.node.send("alice", "three")
    await delivered(alice, "bob")
    await delivered(bob, "alice")
    await bob.stop()
    await alice.node.edit("bob", first.message_id, "one!")
    await alice.node.delete("bob", second.message_id)
    await alice.node.react("bob", theirs.message_id, "+")
    await alice.node.timer("bob", TimerStep.PROPOSE, 60)
    await alice.node.record("bob", RecordStep.PROPOSE)
    assert [record.unsent_until_ms for record in await waiting(alice)] == [None] * 5
    manual(hourly).advance(2 * HOUR_S)
    await bob.start()
    await online(alice, "bob")
    await delivered(alice, "bob")
    assert failed(alice) == []
    texts = [each.text for each in await bob.history("alice")]
    assert "one!" in texts
    assert "two" not in texts


async def test_a_statement_is_given_up_too_and_signed_again(hourly: World) -> None:
    alice, bob = await hourly.two()
    await alice.node.record("bob", RecordStep.PROPOSE)
    await delivered(alice, "bob")
    await bob.node.record("alice", RecordStep.ACCEPT)
    await delivered(bob, "alice")
    await bob.stop()
    signed = await alice.node.sign("bob", "I owe Bob a boat.")
    manual(hourly).advance(HOUR_S)
    await until(lambda: failed(alice) == [signed.message_id])
    with pytest.raises(UsageError, match="sign it again"):
        await alice.node.resend("bob", signed.message_id)


async def test_only_what_failed_is_sent_again(world: World) -> None:
    alice, bob = await world.two()
    ours = await alice.node.send("bob", "arrives")
    theirs = await bob.node.send("alice", "theirs")
    await delivered(alice, "bob")
    await delivered(bob, "alice")
    await bob.stop()
    queued = await alice.node.send("bob", "waits")
    for message_id in (ours.message_id, theirs.message_id, queued.message_id):
        with pytest.raises(UsageError, match="that failed can be sent again"):
            await alice.node.resend("bob", message_id)
    with pytest.raises(UsageError, match="no such message"):
        await alice.node.resend("bob", "00" * 16)


async def test_a_store_that_cannot_be_written_is_tried_again(world: World) -> None:
    """And until it was written down as given up, it does not leave."""
    alice, bob = await apart(world)
    await alice.node.send("bob", "too late", expires_in_s=HOUR_S)
    store = alice.node._env.store = FaultyStore(alice.node._env.store)
    store.broken = True
    manual(world).advance(HOUR_S)
    for _ in range(20):
        await asyncio.sleep(0)
    assert failed(alice) == []
    store.broken = False
    await asyncio.sleep(0.05)
    manual(world).advance(LOOK_AGAIN_S)
    await until(lambda: len(failed(alice)) == 1)
    await bob.start()
    await online(alice, "bob")
    assert bob.arrived() == []


async def test_a_restored_backup_sends_nothing_that_has_expired_meanwhile(
    world: World, tmp_path: Path
) -> None:
    alice, bob = await apart(world)
    expired = await alice.node.send("bob", "given up before", expires_in_s=60)
    manual(world).advance(60)
    await until(lambda: failed(alice) == [expired.message_id])
    late = await alice.node.send("bob", "given up meanwhile", expires_in_s=HOUR_S)
    await alice.node.send("bob", "in time", expires_in_s=10 * HOUR_S)
    await alice.node.back_up(str(tmp_path / "file"), Secret(b"p"))
    await alice.stop()
    manual(world).advance(HOUR_S)
    alice.path = tmp_path / "new computer"
    await asyncio.to_thread(
        lambda: archive.restore(
            tmp_path / "file",
            Secret(b"p"),
            alice.path,
            unlock=UNLOCK,
            rng=system_rng,
            now_ms=world.clock.wall_ms(),
            memory_kib=8,
        ).close()
    )
    await bob.start()
    await alice.start()
    await until(lambda: bob.arrived() == ["in time"], clock=world.clock)
    await delivered_but_failed(alice)
    assert await stand(alice, "bob") == [
        ("given up before", "failed"),
        ("given up meanwhile", "failed"),
        ("in time", "delivered"),
    ]
    # A program that reads the store sees the same.
    record = await alice.node._env.store.read(
        lambda tx: tx.message(
            alice.node._book.find("bob").contact_id, bytes.fromhex(late.message_id)
        )
    )
    assert record is not None
    assert record.reason == EXPIRED


async def test_what_left_before_an_old_copy_was_put_back(world: World) -> None:
    """The copy does not know that it left, and gives it up; the ledger tells what is known.

    If the person sends it again, both sides count it as a new message.
    """
    alice, bob = await apart(world)
    sent = await alice.node.send("bob", "once", expires_in_s=HOUR_S)
    await alice.stop()
    alice.save("copy")
    await alice.start()
    await bob.start()
    await online(alice, "bob")
    await delivered(alice, "bob")
    await alice.stop()
    alice.restore("copy")
    manual(world).advance(HOUR_S)
    await alice.start()
    await online(alice, "bob")
    assert await stand(alice, "bob") == [("once", "failed")]
    assert differences(alice) == [1]
    await alice.node.resend("bob", sent.message_id)
    await delivered(alice, "bob")
    await bob.stop()
    await bob.start()
    await online(alice, "bob")
    assert await stand(alice, "bob") == [("once", "delivered")]
    assert bob.arrived() == ["once", "once"]
    assert differences(alice) == [1]
    assert differences(bob) == []


def differences(person: Person) -> list[int]:
    return [
        event.ledger.sent_elsewhere for event in person.events if isinstance(event, LedgersDiffered)
    ]
