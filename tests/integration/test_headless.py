"""A client without a screen is told of everything that happens to its conversations.

Each feature once, between two nodes, as one of them announces it by JSON-RPC. That no event of a
node lacks a notification, tests/unit/rpc/test_notifications.py checks.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from p2pchat.identity.on_record import RecordStep
from p2pchat.rpc.notifications import to_notification
from p2pchat.session.vanishing import TimerStep
from tests.support.node_world import QUICK, Person, memory_world, online, until


class Headless:
    """What a client of this node has heard, and hears now."""

    def __init__(self, person: Person) -> None:
        self._person = person
        self._past = 0

    async def hears(self, method: str, **params: Any) -> None:
        """Wait for a notification, among those that came since the last one waited for."""

        def heard() -> bool:
            events = self._person.events
            for place in range(self._past, len(events)):
                told, what = to_notification(events[place])
                if told == method and params.items() <= what.items():
                    self._past = place + 1
                    return True
            return False

        try:
            await until(heard)
        except TimeoutError:
            events = self._person.events[self._past :]
            raise AssertionError(
                f"{method} {params} not among {[to_notification(each) for each in events]}"
            ) from None


async def test_a_headless_client_learns_of_each_feature(tmp_path: Path) -> None:
    world = memory_world(tmp_path, config=replace(QUICK, typing=True, read_receipts=True))
    alice, bob, carol = (world.person(name) for name in ("alice", "bob", "carol"))
    for person in (alice, bob, carol):
        await person.start()
    client = Headless(alice)
    about_bob = {"contact": "Bob"}

    # Contacts: a request, one added by another client, presence, trust.
    await carol.node.add_contact(alice.node.identity().link, note="it is me")
    await client.hears("contact.request", name="Carol", note="it is me")
    await alice.node.decline("carol")
    await client.hears("contact.removed", contact="Carol")
    await alice.node.add_contact(bob.node.identity().link)
    added = to_notification(alice.events[-1])  # before anything is dialled
    assert (added[0], added[1]["contact"]) == ("contact.state", "Bob")
    await bob.node.add_contact(alice.node.identity().link)
    await client.hears("contact.state", **about_bob, online=True, pq=True, trust="unverified")
    await online(bob, "alice")
    await alice.node.verify("bob", await alice.node.safety_number("bob"))
    await client.hears("contact.state", **about_bob, trust="verified")

    # Messages: theirs, ours and how far they come, and what becomes of them.
    bob.node.typing("alice", writing=True)
    await client.hears("contact.typing", **about_bob, writing=True)
    theirs = (await bob.node.send("alice", "hello")).message_id
    await client.hears("message.received", **about_bob, message_id=theirs, text="hello")
    ours = (await alice.node.send("bob", "hi")).message_id
    await client.hears("message.queued", **about_bob, message_id=ours, text="hi", state="queued")
    for state in ("sent", "delivered"):
        await client.hears("message.state", **about_bob, message_id=ours, state=state)
    await bob.node.mark_read("alice")
    await client.hears("message.state", **about_bob, message_id=ours, state="read")
    answer = (await bob.node.reply("alice", ours, "well")).message_id
    await client.hears("message.received", message_id=answer, reply_to=ours, quote="hi")
    await bob.node.edit("alice", theirs, "hallo")
    await client.hears("message.changed", message_id=theirs, text="hallo", removed=False)
    reaction = {"direction": "in", "emoji": "+"}
    await bob.node.react("alice", ours, "+")
    await client.hears("message.changed", message_id=ours, reactions=[reaction])
    await bob.node.delete("alice", theirs)
    await client.hears("message.changed", message_id=theirs, deleted=True, text="")
    await alice.node.mark_read("bob")  # seen at another client: nothing is unread any more
    await client.hears("contact.state", **about_bob)

    # Agreements.
    await bob.node.timer("alice", TimerStep.PROPOSE, 3600)
    await client.hears("contact.state", **about_bob)
    await client.hears("message.received", kind="timer.propose", text="3600")
    await alice.node.timer("bob", TimerStep.ACCEPT)
    await client.hears("message.queued", **about_bob, kind="timer.accept")
    await client.hears("contact.state", **about_bob)
    await until(lambda: bob.node._book.find("alice").vanishing.seconds == 3600)
    vanishing = (await bob.node.send("alice", "not for long")).message_id
    await client.hears("message.received", message_id=vanishing, lifetime_s=3600)
    await bob.node.record("alice", RecordStep.PROPOSE)
    await client.hears("message.received", kind="record.propose")
    await alice.node.record("bob", RecordStep.ACCEPT)
    await client.hears("message.queued", **about_bob, kind="record.accept")
    await client.hears("contact.state", **about_bob)
    await until(lambda: bob.node._book.find("alice").on_record.value == "on")
    await bob.node.sign("alice", "I owe you a boat")
    await client.hears("message.received", kind="statement", text="I owe you a boat")
    await alice.node.sign("bob", "and I you a sail")
    await client.hears("message.queued", **about_bob, kind="statement")
    await bob.node.compare("alice", "a phrase of ours")
    await client.hears("contact.compare_asked", **about_bob)
    await alice.node.compare("bob", "another phrase")
    await client.hears("contact.compared", **about_bob, outcome="differed", tries_left=2)

    # Away: what was taken back by another client is gone; then keys that are no good any more.
    await bob.stop()
    await client.hears("contact.state", **about_bob, online=False)
    cancelled = (await alice.node.send("bob", "never mind")).message_id
    await alice.node.cancel("bob", cancelled)
    await client.hears("message.changed", message_id=cancelled, removed=True)
    await bob.start()
    await client.hears("contact.state", **about_bob, online=True)
    await bob.node.revoke()
    await client.hears("contact.key", **about_bob, news="revoked")
    await alice.node.remove("bob")
    await client.hears("contact.removed", **about_bob)
    await alice.node.revoke()
    await client.hears("identity.revoked")
    await world.close()
