"""Identity keys and their printable form (protocol.md §3.1, §3.2)."""

from __future__ import annotations

import hashlib
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pchat.crypto import ed25519
from p2pchat.crypto.secret import Secret
from p2pchat.errors import IdentityError, InvalidKeyError
from p2pchat.identity.keys import (
    PEER_ID_CHARS,
    generate_identity,
    identity_from_seed,
    key_id,
    parse_peer_id,
    peer_id,
)
from tests.support.pairs import person

PACKAGE = Path(__file__).parents[3] / "p2pchat"
ALPHABET = string.ascii_lowercase + "234567"
IDENTITY = hashlib.sha256(b"someone").digest()
KEYS = st.binary(min_size=32, max_size=32)


def test_an_identity_is_the_ed25519_key_of_its_seed() -> None:
    seed = Secret(bytes(range(32)))
    identity = identity_from_seed(seed)
    assert identity.public == ed25519.public_key(seed)
    assert identity.seed == seed
    assert seed.reveal().hex() not in repr(identity)


def test_a_key_is_named_by_the_beginning_of_its_hash() -> None:
    """SHA-256 of the bytes 0 to 31, by coreutils' sha256sum."""
    assert key_id(bytes(range(32))).hex() == "630dcd2966c43366"


def test_a_new_identity_takes_32_bytes_once() -> None:
    asked: list[int] = []

    def rng(count: int) -> bytes:
        asked.append(count)
        return b"\x07" * count

    assert generate_identity(rng=rng) == identity_from_seed(Secret(b"\x07" * 32))
    assert asked == [32]


def test_no_key_serves_two_purposes() -> None:
    """R-3.1.1: nothing in the program can turn one kind of key into the other."""
    sources = [path.read_text().lower() for path in PACKAGE.rglob("*.py")]
    assert len(sources) > 30
    for conversion in ("curve25519", "ed25519_pk_to", "ed25519_sk_to", "to_montgomery"):
        assert not any(conversion in source for source in sources)
    someone = person("someone")
    assert someone.identity.seed != someone.static.private


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_seed_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(InvalidKeyError):
        identity_from_seed(Secret(bytes(length)))


def test_a_peer_id_is_key_and_checksum_in_base32() -> None:
    """R-3.2.1: the bytes are laid out here by hand."""
    raw = IDENTITY + hashlib.sha256(b"p2pchat/1 peer id" + IDENTITY).digest()[:3]
    number = int.from_bytes(raw, "big")
    expected = "".join(ALPHABET[number >> shift & 31] for shift in range(275, -1, -5))
    assert peer_id(IDENTITY) == expected
    assert len(expected) == PEER_ID_CHARS == 56


@given(KEYS)
def test_a_peer_id_names_its_key(identity: bytes) -> None:
    """R-3.2.2."""
    assert parse_peer_id(peer_id(identity)) == identity


def test_every_single_typing_error_is_refused() -> None:
    """R-3.2.2: each of the 56 characters replaced by each of the 31 others, or by a neighbour."""
    good = peer_id(IDENTITY)
    for place, right in enumerate(good):
        for wrong in ALPHABET.replace(right, ""):
            with pytest.raises(IdentityError, match=r"^the peer id is mistyped"):
                parse_peer_id(good[:place] + wrong + good[place + 1 :])


def test_swapped_neighbours_are_refused() -> None:
    good = peer_id(IDENTITY)
    for place in range(len(good) - 1):
        swapped = good[:place] + good[place + 1] + good[place] + good[place + 2 :]
        if swapped != good:
            with pytest.raises(IdentityError):
                parse_peer_id(swapped)


@pytest.mark.parametrize("number", range(57))
def test_a_peer_id_cut_short_is_refused(number: int) -> None:
    good = peer_id(IDENTITY)
    if number < len(good):
        with pytest.raises(IdentityError):
            parse_peer_id(good[:number])
    else:
        with pytest.raises(IdentityError):
            parse_peer_id(good + "a")


@pytest.mark.parametrize(
    "spoil",
    [
        str.upper,
        str.capitalize,
        lambda good: " " + good[1:],
        lambda good: good[:-1] + "\n",
        lambda good: good[:-1] + "=",
        lambda good: good[:-6] + "======",
        lambda good: good[:-1] + "0",
        lambda good: good[:-1] + "1",
        lambda good: good[:-1] + "8",
        lambda good: good[:-1] + "é",
        lambda good: good[:-1] + "\ud800",
        lambda good: good + "\n",
        lambda good: " " + good,
    ],
)
def test_other_spellings_are_refused(spoil: object) -> None:
    """R-3.2.2: one key has one peer id."""
    assert callable(spoil)
    with pytest.raises(IdentityError, match=r"^a peer id has 56 letters"):
        parse_peer_id(spoil(peer_id(IDENTITY)))


@pytest.mark.parametrize(("plain", "lookalike"), [("i", "ı"), ("s", "ſ"), ("k", "\u212a")])
def test_letters_that_only_become_ascii_in_capitals_are_refused(plain: str, lookalike: str) -> None:
    """R-3.2.2: U+0131 and U+017F are lower case, and their capitals are I and S."""
    identity = next(
        key
        for key in (hashlib.sha256(bytes([n])).digest() for n in range(256))
        if plain in peer_id(key)
    )
    with pytest.raises(IdentityError):
        parse_peer_id(peer_id(identity).replace(plain, lookalike))


@given(st.text(max_size=60) | st.text(ALPHABET + "ıſ=", min_size=56, max_size=56))
def test_no_other_text_is_a_peer_id(text: str) -> None:
    try:
        identity = parse_peer_id(text)
    except IdentityError:
        return
    assert peer_id(identity) == text
