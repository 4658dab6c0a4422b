"""Whether two people are on the record, as a pure table (protocol.md §9.4).

Both have to agree before a statement is sent, or shown as one. What is missing in the table
changes nothing: a word that crossed another on its way is no fault.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class OnRecord(StrEnum):
    """Where one side stands."""

    OFF = "off"
    PROPOSED = "proposed"
    """We have proposed it."""
    ASKED = "asked"
    """They have proposed it."""
    ON = "on"


class RecordStep(StrEnum):
    """What either side says about it; the words of the protocol."""

    PROPOSE = "propose"
    ACCEPT = "accept"
    DECLINE = "decline"
    END = "end"


_O, _R = OnRecord, RecordStep
OURS: Final[Mapping[tuple[OnRecord, RecordStep], OnRecord]] = MappingProxyType(
    {
        (_O.OFF, _R.PROPOSE): _O.PROPOSED,
        (_O.ASKED, _R.ACCEPT): _O.ON,
        (_O.ASKED, _R.DECLINE): _O.OFF,
        (_O.PROPOSED, _R.END): _O.OFF,
        (_O.ON, _R.END): _O.OFF,
    }
)
"""What our person may say."""
THEIRS: Final[Mapping[tuple[OnRecord, RecordStep], OnRecord]] = MappingProxyType(
    {
        (_O.OFF, _R.PROPOSE): _O.ASKED,
        (_O.PROPOSED, _R.PROPOSE): _O.ON,
        (_O.PROPOSED, _R.ACCEPT): _O.ON,
        (_O.PROPOSED, _R.DECLINE): _O.OFF,
        (_O.ASKED, _R.END): _O.OFF,
        (_O.ON, _R.END): _O.OFF,
    }
)
"""What they may say; anything else changes nothing."""


def markdown() -> str:
    """Return both tables as protocol.md §9.4 prints them."""
    rows = ["| state | said | next state |", "|---|---|---|"]
    for who, table in (("we", OURS), ("they", THEIRS)):
        rows += [
            f"| {state.value} | {who}: {step.value} | {following.value} |"
            for (state, step), following in table.items()
        ]
    return "\n".join(rows)
