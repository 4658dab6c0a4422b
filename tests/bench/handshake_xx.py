"""Noise XX, both parties in one process, against PyPI ``noiseprotocol`` (pure Python as well).

One unit of work is a whole handshake: two states made, two ephemeral keys generated, three
messages with empty payloads written and read, and both sides split. Static keys are made once,
outside; both engines take the system's randomness.
"""

from __future__ import annotations

from collections.abc import Callable

from p2pchat.constants import KEY_LEN
from p2pchat.crypto.secret import Secret, system_rng
from p2pchat.crypto.x25519 import generate, long_term_key_pair
from p2pchat.noise.handshake import HandshakeState

NAME = "handshake-xx"
PEER_NAME = "noiseprotocol"
UNIT = "us"

_PROTOCOL = "Noise_XX_25519_ChaChaPoly_SHA256"


def ours() -> Callable[[], None]:
    """Return a function that does one handshake with p2pchat's engine."""
    return handshake_of(_PROTOCOL)


def handshake_of(protocol: str) -> Callable[[], None]:
    """Return a function that does one handshake of three messages with p2pchat's engine."""
    # As a node holds its own: set up once, for all its handshakes.
    static_i, static_r = (long_term_key_pair(Secret(system_rng(KEY_LEN))) for _ in range(2))

    def handshake() -> None:
        initiator = HandshakeState(protocol, initiator=True, rng=system_rng, s=static_i)
        responder = HandshakeState(protocol, initiator=False, rng=system_rng, s=static_r)
        responder.read_message(initiator.write_message())
        initiator.read_message(responder.write_message())
        responder.read_message(initiator.write_message())
        if initiator.split().handshake_hash != responder.split().handshake_hash:
            raise AssertionError("the handshake did not agree")

    return handshake


def peer() -> Callable[[], None]:
    """Return a function that does the same with noiseprotocol."""
    # Only here: the comparison is optional, and its import must not count as ours.
    from noise.connection import Keypair, NoiseConnection

    static_i, static_r = (generate(rng=system_rng).private.reveal() for _ in range(2))
    name = _PROTOCOL.encode("ascii")

    def handshake() -> None:
        initiator, responder = NoiseConnection.from_name(name), NoiseConnection.from_name(name)
        initiator.set_as_initiator()
        responder.set_as_responder()
        initiator.set_keypair_from_private_bytes(Keypair.STATIC, static_i)
        responder.set_keypair_from_private_bytes(Keypair.STATIC, static_r)
        initiator.start_handshake()
        responder.start_handshake()
        responder.read_message(initiator.write_message())
        initiator.read_message(responder.write_message())
        responder.read_message(initiator.write_message())
        if initiator.get_handshake_hash() != responder.get_handshake_hash():
            raise AssertionError("the handshake did not agree")

    return handshake
