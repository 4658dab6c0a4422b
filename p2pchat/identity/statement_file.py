"""A statement as a file that anybody can check, without a profile (protocol.md §9.4).

JSON for people who open it; only the signed bytes count, and what stands beside them must say the
same, so that nobody reads one thing and checks another.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, Final

from p2pchat.errors import StatementError
from p2pchat.identity import statement
from p2pchat.identity.keys import peer_id
from p2pchat.identity.statement import Statement

FILE_MAX_BYTES: Final = 1 << 20
"""The longest text in its longest JSON form, and its signed bytes, are half of it."""
_MARK: Final = "p2pchat statement"


def to_file(signed: bytes) -> str:
    """Return the content of the file of a statement.

    Raises:
        StatementError: It does not hold.
    """
    return json.dumps(_fields(statement.verify(signed), signed), indent=1) + "\n"


def from_file(content: bytes) -> Statement:
    """Check a file (R-9.4.6).

    Raises:
        StatementError: It is no such file, or does not hold; the message says why.
    """
    if len(content) > FILE_MAX_BYTES:
        raise StatementError("this file is too large for a statement")
    try:
        fields = json.loads(content)
        signed = base64.b64decode(fields["signed"], validate=True)
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error) as error:
        raise StatementError("this file is no exported statement") from error
    said = statement.verify(signed)
    if fields != _fields(said, signed):
        raise StatementError("what stands in the file is not what was signed")
    return said


def _fields(said: Statement, signed: bytes) -> dict[str, Any]:
    return {
        "what": _MARK,
        "signer": peer_id(said.signer),
        "recipient": peer_id(said.recipient),
        "at_ms": said.at_ms,
        "text": said.text,
        "signed": base64.b64encode(signed).decode(),
    }
