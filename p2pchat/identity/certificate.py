"""The certificate that ties a Noise static key to an identity (protocol.md §3.3).

Fixed binary layout, verified over the bytes as received and never re-encoded. The key's owner
is the identity; the key itself rotates, the identity and so the safety number stay.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from p2pchat.constants import (
    CERTIFICATE_CLOCK_SKEW_MS,
    CERTIFICATE_LIFETIME_MS,
    KEY_LEN,
    SIGNATURE_LEN,
)
from p2pchat.crypto import ed25519
from p2pchat.crypto.secret import Secret
from p2pchat.errors import CertificateError, CryptoError

CERTIFICATE_LABEL: Final = b"p2pchat/1 static key certificate\x00"
"""Precedes the signed bytes, so that no other signature of the identity can be taken for one."""
CERTIFICATE_FORMAT: Final = 1
_BODY: Final = struct.Struct(">B32s32sIQQ")
CERTIFICATE_BODY_LEN: Final = _BODY.size
CERTIFICATE_LEN: Final = _BODY.size + SIGNATURE_LEN
"""149 bytes."""
GENERATION_MAX: Final = 2**32 - 1
_TIME_MAX_MS: Final = 2**64 - 1
_DAY_MS: Final = 24 * 3600 * 1000
_YEAR_DAYS: Final = 365


@dataclass(frozen=True, slots=True)
class Certificate:
    """A verified or self-issued certificate.

    Attributes:
        identity: 32-byte Ed25519 key of the issuer and owner.
        static: 32-byte X25519 key that is certified.
        generation: Grows with each rotation; 0 is the first.
        not_before_ms: Wall clock.
        not_after_ms: Wall clock.
        encoded: All 149 bytes as signed.
    """

    identity: bytes
    static: bytes
    generation: int
    not_before_ms: int
    not_after_ms: int
    encoded: bytes


def issue(seed: Secret, static: bytes, *, generation: int, now_ms: int) -> Certificate:
    """Certify a 32-byte static key from ``now_ms`` for ``CERTIFICATE_LIFETIME_MS``.

    Raises:
        InvalidKeyError: The seed is not 32 bytes.
        CertificateError: The static key, the generation or the time is out of range.
    """
    if len(static) != KEY_LEN:
        raise CertificateError(f"a static key has {KEY_LEN} bytes")
    if not 0 <= generation <= GENERATION_MAX:
        raise CertificateError("the certificate's generation is out of range")
    not_after_ms = now_ms + CERTIFICATE_LIFETIME_MS
    if now_ms < 0 or not_after_ms > _TIME_MAX_MS:
        raise CertificateError("no certificate can hold this time: is the clock wrong?")
    identity = ed25519.public_key(seed)
    body = _BODY.pack(CERTIFICATE_FORMAT, identity, static, generation, now_ms, not_after_ms)
    signature = ed25519.sign(seed, CERTIFICATE_LABEL + body)
    return Certificate(identity, static, generation, now_ms, not_after_ms, body + signature)


def parse_and_verify(encoded: bytes, *, now_ms: int) -> Certificate:
    """Check length, format, signature and validity of a peer's certificate (R-3.3.1 to R-3.3.4).

    Raises:
        CertificateError: Any of them fails; the message says which.
    """
    if len(encoded) != CERTIFICATE_LEN:
        raise CertificateError(f"a certificate has {CERTIFICATE_LEN} bytes, not {len(encoded)}")
    body, signature = encoded[:CERTIFICATE_BODY_LEN], encoded[CERTIFICATE_BODY_LEN:]
    certificate_format, identity, static, generation, not_before_ms, not_after_ms = _BODY.unpack(
        body
    )
    if certificate_format != CERTIFICATE_FORMAT:
        raise CertificateError(f"certificate format {certificate_format} is unknown")
    try:
        ed25519.verify(identity, CERTIFICATE_LABEL + body, signature)
    except CryptoError as error:
        raise CertificateError("the certificate's signature does not verify") from error
    if not_after_ms <= not_before_ms:
        raise CertificateError("the certificate is never valid")
    # Who runs p2pchat presents a certificate of his own day: another day means another clock.
    if now_ms < not_before_ms - CERTIFICATE_CLOCK_SKEW_MS:
        early = _span(not_before_ms - now_ms)
        raise CertificateError(f"the certificate begins in {early}: is a clock wrong?")
    if now_ms > not_after_ms + CERTIFICATE_CLOCK_SKEW_MS:
        late = _span(now_ms - not_after_ms)
        raise CertificateError(f"the certificate ended {late} ago: is a clock wrong?")
    return Certificate(identity, static, generation, not_before_ms, not_after_ms, encoded)


def _span(span_ms: int) -> str:
    """Say a long time in words; those that are refused are at least a week."""
    days = span_ms // _DAY_MS
    return f"{days} days" if days < 2 * _YEAR_DAYS else f"{days // _YEAR_DAYS} years"
