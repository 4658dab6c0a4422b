"""Static keys that rotate under a running conversation (protocol.md §3.3, §7.8).

Real nodes and real profiles; where one side must misbehave it is a Connection by hand.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from p2pchat.constants import STATIC_KEY_OVERLAP_MS
from p2pchat.crypto import x25519
from p2pchat.errors import ErrorCode, StoreError
from p2pchat.identity.certificate import Certificate, issue
from p2pchat.identity.keys import key_id, peer_id
from p2pchat.node.events import ContactChanged, SessionRestarted
from p2pchat.node.keys import CHECK_S, DAY_MS
from p2pchat.node.link import Link
from p2pchat.node.peer import ROTATIONS_RECORDED_PER_HOUR
from p2pchat.session.events import (
    ConnectionClosed,
    NoticeReceived,
    PeerAuthenticated,
    PeerGreeted,
    SendNotice,
)
from p2pchat.session.negotiation import IK_HFS, XX_HFS, Suite
from p2pchat.session.notices import CertificateNotice
from p2pchat.store.ports import Store, Transaction
from p2pchat.store.records import ContactRecord, IdentityRecord
from p2pchat.store.transaction import SqlTransaction
from tests.support.net_clock import ManualClock
from tests.support.node_faulty_store import FaultyStore
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
from tests.support.pages import pages

PERIOD_S = QUICK.rotate_static_days * DAY_MS / 1000
OVERLAP_S = STATIC_KEY_OVERLAP_MS / 1000


async def own(person: Person) -> IdentityRecord:
    """Our own keys as they are stored."""
    record = await person.node._env.store.read(lambda tx: tx.identity())
    assert record is not None
    return record


def current(person: Person) -> Certificate:
    return person.node._env.credentials.certificate(person.world.clock.wall_ms())


async def record_of(person: Person, contact: str) -> ContactRecord:
    number = person.node._book.find(contact).contact_id
    record = await person.node._env.store.read(lambda tx: tx.contact(number))
    assert record is not None
    return record


async def knows(person: Person, contact: Person) -> bool:
    """Whether the contact's newest key is stored."""
    record, newest = await record_of(person, contact.name), current(contact)
    return (record.static, record.certificate_generation) == (newest.static, newest.generation)


async def until_knows(person: Person, contact: Person) -> None:
    newest = current(contact).generation
    peer = person.node._book.find(contact.name)
    await until(lambda: peer.record.certificate_generation == newest)
    assert await knows(person, contact)


def link_of(person: Person, contact: str) -> Link:
    link = person.node._book.find(contact).link
    assert isinstance(link, Link)
    return link


def proof_of(person: Person, contact: str) -> PeerAuthenticated:
    proof = link_of(person, contact).proof
    assert proof is not None
    return proof


# --- A conversation goes on -----------------------------------------------------------------------

ROTATIONS = 100
OFFLINE_AT = 60
"""Before this rotation the peer goes away; it comes back after it."""


async def test_a_hundred_rotations_in_a_conversation_lose_nothing_and_leave_no_key(
    world: World,
) -> None:
    """R-3.3.6 to R-3.3.9: nothing is lost, doubled or restarted, and the old keys are gone."""
    alice, bob = await world.two()
    number = await alice.node.safety_number("bob")
    old_keys = []
    live = link_of(alice, "bob")
    for turn in range(ROTATIONS):
        if turn == OFFLINE_AT:
            assert link_of(alice, "bob") is live, "no connection ends by a rotation"
            await bob.stop()
        await alice.node.send("bob", f"to bob {turn}")
        old_keys.append((await own(alice)).static_private.reveal())
        await alice.node.rotate_key()
        if turn == OFFLINE_AT:
            await bob.start()
        await bob.node.send("alice", f"to alice {turn}")
    await online(alice, "bob")
    await delivered(alice, "bob")
    await delivered(bob, "alice")
    await until_knows(bob, alice)
    assert await bob.texts("alice") == [f"to bob {turn}" for turn in range(ROTATIONS)]
    assert await alice.texts("bob") == [f"to alice {turn}" for turn in range(ROTATIONS)]
    for person, contact in ((alice, "bob"), (bob, "alice")):
        assert not [event for event in person.events if isinstance(event, SessionRestarted)]
        assert await person.node.safety_number(contact) == number
    assert current(alice).generation >= ROTATIONS
    await require_gone(alice, old_keys)


