"""Nothing can be done to an audit log unnoticed by who does not have its key, and where is said."""

from __future__ import annotations

import random  # noqa: TID251 - a seeded generator makes a finding repeatable
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from p2pchat.crypto import ed25519
from p2pchat.crypto.secret import Secret
from p2pchat.errors import AuditError, StoreError
from p2pchat.store import audit, audit_file, schema
from p2pchat.store.audit_file import export_lines, head_line, parse_export, parse_head, read_export
from p2pchat.store.audit_types import AuditEvent, AuditKind, AuditLog, Head
from p2pchat.store.audit_verify import require_witness, verify
from p2pchat.store.execute import executor
from tests.support import audit_forger as forger

ADA, EVE = Secret(b"a" * 32), Secret(b"e" * 32)
IDENTITY = ed25519.public_key(ADA)
EXACT = (
    forger.delete, forger.edit, forger.edit_a_hash, forger.duplicate, forger.swap,
    forger.truncate, forger.cut_the_beginning,
)  # fmt: skip
"""What leaves its trace at the very record; the others at the next one or the next signature."""


@pytest.fixture(scope="module")
def log() -> AuditLog:
    return forger.make_log(ADA, 500)


@pytest.fixture(scope="module")
def pruned_log() -> AuditLog:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audit, "RECORDS_MAX", 200)
        patch.setattr(audit, "PRUNE_RECORDS", 50)
        return forger.make_log(ADA, 500)


def is_found(forged: AuditLog | list[bytes]) -> bool:
    try:
        log = forged if isinstance(forged, AuditLog) else parse_export(forged)
        verify(log, identity=IDENTITY)
    except AuditError:
        return True
    return False


def test_logs_as_recorded_verify(log: AuditLog, pruned_log: AuditLog) -> None:
    whole = verify(log, identity=IDENTITY)
    assert (whole.identity, whole.first, whole.last) == (IDENTITY, 1, log.head.sequence)
    assert len(log.records) >= 500
    assert whole.checkpoints > 500 / 64
    rest = verify(pruned_log, identity=IDENTITY)
    assert rest.first > 250
    assert rest.last == pruned_log.head.sequence
    kinds = {b'"kind":"pruned"' in record for _, record, _ in pruned_log.records}
    assert kinds == {True, False}


@pytest.mark.parametrize("seed", range(10))
def test_each_of_100_random_forgeries_is_found_and_located(log: AuditLog, seed: int) -> None:
    """Ten seeds: 1,000 forgeries, about 48 of each kind."""
    rng = random.Random(seed)
    for number in range(100):
        forgery = forger.FORGERIES[(100 * seed + number) % len(forger.FORGERIES)]
        forged, touched = forgery(rng, log)
        while forged == log:  # an edit that says the same
            forged, touched = forgery(rng, log)
        with pytest.raises(AuditError) as caught:
            verify(forged, identity=IDENTITY)
        found = caught.value.sequence
        where = f"{forgery.__name__} at {touched}: {caught.value} ({found})"
        if touched is None:
            continue
        assert found is not None, where
        if forgery in EXACT:
            assert found == touched, where
        # Hashes made anew show at the next signature, which is at most a checkpoint's way off.
        assert touched - audit.CHECKPOINT_RECORDS <= found <= touched + 1, where
        assert str(found) in str(caught.value), where


def test_each_random_forgery_of_a_pruned_log_is_found(pruned_log: AuditLog) -> None:
    rng = random.Random(1)
    for number in range(100):
        forgery = forger.FORGERIES[number % len(forger.FORGERIES)]
        forged, touched = forgery(rng, pruned_log)
        if forged != pruned_log:
            assert is_found(forged), f"{forgery.__name__} at {touched}"


def test_an_earlier_pruning_does_not_excuse_a_missing_beginning(pruned_log: AuditLog) -> None:
    prunings = [row for row in pruned_log.records if b'"kind":"pruned"' in row[1]]
    assert len(prunings) >= 2
    at = pruned_log.records.index(prunings[-1])
    forged = replace(pruned_log, records=pruned_log.records[:at])
    with pytest.raises(AuditError) as caught:
        verify(forged)
    assert caught.value.sequence is not None


def test_logs_of_two_profiles_cannot_be_exchanged_in_whole_or_in_part(log: AuditLog) -> None:
    other = forger.make_log(EVE, 500)
    verify(other)
    with pytest.raises(AuditError, match="another identity"):
        verify(other, identity=IDENTITY)
    twin = forger.make_log(ADA, 500)  # of the same person and of the same events
    verify(twin, identity=IDENTITY)
    for stranger in (other, twin):
        for mixed in (
            replace(log, certificate=stranger.certificate),
            replace(log, records=stranger.records),
            replace(log, head=stranger.head),
            replace(stranger, certificate=log.certificate),
        ):
            with pytest.raises(AuditError):
                verify(mixed, identity=IDENTITY)


