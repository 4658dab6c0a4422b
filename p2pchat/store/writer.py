"""The store thread: the only writer, with group commit, and the housekeeping between groups.

Units that arrive while a commit waits for the disk are joined into the next one. Each runs in a
savepoint, so one that fails is undone alone; results leave only after COMMIT has returned with
``synchronous=FULL``. If COMMIT fails, every unit of the group is told, and the next group starts
anew. (After an I/O error in the last instant SQLite may still find the group in its log after a
crash; a unit reported as failed is then stored, which is the harmless direction: nothing that
depends on it was sent.)

After a unit that replaced private keys or removed texts the log is folded in and emptied at once:
it holds the pages that they stood on.

When nothing has arrived for a while, the thread brings the search index up to date and folds the
log into the database; under steady load it does so in small pieces between groups.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from queue import Empty
from threading import Thread
from typing import Any, Final

import apsw

from p2pchat.errors import StoreError
from p2pchat.store import freshness
from p2pchat.store.audit import Appended
from p2pchat.store.connection import BUSY_TIMEOUT_MS
from p2pchat.store.faults import translate
from p2pchat.store.jobs import Inbox, Job, Outcome, deliver
from p2pchat.store.outside_count import OutsideCount
from p2pchat.store.rows import Row
from p2pchat.store.search import SearchIndex
from p2pchat.store.transaction import SqlTransaction

GROUP_MAX: Final = 256
"""Units in one commit: bounds how long the first waits for the last."""
IDLE_S: Final = 0.2
"""Silence before housekeeping starts: longer than the gaps within a burst."""
BACKLOG_MAX: Final = 8192
"""Messages behind the search index; beyond it indexing does not wait for idleness, so a search
reads no more than about these one by one (27 ms)."""
CHECKPOINT_IDLE_PAGES: Final = 64
"""A smaller log is left for later."""
CHECKPOINT_PAGES: Final = 4000
"""Log of 16 MiB: folded in without waiting for idleness, about 60 ms."""

LOG_WAIT_MS: Final = 50
"""So long a commit waits for readers when the log is to be emptied; then it is tried later."""

_log = logging.getLogger(__name__)


class Writer:
    """Owns the writing connection and its thread.

    Args:
        connection: Nobody else writes through it.
        outside_count: Follows each commit.
        on_audit: Called on this thread with what was appended to the audit log, once committed.
    """

    def __init__(
        self,
        connection: apsw.Connection,
        outside_count: OutsideCount,
        on_audit: Callable[[list[Appended]], None],
    ) -> None:
        self.inbox = Inbox()
        self._on_audit = on_audit
        self._audited: list[Appended] = []
        self._connection = connection
        self._outside_count = outside_count
        self._index = SearchIndex(connection)
        self._backlog = self._index.backlog()
        self._log_pages = 0
        # A process that was killed between such a commit and what follows it has left its log.
        self._holds_erased = True
        self._tidy = False
        connection.set_wal_hook(self._note_log_size)  # takes the place of the auto-checkpoint
        self._thread = Thread(target=self._run, name="p2pchat-store", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Run what is queued, close the connection, end the thread; blocks until then."""
        self.inbox.close()
        self._thread.join()

    def shrink(self) -> None:
        """Leave nothing of what was deleted; only on this thread, by ``Inbox.submit_alone``.

        The search index drops the words of deleted messages, the file is written anew without
        free pages, and the log, which has held both, is cut to nothing. The copy is made in
        memory: as a temporary file it would have to be encrypted too.

        Raises:
            StoreError: Somebody reads meanwhile, or the disk refuses; nothing is lost.
        """
        while self._step_index():
            pass
        self._connection.execute("VACUUM")
        if not self._empty_log():
            raise StoreError("the database is being read at this moment; try again")

    def _note_log_size(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._log_pages = pages
        return apsw.SQLITE_OK

    def _run(self) -> None:
        more = True
        while more:
            group, more = self._next_group()
            if together := [job for job in group if not job.alone]:
                deliver(self._run_group(together))
                if self._audited:
                    # After the results: nobody waits for the head's file, which may lag.
                    self._on_audit(self._audited)
                    self._audited = []
            for job in group:
                if job.alone:
                    deliver([self._run_alone(job)])
            if group:
                self._tidy = False
                while self._overdue() and self._housekeep():
                    pass
        self._outside_count.close()
        try:
            self._connection.close()
        except apsw.Error as error:
            # Everything committed is in the log already; the next start folds it in.
            _log.warning("the database did not close cleanly: %s", error)

    def _overdue(self) -> bool:
        return self._backlog > BACKLOG_MAX or self._log_pages > CHECKPOINT_PAGES

    def _next_group(self) -> tuple[list[Job], bool]:
        """Wait for jobs, keeping house meanwhile; returns them and whether more can come."""
        queue = self.inbox.queue
        pause = IDLE_S
        while True:
            try:
                job = queue.get(timeout=None if self._tidy else pause)
                break
            except Empty:
                self._tidy = not self._housekeep()
                pause = 0.0  # idle: the next piece follows at once unless a job is waiting
        group: list[Job] = []
        while job is not None:
            group.append(job)
            if len(group) == GROUP_MAX or queue.empty():
                return group, True
            job = queue.get_nowait()
        return group, False

    def _run_group(self, jobs: list[Job]) -> list[Outcome]:
        """Run all in one transaction and commit it; nothing is reported as done before that."""
        execute = self._connection.execute
        outcomes: list[Outcome] = []
        added = 0
        audited: list[Appended] = []
        try:
            execute("BEGIN IMMEDIATE")
            before = self._connection.total_changes()
            for job in jobs:
                outcome, transaction = self._run_unit(job)
                outcomes.append(outcome)
                if outcome.error is None:
                    added += transaction.added
                    audited += transaction.audited
            changed = self._connection.total_changes() != before
            count = freshness.advance(self._all) if changed else None
            execute("COMMIT")
        except Exception as error:  # noqa: BLE001  # a dead thread would let everybody wait for ever
            self._roll_back()
            own = {outcome.job.future: outcome for outcome in outcomes if outcome.error}
            return [own.get(job.future) or Outcome(job, error=_failure(error)) for job in jobs]
        if count is not None:
            self._outside_count.write(count)  # after the commit: never ahead of the disk
        self._backlog += added
        self._audited = audited
        if self._holds_erased:
            self._empty_log()
        return outcomes

    def _run_alone(self, job: Job) -> Outcome:
        try:
            return Outcome(job, value=job.work())
        except Exception as error:  # noqa: BLE001  # a dead thread would let everybody wait for ever
            self._roll_back()
            return Outcome(job, error=_failure(error) if isinstance(error, apsw.Error) else error)

    def _all(self, sql: str, values: Sequence[Any]) -> list[Row]:
        return self._connection.execute(sql, values).fetchall()

    def _run_unit(self, job: Job) -> tuple[Outcome, SqlTransaction]:
        """Run one unit in a savepoint.

        Returns:
            Its outcome, and the ended transaction, which tells what it added.

        Raises:
            apsw.Error, StoreError: The whole transaction is lost.
        """
        execute = self._connection.execute
        transaction = SqlTransaction(self._connection, self._index)
        execute("SAVEPOINT unit")
        try:
            value = job.work(transaction)
        except BaseException as error:  # whatever it is belongs to the caller
            if not self._connection.in_transaction:
                # Some errors, a full disk among them, make SQLite undo everything.
                if isinstance(error, apsw.Error):
                    raise
                raise StoreError("the whole transaction was undone") from error
            execute("ROLLBACK TO unit")
            execute("RELEASE unit")
            own = translate(error) if isinstance(error, apsw.Error) else error
            return Outcome(job, error=own), transaction
        finally:
            transaction.end()
        execute("RELEASE unit")
        self._holds_erased = self._holds_erased or transaction.erased
        return Outcome(job, value=value), transaction

    def _housekeep(self) -> bool:
        """Do one small piece of work that can wait; return False if there was none."""
        if self._holds_erased:
            return self._empty_log()
        try:
            if self._log_pages > CHECKPOINT_PAGES:
                self._checkpoint()
            elif self._step_index():
                pass
            elif self._log_pages > CHECKPOINT_IDLE_PAGES:
                self._checkpoint()
            else:
                return False
        except apsw.Error as error:
            # Nothing is lost: search reads what is not indexed, and the log stays a log. Try again
            # after the next write.
            self._roll_back()
            _log.warning("housekeeping in the store failed: %s", error)
            return False
        return True

    def _step_index(self) -> bool:
        self._connection.execute("BEGIN IMMEDIATE")
        indexed = self._index.index_batch()
        worked = bool(indexed) or self._index.purge_step()
        self._connection.execute("COMMIT")
        self._backlog = self._backlog - indexed if indexed else 0
        return worked

    def _checkpoint(self) -> None:
        self._log_pages = 0
        self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    def _empty_log(self) -> bool:
        """Fold the whole log into the database and cut it to nothing; False if that failed."""
        try:
            # Our own reader has one snapshot at a time, briefly; nobody waits long for another's.
            self._connection.set_busy_timeout(LOG_WAIT_MS)
            try:
                self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            finally:
                self._connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        except apsw.Error as error:
            # What was committed stays so; tried again after the next write, and at the close.
            _log.warning("the database's log could not be emptied yet: %s", error)
            return False
        self._log_pages = 0
        self._holds_erased = False
        return True

    def _roll_back(self) -> None:
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except apsw.Error as error:
            _log.warning("rolling back failed: %s", error)


def _failure(error: Exception) -> Exception:
    """Return a new exception for one of those who are told that their group failed."""
    if isinstance(error, apsw.Error):
        return translate(error)
    return StoreError(f"the change was not stored: {error!r}")
