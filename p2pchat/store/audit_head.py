"""``audit.head``: the end of the audit log, kept outside of the database that may be put back.

The file holds the line that an export ends with. It is replaced after each commit that appended to
the log, so it may lag by what a crash cut off, and is never ahead. A head that the log does not
contain is therefore evidence: an older copy of the database was put back, or the log's end was cut
off together with its signed end. Such a file is not touched any more; only the person deletes it,
who knows whether the copy was put back on purpose.

What it cannot show: that database and head were put back together. It can be read without the
passphrase, and tells how many records there are, and when the last one was made.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from p2pchat.errors import AuditError, IdentityError, StoreError
from p2pchat.store.audit import read_log_at
from p2pchat.store.audit_file import LINE_MAX_BYTES, head_line, parse_head
from p2pchat.store.audit_types import AuditLog, Head
from p2pchat.store.audit_verify import require_witness
from p2pchat.store.execute import Execute

_log = logging.getLogger(__name__)


class HeadFile:
    """``audit.head`` of one profile.

    Attributes:
        finding: Why the file does not fit the log, or empty. While there is one, it is kept.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.finding = ""

    def inspect(self, execute: Execute) -> None:
        """Note whether the file fits the log, looking at one record; nothing is raised."""
        try:
            head = self.read()
            if head is not None:
                self.require(read_log_at(execute, head.sequence), head)
        except (AuditError, IdentityError, StoreError) as error:
            self.finding = str(error)

    def read(self) -> Head | None:
        """Return what the file says, or None if there is none.

        Raises:
            AuditError: It is damaged.
            StoreError: It cannot be read.
        """
        try:
            with self._path.open("rb") as file:
                content = file.read(LINE_MAX_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"cannot read {self._path}: {error.strerror}") from error
        try:
            return parse_head(content)
        except AuditError:
            raise AuditError(f"{self._path} is damaged; if you know why, delete it") from None

    def write(self, head: Head) -> None:
        """Replace the file whole; a disk that refuses is no reason to fail, since it may lag."""
        if self.finding:
            return
        temporary = self._path.with_name(self._path.name + ".tmp")
        try:
            descriptor = os.open(
                temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600
            )
            with os.fdopen(descriptor, "wb") as file:
                file.write(head_line(head))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path)
        except OSError as error:
            _log.warning("the head of the audit log was not written: %s", error.strerror)

    def require(self, log: AuditLog, head: Head) -> None:
        """Check a log against what the file said before the log was read.

        Raises:
            AuditError: It does not fit.
        """
        try:
            require_witness(log, head)
        except AuditError as error:
            raise AuditError(
                f"{error} (if you did so yourself, delete {self._path.name} in the profile)",
                error.sequence,
            ) from None
