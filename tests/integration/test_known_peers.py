"""What nodes remember of each other's handshakes: keys, times, the hybrid (protocol.md §5.6, §5.7).

Each test has real nodes; where one side must misbehave it is a Connection on a stream by hand.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from p2pchat.config import Config
from p2pchat.constants import CONNECTION_LIFETIME_S
from p2pchat.errors import ErrorCode
from p2pchat.identity.trust import Trust, on_wrong_identity
from p2pchat.node import unsent
from p2pchat.node.events import ContactRequested, SessionRestarted
from p2pchat.node.link import Link
from p2pchat.rpc.service import Service
from p2pchat.session.connection import Connection
from p2pchat.session.events import (
    ConnectionClosed,
    PeerAuthenticated,
    PeerGreeted,
)
from p2pchat.session.frames import ClearKind
from p2pchat.session.negotiation import IK, IK_HFS, OUR_OFFER, XX, XX_HFS, Offer, Suite
from p2pchat.store.records import ContactRecord
from p2pchat.transport.base import Stream
from tests.support.net_clock import ManualClock
from tests.support.node_raw_peer import RawPeer
from tests.support.node_world import (
    QUICK,
    Person,
    World,
    delivered,
    memory_world,
    online,
    until,
    view_of,
)

CLASSICAL = Offer(OUR_OFFER.versions, (XX.number, IK.number))
STEALTH = replace(QUICK, stealth=True)


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(unsent, "LINGER_S", 0.1)  # raw peers do not answer a goodbye
    world = memory_world(tmp_path)
    yield world
    await world.close()


async def record_of(person: Person, contact: str) -> ContactRecord:
    """The contact as it is stored."""
    number = person.node._book.find(contact).contact_id
    record = await person.node._env.store.read(lambda tx: tx.contact(number))
    assert record is not None
    return record


def link_of(person: Person, contact: str) -> Link:
    link = person.node._book.find(contact).link
    assert isinstance(link, Link)
    return link


def suite_of(person: Person, contact: str) -> Suite:
    proof = link_of(person, contact).proof
    assert proof is not None
    return proof.suite


def own_offer(person: Person, offer: Offer) -> None:
    """Make a node offer less, as an older program does."""
    credentials = person.node._env.credentials
    dialling, listening = credentials.for_dialling, credentials.for_listening

    def for_dialling(contact: ContactRecord, now_ms: int, settings: Config) -> object:
        return replace(dialling(contact, now_ms, settings), offer=offer)

    def for_listening(now_ms: int, settings: Config) -> object:
        return replace(listening(now_ms, settings), offer=offer)

    credentials.for_dialling = for_dialling  # type: ignore[method-assign,assignment]  # an older one
    credentials.for_listening = for_listening  # type: ignore[method-assign,assignment]  # an older one


def static_of(person: Person) -> bytes:
    return person.node._env.credentials._static.public


async def meet(dialler: Person, listener: Person) -> None:
    """Let them meet for the first time, on one connection."""
    await listener.node.add_contact(dialler.node.identity().link)
    await dialler.node.add_contact(listener.node.identity().link)
    await online(dialler, listener.name)
    await online(listener, dialler.name)


async def again(world: World, one: Person, other: Person) -> None:
    """Break the connection and wait for the next."""
    before = link_of(one, other.name)
    before.abort()
    clock = world.clock
    await until(
        lambda: all(
            (link := person.node._book.find(contact).link) is not None
            and link is not before
            and link.is_open
            for person, contact in ((one, other.name), (other, one.name))
        ),
        clock=clock,
    )


# --- Known peers ----------------------------------------------------------------------------------


async def test_the_first_meeting_is_xx_and_the_next_ik(world: World) -> None:
    """R-4.2.5, R-5.6.1: both remember the other's static key; the one that is dialled, the time."""
    alice, bob = world.person("alice"), world.person("bob")
    await alice.start()
    await bob.start(dial=False)
    await meet(alice, bob)
    assert suite_of(alice, "bob") == XX_HFS
    assert (await record_of(alice, "bob")).static == static_of(bob)
    assert (await record_of(bob, "alice")).static == static_of(alice)
    assert (await record_of(bob, "alice")).handshake_time_ms == 0
    await again(world, alice, bob)
    assert suite_of(alice, "bob") == suite_of(bob, "alice") == IK_HFS
    first = (await record_of(bob, "alice")).handshake_time_ms
    assert first > 0
    await alice.node.send("bob", "known by now")
    await delivered(alice, "bob")
    assert not [event for event in alice.events if isinstance(event, SessionRestarted)]


