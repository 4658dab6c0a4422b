"""Log lines of a node: JSON on standard error, with a list of what may be in them.

A log is copied into mails and tickets. So a line holds time, level, module and our own words,
made harmless; of an exception its kind and the places it passed, never its text nor a variable.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
from typing import Final

from p2pchat.sanitize import clean_line

LINE_MAX_CHARS: Final = 500
_PLACES_MAX: Final = 8


class JsonFormatter(logging.Formatter):
    """One object a line; nothing but the fields named here."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line (called by logging)."""
        moment = time.gmtime(record.created)
        fields = {
            "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', moment)}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "module": record.name,
            "message": clean_line(record.getMessage(), LINE_MAX_CHARS),
        }
        if record.exc_info and record.exc_info[0] is not None:
            kind, _, trace = record.exc_info
            places = traceback.extract_tb(trace)[-_PLACES_MAX:]
            fields["error"] = kind.__name__
            fields["places"] = " < ".join(
                f"{place.filename.rpartition('p2pchat/')[2]}:{place.lineno}"
                for place in reversed(places)
            )
        return json.dumps(fields)


def log_to_stderr(level: int = logging.WARNING) -> None:
    """Send the process's log to standard error from now on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
