"""Moments that hardly ever meet, brought about on purpose; and peers that misuse their rights."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from p2pchat.constants import HALF_OPEN_MAX, KEEPALIVE_TIMEOUT_S, SESSION_RESETS_PER_HOUR
from p2pchat.errors import ErrorCode, UsageError
from p2pchat.identity.trust import Trust, on_wrong_identity
from p2pchat.node import unsent
from p2pchat.node.events import SessionRestarted
from p2pchat.node.link import Link
from p2pchat.session.events import ConnectionClosed, PeerGreeted, SessionStarted
from p2pchat.session.frames import Kind
from p2pchat.store.ports import Store
from tests.support.net_clock import ManualClock
from tests.support.node_faulty_store import FaultyStore
from tests.support.node_raw_peer import RawPeer
from tests.support.node_world import (
    Person,
    World,
    delivered,
    introduce,
    memory_world,
    online,
    until,
    view_of,
)


async def alice_with_a_slow_disk(world: World) -> tuple[Person, Person, FaultyStore]:
    """Two who chat; what Alice's node reads from its store can be held back."""
    stores: list[FaultyStore] = []

    def wrap(store: Store) -> Store:
        stores.append(FaultyStore(store))
        return stores[0]

    alice, bob = world.person("alice"), world.person("bob")
    await alice.start(wrap_store=wrap)
    await bob.start()
    await introduce(alice, bob)
    await alice.node.send("bob", "first")
    await delivered(alice, "bob")
    return alice, bob, stores[0]


def link_of(person: Person, contact: str) -> Link:
    link = person.node._book.find(contact).link
    assert isinstance(link, Link)
    return link


async def test_a_new_connection_waits_for_the_old_ones_last_commit(world: World) -> None:
    """R-10.2.3: two connections never work on one stored session at the same time.

    The old one is about to seal a message; if the new one took the session as stored before,
    both would use the same message key.
    """
    alice, bob, store = await alice_with_a_slow_disk(world)
    old = link_of(alice, "bob")
    store.reading.clear()
    await alice.node.send("bob", "sealed by the old connection")
    await until(lambda: store.held == 1)
    link_of(bob, "alice").abort()  # Bob comes back; Alice's old link is still busy
    await until(alice.node._book.find("bob").attaching.locked)
    for _ in range(50):
        await asyncio.sleep(0.001)
        assert link_of(alice, "bob") is old
    store.reading.set()
    await until(lambda: not old.is_open)
    await delivered(alice, "bob")
    assert await bob.texts("alice") == ["first", "sealed by the old connection"]
    assert not [e for e in (*alice.events, *bob.events) if isinstance(e, SessionRestarted)]


async def test_a_message_that_is_being_sealed_is_not_cancelled_any_more(world: World) -> None:
    """Either it is cancelled or it is sent, never both."""
    alice, bob, store = await alice_with_a_slow_disk(world)
    store.reading.clear()
    sent = await alice.node.send("bob", "too late to regret")
    await until(lambda: store.held == 1)
    async with asyncio.TaskGroup() as group:
        cancelling = group.create_task(refused(alice, sent.message_id))
        for _ in range(50):
            await asyncio.sleep(0.001)
        assert not cancelling.done()
        store.reading.set()
    assert cancelling.result().startswith("too late")
    await delivered(alice, "bob")
    assert await bob.texts("alice") == ["first", "too late to regret"]


async def refused(person: Person, message_id: str) -> str:
    with pytest.raises(UsageError) as caught:
        await person.node.cancel("bob", message_id)
    return str(caught.value)


