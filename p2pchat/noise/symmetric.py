"""Noise's CipherState and SymmetricState (Noise §4, §5.1, §5.2; protocol.md §5.1).

Names are the specification's: ``k`` lives inside a ``Cipher``, ``n`` is the nonce, ``ck`` the
chaining key, ``h`` the handshake hash. Invariants: a failed decryption changes nothing; nonce
2^64-1 never encrypts a message; no key is ever shown by ``repr``.

Deliberately absent: SetNonce, since nothing here runs over a transport that reorders.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from p2pchat.constants import KEY_LEN, NOISE_MESSAGE_MAX_BYTES, TRANSPORT_PLAINTEXT_MAX_BYTES
from p2pchat.crypto import kdf
from p2pchat.crypto.aead import Cipher
from p2pchat.crypto.kdf import HashFunction
from p2pchat.crypto.secret import Secret
from p2pchat.errors import DecryptionError, ErrorCode, LocalProtocolError

NONCE_UNUSABLE: Final = 2**64 - 1
"""Reserved for REKEY (Noise §5.1); a cipher that reaches it refuses to go on."""

_encode_nonce = struct.Struct("<4xQ").pack
"""Noise §12.3: four zero bytes, then 64 bits little-endian (R-5.1.6)."""


HASHES: Final[Mapping[str, HashFunction]] = MappingProxyType(
    {
        "SHA256": kdf.SHA256,
        "SHA512": kdf.SHA512,
        "BLAKE2s": kdf.BLAKE2S,
        "BLAKE2b": kdf.BLAKE2B,
    }
)
"""By the name that they have in a Noise protocol name (Noise §12)."""


CipherCheckpoint = tuple[Cipher | None, int]
SymmetricCheckpoint = tuple[bytes, bytes, CipherCheckpoint]


class CipherState:
    """A ChaCha20-Poly1305 key with its counter, or no key yet: then data passes unchanged."""

    __slots__ = ("_cipher", "_nonce")

    def __init__(self, key: Secret | None = None, *, nonce: int = 0) -> None:
        self._cipher = None if key is None else Cipher(key.reveal())
        self._nonce = nonce

    def initialize_key(self, key: bytes) -> None:
        """Take a new 32-byte key and start at nonce 0."""
        self._cipher = Cipher(key)
        self._nonce = 0

    @property
    def has_key(self) -> bool:
        """Whether data is encrypted."""
        return self._cipher is not None

    @property
    def nonce(self) -> int:
        """Number of the next message, 0..2^64-1; the last value refuses every message."""
        return self._nonce

    def encrypt_with_ad(self, ad: bytes, plaintext: bytes) -> bytes:
        """Encrypt one message and advance the nonce.

        Args:
            ad: Authenticated and not sent; any length.
            plaintext: At most 65519 bytes.

        Returns:
            ``len(plaintext) + 16`` bytes, or ``plaintext`` itself while there is no key.

        Raises:
            LocalProtocolError: Too long, or the nonces are used up; nothing has changed.
        """
        cipher = self._cipher
        if cipher is None:
            return plaintext
        if len(plaintext) > TRANSPORT_PLAINTEXT_MAX_BYTES:
            raise LocalProtocolError(
                f"a Noise message holds {TRANSPORT_PLAINTEXT_MAX_BYTES} bytes of plaintext, "
                f"not {len(plaintext)}"
            )
        nonce = self._nonce
        if nonce >= NONCE_UNUSABLE:
            raise _exhausted()
        # Unique: the counter moves on below, and only rekeying or a new key ever leaves it alone.
        ciphertext = cipher.seal(_encode_nonce(nonce), plaintext, ad)
        self._nonce = nonce + 1
        return ciphertext

    def decrypt_with_ad(self, ad: bytes, ciphertext: bytes) -> bytes:
        """Authenticate and decrypt one message; advance the nonce only if that succeeds.

        Args:
            ad: What the sender authenticated beside it.
            ciphertext: 16..65535 bytes.

        Returns:
            ``len(ciphertext) - 16`` bytes, or ``ciphertext`` itself while there is no key.

        Raises:
            DecryptionError: Too long, too short or not authentic; the nonce stays (R-5.2.2).
            LocalProtocolError: The nonces are used up.
        """
        cipher = self._cipher
        if cipher is None:
            return ciphertext
        if len(ciphertext) > NOISE_MESSAGE_MAX_BYTES:
            raise DecryptionError(f"a Noise message has at most {NOISE_MESSAGE_MAX_BYTES} bytes")
        nonce = self._nonce
        if nonce >= NONCE_UNUSABLE:
            raise _exhausted()
        plaintext = cipher.open(_encode_nonce(nonce), ciphertext, ad)
        self._nonce = nonce + 1
        return plaintext

    def rekey(self) -> None:
        """Replace the key by REKEY(k); the nonce goes on (Noise §4.2, §11.3; R-5.1.8).

        Raises:
            LocalProtocolError: There is no key yet.
        """
        if self._cipher is None:
            raise LocalProtocolError("a cipher without a key cannot be rekeyed")
        # Unique: no message is ever encrypted with this nonce, and the key is dropped at once.
        block = self._cipher.seal(_encode_nonce(NONCE_UNUSABLE), bytes(KEY_LEN), b"")
        self._cipher = Cipher(block[:KEY_LEN])

    def checkpoint(self) -> CipherCheckpoint:
        """Return what ``restore`` needs; for the roll-back of a handshake message only."""
        return self._cipher, self._nonce

    def restore(self, checkpoint: CipherCheckpoint) -> None:
        """Go back to a checkpoint whose later ciphertexts, if any, were never sent."""
        self._cipher, self._nonce = checkpoint

    def __repr__(self) -> str:
        return f"<CipherState has_key={self.has_key} nonce={self._nonce}>"


def _exhausted() -> LocalProtocolError:
    return LocalProtocolError("this cipher's nonces are used up", ErrorCode.LIMIT_EXCEEDED)


class SymmetricState:
    """``ck``, ``h`` and the handshake's cipher (Noise §5.2)."""

    __slots__ = ("_cipher_state", "_ck", "_h", "_hash", "_new")

    def __init__(self, protocol_name: bytes, hash_function: HashFunction) -> None:
        self._hash = hash_function
        self._new = hash_function.new  # called about eight times in a handshake
        # Noise §5.2: a name that fits is padded with zeros, a longer one hashed.
        length = hash_function.length
        if len(protocol_name) <= length:
            self._h = protocol_name.ljust(length, b"\0")
        else:
            self._h = hash_function.digest(protocol_name)
        self._ck = self._h
        self._cipher_state = CipherState()

    @property
    def h(self) -> bytes:
        """The hash of everything so far: 32 or 64 bytes, public."""
        return self._h

    @property
    def has_key(self) -> bool:
        """Whether the handshake encrypts by now."""
        return self._cipher_state.has_key

    def mix_key(self, input_key: bytes) -> None:
        """Derive a new ``ck`` and key from a shared secret.

        A hash of 64 bytes gives a longer key than the cipher takes: the first 32 count.
        """
        length = self._hash.length
        blocks = self._hash.hkdf(self._ck, input_key, 2)
        self._ck = blocks[:length]
        self._cipher_state.initialize_key(blocks[length : length + KEY_LEN])

    def mix_hash(self, data: bytes) -> None:
        """Take ``data`` into ``h``."""
        self._h = self._new(self._h + data).digest()

    def mix_key_and_hash(self, input_key: bytes) -> None:
        """Derive a new ``ck``, ``h`` and key from a pre-shared key."""
        length = self._hash.length
        blocks = self._hash.hkdf(self._ck, input_key, 3)
        self._ck = blocks[:length]
        self.mix_hash(blocks[length : 2 * length])
        self._cipher_state.initialize_key(blocks[2 * length : 2 * length + KEY_LEN])

    def encrypt_and_hash(self, plaintext: bytes) -> bytes:
        """Encrypt under ``h`` as associated data, then take the ciphertext into ``h``."""
        h = self._h
        ciphertext = self._cipher_state.encrypt_with_ad(h, plaintext)
        self._h = self._new(h + ciphertext).digest()
        return ciphertext

    def decrypt_and_hash(self, ciphertext: bytes) -> bytes:
        """Undo ``encrypt_and_hash``.

        Raises:
            DecryptionError: Not authentic; nothing has changed.
        """
        h = self._h
        plaintext = self._cipher_state.decrypt_with_ad(h, ciphertext)
        self._h = self._new(h + ciphertext).digest()
        return plaintext

    def split(self) -> tuple[CipherState, CipherState, Secret]:
        """Return the initiator's and the responder's sending ciphers and ``ck``; forget ``ck``."""
        ck = self._ck
        length = self._hash.length
        blocks = self._hash.hkdf(ck, b"", 2)
        self._ck = b""
        self._cipher_state = CipherState()
        return (
            CipherState(Secret(blocks[:KEY_LEN])),
            CipherState(Secret(blocks[length : length + KEY_LEN])),
            Secret(ck),
        )

    def checkpoint(self) -> SymmetricCheckpoint:
        """Return what ``restore`` needs: references to immutable values, so this is cheap."""
        return self._ck, self._h, self._cipher_state.checkpoint()

    def restore(self, checkpoint: SymmetricCheckpoint) -> None:
        """Go back to a checkpoint."""
        self._ck, self._h, cipher = checkpoint
        self._cipher_state.restore(cipher)

    def __repr__(self) -> str:
        return f"<SymmetricState {self._cipher_state!r}>"
