"""The body of a COMPARE notice: which step of which run, and what it carries (protocol.md §7.8).

Only its form: what a step means, and whether it may come, is ``Comparison``'s business.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Final

from p2pchat.constants import KEY_LEN
from p2pchat.crypto import pake
from p2pchat.errors import ProtocolError

RUN_LEN: Final = 8
BINDING_LEN: Final = 16
_HEAD: Final = struct.Struct(f">B{RUN_LEN}s{BINDING_LEN}s")
HEAD_LEN: Final = _HEAD.size


class Step(IntEnum):
    """First byte of a COMPARE notice."""

    ASK = 0x01
    SHARE = 0x02
    CONFIRM = 0x03
    DIFFER = 0x04
    CANCEL = 0x05


PAYLOAD_LEN: Final[Mapping[Step, int]] = MappingProxyType(
    {
        Step.ASK: KEY_LEN,
        Step.SHARE: KEY_LEN,
        Step.CONFIRM: pake.TAG_LEN,
        Step.DIFFER: 0,
        Step.CANCEL: 0,
    }
)


def encode_step(step: Step, run: bytes, binding: bytes, payload: bytes) -> bytes:
    """Return a COMPARE notice's body; ``decode_step`` takes it apart again."""
    return _HEAD.pack(step, run, binding) + payload


def decode_step(body: bytes) -> tuple[Step, bytes, bytes, bytes]:
    """Cut a COMPARE notice's body (R-7.8.6).

    Raises:
        ProtocolError: No step, or the wrong length for it.
    """
    if len(body) < HEAD_LEN:
        raise ProtocolError("a message of a comparison is cut short")
    number, run, binding = _HEAD.unpack_from(body)
    payload = body[HEAD_LEN:]
    if number not in _STEPS:
        raise ProtocolError("a comparison has no such step")
    step = Step(number)
    if len(payload) != PAYLOAD_LEN[step]:
        raise ProtocolError("a message of a comparison has the wrong length")
    return step, run, binding, payload


_STEPS: Final = frozenset(Step)
