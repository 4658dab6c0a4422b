"""What the client's answers and refusals do to the state; pure and total.

An answer about something that is gone changes nothing. Counts and reasons are the node's to
know: after most news the contact list is asked for again, instead of being guessed here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, assert_never

from p2pchat.identity.trust import Trust
from p2pchat.tui import chats, finding, phrase, visiting
from p2pchat.tui.actions import answer
from p2pchat.tui.conversation import Delivery, Tone
from p2pchat.tui.effects import Call, SetComposer
from p2pchat.tui.navigation import (
    Step,
    is_watched,
    list_contacts,
    load,
    mark_read,
    open_chat,
    see,
    sentence,
    warned,
    with_chat,
    with_contact,
    with_flash,
    without_chat,
)
from p2pchat.tui.panel_state import Comparison, SearchPanel, VerifyPanel
from p2pchat.tui.state import AppState, Contact

_GIVEN_BACK: Final = {
    "record.sign": ("sign", "signed"),
    "message.reply": ("reply", "sent"),
    "message.edit": ("edit", "changed"),
}
"""What was typed comes back into the composer when it is refused."""


def answered(state: AppState, action: answer.Answer) -> Step:
    """Take in an answer."""
    match action:
        case answer.IdentityShown(identity):
            return replace(state, identity=identity), ()
        case answer.StatusShown(listen):
            return replace(state, listen=listen), ()
        case answer.WarningsListed(texts):
            return (warned(state, texts[-1]) if texts and not state.warned else state), ()
        case answer.ContactsListed(contacts):
            return _listed(state, contacts)
        case answer.ContactAdded(handle):
            return _added(state, handle)
        case answer.ContactSettled(handle, method):
            return _settled(state, handle, method)
        case answer.HistoryLoaded(handle, before, messages):
            chat = chats.merge_page(state.conversation(handle), before, messages)
            state = visiting.older_loaded(state, handle, before, messages)
            return see(with_chat(state, handle, chat), handle)
        case answer.NewerLoaded(handle, after, messages):
            return visiting.newer_loaded(state, handle, after, messages), ()
        case answer.SearchDone(handle, wanted, found):
            return finding.done(state, handle, wanted, found), ()
        case answer.MessageStored(handle, local_key, message_id, delivery):
            chat = chats.stored(state.conversation(handle), local_key, message_id, delivery)
            return with_chat(state, handle, chat), ()
        case answer.NumberShown(handle, number):
            return _compared(state, handle, number=number), ()
        case answer.NumberAgreed(handle):
            agreed = _compared(state, handle, comparison=Comparison.AGREED)
            return agreed, (list_contacts(),)
        case answer.PhraseOffered(handle, asked):
            return phrase.offered(state, handle, asked=asked), ()
        case answer.PhraseSettled(handle, method):
            return phrase.settled(state, handle, method), ()
        case answer.RecordChanged(handle):
            chat = state.conversation(handle)
            state = with_chat(state, handle, replace(chat, draft=""))
            if state.active == handle:
                state = replace(state, visit=None)
            state, effects = load(state, handle)
            return state, (*effects, list_contacts())
        case answer.MessageResent(handle, message_id):
            chat = chats.remove(state.conversation(handle), message_id)
            return load(with_chat(state, handle, chat), handle)
        case answer.Retried(handle):
            contact = state.contact(handle)
            whom = contact.name if contact else "all contacts"
            return with_flash(state, f"Trying to reach {whom} now."), (list_contacts(),)
        case answer.Exported(file, count):
            return with_flash(state, f"Wrote {count} messages to {file}, not encrypted."), ()
        case answer.WritingTold(told):
            return replace(state, tells_writing=told), ()
        case answer.MarkedRead() | answer.MessageHandled():
            return state, ()
        case _ as unreachable:
            assert_never(unreachable)


def _compared(
    state: AppState,
    handle: str,
    *,
    number: str = "",
    comparison: Comparison | None = None,
    problem: str = "",
) -> AppState:
    panel = state.panel
    if not isinstance(panel, VerifyPanel) or panel.handle != handle:
        return state
    panel = replace(
        panel,
        number=number or panel.number,
        comparison=comparison or panel.comparison,
        problem=problem,
    )
    return replace(state, panel=panel)


def _listed(state: AppState, contacts: tuple[Contact, ...]) -> Step:
    """Take the node's list, requests last; what is being watched counts as read."""
    ordered = tuple(
        sorted(contacts, key=lambda each: (each.trust is Trust.REQUEST, each.name.casefold()))
    )
    state = replace(state, contacts=ordered, contacts_loaded=True)
    if state.setup is not None:
        return state, ()
    if state.active_contact is None:
        state = replace(state, active="", visit=None)
        unread = [each.handle for each in ordered if each.unread]
        first = unread or [each.handle for each in ordered]
        if not first:
            return state, ()
        opened, effects = open_chat(state, first[0])
        shown = opened.active_contact
        if shown is not None and shown.trust is Trust.REQUEST:
            return opened, effects  # its own banner says what a flash would
        return replace(opened, flash=state.flash), effects
    chat = state.conversation(state.active)
    if not chat.loaded and not chat.loading:
        return load(state, state.active)
    contact = state.active_contact
    if contact is not None and contact.unread and is_watched(state, contact.handle):
        return with_contact(state, replace(contact, unread=0)), (mark_read(contact.handle),)
    return state, ()