async def require_gone(person: Person, old_keys: list[bytes]) -> None:
    """No key but the permitted previous one is in any file or page, or kept by the process."""
    *gone, previous = old_keys
    record = await own(person)
    held = await pages(person.node._profile.store)
    assert record.previous is not None
    assert record.previous.private.reveal() == previous
    assert previous in held, "the pages are as they are under the cipher"
    assert person.node._profile.identity == record
    files = b"".join(file.read_bytes() for file in person.path.iterdir() if file.is_file())
    assert len(set(old_keys)) == len(old_keys)
    for key in gone:
        assert key not in held
        for form in (key, key.hex().encode(), key.hex().upper().encode(), base64.b64encode(key)):
            assert form not in files


@pytest.mark.parametrize("stealth", [False, True])
async def test_who_comes_back_late_is_let_in_with_the_old_key_and_told_the_new(
    tmp_path: Path, stealth: bool
) -> None:
    """R-3.3.8, R-7.8.3: in stealth, where no RETRY would help, as well."""
    world = memory_world(tmp_path, config=replace(QUICK, stealth=stealth))
    try:
        alice, bob = world.person("alice"), world.person("bob")
        await alice.start(dial=False)
        await bob.start(listen=False)
        await meet_first(bob, alice, stealth=stealth)
        await bob.stop()
        old = current(alice)
        await alice.node.rotate_key()
        await bob.start(listen=False)
        await online(bob, "alice")
        assert proof_of(bob, "alice").suite == IK_HFS
        assert proof_of(bob, "alice").certificate.static == old.static
        assert proof_of(alice, "bob").presented.generation == old.generation
        await bob.node.send("alice", "I am back")
        await delivered(bob, "alice")
        await until_knows(bob, alice)
        await again(bob, alice)
        assert proof_of(bob, "alice").suite == IK_HFS
        assert proof_of(bob, "alice").certificate.static == current(alice).static
    finally:
        await world.close()


async def meet_first(dialler: Person, listener: Person, *, stealth: bool) -> None:
    """Let them meet as they could in stealth: the dialler knows the key by another way."""
    await listener.node.add_contact(dialler.node.identity().link)
    await dialler.node.add_contact(listener.node.identity().link)
    if stealth:
        peer = dialler.node._book.find(listener.name)
        await peer.update(lambda record: replace(record, static=current(listener).static))
        dialler.node.retry()
    await online(dialler, listener.name)
    await online(listener, dialler.name)


async def again(dialler: Person, listener: Person) -> None:
    """Break the connection and wait for the next."""
    before = link_of(dialler, listener.name)
    before.abort()
    await until(
        lambda: (
            (link := dialler.node._book.find(listener.name).link) is not None
            and link is not before
            and link.is_open
            and view_of(listener, dialler.name).online
        )
    )


async def test_after_two_rotations_a_retry_lets_in(world: World) -> None:
    """R-3.3.8, R-5.6.2: only the previous key is kept."""
    alice, bob = world.person("alice"), world.person("bob")
    await alice.start(dial=False)
    await bob.start(listen=False)
    await meet_first(bob, alice, stealth=False)
    await bob.stop()
    await alice.node.rotate_key()
    await alice.node.rotate_key()
    await bob.start(listen=False)
    await online(bob, "alice")
    assert proof_of(bob, "alice").suite == XX_HFS
    assert await knows(bob, alice)


@pytest.mark.parametrize(
    ("waits_s", "suite"), [(OVERLAP_S - 3600, IK_HFS), (OVERLAP_S, XX_HFS)], ids=["within", "after"]
)
async def test_the_overlap_has_an_end(tmp_path: Path, waits_s: float, suite: Suite) -> None:
    """R-3.3.8, R-3.3.9: after 14 days nothing answers for the old key, and it is deleted."""
    clock = ManualClock()
    world = memory_world(tmp_path, clock=clock, config=replace(QUICK, rotate_static_days=0))
    try:
        alice, bob = world.person("alice"), world.person("bob")
        await alice.start(dial=False)
        await bob.start(listen=False)
        await meet_first(bob, alice, stealth=False)
        await bob.stop()
        old = (await own(alice)).static_private.reveal()
        await alice.node.rotate_key()
        clock.advance(waits_s)
        over = suite is XX_HFS
        if over:
            await until(lambda: alice.node._env.credentials.previous is None, clock=clock)
        await bob.start(listen=False)
        await online(bob, "alice")
        assert proof_of(bob, "alice").suite == suite
        assert ((await own(alice)).previous is None) is over
        assert (old in await pages(alice.node._profile.store)) is not over
    finally:
        await world.close()


