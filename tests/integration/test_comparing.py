"""A phrase typed on two nodes: who is verified, what counts, what is told (protocol.md §3.8)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from p2pchat.constants import COMPARE_TIMEOUT_S, COMPARE_TRIES
from p2pchat.errors import TrustError, UnreachableError, UsageError
from p2pchat.identity.trust import Trust, VerifiedBy
from p2pchat.node.comparisons import NEWS_MAX
from p2pchat.node.events import ComparisonAsked, ComparisonEnded
from p2pchat.node.link import Link
from p2pchat.session.comparison import Outcome
from p2pchat.session.notices import CompareNotice, Notice
from p2pchat.store.ports import Transaction
from tests.support.net_clock import ManualClock
from tests.support.node_world import Person, World, introduce, memory_world, online, until, view_of

PHRASE = "the boat with the green hull"
WRONG = "the boat with the red hull"


def ends(person: Person) -> list[ComparisonEnded]:
    return [event for event in person.events if isinstance(event, ComparisonEnded)]


def asked(person: Person) -> int:
    return sum(isinstance(event, ComparisonAsked) for event in person.events)


async def compare(
    one: Person, other: Person, phrase: str = PHRASE, answer: str = PHRASE
) -> tuple[ComparisonEnded, ComparisonEnded]:
    """``one`` asks, ``other`` answers; returns how it ended for each."""
    before, heard = (len(ends(one)), len(ends(other))), asked(other)
    assert await one.node.compare(other.name, phrase) == "asked"
    await until(lambda: asked(other) > heard)
    assert view_of(other, one.name).compare_asked
    assert await other.node.compare(one.name, answer) == "answered"
    await until(lambda: len(ends(one)) > before[0] and len(ends(other)) > before[1])
    assert not view_of(other, one.name).compare_asked
    return ends(one)[-1], ends(other)[-1]


async def stored_tries(person: Person, contact: str) -> int:
    peer = person.node._book.find(contact)

    def read(tx: Transaction) -> int:
        record = tx.contact(peer.contact_id)
        assert record is not None
        return record.secret_tries

    return await person.node._env.store.read(read)


async def test_the_same_phrase_verifies_both_and_says_how(world: World) -> None:
    """R-3.6.5"""
    alice, bob = await world.two()
    one, other = await compare(alice, bob)
    assert (one.outcome, other.outcome) == (Outcome.VERIFIED, Outcome.VERIFIED)
    for person, contact in ((alice, "bob"), (bob, "alice")):
        view = view_of(person, contact)
        assert (view.trust, view.verified_by) == (Trust.VERIFIED, VerifiedBy.SECRET)
        assert view.verified_at_ms is not None
    await bob.stop()
    await bob.start()
    assert view_of(bob, "alice").verified_by is VerifiedBy.SECRET


async def test_a_safety_number_is_remembered_as_one(world: World) -> None:
    alice, _ = await world.two()
    number = await alice.node.safety_number("bob")
    await alice.node.verify("bob", number)
    assert view_of(alice, "bob").verified_by is VerifiedBy.NUMBER


async def test_three_wrong_phrases_and_no_more(world: World) -> None:
    """R-3.8.6: counted on both disks, not undone by a restart, undone by the person."""
    alice, bob = await world.two()
    for left in (2, 1, 0):
        one, other = await compare(alice, bob, WRONG)
        assert (one.outcome, other.outcome) == (Outcome.DIFFERED, Outcome.DIFFERED)
        assert (one.tries_left, other.tries_left) == (left, left)
        assert view_of(alice, "bob").trust is view_of(bob, "alice").trust is Trust.UNVERIFIED
    await alice.stop()
    await alice.start()
    await online(alice, "bob")
    for person, contact in ((alice, "bob"), (bob, "alice")):
        assert await stored_tries(person, contact) == COMPARE_TRIES
        with pytest.raises(TrustError, match="phrases were wrong"):
            await person.node.compare(contact, PHRASE)
    await alice.node.compare_again("bob")
    await bob.node.verify("alice", await bob.node.safety_number("alice"))
    one, other = await compare(alice, bob)
    assert (one.outcome, other.outcome) == (Outcome.VERIFIED, Outcome.VERIFIED)
    assert await stored_tries(alice, "bob") == await stored_tries(bob, "alice") == 0


async def test_a_peer_that_leaves_with_our_confirmation_has_used_up_a_try(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R-3.8.6: the confirmation leaves only after the count is on the disk."""
    alice, bob = await world.two()
    on_disk: list[int] = []
    real = Link.tell

    async def look() -> None:
        on_disk.append(await stored_tries(alice, "bob"))

    counted: list[int] = []

    def tell(link: Link, notice: Notice) -> None:
        if isinstance(notice, CompareNotice) and notice.body[0] == 3:  # CONFIRM
            counted.append(link.require_peer().record.secret_tries)
            link.abort()
            return
        real(link, notice)

    monkeypatch.setattr(Link, "tell", tell)
    await alice.node.compare("bob", PHRASE)
    await until(lambda: asked(bob) == 1)
    await bob.node.compare("alice", PHRASE)
    await until(lambda: bool(ends(alice)) and bool(ends(bob)))
    await look()
    assert counted == on_disk == [1]
    assert ends(alice)[0].outcome is Outcome.LOST
    assert view_of(alice, "bob").trust is Trust.UNVERIFIED