async def test_a_rotated_key_and_a_clock_set_back_lead_to_xx(world: World) -> None:
    """R-5.6.1, R-5.6.2: on the same connection; both still get in."""
    alice, bob = world.person("alice"), world.person("bob")
    await alice.start()
    await bob.start(dial=False)
    await meet(alice, bob)
    peer = alice.node._book.find("bob")
    await peer.update(lambda record: replace(record, static=b"\x09" + bytes(31)))
    await again(world, alice, bob)
    assert suite_of(alice, "bob") == XX_HFS
    assert (await record_of(alice, "bob")).static == static_of(bob)
    future = world.clock.wall_ms() + 3_600_000  # as if Alice's clock had been an hour ahead
    stored = bob.node._book.find("alice")
    await stored.update(lambda record: replace(record, handshake_time_ms=future))
    await again(world, alice, bob)
    assert suite_of(alice, "bob") == XX_HFS
    assert (await record_of(bob, "alice")).handshake_time_ms == future


@pytest.mark.parametrize(("late_ms", "suite"), [(-1, XX_HFS), (0, XX_HFS), (1, IK_HFS)])
async def test_only_a_later_time_is_answered(world: World, late_ms: int, suite: Suite) -> None:
    """R-5.6.1: neither an earlier nor the same."""
    alice, bob = await world.two()
    peer = bob.node._book.find("alice")
    stored_ms = world.clock.wall_ms()
    await peer.update(lambda record: replace(record, handshake_time_ms=stored_ms))
    mallory = as_person(world, alice)
    await knock(mallory, bob, now_ms=stored_ms + late_ms)
    assert proof_of(mallory).suite == suite
    expected = max(stored_ms, stored_ms + late_ms)
    assert (await record_of(bob, "alice")).handshake_time_ms == expected


def as_person(world: World, person: Person) -> RawPeer:
    """A hand-driven connection with someone's own keys: his second computer, or his thief."""
    raw = RawPeer(world, person.name)
    credentials = person.node._env.credentials
    raw.static = credentials._static
    raw.certificate = credentials._certificate
    return raw


async def knock(
    raw: RawPeer, target: Person, *, now_ms: int | None = None, offer: Offer = OUR_OFFER
) -> bytes:
    """Dial with what a known peer knows, until it is proven or closed; returns what was sent."""
    sent = await raw.open(target, knows=static_of(target), now_ms=now_ms, offer=offer)
    await raw.read_until(PeerAuthenticated, ConnectionClosed)
    return sent


def proof_of(raw: RawPeer) -> PeerAuthenticated:
    proofs = [event for event in raw.events if isinstance(event, PeerAuthenticated)]
    assert proofs, raw.closed
    return proofs[0]


async def test_a_replayed_first_message_displaces_nobody_and_proves_nothing(world: World) -> None:
    """R-5.4.8, R-5.6.1: recorded on the path; the live connection does not even notice."""
    alice, bob = await world.two()
    time_ms = world.clock.wall_ms() + 60_000
    ghost = as_person(world, alice)
    sent = await knock(ghost, bob, now_ms=time_ms)
    assert proof_of(ghost).suite == IK_HFS
    live, stored = link_of(bob, "alice"), await record_of(bob, "alice")
    assert stored.handshake_time_ms == time_ms
    replays = [await world.transport("eve").dial(bob.listen) for _ in range(3)]
    for stream in replays:
        stream.write(sent)
        assert (await stream.read())[2] == ClearKind.RETRY
        stream.write(b"\x01\x10" + bytes(272))
        await hung_up(stream)
    ghost.stream.abort()
    assert link_of(bob, "alice") is live
    assert live.is_open
    assert await record_of(bob, "alice") == stored
    await bob.node.send("alice", "still here")
    await delivered(bob, "alice")