async def test_a_new_key_takes_nothing_of_the_old_session(world: World) -> None:
    """R-3.6.4: the stored session goes in the same transaction in which the key changes."""
    alice, bob = await world.two()
    await alice.node.send("bob", "hello")
    await delivered(alice, "bob")
    carol = world.person("carol")
    await carol.start()
    await bob.stop()
    await until(lambda: not view_of(alice, "bob").online)
    await alice.node.set_addresses("bob", [carol.listen])
    await until(lambda: view_of(alice, "bob").trust is Trust.CHANGED)
    await alice.stop()
    node = await alice.start(listen=False, dial=False)
    contact_id = node._book.find("bob").contact_id
    assert await node._env.store.read(lambda tx: tx.session(contact_id)) is not None
    await node.accept("bob")
    assert await node._env.store.read(lambda tx: tx.session(contact_id)) is None


async def test_a_new_key_cuts_the_old_one_off(world: World) -> None:
    """R-3.6.4: the old key may be online while the person decides; after it, it is a stranger."""
    alice, bob = await world.two()
    await alice.node._book.find("bob").update(
        lambda record: replace(record, pin=on_wrong_identity(record.pin, b"\x07" * 32))
    )
    assert view_of(alice, "bob").trust is Trust.CHANGED
    assert view_of(alice, "bob").online
    await bob.node.send("alice", "it is really me")
    await delivered(bob, "alice")
    await alice.node.accept("bob")
    await until(lambda: not view_of(alice, "bob").online)
    await bob.node.send("alice", "not for the new one")
    await until(lambda: any(peer.record.pin.trust is Trust.REQUEST for peer in alice.node._book))
    assert await alice.texts("bob") == ["it is really me"]


async def test_a_session_that_only_we_knew_is_replaced_without_a_word(world: World) -> None:
    """R-8.4.5: connections that break in their first moments do not use up the hour's share."""
    bob = world.person("bob")
    await bob.start()
    mallory = await open_raw(world, bob, commits=False)
    for _ in range(SESSION_RESETS_PER_HOUR + 2):
        await until(lambda: link_of(bob, "mallory").is_open)
        mallory.stream.abort()
        await until(lambda: bob.node._book.find("mallory").link is None)
        bob.node._reception._gate._buckets.clear()  # how often is another test's business
        await mallory.dial(bob)
        await mallory.read_until(SessionStarted)
    await until(lambda: link_of(bob, "mallory").is_open)
    assert not [event for event in bob.events if isinstance(event, SessionRestarted)]
    mallory.stream.abort()


async def test_the_note_is_told_until_it_has_served(world: World) -> None:
    alice, bob = world.person("alice"), world.person("bob")
    await alice.start()
    await bob.start()
    await alice.node.add_contact(bob.node.identity().link, note="it is me")
    await until(lambda: any(peer.record.note for peer in bob.node._book))
    await alice.stop()
    await alice.start()
    assert alice.node._book.find("bob").note == "it is me"
    await bob.node.accept("alice")
    await online(alice, "bob")
    await until(lambda: alice.node._book.find("bob").note == "")
    await alice.stop()
    await alice.start()
    assert alice.node._book.find("bob").note == ""


# --- strangers ------------------------------------------------------------------------------------


async def test_a_proven_peer_is_not_half_open_any_more(world: World) -> None:
    """Long-lived contacts leave the places of §11 to those who still knock."""
    alice, bob = await world.two()
    assert alice.node._reception._gate.half_open == 0
    assert bob.node._reception._gate.half_open == 0


async def test_a_stranger_holds_one_connection(world: World) -> None:
    """R-10.2.3, also for who has not been accepted, nor accepts us."""
    bob = world.person("bob")
    await bob.start()
    mallory = RawPeer(world)
    await mallory.dial(bob, accepted=False)
    await mallory.read_until(PeerGreeted)
    first_stream, first = mallory.stream, mallory.connection
    await mallory.dial(bob, accepted=False)
    await mallory.read_until(PeerGreeted)
    assert len(bob.node._reception.strangers) == 1
    while data := await first_stream.read():
        first.receive_data(data, now=world.clock.monotonic())
    event = first.next_event()
    assert isinstance(event, ConnectionClosed)
    assert event.code is ErrorCode.SUPERSEDED
    assert await bob.node.contacts() == []
    mallory.stream.abort()
    first_stream.abort()
    await until(lambda: not bob.node._reception._links)
    assert not bob.node._reception.strangers


