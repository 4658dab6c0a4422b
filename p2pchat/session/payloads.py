"""What travels inside handshake messages (protocol.md §5.3): padded msgpack maps, typed."""

from __future__ import annotations

from typing import Annotated, Final, TypeVar

import msgspec

from p2pchat.constants import KEY_LEN, OFFER_MAX_BYTES
from p2pchat.identity.certificate import CERTIFICATE_LEN
from p2pchat.session.codec import TimeMs, convert, decode_map, encode_map
from p2pchat.session.frames import pad_payload, unpad_payload

PAYLOAD_MAX_BYTES: Final = 2048
"""The responder's payload: an offer, a certificate, a key; the rest is spare for later fields."""

_Key = Annotated[bytes, msgspec.Meta(min_length=KEY_LEN, max_length=KEY_LEN)]
_EncodedCertificate = Annotated[
    bytes, msgspec.Meta(min_length=CERTIFICATE_LEN, max_length=CERTIFICATE_LEN)
]


class FirstPayload(msgspec.Struct, frozen=True):
    """Payload of IK message 1."""

    cert: _EncodedCertificate
    time: TimeMs


class ResponderPayload(msgspec.Struct, frozen=True):
    """Payload of message 2."""

    offer: Annotated[bytes, msgspec.Meta(max_length=OFFER_MAX_BYTES)]
    cert: _EncodedCertificate
    ratchet: _Key


class LastPayload(msgspec.Struct, frozen=True):
    """Payload of XX message 3."""

    cert: _EncodedCertificate


P = TypeVar("P", FirstPayload, ResponderPayload, LastPayload)


def encode_payload(payload: FirstPayload | ResponderPayload | LastPayload) -> bytes:
    """Return the padded bytes of a payload (R-5.3.1)."""
    return pad_payload(encode_map(msgspec.structs.asdict(payload)))


def decode_payload(data: bytes, kind: type[P]) -> P:
    """Read a payload (R-5.3.1).

    Raises:
        ProtocolError: Wrong padding, malformed, or a field missing or out of bounds.
    """
    return convert(decode_map(unpad_payload(data), max_bytes=PAYLOAD_MAX_BYTES), kind)
