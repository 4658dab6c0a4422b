"""The audit log grows with what it records, in the same transaction, chained and signed."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from p2pchat.crypto import ed25519
from p2pchat.crypto.secret import Secret
from p2pchat.errors import AuditError, CertificateError, DamagedStoreError, SignatureError
from p2pchat.identity.audit_key import (
    certify_audit_key,
    derive_audit_seed,
    verify_audit_certificate,
)
from p2pchat.identity.keys import key_id, peer_id
from p2pchat.store import audit, audit_record, schema
from p2pchat.store.audit_types import AUDIT_FIELDS, AuditEvent, AuditKind, AuditRecord, Head
from p2pchat.store.connection import create_database, open_database
from p2pchat.store.database import Database, open_store
from p2pchat.store.execute import executor
from p2pchat.store.ports import Transaction
from p2pchat.store.records import IdentityRecord
from tests.support.raw_sql import raw_sql
from tests.unit.store.files import DATABASE_ID, IDENTITY, KEY, contact, reopen

DAY_MS = 24 * 3600 * 1000
NOW_MS = 1_790_000_000_000


def event(number: int = 0, **context: str | int) -> AuditEvent:
    return AuditEvent(AuditKind.CONTACT_PINNED, NOW_MS + number, b"p" * 32, context=context)


def rows_in(path: Path) -> list[tuple[int, bytes, bytes]]:
    connection = open_database(path, KEY)
    rows = connection.execute("SELECT * FROM audit_record ORDER BY sequence").fetchall()
    connection.close()
    return rows  # type: ignore[return-value]  # a STRICT table


def records_in(path: Path) -> list[AuditRecord]:
    return [audit_record.decode(record) for _, record, _ in rows_in(path)]


def log_row(path: Path) -> tuple[Secret, bytes, Head]:
    connection = open_database(path, KEY)
    ((seed, certificate, *head),) = connection.execute(
        "SELECT seed, certificate, sequence, hash, signature FROM audit_log"
    ).fetchall()
    connection.close()
    assert isinstance(seed, bytes)
    assert isinstance(certificate, bytes)
    return Secret(seed), certificate, Head(*head)  # type: ignore[arg-type]  # STRICT


def appends(*events: AuditEvent) -> Callable[[Transaction], None]:
    def work(tx: Transaction) -> None:
        for one in events:
            tx.audit(one)

    return work


async def test_a_record_is_stored_as_canonical_json_and_chained(
    store: Database, tmp_path: Path
) -> None:
    await store.write(appends(event(1, reason="first"), event(2, count=3)))
    await store.close()
    seed, certificate, head = log_row(tmp_path / "chat.db")
    audit_key = ed25519.public_key(seed)
    assert verify_audit_certificate(certificate) == (
        ed25519.public_key(IDENTITY.signing_seed),
        audit_key,
    )
    digest = audit_record.first_hash(audit_key)
    for number, (sequence, record, stored) in enumerate(rows_in(tmp_path / "chat.db"), start=1):
        digest = audit_record.next_hash(digest, record)
        assert (sequence, stored) == (number, digest)
    assert (head.sequence, head.digest) == (number, digest)
    audit_record.verify(audit_key, audit_record.HEAD_LABEL, number, digest, head.signature)
    first = rows_in(tmp_path / "chat.db")[0][1]
    assert json.loads(first) == {
        "at_ms": NOW_MS + 1,
        "context": {"reason": "first"},
        "key_id": None,
        "kind": "contact_pinned",
        "principal": peer_id(b"p" * 32),
        "sequence": 1,
    }
    assert first == json.dumps(json.loads(first), sort_keys=True, separators=(",", ":")).encode()


async def test_a_unit_that_fails_leaves_no_record_and_one_that_commits_does(
    store: Database, tmp_path: Path
) -> None:
    def fails(tx: Transaction) -> None:
        tx.put_contact(contact())
        tx.audit(event(1))
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await store.write(fails)
    await store.write(appends(event(2)))
    await store.close()
    pinned = [record.at_ms for record in records_in(tmp_path / "chat.db") if record.principal]
    assert pinned == [NOW_MS + 2]


async def test_the_log_goes_on_after_a_restart(store: Database, tmp_path: Path) -> None:
    await store.write(appends(event(1)))
    await store.close()
    again = reopen(tmp_path)
    await again.write(appends(event(2)))
    await again.close()
    records = records_in(tmp_path / "chat.db")
    assert [record.sequence for record in records] == list(range(1, len(records) + 1))


async def test_checkpoints_come_by_number_and_by_day(store: Database, tmp_path: Path) -> None:
    await store.write(appends(*(event(number) for number in range(200))))
    await store.write(appends(event(DAY_MS + 199)))
    await store.close()
    seed, _, _ = log_row(tmp_path / "chat.db")
    rows = rows_in(tmp_path / "chat.db")
    marks = []
    for sequence, record, _ in rows:
        read = audit_record.decode(record)
        if read.kind == AuditKind.CHECKPOINT:
            marks.append(sequence)
            audit_record.verify(
                ed25519.public_key(seed),
                audit_record.CHECKPOINT_LABEL,
                sequence - 1,
                rows[sequence - 2][2],
                audit_record.checkpoint_signature(read),
            )
    step = audit.CHECKPOINT_RECORDS + 1
    assert marks == [2, 2 + step, 2 + 2 * step, 2 + 3 * step, len(rows)]


async def test_the_oldest_records_are_pruned_and_a_signed_record_says_so(
    store: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "RECORDS_MAX", 30)
    monkeypatch.setattr(audit, "PRUNE_RECORDS", 10)
    for number in range(200):
        await store.write(appends(event(number)))
        assert len(await store.read(lambda tx: list(tx.contacts()))) == 0
    await store.close()
    rows = rows_in(tmp_path / "chat.db")
    assert 30 <= len(rows) <= 42
    pruning = [
        record for record in records_in(tmp_path / "chat.db") if record.kind == AuditKind.PRUNED
    ][-1]
    first = rows[0][0]
    assert pruning.context["first"] == first
    before = audit_record.pruned_hash(pruning)
    assert audit_record.next_hash(before, rows[0][1]) == rows[0][2]
    seed, _, _ = log_row(tmp_path / "chat.db")
    audit_record.verify(
        ed25519.public_key(seed),
        audit_record.PRUNING_LABEL,
        first - 1,
        before,
        audit_record.checkpoint_signature(pruning),
    )


async def test_another_identity_vouches_for_the_same_log(store: Database, tmp_path: Path) -> None:
    other = IdentityRecord("Ada", Secret(b"\xc3" * 32), Secret(b"\xb2" * 32), b"certificate")
    await store.write(lambda tx: tx.put_identity(other))
    await store.close()
    seed, certificate, _ = log_row(tmp_path / "chat.db")
    assert verify_audit_certificate(certificate) == (
        ed25519.public_key(other.signing_seed),
        ed25519.public_key(seed),
    )


async def test_a_lost_key_of_the_log_is_damage_and_nothing_is_stored(
    store: Database, tmp_path: Path
) -> None:
    await store.close()
    connection = open_database(tmp_path / "chat.db", KEY)
    connection.execute("DELETE FROM audit_log")
    connection.close()
    again = reopen(tmp_path)
    with pytest.raises(DamagedStoreError, match="audit log is gone"):
        await again.write(appends(event()))
    await again.close()
    assert rows_in(tmp_path / "chat.db") == []


async def test_a_record_after_the_end_is_damage_and_is_not_written_over(
    store: Database, tmp_path: Path
) -> None:
    """As an old page of the database brings it about."""
    await store.write(appends(event(1), event(2)))
    await store.close()
    before = rows_in(tmp_path / "chat.db")
    connection = open_database(tmp_path / "chat.db", KEY)
    connection.execute("UPDATE audit_log SET sequence = sequence - 1")
    connection.close()
    again = reopen(tmp_path)
    with pytest.raises(DamagedStoreError, match="after its end"):
        await again.write(appends(event(3)))
    await again.close()
    assert rows_in(tmp_path / "chat.db") == before


async def test_a_gap_where_the_log_would_be_pruned_stops_nothing(
    store: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "RECORDS_MAX", 10)
    monkeypatch.setattr(audit, "PRUNE_RECORDS", 5)
    await store.write(appends(*(event(number) for number in range(11))))
    await store.write(
        lambda tx: raw_sql(tx, "DELETE FROM audit_record WHERE sequence BETWEEN 2 AND 7")
    )
    await store.write(appends(*(event(number) for number in range(20, 23))))
    await store.close()
    assert rows_in(tmp_path / "chat.db")[0][0] == 1


async def test_a_database_of_version_1_gets_a_log(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    connection = create_database(path, KEY, DATABASE_ID)
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
    connection.close()
    store, identity = open_store(path, KEY, DATABASE_ID)
    assert identity == IDENTITY
    await store.write(appends(event()))
    await store.close()
    assert records_in(path)[0].kind == AuditKind.CONTACT_PINNED


async def test_two_logs_of_one_identity_have_two_keys(tmp_path: Path) -> None:
    keys = set()
    for _ in range(2):
        connection = apsw.Connection(":memory:")
        schema.migrate(connection)
        execute = executor(connection)
        audit.begin(execute, IDENTITY.signing_seed)
        keys.add(verify_audit_certificate(audit.read_log(execute).certificate))
        connection.close()
    assert len(keys) == 2


# --- Events and records --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "context",
    [{"passphrase": "x"}, {"count": "3"}, {"reason": 3}, {"count": True}, {"reason": b""}],
)
def test_only_allowed_fields_of_the_right_type_are_taken(context: dict[str, str | int]) -> None:
    with pytest.raises(ValueError, match="no field of an audit record"):
        AuditEvent(AuditKind.WARNING, 0, context=context)


def test_strings_are_made_harmless_and_cut_and_numbers_held_in_range() -> None:
    hostile = AuditEvent(
        AuditKind.WARNING,
        2**80,
        key_id=key_id(b"k"),
        context={"reason": "\x1b[2J\u202e" + "a\n" * 10_000, "count": -(2**80)},
    )
    record = audit_record.encode(hostile, 7)
    read = audit_record.decode(record)
    reason = read.context["reason"]
    assert isinstance(reason, str)
    assert 190 < len(reason) <= audit_record.TEXT_MAX_CHARS
    assert record.isascii()
    assert not {"\x1b", "\u202e", "\n"} & set(reason)
    assert (read.at_ms, read.context["count"]) == (2**53 - 1, -(2**53) + 1)
    assert read.key_id == key_id(b"k").hex()


def test_a_record_with_every_field_at_its_longest_can_be_read_back() -> None:
    full: dict[str, str | int] = {
        name: "\U0001f600" * 300 if kind is str else 2**60 for name, kind in AUDIT_FIELDS.items()
    }
    record = audit_record.encode(AuditEvent(AuditKind.WARNING, 0, b"p" * 32, b"k" * 8, full), 1)
    assert audit_record.decode(record).context.keys() == AUDIT_FIELDS.keys()


GOOD = audit_record.encode(event(), 1)


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"[]",
        b"\xff",
        b"[" * 60_000,
        GOOD + b" ",
        GOOD.replace(b",", b", ", 1),
        GOOD.replace(b'"sequence":1', b'"sequence":true'),
        GOOD.replace(b'"sequence":1', b'"sequence":1.0'),
        GOOD.replace(b'"sequence":1', b'"sequence":1,"sequence":1'),
        GOOD.replace(b'"sequence":1', b'"sequence":1,"zebra":1'),
        GOOD.replace(b'"context":{}', b'"context":{"count":[]}'),
        GOOD.replace(b'"context":{}', b'"context":null'),
        GOOD.replace(b'"key_id":null', b'"key_id":1'),
        b'{"at_ms":NaN,' + GOOD[1:],
        b" " * (1 << 16) + GOOD,
    ],
)
def test_what_is_not_a_canonical_record_is_refused(record: bytes) -> None:
    assert record != GOOD
    with pytest.raises(AuditError, match="not an audit record"):
        audit_record.decode(record)


def test_signatures_of_one_purpose_or_number_verify_for_no_other() -> None:
    seed = Secret(b"s" * 32)
    public, digest = ed25519.public_key(seed), b"d" * 32
    signature = audit_record.sign(seed, audit_record.HEAD_LABEL, 5, digest)
    audit_record.verify(public, audit_record.HEAD_LABEL, 5, digest, signature)
    for label, sequence, other in (
        (audit_record.CHECKPOINT_LABEL, 5, digest),
        (audit_record.PRUNING_LABEL, 5, digest),
        (audit_record.HEAD_LABEL, 6, digest),
        (audit_record.HEAD_LABEL, 5, b"e" * 32),
    ):
        with pytest.raises(SignatureError):
            audit_record.verify(public, label, sequence, other, signature)


def test_a_logs_key_comes_from_the_identitys_seed_and_a_salt_of_its_own() -> None:
    """RFC 5869 by hand: one block of HKDF-SHA256."""
    extracted = hmac.digest(b"s" * 16, b"i" * 32, "sha256")
    expected = hmac.digest(extracted, b"p2pchat/1 audit key\x00" + b"\x01", "sha256")
    assert derive_audit_seed(Secret(b"i" * 32), b"s" * 16).reveal() == expected


def test_a_certificate_is_verified_whole() -> None:
    seed = Secret(b"i" * 32)
    certificate = certify_audit_key(seed, b"a" * 32)
    assert verify_audit_certificate(certificate) == (ed25519.public_key(seed), b"a" * 32)
    for position in range(len(certificate)):
        changed = bytearray(certificate)
        changed[position] ^= 1
        with pytest.raises(CertificateError):
            verify_audit_certificate(bytes(changed))
    for wrong in (b"", certificate[:-1], certificate + b"\0"):
        with pytest.raises(CertificateError, match="129 bytes"):
            verify_audit_certificate(wrong)
    with pytest.raises(CertificateError, match="32 bytes"):
        certify_audit_key(seed, b"short")
