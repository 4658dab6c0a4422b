"""The certificate of a static key (protocol.md §3.3)."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pchat.constants import CERTIFICATE_CLOCK_SKEW_MS, CERTIFICATE_LIFETIME_MS
from p2pchat.crypto import ed25519
from p2pchat.crypto.secret import Secret
from p2pchat.errors import CertificateError, InvalidKeyError
from p2pchat.identity.certificate import (
    CERTIFICATE_LEN,
    GENERATION_MAX,
    Certificate,
    issue,
    parse_and_verify,
)

LABEL = b"p2pchat/1 static key certificate\x00"
SEED = Secret(b"\x01" * 32)
IDENTITY = ed25519.public_key(SEED)
STATIC = bytes(range(32))
NOW = 1_790_000_000_000


def signed(
    *,
    number: int = 1,
    identity: bytes = IDENTITY,
    static: bytes = STATIC,
    generation: int = 3,
    not_before: int = NOW,
    not_after: int = NOW + 1000,
    label: bytes = LABEL,
    seed: Secret = SEED,
) -> bytes:
    """Lay out and sign a certificate by hand, as protocol.md §3.3 says."""
    body = (
        bytes([number])
        + identity
        + static
        + struct.pack(">I", generation)
        + struct.pack(">QQ", not_before, not_after)
    )
    return body + ed25519.sign(seed, label + body)


def test_the_layout() -> None:
    """R-3.3.1: 149 bytes; issuing and laying out by hand give the same."""
    certificate = issue(SEED, STATIC, generation=3, now_ms=NOW)
    assert certificate.encoded == signed(not_after=NOW + CERTIFICATE_LIFETIME_MS)
    assert len(certificate.encoded) == CERTIFICATE_LEN == 149
    assert certificate.not_before_ms == NOW
    assert certificate.not_after_ms == NOW + 90 * 86_400_000


@given(
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=32, max_size=32),
    st.integers(0, GENERATION_MAX),
    st.integers(0, 2**60),
)
@settings(max_examples=40)
def test_what_is_issued_verifies(seed: bytes, static: bytes, generation: int, now: int) -> None:
    """R-3.3.1 to R-3.3.4."""
    certificate = issue(Secret(seed), static, generation=generation, now_ms=now)
    assert parse_and_verify(certificate.encoded, now_ms=now) == certificate


def test_all_fields_come_out() -> None:
    """R-3.3.1."""
    encoded = signed(generation=GENERATION_MAX, not_before=NOW - 5, not_after=NOW + 5)
    assert parse_and_verify(encoded, now_ms=NOW) == Certificate(
        IDENTITY, STATIC, GENERATION_MAX, NOW - 5, NOW + 5, encoded
    )


def test_every_flipped_bit_is_refused() -> None:
    """R-3.3.2: all of the 149 bytes are covered, the signature's own too."""
    encoded = signed()
    for place in range(len(encoded)):
        for bit in range(8):
            flipped = bytearray(encoded)
            flipped[place] ^= 1 << bit
            with pytest.raises(CertificateError):
                parse_and_verify(bytes(flipped), now_ms=NOW)


def test_every_other_length_is_refused() -> None:
    """R-3.3.1."""
    encoded = signed()
    for length in range(len(encoded)):
        with pytest.raises(CertificateError, match="149 bytes"):
            parse_and_verify(encoded[:length], now_ms=NOW)
    for longer in (encoded + b"\x00", encoded + encoded):
        with pytest.raises(CertificateError, match="149 bytes"):
            parse_and_verify(longer, now_ms=NOW)


@pytest.mark.parametrize("label", [b"", LABEL[:-1], b"p2pchat/2 static key certificate\x00"])
def test_a_signature_under_another_label_is_refused(label: bytes) -> None:
    """R-3.3.2: what the identity signed for another purpose is no certificate."""
    with pytest.raises(CertificateError, match="signature"):
        parse_and_verify(signed(label=label), now_ms=NOW)


def test_a_certificate_in_another_identitys_name_is_refused() -> None:
    """R-3.3.2."""
    with pytest.raises(CertificateError, match="signature"):
        parse_and_verify(signed(seed=Secret(b"\x02" * 32)), now_ms=NOW)


