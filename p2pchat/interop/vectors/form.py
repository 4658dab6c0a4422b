"""The form of a file of vectors, and how a refused input is judged.

Bytes are lower-case hexadecimal. ``refused`` entries name the reader that must refuse the input
(one of ``Judge``'s names in the file's ``readers``) and the error: a wire code of protocol.md §12,
or ``malformed`` where no peer is told anything.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from p2pchat.errors import (
    CertificateError,
    CryptoError,
    IdentityError,
    P2PChatError,
    ProtocolError,
    TrustError,
    UsageError,
)

MALFORMED: Final = "malformed"
"""The error of what no peer sent: a mistyped id, a damaged link."""

Judge = Callable[[str], object]
"""Reads an input as it stands in the file; raises if it has to be refused."""


@dataclass(frozen=True, slots=True)
class VectorFile:
    """One file.

    Attributes:
        name: Of the file.
        about: What is in it, and its section of protocol.md.
        cases: Named; inputs and outputs.
        refused: Named; a reader, its input, and the error.
        judges: The readers, by name.
        crypto_code: The wire code that a failed tag has here.
    """

    name: str
    about: str
    cases: list[dict[str, Any]]
    refused: list[dict[str, str]] = field(default_factory=list)
    judges: Mapping[str, Judge] = field(default_factory=dict)
    crypto_code: str = "PROTOCOL_VIOLATION"

    def content(self) -> dict[str, Any]:
        """Return what the file holds."""
        return {"about": self.about, "cases": self.cases, "refused": self.refused}

    def text(self) -> str:
        """Return the file."""
        return json.dumps(self.content(), indent=1, ensure_ascii=True) + "\n"

    def judge(self, entry: Mapping[str, str]) -> str:
        """Return the error with which our reader refuses an entry's input; empty if it does not."""
        try:
            self.judges[entry["reader"]](entry["input"])
        except ProtocolError as error:
            return error.code.name
        except CertificateError:
            return "CERTIFICATE_INVALID"
        except CryptoError:
            return self.crypto_code
        except (IdentityError, TrustError, UsageError):
            return MALFORMED
        except P2PChatError as error:
            return type(error).__name__
        return ""


def refused(reader: str, error: str, **inputs: str | bytes) -> list[dict[str, str]]:
    """Return entries that ``reader`` refuses with ``error``; names have spaces for underscores."""
    return [
        {
            "name": name.replace("_", " "),
            "reader": reader,
            "input": data.hex() if isinstance(data, bytes) else data,
            "error": error,
        }
        for name, data in inputs.items()
    ]


def from_hex(reader: Callable[[bytes], object]) -> Judge:
    """Make a judge of a reader of bytes."""
    return lambda text: reader(bytes.fromhex(text))


def flipped(data: bytes, place: int) -> bytes:
    """Return ``data`` with the lowest bit of one byte inverted."""
    changed = bytearray(data)
    changed[place] ^= 1
    return bytes(changed)
