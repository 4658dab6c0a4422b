"""The head outside of the database: after each commit, never ahead, and kept as evidence."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pytest

from p2pchat.errors import AuditError
from p2pchat.store import audit
from p2pchat.store.audit_file import parse_head
from p2pchat.store.audit_head import HeadFile
from p2pchat.store.audit_types import AuditEvent, AuditKind, Head
from p2pchat.store.audit_verify import verify
from p2pchat.store.connection import open_database
from p2pchat.store.execute import executor
from p2pchat.store.ports import Transaction
from tests.unit.store.files import KEY, new_store, reopen

_moments = itertools.count(1_790_000_000_000)
"""No two events are alike, as in life: else two logs could have the same records."""


def pins(tx: Transaction) -> None:
    tx.audit(AuditEvent(AuditKind.CONTACT_PINNED, next(_moments), b"p" * 32))


def head_file(folder: Path) -> HeadFile:
    return HeadFile(folder / "audit.head")


async def grow(folder: Path, records: int) -> None:
    store = reopen(folder)
    for _ in range(records):
        await store.write(pins)
    await store.close()


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """A profile's folder, with a log of some records."""
    await new_store(tmp_path).close()
    await grow(tmp_path, 3)
    return tmp_path


async def test_it_follows_each_commit_and_no_failed_unit(folder: Path) -> None:
    store = reopen(folder)

    def fails(tx: Transaction) -> None:
        pins(tx)
        raise RuntimeError

    await store.write(pins)
    with pytest.raises(RuntimeError):
        await store.write(fails)
    head = (await store.read(lambda tx: tx.audit_log())).head
    await store.close()
    assert head_file(folder).read() == head
    assert (folder / "audit.head").stat().st_mode & 0o777 == 0o600


async def test_a_head_that_lags_behind_is_no_finding(folder: Path) -> None:
    """As after a crash between commit and file."""
    before = (folder / "audit.head").read_bytes()
    await grow(folder, 3)
    (folder / "audit.head").write_bytes(before)
    store = reopen(folder)
    assert store.audit_head.finding == ""
    head = store.audit_head.read()
    assert head is not None
    store.audit_head.require(await store.read(lambda tx: tx.audit_log()), head)
    await store.write(pins)
    await store.close()
    assert (folder / "audit.head").read_bytes() != before


async def test_an_older_database_put_back_is_found_and_the_evidence_kept(folder: Path) -> None:
    shutil.copy(folder / "chat.db", folder / "backup")
    await grow(folder, 2)
    head = (folder / "audit.head").read_bytes()
    shutil.copy(folder / "backup", folder / "chat.db")
    store = reopen(folder)
    assert "an older copy of the database" in store.audit_head.finding
    assert "delete" in store.audit_head.finding
    for _ in range(3):
        await store.write(pins)
    log = await store.read(lambda tx: tx.audit_log())
    verify(log)  # whole in itself
    with pytest.raises(AuditError, match="copy of the database") as caught:
        store.audit_head.require(log, parse_head(head))
    assert caught.value.sequence is not None
    await store.close()
    assert (folder / "audit.head").read_bytes() == head
    store = reopen(folder)  # although the log has gone on meanwhile
    assert "in another copy of the database" in store.audit_head.finding
    await store.close()
    (folder / "audit.head").unlink()  # the person has decided
    await grow(folder, 1)
    store = reopen(folder)
    assert store.audit_head.finding == ""
    assert head_file(folder).read() is not None
    await store.close()


async def test_a_log_cut_off_together_with_its_signed_end_is_found(folder: Path) -> None:
    """Even who has an old signed end, as from an old page of the database."""
    connection = open_database(folder / "chat.db", KEY)
    execute = executor(connection)
    old = audit.read_log(execute).head
    connection.close()
    await grow(folder, 4)
    connection = open_database(folder / "chat.db", KEY)
    connection.execute("DELETE FROM audit_record WHERE sequence > ?", (old.sequence,))
    connection.execute(
        "UPDATE audit_log SET sequence = ?, hash = ?, signature = ?",
        (old.sequence, old.digest, old.signature),
    )
    verify(audit.read_log(executor(connection)))  # nothing inside tells
    connection.close()
    store = reopen(folder)
    assert f"ends at record {old.sequence} but had" in store.audit_head.finding
    await store.close()


@pytest.mark.parametrize("content", [b"", b"nonsense", b"{}\n", b"\xff" * 100_000])
async def test_a_damaged_head_is_a_finding(folder: Path, content: bytes) -> None:
    (folder / "audit.head").write_bytes(content)
    store = reopen(folder)
    assert "audit.head is damaged" in store.audit_head.finding
    await store.write(pins)
    await store.close()
    assert (folder / "audit.head").read_bytes() == content


async def test_a_head_of_another_profile_is_a_finding(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    await new_store(other).close()
    await grow(other, 5)
    shutil.copy(other / "audit.head", folder / "audit.head")
    store = reopen(folder)
    assert "not of this log" in store.audit_head.finding
    await store.close()


async def test_without_a_head_there_is_no_finding_and_a_new_one_is_written(folder: Path) -> None:
    (folder / "audit.head").unlink()
    store = reopen(folder)
    assert store.audit_head.finding == ""
    assert store.audit_head.read() is None
    await store.write(pins)
    await store.close()
    assert head_file(folder).read() is not None


async def test_a_file_that_cannot_be_written_holds_nothing_up(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "audit.head.tmp").mkdir()
    store = reopen(folder)
    before = (await store.read(lambda tx: tx.audit_log())).head
    await store.write(pins)
    after = (await store.read(lambda tx: tx.audit_log())).head
    await store.close()
    assert after.sequence == before.sequence + 1
    assert "was not written" in caplog.text
    assert head_file(folder).read() == before


def test_a_file_that_cannot_be_read_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "audit.head").mkdir()
    head = head_file(tmp_path)
    head.inspect(lambda *_: [])
    assert "cannot read" in head.finding
    head.write(Head(1, b"h" * 32, b"s" * 64))
    assert (tmp_path / "audit.head").is_dir()
