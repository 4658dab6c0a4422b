"""A damaged database: what can be read of it becomes a new profile, and it stays as it is."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from p2pchat.crypto.secret import Secret
from p2pchat.errors import DamagedStoreError, LockedError, ProfileExistsError
from p2pchat.identity.keys import identity_from_seed
from p2pchat.store import audit, audit_record
from p2pchat.store.audit_types import AuditRecord
from p2pchat.store.audit_verify import verify
from p2pchat.store.backup import tables
from p2pchat.store.backup.salvage import Report, salvage
from p2pchat.store.execute import executor
from p2pchat.store.open import PassphraseUnlock, create_profile, open_profile
from p2pchat.store.ports import Transaction
from tests.support.net_random import seeded_rng
from tests.unit.store.files import contact, incoming

UNLOCK = PassphraseUnlock(Secret(b"correct horse"))
NOW_MS = 1_800_000_000_000
PAGE = 4096
MESSAGES = 800


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A whole profile, of which each test damages what it wants."""
    path = tmp_path / "old"
    profile = create_profile(
        path, name="Ada", unlock=UNLOCK, rng=seeded_rng(1), now_ms=NOW_MS, memory_kib=8
    )

    def work(tx: Transaction) -> None:
        for name in ("Bob", "Carol"):
            tx.put_contact(contact(name))
        for number in range(MESSAGES):
            tx.add_message(incoming(1 + number % 2, number, f"text {number} " + "x" * 300))

    async def fill() -> None:
        await profile.store.write(work)

    asyncio.run(fill())
    profile.close()
    return path


def spoil(path: Path, *pages: int) -> bytes:
    """Overwrite some bytes of pages; returns the file as it is then."""
    file = path / "chat.db"
    raw = bytearray(file.read_bytes())
    for page in pages:
        raw[page * PAGE + 100 : page * PAGE + 140] = bytes(40)
    file.write_bytes(raw)
    return bytes(raw)


def saved(path: Path, folder: Path) -> Report:
    return salvage(path, folder, unlock=UNLOCK, rng=seeded_rng(2), now_ms=NOW_MS + 1, memory_kib=8)


def texts(folder: Path) -> list[str]:
    profile = open_profile(folder, unlock=UNLOCK, now_ms=NOW_MS + 2)

    async def read() -> list[str]:
        return [
            message.text
            for contact_id in (1, 2)
            for message in await profile.store.read(
                lambda tx, who=contact_id: tx.messages(who, limit=2000)  # type: ignore[misc]  # bound now
            )
        ]

    try:
        return asyncio.run(read())
    finally:
        profile.close()


def logged(folder: Path) -> list[AuditRecord]:
    """Return the audit log of a new profile, verified, as its first start leaves it."""
    profile = open_profile(folder, unlock=UNLOCK, now_ms=NOW_MS + 2)
    connection = profile.store.snapshot()
    try:
        log = audit.read_log(executor(connection))
        verify(log, identity=identity_from_seed(profile.identity.signing_seed).public)
    finally:
        connection.close()
        profile.close()
    return [audit_record.decode(record) for _, record, _ in log.records]


def first_page_of(path: Path, table: str) -> int:
    """Return the page, counted from 0, where a table of a profile begins."""
    profile = open_profile(path, unlock=UNLOCK, now_ms=NOW_MS)
    connection = profile.store.snapshot()
    ((page,),) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,))
    connection.close()
    profile.close()
    assert isinstance(page, int)
    return page - 1


def test_of_a_whole_database_everything_is_saved(damaged: Path, tmp_path: Path) -> None:
    report = saved(damaged, tmp_path / "new")
    assert report.damaged == ()
    assert (report.saved["contact"], report.saved["message"]) == (2, MESSAGES)
    assert len(texts(tmp_path / "new")) == MESSAGES
    assert not report.audit_log_begins_anew
    assert not report.ledger_begins_anew
    *before, last = logged(tmp_path / "new")
    assert before[0].kind == "identity_made"
    assert (last.kind, last.context) == ("recovered", {"source": "salvage", "lost": "nothing"})


