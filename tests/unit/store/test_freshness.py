"""An older database, or an older page in a newer one, brings no session back (R-6.6.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from p2pchat.errors import DamagedStoreError
from p2pchat.store import freshness
from p2pchat.store.connection import open_database
from p2pchat.store.database import Database
from p2pchat.store.freshness import OLDER_DATABASE, OLDER_PAGE
from p2pchat.store.ports import Transaction
from p2pchat.store.records import EnvelopeRecord, SessionRecord
from tests.unit.store.files import KEY, adds, contact, new_contact, new_store, outgoing, reopen

PAGE_BYTES = 4096


def writes(contact_id: int, state: bytes) -> Callable[[Transaction], None]:
    return lambda tx: tx.put_session(contact_id, state)


def session_of(store: Database, contact_id: int) -> SessionRecord | None:
    async def ask() -> SessionRecord | None:
        return await store.read(lambda tx: tx.session(contact_id))

    return asyncio.run(ask())


def change(store: Database, *units: Callable[[Transaction], object]) -> None:
    async def run() -> None:
        for unit in units:
            await store.write(unit)

    asyncio.run(run())


def make(folder: Path) -> int:
    """A store with a session of two writes; returns the contact."""
    store = new_store(folder)
    change(store, new_contact)
    change(store, writes(1, b"first" * 1000), lambda tx: tx.append_envelopes(1, [ENVELOPE]))
    store.close_now()
    return 1


ENVELOPE = EnvelopeRecord(1, b"sealed", b"d" * 32, None)


def test_nothing_is_found_where_nothing_is_old(tmp_path: Path) -> None:
    bob = make(tmp_path)
    for number in range(3):
        store = reopen(tmp_path)
        assert store.stale == ""
        change(store, writes(bob, b"state %d" % number), adds(outgoing(bob, number)))
        store.close_now()
    store = reopen(tmp_path)
    assert store.stale == ""
    assert session_of(store, bob) is not None
    store.close_now()


def test_a_store_that_was_never_written_to_has_nothing_old(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    assert store.stale == ""
    store.close_now()
    assert not (tmp_path / "count").exists()
    store = reopen(tmp_path)
    assert store.stale == ""
    store.close_now()


def test_an_older_database_is_noticed(tmp_path: Path) -> None:
    bob = make(tmp_path)
    old = (tmp_path / "chat.db").read_bytes()
    store = reopen(tmp_path)
    change(store, writes(bob, b"second"))
    store.close_now()
    (tmp_path / "chat.db").write_bytes(old)
    store = reopen(tmp_path)
    assert store.stale == OLDER_DATABASE
    assert session_of(store, bob) is None
    store.close_now()
    store = reopen(tmp_path)  # said once
    assert store.stale == ""
    change(store, writes(bob, b"anew"))
    store.close_now()
    store = reopen(tmp_path)
    assert store.stale == ""
    assert session_of(store, bob) == SessionRecord(b"anew", ())
    store.close_now()


def test_one_commit_is_enough(tmp_path: Path) -> None:
    """Even a change that has nothing to do with sessions: what else was lost cannot be known."""
    bob = make(tmp_path)
    old = (tmp_path / "chat.db").read_bytes()
    store = reopen(tmp_path)
    change(store, adds(outgoing(bob, 1)))
    store.close_now()
    (tmp_path / "chat.db").write_bytes(old)
    store = reopen(tmp_path)
    assert store.stale == OLDER_DATABASE
    store.close_now()


def test_a_unit_that_changes_nothing_costs_no_commit(tmp_path: Path) -> None:
    make(tmp_path)
    store = reopen(tmp_path)
    before = (tmp_path / "count").read_bytes()
    change(store, lambda tx: tx.contacts())
    assert (tmp_path / "count").read_bytes() == before
    store.close_now()


@pytest.mark.parametrize("state", [b"second" * 1000, b"short"])
def test_an_old_page_with_a_session_is_noticed(tmp_path: Path, state: bytes) -> None:
    """Each page that differs is spliced in alone: refused as damage, or noticed, or harmless."""
    bob = make(tmp_path)
    file = tmp_path / "chat.db"
    old = file.read_bytes()
    store = reopen(tmp_path)
    change(store, writes(bob, state))
    store.close_now()
    new, count = file.read_bytes(), (tmp_path / "count").read_bytes()
    places = [
        place
        for place in range(0, min(len(old), len(new)), PAGE_BYTES)
        if old[place : place + PAGE_BYTES] != new[place : place + PAGE_BYTES]
    ]
    assert len(places) >= 2
    noticed = 0
    for place in places:
        file.write_bytes(new[:place] + old[place : place + PAGE_BYTES] + new[place + PAGE_BYTES :])
        (tmp_path / "count").write_bytes(count)
        try:
            store = reopen(tmp_path)
        except DamagedStoreError:
            continue
        found = session_of(store, bob)
        if store.stale:
            assert found is None
            noticed += 1
        else:
            assert found is not None
            assert found.state == state  # the page held something else
        store.close_now()
    assert noticed >= 1


def test_a_session_changed_by_another_hand_is_noticed(tmp_path: Path) -> None:
    bob = make(tmp_path)
    connection = open_database(tmp_path / "chat.db", KEY)
    connection.execute("UPDATE session SET state = x'00' WHERE contact_id = ?", (bob,))
    connection.close()
    store = reopen(tmp_path)
    assert store.stale == OLDER_PAGE
    store.close_now()


def test_the_mark_is_what_stored_ones_were_made_with() -> None:
    """Made otherwise, each stored session would count as old. By ``sha256sum``."""
    # printf 'p2pchat/1 session seal\0\0\0\0\0\0\0\1\2state' | sha256sum
    assert freshness.mark(258, b"state").hex() == "67a6807b4a2f18ccb01283609a02c533"


def test_removed_contacts_and_broken_sessions_leave_the_seal_right(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    ids: list[int] = []
    for name in ("Ann", "Bob", "Eve"):
        change(store, lambda tx, name=name: ids.append(tx.put_contact(contact(name)).contact_id))  # type: ignore[misc]  # bound now
    change(store, *(writes(number, b"s%d" % number) for number in ids))
    change(store, lambda tx: tx.break_session(ids[0]), lambda tx: tx.remove_contact(ids[1]))
    store.close_now()
    store = reopen(tmp_path)
    assert store.stale == ""
    change(store, lambda tx: tx.break_session(ids[0]))  # there is none: said to be none again
    store.close_now()
    store = reopen(tmp_path)
    assert store.stale == ""
    change(store, lambda tx: tx.break_session(99))
    store.close_now()
    store = reopen(tmp_path)
    assert store.stale == ""
    assert session_of(store, ids[2]) is not None
    store.close_now()


@pytest.mark.parametrize("content", [None, b"", b"\x00" * 8])
def test_a_file_that_lags_is_no_finding(tmp_path: Path, content: bytes | None) -> None:
    make(tmp_path)
    if content is None:
        (tmp_path / "count").unlink()
    else:
        (tmp_path / "count").write_bytes(content)
    store = reopen(tmp_path)
    assert store.stale == ""
    store.close_now()


def test_sessions_of_a_version_before_the_seal_are_sealed(tmp_path: Path) -> None:
    from p2pchat.store import schema
    from p2pchat.store.execute import executor

    connection = apsw.Connection(":memory:")
    schema.MIGRATIONS[0](connection)
    connection.pragma("user_version", 1)
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("INSERT INTO session VALUES (1, x'01'), (2, x'02')")
    schema.migrate(connection)
    assert freshness.restore(executor(connection), 0) == ""
    connection.execute("UPDATE session SET state = x'03' WHERE contact_id = 2")
    assert freshness.restore(executor(connection), 0) == OLDER_PAGE
    connection.close()


def test_a_rolled_back_unit_leaves_count_and_seal(tmp_path: Path) -> None:
    bob = make(tmp_path)
    store = reopen(tmp_path)

    def fails(tx: Transaction) -> None:
        tx.put_session(bob, b"never")
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        change(store, fails)
    store.close_now()
    store = reopen(tmp_path)
    assert store.stale == ""
    store.close_now()