# --- What is told, and what is believed -------------------------------------------------------


async def test_everybody_connected_is_told_and_dials_with_the_new_key(world: World) -> None:
    """R-7.8.2, R-7.8.5: on the connection that goes on."""
    alice, bob = await world.two()
    live = link_of(bob, "alice")
    await alice.node.rotate_key()
    await until_knows(bob, alice)
    assert link_of(bob, "alice") is live
    before = await own(alice)
    await bob.node.rotate_key()
    await until_knows(alice, bob)
    await again(alice, bob)
    assert proof_of(alice, "bob").suite == proof_of(bob, "alice").suite == IK_HFS
    assert await own(alice) == before


async def audited(person: Person) -> list[tuple[str, str | None, str | None, int]]:
    """Kind, principal, key id and generation of every record about a static key."""

    def work(tx: Transaction) -> list[bytes]:
        assert isinstance(tx, SqlTransaction)
        return [row[0] for row in tx._execute("SELECT record FROM audit_record ORDER BY sequence")]

    records = [json.loads(record) for record in await person.node._env.store.read(work)]
    return [
        (record["kind"], record["principal"], record["key_id"], record["context"]["generation"])
        for record in records
        if record["kind"] in ("key_rotated", "key_erased")
    ]


async def test_both_sides_record_a_rotation_and_the_chat_says_nothing(world: World) -> None:
    alice, bob = await world.two()
    await delivered(bob, "alice")
    keys = [current(alice)]
    events = len(bob.events)
    for _ in range(2):
        await alice.node.rotate_key()
        keys.append(current(alice))
        await until_knows(bob, alice)
    first, second, third = (
        (peer_id(key.identity), key_id(key.static).hex(), key.generation) for key in keys
    )
    assert await audited(alice) == [
        ("key_rotated", *second),
        ("key_erased", *first),
        ("key_rotated", *third),
    ]
    assert await audited(bob) == [("key_rotated", *second), ("key_rotated", *third)]
    assert [e for e in bob.events[events:] if not isinstance(e, ContactChanged)] == []
    for _ in range(2 * ROTATIONS_RECORDED_PER_HOUR):
        await alice.node.rotate_key()
    await until_knows(bob, alice)
    assert len(await audited(bob)) == ROTATIONS_RECORDED_PER_HOUR, "a log that he cannot flush"


async def test_who_waits_to_be_accepted_is_told_too(world: World) -> None:
    """R-7.8.2: such a connection is silent otherwise; being ignored does not lock out."""
    alice, bob = world.person("alice"), world.person("bob")
    await alice.start(listen=False)
    await bob.start(dial=False)
    await alice.node.add_contact(bob.node.identity().link)
    await until(lambda: bool(list(bob.node._book)))
    await bob.node.rotate_key()
    await until_knows(alice, bob)
    assert view_of(bob, "alice").trust == "request"


async def test_a_rotation_while_the_handshake_runs_is_told_after_it(world: World) -> None:
    """R-7.8.3."""
    alice = world.person("alice")
    await alice.start(dial=False)
    raw = RawPeer(world)
    await raw.open(alice)
    await until(lambda: bool(alice.node._reception._links))
    await alice.node.rotate_key()
    await raw.read_until(PeerAuthenticated)
    [proof] = [event for event in raw.events if isinstance(event, PeerAuthenticated)]
    assert proof.certificate.generation == 0
    raw.greet()
    await raw.read_until(NoticeReceived)
    [told] = [event.notice for event in raw.events if isinstance(event, NoticeReceived)]
    assert told == CertificateNotice(current(alice).encoded)
    raw.stream.abort()


async def known_raw_peer(world: World, target: Person) -> RawPeer:
    """A hand-driven peer that is a contact of ``target`` with a certificate of generation 5."""
    raw = RawPeer(world)
    raw.certificate = certificate_of(raw, 5, static=raw.static.public)
    await raw.dial(target, note="let me in")
    await raw.read_until(PeerGreeted)
    await until(lambda: bool(list(target.node._book)))
    return raw


def certificate_of(
    raw: RawPeer, generation: int, *, static: bytes | None = None, days: int = 0
) -> Certificate:
    now_ms = raw.world.clock.wall_ms() + days * DAY_MS
    fresh = static or x25519.generate(rng=raw.world.rng).public
    return issue(raw.identity.seed, fresh, generation=generation, now_ms=now_ms)


