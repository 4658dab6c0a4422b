"""Two nodes that change what was said: receipts, replies, edits, deletion, reactions (§9.5)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from p2pchat.constants import EDIT_WINDOW_MS
from p2pchat.errors import TrustError, UsageError
from p2pchat.identity.on_record import RecordStep
from p2pchat.node.events import (
    ContactRequested,
    MessageArrived,
    MessageChanged,
    MessageRemoved,
    MessageStateChanged,
)
from p2pchat.node.inbox import Batch
from p2pchat.node.views import MessageView
from p2pchat.session.changes import Delete, Edit, Reaction, ReadUpTo
from p2pchat.session.messages import Message
from p2pchat.store.ports import Transaction
from p2pchat.store.records import DeliveryState, Direction, MessageKind, MessageRecord
from tests.support.net_clock import ManualClock
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
from tests.support.raw_sql import raw_sql

DAY_S = 24 * 3600


async def last(person: Person, contact: str) -> MessageView:
    return (await person.history(contact))[-1]


async def said(one: Person, other: Person, text: str = "hello") -> str:
    """Let ``one`` say something; returns its id once ``other`` has it."""
    view = await one.node.send(other.name, text)
    await one.node.wait_delivered(other.name, view.message_id, 1e6)
    return view.message_id


async def settled(person: Person, contact: str) -> None:
    """Wait until everything of ours, changes included, is delivered."""
    peer = person.node._book.find(contact)

    async def waiting() -> int:
        return len(
            await person.node._env.store.read(
                lambda tx: tx.undelivered(peer.contact_id, 10, unsealed_only=False)
            )
        )

    async with asyncio.timeout(10):
        while await waiting():  # noqa: ASYNC110  # the store has no event to wait for
            await asyncio.sleep(0.002)


async def hidden(person: Person) -> int:
    """Count the stored changes."""

    def count(tx: Transaction) -> int:
        sql = "SELECT count(*) FROM message WHERE kind IN ('edit', 'delete', 'reaction', 'read')"
        return int(raw_sql(tx, sql)[0][0])

    return await person.node._env.store.read(count)


async def push(person: Person, contact: str, kind: MessageKind, of: str, text: str = "") -> None:
    """Send a change that our own desk would refuse to make."""
    peer = person.node._book.find(contact)
    record = MessageRecord(
        person.world.rng(16),
        peer.contact_id,
        Direction.OUT,
        text,
        person.world.clock.wall_ms(),
        DeliveryState.QUEUED,
        kind=kind,
        refers_to=bytes.fromhex(of),
    )
    await person.node._env.store.write(lambda tx: tx.add_message(record))
    assert peer.link is not None
    peer.link.messages_wait()
    await settled(person, contact)


# --- Read receipts ------------------------------------------------------------------------------


async def test_who_tells_what_was_read_and_who_does_not(tmp_path: Path) -> None:
    """R-9.5.6: Bob tells, Alice does not; each sees what the other tells."""
    world = memory_world(tmp_path)
    alice, bob = await world.two()
    bob.node._env.config = replace(QUICK, read_receipts=True)
    first, second = await said(alice, bob, "one"), await said(alice, bob, "two")
    await said(bob, alice, "mine")
    await alice.node.mark_read("bob")
    await bob.node.mark_read("alice")
    await settled(bob, "alice")
    states = {view.message_id: view.state for view in await alice.history("bob")}
    assert (states[first], states[second]) == (DeliveryState.READ, DeliveryState.READ)
    assert (await last(bob, "alice")).state is DeliveryState.DELIVERED
    told = [event for event in alice.events if isinstance(event, MessageStateChanged)]
    assert [event.message_id for event in told if event.state is DeliveryState.READ] == [
        first,
        second,
    ]
    third = await said(alice, bob, "three")
    await settled(bob, "alice")
    assert (await last(alice, "bob")).message_id == third
    assert (await last(alice, "bob")).state is DeliveryState.DELIVERED  # not seen yet
    assert await hidden(bob) == 0
    await world.close()


async def test_receipts_wait_as_one_and_survive_a_restart(tmp_path: Path) -> None:
    """R-9.5.6, R-8.6.1: offline, the last receipt takes the place of those before it."""
    world = memory_world(tmp_path, config=replace(QUICK, read_receipts=True))
    alice, bob = await world.two()
    await said(alice, bob, "one")
    await said(alice, bob, "two")
    await bob.stop()
    await bob.start(listen=False, dial=False)
    await bob.node.mark_read("alice")
    peer = bob.node._book.find("alice")
    await bob.node._env.store.write(lambda tx: tx.changes(peer.contact_id).put_kinds(frozenset()))
    assert await hidden(bob) == 1
    await bob.node.mark_read("alice")  # nothing new: nothing to tell
    assert await hidden(bob) == 1
    await bob.stop()
    await bob.start()
    await settled(bob, "alice")
    assert {view.state for view in await alice.history("bob")} == {DeliveryState.READ}
    await online(alice, "bob")
    assert not await alice.node.ledger("bob")
    assert not await bob.node.ledger("alice")
    await world.close()


# --- Replies -------------------------------------------------------------------------------------


async def test_a_reply_names_what_it_answers(world: World) -> None:
    """R-9.5.2: the quote comes from each side's own store."""
    alice, bob = await world.two()
    asked = await said(alice, bob, "tea or coffee?")
    answer = await bob.node.reply("alice", asked, "tea")
    await settled(bob, "alice")
    for person, other in ((alice, "bob"), (bob, "alice")):
        view = await last(person, other)
        assert (view.message_id, view.reply_to) == (answer.message_id, asked)
        assert (view.text, view.quote) == ("tea", "tea or coffee?")
    arrived = [each.message for each in alice.events if isinstance(each, MessageArrived)]
    assert [(each.reply_to, each.quote) for each in arrived] == [(asked, "tea or coffee?")]
    with pytest.raises(UsageError, match="no such message"):
        await bob.node.reply("alice", "00" * 16, "to nothing")


