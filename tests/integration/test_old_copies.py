"""Old copies of databases and pages put back under real nodes: the chat goes on, told once."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from p2pchat.node.views import LedgersDiffered, SessionRestarted
from p2pchat.store.freshness import OLDER_DATABASE
from tests.support.node_world import Person, World, delivered, memory_world, online


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = memory_world(tmp_path)
    yield made
    await made.close()


def restarts(person: Person) -> list[str]:
    return [event.cause for event in person.events if isinstance(event, SessionRestarted)]


async def talk(alice: Person, bob: Person, label: str) -> None:
    await alice.node.send("bob", f"a {label}")
    await bob.node.send("alice", f"b {label}")
    await delivered(alice, "bob")
    await delivered(bob, "alice")


def database_back(person: Person, label: str) -> None:
    """Put back the database alone: the count beside it stays."""
    shutil.copy(person.world.folder / f"{person.name}.{label}/chat.db", person.path / "chat.db")


async def test_an_old_database_on_one_side(world: World) -> None:
    alice, bob = await world.two()
    await talk(alice, bob, "1")
    await alice.stop()
    alice.save("old")
    await alice.start()
    await online(alice, "bob")
    await talk(alice, bob, "2")
    await alice.stop()
    database_back(alice, "old")
    await alice.start()
    await online(alice, "bob")
    await talk(alice, bob, "3")
    assert restarts(alice) == [OLDER_DATABASE]
    assert len(restarts(bob)) == 1
    assert await bob.texts("alice") == ["a 1", "a 2", "a 3"]
    assert await alice.texts("bob") == ["b 1", "b 3"]
    for person in (alice, bob):
        assert len([e for e in person.events if isinstance(e, LedgersDiffered)]) == 1


async def test_an_old_database_on_both_sides(world: World) -> None:
    """Both at one moment: the peers could not notice it, the counts do; no key is used twice."""
    alice, bob = await world.two()
    await talk(alice, bob, "1")
    for person in (alice, bob):
        await person.stop()
        person.save("old")
    await alice.start()
    await bob.start()
    await online(alice, "bob")
    await talk(alice, bob, "2")
    for person in (alice, bob):
        await person.stop()
        database_back(person, "old")
    await alice.start()
    await bob.start()
    await online(alice, "bob")
    await talk(alice, bob, "3")
    assert restarts(alice) == restarts(bob) == [OLDER_DATABASE]
    assert await bob.texts("alice") == ["a 1", "a 3"]
    assert await alice.texts("bob") == ["b 1", "b 3"]


async def test_an_old_database_from_before_a_rotation(world: World) -> None:
    """Bob has seen a later static key: the old one would be refused, so it is replaced at once."""
    alice, bob = await world.two()
    await talk(alice, bob, "1")
    await alice.stop()
    alice.save("old")
    await alice.start()
    await online(alice, "bob")
    await alice.node.rotate_key()
    await talk(alice, bob, "2")
    await alice.stop()
    database_back(alice, "old")
    await alice.start()
    await online(alice, "bob")
    await talk(alice, bob, "3")
    assert await bob.texts("alice") == ["a 1", "a 2", "a 3"]