def tell(raw: RawPeer, encoded: bytes) -> None:
    raw.connection.send(SendNotice(CertificateNotice(encoded)), now=raw.world.clock.monotonic())
    raw.write()


@pytest.mark.parametrize("generation", [5, 6, 2**32 - 1])
async def test_a_generation_that_is_not_lower_is_stored(world: World, generation: int) -> None:
    """R-7.8.4, R-7.8.5."""
    alice = world.person("alice")
    await alice.start(dial=False)
    raw = await known_raw_peer(world, alice)
    told = certificate_of(raw, generation)
    tell(raw, told.encoded)
    name = next(iter(alice.node._book)).record.name
    peer = alice.node._book.find(name)
    await until(lambda: peer.record.static == told.static)
    stored = await record_of(alice, name)
    assert (stored.static, stored.certificate_generation) == (told.static, generation)
    raw.stream.abort()


@pytest.mark.parametrize("what", ["lower", "forged", "expired", "another's", "our own key"])
async def test_a_certificate_that_does_not_hold_ends_the_connection(
    world: World, what: str
) -> None:
    """R-7.8.4: CERTIFICATE_INVALID, and nothing is stored."""
    alice = world.person("alice")
    await alice.start(dial=False)
    raw = await known_raw_peer(world, alice)
    name = next(iter(alice.node._book)).record.name
    stored = await record_of(alice, name)
    match what:
        case "lower":
            encoded = certificate_of(raw, 4).encoded
        case "forged":
            good = certificate_of(raw, 6).encoded
            encoded = good[:70] + bytes([good[70] ^ 1]) + good[71:]
        case "expired":
            encoded = certificate_of(raw, 6, days=-98).encoded
        case "another's":
            encoded = certificate_of(RawPeer(world), 6).encoded
        case _:
            encoded = certificate_of(raw, 6, static=current(alice).static).encoded
    tell(raw, encoded)
    await raw.read_until(ConnectionClosed)
    assert (raw.closed.code, raw.closed.by_peer) == (ErrorCode.CERTIFICATE_INVALID, True)
    assert await record_of(alice, name) == stored
    raw.stream.abort()


async def test_the_thief_of_an_old_key_is_refused_by_who_knows_the_new(world: World) -> None:
    """R-3.3.5: the rotation, told in band, is what shuts him out."""
    alice, bob = await world.two()
    thief = RawPeer(world)
    thief.static, thief.certificate = alice.node._env.credentials._static, current(alice)
    await alice.node.rotate_key()
    await until_knows(bob, alice)
    live = link_of(bob, "alice")
    await thief.open(bob)
    await thief.read_until(PeerAuthenticated)
    thief.greet()
    await thief.read_until(ConnectionClosed)
    assert (thief.closed.code, thief.closed.by_peer) == (ErrorCode.CERTIFICATE_INVALID, True)
    assert link_of(bob, "alice") is live
    thief.stream.abort()


async def test_of_a_stranger_nothing_is_kept(world: World) -> None:
    """R-7.8.4, R-7.8.5: it is checked all the same."""
    alice = world.person("alice")
    await alice.start(dial=False)
    raw = RawPeer(world)
    await raw.dial(alice, accepted=False)
    await raw.read_until(PeerGreeted)
    tell(raw, certificate_of(raw, 6).encoded)
    tell(raw, certificate_of(RawPeer(world), 6).encoded)
    await raw.read_until(ConnectionClosed)
    assert raw.closed.code is ErrorCode.CERTIFICATE_INVALID
    assert not list(alice.node._book)
    raw.stream.abort()


# --- When -----------------------------------------------------------------------------------------


@pytest.fixture
async def still(tmp_path: Path) -> AsyncIterator[tuple[ManualClock, Person]]:
    """A clock that only the test moves, and somebody with a listening node."""
    clock = ManualClock()
    world = memory_world(tmp_path, clock=clock)
    alice = world.person("alice")
    yield clock, alice
    await world.close()


def generation(person: Person) -> int:
    return current(person).generation


async def pass_hours(clock: ManualClock, hours: float) -> None:
    """Let time pass and the node look at its keys: before and after, it waits for a look."""
    await until(lambda: awaits_look(clock, at_most_s=CHECK_S))
    clock.advance(hours * 3600)
    await until(lambda: awaits_look(clock, at_least_s=CHECK_S))


