"""A file that appears under its name whole, or not at all, and never in the place of another."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from p2pchat.crypto.secret import Rng
from p2pchat.errors import StoreError
from p2pchat.store.keyfile import sync_folder


@contextmanager
def new_file(path: Path, what: str, *, rng: Rng) -> Iterator[IO[bytes]]:
    """Give a file to write, readable by its owner alone; it gets its name at the end of the block.

    It is written under another name first and synced. Whatever the block raises, nothing stays.

    Args:
        path: Must not exist.
        what: What is written, with its article, for errors.
        rng: For the other name.

    Raises:
        StoreError: The file exists or the disk refuses.
    """
    temporary = path.with_name(f".{path.name}.{rng(4).hex()}.part")
    try:
        if path.exists():
            raise StoreError(f"{path} exists; {what} never replaces a file: choose another name")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.link(temporary, path)  # unlike a rename, it never replaces what came meanwhile
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        raise StoreError(f"cannot write {what} to {path}: {error.strerror}") from error
