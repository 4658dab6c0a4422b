"""CPace against its draft's published vectors, and what it must refuse (protocol.md §3.8)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from p2pchat.crypto import pake, x25519
from p2pchat.crypto.pake import Run
from p2pchat.crypto.secret import Secret
from p2pchat.crypto.x25519 import KeyPair
from p2pchat.errors import DecryptionError, InvalidKeyError
from tests.support.pairs import seeded_rng

PUBLISHED: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "vectors/cpace/x25519_sha512.json").read_text()
)
DRAFT = {name: bytes.fromhex(value) for name, value in PUBLISHED["run"].items()}
DRAFT_RUN = Run(DRAFT["CI"], DRAFT["sid"])
PRODUCTS = PUBLISHED["points"]["products"]
PHRASE = Secret(b"the boat with the green hull")
RUN = Run(b"channel", b"session")


def test_the_published_run() -> None:
    """Generator, both shares, the shared point, and the intermediate key."""
    phrase = Secret(DRAFT["PRS"])
    assert pake.generator(phrase, DRAFT_RUN) == DRAFT["g"]
    for scalar, share, theirs in (("ya", "Ya", "Yb"), ("yb", "Yb", "Ya")):
        pair = pake.begin(phrase, DRAFT_RUN, rng={32: DRAFT[scalar]}.__getitem__)
        assert pair.public == DRAFT[share]
        assert x25519.dh(pair.private, DRAFT[theirs]) == DRAFT["K"]
    transcript = pake.with_lengths(DRAFT["Ya"], DRAFT["ADa"]) + pake.with_lengths(
        DRAFT["Yb"], DRAFT["ADb"]
    )
    key = pake.intermediate_key(DRAFT["sid"], DRAFT["K"], transcript)
    assert key == DRAFT["ISK_IR"]


@pytest.mark.parametrize("product", PRODUCTS)
def test_the_published_points(product: dict[str, str]) -> None:
    """Bit 255 is ignored; points of a low order, on the curve or its twist, are refused."""
    scalar = Secret(bytes.fromhex(PUBLISHED["points"]["s"]))
    point = bytes.fromhex(product["u"])
    if any(bytes.fromhex(product["q"])):
        assert x25519.dh(scalar, point).hex() == product["q"]
        return
    own = pake.begin(PHRASE, RUN, rng=seeded_rng("own"))
    with pytest.raises(InvalidKeyError):
        pake.finish(own, asker_share=own.public, answerer_share=point, run=RUN)
    with pytest.raises(InvalidKeyError):
        pake.finish(own, asker_share=point, answerer_share=own.public, run=RUN)


@pytest.mark.parametrize("length", [0, 127, 128, 300])
def test_lengths_are_in_leb128(length: int) -> None:
    encoded = pake._leb128(length)
    assert sum((byte & 0x7F) << 7 * place for place, byte in enumerate(encoded)) == length
    assert all(byte & 0x80 for byte in encoded[:-1])
    assert not encoded[-1] & 0x80


def both(
    phrases: tuple[Secret, Secret] = (PHRASE, PHRASE), runs: tuple[Run, Run] = (RUN, RUN)
) -> tuple[pake.Confirmations, pake.Confirmations]:
    pairs: list[KeyPair] = [
        pake.begin(phrase, run, rng=seeded_rng(name))
        for phrase, run, name in zip(phrases, runs, ("asker", "answerer"), strict=True)
    ]
    shares = {"asker_share": pairs[0].public, "answerer_share": pairs[1].public}
    asker, answerer = (
        pake.finish(pair, **shares, run=run) for pair, run in zip(pairs, runs, strict=True)
    )
    return asker, answerer


def test_the_same_phrase_gives_the_same_confirmations() -> None:
    asker, answerer = both()
    assert asker == answerer
    assert asker.asker != asker.answerer
    assert {len(asker.asker), len(asker.answerer)} == {pake.TAG_LEN}
    pake.check(answerer.asker, asker.asker)


@pytest.mark.parametrize(
    ("phrases", "runs"),
    [
        ((PHRASE, Secret(b"the boat with the green hulk")), (RUN, RUN)),
        ((PHRASE, PHRASE), (RUN, Run(b"another channel", RUN.session))),
        ((PHRASE, PHRASE), (RUN, Run(RUN.channel, b"another session"))),
    ],
    ids=["another phrase", "another channel", "another session"],
)
def test_anything_else_gives_others(phrases: tuple[Secret, Secret], runs: tuple[Run, Run]) -> None:
    asker, answerer = both(phrases, runs)
    for expected, said in (
        (asker.answerer, answerer.answerer),
        (answerer.asker, asker.asker),
        (asker.answerer, asker.asker),  # our own confirmation, sent back
    ):
        with pytest.raises(DecryptionError):
            pake.check(expected, said)


def test_our_own_share_is_not_the_others() -> None:
    own = pake.begin(PHRASE, RUN, rng=seeded_rng("own"))
    with pytest.raises(InvalidKeyError):
        pake.finish(own, asker_share=own.public, answerer_share=own.public, run=RUN)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_share_has_32_bytes(length: int) -> None:
    own = pake.begin(PHRASE, RUN, rng=seeded_rng("own"))
    with pytest.raises(InvalidKeyError):
        pake.finish(own, asker_share=own.public, answerer_share=bytes(length), run=RUN)
