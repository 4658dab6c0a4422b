"""The panel of messages that were found: two lines each, laid out only where the window is; pure.

However long the messages are, and however many were found, a key press costs the same.
"""

from __future__ import annotations

from datetime import tzinfo
from typing import Final

from p2pchat.sanitize import clean_line
from p2pchat.tui.cells import clip
from p2pchat.tui.changing import CHOSEN_MARK
from p2pchat.tui.finding import SEARCH_LIMIT
from p2pchat.tui.history import MARGIN
from p2pchat.tui.panel_state import Hit, SearchPanel
from p2pchat.tui.state import AppState
from p2pchat.tui.text import EMPTY, Line, fit, line
from p2pchat.tui.words import clock, short_date

HIT_ROWS: Final = 2
HEAD_ROWS: Final = 3
_WORDS_MAX_CHARS: Final = 60
_NAME_CELLS: Final = 20
_INDENT: Final = "   "


def found_lines(
    state: AppState, panel: SearchPanel, cells: int, rows: int, zone: tzinfo | None
) -> list[Line]:
    """Return at most ``rows`` lines: the heading, and as many hits as fit, the chosen one too."""
    head = [EMPTY, fit(line(("class:heading", f" {_heading(state, panel)}")), cells), EMPTY]
    if panel.found is None:
        return [*head, line(("class:dim", " Searching…"))][:rows]
    if not panel.found:
        return [*head, line(("", " Nothing found."))][:rows]
    if rows < HEAD_ROWS + HIT_ROWS:
        head = []
    room = max(1, (rows - len(head)) // HIT_ROWS)
    first = max(0, min(panel.chosen - room // 2, len(panel.found) - room))
    lines = head
    for index, hit in enumerate(panel.found[first : first + room], first):
        lines += _hit_lines(state, panel, hit, cells, zone, chosen=index == panel.chosen)
    return lines[:rows]


def page(rows: int) -> int:
    """Return how many hits a page key moves."""
    return max(1, (rows - HEAD_ROWS) // HIT_ROWS - 1)


def _heading(state: AppState, panel: SearchPanel) -> str:
    contact = state.contact(panel.handle)
    where = f"the chat with {contact.name if contact else 'this contact'}"
    words = clean_line(panel.words, _WORDS_MAX_CHARS)
    if panel.after_ms is not None:
        return f"From {words} on: {where}"
    text = f"“{words}” in {where if panel.handle else 'all chats'}"
    if panel.found:
        count = len(panel.found)
        text += f": the newest {count}" if count >= SEARCH_LIMIT else f": {count} found"
    return text


def _hit_lines(
    state: AppState, panel: SearchPanel, hit: Hit, cells: int, zone: tzinfo | None, *, chosen: bool
) -> list[Line]:
    message = hit.message
    contact = state.contact(hit.handle)
    theirs = clip(contact.name if contact else "a contact", _NAME_CELLS)
    mine = clip(state.identity.name if state.identity else "You", _NAME_CELLS)
    stamp = f"[{short_date(message.sent_at_ms, zone)} {clock(message.sent_at_ms, zone)}] "
    to = f" to {theirs}" if message.outgoing and not panel.handle else ""
    head = line(
        ("class:time", (CHOSEN_MARK if chosen else MARGIN) + stamp),
        (
            "class:mine" if message.outgoing else "class:theirs",
            f"<{mine}>" if message.outgoing else f"<{theirs}>",
        ),
        ("class:dim", to),
    )
    body = line(("class:body", _INDENT + clip(hit.snippet, cells - len(_INDENT) - 1)))
    both = [fit(head, cells), fit(body, cells)]
    if not chosen:
        return both
    return [tuple((f"{style} class:selected", text) for style, text in each) for each in both]
