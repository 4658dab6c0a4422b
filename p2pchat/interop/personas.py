"""Made-up people whose keys follow from a seed: the same on every machine (protocol.md §3).

For the scripted peer, the checker and the vectors only. Everybody can compute these keys, so no
identity made here is worth anything.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from p2pchat.crypto import x25519
from p2pchat.crypto.secret import Rng
from p2pchat.crypto.x25519 import KeyPair
from p2pchat.identity.certificate import Certificate, issue
from p2pchat.identity.keys import IdentityKey, generate_identity, peer_id
from p2pchat.identity.link import ContactLink, encode_link

SEED_LABEL: Final = "p2pchat interop"


def seeded_rng(seed: str) -> Rng:
    """Return bytes that follow from ``seed``: SHAKE-128 of the label, the seed and a counter."""
    counter = 0

    def rng(count: int) -> bytes:
        nonlocal counter
        counter += 1
        return hashlib.shake_128(f"{SEED_LABEL}/{seed}/{counter}".encode()).digest(count)

    return rng


@dataclass(frozen=True, slots=True)
class Persona:
    """Somebody with an identity and a static key.

    Attributes:
        name: What the others see.
        identity: Ed25519 seed and key.
        static: The current static key.
        spare: Another one, for what a rotated or a foreign key would do.
    """

    name: str
    identity: IdentityKey
    static: KeyPair
    spare: KeyPair

    def certificate(self, now_ms: int, *, generation: int = 1) -> Certificate:
        """Certify the static key from now on."""
        return issue(self.identity.seed, self.static.public, generation=generation, now_ms=now_ms)

    @property
    def peer_id(self) -> str:
        """56 characters."""
        return peer_id(self.identity.public)

    def link(self, *addresses: str) -> str:
        """Return the contact link with these addresses."""
        return encode_link(ContactLink(self.identity.public, self.name, addresses))


def persona(name: str, seed: str) -> Persona:
    """Return the person of that name and seed."""
    rng = seeded_rng(f"{seed}/{name}/keys")
    return Persona(
        name, generate_identity(rng=rng), x25519.generate(rng=rng), x25519.generate(rng=rng)
    )
