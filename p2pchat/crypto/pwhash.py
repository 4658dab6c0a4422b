"""Argon2id (RFC 9106; protocol.md is not concerned: this never touches the wire) via libsodium.

Parameters travel beside the salt, so they can grow later. They are bounded on the way in: a
damaged or hostile key file must not make us allocate without limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import nacl.exceptions
import nacl.pwhash.argon2id

from p2pchat.constants import KEY_LEN
from p2pchat.crypto.secret import Rng, Secret
from p2pchat.errors import CryptoError

SALT_LEN: Final = nacl.pwhash.argon2id.SALTBYTES
"""16 bytes."""
DEFAULT_TIME_COST: Final = 3
DEFAULT_MEMORY_KIB: Final = 256 * 1024
MAX_TIME_COST: Final = 16
MAX_MEMORY_KIB: Final = 2 * 1024 * 1024
"""2 GiB: more is a damaged file, not a choice."""
MIN_MEMORY_KIB: Final = 8
"""libsodium's own floor."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """What Argon2id needs beside the passphrase: 16-byte salt, passes, KiB of memory."""

    salt: bytes
    time_cost: int = DEFAULT_TIME_COST
    memory_kib: int = DEFAULT_MEMORY_KIB

    def __post_init__(self) -> None:
        """Refuse figures that no honest key file holds."""
        if len(self.salt) != SALT_LEN:
            raise CryptoError(f"an Argon2id salt has {SALT_LEN} bytes")
        if not 1 <= self.time_cost <= MAX_TIME_COST:
            raise CryptoError("Argon2id time cost is out of range")
        if not MIN_MEMORY_KIB <= self.memory_kib <= MAX_MEMORY_KIB:
            raise CryptoError("Argon2id memory is out of range")


def new_parameters(*, rng: Rng) -> Parameters:
    """Return default costs (3 passes, 256 MiB) with a fresh salt."""
    return Parameters(rng(SALT_LEN))


def derive_key(passphrase: Secret, parameters: Parameters) -> Secret:
    """Derive a 32-byte key; costs about ``memory_kib`` KiB and most of a second by default.

    Raises:
        CryptoError: The memory could not be had.
    """
    try:
        return Secret(
            nacl.pwhash.argon2id.kdf(
                KEY_LEN,
                passphrase.reveal(),
                parameters.salt,
                opslimit=parameters.time_cost,
                memlimit=parameters.memory_kib * 1024,
            )
        )
    except (nacl.exceptions.CryptoError, MemoryError) as error:
        raise CryptoError("Argon2id failed: not enough memory?") from error
