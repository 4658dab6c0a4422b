"""Who is writing just now: off unless chosen, gone in a moment (protocol.md §7.8)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from p2pchat.constants import TYPING_INTERVAL_S, TYPING_SHOWN_S
from p2pchat.node.events import ContactTyping
from p2pchat.session.notices import TypingNotice
from p2pchat.store.ports import Transaction
from tests.support.net_clock import ManualClock
from tests.support.node_world import (
    QUICK,
    Person,
    World,
    delivered,
    memory_world,
    online,
    until,
)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = memory_world(tmp_path, clock=ManualClock(), config=replace(QUICK, typing=True))
    yield world
    await world.close()


def told(person: Person) -> list[bool]:
    return [each.writing for each in person.events if isinstance(each, ContactTyping)]


def advance(world: World, seconds: float) -> None:
    assert isinstance(world.clock, ManualClock)
    world.clock.advance(seconds)


async def stored(person: Person) -> object:
    """Everything that counts messages."""

    def everything(tx: Transaction) -> object:
        return [
            (tx.ledger(number), tx.session(number), tx.messages(number))
            for number in (each.contact_id for each in tx.contacts())
        ]

    return await person.node._env.store.read(everything)


async def test_it_shows_for_a_moment_and_leaves_no_trace(world: World) -> None:
    """R-7.8.8, R-8.6.1: neither stored, nor sealed, nor counted."""
    alice, bob = await world.two()
    for one, other in ((alice, bob), (bob, alice)):
        await one.node.send(other.name, "hello")
        await delivered(one, other.name)
    before = await stored(alice), await stored(bob)
    assert alice.node.typing("bob", writing=True)
    await until(lambda: told(bob) == [True])
    advance(world, TYPING_SHOWN_S)
    assert told(bob) == [True, False]
    assert (await stored(alice), await stored(bob)) == before
    assert told(alice) == []


async def test_it_ends_with_the_message_with_a_word_and_with_the_connection(world: World) -> None:
    """R-7.8.8"""
    alice, bob = await world.two()
    alice.node.typing("bob", writing=True)
    await until(lambda: told(bob) == [True])
    await alice.node.send("bob", "there it is")
    await delivered(alice, "bob")
    assert told(bob) == [True, False]
    advance(world, TYPING_INTERVAL_S)
    alice.node.typing("bob", writing=True)
    await until(lambda: len(told(bob)) == 3)
    alice.node.typing("bob", writing=False)
    await until(lambda: told(bob)[3:] == [False])
    advance(world, TYPING_INTERVAL_S)
    alice.node.typing("bob", writing=True)
    await until(lambda: len(told(bob)) == 5)
    await alice.stop()
    await until(lambda: told(bob)[5:] == [False])
    assert bob.node.typing("alice", writing=True)  # nobody is there to be told


async def test_no_more_is_told_or_shown_than_so_much(world: World) -> None:
    """R-7.8.8: an honest side says it every 3 s; a hostile one is shown once a second."""
    alice, bob = await world.two()
    peer = alice.node._book.find("bob")
    link = peer.link
    assert link is not None
    sent: list[object] = []
    really = link.tell
    link.tell = lambda notice: (sent.append(notice), really(notice))[1]  # type: ignore[func-returns-value, method-assign]  # a spy
    for _ in range(30):
        alice.node.typing("bob", writing=True)
    assert sent == [TypingNotice(True)]
    advance(world, TYPING_INTERVAL_S)
    alice.node.typing("bob", writing=True)
    assert len(sent) == 2
    await until(lambda: told(bob) == [True])
    alice.node.typing("bob", writing=False)
    await until(lambda: told(bob) == [True, False])
    for _ in range(50):
        really(TypingNotice(True))
        really(TypingNotice(False))
    await alice.node.send("bob", "after the flood")
    await delivered(alice, "bob")
    assert len(told(bob)) <= 6


async def test_it_is_off_unless_chosen(tmp_path: Path) -> None:
    """R-7.8.8"""
    world = memory_world(tmp_path)
    alice, bob = await world.two()
    assert not alice.node.typing("bob", writing=True)
    await alice.node.send("bob", "hello")
    await delivered(alice, "bob")
    assert told(bob) == []
    await world.close()


async def test_whom_we_do_not_talk_to_is_not_shown(world: World) -> None:
    """R-3.6.6"""
    alice, bob = await world.two()
    await online(bob, "alice")
    desk = bob.node._reception.typing
    peer = bob.node._book.find("alice")
    await bob.node.block("alice")
    desk.noticed(peer, writing=True)
    assert told(bob) == []
    assert bob.node.typing("alice", writing=True)
    assert told(alice) == []
