"""A long file under one key: ChaCha20-Poly1305 in chunks (the STREAM construction).

Each chunk but the last holds ``CHUNK_BYTES`` of plaintext; the last holds fewer, or as many, and
is marked. The nonce is the chunk's number, 11 bytes big-endian, and one byte that is 1 for the
last chunk, so that chunks left out, repeated, reordered or cut off at the end do not
authenticate. The key must serve one stream only: that is what makes its nonces unique.
"""

from __future__ import annotations

from typing import Final

from p2pchat.constants import TAG_LEN
from p2pchat.crypto.aead import Cipher
from p2pchat.crypto.secret import Secret

CHUNK_BYTES: Final = 65536
"""Plaintext of a whole chunk: what a reader has to hold before it believes it."""
SEALED_CHUNK_BYTES: Final = CHUNK_BYTES + TAG_LEN
_COUNTER_LEN: Final = 11


class ChunkSealer:
    """Encrypts the chunks of one stream, in order."""

    def __init__(self, key: Secret) -> None:
        self._cipher = Cipher(key.reveal())
        self._number = 0

    def seal(self, chunk: bytes, *, last: bool) -> bytes:
        """Return the next chunk encrypted, 16 bytes longer; at most ``CHUNK_BYTES`` go in."""
        nonce = _nonce(self._number, last=last)
        self._number += 1
        return self._cipher.seal(nonce, chunk, b"")


class ChunkOpener:
    """Decrypts the chunks of one stream, in order."""

    def __init__(self, key: Secret) -> None:
        self._cipher = Cipher(key.reveal())
        self._number = 0

    def open(self, sealed: bytes, *, last: bool) -> bytes:
        """Return the next chunk's plaintext.

        Raises:
            DecryptionError: It is not the next chunk of this stream, or not (only) the last.
        """
        plaintext = self._cipher.open(_nonce(self._number, last=last), sealed, b"")
        self._number += 1
        return plaintext


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(_COUNTER_LEN, "big") + bytes([last])