@pytest.mark.parametrize("table", ["audit_log", "audit_record"])
def test_an_audit_log_that_is_not_whole_begins_anew_with_what_happened(
    damaged: Path, tmp_path: Path, table: str
) -> None:
    spoil(damaged, first_page_of(damaged, table))
    report = saved(damaged, tmp_path / "new")
    assert report.damaged == (table,)
    assert report.audit_log_begins_anew
    assert not report.ledger_begins_anew
    assert (report.saved["audit_log"], report.saved["audit_record"]) == (0, 0)
    first = logged(tmp_path / "new")[0]
    assert (first.sequence, first.kind) == (1, "recovered")
    assert first.context == {"source": "salvage", "lost": table}
    assert first.at_ms == NOW_MS + 1


@pytest.mark.parametrize("table", ["ledger", "ledger_head", "ledger_finding"])
def test_a_ledger_that_is_not_whole_begins_anew(damaged: Path, tmp_path: Path, table: str) -> None:
    spoil(damaged, first_page_of(damaged, table))
    report = saved(damaged, tmp_path / "new")
    assert report.ledger_begins_anew
    assert not report.audit_log_begins_anew
    assert {report.saved[name] for name in ("ledger", "ledger_head", "ledger_finding")} == {0}
    assert logged(tmp_path / "new")[-1].context == {"source": "salvage", "lost": table}


def test_the_longest_list_of_what_was_lost_fits_the_record() -> None:
    assert len(", ".join(tables.SAVED)) <= audit_record.TEXT_MAX_CHARS


def test_damaged_pages_cost_what_stood_on_them(damaged: Path, tmp_path: Path) -> None:
    """About eleven messages stand on a page of the table; most other pages are indexes."""
    size = (damaged / "chat.db").stat().st_size // PAGE
    tried = 0
    for page in range(20, size, 6):
        whole = (damaged / "chat.db").read_bytes()
        before = spoil(damaged, page)
        new = tmp_path / f"new{page}"
        try:
            report = saved(damaged, new)
        except DamagedStoreError as error:
            assert "identity" in str(error) or "nothing can be" in str(error)  # noqa: PT017  # either will do
        else:
            tried += 1
            assert report.saved["message"] >= MESSAGES - 20
            assert len(texts(new)) == report.saved["message"]
            told = [record for record in logged(new) if record.kind == "recovered"]
            lost = ", ".join(report.damaged) or "nothing"
            assert [record.context["lost"] for record in told] == [lost]
            if report.saved["message"] < MESSAGES:
                assert "message" in report.damaged
        assert (damaged / "chat.db").read_bytes() == before, "the damaged file is never touched"
        (damaged / "chat.db").write_bytes(whole)
    assert tried > 5


def test_a_damaged_head_is_mended_in_the_copy(damaged: Path, tmp_path: Path) -> None:
    file = damaged / "chat.db"
    raw = bytes(16) + file.read_bytes()[16:]
    file.write_bytes(raw)
    with pytest.raises(DamagedStoreError):
        open_profile(damaged, unlock=UNLOCK, now_ms=NOW_MS)
    assert saved(damaged, tmp_path / "new").saved["message"] == MESSAGES
    assert file.read_bytes() == raw


def test_without_its_first_page_nothing_is_made(damaged: Path, tmp_path: Path) -> None:
    spoil(damaged, 0)
    with pytest.raises(DamagedStoreError, match="nothing can be salvaged"):
        saved(damaged, tmp_path / "new")
    assert sorted(file.name for file in tmp_path.iterdir() if "salvage" in file.name) == []
    with pytest.raises(LockedError):
        salvage(
            damaged,
            tmp_path / "new2",
            unlock=replace(UNLOCK, passphrase=Secret(b"wrong")),
            rng=seeded_rng(3),
            now_ms=NOW_MS,
        )
    with pytest.raises(ProfileExistsError):
        saved(damaged, damaged)