# --- A head that is kept elsewhere ---------------------------------------------------------------


def test_a_log_that_went_on_contains_an_earlier_head() -> None:
    connection = apsw.Connection(":memory:")
    schema.migrate(connection)
    execute = executor(connection)
    audit.begin(execute, ADA)
    heads = []
    for number in range(5):
        heads.append(audit.read_log(execute).head)
        audit.append(execute, AuditEvent(AuditKind.LOCKED, number))
    for head in heads:
        require_witness(audit.read_log(execute), head)
        require_witness(audit.read_log_at(execute, head.sequence), head)
    # The log is put back to its beginning, and goes on with something else.
    execute("DELETE FROM audit_record", ())
    execute("UPDATE audit_log SET sequence = 0, hash = ?", (heads[0].digest,))
    for number in range(5):
        audit.append(execute, AuditEvent(AuditKind.KEY_REVOKED, number))
    verify(audit.read_log(execute))
    with pytest.raises(AuditError, match="in another copy") as caught:
        require_witness(audit.read_log(execute), heads[-1])
    assert caught.value.sequence == heads[-1].sequence
    connection.close()


def older(log: AuditLog, records: int) -> AuditLog:
    """An honest copy of the same log from before, as a backup has it."""
    rows = log.records[:records]
    last, _, digest = rows[-1]
    return AuditLog(log.certificate, rows, Head(last, digest, b"\0" * 64))


def test_an_older_copy_lacks_the_head_that_is_known(log: AuditLog) -> None:
    with pytest.raises(AuditError, match="ends at record 300 but had") as caught:
        require_witness(older(log, 300), log.head)
    assert caught.value.sequence == 301


def test_another_logs_head_is_no_witness(log: AuditLog) -> None:
    with pytest.raises(AuditError, match="not of this log"):
        require_witness(log, forger.make_log(EVE, 3).head)


# --- Exports -------------------------------------------------------------------------------------


def exported(log: AuditLog) -> list[bytes]:
    return list(export_lines(log))


def test_an_export_is_read_back_as_it_was(log: AuditLog, tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b"".join(exported(log)))
    assert read_export(path) == AuditLog(log.certificate, list(log.records), log.head)
    verify(read_export(path), identity=IDENTITY)
    with pytest.raises(StoreError, match="cannot read"):
        read_export(tmp_path / "none")


def test_each_of_300_random_changes_of_an_exported_file_is_found() -> None:
    rng = random.Random(3)
    lines = exported(forger.make_log(ADA, 70))

    def mangled(number: int) -> list[bytes]:
        copy, at = list(lines), rng.randrange(len(lines))
        match number % 8:
            case 0:
                copy[at] = forger.flipped(rng, copy[at])
            case 1:
                del copy[at]
            case 2:
                copy.insert(at, lines[rng.randrange(len(lines))])
            case 3:
                other = rng.randrange(len(lines))
                copy[at], copy[other] = copy[other], copy[at]
            case 4:
                whole = b"".join(lines)
                return whole[: rng.randrange(len(whole))].splitlines(keepends=True)
            case 5:
                copy[at] = copy[at].replace(b":", b": ", 1)
            case 6:
                copy.append(lines[at] if rng.random() < 0.5 else b"\n")
            case _:
                copy = [*copy[:at], *copy[len(copy) - rng.randrange(1, 5) :]]
        return copy

    for number in range(300):
        changed = mangled(number)
        if changed != lines:
            assert is_found(changed), f"change {number}"


def test_a_cut_export_says_where_it_was_cut(log: AuditLog) -> None:
    with pytest.raises(AuditError, match="cut off") as caught:
        parse_export(exported(log)[:101])
    assert caught.value.sequence == 101


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"not one\n", b"{}\n", b"[]\n", b"\xff\xfe\n", b"[" * 70_000, b"1\n"]
)
def test_what_is_no_export_is_refused_in_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(AuditError, match=r"^the file .*export of an audit log$"):
        read_export(path)


def test_a_file_without_end_is_not_read_to_its_end(
    log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_file, "LINES_MAX", 600)
    lines = exported(log)

    def endless() -> Iterator[bytes]:
        yield from lines[:-1]
        while True:
            yield lines[1]

    with pytest.raises(AuditError, match="after its end"):
        parse_export(endless())


def test_a_head_has_one_form(log: AuditLog) -> None:
    line = head_line(log.head)
    assert parse_head(line) == log.head
    for wrong in (
        b"", line[:-1], line + b"\n", line.replace(b"a", b"A", 1), line.replace(b":", b": "),
        line.replace(b'"sequence":', b'"sequence":-'), b"null\n", b"[" * 9999,
    ):  # fmt: skip
        with pytest.raises(AuditError, match="not the head"):
            parse_head(wrong)
