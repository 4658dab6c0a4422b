"""What all operations share: the unit's connection, and what the writer must know of the unit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apsw

from p2pchat.errors import StoreError
from p2pchat.store import audit
from p2pchat.store.rows import Row
from p2pchat.store.search import SearchIndex


class Operations:
    """One unit's view of the database; ``end`` makes it useless.

    The operations themselves are its subclasses, which add no attributes.

    Attributes:
        added: Messages added by this unit: so many more for the search index to follow up.
        erased: This unit has replaced private keys or removed texts, whose pages must not stay
            in the log.
        audited: What this unit appended to the audit log.
    """

    __slots__ = ("_connection", "_index", "added", "audited", "erased")

    def __init__(self, connection: apsw.Connection, index: SearchIndex) -> None:
        self._connection: apsw.Connection | None = connection
        self._index = index
        self.added = 0
        self.erased = False
        self.audited: list[audit.Appended] = []

    def end(self) -> None:
        """Refuse every further call: the unit is over and its thread may be elsewhere."""
        self._connection = None

    def _execute(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """Run a statement to its end; one left in the middle would hold an old snapshot."""
        if self._connection is None:
            raise StoreError("a transaction was used after its unit of work")
        return self._connection.execute(sql, values).fetchall()
