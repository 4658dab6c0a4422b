r"""The recovery kit: an identity as 24 words on paper, or as a file under a passphrase.

The words are BIP 39's English ones, and are the 32-byte Ed25519 seed itself with a checksum of 8
bits: nothing is derived, so no other program is needed to understand them. A kit holds the
identity and its name. It holds no contact, message, session or static key: those are a backup's
business, and ratchets must never be restored.

Layout of the file, version 1, integers big-endian::

    magic "p2pchat-recovery\n" 17 | version 1 | salt 16 | time_cost 4 | memory_kib 4 | nonce 12
    | seed 32 and name, sealed, + tag 16

The key is Argon2id of the kit's own passphrase; everything before the sealed part is its
associated data. Without the passphrase a damaged file and a wrong passphrase look the same.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from p2pchat.constants import KEY_LEN, NAME_MAX_BYTES, TAG_LEN
from p2pchat.crypto import aead, pwhash
from p2pchat.crypto.secret import Rng, Secret
from p2pchat.errors import CryptoError, DecryptionError, LockedError, StoreError, UsageError

WORDS: Final = 24
MAGIC: Final = b"p2pchat-recovery\n"
VERSION: Final = 1
_LABEL: Final = b"p2pchat/1 recovery kit\x00"
"""Begins the associated data: no other box of ours can be taken for this one."""
_HEADER: Final = struct.Struct(f">{len(MAGIC)}sB{pwhash.SALT_LEN}sII{aead.NONCE_LEN}s")
FILE_MAX_BYTES: Final = _HEADER.size + KEY_LEN + NAME_MAX_BYTES + TAG_LEN


@dataclass(frozen=True, slots=True)
class Kit:
    """What a kit brings back: 32-byte seed, and the name ("" if the kit is words)."""

    seed: Secret
    name: str


def to_words(seed: Secret) -> list[str]:
    """Return the 24 words of a 32-byte seed; they are as secret as the seed."""
    from mnemonic import Mnemonic  # late: reads a list of 2,048 words

    return Mnemonic("english").to_mnemonic(seed.reveal()).split(" ")


def from_words(text: str) -> Secret:
    """Return the seed that 24 words stand for; case and white space do not matter.

    Raises:
        UsageError: Says which word is wrong by its place, never by itself: an error is shown.
    """
    from mnemonic import Mnemonic  # late: reads a list of 2,048 words

    words = text.lower().split()
    if len(words) != WORDS:
        raise UsageError(f"a recovery kit has {WORDS} words, these are {len(words)}")
    kit = Mnemonic("english")
    known = frozenset(kit.wordlist)
    for place, word in enumerate(words, 1):
        if word not in known:
            raise UsageError(f"word {place} is none of the recovery words; look at it again")
    try:
        return Secret(bytes(kit.to_entropy(words)))
    except ValueError:
        raise UsageError(
            "each word is a recovery word, but they do not belong together: one is mistaken for "
            "another, or two are exchanged"
        ) from None


def seal(
    kit: Kit, passphrase: Secret, *, rng: Rng, memory_kib: int = pwhash.DEFAULT_MEMORY_KIB
) -> bytes:
    """Return the file of a kit under a passphrase of its own; takes most of a second by design.

    Raises:
        UsageError: The passphrase is empty.
        StoreError: The memory could not be had.
    """
    if not len(passphrase):
        raise UsageError("the kit's passphrase is empty; give one of several words")
    parameters = pwhash.Parameters(rng(pwhash.SALT_LEN), memory_kib=memory_kib)
    nonce = rng(aead.NONCE_LEN)
    header = _HEADER.pack(
        MAGIC, VERSION, parameters.salt, parameters.time_cost, parameters.memory_kib, nonce
    )
    key = _derive(passphrase, parameters)
    # The key is new with each salt and seals this one box; the nonce is random besides.
    return header + aead.seal(
        key.reveal(), nonce, kit.seed.reveal() + kit.name.encode(), _LABEL + header
    )


def open_(encoded: bytes, passphrase: Secret) -> Kit:
    """Read a kit's file.

    Raises:
        UsageError: It is no such file.
        LockedError: The passphrase is wrong, or the file is damaged.
        StoreError: Made by a newer p2pchat, or the memory could not be had.
    """
    if not encoded.startswith(MAGIC) or len(encoded) <= len(MAGIC):
        raise UsageError("that is no recovery kit of p2pchat")
    if encoded[len(MAGIC)] != VERSION:
        raise StoreError("the recovery kit was made by a newer p2pchat; update p2pchat")
    if not _HEADER.size + KEY_LEN + TAG_LEN <= len(encoded) <= FILE_MAX_BYTES:
        raise UsageError("the recovery kit is damaged: it has the wrong length")
    header, sealed = encoded[: _HEADER.size], encoded[_HEADER.size :]
    _, _, salt, time_cost, memory_kib, nonce = _HEADER.unpack(header)
    try:
        # Bounds: a hostile file must not make us allocate without limit.
        parameters = pwhash.Parameters(salt, time_cost, memory_kib)
    except CryptoError:
        raise UsageError("the recovery kit is damaged: its figures are out of range") from None
    key = _derive(passphrase, parameters)
    try:
        content = aead.open_(key.reveal(), nonce, sealed, _LABEL + header)
    except DecryptionError:
        raise LockedError("the kit's passphrase is wrong, or the kit is damaged") from None
    return Kit(Secret(content[:KEY_LEN]), content[KEY_LEN:].decode(errors="replace"))


def _derive(passphrase: Secret, parameters: pwhash.Parameters) -> Secret:
    try:
        return pwhash.derive_key(passphrase, parameters)
    except CryptoError as error:
        need = parameters.memory_kib // 1024
        raise StoreError(f"a recovery kit needs {need} MiB of memory, not to be had") from error
