"""Revocations as rows: our own from the first day, the first moment in effect counts (§3.7)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from p2pchat.crypto import ed25519
from p2pchat.crypto.secret import Secret
from p2pchat.identity.certificate import parse_and_verify
from p2pchat.identity.revocation import revoke
from p2pchat.identity.succession import parse_succession, succeed
from p2pchat.identity.trust import Pin, Trust
from p2pchat.node.replacing import replace_identity
from p2pchat.store import schema
from p2pchat.store.connection import create_database, open_database
from p2pchat.store.database import Database, open_store
from p2pchat.store.ports import Transaction
from p2pchat.store.records import ContactRecord, RevocationRecord, SuccessionRecord
from tests.support.net_random import seeded_rng
from tests.unit.store.files import DATABASE_ID, IDENTITY, KEY, contact, incoming, new_store, reopen

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


async def test_an_announcement_shows_while_its_new_key_is_on_offer(store: Database) -> None:
    """R-3.7.10."""
    said = succeed(Secret(b"o" * 32), Secret(b"n" * 32), now_ms=5)
    record = SuccessionRecord(said.old, said.new, said.encoded, 6)

    def work(tx: Transaction) -> list[bool]:
        tx.put_succession(record)
        tx.put_succession(replace(record, old=b"x" * 32))
        bob = tx.put_contact(contact(identity=said.old))
        shown = [bob.pin.announced]
        pins = (
            Pin(said.old, Trust.CHANGED, said.new),
            Pin(said.old, Trust.CHANGED, b"z" * 32),
            Pin(b"y" * 32, Trust.CHANGED, said.new),
            Pin(said.new, Trust.UNVERIFIED),
        )
        shown += [tx.put_contact(replace(bob, pin=pin)).pin.announced for pin in pins]
        return shown

    assert await store.write(work) == [False, True, False, False, False]
    assert await store.read(lambda tx: tx.succession_to(said.new)) == record
    assert await store.read(lambda tx: tx.succession_to(said.old)) is None


# --- another identity in the same profile ---------------------------------------------------------


async def test_replacing_keeps_contacts_and_messages_and_nothing_of_the_old_key(
    store: Database,
) -> None:
    """R-3.7.9."""

    def before(tx: Transaction) -> ContactRecord:
        bob = contact("Bob")
        bob = tx.put_contact(replace(bob, pin=Pin(b"b" * 32, Trust.VERIFIED), verified_at_ms=3))
        tx.put_session(bob.contact_id, b"state")
        tx.add_message(incoming(bob.contact_id, 1))
        return bob

    bob = await store.write(before)
    old, new = await store.write(lambda tx: replace_identity(tx, rng=seeded_rng(5), now_ms=9))

    def after(tx: Transaction) -> None:
        identity = tx.identity()
        assert identity is not None
        assert identity.signing_seed != IDENTITY.signing_seed
        assert identity.static_private != IDENTITY.static_private
        assert ed25519.public_key(identity.signing_seed) == new
        certificate = parse_and_verify(identity.certificate, now_ms=9)
        assert certificate.identity == new
        said = tx.succession_to(new)
        assert said is not None
        assert parse_succession(said.statement).old == old == OWN.identity
        kept = {record.identity: record for record in tx.revocations()}
        assert kept[old] == SEALED
        assert kept[new].ours
        assert tx.session(bob.contact_id) is None
        assert len(tx.messages(bob.contact_id)) == 1
        (now,) = tx.contacts()
        assert (now.pin.trust, now.verified_at_ms) == (Trust.UNVERIFIED, None)

    await store.read(after)


async def test_a_revoked_identity_announces_no_successor(store: Database) -> None:
    """R-3.7.10: its signature is worth nothing any more."""
    await store.write(lambda tx: tx.put_revocation(replace(SEALED, revoked_at_ms=5)))
    _, new = await store.write(lambda tx: replace_identity(tx, rng=seeded_rng(5), now_ms=9))
    assert await store.read(lambda tx: tx.succession_to(new)) is None
