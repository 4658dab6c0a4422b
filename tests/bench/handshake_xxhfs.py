"""Hybrid Noise XXhfs, both parties in one process, against noiseprotocol's *classical* XX.

No Python library has the hybrid handshake, so the figure says what a post-quantum handshake costs
here beside what the classical one costs there. Ours is the unit of work of ``handshake-xx`` with
ML-KEM-768 in it: a KEM key pair made, one encapsulation and one decapsulation.
"""

from __future__ import annotations

from tests.bench import handshake_xx
from tests.bench.runner import Work

NAME = "handshake-xxhfs"
PEER_NAME = f"{handshake_xx.PEER_NAME} XX"
UNIT = "us"

peer = handshake_xx.peer


def ours() -> Work:
    """Return a function that does one hybrid handshake with p2pchat's engine."""
    return handshake_xx.handshake_of("Noise_XXhfs_25519+MLKEM768_ChaChaPoly_SHA256")
