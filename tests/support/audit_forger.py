"""What somebody without the audit key can do to a log, at random but repeatably.

Each forgery takes a log and returns another, with the number of the first record that it touched
(or would have to have touched), or None where it is no record at all.
"""

from __future__ import annotations

import json
import random  # noqa: TID251 - a seeded generator makes a finding repeatable
from collections.abc import Callable, Sequence
from dataclasses import replace

import apsw

from p2pchat.crypto import ed25519
from p2pchat.crypto.secret import Secret
from p2pchat.store import audit, audit_record, schema
from p2pchat.store.audit_types import AuditEvent, AuditKind, AuditLog, Head
from p2pchat.store.execute import executor

Rows = list[tuple[int, bytes, bytes]]
Forgery = Callable[[random.Random, AuditLog], tuple[AuditLog, int | None]]


def make_log(identity_seed: Secret, records: int, *, seed: int = 0) -> AuditLog:
    """Record so many events of a made-up life, one an hour, in a store in memory."""
    rng = random.Random(seed)
    connection = apsw.Connection(":memory:")
    schema.migrate(connection)
    execute = executor(connection)
    audit.begin(execute, identity_seed)
    kinds = [kind for kind in AuditKind if kind not in (AuditKind.CHECKPOINT, AuditKind.PRUNED)]
    number = 0
    while (log := audit.read_log(execute)).head.sequence < records:
        number += 1
        event = AuditEvent(
            rng.choice(kinds),
            1_790_000_000_000 + number * 3_600_000,
            rng.randbytes(32),
            rng.randbytes(8),
            {"reason": f"reason {number}", "count": number},
        )
        audit.append(execute, event)
    connection.close()
    return log


# --- Tools ---------------------------------------------------------------------------------------


def chained(previous: bytes, rows: Sequence[tuple[int, bytes, bytes]]) -> Rows:
    """Make all hashes anew, after the record with the hash ``previous``."""
    made = []
    for sequence, record, _ in rows:
        previous = audit_record.next_hash(previous, record)
        made.append((sequence, record, previous))
    return made


def renumbered(sequence: int, rows: Sequence[tuple[int, bytes, bytes]]) -> Rows:
    """Give new numbers from ``sequence`` on, in rows and records."""
    made = []
    for number, (_, record, digest) in enumerate(rows, start=sequence):
        value = json.loads(record)
        value["sequence"] = number
        made.append((number, dump(value), digest))
    return made


