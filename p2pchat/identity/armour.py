"""Bytes as one line of text that people copy: a scheme, URL-safe base64, a checksum.

There is one proper text for the same bytes. The checksum finds what was cut off or mistyped; it
protects against nobody.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Final

from p2pchat.errors import IdentityError

CHECKSUM_LEN: Final = 4


@dataclass(frozen=True, slots=True)
class Armour:
    """One kind of such a text.

    Attributes:
        scheme: What it begins with, colon included.
        label: Under the checksum, before the bytes.
        noun: What to call it to the person who pasted it.
        max_chars: No honest one is longer; checked before it is decoded.
        error: What a refusal raises.
    """

    scheme: str
    label: bytes
    noun: str
    max_chars: int
    error: type[IdentityError]

    def encode(self, body: bytes) -> str:
        """Return the text."""
        return self.scheme + _base64(body + self._checksum(body))

    def decode(self, text: str) -> bytes:
        """Return the bytes; white space around the text is allowed, nothing else is.

        Raises:
            IdentityError: Of the kind that ``error`` names; says what is wrong.
        """
        text = text.strip()
        if not text.startswith(self.scheme):
            raise self.error(f"a {self.noun} begins with {self.scheme}")
        if len(text) > self.max_chars:
            raise self.error(f"the {self.noun} is too long")
        payload = text.removeprefix(self.scheme)
        try:
            padded = payload + "=" * (-len(payload) % 4)
            raw = base64.b64decode(padded, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise self.error(
                f"the {self.noun} holds a character that does not belong there"
            ) from error
        if _base64(raw) != payload:
            raise self.error(f"the {self.noun} is not in its one proper form")
        body, checksum = raw[:-CHECKSUM_LEN], raw[-CHECKSUM_LEN:]
        if not body or checksum != self._checksum(body):
            raise self.error(f"the {self.noun} is damaged: was it copied whole?")
        return body

    def _checksum(self, body: bytes) -> bytes:
        return hashlib.sha256(self.label + body).digest()[:CHECKSUM_LEN]


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
