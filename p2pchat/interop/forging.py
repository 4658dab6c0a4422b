"""Pieces of the protocol made to order, right or wrong, for the checker and the vectors.

What our own core makes is always right; here a certificate may have any term, a frame any padding.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Any, Final

from p2pchat.constants import PADDING_BUCKETS
from p2pchat.crypto import ed25519
from p2pchat.crypto.kdf import hkdf_sha256
from p2pchat.identity.certificate import CERTIFICATE_LABEL
from p2pchat.interop.personas import Persona
from p2pchat.session.codec import encode_map
from p2pchat.session.frames import pad_payload

DAY_MS: Final = 24 * 3_600_000
GROUP_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
"""Of Ed25519's base point: a signature's scalar plus this satisfies the same equation."""
NEUTRAL: Final = b"\x01" + bytes(31)
"""Ed25519's neutral element, a public key of order 1: with it as R too, S = 0 signs everything."""
SEED_LABEL: Final = b"p2pchat/1 ratchet seed"
SEED_LEN: Final = 112


def certificate(
    who: Persona,
    *,
    static: bytes | None = None,
    form: int = 1,
    generation: int = 1,
    not_before_ms: int,
    not_after_ms: int,
) -> bytes:
    """Sign whatever it is asked to."""
    body = struct.pack(
        ">B32s32sIQQ",
        form,
        who.identity.public,
        who.static.public if static is None else static,
        generation,
        not_before_ms,
        not_after_ms,
    )
    return body + ed25519.sign(who.identity.seed, CERTIFICATE_LABEL + body)


def payload(**fields: Any) -> bytes:
    """Return a padded handshake payload."""
    return pad_payload(encode_map(fields))


def retry_prologue(preamble: bytes, first_message: bytes, suite: int) -> bytes:
    """Return the prologue after a RETRY (R-5.6.4)."""
    return preamble + hashlib.sha256(first_message).digest() + b"\x02" + suite.to_bytes(2, "big")


def plaintext(kind: int, body: bytes = b"", *, size: int = 0, padding: int = 0) -> bytes:
    """Return a frame's plaintext, of another ``size`` or with other ``padding`` if asked."""
    packed = bytes([kind]) + len(body).to_bytes(2, "big") + body
    bucket = size or next(bucket for bucket in PADDING_BUCKETS if len(packed) <= bucket)
    return packed.ljust(bucket, bytes([padding]))


def session_keys(chaining_key: bytes, handshake_hash: bytes) -> bytes:
    """Return the 112 B of a new session's seed (R-6.1.1)."""
    return hkdf_sha256(
        salt=chaining_key, input_key=b"", info=SEED_LABEL + handshake_hash, length=SEED_LEN
    )
