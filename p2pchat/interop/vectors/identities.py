"""identity.json: peer ids, certificates, links, safety numbers (protocol.md §3)."""

from __future__ import annotations

from typing import Any, Final

from p2pchat.identity.certificate import parse_and_verify
from p2pchat.identity.keys import parse_peer_id
from p2pchat.identity.link import ContactLink, encode_link, parse_link
from p2pchat.identity.revocation import (
    encode_revocation_text,
    parse_revocation,
    parse_revocation_text,
    revoke,
)
from p2pchat.identity.safety_number import compare, safety_number
from p2pchat.identity.succession import parse_succession, succeed
from p2pchat.interop.forging import DAY_MS, GROUP_ORDER, NEUTRAL, certificate
from p2pchat.interop.personas import Persona, persona
from p2pchat.interop.vectors.form import MALFORMED, VectorFile, flipped, from_hex, refused

SEED: Final = "vectors"
NOW_MS: Final = 1_790_000_000_000
"""The clock of all vectors: September 2026."""


def alice() -> Persona:
    """Return the initiator of all vectors."""
    return persona("alice", SEED)


def bob() -> Persona:
    """Return the responder of all vectors."""
    return persona("bob", SEED)


def files() -> list[VectorFile]:
    """Return the file."""
    return [
        VectorFile(
            "identity.json",
            f"protocol.md section 3; certificates as of {NOW_MS} (Unix milliseconds)",
            [
                *map(_person, (alice(), bob())),
                *_certificates(),
                *_links(),
                _number(),
                *_statements(),
            ],
            [
                *_bad_ids(),
                *_bad_certificates(),
                *_bad_links(),
                *_bad_numbers(),
                *_bad_revocations(),
                *_bad_successions(),
            ],
            {
                "peer id": parse_peer_id,
                "certificate": from_hex(lambda data: parse_and_verify(data, now_ms=NOW_MS)),
                "link": parse_link,
                "comparison": _compare,
                "revocation": from_hex(parse_revocation),
                "revocation text": parse_revocation_text,
                "succession": from_hex(parse_succession),
            },
        )
    ]


def _person(who: Persona) -> dict[str, Any]:
    return {
        "name": f"peer id of {who.name}",
        "identity_seed": who.identity.seed.reveal().hex(),
        "identity": who.identity.public.hex(),
        "static_private": who.static.private.reveal().hex(),
        "static": who.static.public.hex(),
        "peer_id": who.peer_id,
    }


def _certificates() -> list[dict[str, Any]]:
    terms = {
        "certificate of alice": (alice(), 1, 0, 90),
        "certificate of bob": (bob(), 1, 0, 90),
        "certificate of a later generation": (bob(), 7, 0, 90),
        "certificate that has expired within the skew": (alice(), 1, -96, -6),
        "certificate that begins within the skew": (alice(), 1, 6, 96),
    }
    cases = []
    for name, (who, generation, start, end) in terms.items():
        not_before_ms, not_after_ms = NOW_MS + start * DAY_MS, NOW_MS + end * DAY_MS
        encoded = certificate(
            who, generation=generation, not_before_ms=not_before_ms, not_after_ms=not_after_ms
        )
        parse_and_verify(encoded, now_ms=NOW_MS)
        cases.append(
            {
                "name": name,
                "identity_seed": who.identity.seed.reveal().hex(),
                "static": who.static.public.hex(),
                "generation": generation,
                "not_before_ms": not_before_ms,
                "not_after_ms": not_after_ms,
                "certificate": encoded.hex(),
            }
        )
    return cases


def _links() -> list[dict[str, Any]]:
    cases: list[tuple[str, str, tuple[str, ...]]] = [
        ("link without an address", "Alice", ()),
        (
            "link with addresses",
            "Älice 👩‍💻",
            ("192.0.2.1:4000", "[2001:db8::1]:4000", "host.example:1"),
        ),
        ("link with a name of 64 bytes", "é" * 32, ("a:65535",)),
    ]
    result = []
    for name, own_name, addresses in cases:
        link = encode_link(ContactLink(alice().identity.public, own_name, addresses))
        parse_link(link)
        result.append(
            {
                "name": name,
                "identity": alice().identity.public.hex(),
                "own_name": own_name,
                "addresses": list(addresses),
                "link": link,
            }
        )
    return result


def _number() -> dict[str, Any]:
    mine, theirs = alice().identity.public, bob().identity.public
    return {
        "name": "safety number",
        "identities": [mine.hex(), theirs.hex()],
        "number": safety_number(mine, theirs),
    }


def _statements() -> list[dict[str, Any]]:
    own = revoke(alice().identity.seed)
    text = encode_revocation_text(own)
    parse_revocation_text(text)
    revocation = {
        "name": "revocation of alice",
        "identity_seed": alice().identity.seed.reveal().hex(),
        "identity": own.identity.hex(),
        "revocation": own.encoded.hex(),
        "text": text,
    }
    next_ = persona("alice, anew", SEED)
    succession = succeed(alice().identity.seed, next_.identity.seed, now_ms=NOW_MS)
    parse_succession(succession.encoded)
    return [
        revocation,
        {
            "name": "succession of alice",
            "old_seed": alice().identity.seed.reveal().hex(),
            "new_seed": next_.identity.seed.reveal().hex(),
            "old": succession.old.hex(),
            "new": succession.new.hex(),
            "at_ms": NOW_MS,
            "succession": succession.encoded.hex(),
        },
    ]


