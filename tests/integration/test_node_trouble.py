"""What goes wrong between two nodes, and that nothing is lost by it (protocol.md §8.4, §10)."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from p2pchat.config import Config
from p2pchat.constants import HALF_OPEN_MAX, PENDING_REQUESTS_MAX, SESSION_RESETS_PER_HOUR
from p2pchat.errors import ContactError, StoreError, TrustError, UnreachableError, UsageError
from p2pchat.identity.link import ContactLink, encode_link
from p2pchat.identity.trust import Pin, Trust
from p2pchat.node.backoff import AWAITED_ADDRESSES, AWAITED_PERIOD_S
from p2pchat.node.events import ContactChanged, SessionRestarted
from p2pchat.node.link import Link
from p2pchat.session.delivery import decode_session
from p2pchat.store.ports import Store
from p2pchat.store.records import ContactRecord
from p2pchat.transport.memory import Faults, MemoryStream
from tests.support.net_clock import FastClock, ManualClock
from tests.support.node_faulty_store import FaultyStore
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


def restarts(person: Person) -> list[SessionRestarted]:
    return [event for event in person.events if isinstance(event, SessionRestarted)]


# --- sessions that do not match any more --------------------------------------------------------


async def test_a_restored_backup_starts_a_new_session_and_loses_nothing(world: World) -> None:
    """R-8.4.2: the digests differ, so both sides begin anew, and the person is told."""
    alice, bob = await world.two()
    await alice.node.send("bob", "a1")
    await bob.node.send("alice", "b1")
    await delivered(alice, "bob")
    await delivered(bob, "alice")
    await alice.stop()
    alice.save("backup")
    await alice.start()
    await alice.node.send("bob", "a2, which the backup does not know")
    await bob.node.send("alice", "b2")
    await delivered(alice, "bob")
    await delivered(bob, "alice")
    await alice.stop()
    alice.restore("backup")
    for number in range(5):
        await bob.node.send("alice", f"queued {number}")
    await alice.start()
    await alice.node.send("bob", "a3")
    await delivered(alice, "bob")
    await delivered(bob, "alice")
    assert await bob.texts("alice") == ["a1", "a2, which the backup does not know", "a3"]
    assert await alice.texts("bob") == ["b1", *(f"queued {number}" for number in range(5))]
    assert alice.arrived()[-5:] == [f"queued {number}" for number in range(5)]
    for person in (alice, bob):
        assert [event.contact for event in restarts(person)] != []
        assert "did not match" in restarts(person)[0].cause
        assert len(restarts(person)) == 1


async def test_a_backup_with_unacknowledged_messages_delivers_each_once(world: World) -> None:
    """R-8.5.4: what was delivered before the backup was put back arrives a second time unseen."""
    alice, bob = await world.two()
    await bob.stop()
    await until(lambda: not view_of(alice, "bob").online)
    for number in range(5):
        await alice.node.send("bob", f"a{number}")
    await alice.stop()
    alice.save("backup")
    await alice.start()
    await bob.start()
    await delivered(alice, "bob")
    await alice.stop()
    alice.restore("backup")
    await alice.start()
    await delivered(alice, "bob")
    assert await bob.texts("alice") == [f"a{number}" for number in range(5)]
    assert bob.arrived() == [f"a{number}" for number in range(5)]


async def test_a_session_that_decrypts_no_more_is_replaced(world: World) -> None:
    """SESSION_BROKEN: the digests agree, a message does not decrypt; the next connection heals."""
    alice, bob = await world.two()
    await alice.node.send("bob", "before")
    await delivered(alice, "bob")
    await alice.stop()
    node = await alice.start(listen=False, dial=False)
    contact_id = node._book.find("bob").contact_id
    record = await node._env.store.read(lambda tx: tx.session(contact_id))
    assert record is not None
    # A sending chain key that the peer does not have; the digests know nothing of it.
    state = bytearray(record.state)
    key = _sending_chain(bytes(state))
    place = bytes(state).index(key)
    state[place] ^= 1
    await node._env.store.write(lambda tx: tx.put_session(contact_id, bytes(state)))
    await alice.stop()
    await alice.start()
    await alice.node.send("bob", "after")
    await delivered(alice, "bob")
    await bob.node.send("alice", "answer")  # not before: it would heal the chain by itself
    await delivered(bob, "alice")
    assert await bob.texts("alice") == ["before", "after"]
    assert await alice.texts("bob") == ["answer"]
    assert "could not be decrypted" in restarts(bob)[0].cause
    assert len(restarts(alice)) == 1


def _sending_chain(state: bytes) -> bytes:
    ratchet = decode_session(state, []).ratchet
    assert ratchet.sending is not None
    return ratchet.sending.chain_key.reveal()


async def test_a_damaged_stored_session_is_replaced(world: World) -> None:
    alice, bob = await world.two()
    await alice.node.send("bob", "before")
    await delivered(alice, "bob")
    await alice.stop()
    node = await alice.start(listen=False, dial=False)
    contact_id = node._book.find("bob").contact_id
    await node._env.store.write(lambda tx: tx.put_session(contact_id, b"nonsense"))
    await alice.stop()
    await alice.start()
    await alice.node.send("bob", "after")
    await delivered(alice, "bob")
    assert await bob.texts("alice") == ["before", "after"]
    assert "damaged" in restarts(alice)[0].cause
    assert "did not match" in restarts(bob)[0].cause


async def test_new_sessions_are_limited_within_an_hour(tmp_path: Path) -> None:
    """The limit of SESSION_RESETS_PER_HOUR holds, says so, and ends after an hour."""
    clock = ManualClock()
    world = memory_world(tmp_path, clock=clock)
    try:
        alice, bob = world.person("alice"), world.person("bob")
        await bob.start()
        await alice.start()
        await introduce(alice, bob)
        await alice.node.send("bob", "first")
        await delivered(alice, "bob")
        await alice.stop()
        alice.save("backup")
        for number in range(SESSION_RESETS_PER_HOUR):
            await alice.start()
            await alice.node.send("bob", f"new {number}")
            await delivered(alice, "bob")
            await alice.stop()
            alice.restore("backup")
            clock.advance(1)  # not faster than connections are accepted
        assert len(restarts(bob)) == SESSION_RESETS_PER_HOUR - 1
        await alice.start()
        await alice.node.send("bob", "allowed, the last of the hour")
        await delivered(alice, "bob")
        await alice.stop()
        alice.restore("backup")
        await alice.start()
        await alice.node.send("bob", "one too many")
        await until(lambda: "too often" in view_of(bob, "alice").offline_reason)
        assert len(restarts(bob)) == SESSION_RESETS_PER_HOUR
        clock.advance(3601)
        await delivered(alice, "bob")
        assert (await bob.texts("alice"))[-1] == "one too many"
    finally:
        await world.close()


# --- identities that are not the expected one -----------------------------------------------------


async def test_a_changed_key_blocks_until_the_person_decides(world: World) -> None:
    """R-3.6.3, R-3.6.4, R-3.6.6: another identity answers; sending is refused until accepted."""
    alice, bob = await world.two()
    await alice.node.verify("bob", await alice.node.safety_number("bob"))
    await alice.node.send("bob", "for Bob")
    await delivered(alice, "bob")
    await set_generation(alice, "bob", 5)  # as if Bob had rotated his static key; Carol has not
    carol = world.person("carol")
    await carol.start()
    await bob.stop()
    await until(lambda: not view_of(alice, "bob").online)
    await alice.node.set_addresses("bob", [carol.listen])
    await until(lambda: view_of(alice, "bob").trust is Trust.CHANGED)
    view = view_of(alice, "bob")
    assert view.offered_peer_id == carol.node.identity().peer_id
    assert "another identity answered" in view.offline_reason
    with pytest.raises(TrustError, match="key has changed"):
        await alice.node.send("bob", "now?")
    with pytest.raises(TrustError, match="key has changed"):
        await alice.node.verify("bob", await alice.node.safety_number("bob"))
    changes = [e.contact for e in alice.events if isinstance(e, ContactChanged)]
    assert changes[-1].trust is Trust.CHANGED
    assert await carol.node.contacts() == []  # Carol was told nothing of Alice

    await alice.node.accept("bob")
    assert view_of(alice, "bob").trust is Trust.UNVERIFIED
    assert view_of(alice, "bob").peer_id == carol.node.identity().peer_id
    assert view_of(alice, "bob").verified_at_ms is None
    await alice.node.send("bob", "for the new key")
    await until(lambda: view_of_or_none(carol, "alice"))
    await carol.node.accept("alice")
    await delivered(alice, "bob")
    assert await carol.texts("alice") == ["for the new key"]


async def set_generation(person: Person, contact: str, generation: int) -> None:
    await person.node._book.find(contact).update(
        lambda record: replace(record, certificate_generation=generation)
    )


async def test_an_outdated_certificate_is_refused(world: World) -> None:
    """R-3.3.5: a static key that was rotated away comes back: whoever stole it is not let in."""
    alice, bob = await world.two()
    await set_generation(alice, "bob", 1)
    await bob.stop()
    await until(lambda: not view_of(alice, "bob").online)
    await bob.start()
    await until(lambda: "outdated certificate" in view_of(alice, "bob").offline_reason)
    assert not view_of(alice, "bob").online
    await set_generation(alice, "bob", 0)
    await online(alice, "bob")


def view_of_or_none(person: Person, contact: str) -> bool:
    return any(peer.record.name.casefold() == contact for peer in person.node._book)


async def test_the_old_key_can_be_kept(world: World) -> None:
    alice, bob = await world.two()
    carol = world.person("carol")
    await carol.start()
    await bob.stop()
    await until(lambda: not view_of(alice, "bob").online)
    await alice.node.set_addresses("bob", [carol.listen])
    await until(lambda: view_of(alice, "bob").trust is Trust.CHANGED)
    await alice.node.keep("bob")
    await alice.node.set_addresses("bob", [bob.listen])
    await bob.start()
    await online(alice, "bob")
    assert view_of(alice, "bob").trust is Trust.UNVERIFIED
    await alice.node.send("bob", "still you")
    await delivered(alice, "bob")


async def test_a_known_contact_at_the_wrong_address_changes_no_trust(world: World) -> None:
    alice, bob = await world.two()
    carol = world.person("carol")
    await carol.start()
    await introduce(alice, carol)
    await bob.stop()
    await until(lambda: not view_of(alice, "bob").online)
    await alice.node.set_addresses("bob", [carol.listen])
    await until(lambda: "another identity" in view_of(alice, "bob").offline_reason)
    assert view_of(alice, "bob").trust is Trust.UNVERIFIED
    # Carol is not to be bothered every few seconds.
    assert not alice.node._book.find("bob").backoff.is_awaited(world.clock.monotonic())


async def test_our_own_address_changes_no_trust(world: World) -> None:
    """A node that dials itself refuses itself, and does not take itself for an impostor."""
    alice, bob = await world.two()
    await bob.stop()
    await until(lambda: not view_of(alice, "bob").online)
    await alice.node.set_addresses("bob", [alice.listen])
    await until(lambda: "another identity" in view_of(alice, "bob").offline_reason)
    assert view_of(alice, "bob").trust is Trust.UNVERIFIED
    with pytest.raises(UsageError, match="your own"):
        await alice.node.add_contact(alice.node.identity().link)


async def test_a_link_of_a_blocked_contact_is_refused(world: World) -> None:
    alice, bob = await world.two()
    await alice.node.block("bob")
    with pytest.raises(TrustError, match="blocked"):
        await alice.node.add_contact(bob.node.identity().link)


async def test_names_are_unique_and_a_taken_one_is_refused(world: World) -> None:
    alice, bob = await world.two()
    carol = world.person("carol")
    await carol.start()
    with pytest.raises(ContactError, match="another contact is called"):
        await alice.node.add_contact(carol.node.identity().link, name="BOB")
    for name in ("", "a\nb", "x" * 65, bob.node.identity().peer_id):
        with pytest.raises(UsageError, match="name"):
            await alice.node.add_contact(carol.node.identity().link, name=name)


# --- two connections at once ----------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
async def test_simultaneous_open_leaves_one_connection(tmp_path: Path, seed: int) -> None:
    """R-10.2.1: both dial at the same moment; both sides keep the same one."""
    faults = Faults(fragment=0.5, delay_turns=seed)
    world = memory_world(tmp_path, faults=faults, seed=seed)
    try:
        alice, bob = world.person("alice"), world.person("bob")
        assert world.network is not None
        world.network.partition("alice", "bob")
        await alice.start()
        await bob.start()
        await alice.node.add_contact(bob.node.identity().link)
        await bob.node.add_contact(alice.node.identity().link)
        await until(lambda: world.network is not None and len(world.network._dialling) == 2)
        world.network.heal()
        for number in range(10):
            await alice.node.send("bob", f"a{number}")
            await bob.node.send("alice", f"b{number}")
        await delivered(alice, "bob")
        await delivered(bob, "alice")
        await until(lambda: links(alice) == links(bob) == 1)
        assert await bob.texts("alice") == [f"a{number}" for number in range(10)]
        assert await alice.texts("bob") == [f"b{number}" for number in range(10)]
        ours, theirs = (
            person.node._book.find(other).link for person, other in ((alice, "bob"), (bob, "alice"))
        )
        assert ours is not None
        assert theirs is not None
        assert ours.opening.outbound != theirs.opening.outbound
        assert restarts(alice) == restarts(bob) == []
    finally:
        await world.close()


def links(person: Person) -> int:
    return len(person.node._reception._links)


async def test_one_dead_address_does_not_hide_the_other(world: World) -> None:
    """All addresses are tried, also while one of them hangs."""
    alice, bob = world.person("alice"), world.person("bob")
    await alice.start()
    await bob.start()
    assert world.network is not None
    world.network.partition("alice", "nowhere")
    await alice.node.add_contact(bob.node.identity().link)
    await bob.node.add_contact(alice.node.identity().link)
    await alice.node.set_addresses("bob", ["nowhere:1", "bob:9999", bob.listen])
    await online(alice, "bob")


async def test_the_reason_for_being_offline_is_named(world: World) -> None:
    alice, bob = world.person("alice"), world.person("bob")
    await alice.start()
    await bob.start()
    link = bob.node.identity().link
    await bob.stop()
    await alice.node.add_contact(link)
    await until(lambda: "connection refused" in view_of(alice, "bob").offline_reason)
    reason = view_of(alice, "bob").offline_reason
    assert reason.startswith("nobody answers at bob:4000 (connection refused)")
    sent = await alice.node.send("bob", "hello?")
    assert (await alice.history("bob"))[0].message_id == sent.message_id
    assert "connection refused" in (await alice.history("bob"))[0].reason
    await alice.node.set_addresses("bob", [])
    await until(lambda: "waiting for them to connect" in view_of(alice, "bob").offline_reason)


# --- time, disk, damage ---------------------------------------------------------------------------


async def test_a_peer_that_vanishes_is_known_within_45_seconds(tmp_path: Path) -> None:
    """R-7.4.2: silence ends the connection; what was sent meanwhile arrives after the healing."""
    clock = ManualClock()
    world = memory_world(tmp_path, clock=clock)
    try:
        alice, bob = await world.two()
        assert world.network is not None
        world.network.partition("alice", "bob")
        await alice.node.send("bob", "into the void")
        clock.advance(44)
        await until(lambda: nothing_is_due(alice, "bob"))
        assert view_of(alice, "bob").online
        clock.advance(1)
        await until(lambda: not view_of(alice, "bob").online)
        assert "silent" in view_of(alice, "bob").offline_reason
        await until(lambda: not view_of(bob, "alice").online)
        world.network.heal()
        await delivered(alice, "bob")
        assert await bob.texts("alice") == ["into the void"]
    finally:
        await world.close()


@pytest.mark.parametrize("away_s", [3, 60, 900])
async def test_whoever_is_awaited_is_found_again_within_5_seconds(
    tmp_path: Path, away_s: int
) -> None:
    """§10.1: however long it takes, within a day."""
    clock = ManualClock()
    world = memory_world(tmp_path, clock=clock, config=Config())
    try:
        alice, bob = await world.two()
        await bob.stop()
        await until(lambda: not view_of(alice, "bob").online)
        await pass_time(clock, away_s)
        await bob.start(dial=False)
        start = clock.monotonic()
        await online(alice, "bob")
        assert clock.monotonic() - start <= 5.0
    finally:
        await world.close()


async def test_many_absent_contacts_are_dialled_no_more_often_than_a_few(tmp_path: Path) -> None:
    """§10.1: three times the addresses that are dialled at full pace; each has its turn."""
    clock = ManualClock()
    world = memory_world(tmp_path, clock=clock, config=Config())
    dialled: Counter[str] = Counter()

    async def nobody_answers(origin: str, host: str, port: int) -> MemoryStream:
        dialled[host] += 1
        raise UnreachableError(f"{host}: connection refused")

    assert world.network is not None
    world.network.connect = nobody_answers  # type: ignore[method-assign]  # counts
    try:
        alice = world.person("alice")
        await alice.start()
        contacts = 3 * AWAITED_ADDRESSES // 2
        for number in range(contacts):
            hosts = (f"a{number}:4000", f"b{number}:4000")
            link = ContactLink(world.rng(32), f"c{number}", hosts)
            await alice.node.add_contact(encode_link(link))
        await pass_time(clock, 20)
        dialled.clear()
        await pass_time(clock, 60)
        assert len(dialled) == 2 * contacts
        at_most = 60 * AWAITED_ADDRESSES / (AWAITED_PERIOD_S / 2)
        assert at_most / 2 <= dialled.total() <= at_most
    finally:
        await world.close()


async def pass_time(clock: ManualClock, seconds: int) -> None:
    """Let so much time pass in small steps, with turns for what becomes due."""
    for _ in range(seconds * 2):
        clock.advance(0.5)
        for _ in range(20):
            await turn()


async def test_keepalives_hold_an_idle_connection(tmp_path: Path) -> None:
    """R-7.4.1: an hour without a word, and the connection is still the same one."""
    clock = ManualClock()
    world = memory_world(tmp_path, clock=clock)
    try:
        alice, bob = await world.two()
        link = alice.node._book.find("bob").link
        for _ in range(360):
            clock.advance(10)
            await until(lambda: nothing_is_due(alice, "bob") and nothing_is_due(bob, "alice"))
        assert alice.node._book.find("bob").link is link
        assert view_of(bob, "alice").online
    finally:
        await world.close()


def nothing_is_due(person: Person, contact: str) -> bool:
    link = person.node._book.find(contact).link
    assert isinstance(link, Link), view_of(person, contact).offline_reason
    due = link._connection.next_deadline()
    return due is not None and due > person.world.clock.monotonic()


async def turn() -> None:
    await asyncio.sleep(0)


async def test_a_failing_disk_loses_and_doubles_nothing(world: World) -> None:
    """Nothing is acknowledged that was not stored; the reason is shown; it goes on by itself."""
    faulty: list[FaultyStore] = []

    def wrap(store: Store) -> Store:
        faulty.append(FaultyStore(store))
        return faulty[0]

    alice, bob = world.person("alice"), world.person("bob")
    await alice.start()
    await bob.start(wrap_store=wrap)
    await introduce(alice, bob)
    await alice.node.send("bob", "before")
    await delivered(alice, "bob")
    faulty[0].broken = True
    for number in range(10):
        await alice.node.send("bob", f"a{number}")
    await until(lambda: "disk is full" in view_of(bob, "alice").offline_reason)
    with pytest.raises(StoreError, match="disk is full"):
        await bob.node.send("alice", "refused honestly")
    assert await bob.texts("alice") == ["before"]
    assert all(view.state != "delivered" for view in (await alice.history("bob"))[1:])
    faulty[0].broken = False
    await delivered(alice, "bob")
    assert await bob.texts("alice") == ["before", *(f"a{number}" for number in range(10))]
    assert bob.arrived() == ["before", *(f"a{number}" for number in range(10))]


@pytest.mark.parametrize("seed", range(4))
async def test_a_damaging_path_is_survived(tmp_path: Path, seed: int) -> None:
    """Flips, losses, repeats, truncation, resets; once the path is clean everything is there."""
    # Deadlines of 10 and 45 s pass in a tenth of a second each.
    world = memory_world(
        tmp_path,
        seed=seed,
        clock=FastClock(100.0),
        config=Config(retry_first_s=1.0, retry_max_s=5.0),
    )
    try:
        alice, bob = await world.two()
        assert world.network is not None
        world.network.faults = Faults(
            fragment=0.2,
            flip=0.03,
            drop=0.02,
            repeat=0.02,
            truncate=0.02,
            reset=0.01,
            delay_turns=2,
        )
        for number in range(60):
            await alice.node.send("bob", f"a{number}")
            await bob.node.send("alice", f"b{number}")
            for _ in range(10):
                await turn()
        world.network.faults = Faults()
        await delivered(alice, "bob")
        await delivered(bob, "alice")
        assert await bob.texts("alice") == [f"a{number}" for number in range(60)]
        assert await alice.texts("bob") == [f"b{number}" for number in range(60)]
        assert bob.arrived() == [f"a{number}" for number in range(60)]
        assert restarts(alice) == restarts(bob) == []
    finally:
        await world.close()


# --- strangers in numbers -------------------------------------------------------------------------


async def test_a_flood_is_bounded_and_a_contact_still_gets_through(tmp_path: Path) -> None:
    """Slow and babbling connections from one place and from many; the caps of §11 hold."""
    clock = ManualClock()
    world = memory_world(tmp_path, clock=clock)
    try:
        alice, bob = world.person("alice"), world.person("bob")
        await alice.start()
        await bob.start()
        assert world.network is not None
        streams = []
        gate = bob.node._reception._gate
        for number in range(400):
            for origin in ("one-place", f"place{number}"):
                stream = await world.network.transport(origin).dial(bob.listen)
                stream.write(b"p2pchat\n" if number % 2 else b"GET / HTTP/1.1\r\n\r\n" * 100)
                streams.append(stream)
                assert gate.half_open <= HALF_OPEN_MAX
        await until(lambda: links(bob) <= HALF_OPEN_MAX)
        await introduce(alice, bob)
        clock.advance(11)  # the handshake deadline clears the rest away
        await until(lambda: links(bob) == 1)
        assert gate.half_open == 0
        await alice.node.send("bob", "through the crowd")
        await delivered(alice, "bob")
        for stream in streams:
            stream.abort()
    finally:
        await world.close()


async def test_requests_are_bounded(world: World) -> None:
    """PENDING_REQUESTS_MAX strangers are remembered, the next is turned away."""
    bob = world.person("bob")
    await bob.start()
    for number in range(PENDING_REQUESTS_MAX):
        pin = Pin(number.to_bytes(32, "big"), Trust.REQUEST)
        await bob.node._book.add(ContactRecord(0, f"stranger {number}", pin))
    alice = world.person("alice")
    await alice.start()
    await alice.node.add_contact(bob.node.identity().link)
    await until(lambda: "goodbye" in view_of(alice, "bob").offline_reason)
    assert len(await bob.node.contacts()) == PENDING_REQUESTS_MAX
    await bob.node.remove("stranger 0")
    await until(lambda: view_of_or_none(bob, "alice"))