async def test_a_reply_to_what_is_not_here_is_a_text(world: World) -> None:
    """R-9.5.2"""
    alice, bob = await world.two()
    await push(alice, "bob", MessageKind.TEXT, "00" * 16, "an answer")
    view = await last(bob, "alice")
    assert (view.text, view.reply_to, view.quote) == ("an answer", "00" * 16, "")


# --- Edits ---------------------------------------------------------------------------------------


async def test_an_edit_replaces_the_text_on_both_sides_and_in_the_search(world: World) -> None:
    """R-9.5.3"""
    alice, bob = await world.two()
    message = await said(alice, bob, "the meting is at noon")
    await alice.node.edit("bob", message, "the meeting is at noon")
    await settled(alice, "bob")
    for person, other in ((alice, "bob"), (bob, "alice")):
        view = await last(person, other)
        assert (view.message_id, view.text) == (message, "the meeting is at noon")
        assert view.edited_at_ms is not None
        assert await person.node.messages(other, search="meting") == []
        assert len(await person.node.messages(other, search="meeting")) == 1
    changed = [event.message.text for event in bob.events if isinstance(event, MessageChanged)]
    assert changed == ["the meeting is at noon"]
    assert len(await bob.history("alice")) == len(await alice.history("bob")) == 1
    assert view_of(bob, "alice").unread == 1
    assert not await alice.node.ledger("bob")


async def test_what_has_not_left_yet_is_changed_without_a_trace(world: World) -> None:
    alice, bob = await world.two()
    await bob.stop()
    view = await alice.node.send("bob", "tpyo")
    await alice.node.edit("bob", view.message_id, "typo")
    gone = await alice.node.send("bob", "never mind")
    await alice.node.delete("bob", gone.message_id)
    assert [each.text for each in await alice.history("bob")] == ["typo"]
    assert [e.message_id for e in alice.events if isinstance(e, MessageRemoved)] == [
        gone.message_id
    ]
    await bob.start()
    await settled(alice, "bob")
    (got,) = await bob.history("alice")
    assert (got.text, got.edited_at_ms, got.deleted) == ("typo", None, False)


async def test_only_own_texts_and_only_for_a_day(tmp_path: Path) -> None:
    """R-9.5.3, on the author's side."""
    clock = ManualClock()
    world = memory_world(tmp_path, clock=clock)
    alice, bob = await world.two()
    view = await alice.node.send("bob", "old")
    await delivered(alice, "bob")
    with pytest.raises(UsageError, match="your own"):
        await bob.node.edit("alice", view.message_id, "mine now")
    with pytest.raises(UsageError, match="0"):
        await alice.node.edit("bob", view.message_id, "")
    await alice.node.record("bob", RecordStep.PROPOSE)
    word = (await last(alice, "bob")).message_id
    for attempt in (alice.node.delete("bob", word), alice.node.react("bob", word, "x")):
        with pytest.raises(UsageError):
            await attempt
    clock.advance(DAY_S + 1)
    with pytest.raises(UsageError, match="24 hours"):
        await alice.node.edit("bob", view.message_id, "too late")
    assert (await alice.history("bob"))[0].text == "old"
    await world.close()


