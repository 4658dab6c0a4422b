"""What Enter does: send a text, run a command, compare a pasted number; pure and total.

Whatever is refused stays in the composer: only an accepted input yields ``SetComposer("")``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, assert_never

from p2pchat.constants import SAFETY_NUMBER_DIGITS, TEXT_MAX_BYTES
from p2pchat.identity.trust import Trust
from p2pchat.sanitize import clean_text
from p2pchat.tui import changing, chats, finding, phrase, recording
from p2pchat.tui.commands import Command, Mistake, Text, looks_like_link, parse, split_link
from p2pchat.tui.conversation import Delivery, Message, Tone
from p2pchat.tui.effects import Call, Leave, LockProfile, SetComposer
from p2pchat.tui.entering import lock
from p2pchat.tui.navigation import Step, open_chat, open_panel, with_chat, with_flash
from p2pchat.tui.panel_state import (
    Comparison,
    HelpPanel,
    LinkPanel,
    PhrasePanel,
    SearchPanel,
    VerifyPanel,
    WhoPanel,
)
from p2pchat.tui.state import AppState, Confirm, Contact, Question

SAME: Final = "same"
"""Typed in place of the number by people who compared it by voice."""


def submitted(state: AppState, text: str, now_ms: int) -> Step:
    """Take the composer's content."""
    if state.confirm is not None:
        return state, ()
    if not text.strip():
        found = state.panel
        return finding.go(state, found) if isinstance(found, SearchPanel) else (state, ())
    if isinstance(state.panel, VerifyPanel) and not text.startswith("/"):
        return compare(state, state.panel, text)
    if isinstance(state.panel, PhrasePanel) and not state.panel.agreed:
        return phrase.typed(state, state.panel, text)
    match parse(text):
        case Mistake(hint):
            return with_flash(state, hint, Tone.ERROR), ()
        case Text(body):
            return _send(state, body, now_ms)
        case Command(name, argument):
            return _run(replace(state, flash=None), name, argument, now_ms)
        case _ as unreachable:
            assert_never(unreachable)


def leave(state: AppState) -> Step:
    """Go, but ask first if a draft would be lost; what was sent is safe in the queue."""
    if any(
        chat.draft.strip() and not chat.draft.startswith("/")
        for chat in state.conversations.values()
    ):
        return replace(state, confirm=Confirm(Question.LEAVE)), ()
    return state, (Leave(),)


def compare(state: AppState, panel: VerifyPanel, pasted: str) -> Step:
    """Have the pasted digits compared; "same" stands for the ones on the screen."""
    digits = "".join(pasted.split())
    if digits.lower() == SAME:
        digits = "".join(panel.number.split())
    if len(digits) != SAFETY_NUMBER_DIGITS or not (digits.isascii() and digits.isdigit()):
        count = sum(char.isdigit() for char in digits)
        problem = (
            f"That is not a safety number: it has {SAFETY_NUMBER_DIGITS} digits, this {count}."
        )
        if not panel.number and not digits:
            problem = "The number is not there yet."
        return replace(state, panel=replace(panel, problem=problem)), ()
    running = replace(panel, pasted=digits, comparison=Comparison.RUNNING, problem="")
    params = (("contact", panel.handle), ("number", digits))
    return replace(state, panel=running), (
        SetComposer(""),
        Call("contact.verify", params, panel.handle),
    )


def why_not(contact: Contact) -> str:
    """Say why nothing may be sent to this contact; "" if it may."""
    if contact.is_revoked and contact.trust is not Trust.CHANGED:
        return f"Not sent: {contact.name} has revoked this key. /add takes a new link."
    match contact.trust:
        case Trust.UNVERIFIED | Trust.VERIFIED:
            if contact.verify_first:
                return (
                    f"Not sent: your settings allow messages to verified contacts only. Compare "
                    f"with {contact.name} first: /verify or /secret."
                )
            return ""
        case Trust.CHANGED:
            return f"Not sent: {contact.name}'s key has changed. Decide first, as said above."
        case Trust.REQUEST:
            return f"Not sent: {contact.name} is not accepted yet. /accept, /decline or /block."
        case Trust.BLOCKED:
            return f"Not sent: {contact.name} is blocked. /accept lets them in again."
        case _ as unreachable:
            assert_never(unreachable)


def _send(state: AppState, body: str, now_ms: int) -> Step:
    # A terminal can hand over bytes that are no UTF-8; they travel as replacement signs.
    body = body.strip("\n").encode("utf-8", "replace").decode()
    contact = state.active_contact
    if contact is None:
        hint = "Nobody to send this to. /add LINK adds a contact."
        if looks_like_link(body):
            hint = "This is a contact link. To add it, put /add in front."
        return with_flash(state, hint, Tone.ERROR), ()
    refusal = why_not(contact)
    if refusal:
        return with_flash(state, refusal, Tone.ERROR), ()
    size = len(body.encode())
    if size > TEXT_MAX_BYTES:
        limit = TEXT_MAX_BYTES // 1024
        text = f"Not sent: {size / 1024:.1f} KiB, and the limit is {limit} KiB. Send it in parts."
        return with_flash(state, text, Tone.ERROR), ()
    key = f"{chats.LOCAL_PREFIX}{state.local_keys}"
    chat = replace(state.conversation(contact.handle), draft="", anchor=None)
    vanishes = bool(contact.timer_s)
    said = Message(key, True, clean_text(body), now_ms, Delivery.QUEUED, vanishes=vanishes)
    chat = chats.append(chat, said)
    state = with_chat(state, contact.handle, chat)
    state = replace(
        state, local_keys=state.local_keys + 1, flash=None, panel=None, panel_scroll=0, visit=None
    )
    params = (("contact", contact.handle), ("text", body))
    return state, (SetComposer(""), Call("message.send", params, contact.handle, key))


