"""Which tables a backup holds, and their rows as records.

A backup is independent of the program's own schema: it says which version its rows are of, and
is loaded into tables of that version, which are then migrated like any older database. Each table
is on one of two lists, so whoever adds one has to decide; a test holds the schema to that.

Ratchet state is never in it: brought back, it would be behind the peer's (protocol.md §6.6).
Neither is the static key: the restored profile makes its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import apsw
import msgpack

from p2pchat.errors import DamagedStoreError
from p2pchat.store.faults import translated

SAVED: Final[tuple[str, ...]] = (
    "identity",
    "setting",
    "contact",
    "retention",
    "message",
    "reaction",
    "agreement",
    "timer_proposal",
    "ledger",
    "ledger_head",
    "ledger_finding",
    "audit_log",
    "audit_record",
    "revocation",
    "succession",
)
"""In the order in which they are loaded: a contact before what refers to it."""
LEFT_OUT: Final[Mapping[str, str]] = {
    "session": "ratchet state must never be used twice",
    "envelope": "belongs to a session",
    "previous_static_key": "the restored profile has a key of its own",
    "statement_key": "the restored profile makes one with its next statement",
    "freshness": "of one database and the count beside it",
    "message_index": "made from the messages",
    "search_state": "of the index",
}
OMITTED_COLUMNS: Final[Mapping[str, frozenset[str]]] = {
    "identity": frozenset({"static_private", "certificate"})
}
"""The restored profile gets new ones."""
OMITTED_ROWS: Final[Mapping[str, str]] = {
    "message": "lifetime_s IS NOT NULL",
    "reaction": "EXISTS (SELECT 1 FROM message WHERE message.contact_id = reaction.contact_id"
    " AND message.message_id = reaction.message_id AND lifetime_s IS NOT NULL)",
}
"""What disappears: a file that nobody sweeps would outlive it."""
BATCH_BYTES: Final = 1 << 18
"""Rows are gathered to about this much in one record."""
_ROW_MAX_COLUMNS: Final = 64
_BATCH_MAX_ROWS: Final = 4096


@dataclass(frozen=True, slots=True)
class Begin:
    """The first record: whose backup, when made, of which schema."""

    name: str
    peer_id: str
    made_at_ms: int
    schema: int


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of one table."""

    table: str
    columns: tuple[str, ...]
    rows: list[list[Any]]


@dataclass(frozen=True, slots=True)
class Settings:
    """The text of ``config.toml``."""

    content: str


@dataclass(frozen=True, slots=True)
class End:
    """The last record: how many rows of each table came before it."""

    counts: Mapping[str, int]


Record = Begin | Rows | Settings | End


def encode(record: Record) -> bytes:
    """Return a record's msgpack bytes."""
    match record:
        case Begin(name, peer_id, made_at_ms, schema):
            fields: dict[str, Any] = {
                "r": "begin",
                "name": name,
                "peer_id": peer_id,
                "made_at_ms": made_at_ms,
                "schema": schema,
            }
        case Rows(table, columns, rows):
            fields = {"r": "rows", "table": table, "columns": list(columns), "rows": rows}
        case Settings(content):
            fields = {"r": "settings", "content": content}
        case End(counts):
            fields = {"r": "end", "counts": dict(counts)}
    encoded: bytes = msgpack.packb(fields, use_bin_type=True)
    return encoded


def decode(encoded: bytes) -> Record:
    """Read a record.

    Raises:
        DamagedStoreError: It is none; the file authenticated, so its maker was at fault.
    """
    try:
        fields = msgpack.unpackb(encoded, max_ext_len=0)
        match fields:
            case {"r": "begin", "name": str(name), "peer_id": str(peer), "made_at_ms": int(at),
                  "schema": int(schema)}:  # fmt: skip
                return Begin(name, peer, at, schema)
            case {"r": "rows", "table": str(table), "columns": [*columns], "rows": [*rows]} if (
                _is_table(columns, rows)
            ):
                return Rows(table, tuple(columns), rows)
            case {"r": "settings", "content": str(content)}:
                return Settings(content)
            case {"r": "end", "counts": dict(counts)}:
                return End(counts)
    except (ValueError, msgpack.UnpackException):
        pass
    raise DamagedStoreError("the backup holds what no p2pchat has written; use another copy of it")


def dump(connection: apsw.Connection) -> Iterator[Rows]:
    """Return the rows of all saved tables; inside one read transaction they are one moment's."""
    for table in SAVED:
        columns = [
            name
            for name in columns_of(connection, table)
            if name not in OMITTED_COLUMNS.get(table, ())
        ]
        batch: list[list[Any]] = []
        size = 0
        # The names are our own schema's.
        omitted = OMITTED_ROWS.get(table, "FALSE")
        statement = f"SELECT {', '.join(columns)} FROM {table} WHERE NOT ({omitted})"  # noqa: S608  # our schema's names
        for row in connection.execute(statement):
            batch.append(list(row))
            size += sum(len(value) if isinstance(value, str | bytes) else 9 for value in row)
            if size >= BATCH_BYTES or len(batch) == _BATCH_MAX_ROWS:
                yield Rows(table, tuple(columns), batch)
                batch, size = [], 0
        if batch:
            yield Rows(table, tuple(columns), batch)


def load(
    connection: apsw.Connection, part: Rows, fresh: Mapping[str, Mapping[str, object]]
) -> None:
    """Insert rows into a database of the backup's own version.

    Args:
        connection: In a transaction.
        part: What ``dump`` gave.
        fresh: By table, values for the columns that a backup omits.

    Raises:
        DamagedStoreError: A table or column that is not of that version, or a row that its
            constraints refuse.
    """
    known = columns_of(connection, part.table) if part.table in SAVED else []
    added = fresh.get(part.table, {})
    names = [*part.columns, *added]
    if len(set(names)) != len(names) or not set(names) <= set(known):
        raise DamagedStoreError("the backup names a table or column that its version has not")
    marks = ", ".join("?" * len(names))
    statement = f"INSERT INTO {part.table} ({', '.join(names)}) VALUES ({marks})"  # noqa: S608  # names checked above
    try:
        connection.executemany(statement, ([*row, *added.values()] for row in part.rows))
    except (apsw.ConstraintError, apsw.BindingsError, TypeError) as error:
        raise DamagedStoreError(f"the backup's {part.table} rows contradict each other") from error


def columns_of(connection: apsw.Connection, table: str) -> list[str]:
    """Return the names of a table's columns; none if there is no such table."""
    with translated():
        return [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]


def _is_table(columns: Sequence[object], rows: Sequence[object]) -> bool:
    return (
        1 <= len(columns) <= _ROW_MAX_COLUMNS
        and all(isinstance(name, str) for name in columns)
        and all(isinstance(row, list) and len(row) == len(columns) for row in rows)
    )
