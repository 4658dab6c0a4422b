"""The words about verification that screens and commands share: how, how long ago, how it ended.

Light on purpose: commands import it, and should not wait for a terminal library.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

VERIFIED_BY: Final[Mapping[str, str]] = {
    "number": " by safety number",
    "secret": " by shared secret",
}
_MINUTE_MS: Final = 60_000
_UNITS: Final = (
    (365 * 24 * 60, 730 * 24 * 60, "year"),
    (30 * 24 * 60, 60 * 24 * 60, "month"),
    (24 * 60, 24 * 60, "day"),
    (60, 60, "hour"),
    (1, 1, "minute"),
)
"""Minutes of a unit, minutes from which it is used (months up to two years), and its name."""

ALARMING: Final = frozenset({"foreign", "replayed", "disturbed"})
"""Ends that no honest peer brings about."""


def ago(then_ms: int, now_ms: int) -> str:
    """Return how long ago something was, in the greatest unit that fits."""
    minutes = max(0, now_ms - then_ms) // _MINUTE_MS
    for size, least, unit in _UNITS:
        if minutes >= least:
            count = minutes // size
            return f"{count} {unit}{'s' if count != 1 else ''} ago"
    return "just now"


def ended_words(outcome: str, who: str, tries_left: int) -> str:
    """Return the sentence with which a comparison ends; ``outcome`` as the node words it."""
    match outcome:
        case "verified":
            return f"Both of you typed the same phrase: {who} is verified."
        case "differed":
            tries = "1 try is" if tries_left == 1 else f"{tries_left or 'no'} tries are"
            return (
                f"Not verified: the two phrases differ. One of you mistyped, or somebody stands "
                f"between you and {who} and does not know it; nobody learned the phrase. "
                f"{tries} left."
            )
        case "foreign":
            return (
                "Not verified: what came was made for another connection. Somebody passes your "
                f"messages on and may stand between you and {who}: compare the safety number by "
                "phone or face to face."
            )
        case "replayed":
            return (
                "Not verified: a message of an earlier comparison came again. Somebody may try to "
                f"pass for {who}: compare the safety number by phone or face to face."
            )
        case "disturbed":
            return (
                f"Not verified: {who}'s side broke the rules of the comparison. Its program is "
                "faulty, or somebody meddles with it; compare the safety number instead."
            )
        case "cancelled":
            return f"Not verified: {who} broke the comparison off."
        case "timed_out":
            return f"Not verified: {who} or you did not type the phrase in time. Try again."
        case "lost":
            return "Not verified: the connection ended during the comparison. Try again."
        case _:
            return "Not verified."
