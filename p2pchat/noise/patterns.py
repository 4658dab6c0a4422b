"""Noise's handshake patterns as tables of tokens (Noise §7 to §10; protocol.md §5.1).

A protocol name is parsed into a pattern, its modifiers applied by rule and not by hand, and the
functions that it asks for. Messages alternate and the initiator, who sends the first, is the one
who calls it so: after ``fallback`` that is the former responder, as in the published vectors.

``hfs`` is that of the KEM-based hybrid forward secrecy draft, revision 1 (protocol.md §5.5): where
its rule and its table of examples disagree, in KKhfs alone, the rule counts, as in snow.

A new kind of token needs a member of ``Token``, its length in ``_overheads``, and an entry in the
tables of ``party``; nothing else asks what tokens exist.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Final, NamedTuple

from p2pchat.constants import KEY_LEN, TAG_LEN
from p2pchat.crypto.kdf import HashFunction
from p2pchat.crypto.kem import CIPHERTEXT_LEN, ENCAPSULATION_KEY_LEN
from p2pchat.errors import LocalProtocolError
from p2pchat.noise.symmetric import HASHES

PROTOCOL_NAME_MAX_BYTES: Final = 255
"""Noise §8."""

_DH_NAME: Final = "25519"
_HYBRID_DH_NAME: Final = "25519+MLKEM768"
_CIPHER_NAME: Final = "ChaChaPoly"
_PATTERN_NAME: Final = re.compile(r"([A-Z0-9]+)((?:[a-z][a-z0-9]*(?:\+[a-z][a-z0-9]*)*)?)")
_PSK_MODIFIER: Final = re.compile(r"psk(0|[1-9][0-9]?)")


class Token(StrEnum):
    """A step within a message. The letters of a DH token: initiator's key, responder's key."""

    E = "e"
    S = "s"
    EE = "ee"
    ES = "es"
    SE = "se"
    SS = "ss"
    PSK = "psk"
    E1 = "e1"
    EKEM1 = "ekem1"


Tokens = tuple[Token, ...]

_DH_TOKENS: Final = frozenset({Token.EE, Token.ES, Token.SE, Token.SS})

_WITH_ROLES_SWAPPED: Final = MappingProxyType({Token.ES: Token.SE, Token.SE: Token.ES})


@dataclass(frozen=True, slots=True)
class Pattern:
    """Keys known beforehand, and the tokens of each message; even messages are the initiator's."""

    pre_initiator: Tokens
    pre_responder: Tokens
    messages: tuple[Tokens, ...]


_FUNDAMENTAL: Final[Mapping[str, Pattern]] = MappingProxyType(
    {
        "NN": Pattern((), (), ((Token.E,), (Token.E, Token.EE))),
        "KK": Pattern(
            (Token.S,),
            (Token.S,),
            ((Token.E, Token.ES, Token.SS), (Token.E, Token.EE, Token.SE)),
        ),
        "XX": Pattern(
            (),
            (),
            ((Token.E,), (Token.E, Token.EE, Token.S, Token.ES), (Token.S, Token.SE)),
        ),
        "IK": Pattern(
            (),
            (Token.S,),
            ((Token.E, Token.ES, Token.S, Token.SS), (Token.E, Token.EE, Token.SE)),
        ),
    }
)


class MessagePattern(NamedTuple):
    """A handshake message: its tokens, and how many bytes it has beyond its payload."""

    tokens: Tokens
    overhead: int


@dataclass(frozen=True, slots=True)
class Protocol:
    """A parsed protocol name; even ``messages`` are the initiator's."""

    name: str
    hash: HashFunction
    pre_initiator: Tokens
    pre_responder: Tokens
    messages: tuple[MessagePattern, ...]
    psk_count: int
    is_hybrid: bool
    initiator_sends: frozenset[Token]
    responder_sends: frozenset[Token]


@lru_cache(maxsize=64)
def parse_protocol_name(name: str) -> Protocol:
    """Parse a name such as ``Noise_XXpsk3_25519_ChaChaPoly_SHA256`` (Noise §8).

    Raises:
        LocalProtocolError: Malformed, or it asks for something that is not here.
    """
    parts = name.split("_")
    if len(parts) != 5 or parts[0] != "Noise" or len(name) > PROTOCOL_NAME_MAX_BYTES:
        raise LocalProtocolError(f"not a Noise protocol name: {name[:PROTOCOL_NAME_MAX_BYTES]!a}")
    _, pattern_name, dh_name, cipher_name, hash_name = parts
    if dh_name not in (_DH_NAME, _HYBRID_DH_NAME):
        raise LocalProtocolError(
            f"no DH function {dh_name!a}, only {_DH_NAME} and, with hfs, {_HYBRID_DH_NAME}"
        )
    if cipher_name != _CIPHER_NAME:
        raise LocalProtocolError(f"no cipher {cipher_name!a}, only {_CIPHER_NAME}")
    if hash_name not in HASHES:
        raise LocalProtocolError(f"no hash function {hash_name!a}, only {', '.join(HASHES)}")
    pattern = parse_pattern(pattern_name)
    is_hybrid = any(Token.E1 in tokens for tokens in pattern.messages)
    if is_hybrid != (dh_name == _HYBRID_DH_NAME):
        raise LocalProtocolError(f"hfs and {_HYBRID_DH_NAME} need each other")
    psk_count = sum(tokens.count(Token.PSK) for tokens in pattern.messages)
    overheads = _overheads(pattern, psk_count)
    return Protocol(
        name=name,
        hash=HASHES[hash_name],
        pre_initiator=pattern.pre_initiator,
        pre_responder=pattern.pre_responder,
        messages=tuple(map(MessagePattern, pattern.messages, overheads)),
        psk_count=psk_count,
        is_hybrid=is_hybrid,
        initiator_sends=frozenset(token for tokens in pattern.messages[::2] for token in tokens),
        responder_sends=frozenset(token for tokens in pattern.messages[1::2] for token in tokens),
    )


