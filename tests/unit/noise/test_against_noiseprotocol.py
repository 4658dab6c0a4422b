"""Another implementation, PyPI noiseprotocol, on the other end (R-5.1.1).

It covers what no published vector here does: SHA512, and psk tokens in every place.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from noise.connection import Keypair, NoiseConnection

from p2pchat.crypto.secret import Secret, system_rng
from p2pchat.errors import LocalProtocolError
from p2pchat.noise import patterns
from p2pchat.noise.handshake import HandshakeState
from p2pchat.noise.patterns import Pattern, Token, parse_protocol_name
from tests.unit.noise.pairs import STATIC_I, STATIC_R

E, S = Token.E, Token.S
PSK = bytes(range(32))
NAMES = [
    f"Noise_{pattern}_25519_ChaChaPoly_{name}"
    for pattern, name in itertools.product(
        ["NN", "KK", "XX", "IK", "NNpsk0", "NNpsk2", "XXpsk1", "XXpsk2", "XXpsk3", "IKpsk2"],
        ["SHA256", "SHA512", "BLAKE2s", "BLAKE2b"],
    )
]


def has_static(name: str, initiator: bool) -> bool:
    return "_NN" not in name and not ("_NX" in name and initiator)


class Peer:
    """noiseprotocol's side, with our method names."""

    def __init__(self, name: str, *, initiator: bool) -> None:
        self._noise: Any = NoiseConnection.from_name(name.encode("ascii"))
        own, other = (STATIC_I, STATIC_R) if initiator else (STATIC_R, STATIC_I)
        if initiator:
            self._noise.set_as_initiator()
        else:
            self._noise.set_as_responder()
        if "psk" in name:
            self._noise.set_psks(PSK)
        if has_static(name, initiator):
            self._noise.set_keypair_from_private_bytes(Keypair.STATIC, own.private.reveal())
        if "KK" in name or ("IK" in name and initiator):
            self._noise.set_keypair_from_public_bytes(Keypair.REMOTE_STATIC, other.public)
        self._noise.set_prologue(b"prologue")
        self._noise.start_handshake()

    @property
    def handshake_hash(self) -> bytes:
        return bytes(self._noise.get_handshake_hash())

    def write_message(self, payload: bytes) -> bytes:
        return bytes(self._noise.write_message(payload))

    def read_message(self, message: bytes) -> bytes:
        return bytes(self._noise.read_message(message))

    def encrypt(self, plaintext: bytes) -> bytes:
        return bytes(self._noise.encrypt(plaintext))

    def decrypt(self, ciphertext: bytes) -> bytes:
        return bytes(self._noise.decrypt(ciphertext))

    def rekey(self) -> None:
        self._noise.rekey_outbound_cipher()
        self._noise.rekey_inbound_cipher()


@pytest.mark.parametrize("initiator", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_handshake_transport_and_rekey(name: str, initiator: bool) -> None:
    """R-5.1.1, R-5.1.9"""
    own, other = (STATIC_I, STATIC_R) if initiator else (STATIC_R, STATIC_I)
    knows_peer = "KK" in name or ("IK" in name and initiator)
    ours = HandshakeState(
        name,
        initiator=initiator,
        prologue=b"prologue",
        rng=system_rng,
        s=own if has_static(name, initiator) else None,
        rs=other.public if knows_peer else None,
        psks=[Secret(PSK)] if "psk" in name else [],
    )
    peer = Peer(name, initiator=not initiator)
    while not ours.is_complete:
        if ours.is_my_turn:
            assert peer.read_message(ours.write_message(b"ours")) == b"ours"
        else:
            assert ours.read_message(peer.write_message(b"theirs")) == b"theirs"
    split = ours.split()
    assert split.handshake_hash == peer.handshake_hash
    for _ in range(2):
        for text in (b"", b"text"):
            assert peer.decrypt(split.send.encrypt_with_ad(b"", text)) == text
            assert split.receive.decrypt_with_ad(b"", peer.encrypt(text)) == text
        split.send.rekey()
        split.receive.rekey()
        peer.rekey()


ROWS = {
    # IX sends s in clear: 32 bytes without a tag.
    "IX": (
        Pattern((), (), ((E, S), (E, Token.EE, Token.SE, S, Token.ES))),
        [64, 96],
    ),
    # In NX only the responder has a static key.
    "NX": (Pattern((), (), ((E,), (E, Token.EE, S, Token.ES))), [32, 96]),
}


@pytest.mark.parametrize("initiator", [True, False])
@pytest.mark.parametrize("pattern", ROWS)
def test_another_pattern_needs_no_more_than_a_row(
    monkeypatch: pytest.MonkeyPatch, pattern: str, initiator: bool
) -> None:
    """R-5.1.1: patterns of Noise §7.5 that no suite uses."""
    row, overheads = ROWS[pattern]
    monkeypatch.setattr(patterns, "_FUNDAMENTAL", {pattern: row})
    name = f"Noise_{pattern}_25519_ChaChaPoly_SHA256"
    try:
        lengths = [message.overhead for message in parse_protocol_name(name).messages]
        assert lengths == overheads
        test_handshake_transport_and_rekey(name, initiator)
        if has_static(name, initiator):
            with pytest.raises(LocalProtocolError, match="needs our 's'"):
                HandshakeState(name, initiator=initiator, rng=system_rng)
    finally:
        parse_protocol_name.cache_clear()