def _run(state: AppState, name: str, argument: str, now_ms: int) -> Step:
    """Run a command of ``commands.COMMANDS``; the composer is emptied unless it is refused."""
    match name:
        case "add":
            return _add(state, argument)
        case "accept" | "decline" | "keep" | "block" | "remove" | "msg":
            return _about_contact(state, name, argument)
        case "whois":
            return _whois(state, argument, now_ms)
        case "verify":
            return _verify(state, argument)
        case "reply" | "edit" | "delete" | "resend" | "react" | "disappearing":
            return changing.run(state, name, argument)
        case "record" | "sign":
            return recording.run(state, name, argument)
        case "secret":
            return phrase.asked_for(_emptied(state), argument)
        case "search" | "searchall" | "date":
            return _find(state, name, argument)
        case "export":
            return _export(state, argument)
        case "retry":
            return _done(state, Call("contact.retry", _contact_param(state), state.active))
        case "myid":
            return open_panel(_emptied(state), LinkPanel(), Call("identity.show"))
        case "help":
            return open_panel(_emptied(state), HelpPanel())
        case "lock":
            return lock(state, LockProfile())
        case "quit":
            return leave(_emptied(state))
        case _:
            return with_flash(state, f"/{name} is not a command.", Tone.ERROR), ()


def _add(state: AppState, argument: str) -> Step:
    link, name = split_link(argument)
    params: tuple[tuple[str, object], ...] = (("link", link),)
    if name:
        params += (("name", name),)
    return state, (Call("contact.add", params),)  # the composer is emptied when it succeeds


def _about_contact(state: AppState, command: str, argument: str) -> Step:
    contact = _resolve(state, argument)
    if contact is None:
        return _nobody(state, argument)
    if command == "msg":
        return open_chat(_emptied(state), contact.handle)
    objection = _objection(contact, command)
    if objection:
        return with_flash(state, objection, Tone.ERROR), ()
    if command == "remove":
        return _done(replace(state, confirm=Confirm(Question.REMOVE, contact.handle)))
    params = (("contact", contact.handle),)
    return _done(state, Call(f"contact.{command}", params, contact.handle))


def _whois(state: AppState, argument: str, now_ms: int) -> Step:
    contact = _resolve(state, argument)
    if contact is None:
        return _nobody(state, argument)
    return open_panel(_emptied(state), WhoPanel(contact.handle, now_ms))


def _nobody(state: AppState, name: str) -> Step:
    missing = f"No contact is called {name}." if name else "There is no contact here."
    return with_flash(state, missing, Tone.ERROR), ()


def _objection(contact: Contact, command: str) -> str:
    if command == "decline" and contact.trust is not Trust.REQUEST:
        return f"{contact.name} is no request; /block or /remove."
    if command == "keep" and contact.trust is not Trust.CHANGED:
        return f"{contact.name}'s key has not changed; there is nothing to keep."
    if command == "accept" and contact.is_revoked and contact.trust is not Trust.CHANGED:
        return f"{contact.name} has revoked this key, for good. /add takes a new link."
    if command == "accept" and contact.may_receive:
        return f"{contact.name} is accepted already."
    if command == "block" and contact.trust is Trust.BLOCKED:
        return f"{contact.name} is blocked already."
    return ""


def _verify(state: AppState, argument: str) -> Step:
    contact = state.active_contact
    if contact is None:
        return with_flash(state, "There is no contact here to verify.", Tone.ERROR), ()
    panel = VerifyPanel(contact.handle)
    fetch = Call("contact.safety_number", (("contact", contact.handle),), contact.handle)
    state, effects = open_panel(_emptied(state), panel, fetch)
    if argument:
        state, more = compare(state, panel, argument)
        effects += more
    return state, effects


def _find(state: AppState, name: str, argument: str) -> Step:
    found, effects = finding.run(_emptied(state), name, argument)
    # A mistake leaves what was typed.
    return (found, effects) if effects else (replace(state, flash=found.flash), ())


def _export(state: AppState, file: str) -> Step:
    contact = state.active_contact
    if contact is None:
        return with_flash(state, "There is no chat here to export.", Tone.ERROR), ()
    form = "json" if file.endswith(".json") else "text"
    params = (("contact", contact.handle), ("path", file), ("format", form))
    return _done(state, Call("message.export", params, contact.handle))


def _resolve(state: AppState, name: str) -> Contact | None:
    if not name:
        return state.active_contact
    wanted = name.casefold()
    exact = [each for each in state.contacts if wanted in (each.name.casefold(), each.peer_id)]
    if exact:
        return exact[0]
    begun = [each for each in state.contacts if each.name.casefold().startswith(wanted)]
    return begun[0] if len(begun) == 1 else None


def _contact_param(state: AppState) -> tuple[tuple[str, object], ...]:
    return (("contact", state.active),) if state.active else ()


def _emptied(state: AppState) -> AppState:
    """The command line itself is no draft."""
    chat = state.conversation(state.active)
    return with_chat(state, state.active, replace(chat, draft="")) if state.active else state


def _done(state: AppState, *calls: Call) -> Step:
    return _emptied(state), (SetComposer(""), *calls)
