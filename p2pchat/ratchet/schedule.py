"""The ratchet's key derivations: root, chain, message and header keys (protocol.md §6.2, §6.4).

One function for each arrow of the diagram in protocol.md. Keys that outlive a call are ``Secret``;
keys that live for one message are plain ``bytes``, since wrapping them would only cost time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, NamedTuple

from p2pchat.constants import KEY_LEN
from p2pchat.crypto.aead import Cipher
from p2pchat.crypto.kdf import hkdf_sha256, hmac_sha256_pair
from p2pchat.crypto.secret import Secret

ROOT_LABEL: Final = b"p2pchat/1 ratchet root"
HYBRID_ROOT_LABEL: Final = b"p2pchat/1 ratchet root hybrid"


@dataclass(frozen=True, slots=True)
class HeaderKey:
    """A key for the headers of one chain, with its cipher set up once for all of them."""

    secret: Secret
    cipher: Cipher = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Set up the cipher; the class is frozen, hence the detour."""
        object.__setattr__(self, "cipher", Cipher(self.secret.reveal()))


class KemExchange(NamedTuple):
    """What a key encapsulation gives to the root step that mixes it in.

    Attributes:
        shared_secret: 32 bytes.
        encapsulation_key: The key that was offered; 1184 bytes.
        ciphertext: The answer to it; 1088 bytes.
    """

    shared_secret: bytes
    encapsulation_key: bytes
    ciphertext: bytes

    def __repr__(self) -> str:
        return "<KemExchange>"


def root_step(
    root_key: Secret, dh_output: bytes, exchange: KemExchange | None
) -> tuple[Secret, Secret, HeaderKey]:
    """Mix one Diffie-Hellman output into the root (R-6.2.4), and a KEM's secret (R-6.2.6).

    The secret never stands alone: whoever lacks either of the two inputs learns nothing.

    Args:
        root_key: Current root key; 32 bytes.
        dh_output: X25519 result; 32 bytes.
        exchange: That of a hybrid step, else ``None``.

    Returns:
        The next root key, a new chain's first chain key, and the header key of the chain after it.
    """
    if exchange is None:
        input_key, info = dh_output, ROOT_LABEL
    else:
        shared_secret, encapsulation_key, ciphertext = exchange
        input_key = dh_output + shared_secret
        info = HYBRID_ROOT_LABEL + sha256(encapsulation_key + ciphertext).digest()
    okm = hkdf_sha256(salt=root_key.reveal(), input_key=input_key, info=info, length=3 * KEY_LEN)
    return (
        Secret(okm[:KEY_LEN]),
        Secret(okm[KEY_LEN : 2 * KEY_LEN]),
        HeaderKey(Secret(okm[2 * KEY_LEN :])),
    )


def chain_step(chain_key: bytes) -> tuple[bytes, bytes]:
    """Return one message's key and the next chain key, 32 bytes each (R-6.2.5).

    The message key is the AEAD key of the one message that it is for; no chain key and no other
    message key can be found from it.
    """
    return hmac_sha256_pair(chain_key, b"\x01", b"\x02")
