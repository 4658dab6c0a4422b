"""Exit codes, and the one line that an error becomes (interface.md, "Command line")."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from p2pchat.errors import (
    DamagedStateError,
    DamagedStoreError,
    IdentityError,
    LockedError,
    P2PChatError,
    TrustError,
    UnreachableError,
    UsageError,
)
from p2pchat.sanitize import clean_line

MESSAGE_MAX_CHARS: Final = 2000
"""An error is one line; longer ones would only be quoting what they are about."""


class ExitCode(IntEnum):
    """What a process tells its caller."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    LOCKED = 3
    UNREACHABLE = 4
    TRUST = 5
    DAMAGED = 6


_ERRORS: Final[tuple[tuple[type[P2PChatError], ExitCode], ...]] = (
    (LockedError, ExitCode.LOCKED),
    (UnreachableError, ExitCode.UNREACHABLE),
    (TrustError, ExitCode.TRUST),
    (DamagedStoreError, ExitCode.DAMAGED),
    (DamagedStateError, ExitCode.DAMAGED),
    (UsageError, ExitCode.USAGE),
    (IdentityError, ExitCode.USAGE),
)


def report(error: Exception) -> tuple[str, ExitCode]:
    """Return the line to print for a failure, and the exit code.

    A ``P2PChatError`` speaks for itself, whether it arose here or came as an RPC answer. Of
    anything else, a defect of ours, only kind and place are told: its text may quote a message.
    """
    if isinstance(error, P2PChatError):
        return f"p2pchat: {clean_line(str(error), MESSAGE_MAX_CHARS)}", _exit_code_of(error)
    return _defect_line(error), ExitCode.FAILED


def _exit_code_of(error: P2PChatError) -> ExitCode:
    for kind, code in _ERRORS:
        if isinstance(error, kind):
            return code
    # Imported only now: what needs no node need not load the JSON codec.
    from p2pchat.rpc.failures import DAMAGED
    from p2pchat.rpc.protocol import RpcCode, RpcError

    if not isinstance(error, RpcError):
        return ExitCode.FAILED
    if error.kind == DAMAGED:
        return ExitCode.DAMAGED
    answers: dict[int, ExitCode] = {
        RpcCode.LOCKED: ExitCode.LOCKED,
        RpcCode.UNREACHABLE: ExitCode.UNREACHABLE,
        RpcCode.TRUST: ExitCode.TRUST,
        RpcCode.INVALID_PARAMS: ExitCode.USAGE,
    }
    return answers.get(error.code, ExitCode.FAILED)


def _defect_line(error: Exception) -> str:
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = ""
    if place is not None:
        file = place.tb_frame.f_code.co_filename.rpartition("p2pchat/")[2]
        where = f" at {file}:{place.tb_lineno}"
    return (
        f"p2pchat: internal error ({type(error).__name__}{where}); what was confirmed is safe; "
        "please report it together with the command that you gave"
    )
