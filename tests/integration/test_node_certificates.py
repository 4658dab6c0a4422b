"""A node remembers the generation of a contact's certificate (protocol.md §3.3)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from p2pchat.store.ports import Transaction
from tests.support.node_world import memory_world, until, view_of


async def test_an_older_generation_is_refused(tmp_path: Path) -> None:
    """R-3.3.5: once Bob has seen a later certificate of Alice, her old static key is of no use."""
    world = memory_world(tmp_path)
    try:
        alice, bob = await world.two()
        await alice.node.send("bob", "with the certificate of now")
        await until(lambda: bool(bob.arrived()))
        await alice.stop()

        def see_a_later_one(tx: Transaction) -> None:
            (contact,) = tx.contacts()
            tx.put_contact(replace(contact, certificate_generation=1))

        await bob.node._env.store.write(see_a_later_one)
        await bob.stop()
        await bob.start()
        await alice.start()
        await alice.node.send("bob", "with a certificate of yesterday")
        await until(
            lambda: (
                "do not accept this computer's certificate" in view_of(alice, "bob").offline_reason
            )
        )
        assert not view_of(bob, "alice").online
        assert len(await bob.texts("alice")) == 1
    finally:
        await world.close()
