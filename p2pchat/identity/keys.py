"""Identity keys and peer ids (protocol.md §3.1, §3.2).

An identity is an Ed25519 key that signs certificates and nothing else; it is never converted
into a key-agreement key. The peer id is its printable form with a checksum, so that a mistyped
one is refused instead of naming nobody.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import Final

from p2pchat.constants import KEY_LEN
from p2pchat.crypto import ed25519
from p2pchat.crypto.secret import Rng, Secret
from p2pchat.errors import IdentityError

PEER_ID_LABEL: Final = b"p2pchat/1 peer id"
PEER_ID_CHECKSUM_LEN: Final = 3
KEY_ID_LEN: Final = 8
"""Names a key in a record or on the screen; not enough to trust one by."""
PEER_ID_CHARS: Final = 56
"""35 bytes in base32, without padding."""
_FORM: Final = re.compile(f"[a-z2-7]{{{PEER_ID_CHARS}}}")


@dataclass(frozen=True, slots=True)
class IdentityKey:
    """Our own Ed25519 identity: 32-byte seed and 32-byte public key."""

    seed: Secret
    public: bytes


def identity_from_seed(seed: Secret) -> IdentityKey:
    """Complete a 32-byte seed.

    Raises:
        InvalidKeyError: The seed is not 32 bytes.
    """
    return IdentityKey(seed, ed25519.public_key(seed))


def generate_identity(*, rng: Rng) -> IdentityKey:
    """Make a new identity; calls ``rng`` once, for 32 bytes."""
    return identity_from_seed(Secret(rng(KEY_LEN)))


def peer_id(identity: bytes) -> str:
    """Return the 56-character peer id of a 32-byte identity key (R-3.2.1)."""
    return base64.b32encode(identity + _checksum(identity)).decode().lower()


def parse_peer_id(text: str) -> bytes:
    """Return the 32-byte identity key that a peer id names (R-3.2.2).

    Raises:
        IdentityError: Not 56 characters of lower-case base32, or the checksum differs.
    """
    # Before any change of case: "ı" and "ſ" are lower case too, and their capitals are I and S.
    if not _FORM.fullmatch(text):
        raise IdentityError(f"a peer id has {PEER_ID_CHARS} letters a-z and digits 2-7")
    raw = base64.b32decode(text.upper())
    identity, checksum = raw[:KEY_LEN], raw[KEY_LEN:]
    if checksum != _checksum(identity):
        raise IdentityError("the peer id is mistyped: its checksum differs")
    return identity


def key_id(public: bytes) -> bytes:
    """Return the 8 bytes by which a public key of any kind is named in records."""
    return hashlib.sha256(public).digest()[:KEY_ID_LEN]


def _checksum(identity: bytes) -> bytes:
    return hashlib.sha256(PEER_ID_LABEL + identity).digest()[:PEER_ID_CHECKSUM_LEN]
