"""How the subjects of the store run their statements, knowing neither connection nor thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import apsw

from p2pchat.store.rows import Row

Execute = Callable[[str, Sequence[Any]], list[Row]]
"""Runs one statement inside the current transaction and returns all its rows."""


def executor(connection: apsw.Connection) -> Execute:
    """Return an ``Execute`` of a connection."""
    return lambda sql, values: connection.execute(sql, values).fetchall()