@pytest.mark.parametrize("point", [bytes(32), b"\x01" + bytes(31), b"\xff" * 32])
def test_an_identity_that_is_no_proper_point_is_refused(point: bytes) -> None:
    """R-3.3.2: under a low-order key anyone could "sign"."""
    with pytest.raises(CertificateError, match="signature"):
        parse_and_verify(signed(identity=point), now_ms=NOW)


@pytest.mark.parametrize("number", [0, 2, 255])
def test_another_format_is_refused_though_signed(number: int) -> None:
    """R-3.3.1."""
    with pytest.raises(CertificateError, match=f"format {number}"):
        parse_and_verify(signed(number=number), now_ms=NOW)


@pytest.mark.parametrize("not_after", [0, NOW - 1, NOW])
def test_a_certificate_that_is_never_valid_is_refused_though_signed(not_after: int) -> None:
    """R-3.3.3."""
    with pytest.raises(CertificateError, match="never valid"):
        parse_and_verify(signed(not_before=NOW, not_after=not_after), now_ms=NOW)
    assert parse_and_verify(signed(not_before=NOW, not_after=NOW + 1), now_ms=NOW)


def test_the_skew_limits_hold_to_the_millisecond() -> None:
    """R-3.3.4."""
    encoded = signed(not_before=NOW, not_after=NOW + 1000)
    earliest = NOW - CERTIFICATE_CLOCK_SKEW_MS
    latest = NOW + 1000 + CERTIFICATE_CLOCK_SKEW_MS
    assert CERTIFICATE_CLOCK_SKEW_MS == 7 * 86_400_000
    for allowed in (earliest, NOW, latest):
        parse_and_verify(encoded, now_ms=allowed)
    with pytest.raises(CertificateError, match="begins in 7 days"):
        parse_and_verify(encoded, now_ms=earliest - 1)
    with pytest.raises(CertificateError, match="ended 7 days ago"):
        parse_and_verify(encoded, now_ms=latest + 1)


@pytest.mark.parametrize(
    ("days", "said"), [(729, "729 days"), (730, "2 years"), (1094, "2 years"), (3650, "10 years")]
)
def test_a_wrong_clock_is_named_by_a_span_that_people_grasp(days: int, said: str) -> None:
    encoded = signed(not_before=NOW, not_after=NOW + 1000)
    with pytest.raises(CertificateError, match=f"begins in {said}:"):
        parse_and_verify(encoded, now_ms=NOW - days * 86_400_000)


@pytest.mark.parametrize("generation", [0, GENERATION_MAX])
def test_the_generations_bounds_are_allowed(generation: int) -> None:
    assert issue(SEED, STATIC, generation=generation, now_ms=NOW).generation == generation


@pytest.mark.parametrize("generation", [-1, GENERATION_MAX + 1])
def test_a_generation_out_of_bounds_is_not_issued(generation: int) -> None:
    with pytest.raises(CertificateError, match="generation"):
        issue(SEED, STATIC, generation=generation, now_ms=NOW)


@pytest.mark.parametrize("now", [-1, 2**64 - CERTIFICATE_LIFETIME_MS, 2**64])
def test_a_clock_that_no_certificate_can_hold_is_refused(now: int) -> None:
    assert issue(SEED, STATIC, generation=0, now_ms=0)
    latest = 2**64 - 1 - CERTIFICATE_LIFETIME_MS
    assert issue(SEED, STATIC, generation=0, now_ms=latest).not_after_ms == 2**64 - 1
    with pytest.raises(CertificateError, match="clock"):
        issue(SEED, STATIC, generation=0, now_ms=now)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_static_key_of_another_length_is_not_certified(length: int) -> None:
    with pytest.raises(CertificateError, match="32 bytes"):
        issue(SEED, bytes(length), generation=0, now_ms=NOW)


def test_a_seed_of_another_length_signs_nothing() -> None:
    with pytest.raises(InvalidKeyError):
        issue(Secret(b"short"), STATIC, generation=0, now_ms=NOW)
