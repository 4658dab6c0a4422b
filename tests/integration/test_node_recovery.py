"""An identity comes back on another computer (protocol.md §3.7)."""

from __future__ import annotations

import shutil

from p2pchat.identity.trust import Trust
from p2pchat.node.events import KeyNews, KeyNewsKind, SessionRestarted
from p2pchat.store.open import create_profile, open_profile
from tests.support.node_world import (
    UNLOCK,
    Person,
    World,
    delivered,
    online,
    until,
    view_of,
)


async def on_another_computer(person: Person) -> Person:
    """Bring the identity of a stopped person back, from its seed alone."""
    old = open_profile(person.path, unlock=UNLOCK, now_ms=person.world.clock.wall_ms())
    seed = old.identity.signing_seed
    old.close()
    laptop = person.world.person(f"{person.name}2")
    await laptop.stop()
    shutil.rmtree(laptop.path)
    laptop._profile = create_profile(
        laptop.path,
        name=person.name.capitalize(),
        unlock=UNLOCK,
        rng=person.world.rng,
        now_ms=person.world.clock.wall_ms(),
        memory_kib=8,
        recovered=seed,
    )
    return laptop


def news(person: Person) -> list[KeyNews]:
    return [event for event in person.events if isinstance(event, KeyNews)]


async def test_a_recovered_identity_goes_on_and_contacts_are_told_once(world: World) -> None:
    """R-3.7.6, R-3.7.7, R-8.4.4: same identity, new key, new session, one word about it."""
    alice, bob = await world.two()
    await bob.node.verify("alice", await bob.node.safety_number("alice"))
    await alice.node.send("bob", "from the old computer")
    await bob.node.send("alice", "to the old computer")
    await delivered(alice, "bob")
    await delivered(bob, "alice")
    link = bob.node.identity().link
    await alice.stop()
    before = world.clock.wall_ms()
    laptop = await on_another_computer(alice)
    await bob.node.send("alice", "while away")
    await laptop.start()
    await laptop.node.add_contact(link)
    await online(laptop, "bob")
    await laptop.node.send("bob", "from the new computer")
    await delivered(laptop, "bob")
    await delivered(bob, "alice")
    assert await bob.texts("alice") == ["from the old computer", "from the new computer"]
    assert await laptop.texts("bob") == ["while away"]
    assert view_of(bob, "alice").trust is Trust.VERIFIED
    (told,) = news(bob)
    assert (told.contact, told.kind) == ("Alice", KeyNewsKind.RECOVERED)
    assert before <= told.at_ms <= world.clock.wall_ms()
    assert any(isinstance(event, SessionRestarted) for event in bob.events)
    await laptop.stop()
    await laptop.start()
    await online(bob, "alice")
    assert news(bob) == [told]
    assert news(laptop) == []


async def test_the_lost_computer_is_not_let_in_again(world: World) -> None:
    """R-3.7.6, R-3.3.5: the static key on it is of an earlier generation."""
    alice, bob = await world.two()
    await alice.stop()
    laptop = await on_another_computer(alice)
    await laptop.start()
    await laptop.node.add_contact(bob.node.identity().link)
    await online(laptop, "bob")
    await laptop.stop()
    await until(lambda: not view_of(bob, "alice").online)
    await alice.start()
    alice.node.retry("bob")
    await until(lambda: "certificate" in view_of(alice, "bob").offline_reason)
    assert not view_of(bob, "alice").online


async def test_who_never_knew_another_computer_is_told_nothing(world: World) -> None:
    """R-3.7.7: it became a contact only after the recovery."""
    alice = world.person("alice")
    await alice.stop()
    laptop = await on_another_computer(alice)
    bob = world.person("bob")
    await bob.start()
    await laptop.start()
    await bob.node.add_contact(laptop.node.identity().link)
    await laptop.node.add_contact(bob.node.identity().link)
    await online(bob, "alice")
    await online(laptop, "bob")
    assert news(bob) == []