async def test_both_ask_at_once(world: World) -> None:
    """R-3.8.4"""
    alice, bob = await world.two()
    await alice.node.compare("bob", PHRASE)
    await bob.node.compare("alice", PHRASE)
    await until(lambda: bool(ends(alice)) and bool(ends(bob)))
    assert [end.outcome for end in (*ends(alice), *ends(bob))] == [Outcome.VERIFIED] * 2


async def test_nobody_types_in_time(tmp_path: Path) -> None:
    clock = ManualClock()
    world = memory_world(tmp_path, clock=clock)
    alice, bob = world.person("alice"), world.person("bob")
    await alice.start()
    await bob.start()
    await introduce(alice, bob)
    await alice.node.compare("bob", PHRASE)
    await until(lambda: asked(bob) == 1, clock=clock)
    for _ in range(int(COMPARE_TIMEOUT_S)):
        clock.advance(1.0)
        await until(lambda: True)
    await until(lambda: bool(ends(alice)) and bool(ends(bob)), clock=clock)
    assert ends(alice)[0].outcome is Outcome.TIMED_OUT
    assert ends(bob)[0].outcome in (Outcome.TIMED_OUT, Outcome.CANCELLED)
    assert await stored_tries(alice, "bob") == 0
    await world.close()


async def test_declining_ends_it_for_both(world: World) -> None:
    alice, bob = await world.two()
    await alice.node.compare("bob", PHRASE)
    await until(lambda: asked(bob) == 1)
    bob.node.compare_cancel("alice")
    await until(lambda: bool(ends(alice)))
    assert ends(alice)[0].outcome is Outcome.CANCELLED
    assert not view_of(bob, "alice").compare_asked


async def test_what_stands_against_a_comparison(world: World) -> None:
    alice, bob = await world.two()
    with pytest.raises(UsageError, match="characters"):
        await alice.node.compare("bob", "abc")
    await alice.node.compare("bob", PHRASE)
    with pytest.raises(UsageError, match="under way"):
        await alice.node.compare("bob", PHRASE)
    await bob.stop()
    await until(lambda: not view_of(alice, "bob").online)
    with pytest.raises(UnreachableError, match="not online"):
        await alice.node.compare("bob", PHRASE)
    await alice.node.block("bob")
    with pytest.raises(TrustError, match="blocked"):
        await alice.node.compare("bob", PHRASE)


async def test_a_man_in_the_middle_with_two_genuine_sessions(world: World) -> None:
    """R-3.8.3: Mallory passes the comparison on between two people who took her for each other."""
    alice, bob, mallory = (world.person(name) for name in ("alice", "bob", "mallory"))
    for person in (alice, bob, mallory):
        await person.start()
    await introduce(alice, mallory)
    await introduce(bob, mallory)
    heard = relay(mallory, "alice", "bob")
    await alice.node.compare("mallory", PHRASE)
    await until(lambda: bool(ends(bob)))
    assert ends(bob)[0].outcome is Outcome.FOREIGN
    await bob.node.compare("mallory", PHRASE)
    await until(lambda: len(ends(alice)) > 0)
    assert ends(alice)[0].outcome is Outcome.FOREIGN
    assert len(heard) >= 2
    for person in (alice, bob):
        assert view_of(person, "mallory").trust is Trust.UNVERIFIED


def relay(middle: Person, one: str, other: str) -> list[bytes]:
    """Have ``middle`` pass each COMPARE notice of one contact on to the other, as it is."""
    heard: list[bytes] = []
    book = middle.node._book
    links = {name: book.find(name) for name in (one, other)}

    async def received(link: Link, peer: object, body: bytes) -> None:
        heard.append(body)
        to = links[other] if peer is links[one] else links[one]
        assert to.link is not None
        to.link.tell(CompareNotice(body))

    middle.node._reception.comparisons.received = received  # type: ignore[method-assign, assignment]  # the attack
    return heard


async def test_a_peer_that_spoils_comparisons_without_end_is_sent_away(world: World) -> None:
    alice, bob = await world.two()
    link = alice.node._book.find("bob").link
    assert link is not None
    # and the text below it.
    for number in range(NEWS_MAX + 1):
        link.tell(CompareNotice(b"\x05" + bytes([number]) * 24))
    await until(lambda: bob.node._book.find("alice").link is None)
    assert len(ends(bob)) <= NEWS_MAX
    assert {end.outcome for end in ends(bob)} == {Outcome.FOREIGN}


async def test_no_comparison_before_both_have_accepted(world: World) -> None:
    """R-7.8.7"""
    alice, bob = world.person("alice"), world.person("bob")
    await alice.start()
    await bob.start()
    await alice.node.add_contact(bob.node.identity().link)
    await until(lambda: len(list(bob.node._book)) == 1)
    request = bob.node._book.find("Alice")
    link = alice.node._book.find("bob").link
    assert link is not None
    before = request.link
    assert before is not None
    link.tell(CompareNotice(bytes([5]) + bytes(24)))
    await until(before.is_detached.is_set)
    assert not ends(bob)


async def test_a_new_key_starts_with_three_tries(world: World) -> None:
    alice, bob = await world.two()
    await compare(alice, bob, WRONG)
    peer = alice.node._book.find("bob")
    await peer.update(
        lambda record: replace(record, pin=replace(record.pin, identity=bytes(range(32))))
    )
    assert (peer.record.secret_tries, peer.record.verified_by) == (0, None)
