"""A backup made of a profile, and a profile made of a backup."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from p2pchat.crypto.secret import Secret, system_rng
from p2pchat.errors import (
    DamagedStoreError,
    LockedError,
    ProfileExistsError,
    StoreError,
    UsageError,
)
from p2pchat.identity.certificate import parse_and_verify
from p2pchat.identity.trust import Pin, Trust
from p2pchat.session.vanishing import Vanishing
from p2pchat.store import schema
from p2pchat.store.backup import archive, container, tables
from p2pchat.store.backup.archive import Summary
from p2pchat.store.open import OpenProfile, PassphraseUnlock, create_profile, open_profile
from p2pchat.store.ports import Transaction
from p2pchat.store.records import DeliveryState, Direction, EnvelopeRecord
from tests.unit.store.files import contact, incoming, numbers, outgoing

NOW_MS = 1_790_000_000_000
OURS = PassphraseUnlock(Secret(b"of the profile"))
THEIRS = Secret(b"of the backup")
CANARY = "what nobody may read"


def all_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def fill(tx: Transaction) -> None:
    bob = tx.put_contact(
        replace(
            contact(),
            pin=Pin(b"b" * 32, Trust.VERIFIED),
            verified_at_ms=NOW_MS,
            post_quantum=True,
            addresses=("192.0.2.1:4000",),
        )
    )
    tx.add_message(incoming(bob.contact_id, 1, CANARY))
    tx.add_message(outgoing(bob.contact_id, 2, "sent"))
    tx.add_message(outgoing(bob.contact_id, 3, "waits"))
    tx.put_session(bob.contact_id, b"a ratchet's state")
    tx.append_envelopes(
        bob.contact_id, [EnvelopeRecord(1, b"sealed", b"d" * 32, outgoing(1, 2).message_id)]
    )
    tx.set_message_state(bob.contact_id, [outgoing(1, 2).message_id], DeliveryState.SENT)
    tx.put_setting("some", "thing")


@pytest.fixture
async def profile(tmp_path: Path) -> OpenProfile:
    made = create_profile(
        tmp_path / "old", name="Ada", unlock=OURS, rng=system_rng, now_ms=NOW_MS, memory_kib=8
    )
    await made.store.write(fill)
    (made.path / "config.toml").write_text('listen = ["127.0.0.1:0"]\n')
    return made


def backup(profile: OpenProfile, path: Path) -> Summary:
    return archive.create(profile, path, THEIRS, rng=system_rng, now_ms=NOW_MS + 1, memory_kib=8)


def restore(path: Path, folder: Path, passphrase: Secret = THEIRS) -> OpenProfile:
    return archive.restore(
        path,
        passphrase,
        folder,
        unlock=OURS,
        rng=system_rng,
        now_ms=NOW_MS + 5_000,
        memory_kib=8,
    )


async def test_everything_comes_back_but_the_ratchet(profile: OpenProfile, tmp_path: Path) -> None:
    made = backup(profile, tmp_path / "file")
    assert (made.name, made.contacts, made.messages) == ("Ada", 1, 3)
    before = [await profile.store.read(lambda tx: tx.contacts())]
    profile.close()
    restored = restore(tmp_path / "file", tmp_path / "new")
    [bob] = await restored.store.read(lambda tx: tx.contacts())
    assert [[bob]] == before
    messages = await restored.store.read(lambda tx: tx.messages(bob.contact_id))
    assert [message.text for message in messages] == [CANARY, "sent", "waits"]
    waiting = await restored.store.read(
        lambda tx: tx.undelivered(bob.contact_id, 10, unsealed_only=True)
    )
    assert numbers(waiting) == [2, 3]  # what was not delivered is sent again, under its old id
    assert await restored.store.read(lambda tx: tx.session(bob.contact_id)) is None
    assert await restored.store.read(lambda tx: tx.get_setting("some")) == "thing"
    found = await restored.store.read(lambda tx: tx.messages(bob.contact_id, search="nobody"))
    assert numbers(found) == [1]
    assert (tmp_path / "new/config.toml").read_text() == 'listen = ["127.0.0.1:0"]\n'
    restored.close()
    open_profile(tmp_path / "new", unlock=OURS, now_ms=NOW_MS).close()


async def test_the_identity_stays_and_the_static_key_is_new(
    profile: OpenProfile, tmp_path: Path
) -> None:
    backup(profile, tmp_path / "file")
    profile.close()
    restored = restore(tmp_path / "file", tmp_path / "new")
    restored.close()
    old, new = profile.identity, restored.identity
    assert new.signing_seed == old.signing_seed
    assert new.static_private != old.static_private
    first = parse_and_verify(old.certificate, now_ms=NOW_MS)
    second = parse_and_verify(new.certificate, now_ms=NOW_MS)
    assert second.identity == first.identity
    assert second.generation == NOW_MS // 1000 + 5 > first.generation


async def test_the_file_shows_nothing(profile: OpenProfile, tmp_path: Path) -> None:
    backup(profile, tmp_path / "file")
    content = (tmp_path / "file").read_bytes()
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600
    identity = profile.identity
    for secret in (b"Ada", b"Bob", CANARY.encode(), identity.signing_seed.reveal(), b"b" * 32):
        assert secret not in content
    profile.close()
    # And what it holds is not all that the profile held.
    inside = b"".join(container.read(tmp_path / "file", THEIRS))
    assert CANARY.encode() in inside
    for left_out in (identity.static_private.reveal(), b"a ratchet's state", b"sealed"):
        assert left_out not in inside


async def test_verify_says_what_is_inside(profile: OpenProfile, tmp_path: Path) -> None:
    made = backup(profile, tmp_path / "file")
    profile.close()
    assert archive.verify(tmp_path / "file", THEIRS) == made
    assert made.made_at_ms == NOW_MS + 1
    with pytest.raises(LockedError, match="passphrase is wrong"):
        archive.verify(tmp_path / "file", Secret(b"another"))
    with pytest.raises(LockedError, match="empty"):
        archive.verify(tmp_path / "file", Secret(b""))


async def test_any_damage_is_found(profile: OpenProfile, tmp_path: Path) -> None:
    file = tmp_path / "file"
    backup(profile, file)
    profile.close()
    whole = file.read_bytes()
    # Every byte of the head and the tail, and some between; costs stay as they are (time).
    places = [*range(32), *range(40, 90), *range(90, len(whole), 97), len(whole) - 1]
    for place in places:
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(StoreError):
            archive.verify(file, THEIRS)
    for length in (0, 10, 56, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(DamagedStoreError):
            archive.verify(file, THEIRS)
    file.write_bytes(whole + b"1")
    with pytest.raises(StoreError):
        archive.verify(file, THEIRS)


async def test_chunks_cannot_be_moved_or_left_out(profile: OpenProfile, tmp_path: Path) -> None:
    [bob] = await profile.store.read(lambda tx: tx.contacts())
    await profile.store.write(
        lambda tx: [tx.add_message(incoming(bob.contact_id, n, "x" * 1000)) for n in range(9, 300)]
    )
    file = tmp_path / "file"
    backup(profile, file)
    profile.close()
    whole = file.read_bytes()
    head, size = 72, 65536 + 16
    chunks = [whole[start : start + size] for start in range(head, len(whole), size)]
    assert len(chunks) > 3
    changed = [
        [chunks[1], chunks[0], *chunks[2:]],
        [*chunks[:1], *chunks[2:]],
        [*chunks[:2], chunks[1], *chunks[2:]],
        chunks[:-1],
    ]
    assert archive.verify(file, THEIRS).messages == 294
    for order in changed:
        file.write_bytes(whole[:head] + b"".join(order))
        with pytest.raises(StoreError):
            archive.verify(file, THEIRS)


async def test_nothing_is_written_over(profile: OpenProfile, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreError, match="choose another name"):
        backup(profile, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"
    with pytest.raises(StoreError, match="cannot write"):
        backup(profile, tmp_path / "no folder" / "file")
    with pytest.raises(UsageError, match="empty"):
        archive.create(profile, tmp_path / "b", Secret(b""), rng=system_rng, now_ms=0)
    backup(profile, tmp_path / "backup")
    profile.close()
    with pytest.raises(ProfileExistsError):
        restore(tmp_path / "backup", profile.path)
    left = sorted(path.name for path in all_in(tmp_path))
    assert left == ["backup", "file", "old"]  # no half a backup stays


async def test_a_restore_that_fails_can_be_tried_again(
    profile: OpenProfile, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    backup(profile, file)
    profile.close()
    whole = file.read_bytes()
    with pytest.raises(LockedError):
        restore(file, tmp_path / "new", Secret(b"wrong"))
    file.write_bytes(whole[:-1])
    with pytest.raises(DamagedStoreError):
        restore(file, tmp_path / "new")
    file.write_bytes(whole)
    restore(file, tmp_path / "new").close()


async def test_a_newer_backup_is_not_called_damage(profile: OpenProfile, tmp_path: Path) -> None:
    file = tmp_path / "file"
    backup(profile, file)
    profile.close()
    whole = bytearray(file.read_bytes())
    whole[len(container.MAGIC)] += 1
    file.write_bytes(whole)
    with pytest.raises(StoreError, match="newer p2pchat") as caught:
        archive.verify(file, THEIRS)
    assert not isinstance(caught.value, DamagedStoreError)


async def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    begin = tables.Begin("Ada", "", 0, schema.SCHEMA_VERSION + 1)
    write(tmp_path / "file", [begin, tables.End({})])
    with pytest.raises(StoreError, match="newer p2pchat"):
        archive.verify(tmp_path / "file", THEIRS)


IDENTITY = tables.Rows("identity", ("id", "name", "signing_seed"), [[1, "Ada", b"s" * 32]])
BEGIN = tables.Begin("Ada", "", 0, 1)


def write(path: Path, records: list[tables.Record]) -> None:
    container.write(path, map(tables.encode, records), THEIRS, memory_kib=8, rng=system_rng)


@pytest.mark.parametrize(
    "records",
    [
        [],
        [BEGIN],
        [IDENTITY, tables.End({"identity": 1})],
        [BEGIN, BEGIN, IDENTITY, tables.End({"identity": 1})],
        [BEGIN, IDENTITY, tables.End({"identity": 2})],
        [BEGIN, tables.End({})],
        [BEGIN, IDENTITY, tables.End({"identity": 1}), tables.Settings("")],
        [BEGIN, IDENTITY, IDENTITY, tables.End({"identity": 2})],
        [BEGIN, IDENTITY, tables.Rows("sqlite_schema", ("sql",), [["x"]])],
        [BEGIN, IDENTITY, tables.Rows("session", ("contact_id", "state"), [[1, b""]])],
        [BEGIN, IDENTITY, tables.Rows("setting", ("key", "value) --"), [["x", "y"]])],
        [BEGIN, IDENTITY, tables.Rows("setting", ("key", "key"), [["x", "y"]])],
        [BEGIN, IDENTITY, tables.Rows("message", ("position",), [[1]])],
    ],
)
def test_what_contradicts_itself_is_refused(tmp_path: Path, records: list[tables.Record]) -> None:
    if records and records[-1].__class__ is tables.Rows:
        records = [*records, tables.End({"identity": 1, records[-1].table: 1})]
    write(tmp_path / "file", records)
    with pytest.raises(DamagedStoreError):
        restore(tmp_path / "file", tmp_path / "new")
    assert not (tmp_path / "new/key").exists()


def test_every_table_is_decided_about() -> None:
    connection = apsw.Connection(":memory:")
    schema.migrate(connection)
    names = {
        name
        for (name,) in connection.execute(
            "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN"
            " ('table', 'virtual') AND name NOT LIKE 'sqlite_%'"
        )
    }
    connection.close()
    assert names == set(tables.SAVED) | set(tables.LEFT_OUT)
    assert not set(tables.SAVED) & set(tables.LEFT_OUT)


async def test_a_message_that_arrives_meanwhile_is_in_it_whole_or_not(
    profile: OpenProfile, tmp_path: Path
) -> None:
    """The snapshot is of one moment: its own counts agree, whatever is written beside it."""
    [bob] = await profile.store.read(lambda tx: tx.contacts())
    connection = profile.store.snapshot()
    connection.execute("BEGIN")
    parts = tables.dump(connection)
    first = next(parts)
    await profile.store.write(lambda tx: tx.add_message(incoming(bob.contact_id, 77)))
    rows = [row for part in [first, *parts] if part.table == "message" for row in part.rows]
    connection.close()
    profile.close()
    assert len(rows) == 3


async def test_what_disappears_is_in_no_backup(profile: OpenProfile, tmp_path: Path) -> None:
    """A file that nobody sweeps would outlive it; what was agreed comes along (R-9.6.5)."""

    def fill_more(tx: Transaction) -> int:
        (bob,) = tx.contacts()
        short = replace(incoming(bob.contact_id, 9, "burncanary"), lifetime_s=60)
        tx.add_message(short)
        tx.changes(bob.contact_id).react(short.message_id, "in", "burnreaction")
        tx.changes(bob.contact_id).react(incoming(1, 1).message_id, "in", "kept")
        tx.changes(bob.contact_id).put_vanishing(Vanishing(60))
        return bob.contact_id

    bob = await profile.store.write(fill_more)
    backup(profile, tmp_path / "file")
    profile.close()
    inside = b"".join(container.read(tmp_path / "file", THEIRS))
    assert b"burncanary" not in inside
    assert b"burnreaction" not in inside
    restored = restore(tmp_path / "file", tmp_path / "new")
    messages = await restored.store.read(lambda tx: tx.messages(bob))
    assert numbers(messages) == [1, 2, 3]
    assert messages[0].reactions == ((Direction.IN, "kept"),)
    assert await restored.store.read(lambda tx: tx.changes(bob).lifetime_s()) == 60
    restored.close()