def dump(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def changed(rng: random.Random, record: bytes) -> bytes:
    """Tell something else, in good form."""
    value = json.loads(record)
    match rng.randrange(5):
        case 0:
            value["at_ms"] += rng.choice((-1, 1, 86_400_000))
        case 1:
            value["kind"] = "contact_verified" if value["kind"] != "contact_verified" else "locked"
        case 2:
            value["context"] = {**value["context"], "reason": "nothing happened"}
        case 3:
            value["principal"] = None if value["principal"] else "a" * 56
        case _:
            value["key_id"] = "00" * 8
    return dump(value)


def flipped(rng: random.Random, data: bytes) -> bytes:
    """Change one bit."""
    copy = bytearray(data)
    copy[rng.randrange(len(copy))] ^= 1 << rng.randrange(8)
    return bytes(copy)


def _pick(rng: random.Random, log: AuditLog) -> int:
    return rng.randrange(len(log.records))


def _with(log: AuditLog, rows: Rows) -> AuditLog:
    return replace(log, records=rows)


def _with_last(log: AuditLog, rows: Rows) -> AuditLog:
    """Move the head to the last row; its signature cannot be made."""
    last, _, digest = rows[-1]
    return AuditLog(log.certificate, rows, Head(last, digest, log.head.signature))


# --- Forgeries -----------------------------------------------------------------------------------


def delete(rng: random.Random, log: AuditLog) -> tuple[AuditLog, int | None]:
    at = _pick(rng, log)
    count = rng.choice((1, 1, 1, 7))
    return _with(log, [*log.records[:at], *log.records[at + count :]]), log.records[at][0]


def delete_and_close_up(rng: random.Random, log: AuditLog) -> tuple[AuditLog, int | None]:
    at = rng.randrange(1, len(log.records) - 1)
    first = log.records[at][0]
    rest = chained(log.records[at - 1][2], renumbered(first, log.records[at + 1 :]))
    return _with_last(log, [*log.records[:at], *rest]), first


def edit(rng: random.Random, log: AuditLog) -> tuple[AuditLog, int | None]:
    at = _pick(rng, log)
    sequence, record, digest = log.records[at]
    other = flipped(rng, record) if rng.random() < 0.5 else changed(rng, record)
    return _with(log, [*log.records[:at], (sequence, other, digest), *log.records[at + 1 :]]), (
        sequence
    )


def edit_with_its_hash(rng: random.Random, log: AuditLog) -> tuple[AuditLog, int | None]:
    at = rng.randrange(1, len(log.records))
    sequence, record, _ = log.records[at]
    other = changed(rng, record)
    digest = audit_record.next_hash(log.records[at - 1][2], other)
    rows = [*log.records[:at], (sequence, other, digest), *log.records[at + 1 :]]
    return _with(log, rows), sequence


def edit_with_all_hashes(rng: random.Random, log: AuditLog) -> tuple[AuditLog, int | None]:
    at = rng.randrange(1, len(log.records))
    sequence, record, digest = log.records[at]
    rows = [(sequence, changed(rng, record), digest), *log.records[at + 1 :]]
    rows = [*log.records[:at], *chained(log.records[at - 1][2], rows)]
    return _with_last(log, rows), sequence


def edit_a_hash(rng: random.Random, log: AuditLog) -> tuple[AuditLog, int | None]:
    at = _pick(rng, log)
    sequence, record, digest = log.records[at]
    rows = [*log.records[:at], (sequence, record, flipped(rng, digest)), *log.records[at + 1 :]]
    return _with(log, rows), sequence


def insert(rng: random.Random, log: AuditLog) -> tuple[AuditLog, int | None]:
    at = _pick(rng, log)
    sequence = log.records[at][0]
    forged = changed(rng, log.records[_pick(rng, log)][1])
    row = renumbered(sequence, [(0, forged, log.records[at][2])])
    return _with(log, [*log.records[:at], *row, *log.records[at:]]), sequence


def insert_and_make_room(rng: random.Random, log: AuditLog) -> tuple[AuditLog, int | None]:
    at = rng.randrange(1, len(log.records))
    sequence = log.records[at][0]
    forged = (0, changed(rng, log.records[_pick(rng, log)][1]), b"")
    rest = chained(log.records[at - 1][2], renumbered(sequence, [forged, *log.records[at:]]))
    return _with_last(log, [*log.records[:at], *rest]), sequence


def duplicate(rng: random.Random, log: AuditLog) -> tuple[AuditLog, int | None]:
    at = _pick(rng, log)
    rows = [*log.records[: at + 1], log.records[at], *log.records[at + 1 :]]
    return _with(log, rows), log.records[at][0]


def append(rng: random.Random, log: AuditLog) -> tuple[AuditLog, int | None]:
    last, record, digest = log.records[-1]
    more = chained(digest, renumbered(last + 1, [(0, changed(rng, record), b"")]))
    rows = [*log.records, *more]
    return (_with(log, rows) if rng.random() < 0.5 else _with_last(log, rows)), last + 1


def swap(rng: random.Random, log: AuditLog) -> tuple[AuditLog, int | None]:
    first, second = sorted(rng.sample(range(len(log.records)), 2))
    rows = list(log.records)
    rows[first], rows[second] = rows[second], rows[first]
    return _with(log, rows), log.records[first][0]


def swap_and_renumber(rng: random.Random, log: AuditLog) -> tuple[AuditLog, int | None]:
    first, second = sorted(rng.sample(range(1, len(log.records)), 2))
    rows = list(log.records)
    rows[first], rows[second] = rows[second], rows[first]
    start = log.records[first][0]
    rest = renumbered(start, rows[first:])
    if rng.random() < 0.5:
        return _with(log, [*rows[:first], *rest]), start
    return _with_last(log, [*rows[:first], *chained(rows[first - 1][2], rest)]), start


def truncate(rng: random.Random, log: AuditLog) -> tuple[AuditLog, int | None]:
    keep = rng.randrange(len(log.records))
    return _with(log, list(log.records[:keep])), log.records[keep][0]


def truncate_with_head(rng: random.Random, log: AuditLog) -> tuple[AuditLog, int | None]:
    keep = rng.randrange(1, len(log.records))
    return _with_last(log, list(log.records[:keep])), log.records[keep][0]


def truncate_at_checkpoint(rng: random.Random, log: AuditLog) -> tuple[AuditLog, int | None]:
    """A checkpoint's signature is a true one of the same key, but says nothing of an end."""
    at = rng.choice([i for i, row in enumerate(log.records) if b'"checkpoint"' in row[1]])
    signature = audit_record.checkpoint_signature(audit_record.decode(log.records[at][1]))
    last, _, digest = log.records[at - 1]
    rows = list(log.records[:at])
    return AuditLog(log.certificate, rows, Head(last, digest, signature)), last + 1


def cut_the_beginning(rng: random.Random, log: AuditLog) -> tuple[AuditLog, int | None]:
    at = rng.randrange(1, len(log.records))
    return _with(log, list(log.records[at:])), log.records[0][0]


def cut_the_beginning_as_if_pruned(
    rng: random.Random, log: AuditLog
) -> tuple[AuditLog, int | None]:
    at = rng.randrange(1, len(log.records) - 1)
    before = log.records[at - 1]
    last = log.records[-1][0]
    context: dict[str, str | int] = {
        "first": before[0] + 1,
        "hash": before[2].hex(),
        "signature": log.head.signature.hex(),
    }
    event = AuditEvent(AuditKind.PRUNED, 0, context=context)
    row = (last + 1, audit_record.encode(event, last + 1), b"")
    rows = [*log.records[at:], *chained(log.records[-1][2], [row])]
    return _with_last(log, rows), last + 1


def edit_a_checkpoint(rng: random.Random, log: AuditLog) -> tuple[AuditLog, int | None]:
    at = rng.choice([i for i, row in enumerate(log.records) if b'"checkpoint"' in row[1]])
    sequence, record, digest = log.records[at]
    value = json.loads(record)
    if rng.random() < 0.5:
        signature = bytes.fromhex(value["context"]["signature"])
        value["context"]["signature"] = flipped(rng, signature).hex()
    else:
        value["context"] = {}
    rows = [(sequence, dump(value), digest), *log.records[at + 1 :]]
    if rng.random() < 0.5:
        return _with(log, [*log.records[:at], *rows]), sequence
    return _with_last(log, [*log.records[:at], *chained(log.records[at - 1][2], rows)]), sequence


def edit_the_head(rng: random.Random, log: AuditLog) -> tuple[AuditLog, int | None]:
    head = log.head
    match rng.randrange(4):
        case 0:
            head = replace(head, sequence=head.sequence + rng.choice((-1, 1, 1000)))
        case 1:
            head = replace(head, digest=flipped(rng, head.digest))
        case 2:
            head = replace(head, signature=flipped(rng, head.signature))
        case _:
            head = Head(0, audit_record.first_hash(b"k" * 32), head.signature)
    return replace(log, head=head), None


def edit_the_certificate(rng: random.Random, log: AuditLog) -> tuple[AuditLog, int | None]:
    return replace(log, certificate=flipped(rng, log.certificate)), None


def sign_with_another_key(rng: random.Random, log: AuditLog) -> tuple[AuditLog, int | None]:
    """Make everything anew under a key of one's own, with the true certificate."""
    seed = Secret(rng.randbytes(32))
    first = audit_record.first_hash(ed25519.public_key(seed))
    rows = chained(first, log.records)
    last, _, digest = rows[-1]
    signature = audit_record.sign(seed, audit_record.HEAD_LABEL, last, digest)
    return AuditLog(log.certificate, rows, Head(last, digest, signature)), 1


FORGERIES: tuple[Forgery, ...] = (
    delete, delete_and_close_up, edit, edit_with_its_hash, edit_with_all_hashes, edit_a_hash,
    insert, insert_and_make_room, duplicate, append, swap, swap_and_renumber, truncate,
    truncate_with_head, truncate_at_checkpoint, cut_the_beginning,
    cut_the_beginning_as_if_pruned, edit_a_checkpoint, edit_the_head, edit_the_certificate,
    sign_with_another_key,
)  # fmt: skip
