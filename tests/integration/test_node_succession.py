"""A new identity in a contact's place: announced, asked about, never taken by itself (§3.7)."""

from __future__ import annotations

import shutil

import pytest

from p2pchat.errors import TrustError
from p2pchat.identity.trust import Trust
from p2pchat.node.events import KeyNews, KeyNewsKind
from p2pchat.node.replacing import replace_identity
from p2pchat.store.open import open_profile
from tests.support.node_world import (
    UNLOCK,
    Person,
    World,
    delivered,
    online,
    until,
    view_of,
)


async def take_a_new_identity(person: Person) -> tuple[bytes, bytes]:
    """What ``key replace`` does; the node must not run."""
    profile = open_profile(person.path, unlock=UNLOCK, now_ms=person.world.clock.wall_ms())
    world = person.world
    both = await profile.store.write(
        lambda tx: replace_identity(tx, rng=world.rng, now_ms=world.clock.wall_ms())
    )
    await profile.store.close()
    profile.close()
    return both


def news(person: Person) -> list[KeyNewsKind]:
    return [event.kind for event in person.events if isinstance(event, KeyNews)]


async def replaced(world: World) -> tuple[Person, Person]:
    """Alice has taken a new identity, and Bob, who had verified the old one, has heard of it."""
    alice, bob = await world.two()
    await bob.node.verify("alice", await bob.node.safety_number("alice"))
    await alice.node.verify("bob", await alice.node.safety_number("bob"))
    await alice.node.send("bob", "before")
    await delivered(alice, "bob")
    await alice.stop()
    await take_a_new_identity(alice)
    await alice.start()
    await until(lambda: view_of(bob, "alice").announced)
    return alice, bob


async def test_it_is_shown_as_announced_and_blocks_writing_until_the_person_decides(
    world: World,
) -> None:
    """R-3.7.10, R-3.6.4, R-3.6.6."""
    alice, bob = await replaced(world)
    view = view_of(bob, "alice")
    assert (view.trust, view.announced) == (Trust.CHANGED, True)
    assert view.offered_peer_id == alice.node.identity().peer_id
    assert news(bob) == [KeyNewsKind.ANNOUNCED]
    with pytest.raises(TrustError, match="key has changed"):
        await bob.node.send("alice", "now?")
    assert len(await bob.node.contacts()) == 1  # it is no request besides
    assert await alice.texts("bob") == []
    assert view_of(alice, "bob").trust is Trust.UNVERIFIED  # her comparison was of her old key
    assert view_of(alice, "bob").verified_at_ms is None

    await bob.node.accept("alice")
    view = view_of(bob, "alice")
    assert (view.trust, view.announced, view.verified_at_ms) == (Trust.UNVERIFIED, False, None)
    await online(alice, "bob")
    await alice.node.send("bob", "after")
    await bob.node.send("alice", "welcome")
    await delivered(alice, "bob")
    await delivered(bob, "alice")
    assert await bob.texts("alice") == ["before", "after"]
    assert await alice.texts("bob") == ["welcome"]
    assert news(bob) == [KeyNewsKind.ANNOUNCED]


async def test_it_can_be_refused(world: World) -> None:
    """R-3.6.7: the old key stays, and the new one is no request either."""
    alice, bob = await replaced(world)
    await bob.node.keep("alice")
    assert view_of(bob, "alice").trust is Trust.VERIFIED
    await alice.stop()
    await alice.start()
    await until(lambda: "accept you" in view_of(alice, "bob").offline_reason)
    assert view_of(bob, "alice").trust is Trust.VERIFIED
    assert len(await bob.node.contacts()) == 1


