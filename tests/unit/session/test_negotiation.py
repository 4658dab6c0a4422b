"""Offers, preambles and the choice (protocol.md §4.2, §4.3)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pchat.constants import MAGIC, OFFER_MAX_BYTES
from p2pchat.errors import ErrorCode, ProtocolError
from p2pchat.session.negotiation import (
    HYBRID_OFFER,
    IK_HFS,
    OUR_OFFER,
    PREAMBLE_HEAD_LEN,
    SUITES,
    XX,
    XX_HFS,
    Choice,
    Offer,
    choose,
    decode_offer,
    decode_preamble,
    encode_offer,
    encode_preamble,
    known_peers_only,
    preamble_length,
)

V10 = (1, 0)


def lists(
    items: st.SearchStrategy[Any], *, min_size: int, max_size: int
) -> st.SearchStrategy[tuple[Any, ...]]:
    """Strictly ascending ones."""
    unique = st.lists(items, unique=True, min_size=min_size, max_size=max_size)
    return unique.map(sorted).map(tuple)


def offers(versions: int, numbers: int, size: int) -> st.SearchStrategy[Offer]:
    version = st.tuples(st.integers(0, versions), st.integers(0, versions))
    number = st.integers(0, numbers)
    return st.builds(
        Offer,
        lists(version, min_size=1, max_size=size),
        lists(number, min_size=1, max_size=size),
        lists(number, min_size=0, max_size=size),
    )


OFFERS = offers(255, 65535, 20)


def small(*, unknown: int) -> st.SearchStrategy[Offer]:
    """An offer of suites that are known here and of ones that only its maker knows."""
    suites = lists(st.sampled_from([*SUITES, unknown, unknown + 0x0100]), min_size=1, max_size=6)
    version = st.tuples(st.integers(0, 2), st.integers(0, 2))
    features = lists(st.integers(0, 3), min_size=0, max_size=4)
    return st.builds(Offer, lists(version, min_size=1, max_size=4), suites, features)


def refused(data: bytes) -> ErrorCode:
    with pytest.raises(ProtocolError) as caught:
        decode_offer(data)
    return caught.value.code


def test_our_offer_is_as_written_down() -> None:
    """R-4.2.3: protocol.md §4.2 spells these bytes out."""
    assert encode_offer(OUR_OFFER) == bytes.fromhex("01 0100 04 0001 0002 0101 0102 00")
    assert encode_offer(HYBRID_OFFER) == bytes.fromhex("01 0100 02 0101 0102 00")


def test_an_offer_in_stealth_has_no_suite_of_a_first_contact() -> None:
    """R-5.7.1."""
    assert known_peers_only(OUR_OFFER).suites == (0x0002, 0x0102)
    assert known_peers_only(HYBRID_OFFER).suites == (0x0102,)
    rich = Offer(((1, 0), (2, 3)), (0x0001, 0x0002), (5, 9))
    assert known_peers_only(rich) == Offer(rich.versions, (0x0002,), rich.features)


def test_our_preamble_is_as_written_down() -> None:
    """R-4.2.1."""
    expected = b"p2pchat\x0a" + bytes.fromhex("0102 000d 01 0100 04 0001 0002 0101 0102 00")
    assert encode_preamble(IK_HFS.number, OUR_OFFER) == expected
    assert MAGIC == b"p2pchat\n"


@given(OFFERS)
def test_what_is_encoded_decodes(offer: Offer) -> None:
    assert decode_offer(encode_offer(offer)) == offer


@given(OFFERS, st.binary(max_size=40))
def test_bytes_after_the_lists_are_ignored(offer: Offer, rest: bytes) -> None:
    """R-4.2.4."""
    assert decode_offer(encode_offer(offer) + rest) == offer
    preamble = decode_preamble(
        MAGIC
        + b"\x00\x01"
        + len(encode_offer(offer) + rest).to_bytes(2, "big")
        + encode_offer(offer)
        + rest
    )
    assert preamble.offer == offer
    assert preamble.encoded.endswith(rest)


@pytest.mark.parametrize("number", [2, 3])
def test_512_bytes_and_no_more(number: int) -> None:
    """R-4.2.2."""
    good = encode_offer(OUR_OFFER)
    assert decode_offer(good + bytes(OFFER_MAX_BYTES - len(good))) == OUR_OFFER
    assert refused(good + bytes(OFFER_MAX_BYTES - len(good) + 1)) is ErrorCode.LIMIT_EXCEEDED
    head = MAGIC + number.to_bytes(2, "big")
    assert preamble_length(head + OFFER_MAX_BYTES.to_bytes(2, "big")) == 12 + OFFER_MAX_BYTES
    with pytest.raises(ProtocolError) as caught:
        preamble_length(head + (OFFER_MAX_BYTES + 1).to_bytes(2, "big"))
    assert caught.value.code is ErrorCode.LIMIT_EXCEEDED


def test_an_offer_cut_anywhere_is_refused() -> None:
    """R-4.2.3."""
    whole = encode_offer(Offer((V10, (2, 1)), (1, 2), (3, 4)))
    for length in range(len(whole)):
        assert refused(whole[:length]) is ErrorCode.PROTOCOL_VIOLATION


@pytest.mark.parametrize(
    "offer",
    [
        Offer((V10, V10), (1,)),
        Offer(((1, 1), V10), (1,)),
        Offer(((2, 0), (1, 9)), (1,)),
        Offer((V10,), (1, 1)),
        Offer((V10,), (2, 1)),
        Offer((V10,), (1,), (5, 5)),
        Offer((V10,), (1,), (5, 4)),
        Offer((), (1,)),
        Offer((V10,), ()),
    ],
    ids=str,
)
def test_lists_out_of_order_or_empty_are_refused(offer: Offer) -> None:
    """R-4.2.3."""
    assert refused(encode_offer(offer)) is ErrorCode.PROTOCOL_VIOLATION


@pytest.mark.parametrize("place", range(8))
def test_another_magic_is_refused(place: int) -> None:
    """R-4.2.1."""
    preamble = bytearray(encode_preamble(XX.number, OUR_OFFER))
    preamble[place] ^= 1
    for encoded in (bytes(preamble), bytes(preamble[:PREAMBLE_HEAD_LEN])):
        with pytest.raises(ProtocolError, match="does not speak"):
            preamble_length(encoded)
    with pytest.raises(ProtocolError, match="does not speak"):
        decode_preamble(bytes(preamble))


@pytest.mark.parametrize("change", [-20, -8, -1, 1])
def test_a_preamble_of_the_wrong_length_is_refused(change: int) -> None:
    encoded = encode_preamble(XX.number, OUR_OFFER)
    with pytest.raises(ProtocolError):
        decode_preamble(encoded[:change] if change < 0 else encoded + bytes(change))


@given(small(unknown=0x0003), small(unknown=0x0104))
@settings(max_examples=150)
def test_both_sides_choose_the_same(ours: Offer, theirs: Offer) -> None:
    """R-4.3.1, R-4.3.2: against a plain reading of the rule."""
    majors = {major for major, _ in ours.versions} & {major for major, _ in theirs.versions}
    suites = set(ours.suites) & set(theirs.suites)
    if not majors or not suites:
        for left, right in ((ours, theirs), (theirs, ours)):
            with pytest.raises(ProtocolError) as caught:
                choose(left, right)
            assert caught.value.code is ErrorCode.UNSUPPORTED_VERSION
        return
    choice = choose(ours, theirs)
    assert choice == choose(theirs, ours)
    major = max(majors)
    minors = [max(m for M, m in side.versions if major == M) for side in (ours, theirs)]
    assert choice.version == (major, min(minors))
    strongest = max(number >> 8 for number in suites)
    assert [suite.number for suite in choice.suites] == sorted(
        number for number in suites if number >> 8 == strongest
    )
    assert choice.features == tuple(sorted(set(ours.features) & set(theirs.features)))


def test_a_later_minor_version_is_served() -> None:
    """R-13.1.1."""
    later = Offer(((1, 7), (3, 0)), (1, 0x0101, 0x0102, 0x0201), (9,))
    assert choose(OUR_OFFER, later) == Choice(V10, (XX_HFS, IK_HFS), ())


@pytest.mark.parametrize(
    ("ours", "theirs", "common", "first"),
    [
        ((0x0001, 0x0002, 0x0101, 0x0102), (0x0001,), (0x0001,), 0x0001),
        ((0x0001, 0x0002, 0x0101, 0x0102), (0x0001, 0x0002), (0x0001, 0x0002), 0x0001),
        ((0x0001, 0x0101), (0x0001, 0x0002, 0x0101, 0x0102), (0x0101,), 0x0101),
        ((0x0101, 0x0102), (0x0001, 0x0101), (0x0101,), 0x0101),
        ((0x0001, 0x0002, 0x0101, 0x0102), (0x0002, 0x0102), (0x0102,), None),
    ],
)
def test_the_class_counts_first(
    ours: tuple[int, ...], theirs: tuple[int, ...], common: tuple[int, ...], first: int | None
) -> None:
    """R-4.3.1, R-5.6.2: all common suites of the greatest class, and which of them RETRY names."""
    choice = choose(Offer((V10,), ours), Offer((V10,), theirs))
    assert tuple(suite.number for suite in choice.suites) == common
    if first is None:
        with pytest.raises(ProtocolError) as caught:
            _ = choice.first_contact
        assert caught.value.code is ErrorCode.HANDSHAKE_FAILED
    else:
        assert choice.first_contact.number == first


@pytest.mark.parametrize(
    "theirs", [Offer(((2, 0),), (1,)), Offer(((0, 255),), (1,)), Offer((V10,), (3,))], ids=str
)
def test_nothing_in_common(theirs: Offer) -> None:
    """R-4.3.2."""
    with pytest.raises(ProtocolError) as caught:
        choose(OUR_OFFER, theirs)
    assert caught.value.code is ErrorCode.UNSUPPORTED_VERSION
