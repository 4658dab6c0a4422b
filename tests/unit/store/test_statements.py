"""Revocations as rows: our own from the first day, the first moment in effect counts (§3.7)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from p2pchat.crypto.secret import Secret
from p2pchat.identity.revocation import revoke
from p2pchat.identity.trust import Pin, Trust
from p2pchat.store import schema
from p2pchat.store.connection import create_database, open_database
from p2pchat.store.database import Database, open_store
from p2pchat.store.ports import RevocationRecord, Transaction
from tests.unit.store.files import DATABASE_ID, IDENTITY, KEY, contact, new_store, reopen

OWN = revoke(IDENTITY.signing_seed)
SEALED = RevocationRecord(OWN.identity, OWN.encoded, None, ours=True)
THEIRS = revoke(Secret(b"t" * 32))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Database]:
    store = new_store(tmp_path)
    yield store
    await store.close()


async def test_our_own_is_kept_from_the_first_day(store: Database) -> None:
    assert await store.read(lambda tx: tx.revocations()) == [SEALED]


async def test_a_profile_of_version_1_gets_its_own_when_it_is_first_opened(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    create_database(path, KEY, DATABASE_ID).close()
    connection = open_database(path, KEY)
    connection.execute("BEGIN IMMEDIATE")
    schema.MIGRATIONS[0](connection)
    connection.execute(
        "INSERT INTO identity VALUES (1, ?, ?, ?, ?)",
        (
            IDENTITY.name,
            IDENTITY.signing_seed.reveal(),
            IDENTITY.static_private.reveal(),
            IDENTITY.certificate,
        ),
    )
    connection.pragma("user_version", 1)
    connection.execute("COMMIT")
    connection.close()
    store, _ = open_store(path, KEY, DATABASE_ID)
    assert await store.read(lambda tx: tx.revocations()) == [SEALED]
    await store.close()


async def test_the_first_moment_in_effect_stays(store: Database, tmp_path: Path) -> None:
    """R-3.7.4: nothing written later takes it back."""

    def work(tx: Transaction) -> None:
        tx.put_revocation(replace(SEALED, revoked_at_ms=5, ours=False))
        tx.put_revocation(replace(SEALED, revoked_at_ms=9))
        tx.put_revocation(SEALED)
        identity = tx.identity()
        assert identity is not None
        tx.put_identity(identity)

    await store.write(work)
    await store.close()
    again = reopen(tmp_path)
    assert await again.read(lambda tx: tx.revocations()) == [replace(SEALED, revoked_at_ms=5)]
    await again.close()


async def test_a_contact_shows_it_and_removing_the_contact_does_not_forget_it(
    store: Database,
) -> None:
    """R-3.7.4."""

    def work(tx: Transaction) -> list[int | None]:
        bob = tx.put_contact(contact(identity=THEIRS.identity))
        shown = [bob.pin.revoked_at_ms]
        tx.put_revocation(RevocationRecord(THEIRS.identity, THEIRS.encoded, 7, ours=False))
        shown += [each.pin.revoked_at_ms for each in tx.contacts()]
        # A stale record does not take it back; another key is not revoked by it.
        shown.append(tx.put_contact(bob).pin.revoked_at_ms)
        other = replace(bob, pin=Pin(b"o" * 32, Trust.UNVERIFIED))
        shown.append(tx.put_contact(other).pin.revoked_at_ms)
        tx.put_contact(bob)
        tx.remove_contact(bob.contact_id)
        shown.append(tx.put_contact(contact("Bob", THEIRS.identity)).pin.revoked_at_ms)
        return shown

    assert await store.write(work) == [None, 7, 7, None, 7]
