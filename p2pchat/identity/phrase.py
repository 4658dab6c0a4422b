"""The phrase that two people compare by typing it (protocol.md §3.8).

Two people type on two machines: what differs in case, width, composition or spacing is the same
phrase to them, and so it is here. What they see of it is theirs; only the form below is compared.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from p2pchat.constants import COMPARE_TRIES, PHRASE_MAX_BYTES, PHRASE_MIN_CHARS
from p2pchat.crypto.secret import Secret
from p2pchat.errors import TrustError, UsageError

_SPACES: Final = re.compile("[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")
"""White space as Unicode defines it; Python's own takes U+001C to U+001F for some, too."""


def normalise_phrase(typed: str) -> Secret:
    """Return the bytes that stand for a phrase (R-3.8.1).

    Raises:
        UsageError: Too short or too long, or it holds what no keyboard gives.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", typed).casefold())
    words = _SPACES.sub(" ", folded).strip(" ")
    if len(words) < PHRASE_MIN_CHARS:
        raise UsageError(f"a phrase to compare has at least {PHRASE_MIN_CHARS} characters")
    if any(unicodedata.category(char) in ("Cc", "Cs", "Cn") for char in words):
        raise UsageError("a phrase to compare is plain text, without control characters")
    phrase = words.encode()
    if len(phrase) > PHRASE_MAX_BYTES:
        raise UsageError(f"a phrase to compare has at most {PHRASE_MAX_BYTES} bytes")
    return Secret(phrase)


def require_tries(used: int) -> None:
    """Return only if a wrong phrase may be tried once more (R-3.8.6).

    Raises:
        TrustError: All are used up.
    """
    if used >= COMPARE_TRIES:
        raise TrustError(
            f"{COMPARE_TRIES} phrases were wrong: compare the safety number instead, or allow "
            "new tries once you know that it was you who mistyped"
        )
