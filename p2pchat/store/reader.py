"""A thread with its own read-only connection: history and search never wait for a disk sync.

Each unit sees one consistent snapshot, at least as new as every write that was awaited before
the unit was queued.
"""

from __future__ import annotations

from threading import Thread

import apsw

from p2pchat.store.faults import translate
from p2pchat.store.jobs import Inbox, Job, Outcome, deliver
from p2pchat.store.search import SearchIndex
from p2pchat.store.transaction import SqlTransaction


class Reader:
    """Owns the read-only connection and its thread."""

    def __init__(self, connection: apsw.Connection) -> None:
        self.inbox = Inbox()
        self._connection = connection
        self._index = SearchIndex(connection)
        self._thread = Thread(target=self._run, name="p2pchat-store-read", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Run what is queued, close the connection, end the thread; blocks until then."""
        self.inbox.close()
        self._thread.join()

    def _run(self) -> None:
        while (job := self.inbox.queue.get()) is not None:
            deliver([self._run_unit(job)])
        self._connection.close()

    def _run_unit(self, job: Job) -> Outcome:
        transaction = SqlTransaction(self._connection, self._index)
        try:
            self._connection.execute("BEGIN")
            try:
                value = job.work(transaction)
            finally:
                transaction.end()
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
        except BaseException as error:  # noqa: BLE001  # whatever it is belongs to the caller
            return Outcome(job, error=translate(error) if isinstance(error, apsw.Error) else error)
        return Outcome(job, value=value)
