"""A revocation certificate: one layout, one text, one signer (protocol.md §3.7)."""

from __future__ import annotations

import pytest

from p2pchat.crypto import ed25519
from p2pchat.crypto.secret import Secret
from p2pchat.errors import KeyStatementError
from p2pchat.identity.certificate import CERTIFICATE_LABEL, issue
from p2pchat.identity.revocation import (
    REVOCATION_BODY_LEN,
    REVOCATION_LABEL,
    REVOCATION_LEN,
    encode_revocation_text,
    parse_revocation,
    parse_revocation_text,
    revoke,
    revoked_identity,
)

SEED = Secret(bytes(range(32)))
OWN = revoke(SEED)
TEXT = encode_revocation_text(OWN)


def test_it_names_its_signer_and_nothing_else() -> None:
    """R-3.7.1."""
    assert parse_revocation(OWN.encoded) == OWN
    assert OWN.identity == ed25519.public_key(SEED)
    assert OWN.encoded[:REVOCATION_BODY_LEN] == b"\x01" + OWN.identity
    assert len(OWN.encoded) == REVOCATION_LEN == 97
    assert revoke(SEED) == OWN


@pytest.mark.parametrize("place", range(REVOCATION_LEN))
def test_any_changed_byte_is_refused(place: int) -> None:
    """R-3.7.1."""
    changed = bytearray(OWN.encoded)
    changed[place] ^= 1
    with pytest.raises(KeyStatementError):
        parse_revocation(bytes(changed))


@pytest.mark.parametrize("encoded", [b"", OWN.encoded[:-1], OWN.encoded + b"\x00"])
def test_another_length_is_refused(encoded: bytes) -> None:
    """R-3.7.1: also by the reader that does not look at the signature."""
    with pytest.raises(KeyStatementError, match="97 bytes"):
        revoked_identity(encoded)


def test_no_other_signature_of_the_identity_will_do() -> None:
    """R-3.7.1: the label is what tells a revocation from everything else that a key signs."""
    body = b"\x01" + OWN.identity
    for label in (b"", CERTIFICATE_LABEL, REVOCATION_LABEL[:-1]):
        with pytest.raises(KeyStatementError, match="signature"):
            parse_revocation(body + ed25519.sign(SEED, label + body))
    certificate = issue(SEED, bytes(32), generation=0, now_ms=0)
    with pytest.raises(KeyStatementError):
        parse_revocation(certificate.encoded[:REVOCATION_LEN])


def test_the_text_is_one_line_that_comes_back() -> None:
    """R-3.7.2."""
    assert parse_revocation_text(f"  {TEXT}\n") == OWN
    assert TEXT.startswith("p2pchat-revocation:")
    assert TEXT.isascii()
    assert len(TEXT) == 19 + 135


@pytest.mark.parametrize("place", range(19, len(TEXT)))
def test_any_changed_letter_is_refused(place: int) -> None:
    """R-3.7.2."""
    other = "B" if TEXT[place] != "B" else "C"
    with pytest.raises(KeyStatementError):
        parse_revocation_text(TEXT[:place] + other + TEXT[place + 1 :])


@pytest.mark.parametrize(
    "text",
    [
        "",
        TEXT[19:],
        TEXT[:-1],
        TEXT + "=",
        TEXT[:40] + "\n" + TEXT[40:],
        "p2pchat-revocation:" * 99,
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    """R-3.7.2."""
    with pytest.raises(KeyStatementError):
        parse_revocation_text(text)
