"""The record on the screen and in ``log``: its words, and ``/record`` and ``/sign``; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from p2pchat.tui.changing import VANISH_MARK, timer_text

if TYPE_CHECKING:
    from p2pchat.tui.navigation import Step
    from p2pchat.tui.state import AppState

RECORD_MARK: Final = "✎"
"""Of statements and of words about the record; stands where no text of anybody reaches."""
_WORDS: Final = {
    "record.propose": (
        "asks to go on the record: what is signed there proves for good who said it",
        "you asked to go on the record",
    ),
    "record.accept": ("agrees to be on the record", "you agreed to be on the record"),
    "record.decline": ("does not want to be on the record", "you declined to be on the record"),
    "record.end": ("is off the record again", "you went off the record"),
}


def shown_text(kind: str, text: str, *, incoming: bool) -> str:
    """Return what is shown of a message: its text, or the words for what it says of the record."""
    if kind in _WORDS:
        theirs, ours = _WORDS[kind]
        return theirs if incoming else ours
    if kind.startswith("timer."):
        return timer_text(kind, text, incoming=incoming)
    return f"signed: {text}" if kind == "statement" else text


def mark_of(kind: str) -> str:
    """Return the sign before the name of what is no plain text, or ""."""
    if kind.startswith("timer."):
        return VANISH_MARK
    return "" if kind == "text" else RECORD_MARK


def run(state: AppState, name: str, argument: str) -> Step:
    """Run ``/record`` or ``/sign``; the node judges whether it may be."""
    # Late: ``log`` needs the words above, and no screen.
    from p2pchat.tui.conversation import Tone
    from p2pchat.tui.effects import Call, SetComposer
    from p2pchat.tui.navigation import with_flash

    contact = state.active_contact
    if contact is None:
        return with_flash(state, "There is no contact here.", Tone.ERROR), ()
    about: tuple[tuple[str, object], ...] = (("contact", contact.handle),)
    if name == "sign":
        if contact.record != "on":
            text = "Not signed: both of you have to be on the record first. /record proposes it."
            return with_flash(state, text, Tone.ERROR), ()
        call = Call("record.sign", (*about, ("text", argument)), contact.handle)
        return state, (SetComposer(""), call)
    step = argument.lower()
    if step not in ("", "propose", "accept", "decline", "end"):
        return with_flash(state, "/record takes accept, decline or end.", Tone.ERROR), ()
    if not step:
        standing = {
            "on": f"You and {contact.name} are on the record: /sign TEXT, or /record end.",
            "proposed": f"Proposed; {contact.name} has to accept. /record end takes it back.",
            "asked": f"{contact.name} asks to go on the record: /record accept, or decline.",
        }.get(contact.record)
        if standing:
            return with_flash(state, standing), (SetComposer(""),)
    params = (*about, ("step", step or "propose"))
    return state, (SetComposer(""), Call("record.step", params, contact.handle))
