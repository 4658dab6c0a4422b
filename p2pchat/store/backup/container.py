r"""The backup file from outside: head, and records in encrypted chunks.

Layout, version 1, integers big-endian::

    magic "p2pchat-backup\n" 15 | version 1 | salt 16 | time_cost 4 | memory_kib 4 | nonce 16
    | check 16 | chunks (crypto.stream)

HKDF(salt = nonce, ikm = Argon2id(passphrase), info = label ‖ all before the check) gives the
stream's key, 32 bytes, and the check, by which a wrong passphrase is told from damage. So the
head is authenticated, and no two files share a key even under one passphrase. Inside, each record
is a length of 4 bytes and so many bytes. There is no half a backup, and none is ever written over
(``store.new_file``).
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Final

from p2pchat.constants import KEY_LEN
from p2pchat.crypto import pwhash
from p2pchat.crypto.kdf import hkdf_sha256
from p2pchat.crypto.secret import Rng, Secret
from p2pchat.crypto.stream import CHUNK_BYTES, SEALED_CHUNK_BYTES, ChunkOpener, ChunkSealer
from p2pchat.errors import CryptoError, DamagedStoreError, DecryptionError, LockedError, StoreError
from p2pchat.store.new_file import new_file

MAGIC: Final = b"p2pchat-backup\n"
VERSION: Final = 1
NONCE_LEN: Final = 16
CHECK_LEN: Final = 16
RECORD_MAX_BYTES: Final = 1 << 20
"""A batch of rows is cut well below this; more is not ours and is not allocated."""
_LABEL: Final = b"p2pchat/1 backup\x00"
_HEAD: Final = struct.Struct(f">{len(MAGIC)}sB{pwhash.SALT_LEN}sII{NONCE_LEN}s")
_LENGTH_LEN: Final = 4


def write(
    path: Path, records: Iterable[bytes], passphrase: Secret, *, memory_kib: int, rng: Rng
) -> None:
    """Write a backup file of these records, durably, whole or not at all; blocks.

    Args:
        path: Must not exist.
        records: At most ``RECORD_MAX_BYTES`` each.
        passphrase: Of this file; any non-empty bytes.
        memory_kib: Argon2id memory.
        rng: For salt and nonce.

    Raises:
        StoreError: The file exists or the disk refuses; nothing is left behind.
    """
    with new_file(path, "a backup", rng=rng) as file:
        head = _HEAD.pack(
            MAGIC,
            VERSION,
            rng(pwhash.SALT_LEN),
            pwhash.DEFAULT_TIME_COST,
            memory_kib,
            rng(NONCE_LEN),
        )
        key, check = _keys(head, passphrase)
        sealer = ChunkSealer(key)
        file.write(head + check)
        for chunk, last in _chunks(records):
            file.write(sealer.seal(chunk, last=last))


def read(path: Path, passphrase: Secret) -> Iterator[bytes]:
    """Return the records of a backup file, each authenticated before it is given out.

    Who reads on to the end knows that the file is whole.

    Raises:
        StoreError: It cannot be read, or a newer p2pchat made it.
        DamagedStoreError: It is no backup, or damaged, or cut short.
        LockedError: The passphrase is wrong (or the file's head damaged: the two look alike).
    """
    try:
        with path.open("rb") as file:
            head, stored_check = _read_head(file, path)
            key, check = _keys(head, passphrase)
            if not hmac.compare_digest(stored_check, check):
                raise LockedError("the backup's passphrase is wrong, or the file's head damaged")
            yield from _records(_opened(file, ChunkOpener(key), path), path)
    except OSError as error:
        raise StoreError(f"cannot read the backup {path}: {error.strerror}") from error


def _read_head(file: IO[bytes], path: Path) -> tuple[bytes, bytes]:
    head, check = file.read(_HEAD.size), file.read(CHECK_LEN)
    if not head.startswith(MAGIC):
        raise DamagedStoreError(f"{path} is not a p2pchat backup")
    if len(head) > len(MAGIC) and head[len(MAGIC)] > VERSION:
        raise StoreError(f"{path} was made by a newer p2pchat; update p2pchat")
    if len(check) < CHECK_LEN:
        raise _damaged(path)
    return head, check


def _keys(head: bytes, passphrase: Secret) -> tuple[Secret, bytes]:
    if not len(passphrase):
        raise LockedError("the backup's passphrase is empty")
    _, _, salt, time_cost, memory_kib, nonce = _HEAD.unpack(head)
    try:
        parameters = pwhash.Parameters(salt, time_cost, memory_kib)
    except CryptoError:
        raise DamagedStoreError("the backup's head is damaged: its figures are wrong") from None
    try:
        stretched = pwhash.derive_key(passphrase, parameters)
    except CryptoError as error:
        raise StoreError(
            f"the backup needs {memory_kib // 1024} MiB of memory, which is not to be had"
        ) from error
    derived = hkdf_sha256(
        salt=nonce, input_key=stretched.reveal(), info=_LABEL + head, length=KEY_LEN + CHECK_LEN
    )
    stretched.wipe()
    return Secret(derived[:KEY_LEN]), derived[KEY_LEN:]


def _chunks(records: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Join records with their lengths and cut them into chunks; the last one is marked."""
    waiting = bytearray()
    for record in records:
        if len(record) > RECORD_MAX_BYTES:
            raise StoreError("a record is too long for a backup")
        waiting += len(record).to_bytes(_LENGTH_LEN, "big") + record
        while len(waiting) > CHUNK_BYTES:  # the last chunk is never empty unless all is
            yield bytes(waiting[:CHUNK_BYTES]), False
            del waiting[:CHUNK_BYTES]
    yield bytes(waiting), True


def _opened(file: IO[bytes], opener: ChunkOpener, path: Path) -> Iterator[bytes]:
    sealed = file.read(SEALED_CHUNK_BYTES)
    while True:
        following = file.read(SEALED_CHUNK_BYTES)
        try:
            yield opener.open(sealed, last=not following)
        except DecryptionError:
            raise _damaged(path) from None
        if not following:
            return
        sealed = following


def _records(chunks: Iterator[bytes], path: Path) -> Iterator[bytes]:
    buffer = bytearray()
    for chunk in chunks:
        buffer += chunk
        position = 0
        while len(buffer) - position >= _LENGTH_LEN:
            length = int.from_bytes(buffer[position : position + _LENGTH_LEN], "big")
            if length > RECORD_MAX_BYTES:
                raise _damaged(path)
            end = position + _LENGTH_LEN + length
            if end > len(buffer):
                break
            yield bytes(buffer[position + _LENGTH_LEN : end])
            position = end
        del buffer[:position]
    if buffer:
        raise _damaged(path)


def _damaged(path: Path) -> DamagedStoreError:
    return DamagedStoreError(f"the backup {path} is damaged or cut short; use another copy of it")
