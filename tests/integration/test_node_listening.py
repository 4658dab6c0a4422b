"""Two people who both restart find each other again, although the system picked their ports."""

from __future__ import annotations

import socket
from pathlib import Path

from tests.support.node_world import World, introduce, online

ANY = ["127.0.0.1:0"]


async def test_both_restart_and_find_each_other(tmp_path: Path) -> None:
    world = World(tmp_path, network=None)
    try:
        alice, bob = await world.two()
        before = (alice.node.status().listen, bob.node.status().listen)
        for person in (alice, bob):
            await person.stop()
            person.listen = ANY[0]
        for person in (alice, bob):
            await person.start()
        assert (alice.node.status().listen, bob.node.status().listen) == before
        await online(alice, "bob")
        await online(bob, "alice")
    finally:
        await world.close()


async def test_a_port_that_is_taken_meanwhile_is_replaced(tmp_path: Path) -> None:
    world = World(tmp_path, network=None)
    alice = world.person("alice")
    try:
        await alice.start()
        host, _, port = alice.node.status().listen[0].rpartition(":")
        await alice.stop()
        alice.listen = ANY[0]
        with socket.create_server((host, int(port))):
            await alice.start()
            moved = alice.node.status().listen
            assert moved != (f"{host}:{port}",)
        await alice.stop()
        alice.listen = ANY[0]
        await alice.start()
        assert alice.node.status().listen == moved, "the new one is remembered"
        bob = world.person("bob")
        await bob.start()
        await introduce(alice, bob)
    finally:
        await world.close()
