"""ML-KEM-768 (FIPS 203; protocol.md §5.5) through ``cryptography``.

A key pair is its 64-byte seed (d ‖ z); the library expands it once and the expanded key is kept
beside it, since that costs more than encapsulating and decapsulating together. A peer's
encapsulation key is validated when it is taken in, and is a type of its own from then on.

A ciphertext of the right length always gives a shared secret: a wrong one gives a wrong secret
(implicit rejection, FIPS 203 §6.3), which shows in whatever is authenticated under it, and only
there. So nothing here says whether a ciphertext was genuine, and no caller should ask.

Deliberately absent: encapsulation from given randomness. The library draws the 32 bytes of each
encapsulation from the system itself and takes no others, so this is the one place below the shell
where no ``Rng`` can be injected; tests inject the result instead.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Final, NoReturn

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import mlkem

from p2pchat.crypto.secret import Rng, Secret
from p2pchat.errors import CryptoError, DecryptionError, InvalidKeyError

SEED_LEN: Final = 64
"""FIPS 203 §7.1: d and z."""
ENCAPSULATION_KEY_LEN: Final = 1184
"""FIPS 203 table 3."""
CIPHERTEXT_LEN: Final = 1088
"""FIPS 203 table 3."""
SHARED_SECRET_LEN: Final = 32
"""FIPS 203 table 3."""


@dataclass(frozen=True, slots=True)
class KemKeyPair:
    """An ML-KEM-768 key pair: 64-byte seed and 1184-byte encapsulation key."""

    private: Secret
    public: bytes
    _expanded: mlkem.MLKEM768PrivateKey = field(repr=False, compare=False)

    def decapsulate(self, ciphertext: bytes) -> bytes:
        """Return the 32-byte shared secret of a 1088-byte ciphertext.

        One that was not made for this key gives another secret, not an error.

        Raises:
            DecryptionError: The ciphertext has another length.
        """
        if len(ciphertext) != CIPHERTEXT_LEN:
            raise DecryptionError(
                f"an ML-KEM-768 ciphertext has {CIPHERTEXT_LEN} bytes, not {len(ciphertext)}"
            )
        # Nothing else is checked here or in the library (FIPS 203 §7.3), so nothing else fails.
        return self._expanded.decapsulate(ciphertext)


class EncapsulationKey:
    """A peer's encapsulation key, known to be one that FIPS 203 §7.2 lets us use."""

    __slots__ = ("_key", "encoded")

    def __init__(self, encoded: bytes) -> None:
        """Take in a 1184-byte key.

        Raises:
            InvalidKeyError: Another length, or a coefficient of 3329 or more (the modulus check).
            CryptoError: This ``cryptography`` has no ML-KEM.
        """
        if len(encoded) != ENCAPSULATION_KEY_LEN:
            raise InvalidKeyError(
                f"an ML-KEM-768 encapsulation key has {ENCAPSULATION_KEY_LEN} bytes, "
                f"not {len(encoded)}"
            )
        try:
            self._key = mlkem.MLKEM768PublicKey.from_public_bytes(encoded)
        except ValueError:  # whatever its words are: a test shows that it checks the modulus
            raise InvalidKeyError("an ML-KEM-768 encapsulation key is out of range") from None
        except UnsupportedAlgorithm:
            _refuse_library()
        self.encoded = encoded

    def encapsulate(self) -> tuple[bytes, bytes]:
        """Make a shared secret for the owner of this key.

        Takes no ``rng``: the library uses the system's randomness and offers no way to give it
        other bytes.

        Returns:
            The 1088-byte ciphertext to send, and the 32-byte shared secret.
        """
        shared_secret, ciphertext = self._key.encapsulate()
        return ciphertext, shared_secret

    def __repr__(self) -> str:
        return "<EncapsulationKey>"


def key_pair(seed: Secret) -> KemKeyPair:
    """Expand a 64-byte seed.

    Raises:
        InvalidKeyError: The seed is not 64 bytes.
        CryptoError: This ``cryptography`` has no ML-KEM.
    """
    if len(seed) != SEED_LEN:
        raise InvalidKeyError(f"an ML-KEM-768 seed has {SEED_LEN} bytes, not {len(seed)}")
    try:
        expanded = mlkem.MLKEM768PrivateKey.from_seed_bytes(seed.reveal())
    except UnsupportedAlgorithm:
        _refuse_library()
    return KemKeyPair(seed, expanded.public_key().public_bytes_raw(), expanded)


def generate(*, rng: Rng) -> KemKeyPair:
    """Make a new key pair; calls ``rng`` once, for 64 bytes."""
    return key_pair(Secret(rng(SEED_LEN)))


@cache
def require_available() -> None:
    """Check once that the installed ``cryptography`` really has ML-KEM-768.

    Its version does not tell: 47's wheel has the module, and refuses when it is used.

    Raises:
        CryptoError: It has not.
    """
    key_pair(Secret(bytes(SEED_LEN)))


def _refuse_library() -> NoReturn:
    raise CryptoError(
        "the installed `cryptography` has no ML-KEM-768; version 48 or later is needed"
    ) from None