async def test_a_strangers_name_is_made_harmless_and_unique(world: World) -> None:
    """R-8.3.3."""
    alice, bob = await world.two()
    mallory = RawPeer(world, "alice")
    await mallory.dial(bob, note="x\x1b[31m\u202ey")
    await until(lambda: len(list(bob.node._book)) == 2)
    request = view_of(bob, "alice (2)")
    assert request.trust is Trust.REQUEST
    assert "\x1b" not in request.note
    assert "\u202e" not in request.note
    assert view_of(bob, "alice").peer_id == alice.node.identity().peer_id
    mallory.stream.abort()


async def test_slow_connections_from_everywhere_do_not_lock_a_contact_out(tmp_path: Path) -> None:
    """§11: when all places are taken, the one that dawdles longest makes room."""
    world = memory_world(tmp_path, clock=ManualClock())
    try:
        alice, bob = world.person("alice"), world.person("bob")
        await alice.start()
        await bob.start(dial=False)
        await alice.node.add_contact(bob.node.identity().link)
        await bob.node.add_contact(alice.node.identity().link)
        await online(bob, "alice")
        await alice.stop()
        assert world.network is not None
        streams = [
            await world.network.transport(f"place{number}").dial(bob.listen)
            for number in range(HALF_OPEN_MAX + 50)
        ]
        assert bob.node._reception._gate.half_open == HALF_OPEN_MAX
        await alice.start()
        await online(bob, "alice")
        await until(lambda: streams[0].is_closed)
        assert not streams[-1].is_closed
        for stream in streams:
            stream.abort()
    finally:
        await world.close()


# --- peers that misuse what they may --------------------------------------------------------------


async def open_raw(world: World, bob: Person, *, commits: bool = True) -> RawPeer:
    """Mallory, accepted by Bob, with an open connection."""
    mallory = RawPeer(world, commits=commits)
    await mallory.dial(bob)
    await until(lambda: len(list(bob.node._book)) == 1, clock=world.clock)
    await bob.node.accept("mallory")
    while not mallory.connection.is_open:
        await mallory.read_until(PeerGreeted)
        mallory.events.clear()
    return mallory


async def test_who_asks_without_reading_fills_no_memory(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers wait for a peer that does not read; above the limit nothing more is read of it."""
    limit = 1 << 19
    monkeypatch.setattr(unsent, "UNSENT_MAX_BYTES", limit)
    bob = world.person("bob")
    await bob.start()
    mallory = await open_raw(world, bob)
    stream = link_of(bob, "mallory")._stream
    for _ in range(40_000):
        if mallory.stream.writable:
            mallory.connection._outgoing.control(Kind.PING, bytes(8))
            mallory.write()
        await asyncio.sleep(0)
    assert not mallory.stream.writable, "Bob went on reading"
    assert stream.pending_bytes < limit + (1 << 10)
    mallory.stream.abort()


async def test_who_never_reads_is_disconnected(tmp_path: Path) -> None:
    """A peer that sends keepalives but takes nothing holds no messages up for ever."""
    clock = ManualClock()
    world = memory_world(tmp_path, clock=clock)
    try:
        bob = world.person("bob")
        await bob.start()
        mallory = await open_raw(world, bob)
        for _ in range(20):
            await bob.node.send("mallory", "x" * 65536)
        link = link_of(bob, "mallory")
        await until(lambda: not link._stream.writable)
        for _ in range(int(KEEPALIVE_TIMEOUT_S) + 2):
            mallory.connection._outgoing.control(Kind.PING, bytes(8))
            mallory.write()
            for _ in range(20):
                await asyncio.sleep(0)
            clock.advance(1)
        await until(lambda: not view_of(bob, "mallory").online)
        assert "does not read" in view_of(bob, "mallory").offline_reason
        mallory.stream.abort()
    finally:
        await world.close()
