"""The operations of ``ports.Transaction`` as SQL, valid during one unit of work.

Each subject has its module in ``operations``.
"""

from __future__ import annotations

from p2pchat.store.operations.accounts import AuditOperations, LedgerOperations
from p2pchat.store.operations.contacts import ContactOperations
from p2pchat.store.operations.keys import KeyOperations
from p2pchat.store.operations.sessions import SessionOperations


class SqlTransaction(
    KeyOperations,
    ContactOperations,
    LedgerOperations,  # and so the messages
    SessionOperations,
    AuditOperations,
):
    """All operations on one unit's view of the database."""

    __slots__ = ()
