"""JSON-RPC 2.0 on lines: parsing, formatting and error codes (interface.md, "JSON-RPC 2.0").

One JSON value a line, an object or a batch. Parameters are given by name. What a line asks for
is decided here and nowhere else; what a method means is the service's business.

Invariants: parsing is total (any bytes give calls or an error to answer with), an error never
carries more than its code, one sentence and a ``kind``, and what is formatted has no newline.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final

import msgspec

from p2pchat.errors import P2PChatError

LINE_MAX_BYTES: Final = 1 << 20
"""A request line; the longest honest one, a 64 KiB text with every character escaped, is 393 KB."""
BATCH_MAX_CALLS: Final = 1000
"""Calls in one batch; more belong in several lines, so that answers flow meanwhile."""

RequestId = str | int | float | None
"""What a caller may choose as id; answered unchanged."""


class RpcCode(IntEnum):
    """Error codes: the standard's, and ours as interface.md fixes them."""

    PARSE_ERROR = -32700
    INVALID_REQUEST = -32600
    METHOD_NOT_FOUND = -32601
    INVALID_PARAMS = -32602
    INTERNAL_ERROR = -32603
    FAILED = -32000
    """The request was understood and cannot be met; ``data.kind`` says of what kind it is."""
    LOCKED = -32001
    UNKNOWN_CONTACT = -32002
    UNREACHABLE = -32003
    TRUST = -32004


class RpcError(P2PChatError):
    """A call that was answered with an error; what both kinds of client raise.

    Attributes:
        code: An ``RpcCode``, or another program's number.
        message: One sentence for the person.
        kind: Narrows the code, where exit codes or words depend on it; often empty.
    """

    def __init__(self, code: int, message: str, *, kind: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.kind = kind

    @property
    def data(self) -> dict[str, str] | None:
        """The ``data`` member of the error object, or None to leave it out."""
        return {"kind": self.kind} if self.kind else None


@dataclass(frozen=True, slots=True)
class Call:
    """One valid request object. A notification wants no answer, whatever happens.

    ``params`` may still be wrong for the method: a list never fits, unless it is empty.
    """

    method: str
    params: dict[str, Any] | list[Any] = field(repr=False)
    request_id: RequestId
    is_notification: bool = False


@dataclass(frozen=True, slots=True)
class BadCall:
    """One request object that is not valid; answered with its error."""

    error: RpcError
    request_id: RequestId = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Several request objects of one line, answered together in one line."""

    calls: tuple[Call | BadCall, ...]


def parse_line(line: bytes) -> Call | BadCall | Batch:
    """Parse one line of at most ``LINE_MAX_BYTES``; never raises.

    Args:
        line: The bytes between two newlines.

    Returns:
        What to run, or what to answer.
    """
    try:
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return BadCall(RpcError(RpcCode.PARSE_ERROR, "the line is not valid JSON"))
    if not isinstance(value, list):
        return _parse_call(value)
    if not value:
        return BadCall(RpcError(RpcCode.INVALID_REQUEST, "a batch holds at least one request"))
    if len(value) > BATCH_MAX_CALLS:
        return BadCall(
            RpcError(RpcCode.INVALID_REQUEST, f"a batch holds at most {BATCH_MAX_CALLS} requests")
        )
    return Batch(tuple(_parse_call(item) for item in value))


def _parse_call(value: object) -> Call | BadCall:
    if not isinstance(value, dict):
        return BadCall(RpcError(RpcCode.INVALID_REQUEST, "a request is a JSON object"))
    request_id = value.get("id")
    if isinstance(request_id, bool) or not isinstance(request_id, str | int | float | None):
        return _invalid(None, "the id is a string or a number")
    if value.get("jsonrpc") != "2.0":
        return _invalid(request_id, 'the member "jsonrpc" is "2.0"')
    method = value.get("method")
    if not isinstance(method, str):
        return _invalid(request_id, 'the member "method" is a string')
    params = value.get("params", {})
    if not isinstance(params, dict | list):
        return _invalid(request_id, 'the member "params" is an object')
    return Call(method, params, request_id, is_notification="id" not in value)


def _invalid(request_id: RequestId, why: str) -> BadCall:
    return BadCall(RpcError(RpcCode.INVALID_REQUEST, why), request_id)


def format_result(request_id: RequestId, result: object) -> bytes:
    """Return a response object, without its newline."""
    return msgspec.json.encode({"jsonrpc": "2.0", "id": request_id, "result": result})


def format_error(request_id: RequestId, error: RpcError) -> bytes:
    """Return an error response object, without its newline."""
    body: dict[str, Any] = {"code": int(error.code), "message": error.message}
    if error.data is not None:
        body["data"] = error.data
    return msgspec.json.encode({"jsonrpc": "2.0", "id": request_id, "error": body})


def format_batch(responses: list[bytes]) -> bytes:
    """Return one line that answers a batch with already formatted responses."""
    return b"[" + b",".join(responses) + b"]"


def format_request(request_id: int, method: str, params: dict[str, Any]) -> bytes:
    """Return a request object, without its newline."""
    return msgspec.json.encode(
        {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}
    )


def format_notification(method: str, params: dict[str, Any]) -> bytes:
    """Return a notification object, without its newline."""
    return msgspec.json.encode({"jsonrpc": "2.0", "method": method, "params": params})
