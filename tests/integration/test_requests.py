"""Strangers' requests: declined, limited, quiet (protocol.md §8.3)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from p2pchat.constants import DECLINED_MAX, REQUEST_QUIET_MS, REQUESTS_BURST_PER_ADDRESS
from p2pchat.errors import TrustError, UsageError
from p2pchat.identity.trust import Trust
from p2pchat.node.events import ContactRequested
from p2pchat.node.link import Link
from p2pchat.session.states import State
from tests.support.net_clock import ManualClock
from tests.support.node_world import (
    QUICK,
    Person,
    World,
    delivered,
    memory_world,
    until,
    view_of,
)


def requests(person: Person) -> int:
    return sum(isinstance(event, ContactRequested) for event in person.events)


def contacts(person: Person) -> list[str]:
    return [peer.record.name for peer in person.node._book]


async def asking(world: World) -> tuple[Person, Person]:
    """Alice has asked Bob, who has not decided."""
    alice, bob = world.person("alice"), world.person("bob")
    await alice.start()
    await bob.start()
    await alice.node.add_contact(bob.node.identity().link, note="it is me")
    await until(lambda: contacts(bob) == ["Alice"], clock=world.clock)
    return alice, bob


def link_of(person: Person, contact: str) -> Link:
    link = person.node._book.find(contact).link
    assert isinstance(link, Link)
    return link


async def test_a_declined_stranger_learns_nothing_and_is_quiet_for_a_day(tmp_path: Path) -> None:
    """R-8.3.1"""
    clock = ManualClock()
    world = memory_world(tmp_path, clock=clock)
    alice, bob = await asking(world)
    waiting = link_of(alice, "bob")
    await bob.node.decline("alice")
    assert contacts(bob) == []
    for _ in range(20):
        await asyncio.sleep(0)
    # The very connection goes on, and its words to Alice's person are the same as before.
    assert link_of(alice, "bob") is waiting
    assert waiting._connection.state is State.PENDING
    assert "waiting for them to accept" in view_of(alice, "bob").offline_reason
    shown = requests(bob)
    for person in (alice, bob):  # neither coming anew nor Bob's restart shows it again
        await person.stop()
        await person.start()
        await until(
            lambda: "waiting for them to accept" in view_of(alice, "bob").offline_reason,
            clock=clock,
        )
    assert (contacts(bob), requests(bob)) == ([], shown)
    await alice.stop()
    clock.advance(REQUEST_QUIET_MS / 1000)
    await alice.start()
    await until(lambda: contacts(bob) == ["Alice"], clock=clock)
    assert requests(bob) == shown + 1
    await world.close()


async def test_who_was_declined_can_still_be_added(world: World) -> None:
    alice, bob = await asking(world)
    await bob.node.decline("alice")
    await bob.node.add_contact(alice.node.identity().link)
    await until(lambda: view_of(bob, "alice").online and view_of(alice, "bob").online)
    with pytest.raises(UsageError, match="no request"):
        await bob.node.decline("alice")


async def test_declined_strangers_take_no_room_from_others(world: World) -> None:
    bob = world.person("bob")
    await bob.start()
    desk = bob.node._reception.requests
    for number in range(DECLINED_MAX + 1):
        await desk.decline(number.to_bytes(32, "big"))
    assert not desk.is_declined(bytes(32))  # the oldest is forgotten
    assert desk.is_declined(DECLINED_MAX.to_bytes(32, "big"))
    await bob.stop()
    await bob.start()
    assert bob.node._reception.requests.is_declined(DECLINED_MAX.to_bytes(32, "big"))


async def test_requests_from_one_address_are_limited(world: World) -> None:
    bob = world.person("bob")
    await bob.start()
    desk = bob.node._reception.requests
    assert all(desk.take("alice:1") for _ in range(REQUESTS_BURST_PER_ADDRESS))
    assert not desk.take("alice:2")
    assert desk.take("carol:1")
    # A proxy on this computer brings everybody from its own address.
    assert all(desk.take("127.0.0.1:1") for _ in range(2 * REQUESTS_BURST_PER_ADDRESS))
    alice = world.person("alice")
    await alice.start()
    await alice.node.add_contact(bob.node.identity().link)
    await until(lambda: "goodbye" in view_of(alice, "bob").offline_reason)
    assert contacts(bob) == []


# --- verified contacts only -----------------------------------------------------------------------


async def test_verified_only_refuses_and_holds_back_until_compared(world: World) -> None:
    alice, bob = await world.two()
    await bob.stop()
    await alice.node.send("bob", "queued before the setting")
    await alice.stop()
    world.config = replace(QUICK, verified_only=True)
    await alice.start()
    with pytest.raises(TrustError, match="verified_only"):
        await alice.node.send("bob", "refused")
    world.config = QUICK
    await bob.start()
    await until(lambda: view_of(alice, "bob").online)
    assert view_of(alice, "bob").verify_first
    await bob.node.send("alice", "incoming is shown all the same")
    await delivered(bob, "alice")
    [queued] = [view for view in await alice.history("bob") if view.direction == "out"]
    assert queued.state == "queued"
    assert "verified contacts only" in queued.reason
    assert await bob.texts("alice") == []
    await alice.node.verify("bob", await alice.node.safety_number("bob"))
    assert view_of(alice, "bob").trust is Trust.VERIFIED
    await delivered(alice, "bob")
    assert await bob.texts("alice") == ["queued before the setting"]
