"""Looking for messages: by words in one chat or in all, or from a day on; pure and total.

What is found is listed in a panel, each message by a few words around the first one that was
looked for; Enter goes to the chosen one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from p2pchat.errors import UsageError
from p2pchat.sanitize import clean_line
from p2pchat.tui import visiting
from p2pchat.tui.conversation import Tone
from p2pchat.tui.dates import day_span_ms
from p2pchat.tui.effects import Call
from p2pchat.tui.navigation import Step, open_panel, sentence, with_flash
from p2pchat.tui.panel_state import Hit, SearchPanel
from p2pchat.tui.recording import shown_text
from p2pchat.tui.state import AppState

SEARCH_LIMIT: Final = 50
"""Messages that are listed: of words the newest ones."""
SNIPPET_MAX_CHARS: Final = 240
"""A line of the widest screens; a message may have 64 KiB."""
_LEAD_CHARS: Final = 24
"""Before the first word that was looked for."""
ASKS: Final = ("message.list", "message.search")
"""The calls that look for messages."""


def run(state: AppState, name: str, argument: str) -> Step:
    """Run ``/search``, ``/searchall`` or ``/date``."""
    if name == "searchall":
        params: tuple[tuple[str, object], ...] = (("words", argument), ("limit", SEARCH_LIMIT))
        return open_panel(state, SearchPanel("", argument), Call("message.search", params))
    contact = state.active_contact
    if contact is None:
        return with_flash(state, "There is no chat here to look into.", Tone.ERROR), ()
    handle = contact.handle
    params = (("contact", handle), ("limit", SEARCH_LIMIT))
    if name == "search":
        call = Call("message.list", (*params, ("search", argument)), handle)
        return open_panel(state, SearchPanel(handle, argument), call)
    try:
        after_ms, _ = day_span_ms(argument)
    except UsageError as error:
        return with_flash(state, sentence(str(error)), Tone.ERROR), ()
    call = Call("message.list", (*params, ("after_ms", after_ms), ("oldest", True)), handle)
    return open_panel(state, SearchPanel(handle, argument.strip(), after_ms=after_ms), call)


def done(state: AppState, handle: str, wanted: str | int, found: tuple[Hit, ...]) -> AppState:
    """Take in what was found, unless the panel asks for something else by now.

    Args:
        state: The app's state.
        handle: Whose messages, or "" for all.
        wanted: The words, or when the day begins.
        found: Oldest first.
    """
    panel = state.panel
    if not isinstance(panel, SearchPanel) or panel.handle != handle:
        return state
    by_words = panel.after_ms is None
    if wanted != (panel.words if by_words else panel.after_ms):
        return state
    words = panel.words if by_words else ""
    hits = tuple(replace(hit, snippet=snippet(hit, words)) for hit in found)
    return replace(state, panel=replace(panel, found=hits[::-1] if by_words else hits))


def stepped(state: AppState, panel: SearchPanel, step: int) -> AppState:
    """Choose another one of those found, so many further down."""
    last = len(panel.found or ()) - 1
    chosen = max(0, min(last, panel.chosen + step))
    return replace(state, panel=replace(panel, chosen=chosen))


def go(state: AppState, panel: SearchPanel) -> Step:
    """Go to the chosen message, in its chat."""
    if not panel.found:
        return state, ()
    hit = panel.found[panel.chosen]
    if state.contact(hit.handle) is None:
        return with_flash(state, "That contact is gone.", Tone.ERROR), ()
    return visiting.go_to(state, hit.handle, hit.message)


def snippet(hit: Hit, words: str) -> str:
    """Return a line of the message, from a little before the first of the words on.

    The words are found as they are typed, without regard to capitals; where the node found them
    otherwise (accents, parts of a word), it is the message's beginning.
    """
    message = hit.message
    if message.deleted:
        return "deleted"
    text = shown_text(message.kind, message.text, incoming=not message.outgoing)
    lowered = text.lower()
    places = [at for word in words.lower().split() if (at := lowered.find(word)) >= 0]
    start = max(0, min(places, default=0) - _LEAD_CHARS)
    if start:  # at a word's beginning, if there is one near
        space = text.find(" ", start, start + _LEAD_CHARS)
        start = max(start, space)
    # Cleaned again, since a cut may part a sign from its marks; twice as long, since white space
    # runs become one space.
    line = clean_line(text[start : start + 2 * SNIPPET_MAX_CHARS], SNIPPET_MAX_CHARS - 1)
    return f"…{line}" if start else line