async def test_a_delayed_first_message_gets_an_answer_and_no_further(world: World) -> None:
    """R-5.4.8: held back by someone on the path, so its time is fresh; he cannot go on."""
    alice, bob = await world.two()
    ghost = as_person(world, alice)
    now_ms = world.clock.wall_ms() + 60_000
    held_back = first_flight(ghost, bob, now_ms)
    live = link_of(bob, "alice")
    stream = await world.transport("eve").dial(bob.listen)
    stream.write(held_back)
    assert (await stream.read())[2] == ClearKind.NOISE
    await alice.node.send("bob", "meanwhile")
    await delivered(alice, "bob")
    assert link_of(bob, "alice") is live
    stream.write(b"\x01\x10" + bytes(272))
    await hung_up(stream)
    assert link_of(bob, "alice") is live
    assert live.is_open


async def hung_up(stream: Stream) -> bytes:
    """Return what still comes until the other end closes."""
    found = b""
    async with asyncio.timeout(10):
        while data := await stream.read():
            found += data
    stream.abort()
    return found


def first_flight(raw: RawPeer, target: Person, now_ms: int) -> bytes:
    connection = Connection(
        raw.config(target, knows=static_of(target)),
        initiator=True,
        now=0.0,
        now_ms=now_ms,
        rng=raw.world.rng,
    )
    return connection.data_to_send()


# --- Stealth ----------------------------------------------------------------------------------


@pytest.fixture
async def hidden(tmp_path: Path) -> AsyncIterator[tuple[World, Person, Person]]:
    """Alice and Bob who have met; then Bob went into stealth."""
    world = memory_world(tmp_path)
    alice, bob = await world.two()
    await bob.stop()
    bob.world = World(tmp_path, network=world.network, clock=world.clock, config=STEALTH)
    await bob.start(dial=False)
    yield world, alice, bob
    await world.close()


async def test_in_stealth_a_known_peer_is_served(hidden: tuple[World, Person, Person]) -> None:
    """R-5.7.1."""
    _, alice, bob = hidden
    await online(alice, "bob")
    assert suite_of(alice, "bob") == IK_HFS
    await alice.node.send("bob", "psst")
    await delivered(alice, "bob")
    assert bob.arrived()[-1] == "psst"


@pytest.mark.parametrize("who", ["scanner", "stranger", "old key", "replay", "stranger with key"])
async def test_in_stealth_the_port_is_mute(hidden: tuple[World, Person, Person], who: str) -> None:
    """R-5.7.1: not one byte until it closes."""
    world, alice, bob = hidden
    await online(alice, "bob")
    stream = await world.transport("eve").dial(bob.listen)
    match who:
        case "scanner":
            stream.write(b"GET / HTTP/1.1\r\n\r\n")
        case "stranger":
            stream.write(flight_of(RawPeer(world), bob, knows=None))
        case "stranger with key":
            stream.write(flight_of(RawPeer(world), bob, knows=static_of(bob)))
        case "old key":
            stream.write(
                flight_of(as_person(world, alice), bob, knows=RawPeer(world).static.public)
            )
        case _:
            ghost = as_person(world, alice)
            time_ms = (await record_of(bob, "alice")).handshake_time_ms
            stream.write(first_flight(ghost, bob, time_ms))
    live = link_of(bob, "alice")
    assert await hung_up(stream) == b""
    assert link_of(bob, "alice") is live


def flight_of(raw: RawPeer, target: Person, *, knows: bytes | None) -> bytes:
    connection = Connection(
        raw.config(target, knows=knows),
        initiator=True,
        now=0.0,
        now_ms=raw.world.clock.wall_ms(),
        rng=raw.world.rng,
    )
    return connection.data_to_send()


# --- The hybrid, pinned -------------------------------------------------------------------------


async def pq_by_rpc(person: Person, contact: str) -> bool:
    """What other programs are told."""
    entries = await Service(person.node).call("contact.list", {})
    assert isinstance(entries, list)
    [entry] = [entry for entry in entries if entry["contact"].lower() == contact]
    assert isinstance(entry["pq"], bool)
    return entry["pq"]


