"""Old copies of databases and pages put back under real nodes: the chat goes on, told once."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from p2pchat.errors import DamagedStoreError
from p2pchat.node.views import LedgersDiffered, SessionRestarted
from p2pchat.store.freshness import OLDER_DATABASE, OLDER_PAGE
from p2pchat.store.open import open_profile
from tests.support.node_world import UNLOCK, Person, World, delivered, memory_world, online

PAGE_BYTES = 4096


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


async def with_copies(world: World) -> tuple[Person, Person]:
    """Two people who have talked once, stopped, each with a copy called ``old``."""
    alice, bob = await world.two()
    await talk(alice, bob, "1")
    for person in (alice, bob):
        await person.stop()
        person.save("old")
    return alice, bob


async def again(alice: Person, bob: Person, label: str) -> None:
    """Start both, and let them talk."""
    await alice.start()
    await bob.start()
    await online(alice, "bob")
    await talk(alice, bob, label)


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
    alice, bob = await with_copies(world)
    await again(alice, bob, "2")
    for person in (alice, bob):
        await person.stop()
        database_back(person, "old")
    await again(alice, bob, "3")
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


def page_back(person: Person, label: str) -> None:
    """Put one old page with a session on it back, alone; the rest is as it was left."""
    file = person.path / "chat.db"
    old = (person.world.folder / f"{person.name}.{label}/chat.db").read_bytes()
    new = file.read_bytes()
    for place in range(0, min(len(old), len(new)), PAGE_BYTES):
        if old[place : place + PAGE_BYTES] == new[place : place + PAGE_BYTES]:
            continue
        tried = person.world.folder / f"{person.name}.tried"
        shutil.rmtree(tried, ignore_errors=True)
        shutil.copytree(person.path, tried)
        spliced = new[:place] + old[place : place + PAGE_BYTES] + new[place + PAGE_BYTES :]
        (tried / "chat.db").write_bytes(spliced)
        with contextlib.suppress(DamagedStoreError):
            opened = open_profile(tried, unlock=UNLOCK, now_ms=person.world.clock.wall_ms())
            found = opened.store.stale
            opened.close()
            if found == OLDER_PAGE:
                file.write_bytes(spliced)
                return
    raise AssertionError("no page of the session differs")


@pytest.mark.parametrize("both", [False, True])
async def test_one_old_page(world: World, both: bool) -> None:
    alice, bob = await with_copies(world)
    await again(alice, bob, "2")
    await alice.stop()
    await bob.stop()
    page_back(alice, "old")
    if both:
        page_back(bob, "old")
    await again(alice, bob, "3")
    assert restarts(alice) == [OLDER_PAGE]
    assert len(restarts(bob)) == 1
    assert await bob.texts("alice") == ["a 1", "a 2", "a 3"]
    assert await alice.texts("bob") == ["b 1", "b 2", "b 3"]
    for person in (alice, bob):
        assert not [e for e in person.events if isinstance(e, LedgersDiffered)]


async def test_a_whole_copy_on_both_sides(world: World) -> None:
    """Both folders whole, of one moment: nobody can notice, and the chat goes on all the same."""
    alice, bob = await with_copies(world)
    await again(alice, bob, "2")
    for person in (alice, bob):
        await person.stop()
        person.restore("old")
    await again(alice, bob, "3")
    assert await bob.texts("alice") == ["a 1", "a 3"]
    assert await alice.texts("bob") == ["b 1", "b 3"]
    for person in (alice, bob):
        assert not [e for e in person.events if isinstance(e, LedgersDiffered)]
