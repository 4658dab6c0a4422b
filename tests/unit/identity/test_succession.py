"""A succession: signed by both keys, and only a reason to ask (protocol.md §3.7)."""

from __future__ import annotations

import pytest

from p2pchat.crypto import ed25519
from p2pchat.crypto.secret import Secret
from p2pchat.errors import KeyStatementError
from p2pchat.identity.succession import (
    NEW_LABEL,
    OLD_LABEL,
    SUCCESSION_BODY_LEN,
    SUCCESSION_LEN,
    parse_succession,
    succeed,
)

OLD, NEW = Secret(b"o" * 32), Secret(b"n" * 32)
GOOD = succeed(OLD, NEW, now_ms=1_800_000_000_000)
BODY = GOOD.encoded[:SUCCESSION_BODY_LEN]


def test_it_names_both_keys_and_a_time() -> None:
    """R-3.7.8."""
    assert parse_succession(GOOD.encoded) == GOOD
    assert (GOOD.old, GOOD.new) == (ed25519.public_key(OLD), ed25519.public_key(NEW))
    assert len(GOOD.encoded) == SUCCESSION_LEN == 201
    assert b"\x01" + GOOD.old + GOOD.new + (1_800_000_000_000).to_bytes(8, "big") == BODY


@pytest.mark.parametrize("place", range(SUCCESSION_LEN))
def test_any_changed_byte_is_refused(place: int) -> None:
    """R-3.7.8."""
    changed = bytearray(GOOD.encoded)
    changed[place] ^= 1
    with pytest.raises(KeyStatementError):
        parse_succession(bytes(changed))


def test_other_forms_are_refused() -> None:
    """R-3.7.8."""
    for encoded in (b"", GOOD.encoded[:-1], GOOD.encoded + b"\x00"):
        with pytest.raises(KeyStatementError, match="201 bytes"):
            parse_succession(encoded)
    with pytest.raises(KeyStatementError, match="its own place"):
        parse_succession(succeed(OLD, OLD, now_ms=0).encoded)


def test_one_signature_is_not_enough_and_none_stands_for_the_other() -> None:
    """R-3.7.8: neither can name a successor who has not agreed, nor a predecessor who has not."""
    by_old, by_new = ed25519.sign(OLD, OLD_LABEL + BODY), ed25519.sign(NEW, NEW_LABEL + BODY)
    assert parse_succession(BODY + by_old + by_new)
    for signatures in (
        by_old + ed25519.sign(OLD, NEW_LABEL + BODY),
        ed25519.sign(NEW, OLD_LABEL + BODY) + by_new,
        by_new + by_old,
        ed25519.sign(OLD, NEW_LABEL + BODY) + ed25519.sign(NEW, OLD_LABEL + BODY),
        bytes(128),
    ):
        with pytest.raises(KeyStatementError, match="signature"):
            parse_succession(BODY + signatures)