async def test_hybrid_is_the_default_and_is_shown(world: World) -> None:
    """R-4.3.5, R-4.3.6."""
    alice, bob = await world.two()
    assert (await record_of(alice, "bob")).post_quantum
    assert (await record_of(bob, "alice")).post_quantum
    assert await pq_by_rpc(alice, "bob")
    assert await pq_by_rpc(bob, "alice")


async def test_an_older_contact_is_served_and_shown_as_classical_until_it_is_hybrid(
    world: World,
) -> None:
    """R-4.3.5: then pinned."""
    alice, bob = world.person("alice"), world.person("bob")
    await alice.start()
    await bob.start(dial=False)
    own_offer(bob, CLASSICAL)
    await meet(alice, bob)
    assert not await pq_by_rpc(alice, "bob")
    assert not await pq_by_rpc(bob, "alice")
    await alice.node.send("bob", "old times")
    await delivered(alice, "bob")
    own_offer(bob, OUR_OFFER)
    await again(world, alice, bob)
    assert suite_of(alice, "bob").post_quantum
    assert await pq_by_rpc(alice, "bob")
    assert await pq_by_rpc(bob, "alice")


async def test_a_contact_that_has_spoken_hybrid_is_not_dialled_with_less(world: World) -> None:
    """R-4.3.6: and the person is told why it does not answer; nothing stored changes."""
    alice, bob = world.person("alice"), world.person("bob")
    await alice.start()
    await bob.start(dial=False)
    await meet(alice, bob)
    stored = await record_of(alice, "bob")
    own_offer(bob, CLASSICAL)
    link_of(alice, "bob").abort()
    await until(lambda: "the peer refused us" in view_of(alice, "bob").offline_reason)
    assert not view_of(alice, "bob").online
    assert await record_of(alice, "bob") == stored
    assert await pq_by_rpc(alice, "bob")


@pytest.mark.parametrize("suite", [XX, IK], ids=["XX", "IK"])
async def test_a_contact_that_has_spoken_hybrid_is_not_let_in_with_less(
    world: World, suite: Suite
) -> None:
    """R-4.3.6: DOWNGRADE_DETECTED, and the live connection stays."""
    alice, bob = await world.two()
    stored, live = await record_of(bob, "alice"), link_of(bob, "alice")
    older = as_person(world, alice)
    await older.open(
        bob,
        knows=static_of(bob) if suite is IK else None,
        offer=CLASSICAL,
        now_ms=world.clock.wall_ms() + 60_000,
    )
    await older.read_until(PeerAuthenticated)
    assert proof_of(older).suite == suite
    older.greet()
    await older.read_until(ConnectionClosed)
    assert (older.closed.code, older.closed.by_peer) == (ErrorCode.DOWNGRADE_DETECTED, True)
    assert link_of(bob, "alice") is live
    assert live.is_open
    left = replace(await record_of(bob, "alice"), handshake_time_ms=stored.handshake_time_ms)
    assert left == stored


async def test_two_at_once_do_not_lower_the_pin(world: World) -> None:
    """R-4.3.6, R-3.3.5: what one connection has just shown holds for one that came with it."""
    alice, bob = world.person("alice"), world.person("bob")
    await alice.start(listen=False)
    await bob.start(dial=False)
    own_offer(bob, OUR_OFFER)
    own_offer(alice, CLASSICAL)
    await alice.node.add_contact(bob.node.identity().link)
    await bob.node.add_contact(alice.node.identity().link)
    await online(alice, "bob")
    assert not (await record_of(bob, "alice")).post_quantum
    own_offer(alice, OUR_OFFER)
    peer = bob.node._book.find("alice")
    hybrid, classical = as_person(world, alice), as_person(world, alice)
    async with peer.attaching:
        # Both are proven and stand at the door before either is let in.
        await hybrid.open(bob, knows=None)
        await hybrid.read_until(PeerAuthenticated)
        hybrid.greet()
        await asyncio.sleep(0.05)
        await classical.open(bob, knows=None, offer=CLASSICAL)
        await classical.read_until(PeerAuthenticated)
        classical.greet()
        await asyncio.sleep(0.05)
    await classical.read_until(ConnectionClosed)
    assert classical.closed.code is ErrorCode.DOWNGRADE_DETECTED
    assert (await record_of(bob, "alice")).post_quantum


