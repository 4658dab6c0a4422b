"""Replies, edits, deletion, reactions, resending, disappearing: words and commands; pure.

A command is about the chosen message (Alt+↑), or, if none is chosen, about the newest one that it
can be about. What may be changed is the node's to judge.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from p2pchat.tui.conversation import Conversation, Message
    from p2pchat.tui.navigation import Step
    from p2pchat.tui.state import AppState

REPLY_MARK: Final = "↪"
EDITED: Final = "(edited)"
VANISH_MARK: Final = "◔"
"""Of messages that disappear, and of words about it."""
REMOVED_MARK: Final = "×"
REACTION_MARK: Final = "╰"
CHOSEN_MARK: Final = "▸"
CLUSTERS_MAX: Final = 3
"""Signs of one reaction that are shown or sent."""
_UNITS: Final = (
    (7 * 24 * 3600, "week", "w"),
    (24 * 3600, "day", "d"),
    (3600, "hour", "h"),
    (60, "minute", "m"),
    (1, "second", "s"),
)
_TIME: Final = re.compile(r"(\d{1,9}) ?([smhdw])")
_USAGE: Final = "/disappearing takes a time such as 30s, 5m, 1h, 1d or 4w, or accept, decline, off."


def span(seconds: int) -> str:
    """Return a time in words, in its largest whole unit."""
    for size, word, _ in _UNITS:
        if seconds >= size and seconds % size == 0:
            count = seconds // size
            return f"{count} {word}{'s' if count > 1 else ''}"
    return f"{seconds} seconds"


def seconds_of(text: str) -> int | None:
    """Return the seconds of a time as a person types it, such as 30s, 5m, 1h, 1d or 4w."""
    time = _TIME.fullmatch(text.strip().lower())
    if time is None:
        return None
    return int(time[1]) * next(size for size, _, letter in _UNITS if letter == time[2])


def timer_text(kind: str, text: str, *, incoming: bool) -> str:
    """Return what is shown of a word about disappearing messages."""
    time = span(int(text)) if text.isascii() and text.isdigit() else "some time"
    match kind.removeprefix("timer."):
        case "propose" if incoming:
            return (
                f"proposes that messages disappear after {time}: /disappearing accept, or decline"
            )
        case "propose":
            return f"you proposed that messages disappear after {time}"
        case "accept":
            return f"{'agrees' if incoming else 'you agreed'}: messages disappear from now on"
        case "decline":
            return f"{'does' if incoming else 'you do'} not want messages to disappear so"
        case _:
            return f"{'ended' if incoming else 'you ended'} it: new messages stay"


def run(state: AppState, name: str, argument: str) -> Step:
    """Run one of the commands."""
    # Late: ``log`` needs the words above, and no screen.
    from p2pchat.tui.conversation import Tone
    from p2pchat.tui.effects import Call, SetComposer
    from p2pchat.tui.navigation import with_flash
    from p2pchat.tui.state import Confirm, Question

    contact = state.active_contact
    if contact is None:
        return with_flash(state, "There is no contact here.", Tone.ERROR), ()
    handle = contact.handle
    if name == "disappearing":
        return _disappearing(state, handle, argument)
    message = _target(state.shown, _WANTED[name], theirs=name in ("reply", "react"))
    if message is None:
        return with_flash(state, _MISSING[name], Tone.ERROR), ()
    about: tuple[tuple[str, object], ...] = (("contact", handle), ("message_id", message.key))
    emptied = _unchosen(state, handle)
    match name:
        case "resend":
            return emptied, (SetComposer(""), Call("message.resend", about, handle))
        case "edit" if not argument:
            return state, (SetComposer(f"/edit {message.text}"),)
        case "reply" | "edit":
            call = Call(f"message.{name}", (*about, ("text", argument)), handle)
            return emptied, (SetComposer(""), call)
        case "delete":
            asked = Confirm(Question.DELETE, handle, message.key)
            return replace(emptied, confirm=asked), (SetComposer(""),)
        case _:
            emoji = "".join(argument.split())
            if sum(1 for _ in _clusters(emoji)) > CLUSTERS_MAX:
                text = f"/react takes an emoji, or {CLUSTERS_MAX} signs at most."
                return with_flash(state, text, Tone.ERROR), ()
            call = Call("message.react", (*about, ("emoji", emoji)), handle)
            return emptied, (SetComposer(""), call)


def chosen(chat: Conversation, step: int) -> Conversation:
    """Choose the next message up (-1) or down (1); below the newest one none is."""
    from p2pchat.tui.conversation import Anchor, Message

    places = [at for at, entry in enumerate(chat.entries) if isinstance(entry, Message)]
    here = next((n for n, at in enumerate(places) if chat.entries[at].key == chat.selected), None)
    following = len(places) + step if here is None else here + step
    if not 0 <= following < len(places):
        stays = following < 0
        return chat if stays else replace(chat, selected="", anchor=None)
    at = places[following]
    below = len(chat.entries) - 1 - at
    # One more entry stays in sight below it; the last few are in sight anyhow.
    anchor = Anchor(below - 1, 0) if below > 2 else None
    return replace(chat, selected=chat.entries[at].key, anchor=anchor)


def shown_reaction(emoji: str) -> str:
    """Return as much of a reaction as is shown."""
    parts = [cluster for cluster, _ in _clusters(emoji)]
    return "".join(parts[:CLUSTERS_MAX]) + ("…" if len(parts) > CLUSTERS_MAX else "")


def _clusters(text: str) -> list[tuple[str, int]]:
    from p2pchat.tui.cells import clusters

    return list(clusters(text))


def _unchosen(state: AppState, handle: str) -> AppState:
    from p2pchat.tui.navigation import with_chat, with_shown

    state = with_shown(state, replace(state.shown, selected=""))
    return with_chat(state, handle, replace(state.conversation(handle), draft=""))


def _disappearing(state: AppState, handle: str, argument: str) -> Step:
    from p2pchat.tui.conversation import Tone
    from p2pchat.tui.effects import Call, SetComposer
    from p2pchat.tui.navigation import with_flash

    contact = state.contact(handle)
    word = argument.lower()
    if not word and contact is not None:
        return with_flash(state, _standing(contact.timer_s, contact.timer_asked_s)), (
            SetComposer(""),
        )
    step = {"accept": "accept", "decline": "decline", "off": "end", "end": "end"}.get(word)
    params: tuple[tuple[str, object], ...] = (("contact", handle), ("step", step or "propose"))
    if step is None:
        seconds = seconds_of(word)
        if seconds is None:
            return with_flash(state, _USAGE, Tone.ERROR), ()
        params += (("seconds", seconds),)
    return _unchosen(state, handle), (SetComposer(""), Call("message.timer", params, handle))


def _standing(timer_s: int, asked_s: int) -> str:
    now = f"Messages disappear after {span(timer_s)}." if timer_s else "Messages stay."
    if asked_s:
        return f"{now} Proposed: {span(asked_s)}. /disappearing accept, or decline."
    return f"{now} /disappearing 1d proposes a day, off ends it."


def _target(
    chat: Conversation, wanted: Callable[[Message], bool], *, theirs: bool
) -> Message | None:
    """Return the chosen message, or the newest that fits; ours are answered only if chosen."""
    from p2pchat.tui.chats import LOCAL_PREFIX
    from p2pchat.tui.conversation import Message

    for entry in reversed(chat.entries):
        if not isinstance(entry, Message) or entry.key.startswith(LOCAL_PREFIX):
            continue
        if chat.selected and entry.key != chat.selected:
            continue
        if theirs and entry.outgoing and not chat.selected:
            continue
        if not entry.deleted and wanted(entry):
            return entry
    return None


def _failed(message: Message) -> bool:
    from p2pchat.tui.conversation import Delivery

    return message.outgoing and message.state is Delivery.FAILED


def _text(message: Message) -> bool:
    return message.kind in ("text", "statement")


_WANTED: Final[dict[str, Callable[[Message], bool]]] = {
    "reply": _text,
    "react": _text,
    "edit": lambda each: each.kind == "text" and each.outgoing,
    "delete": lambda each: each.kind == "text" and each.outgoing,
    "resend": _failed,
}
_MISSING: Final = {
    "reply": "There is no message of theirs here to answer.",
    "react": "There is no message of theirs here to react to.",
    "edit": "That is no message of yours that could be edited.",
    "delete": "That is no message of yours that could be deleted.",
    "resend": "There is no message of yours here that failed.",
}
