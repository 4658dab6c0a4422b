"""What a process does for its secrets before it has any: no core file, no debugger of the user's.

A crash would write keys and messages into a core file; a process that is not dumpable writes
none, and other programs of the same user can neither read its memory nor trace it (root can).
"""

from __future__ import annotations

import contextlib
import resource
import sys
from typing import Final

_PR_SET_DUMPABLE: Final = 4
"""Of Linux's ``prctl``."""


def protect_process() -> None:
    """Forbid core files and, on Linux, being traced; where a system has neither, nothing."""
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        # Late: who only asks for help does not wait for it.
        import ctypes

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
