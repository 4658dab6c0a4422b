"""negotiation.json: offers, preambles and what two offers have in common (protocol.md §4)."""

from __future__ import annotations

from typing import Any

from p2pchat.constants import MAGIC
from p2pchat.errors import ProtocolError
from p2pchat.interop.vectors.form import VectorFile, from_hex, refused
from p2pchat.session.negotiation import (
    HYBRID_OFFER,
    IK_HFS,
    OUR_OFFER,
    XX,
    XX_HFS,
    Offer,
    choose,
    decode_offer,
    decode_preamble,
    encode_offer,
    encode_preamble,
)

V1 = ((1, 0),)
LATER = Offer(((1, 9), (7, 2)), (0x0001, 0x0002, 0x0101, 0x0102, 0x7F01), (0x0BAD,))
"""What a version that nobody has written yet could offer."""
OFFERS = {
    "everything": OUR_OFFER,
    "hybrid only": HYBRID_OFFER,
    "classical only": Offer(V1, (0x0001, 0x0002)),
    "known peers only": Offer(V1, (0x0002, 0x0102)),
    "a later minor version": LATER,
}


def files() -> list[VectorFile]:
    """Return the file."""
    return [
        VectorFile(
            "negotiation.json",
            "protocol.md section 4: offers, preambles, choices",
            [*_offers(), *_preambles(), *_choices()],
            [*_bad_offers(), *_bad_preambles()],
            {"offer": from_hex(decode_offer), "preamble": from_hex(decode_preamble)},
        )
    ]


def _fields(offer: Offer) -> dict[str, Any]:
    return {
        "versions": [list(version) for version in offer.versions],
        "suites": list(offer.suites),
        "features": list(offer.features),
    }


def _offers() -> list[dict[str, Any]]:
    cases = [
        {"name": f"offer: {name}", **_fields(offer), "encoded": encode_offer(offer).hex()}
        for name, offer in OFFERS.items()
    ]
    longer = encode_offer(OUR_OFFER) + b"\x02\x00\x01\x00\x02"
    cases.append(
        {
            "name": "offer: bytes behind the lists are ignored",
            **_fields(decode_offer(longer)),
            "encoded": longer.hex(),
        }
    )
    return cases


def _preambles() -> list[dict[str, Any]]:
    return [
        {
            "name": f"preamble: {name}",
            "suite": suite.number,
            "offer": encode_offer(offer).hex(),
            "preamble": encode_preamble(suite.number, offer).hex(),
        }
        for name, suite, offer in (
            ("first contact", XX_HFS, OUR_OFFER),
            ("known contact", IK_HFS, OUR_OFFER),
            ("known contact, hybrid only", IK_HFS, HYBRID_OFFER),
            ("classical", XX, OFFERS["classical only"]),
            ("a later minor version", XX_HFS, LATER),
        )
    ]


def _choices() -> list[dict[str, Any]]:
    cases = []
    foreign = {
        **OFFERS,
        "another major version": Offer(((2, 0),), OUR_OFFER.suites),
        "unknown suites": Offer(V1, (0x7F01,)),
    }
    for ours_name, ours in OFFERS.items():
        for theirs_name, theirs in foreign.items():
            case: dict[str, Any] = {
                "name": f"choice: {ours_name} with {theirs_name}",
                "offers": [encode_offer(ours).hex(), encode_offer(theirs).hex()],
            }
            try:
                choice = choose(ours, theirs)
            except ProtocolError as error:
                case["error"] = error.code.name
            else:
                case["version"] = list(choice.version)
                case["suites"] = [suite.number for suite in choice.suites]
                case["features"] = list(choice.features)
            cases.append(case)
    return cases


def _bad_offers() -> list[dict[str, str]]:
    good = encode_offer(OUR_OFFER)
    return refused(
        "offer",
        "PROTOCOL_VIOLATION",
        offer_empty=b"",
        offer_without_the_third_list=good[:-1],
        offer_cut_in_a_list=good[:-3],
        offer_without_versions=bytes.fromhex("00 01 0101 00"),
        offer_without_suites=bytes.fromhex("01 0100 00 00"),
        offer_with_versions_that_descend=bytes.fromhex("02 0200 0100 01 0101 00"),
        offer_with_a_suite_twice=bytes.fromhex("01 0100 02 0101 0101 00"),
        offer_with_features_that_descend=bytes.fromhex("01 0100 01 0101 02 0002 0001"),
    ) + refused("offer", "LIMIT_EXCEEDED", offer_of_513_bytes=good + bytes(513 - len(good)))


def _bad_preambles() -> list[dict[str, str]]:
    good = encode_preamble(XX_HFS.number, OUR_OFFER)
    too_long = MAGIC + bytes.fromhex("0101 0201") + encode_offer(OUR_OFFER) + bytes(498)
    return refused(
        "preamble",
        "PROTOCOL_VIOLATION",
        preamble_with_another_magic=b"P" + good[1:],
        preamble_with_a_carriage_return=good[:7] + b"\r" + good[8:],
        preamble_with_an_offer_cut_short=good[:11] + bytes([good[11] - 1]) + good[12:-1],
        preamble_with_an_empty_offer=good[:10] + b"\x00\x00",
    ) + refused("preamble", "LIMIT_EXCEEDED", preamble_with_an_offer_of_513_bytes=too_long)