@pytest.mark.parametrize("kind", [MessageKind.EDIT, MessageKind.DELETE])
async def test_the_other_side_cannot_change_what_we_said(world: World, kind: MessageKind) -> None:
    """R-9.5.3, R-9.5.4: a dishonest program tries."""
    alice, bob = await world.two()
    ours = await said(alice, bob, "I said no")
    theirs = await said(bob, alice, "really?")
    await push(bob, "alice", kind, ours, "I said yes")
    await push(bob, "alice", kind, "00" * 16, "nothing")
    view = (await alice.history("bob"))[0]
    assert (view.text, view.edited_at_ms, view.deleted) == ("I said no", None, False)
    assert not [event for event in alice.events if isinstance(event, MessageChanged)]
    await push(bob, "alice", kind, theirs, "really!")
    view = (await alice.history("bob"))[1]
    assert (view.text, view.deleted) == (("really!", False) if kind == "edit" else ("", True))


# --- Deletion ------------------------------------------------------------------------------------


def files_hold(person: Person, text: str) -> bool:
    return any(
        text.encode() in path.read_bytes() for path in person.path.rglob("*") if path.is_file()
    )


async def test_a_deleted_message_is_gone_on_both_sides(world: World) -> None:
    """R-9.5.4: out of rows, search and reactions; a line says that there was one."""
    alice, bob = await world.two()
    message = await said(alice, bob, "regrettable")
    await bob.node.react("alice", message, "👍")
    await settled(bob, "alice")
    answer = await bob.node.reply("alice", message, "hm")
    await settled(bob, "alice")
    await alice.node.delete("bob", message)
    await settled(alice, "bob")
    for person, other in ((alice, "bob"), (bob, "alice")):
        first, reply = await person.history(other)
        assert (first.text, first.deleted, first.reactions) == ("", True, ())
        assert (reply.message_id, reply.reply_to, reply.quote) == (answer.message_id, message, "")
        assert await person.node.messages(other, search="regrettable") == []
        with pytest.raises(UsageError, match=r"deleted|gone|your own"):
            await person.node.react(other, message, "x")
        with pytest.raises(UsageError, match=r"deleted|gone|your own"):
            await person.node.edit(other, message, "x")
    assert await hidden(alice) == await hidden(bob) == 0
    await push(bob, "alice", MessageKind.REACTION, message, "👎")
    assert (await alice.history("bob"))[0].reactions == ()


async def test_deleted_before_it_arrived(world: World) -> None:
    """R-9.5.4: it left, and was not acknowledged when the session was lost."""
    alice, bob = await world.two()
    await said(alice, bob, "first")
    await bob.stop()
    view = await alice.node.send("bob", "unlucky")
    peer = alice.node._book.find("bob")
    wanted = bytes.fromhex(view.message_id)
    await alice.node._env.store.write(
        lambda tx: tx.set_message_state(peer.contact_id, [wanted], DeliveryState.SENT)
    )
    await alice.node.delete("bob", view.message_id)
    await alice.node.send("bob", "last")
    await bob.start()
    await settled(alice, "bob")
    assert await bob.texts("alice") == ["first", "last"]
    assert [each.text for each in await alice.history("bob")] == ["first", "", "last"]
    for person in (alice, bob):
        await person.stop()
    for person in (alice, bob):
        await person.start()
    await online(alice, "bob")
    await online(bob, "alice")
    assert not await alice.node.ledger("bob")
    assert not await bob.node.ledger("alice")


# --- Reactions -----------------------------------------------------------------------------------


async def test_one_reaction_each_replaced_and_taken_back(world: World) -> None:
    """R-9.5.5"""
    alice, bob = await world.two()
    message = await said(alice, bob)
    family = "👨‍👩‍👧‍👦"
    await bob.node.react("alice", message, "👍")
    await bob.node.react("alice", message, family)
    await alice.node.react("bob", message, "❤️")
    await settled(bob, "alice")
    await settled(alice, "bob")
    ours = await last(alice, "bob")
    assert set(ours.reactions) == {(Direction.OUT, "❤️"), (Direction.IN, family)}
    assert set((await last(bob, "alice")).reactions) == {
        (Direction.IN, "❤️"),
        (Direction.OUT, family),
    }
    await bob.node.react("alice", message, "")
    await settled(bob, "alice")
    assert (await last(alice, "bob")).reactions == ((Direction.OUT, "❤️"),)
    for bad in ("x" * 65, "two words", "\x1b[31m", "a\nb", "\u202e"):
        with pytest.raises(UsageError, match="short word"):
            await bob.node.react("alice", message, bad)


