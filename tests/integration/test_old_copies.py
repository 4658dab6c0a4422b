"""Old copies of databases and pages put back under real nodes: the chat goes on, told once."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from p2pchat.errors import DamagedStoreError
from p2pchat.node.events import AuditWarned, LedgersDiffered, SessionRestarted
from p2pchat.store.audit_types import AuditKind, AuditRecord
from p2pchat.store.audit_watch import LOG_REPLACED
from p2pchat.store.freshness import OLDER_DATABASE, OLDER_PAGE
from p2pchat.store.open import KeychainUnlock, open_profile
from tests.support.keychains import MemoryKeychain
from tests.support.node_world import (
    UNLOCK,
    Person,
    World,
    delivered,
    memory_world,
    online,
    until,
    view_of,
)

PAGE_BYTES = 4096


def restarts(person: Person) -> list[str]:
    return [event.cause for event in person.events if isinstance(event, SessionRestarted)]


async def records(person: Person, *kinds: AuditKind) -> list[AuditRecord]:
    found = await person.node.audit.records(1000)
    return [record for record in found if record.kind in kinds]


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


async def test_a_whole_copy_from_before_a_new_key_needs_a_new_key_from_its_person(
    world: World,
) -> None:
    """R-3.3.5, R-3.3.6: whoever has the copy may be a thief, so nothing is made by itself."""
    alice, bob = await with_copies(world)
    await again(alice, bob, "2")
    await alice.node.rotate_key()
    newest = alice.node._env.credentials.certificate(world.clock.wall_ms()).generation
    known = bob.node._book.find("alice")
    await until(lambda: known.record.certificate_generation == newest, clock=world.clock)
    await alice.stop()
    alice.restore("old")
    await alice.start()
    await alice.node.send("bob", "a 3")
    await until(lambda: "key rotate" in view_of(alice, "bob").offline_reason, clock=world.clock)
    assert await bob.texts("alice") == ["a 1", "a 2"]
    await alice.node.rotate_key()
    await online(alice, "bob")
    await delivered(alice, "bob")
    assert await bob.texts("alice") == ["a 1", "a 2", "a 3"]


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
    # The count and the head of the audit log have both found it: that is one report.
    assert [e.pattern for e in alice.events if isinstance(e, AuditWarned)] == [LOG_REPLACED]
    reports = await records(alice, AuditKind.WARNING, AuditKind.SESSION_HEALED)
    assert [record.context["reason"] for record in reports] == [LOG_REPLACED, OLDER_DATABASE]
    assert reports[1].principal is not None, "that of the conversation"


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


async def test_a_command_in_between_does_not_swallow_what_is_to_be_told(world: World) -> None:
    alice, bob = await with_copies(world)
    await again(alice, bob, "2")
    await alice.stop()
    database_back(alice, "old")
    await alice.start(listen=False, dial=False)
    await alice.stop()
    await alice.start()
    await online(alice, "bob")
    await talk(alice, bob, "3")
    assert restarts(alice) == [OLDER_DATABASE]
    await alice.stop()
    await alice.start()
    await online(alice, "bob")
    await talk(alice, bob, "4")
    assert restarts(alice) == [OLDER_DATABASE]


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


@pytest.fixture
async def keychained(tmp_path: Path) -> AsyncIterator[World]:
    """A world of two people whose profiles the keychain unlocks."""
    made = memory_world(tmp_path, unlock=KeychainUnlock(MemoryKeychain()))
    yield made
    await made.close()


@pytest.mark.parametrize("both", [False, True])
async def test_a_whole_copy_where_the_keychain_has_the_count(keychained: World, both: bool) -> None:
    """Also of one moment on both sides: no peer could notice it, the keychain does, once."""
    alice, bob = await with_copies(keychained)
    await again(alice, bob, "2")
    restored = (alice, bob) if both else (alice,)
    for person in (alice, bob):
        await person.stop()
    for person in restored:
        person.restore("old")
    await again(alice, bob, "3")
    for person in restored:
        assert restarts(person) == [OLDER_DATABASE]
        at_opening, of_conversation = await records(person, AuditKind.SESSION_HEALED)
        assert (at_opening.principal, at_opening.context) == (None, {"reason": OLDER_DATABASE})
        assert of_conversation.principal is not None
        assert not [e for e in person.events if isinstance(e, AuditWarned)]
    for person in (alice, bob):
        await person.stop()
    await again(alice, bob, "4")
    for person in (alice, bob):
        assert len(restarts(person)) == 1
    said = ["a 1", "a 2", "a 3", "a 4"]
    assert await bob.texts("alice") == [text for text in said if not both or text != "a 2"]


async def test_a_switch_of_the_unlocking_takes_the_count_along(
    world: World, keychained: World
) -> None:
    alice = world.person("alice")
    await alice.start(listen=False, dial=False)
    await alice.node.locks.change(old=UNLOCK, new=keychained.unlock)
    world.unlock = keychained.unlock
    await alice.stop()
    alice.save("old")
    await alice.start(listen=False, dial=False)
    await alice.stop()
    alice.restore("old")
    await alice.start(listen=False, dial=False)
    (record,) = await records(alice, AuditKind.SESSION_HEALED)
    assert record.context == {"reason": OLDER_DATABASE}
    await alice.node.locks.change(old=keychained.unlock, new=UNLOCK)
    assert isinstance(keychained.unlock, KeychainUnlock)
    assert isinstance(keychained.unlock.keychain, MemoryKeychain)
    assert keychained.unlock.keychain.kept == {}


async def test_a_whole_copy_on_both_sides(world: World) -> None:
    """Both folders whole, of one moment, unlocked by passphrases: there is no place outside of
    the folder, nobody can notice, and the chat goes on all the same."""
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