async def test_a_key_that_the_person_takes_instead_begins_anew(world: World) -> None:
    """R-4.3.6, R-3.6.4: pin, key and time belonged to the old identity."""
    alice, bob = await world.two()
    await bob.stop()
    peer = alice.node._book.find("bob")
    await until(lambda: peer.link is None)
    offered = RawPeer(world).identity.public
    await peer.update(lambda record: replace(record, handshake_time_ms=77))
    await peer.update(lambda record: replace(record, pin=on_wrong_identity(record.pin, offered)))
    assert (await record_of(alice, "bob")).post_quantum  # as long as nothing is decided
    await alice.node.accept("bob")
    record = await record_of(alice, "bob")
    assert record.pin.identity == offered
    assert (record.post_quantum, record.static, record.handshake_time_ms) == (False, None, 0)
    assert not await pq_by_rpc(alice, "bob")


@pytest.mark.parametrize("suite", [XX_HFS, XX], ids=["hybrid", "classical"])
async def test_a_request_is_shown_as_what_it_came_by(world: World, suite: Suite) -> None:
    """R-4.3.5, R-4.3.6: and pinned from its first connection on."""
    bob = world.person("bob")
    await bob.start(dial=False)
    stranger = RawPeer(world, "carol")
    offer = OUR_OFFER if suite.post_quantum else CLASSICAL
    await stranger.open(bob, knows=None, offer=offer)
    await stranger.read_until(PeerAuthenticated)
    stranger.greet()
    await until(lambda: any(isinstance(event, ContactRequested) for event in bob.events))
    assert await pq_by_rpc(bob, "carol") is suite.post_quantum
    record = await record_of(bob, "carol")
    assert record.pin.trust is Trust.REQUEST
    assert record.static == stranger.static.public
    await bob.node.accept("carol")
    await stranger.read_until(PeerGreeted)
    assert await pq_by_rpc(bob, "carol") is suite.post_quantum


async def test_without_classical_peers_an_older_one_is_refused_both_ways(tmp_path: Path) -> None:
    """R-4.3.2: the person wants none; each side learns it."""
    world = memory_world(tmp_path, config=replace(QUICK, classical_peers=False))
    alice, bob = world.person("alice"), world.person("bob")
    try:
        await alice.start()
        await bob.start(dial=False)
        older = RawPeer(world, "carol")
        await older.open(alice, knows=None, offer=CLASSICAL)
        await older.read_until(ConnectionClosed)
        assert (older.closed.code, older.closed.by_peer) == (ErrorCode.UNSUPPORTED_VERSION, True)
        own_offer(bob, CLASSICAL)
        await bob.node.add_contact(alice.node.identity().link)
        await alice.node.add_contact(bob.node.identity().link)
        await until(lambda: "the peer refused us" in view_of(alice, "bob").offline_reason)
        own_offer(bob, OUR_OFFER)
        await online(alice, "bob")
    finally:
        await world.close()


def test_classical_peers_are_served_unless_the_person_says_no() -> None:
    assert Config().classical_peers
    assert not Config().stealth


# --- A new handshake once a day -----------------------------------------------------------------


async def test_once_a_day_there_is_a_new_handshake(tmp_path: Path) -> None:
    """R-7.6.3: the session goes on."""
    world = memory_world(tmp_path, clock=ManualClock())
    clock = world.clock
    assert isinstance(clock, ManualClock)
    alice, bob = world.person("alice"), world.person("bob")
    try:
        await alice.start()
        await bob.start(dial=False)
        await meet(alice, bob)
        first = link_of(alice, "bob")
        first.opening = replace(first.opening, since=clock.monotonic() - CONNECTION_LIFETIME_S + 1)
        await alice.node.send("bob", "yesterday")
        await delivered(alice, "bob")
        assert link_of(alice, "bob") is first
        clock.advance(15)
        await until(lambda: first.closed is not None, clock=clock)
        await online(alice, "bob")
        await online(bob, "alice")
        assert suite_of(alice, "bob") == IK_HFS
        await bob.node.send("alice", "today")
        await delivered(bob, "alice")
        assert not [event for event in bob.events if isinstance(event, SessionRestarted)]
    finally:
        await world.close()
