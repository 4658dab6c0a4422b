"""Finds out where secrets go: notes every one that is made, and looks for them in what leaks.

A canary is a passphrase, a plaintext, any ``Secret``, any key that seals or opens something, and
what a chain step makes. It is looked for as it is, in hexadecimal, in base64 at each alignment, as
Python writes bytes, and as a list of numbers; the first 16 bytes suffice.
"""

from __future__ import annotations

import base64
import gc
import io
import logging
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from p2pchat.cli.logs import JsonFormatter
from p2pchat.crypto import aead
from p2pchat.crypto.secret import Secret
from p2pchat.errors import P2PChatError
from p2pchat.ratchet import double_ratchet, schedule
from p2pchat.store.transaction import SqlTransaction

SHORTEST = 16
"""Bytes; what is shorter is no key, and turns up by chance."""


class Canaries:
    """All secrets so far."""

    def __init__(self) -> None:
        self.values: dict[bytes, str] = {}

    def add(self, value: bytes, what: str) -> None:
        if len(value) >= SHORTEST and value.strip(b"\0"):  # zeros probe what is available
            self.values.setdefault(value[:SHORTEST], what)

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Note from now on what is made and used anywhere in this process."""
        original_init, original_step = Secret.__init__, schedule.chain_step
        cipher_init = aead.Cipher.__init__

        def init(secret: Secret, value: bytes) -> None:
            self.add(value, "a Secret")
            original_init(secret, value)

        def step(chain_key: bytes) -> tuple[bytes, bytes]:
            message_key, next_key = original_step(chain_key)
            self.add(message_key, "a message key")
            self.add(next_key, "a chain key")
            return message_key, next_key

        def keyed(cipher: aead.Cipher, key: bytes) -> None:
            self.add(key, "a key of a Cipher")
            cipher_init(cipher, key)

        monkeypatch.setattr(Secret, "__init__", init)
        monkeypatch.setattr(double_ratchet, "chain_step", step)
        monkeypatch.setattr(aead.Cipher, "__init__", keyed)
        for name in ("seal", "open_"):
            self._watch_keys(monkeypatch, name)

    def _watch_keys(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        original = getattr(aead, name)

        def keyed(key: bytes, *rest: bytes) -> bytes:
            self.add(key, f"a key of aead.{name}")
            result: bytes = original(key, *rest)
            return result

        monkeypatch.setattr(aead, name, keyed)

    def found_in(self, surfaces: dict[str, Iterable[bytes]]) -> list[str]:
        """Return a line for each canary in each surface; tells what it is, not its value."""
        lines = []
        for name, parts in surfaces.items():
            content = b"\n".join(dict.fromkeys(parts))
            for value, what in self.values.items():
                lines += [
                    f"{what} as {form} in {name}"
                    for form, needle in _forms(value)
                    if needle in content
                ]
        return lines


def _forms(value: bytes) -> Iterator[tuple[str, bytes]]:
    yield "itself", value
    yield "hex", value.hex().encode()
    yield "HEX", value.hex().upper().encode()
    yield "bytes", repr(value)[2:-1].encode()
    yield "numbers", str(list(value))[1:-1].encode()
    for shift in range(3):
        # The letters that depend on this value alone, whatever stands before and after it.
        padded = bytes(shift) + value[: len(value) - (len(value) + shift) % 3]
        core = base64.b64encode(padded)[-(-shift * 8 // 6) :]
        yield f"base64 at {shift}", core
        yield f"base64url at {shift}", core.translate(bytes.maketrans(b"+/", b"-_"))


class Surfaces:
    """Everything of this process that others may see, gathered while it works."""

    def __init__(self) -> None:
        self._log = io.StringIO()
        self._reprs: set[str] = set()
        self._errors: set[str] = set()
        self.more: dict[str, list[bytes]] = {}

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Log everything, and look at all objects each time that a message is stored."""
        root = logging.getLogger()
        handlers: list[logging.Handler] = []
        for formatter in (JsonFormatter(), logging.Formatter("%(name)s %(message)s %(args)s")):
            handler = logging.StreamHandler(self._log)
            handler.setFormatter(formatter)
            handlers.append(handler)
        monkeypatch.setattr(root, "handlers", handlers)
        monkeypatch.setattr(root, "level", logging.DEBUG)
        original_add, original_init = SqlTransaction.add_message, P2PChatError.__init__

        def add_message(transaction: SqlTransaction, *arguments: Any, **named: Any) -> None:
            self.look_at_objects()
            original_add(transaction, *arguments, **named)

        def init(error: P2PChatError, *arguments: Any) -> None:
            self._errors.add(repr(arguments))
            original_init(error, *arguments)

        monkeypatch.setattr(SqlTransaction, "add_message", add_message)
        monkeypatch.setattr(P2PChatError, "__init__", init)

    def look_at_objects(self) -> None:
        """Take the ``repr`` of every living object of ours, in whatever hands it is."""
        for each in gc.get_objects():
            if str(type(each).__module__).startswith("p2pchat"):
                self._reprs.add(repr(each))

    def failed(self, error: BaseException) -> None:
        """Take what a person would see of an error that nobody caught."""
        self._errors.add("".join(traceback.format_exception(error)))

    def add(self, name: str, *parts: bytes) -> None:
        """Take something else that others may see."""
        self.more.setdefault(name, []).extend(parts)

    def add_files(self, folder: Path) -> None:
        """Take every file of a profile with its name."""
        for file in folder.iterdir():
            self.add("files", file.name.encode())
            if file.is_file():
                self.add("files", file.read_bytes())

    def all(self) -> dict[str, Iterable[bytes]]:
        def encoded(texts: Iterable[str]) -> list[bytes]:
            return [text.encode("utf-8", "surrogatepass") for text in texts]

        return {
            "logs": encoded([self._log.getvalue()]),
            "reprs": encoded(self._reprs),
            "errors": encoded(self._errors),
            **self.more,
        }
