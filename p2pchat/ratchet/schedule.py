"""The ratchet's key schedule: root, chain, message and header keys (protocol.md §6.2, §6.4).

One function for each arrow of the diagram in protocol.md. Keys that outlive a call are ``Secret``;
keys that live for one message are plain ``bytes``, since wrapping them would only cost time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from p2pchat.constants import KEY_LEN
from p2pchat.crypto.aead import Cipher
from p2pchat.crypto.kdf import hkdf_sha256
from p2pchat.crypto.secret import Secret

ROOT_LABEL: Final = b"p2pchat/1 ratchet root"

_SHA256_BLOCK_LEN: Final = 64
_INNER_PAD: Final = int.from_bytes(b"\x36" * KEY_LEN, "big")
_OUTER_PAD: Final = int.from_bytes(b"\x5c" * KEY_LEN, "big")
_MESSAGE_KEY_INNER: Final = b"\x36" * (_SHA256_BLOCK_LEN - KEY_LEN) + b"\x01"
_CHAIN_KEY_INNER: Final = b"\x36" * (_SHA256_BLOCK_LEN - KEY_LEN) + b"\x02"
_OUTER_REST: Final = b"\x5c" * (_SHA256_BLOCK_LEN - KEY_LEN)
"""What is left of HMAC's padded key blocks, and the inputs 0x01 and 0x02, after 32 bytes of key."""


@dataclass(frozen=True, slots=True)
class HeaderKey:
    """A key for the headers of one chain, with its cipher set up once for all of them."""

    secret: Secret
    cipher: Cipher = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Set up the cipher; the class is frozen, hence the detour."""
        object.__setattr__(self, "cipher", Cipher(self.secret.reveal()))


def root_step(root_key: Secret, dh_output: bytes) -> tuple[Secret, Secret, HeaderKey]:
    """Mix one Diffie-Hellman output into the root (R-6.2.4).

    Args:
        root_key: Current root key; 32 bytes.
        dh_output: X25519 result; 32 bytes.

    Returns:
        The next root key, a new chain's first chain key, and the header key of the chain after it.
    """
    okm = hkdf_sha256(
        salt=root_key.reveal(), input_key=dh_output, info=ROOT_LABEL, length=3 * KEY_LEN
    )
    return (
        Secret(okm[:KEY_LEN]),
        Secret(okm[KEY_LEN : 2 * KEY_LEN]),
        HeaderKey(Secret(okm[2 * KEY_LEN :])),
    )


def chain_step(chain_key: bytes) -> tuple[bytes, bytes]:
    """Return one message's key and the next chain key, 32 bytes each (R-6.2.5).

    The message key is the AEAD key of the one message that it is for; no chain key and no other
    message key can be found from it.

    These are HMAC-SHA256(chain key, 0x01) and HMAC-SHA256(chain key, 0x02), written out (RFC
    2104) so that the two share their padded keys: 1.6 us where two calls of ``hmac`` take 2.6,
    and a message costs two of these. The pads are XORed as integers, since a translation table
    would be read at places that depend on the key.
    """
    key = int.from_bytes(chain_key, "big")
    inner = (key ^ _INNER_PAD).to_bytes(KEY_LEN, "big")
    outer = (key ^ _OUTER_PAD).to_bytes(KEY_LEN, "big") + _OUTER_REST
    return (
        sha256(outer + sha256(inner + _MESSAGE_KEY_INNER).digest()).digest(),
        sha256(outer + sha256(inner + _CHAIN_KEY_INNER).digest()).digest(),
    )