def _added(state: AppState, handle: str) -> Step:
    """Go to the new contact; the command that added it has done its work."""
    chat = state.conversation(state.active)
    if state.active and chat.draft.startswith("/"):
        state = with_chat(state, state.active, replace(chat, draft=""))
    state = replace(state, active=handle, visit=None, panel=None)
    text = "Added. Compare safety numbers with /verify when you can."
    effects = (SetComposer(state.conversation(handle).draft), list_contacts())
    return with_flash(state, text, Tone.GOOD), effects


def _settled(state: AppState, handle: str, method: str) -> Step:
    contact = state.contact(handle)
    name = contact.name if contact else "The contact"
    if method in ("contact.remove", "contact.decline"):
        state = without_chat(state, handle)
        done = "removed" if method == "contact.remove" else "declined, and learns nothing"
        return with_flash(state, f"{name} is {done}."), (list_contacts(),)
    words = {
        "contact.accept": f"{name} is accepted. Compare safety numbers with /verify.",
        "contact.keep": f"The old key of {name} stays. Compare safety numbers with /verify.",
        "contact.block": f"{name} is blocked and learns nothing.",
    }
    return with_flash(state, words.get(method, "Done."), Tone.GOOD), (list_contacts(),)


def refused(state: AppState, action: answer.CallFailed) -> Step:
    """Say what failed, where it was tried."""
    call, text = action.call, sentence(action.text)
    match call.method:
        case "message.send":
            return _send_refused(state, call, text)
        case "contact.verify":
            panel = state.panel
            differed = (
                action.trust
                and isinstance(panel, VerifyPanel)
                and panel.pasted != "".join(panel.number.split())
            )
            if differed:
                return _compared(state, call.handle, comparison=Comparison.DIFFERED), ()
            undone = Comparison.NONE
            return _compared(state, call.handle, comparison=undone, problem=text), ()
        case "contact.safety_number":
            return _compared(state, call.handle, problem=text), ()
        case "audit.warnings":
            return state, ()  # a node of an earlier version: nobody has asked for it
        case "record.sign" | "message.reply" | "message.edit":
            command, done = _GIVEN_BACK[call.method]
            typed = f"/{command} {dict(call.params).get('text', '')}"
            state = with_flash(state, f"Not {done}: {text}", Tone.ERROR)
            return state, (SetComposer(typed),) if call.handle == state.active else ()
        case "contact.compare":
            return phrase.refused(state, call.handle, text), ()
        case "message.list" | "message.search":
            chat = state.conversation(call.handle)
            state = visiting.refused(state, call.handle)
            state = with_chat(state, call.handle, replace(chat, loading=False))
            if isinstance(state.panel, SearchPanel):
                state = replace(state, panel=None)
        case _:
            pass
    return with_flash(state, text, Tone.ERROR), ()


def _send_refused(state: AppState, call: Call, text: str) -> Step:
    """Give the text back to the composer if that is free, else show it as failed."""
    chat = state.conversation(call.handle)
    message = chats.find(chat, call.local_key)
    state = with_flash(state, f"Not sent: {text}", Tone.ERROR)
    if message is None:
        return state, ()
    if chat.draft.strip():
        failed = replace(message, state=Delivery.FAILED, reason=text)
        chat = chats.update(chat, call.local_key, lambda _: failed)
        return with_chat(state, call.handle, chat), ()
    typed = str(dict(call.params).get("text", ""))
    chat = replace(chats.remove(chat, call.local_key), draft=typed)
    state = with_chat(state, call.handle, chat)
    shown = call.handle == state.active and not isinstance(state.panel, VerifyPanel)
    return state, (SetComposer(typed),) if shown else ()