async def test_a_hostile_reaction_is_stored_as_one_and_read_back(world: World) -> None:
    """R-9.5.5, R-9.3.5: line feeds and quotes do not break out of their field."""
    alice, bob = await world.two()
    message = await said(alice, bob)
    evil = '"],["out\nout 👍\x1b[2J\u202e'
    await push(bob, "alice", MessageKind.REACTION, message, evil)
    assert (await last(alice, "bob")).reactions == ((Direction.IN, evil),)
    await alice.node.record("bob", RecordStep.PROPOSE)
    await settled(alice, "bob")
    word = await last(alice, "bob")
    await push(bob, "alice", MessageKind.REACTION, word.message_id, "👍")
    assert (await last(alice, "bob")).reactions == ()


# --- What the other program does not know -----------------------------------------------------


async def test_a_program_that_does_not_know_a_kind_is_not_sent_one(world: World) -> None:
    """R-8.3.6: the person is told, and nothing changes."""
    alice, bob = await world.two()
    message = await said(alice, bob)
    peer = alice.node._book.find("bob")
    await alice.node._reception.changes.greeted(peer, frozenset({"text", "later", "edit"}))
    for attempt in (
        alice.node.react("bob", message, "👍"),
        alice.node.delete("bob", message),
    ):
        with pytest.raises(UsageError, match="Bob's program cannot show"):
            await attempt
    await alice.node.edit("bob", message, "better")
    view = await last(alice, "bob")
    assert (view.text, view.reactions, view.deleted) == ("better", (), False)
    await alice.stop()
    await alice.start()
    await online(alice, "bob")  # Bob's HELLO says what he really knows
    await alice.node.react("bob", message, "👍")
    await settled(alice, "bob")


async def test_a_request_says_what_its_program_knows(world: World) -> None:
    """R-8.3.6: the stranger greets once; when accepted, or after coming back, it is known."""
    alice, bob = world.person("alice"), world.person("bob")
    await alice.start()
    await bob.start()
    await alice.node.add_contact(bob.node.identity().link)
    await until(lambda: any(isinstance(each, ContactRequested) for each in bob.events))
    await bob.node.accept("alice")
    await online(bob, "alice")
    await online(alice, "bob")
    message = await said(alice, bob)
    await bob.node.react("alice", message, "👍")
    await settled(bob, "alice")
    assert (await last(alice, "bob")).reactions == ((Direction.IN, "👍"),)


async def test_nothing_is_changed_for_whom_nothing_may_be_sent_to(world: World) -> None:
    """R-3.6.6"""
    alice, bob = await world.two()
    message = await said(alice, bob)
    await alice.node.block("bob")
    for attempt in (
        alice.node.edit("bob", message, "x"),
        alice.node.delete("bob", message),
        alice.node.react("bob", message, "x"),
        alice.node.reply("bob", message, "x"),
    ):
        with pytest.raises(TrustError):
            await attempt
    alice.node._env.config = replace(QUICK, read_receipts=True)
    await alice.node.mark_read("bob")
    assert await hidden(alice) == 0


# --- The same thing twice ---------------------------------------------------------------------


async def test_a_repeated_change_is_ignored(world: World) -> None:
    """R-8.5.4: after a reset a change may come again; the ledger knows it."""
    alice, bob = await world.two()
    message = await said(alice, bob)
    record = bob.node._book.find("alice")
    of, first, second = bytes.fromhex(message), bytes([1]) * 16, bytes([2]) * 16
    at_ms = (await last(bob, "alice")).sent_at_ms + 1

    async def take(*changes: Message) -> None:
        batch = Batch(received=list(changes))
        await bob.node._env.store.write(lambda tx: batch.apply(tx, record.contact_id, at_ms))

    await take(Edit(first, at_ms, of, "once"), Edit(second, at_ms, of, "twice"))
    await take(Edit(first, at_ms, of, "once"), Reaction(second, at_ms, of, "👍"))
    view = await last(bob, "alice")
    assert (view.text, view.reactions) == ("twice", ())
    summary = await bob.node._env.store.read(lambda tx: tx.ledger(record.contact_id))
    assert summary.received.count == 3
    late = Edit(bytes([3]) * 16, at_ms + EDIT_WINDOW_MS, of, "too late")
    early = Edit(bytes([4]) * 16, at_ms - 2, of, "before it was said")
    await take(late, early, ReadUpTo(bytes([5]) * 16, 0, of), Delete(bytes([6]) * 16, 0, bytes(16)))
    assert (await last(bob, "alice")).text == "twice"
