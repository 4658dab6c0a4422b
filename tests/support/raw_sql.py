"""Statements that the store's port does not offer: as somebody at the file would run them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from p2pchat.store.rows import Row
from p2pchat.store.transaction import SqlTransaction


def raw_sql(tx: object, statement: str, values: Sequence[Any] = ()) -> list[Row]:
    """Run one in a unit of work of the real store."""
    assert isinstance(tx, SqlTransaction)
    return tx._execute(statement, values)
