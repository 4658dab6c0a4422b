"""Two handshake states that belong together, and a way to see all of a state."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from p2pchat.crypto.aead import Cipher
from p2pchat.crypto.kem import EncapsulationKey, KemKeyPair
from p2pchat.crypto.secret import Rng, Secret
from p2pchat.crypto.x25519 import KeyPair, generate
from p2pchat.noise.handshake import HandshakeState
from p2pchat.noise.party import Party
from p2pchat.noise.patterns import Token, parse_protocol_name
from p2pchat.noise.symmetric import CipherState, SymmetricState

XX = "Noise_XX_25519_ChaChaPoly_SHA256"
XXHFS = "Noise_XXhfs_25519+MLKEM768_ChaChaPoly_SHA256"
IKHFS = "Noise_IKhfs_25519+MLKEM768_ChaChaPoly_SHA256"


def seeded_rng(seed: str) -> Rng:
    """Return an Rng whose bytes follow from ``seed``."""
    counter = 0

    def rng(count: int) -> bytes:
        nonlocal counter
        counter += 1
        return hashlib.shake_128(f"{seed}/{counter}".encode()).digest(count)

    return rng


STATIC_I = generate(rng=seeded_rng("initiator's static"))
STATIC_R = generate(rng=seeded_rng("responder's static"))
EPHEMERAL_R = generate(rng=seeded_rng("responder's pre-message ephemeral"))


@dataclass
class Pair:
    initiator: HandshakeState
    responder: HandshakeState

    def advance(self, count: int) -> None:
        """Exchange ``count`` messages with empty payloads."""
        for _ in range(count):
            writer, reader = self.turn()
            reader.read_message(writer.write_message())

    def turn(self) -> tuple[HandshakeState, HandshakeState]:
        """Return who writes and who reads the next message."""
        if self.initiator.is_my_turn:
            return self.initiator, self.responder
        return self.responder, self.initiator


def make_pair(name: str = XX, *, seed: str = "", prologue: bytes = b"") -> Pair:
    """Return a fresh pair with the keys that the pattern needs, ephemerals from ``seed``."""
    protocol = parse_protocol_name(name)
    psks = [Secret(bytes([number]) * 32) for number in range(protocol.psk_count)]
    initiator_known, responder_known = protocol.pre_initiator, protocol.pre_responder
    return Pair(
        HandshakeState(
            name,
            initiator=True,
            prologue=prologue,
            rng=seeded_rng(f"initiator {seed}"),
            s=STATIC_I,
            rs=STATIC_R.public if Token.S in responder_known else None,
            re=EPHEMERAL_R.public if Token.E in responder_known else None,
            psks=psks,
        ),
        HandshakeState(
            name,
            initiator=False,
            prologue=prologue,
            rng=seeded_rng(f"responder {seed}"),
            s=STATIC_R,
            e=EPHEMERAL_R if Token.E in responder_known else None,
            rs=STATIC_I.public if Token.S in initiator_known else None,
            psks=psks,
        ),
    )


def contents(state: Any) -> Any:
    """Return everything that a state holds, secrets too, as comparable values."""
    match state:
        case Secret():
            return state.reveal()
        case KeyPair() | KemKeyPair():
            return (state.private.reveal(), state.public)
        case EncapsulationKey():
            return state.encoded
        case Cipher():
            return state.seal(bytes(12), b"which key?", b"")
        case tuple():
            return tuple(contents(item) for item in state)
        case None | bool() | int() | str() | bytes():
            return state
        case HandshakeState() | Party() | SymmetricState() | CipherState():
            return {name: contents(getattr(state, name)) for name in state.__slots__}
        case _:
            return id(state)