def parse_pattern(name: str) -> Pattern:
    """Return a fundamental pattern with its modifiers applied from left to right.

    Raises:
        LocalProtocolError: Unknown pattern, or a modifier that is unknown, repeated or impossible.
    """
    match = _PATTERN_NAME.fullmatch(name)
    if match is None or match[1] not in _FUNDAMENTAL:
        raise LocalProtocolError(f"no handshake pattern {name!a}, only {', '.join(_FUNDAMENTAL)}")
    pattern = _FUNDAMENTAL[match[1]]
    modifiers = match[2].split("+") if match[2] else []
    if len(set(modifiers)) != len(modifiers):
        raise LocalProtocolError(f"a modifier is repeated in {name!a}")
    if {"hfs", "fallback"} <= set(modifiers):
        # Fallback carries over the initiator's e alone, so e1 would never have been sent.
        raise LocalProtocolError("fallback cannot carry hfs")
    for modifier in modifiers:
        if modifier == "fallback":
            pattern = _fallback(pattern)
        elif modifier == "hfs":
            pattern = _with_kem(pattern)
        elif psk := _PSK_MODIFIER.fullmatch(modifier):
            pattern = _with_psk(pattern, int(psk[1]))
        else:
            raise LocalProtocolError(f"no pattern modifier {modifier!a}")
    return pattern


def _with_psk(pattern: Pattern, place: int) -> Pattern:
    """Add a ``psk`` token: 0 is before the first message, n after the n-th (Noise §9.4).

    Every pattern here opens both parties' first messages with ``e``, so the rule of Noise §9.3
    (no encryption under a psk without one's own ephemeral) holds for each place.
    """
    if place > len(pattern.messages):
        raise LocalProtocolError(f"psk{place} in a pattern of {len(pattern.messages)} messages")
    messages = list(pattern.messages)
    if place == 0:
        messages[0] = (Token.PSK, *messages[0])
    else:
        messages[place - 1] = (*messages[place - 1], Token.PSK)
    return replace(pattern, messages=tuple(messages))


def _with_kem(pattern: Pattern) -> Pattern:
    """Add ``e1`` and ``ekem1`` by the rule of the hfs draft, §5.

    ``e1`` follows the first ``e``, or the first DH of that message, so that it is encrypted where
    it can be; ``ekem1`` follows the first ``ee``. Every pattern here opens with ``e`` and has an
    ``ee`` in its second message, so the initiator sends the key and the responder encapsulates.
    """
    first, second, *rest = pattern.messages
    dh = next((token for token in first if token in _DH_TOKENS), Token.E)
    return replace(
        pattern,
        messages=(
            _insert_after(first, dh, Token.E1),
            _insert_after(second, Token.EE, Token.EKEM1),
            *rest,
        ),
    )


def _insert_after(tokens: Tokens, anchor: Token, token: Token) -> Tokens:
    place = tokens.index(anchor) + 1
    return (*tokens[:place], token, *tokens[place:])


def _fallback(pattern: Pattern) -> Pattern:
    """Turn the first message into a pre-message; its receiver now opens (Noise §10.2).

    Only public keys in clear can be received by other means, hence the narrow condition.
    """
    first, *rest = pattern.messages
    if not rest or first not in ((Token.E,), (Token.S,), (Token.E, Token.S)):
        raise LocalProtocolError("fallback needs a first message of public keys only")
    return Pattern(
        pre_initiator=pattern.pre_responder,
        pre_responder=pattern.pre_initiator + first,
        messages=tuple(
            tuple(_WITH_ROLES_SWAPPED.get(token, token) for token in tokens) for tokens in rest
        ),
    )


def _overheads(pattern: Pattern, psk_count: int) -> tuple[int, ...]:
    """Return each message's length with an empty payload."""
    ephemeral_keys = psk_count > 0  # then an e token derives a key too (Noise §9.2)
    keyed = False  # a pre-message's e may key too, but both first messages open with one of theirs
    overheads = []
    for tokens in pattern.messages:
        length = 0
        for token in tokens:
            match token:
                case Token.E:
                    length += KEY_LEN
                    keyed = keyed or ephemeral_keys
                case Token.S:
                    length += KEY_LEN + (TAG_LEN if keyed else 0)
                case Token.E1:
                    length += ENCAPSULATION_KEY_LEN + (TAG_LEN if keyed else 0)
                case Token.EKEM1:
                    length += CIPHERTEXT_LEN + (TAG_LEN if keyed else 0)
                    keyed = True
                case _:
                    keyed = True
        overheads.append(length + (TAG_LEN if keyed else 0))
    return tuple(overheads)
