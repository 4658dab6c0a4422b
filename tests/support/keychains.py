"""Keychains that stand in for the operating system's: in memory, and in files. For tests only."""

from __future__ import annotations

from pathlib import Path
from threading import Event

from p2pchat.crypto.secret import Secret
from p2pchat.errors import LockedError, StoreError


class MemoryKeychain:
    """Keeps entries in memory, notes what is put, and can be locked or fall silent.

    Attributes:
        kept: The entries.
        puts: How often each was put.
        locked: Neither tells nor takes anything.
        answers: While it is not set, nothing comes back.
        asked: How often it was asked for an entry.
    """

    def __init__(self) -> None:
        self.kept: dict[str, Secret] = {}
        self.puts: dict[str, int] = {}
        self.locked = False
        self.asked = 0
        self.answers = Event()
        self.answers.set()

    def find(self, entry: str) -> Secret | None:
        self.asked += 1
        self.answers.wait()
        if self.locked:
            raise LockedError("the keychain did not open")
        return self.kept.get(entry)

    def get(self, entry: str) -> Secret:
        key = self.find(entry)
        if key is None:
            raise LockedError("no such entry")
        return key

    def put(self, entry: str, key: Secret) -> None:
        self.kept[entry] = key
        self.puts[entry] = self.puts.get(entry, 0) + 1

    def delete(self, entry: str) -> None:
        if self.locked:
            raise StoreError(f"the keychain did not delete {entry}")
        self.kept.pop(entry, None)


class FolderKeychain:
    """Outlives a killed process: a file for each entry."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)

    def find(self, entry: str) -> Secret | None:
        file = self.folder / entry
        return Secret(file.read_bytes()) if file.exists() else None

    def get(self, entry: str) -> Secret:
        key = self.find(entry)
        if key is None:
            raise LockedError("no such entry")
        return key

    def put(self, entry: str, key: Secret) -> None:
        (self.folder / entry).write_bytes(key.reveal())

    def delete(self, entry: str) -> None:
        (self.folder / entry).unlink(missing_ok=True)

    def entries(self) -> set[str]:
        """Return the names of all entries but those of counts."""
        return {file.name for file in self.folder.iterdir() if file.suffix != ".count"}