async def test_the_first_announcement_stands_until_it_is_decided(world: World) -> None:
    """R-3.7.10: a thief with the old profile announces another key; neither displaces the other."""
    alice, bob = await world.two()
    await alice.stop()
    alice.save("stolen")
    await take_a_new_identity(alice)
    await alice.start()
    await until(lambda: view_of(bob, "alice").announced)
    offered = view_of(bob, "alice").offered_peer_id
    thief = world.person("thief")
    await thief.stop()
    shutil.rmtree(thief.path)
    shutil.copytree(world.folder / "alice.stolen", thief.path)
    await take_a_new_identity(thief)
    thief.listen = "thief:4000"
    await thief.start()
    await bob.node.set_addresses("alice", [thief.listen])  # it also answers in her place
    await until(lambda: "accept you" in view_of(thief, "bob").offline_reason)
    await until(lambda: "another identity" in view_of(bob, "alice").offline_reason)
    assert view_of(bob, "alice").offered_peer_id == offered
    assert len(await bob.node.contacts()) == 1
    await bob.node.keep("alice")  # they have talked on the phone: now hers can be offered anew
    assert view_of(bob, "alice").offered_peer_id is None


async def test_the_old_identity_is_not_let_in_by_its_former_owner(world: World) -> None:
    """R-3.7.9: its seed is destroyed, so whoever comes with it is somebody else."""
    alice, _ = await world.two()
    await alice.stop()
    alice.save("stolen")
    old, new = await take_a_new_identity(alice)
    assert old != new
    thief = world.person("thief")
    await thief.stop()
    shutil.rmtree(thief.path)
    shutil.copytree(world.folder / "alice.stolen", thief.path)
    await alice.start(dial=False)
    link = alice.node.identity().link
    thief.listen = "thief:4000"
    await thief.start()
    await thief.node.add_contact(link, name="her")
    await until(lambda: view_of(thief, "her").offline_reason.startswith("they refuse your key"))
    assert alice.node.identity().peer_id != thief.node.identity().peer_id
    assert len(await alice.node.contacts()) == 1


async def test_after_a_revocation_a_succession_counts_for_nothing(world: World) -> None:
    """R-3.7.10: who took the old key before its owner did is a stranger like any other."""
    alice, bob = await world.two()
    certificate = alice.node.revocation_certificate()
    await alice.stop()
    await bob.node.revoke(certificate)
    await take_a_new_identity(alice)
    await alice.start()
    await until(lambda: len(list(bob.node._book)) == 2)
    views = {view.trust: view for view in await bob.node.contacts()}
    assert views[Trust.REQUEST].peer_id == alice.node.identity().peer_id
    assert not views[Trust.BLOCKED].announced


async def test_a_revocation_that_comes_later_leaves_the_new_key_as_the_only_way_on(
    world: World,
) -> None:
    """R-3.7.10, R-3.7.4."""
    alice, bob = await world.two()
    certificate = alice.node.revocation_certificate()
    await alice.stop()
    await take_a_new_identity(alice)
    await alice.start()
    await until(lambda: view_of(bob, "alice").announced)
    await alice.node.revoke(certificate)  # of her former key; she goes on with the new one
    await until(lambda: view_of(bob, "alice").revoked_at_ms is not None)
    with pytest.raises(TrustError, match="revoked"):
        await bob.node.keep("alice")
    assert view_of(bob, "alice").trust is Trust.CHANGED
    await bob.node.accept("alice")
    await online(bob, "alice")
    assert view_of(bob, "alice").revoked_at_ms is None
    await alice.node.send("bob", "with the new key")
    await delivered(alice, "bob")


async def test_whom_we_met_later_is_not_told_who_we_were(world: World) -> None:
    """R-3.7.9."""
    alice, _ = await replaced(world)
    carol = world.person("carol")
    await carol.start()
    await carol.node.add_contact(alice.node.identity().link)
    await alice.node.add_contact(carol.node.identity().link)
    await online(alice, "carol")
    carol_record = alice.node._book.find("carol").record
    bob_record = alice.node._book.find("bob").record
    assert alice.node._announcements.to(carol_record).succession is None
    assert alice.node._announcements.to(bob_record).succession is not None
    assert news(carol) == []
