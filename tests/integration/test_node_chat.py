"""Two nodes chat: add, request, accept, block, queue, deliver (protocol.md §8.3, §8.5, §10)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from p2pchat.errors import TrustError, UnreachableError, UsageError
from p2pchat.identity.trust import Trust
from p2pchat.node.events import ContactRequested, MessageStateChanged, SessionRestarted
from p2pchat.store.records import DeliveryState
from tests.support.node_world import (
    DEADLINE_S,
    World,
    delivered,
    introduce,
    memory_world,
    online,
    until,
    view_of,
)


@pytest.fixture(params=["memory", "tcp"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    in_memory = request.param == "memory"
    world = memory_world(tmp_path) if in_memory else World(tmp_path, network=None)
    yield world
    await world.close()


async def test_they_add_each_other_and_chat_both_ways(world: World) -> None:
    alice, bob = await world.two()
    sent = await alice.node.send("bob", "hello Bob")
    done = await alice.node.wait_delivered("bob", sent.message_id, DEADLINE_S)
    assert done.state is DeliveryState.DELIVERED
    await bob.node.send("ALICE", "hello Alice")
    await delivered(bob, "alice")
    assert await bob.texts("alice") == ["hello Bob"]
    assert await alice.texts("bob") == ["hello Alice"]
    assert bob.arrived() == ["hello Bob"]
    assert alice.node.status().contacts_online == 1
    assert not [event for event in alice.events if isinstance(event, SessionRestarted)]


async def test_states_are_announced_in_order(world: World) -> None:
    alice, _ = await world.two()
    sent = await alice.node.send("bob", "hello")
    assert sent.state is DeliveryState.QUEUED
    await delivered(alice, "bob")
    states = [
        event.state
        for event in alice.events
        if isinstance(event, MessageStateChanged) and event.message_id == sent.message_id
    ]
    assert states == [DeliveryState.SENT, DeliveryState.DELIVERED]


async def test_a_stranger_asks_and_is_accepted(world: World) -> None:
    alice, bob = world.person("alice"), world.person("bob")
    await alice.start()
    await bob.start()
    await alice.node.add_contact(bob.node.identity().link, note="we met at the fair")
    await until(lambda: any(isinstance(event, ContactRequested) for event in bob.events))
    request = next(event for event in bob.events if isinstance(event, ContactRequested)).contact
    assert (request.name, request.trust, request.note) == (
        "Alice",
        Trust.REQUEST,
        "we met at the fair",
    )
    assert request.peer_id == alice.node.identity().peer_id
    with pytest.raises(TrustError, match="accept the request first"):
        await bob.node.send("alice", "too early")
    await until(lambda: "waiting for them to accept" in view_of(alice, "bob").offline_reason)
    early = await alice.node.send("bob", "are you there?")
    assert not view_of(alice, "bob").online

    await bob.node.accept("alice")
    await online(bob, "alice")
    await alice.node.wait_delivered("bob", early.message_id, DEADLINE_S)
    assert await bob.texts("alice") == ["are you there?"]
    await bob.node.send("alice", "now I am")
    await delivered(bob, "alice")
    assert await alice.texts("bob") == ["now I am"]


async def test_a_request_survives_both_restarts(world: World) -> None:
    alice, bob = world.person("alice"), world.person("bob")
    await alice.start()
    await bob.start()
    await alice.node.add_contact(bob.node.identity().link, note="it is me")
    await until(lambda: any(isinstance(event, ContactRequested) for event in bob.events))
    await bob.stop()
    await alice.stop()
    await bob.start()
    await bob.node.accept("alice")
    await alice.start()
    await online(bob, "alice")
    assert view_of(bob, "alice").note == "it is me"
    await alice.node.send("bob", "hello")
    await delivered(alice, "bob")


async def test_a_blocked_contact_learns_and_delivers_nothing(world: World) -> None:
    alice, bob = await world.two()
    await bob.node.block("alice")
    await until(lambda: not view_of(alice, "bob").online)
    sent = await alice.node.send("bob", "let me in")
    await until(lambda: "waiting for them to accept" in view_of(alice, "bob").offline_reason)
    with pytest.raises(UnreachableError, match="waiting for them to accept"):
        await alice.node.wait_delivered("bob", sent.message_id, 0.05)
    with pytest.raises(TrustError, match="blocked"):
        await bob.node.send("alice", "no")
    assert bob.arrived() == []
    await bob.node.accept("alice")
    await delivered(alice, "bob")
    assert await bob.texts("alice") == ["let me in"]


async def test_messages_wait_for_a_contact_that_is_away(world: World) -> None:
    alice, bob = await world.two()
    await bob.stop()
    await until(lambda: not view_of(alice, "bob").online)
    for number in range(20):
        await alice.node.send("bob", f"note {number}")
    views = await alice.history("bob")
    assert {view.state for view in views} == {DeliveryState.QUEUED}
    assert all(view.reason for view in views)
    await alice.stop()
    await alice.start()  # the queue is in the store
    await bob.start()
    await delivered(alice, "bob")
    assert await bob.texts("alice") == [f"note {number}" for number in range(20)]
    assert bob.arrived() == [f"note {number}" for number in range(20)]


async def test_a_restart_resumes_the_session(world: World) -> None:
    alice, bob = await world.two()
    for round_number in range(3):
        await alice.node.send("bob", f"a{round_number}")
        await bob.node.send("alice", f"b{round_number}")
        await delivered(alice, "bob")
        await delivered(bob, "alice")
        await bob.stop()
        await until(lambda: not view_of(alice, "bob").online)
        await bob.start()
        await online(alice, "bob")
        await online(bob, "alice")
    assert await bob.texts("alice") == ["a0", "a1", "a2"]
    assert await alice.texts("bob") == ["b0", "b1", "b2"]
    restarts = [e for e in (*alice.events, *bob.events) if isinstance(e, SessionRestarted)]
    assert restarts == []


async def test_300_messages_each_way_at_once(world: World) -> None:
    alice, bob = await world.two()
    for number in range(300):
        await alice.node.send("bob", f"a{number}")
        await bob.node.send("alice", f"b{number}")
    await delivered(alice, "bob")
    await delivered(bob, "alice")
    assert await bob.texts("alice") == [f"a{number}" for number in range(300)]
    assert await alice.texts("bob") == [f"b{number}" for number in range(300)]
    assert bob.arrived() == [f"a{number}" for number in range(300)]
    assert alice.arrived() == [f"b{number}" for number in range(300)]


async def test_a_cancelled_message_never_arrives(world: World) -> None:
    alice, bob = await world.two()
    await bob.stop()
    await until(lambda: not view_of(alice, "bob").online)
    regretted = await alice.node.send("bob", "regretted")
    kept = await alice.node.send("bob", "kept")
    await alice.node.cancel("bob", regretted.message_id)
    with pytest.raises(UsageError, match="no such message"):
        await alice.node.cancel("bob", regretted.message_id)
    await bob.start()
    await alice.node.wait_delivered("bob", kept.message_id, DEADLINE_S)
    assert await bob.texts("alice") == ["kept"]
    with pytest.raises(UsageError, match="too late"):
        await alice.node.cancel("bob", kept.message_id)


async def test_unread_counts_and_reading(world: World) -> None:
    alice, bob = await world.two()
    for number in range(3):
        await alice.node.send("bob", str(number))
    await delivered(alice, "bob")
    assert view_of(bob, "alice").unread == 3
    await bob.node.mark_read("alice")
    assert view_of(bob, "alice").unread == 0
    await bob.stop()
    await bob.start()
    assert view_of(bob, "alice").unread == 0


async def test_a_removed_contact_is_a_stranger_again(world: World) -> None:
    alice, bob = await world.two()
    await alice.node.send("bob", "hello")
    await delivered(alice, "bob")
    await bob.node.remove("alice")
    assert await bob.node.contacts() == []
    await until(lambda: any(isinstance(event, ContactRequested) for event in bob.events))
    await bob.node.accept("alice")
    await alice.node.send("bob", "hello again")
    await delivered(alice, "bob")
    assert await bob.texts("alice") == ["hello again"]


async def test_verification_is_kept(world: World) -> None:
    alice, bob = await world.two()
    number = await bob.node.safety_number("alice")
    assert await alice.node.safety_number("bob") == number
    assert await alice.node.verify("bob", number.replace(" ", "\n")) is Trust.VERIFIED
    with pytest.raises(TrustError, match="differ"):
        await bob.node.verify("alice", "1" * 60)
    assert view_of(bob, "alice").trust is Trust.UNVERIFIED
    await alice.stop()
    await alice.start()
    assert view_of(alice, "bob").trust is Trust.VERIFIED
    assert view_of(alice, "bob").verified_at_ms is not None


async def test_three_people_do_not_mix(world: World) -> None:
    alice, bob = await world.two()
    carol = world.person("carol")
    await carol.start()
    await introduce(alice, carol)
    await alice.node.send("bob", "for bob")
    await alice.node.send("carol", "for carol")
    await delivered(alice, "bob")
    await delivered(alice, "carol")
    assert await bob.texts("alice") == ["for bob"]
    assert await carol.texts("alice") == ["for carol"]
    assert alice.node.status().contacts_online == 2