def awaits_look(clock: ManualClock, *, at_least_s: float = 0, at_most_s: float = CHECK_S) -> bool:
    waits = [when - clock.monotonic() for when, _, timer in clock._timers if timer.callback]
    return any(at_least_s <= wait <= at_most_s for wait in waits)


async def test_the_key_rotates_on_its_day_and_not_before(
    still: tuple[ManualClock, Person],
) -> None:
    """R-3.3.6."""
    clock, alice = still
    await alice.start()
    for expected in (1, 2):
        await pass_hours(clock, PERIOD_S / 3600 - 2)
        assert generation(alice) == expected - 1
        await pass_hours(clock, 2)
        assert generation(alice) == expected


async def test_what_became_due_while_the_node_was_off_is_done_at_its_start(
    still: tuple[ManualClock, Person],
) -> None:
    clock, alice = still
    await alice.start()
    await alice.stop()
    clock.advance(PERIOD_S)
    await alice.start(listen=False, dial=False)
    assert generation(alice) == 0, "a command that only reads leaves the keys alone"
    await alice.stop()
    await alice.start()
    assert generation(alice) == 1


async def test_never_means_never(tmp_path: Path) -> None:
    clock = ManualClock()
    world = memory_world(tmp_path, clock=clock, config=replace(QUICK, rotate_static_days=0))
    try:
        alice = world.person("alice")
        await alice.start()
        await pass_hours(clock, 10_000 * 24)
        assert generation(alice) == 0
        await alice.node.rotate_key()
        assert generation(alice) == clock.wall_ms() // 1000
    finally:
        await world.close()


async def test_a_clock_that_jumps_causes_one_rotation_and_no_storm(
    still: tuple[ManualClock, Person],
) -> None:
    """Ahead by ten years: due once. Back again: borne for an hour, then due once."""
    clock, alice = still
    await alice.start()
    await pass_hours(clock, 10 * 365 * 24)
    assert generation(alice) == 1
    for _ in range(5):
        await pass_hours(clock, 2)
    assert generation(alice) == 1
    clock._wall_ms -= 10 * 365 * DAY_MS
    await pass_hours(clock, 1.01)
    assert generation(alice) == 1
    await pass_hours(clock, 1.01)
    assert generation(alice) == 2
    for _ in range(5):
        await pass_hours(clock, 2)
    assert generation(alice) == 2
    await pass_hours(clock, PERIOD_S / 3600)
    assert generation(alice) == 3


async def test_a_computer_that_starts_in_1970_keeps_its_keys(
    still: tuple[ManualClock, Person],
) -> None:
    """It asks for the time within the hour; at each start."""
    clock, alice = still
    now_ms = clock.wall_ms()
    for _ in range(3):
        clock._wall_ms = 0
        await alice.start()
        clock._wall_ms = now_ms
        await pass_hours(clock, 1.01)
        await pass_hours(clock, 1.01)
        now_ms = clock.wall_ms()
        await alice.stop()
    await alice.start()
    assert generation(alice) == 0


async def test_a_rotation_that_cannot_be_stored_has_not_happened(world: World) -> None:
    """R-3.3.7: nothing is presented or told before it is on the disk."""
    alice = world.person("alice")
    faulty: list[FaultyStore] = []

    def wrap(store: Store) -> FaultyStore:
        faulty.append(FaultyStore(store))
        return faulty[0]

    await alice.start(wrap_store=wrap)
    before = current(alice)
    faulty[0].broken = True
    with pytest.raises(StoreError, match="full"):
        await alice.node.rotate_key()
    assert current(alice) == before
    faulty[0].broken = False
    await alice.node.rotate_key()
    assert current(alice).generation > before.generation


async def test_a_scheduled_rotation_that_fails_is_tried_again(
    still: tuple[ManualClock, Person], caplog: pytest.LogCaptureFixture
) -> None:
    clock, alice = still
    faulty: list[FaultyStore] = []

    def wrap(store: Store) -> FaultyStore:
        faulty.append(FaultyStore(store))
        return faulty[0]

    await alice.start(wrap_store=wrap)
    faulty[0].broken = True
    await pass_hours(clock, PERIOD_S / 3600)
    assert "could not be seen to" in caplog.text
    faulty[0].broken = False
    await pass_hours(clock, 1.01)
    assert generation(alice) == 1