def _bad_ids() -> list[dict[str, str]]:
    good = alice().peer_id
    wrong = "a" if good[-1] != "a" else "b"
    return refused(
        "peer id",
        MALFORMED,
        peer_id_in_capitals=good.upper(),
        peer_id_too_short=good[:-1],
        peer_id_with_another_checksum=good[:-1] + wrong,
        peer_id_with_a_digit_that_base32_has_not="1" + good[1:],
        peer_id_with_white_space=good + "\n",
    )


def _bad_certificates() -> list[dict[str, str]]:
    def term(start: int, end: int, **more: int) -> bytes:
        return certificate(
            alice(),
            not_before_ms=NOW_MS + start * DAY_MS,
            not_after_ms=NOW_MS + end * DAY_MS,
            **more,  # type: ignore[arg-type]  # form or generation
        )

    good = term(0, 90)
    malleable = (int.from_bytes(good[117:], "little") + GROUP_ORDER).to_bytes(32, "little")
    return refused(
        "certificate",
        "CERTIFICATE_INVALID",
        certificate_empty=b"",
        certificate_of_148_bytes=good[:-1],
        certificate_of_150_bytes=good + b"\x00",
        certificate_of_format_2=term(0, 90, form=2),
        certificate_with_a_changed_identity=flipped(good, 1),
        certificate_with_a_changed_static_key=flipped(good, 33),
        certificate_with_a_changed_generation=flipped(good, 68),
        certificate_with_a_changed_term=flipped(good, 84),
        certificate_with_a_changed_signature=flipped(good, 148),
        certificate_with_a_scalar_that_is_not_canonical=good[:117] + malleable,
        certificate_of_a_key_of_small_order=good[:1] + NEUTRAL + good[33:85] + NEUTRAL + bytes(32),
        certificate_that_ends_before_it_begins=term(1, -1),
        certificate_that_ends_when_it_begins=term(0, 0),
        certificate_expired_for_more_than_the_skew=term(-98, -8),
        certificate_not_valid_for_more_than_the_skew=term(8, 98),
    )


def _bad_links() -> list[dict[str, str]]:
    good = encode_link(ContactLink(alice().identity.public, "Alice", ("192.0.2.1:4000",)))
    return refused(
        "link",
        MALFORMED,
        link_empty="",
        link_of_another_scheme=good.replace("p2pchat:", "https:"),
        link_without_its_end=good[:-2],
        link_with_another_checksum=good[:-6] + ("A" if good[-6] != "A" else "B") + good[-5:],
        link_with_padding=good + "=",
        link_with_a_character_of_plain_base64=good[:20] + "+" + good[21:],
    )


def _bad_numbers() -> list[dict[str, str]]:
    number = safety_number(alice().identity.public, bob().identity.public)
    last = "0" if number[-1] != "0" else "1"
    return refused(
        "comparison",
        MALFORMED,
        comparison_with_another_digit=number[:-1] + last,
        comparison_with_59_digits=number[:-1],
        comparison_with_letters=number[:-1] + "x",
    )


def _bad_revocations() -> list[dict[str, str]]:
    own = revoke(alice().identity.seed)
    good, text = own.encoded, encode_revocation_text(own)
    signed_certificate = certificate(alice(), not_before_ms=0, not_after_ms=1)[85:]
    return [
        *refused(
            "revocation",
            MALFORMED,
            revocation_of_96_bytes=good[:-1],
            revocation_of_98_bytes=good + b"\x00",
            revocation_of_format_2=b"\x02" + good[1:],
            revocation_of_another_identity=good[:1] + bob().identity.public + good[33:],
            revocation_with_a_changed_signature=flipped(good, 96),
            revocation_with_the_signature_of_a_certificate=good[:33] + signed_certificate,
            revocation_of_a_key_of_small_order=good[:1] + NEUTRAL + NEUTRAL + bytes(32),
        ),
        *refused(
            "revocation text",
            MALFORMED,
            revocation_text_without_its_end=text[:-2],
            revocation_text_with_the_scheme_of_a_link=text.replace(
                "p2pchat-revocation:", "p2pchat:"
            ),
            revocation_text_with_padding=text + "=",
        ),
    ]


def _bad_successions() -> list[dict[str, str]]:
    old, new = alice().identity.seed, persona("alice, anew", SEED).identity.seed
    good = succeed(old, new, now_ms=NOW_MS).encoded
    return refused(
        "succession",
        MALFORMED,
        succession_of_200_bytes=good[:-1],
        succession_of_202_bytes=good + b"\x00",
        succession_of_format_2=b"\x02" + good[1:],
        succession_with_a_changed_time=flipped(good, 72),
        succession_with_a_changed_signature_of_the_old_key=flipped(good, 136),
        succession_with_a_changed_signature_of_the_new_key=flipped(good, 200),
        succession_with_its_signatures_exchanged=good[:73] + good[137:] + good[73:137],
        succession_of_a_key_by_itself=succeed(old, old, now_ms=NOW_MS).encoded,
        succession_to_somebody_who_has_not_signed=good[:33] + bob().identity.public + good[65:],
    )


def _compare(pasted: str) -> None:
    compare(safety_number(alice().identity.public, bob().identity.public), pasted)
