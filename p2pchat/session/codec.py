"""msgpack, bounded before it is parsed and typed after it (protocol.md §9.1).

msgpack by itself accepts duplicate keys, extension types and nesting until the stack ends; none
of that gets past here. What a map may hold is said by a ``msgspec.Struct``: unknown optional
fields are ignored, unknown mandatory ones (their names begin with ``!``) refuse the whole map.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeVar

import msgpack
import msgspec

from p2pchat.constants import MESSAGE_ID_LEN, MSGPACK_MAX_DEPTH
from p2pchat.errors import ProtocolError

S = TypeVar("S", bound=msgspec.Struct)

TIME_MAX_MS: Final = 2**53 - 1
"""Fits an exact JSON number; the year 287396."""
MessageId = Annotated[bytes, msgspec.Meta(min_length=MESSAGE_ID_LEN, max_length=MESSAGE_ID_LEN)]
TimeMs = Annotated[int, msgspec.Meta(ge=0, le=TIME_MAX_MS)]

MANDATORY_MARK: Final = "!"
"""A field whose name begins so must be understood or the map refused (R-9.1.4)."""
MAP_MAX_ENTRIES: Final = 32
ARRAY_MAX_ITEMS: Final = 64


def encode_map(fields: dict[str, Any]) -> bytes:
    """Return the msgpack bytes of a map with string keys."""
    encoded: bytes = msgpack.packb(fields, use_bin_type=True)
    return encoded


def decode_map(data: bytes, *, max_bytes: int) -> dict[str, Any]:
    """Parse one msgpack map within all bounds.

    Raises:
        ProtocolError: Too long, too deep, not a map with distinct string keys, extension types,
            text that is not UTF-8, or bytes after its end.
    """
    if len(data) > max_bytes:
        raise ProtocolError(f"a message of {len(data)} bytes exceeds {max_bytes}")
    try:
        decoded = msgpack.unpackb(
            data,
            raw=False,
            strict_map_key=True,
            object_pairs_hook=_distinct,
            max_str_len=max_bytes,
            max_bin_len=max_bytes,
            max_array_len=ARRAY_MAX_ITEMS,
            max_map_len=MAP_MAX_ENTRIES,
            max_ext_len=0,
        )
    except (ValueError, msgpack.UnpackException) as error:
        raise ProtocolError("the message is not the msgpack that it should be") from error
    if not isinstance(decoded, dict):
        raise ProtocolError("the message is not a map")
    _check_shape(decoded, MSGPACK_MAX_DEPTH)
    return decoded


def convert(fields: dict[str, Any], kind: type[S]) -> S:
    """Turn a decoded map into its typed struct (R-9.1.3, R-9.1.4).

    Raises:
        ProtocolError: A field is missing, of the wrong type or out of bounds, or a mandatory
            field is unknown.
    """
    try:
        converted = msgspec.convert(fields, kind, builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        raise ProtocolError(f"the message does not fit its form: {error}") from error
    _refuse_unknown_mandatory(fields, converted)
    return converted


def _refuse_unknown_mandatory(fields: dict[str, Any], converted: msgspec.Struct) -> None:
    known = converted.__struct_encode_fields__
    for name, value in fields.items():
        if name not in known:
            if name.startswith(MANDATORY_MARK):
                raise ProtocolError("the message has a mandatory field that is unknown here")
        elif isinstance(inner := getattr(converted, name), msgspec.Struct):
            _refuse_unknown_mandatory(value, inner)


def _distinct(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a map has a key twice")
    if not all(isinstance(key, str) for key in result):
        raise ValueError("a map's keys are strings")
    return result


def _check_shape(value: object, depth: int) -> None:
    if isinstance(value, msgpack.ExtType | msgpack.Timestamp):
        raise ProtocolError("the message holds an extension type")
    if isinstance(value, dict | list):
        if depth == 0:
            raise ProtocolError(f"the message nests deeper than {MSGPACK_MAX_DEPTH}")
        for item in value.values() if isinstance(value, dict) else value:
            _check_shape(item, depth - 1)
