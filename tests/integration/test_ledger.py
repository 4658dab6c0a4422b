"""Two nodes whose histories differ: both people are told once, with what is missing where."""

from __future__ import annotations

import pytest

from p2pchat.node import ledgers
from p2pchat.node.events import LedgersDiffered
from p2pchat.node.views import LedgerView
from p2pchat.session.ledger import Head
from p2pchat.session.notices import LedgerNotice
from p2pchat.store.audit_types import AuditKind
from tests.support.node_world import Person, World, delivered, online, until


def told(person: Person) -> list[LedgerView]:
    return [event.ledger for event in person.events if isinstance(event, LedgersDiffered)]


async def say(person: Person, other: Person, *texts: str) -> list[str]:
    ids = [(await person.node.send(other.name, text)).message_id for text in texts]
    await delivered(person, other.name)
    return ids


async def test_a_copy_that_was_put_back(world: World) -> None:
    """R-8.6.3, R-8.6.4, R-8.6.6."""
    alice, bob = await world.two()
    await say(alice, bob, "a1")
    await say(bob, alice, "b1")
    await alice.stop()
    alice.save("copy")
    await alice.start()
    await online(alice, "bob")
    await say(alice, bob, "a2", "a3")
    lost = await say(bob, alice, "b2")
    await alice.stop()
    alice.restore("copy")
    await alice.start()
    await online(alice, "bob")
    await say(alice, bob, "a4")
    await say(bob, alice, "b3")
    (of_alice,) = told(alice)
    (of_bob,) = told(bob)
    assert (of_alice.lost_here, of_alice.sent_elsewhere, of_alice.lost_there) == (1, 2, 0)
    assert (of_bob.lost_here, of_bob.sent_elsewhere, of_bob.lost_there) == (0, 0, 1)
    assert list(of_bob.lost_there_ids) == lost
    assert not of_alice.forked
    assert not of_bob.forked
    # What was delivered once is not sent again by itself.
    assert await alice.texts("bob") == ["b1", "b3"]
    assert await bob.node.ledger("alice") == [of_bob]
    # And once is once.
    await alice.stop()
    await alice.start()
    await online(alice, "bob")
    await say(bob, alice, "b4")
    assert told(alice) == [of_alice]
    assert told(bob) == [of_bob]


async def test_who_always_has_something_to_say_is_heard(world: World) -> None:
    """What has not left yet keeps nobody uncertain, though something waits at each greeting."""
    alice, bob = await world.two()

    async def meet(text: str) -> str:
        sent = await alice.node.send("bob", text)
        await bob.start()
        await delivered(alice, "bob")
        return sent.message_id

    await say(alice, bob, "a1")
    await alice.stop()
    alice.save("copy")
    await alice.start()
    await online(alice, "bob")
    await say(alice, bob, "a2")
    await alice.stop()
    alice.restore("copy")
    await bob.stop()
    await alice.start()
    await meet("a3")
    await bob.stop()
    bob.save("copy")
    lost = await meet("a4")
    await bob.stop()
    bob.restore("copy")
    await meet("a5")
    assert [one.lost_there_ids for one in told(alice)] == [(), (lost,)]
    assert [one.lost_here for one in told(bob)] == [1]


async def test_ordinary_life_differs_never(world: World) -> None:
    """Restarts on both sides, with messages waiting on both."""
    alice, bob = await world.two()
    for number in range(4):
        await say(alice, bob, f"a{number}")
        await bob.stop()
        await alice.node.send("bob", f"waits {number}")
        await bob.start()
        await say(bob, alice, f"b{number}")
        await alice.stop()
        await alice.start()
        await delivered(alice, "bob")
    assert told(alice) == told(bob) == []


async def test_while_connected_the_peer_is_told_now_and_then(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R-8.6.5: a ledger that was changed under the running node is noticed before a reconnect."""
    monkeypatch.setattr(ledgers, "TELL_EVERY", 5)
    alice, bob = await world.two()
    await say(alice, bob, *(f"a{number}" for number in range(12)))
    assert told(alice) == told(bob) == []
    store = bob.node._env.store
    peer = bob.node._book.find("alice")
    await store.write(lambda tx: tx.forget_ledger(peer.contact_id))
    await store.write(lambda tx: tx.count_received(peer.contact_id, [bytes(16)] * 1))
    await store.write(
        lambda tx: tx.count_received(
            peer.contact_id, [number.to_bytes(16, "big") for number in range(1, 40)]
        )
    )
    await say(alice, bob, *(f"b{number}" for number in range(6)))
    await until(lambda: told(bob) != [])
    assert told(bob)[0].forked


async def test_pasts_that_a_peer_makes_up_are_told_once(world: World) -> None:
    """R-8.6.6: neither the person nor the audit log hears of each."""
    alice, bob = await world.two()
    await say(alice, bob, "a1")
    link = alice.node._book.find("bob").link
    assert link is not None
    for number in range(20):
        link.tell(LedgerNotice(Head(1, bytes([number]) * 32)))
    await say(alice, bob, "a2")  # comes after them
    assert [finding.forked for finding in told(bob)] == [True]
    kinds = [record.kind for record in await bob.node.audit.records(100)]
    assert kinds.count(AuditKind.LEDGER_DIFFERED) == 1
