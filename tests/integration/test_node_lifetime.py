"""A connection that has lived for a day is replaced by one with new keys (R-7.6.3)."""

from __future__ import annotations

from pathlib import Path

from p2pchat.constants import CONNECTION_LIFETIME_S
from p2pchat.node.views import ContactChanged, SessionRestarted
from tests.support.net_clock import ManualClock
from tests.support.node_world import delivered, memory_world, online, until


async def test_a_day_old_connection_is_replaced_and_the_session_goes_on(tmp_path: Path) -> None:
    clock = ManualClock()
    world = memory_world(tmp_path, clock=clock)
    try:
        alice, bob = await world.two()
        await alice.node.send("bob", "yesterday")
        await delivered(alice, "bob")
        link = alice.node._book.find("bob").link
        for _ in range(int(CONNECTION_LIFETIME_S / 10)):
            clock.advance(10.0)
            if alice.node._book.find("bob").link is not link:
                break
            await until(lambda: True)
        await until(lambda: alice.node._book.find("bob").link not in (link, None))
        await online(alice, "bob")
        await online(bob, "alice")
        await alice.node.send("bob", "today")
        await delivered(alice, "bob")
        assert await bob.texts("alice") == ["yesterday", "today"]
        events = alice.events + bob.events
        assert any(isinstance(event, ContactChanged) for event in events)
        assert not any(isinstance(event, SessionRestarted) for event in events)
    finally:
        await world.close()
