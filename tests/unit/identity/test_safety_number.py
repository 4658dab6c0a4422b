"""The safety number against libsignal's published figures (protocol.md §3.5)."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from p2pchat.constants import SAFETY_NUMBER_DIGITS, SAFETY_NUMBER_ITERATIONS
from p2pchat.crypto import x25519
from p2pchat.errors import TrustError, UsageError
from p2pchat.identity.keys import generate_identity
from p2pchat.identity.safety_number import compare, fingerprint, safety_number
from tests.support.pairs import person, seeded_rng

VECTORS = Path(__file__).parents[2] / "vectors" / "libsignal" / "numeric_fingerprint.json"
ALICE, BOB = (hashlib.sha256(name).digest() for name in (b"alice", b"bob"))
NUMBER = safety_number(ALICE, BOB)


def load() -> Any:
    return json.loads(VECTORS.read_text())


def digits_of(vectors: Any) -> str:
    sides = (
        fingerprint(
            side["stable_id_utf8"].encode(),
            bytes.fromhex(side["identity_key_hex"]),
            iterations=vectors["iterations"],
        )
        for side in (vectors["alice"], vectors["bob"])
    )
    return "".join(sorted(sides))


def test_libsignals_figures() -> None:
    """R-3.5.1."""
    vectors = load()
    assert vectors["iterations"] == SAFETY_NUMBER_ITERATIONS
    assert len(vectors["vectors"]) >= 2
    for vector in vectors["vectors"]:
        assert digits_of(vectors) == vector["displayable"]


@pytest.mark.parametrize("side", ["alice", "bob"])
@pytest.mark.parametrize("field", ["stable_id_utf8", "identity_key_hex"])
def test_a_tampered_copy_fails(side: str, field: str) -> None:
    """R-3.5.1: the comparison above can fail."""
    vectors = load()
    text = vectors[side][field]
    vectors[side][field] = text[:-1] + ("4" if text[-1] != "4" else "5")
    assert all(digits_of(vectors) != vector["displayable"] for vector in vectors["vectors"])


def test_one_iteration_more_or_less_is_another_number() -> None:
    """R-3.5.1."""
    vectors = load()
    for iterations in (5199, 5201):
        vectors["iterations"] = iterations
        assert digits_of(vectors) != vectors["vectors"][0]["displayable"]


def test_one_hash_by_hand() -> None:
    """R-3.5.1: leading zeros stay, chunks are big-endian and taken in order."""
    digest = hashlib.sha512(b"\x00\x00" + BOB + ALICE + BOB).digest()
    expected = [
        int.from_bytes(digest[start : start + 5], "big") % 100_000 for start in range(0, 30, 5)
    ]
    assert fingerprint(ALICE, BOB, iterations=1) == "".join(f"{chunk:05}" for chunk in expected)


def test_sixty_digits_in_groups_of_five() -> None:
    """R-3.5.1."""
    groups = NUMBER.split(" ")
    assert [len(group) for group in groups] == [5] * 12
    assert "".join(groups).isdigit()
    assert len("".join(groups)) == SAFETY_NUMBER_DIGITS
    halves = {fingerprint(ALICE, ALICE), fingerprint(BOB, BOB)}
    assert {"".join(groups[:6]), "".join(groups[6:])} == halves
    assert groups[:6] <= groups[6:]


def test_both_people_see_the_same() -> None:
    """R-3.5.1."""
    assert safety_number(BOB, ALICE) == NUMBER
    assert safety_number(ALICE, ALICE) != NUMBER


def test_it_stays_when_the_static_key_rotates() -> None:
    """R-3.5.1: only identities go into it."""
    alice, bob = person("alice"), person("bob")
    before = safety_number(alice.identity.public, bob.identity.public)
    certificates = [alice.config().certificate]
    alice.static = x25519.generate(rng=seeded_rng("rotated"))
    certificates.append(alice.config(generation=1).certificate)
    assert certificates[0].static != certificates[1].static
    assert {
        safety_number(certificate.identity, bob.identity.public) for certificate in certificates
    } == {before}


def test_another_identity_is_another_number() -> None:
    other = generate_identity(rng=seeded_rng("mallory")).public
    assert safety_number(ALICE, other) != NUMBER


@pytest.mark.parametrize(
    "pasted",
    [
        NUMBER,
        NUMBER.replace(" ", ""),
        f"\n\t {NUMBER} \r\n",
        " ".join(NUMBER),
        NUMBER.replace(" ", "\u00a0"),
        NUMBER.replace(" ", "\u3000"),
        NUMBER[:35] + "\n" + NUMBER[36:],
    ],
)
def test_white_space_does_not_matter(pasted: str) -> None:
    """R-3.5.2."""
    compare(NUMBER, pasted)


def test_every_wrong_digit_is_found() -> None:
    """R-3.5.2."""
    digits = NUMBER.replace(" ", "")
    for place, digit in enumerate(digits):
        wrong = digits[:place] + str((int(digit) + 1) % 10) + digits[place + 1 :]
        with pytest.raises(TrustError, match="differ"):
            compare(NUMBER, wrong)


@pytest.mark.parametrize(
    "pasted",
    [
        "",
        " ",
        NUMBER[:-1],
        NUMBER + "1",
        NUMBER * 2,
        NUMBER[:-1] + "x",
        NUMBER.replace(" ", "-"),
        NUMBER[:-1] + "٣",
        NUMBER[:-1] + "３",
        NUMBER[:-1] + "²",
        "".join(chr(0x0660 + int(digit)) for digit in NUMBER.replace(" ", "")),
        "\u200b" + NUMBER,
        "+" + NUMBER[1:],
    ],
)
def test_what_is_not_sixty_ascii_digits_is_a_mistake_and_not_a_warning(pasted: str) -> None:
    """R-3.5.2: a slip of the clipboard must not look like an attack."""
    with pytest.raises(UsageError, match="60 digits"):
        compare(NUMBER, pasted)
