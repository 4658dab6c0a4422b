"""Comparing a phrase on the screen: what is typed, asked and answered; pure and total.

What is typed travels as a ``Secret`` and is in no state: neither a draft nor a repetition of it
is kept.
"""

from __future__ import annotations

from dataclasses import replace

from p2pchat.crypto.secret import Secret
from p2pchat.identity.trust import Trust
from p2pchat.tui.actions import news
from p2pchat.tui.comparing import ALARMING, ended_words
from p2pchat.tui.conversation import Tone
from p2pchat.tui.effects import Call, SetComposer
from p2pchat.tui.navigation import Step, list_contacts, open_panel, with_flash, with_notice
from p2pchat.tui.panel_state import PhrasePanel
from p2pchat.tui.state import AppState


def asked_for(state: AppState, argument: str) -> Step:
    """Run ``/secret``; the phrase itself is never its argument, since that would be seen."""
    contact = state.active_contact
    if contact is None:
        return with_flash(state, "There is no contact here to compare with.", Tone.ERROR), ()
    about = (("contact", contact.handle),)
    match argument.lower():
        case "":
            if contact.trust not in (Trust.UNVERIFIED, Trust.VERIFIED):
                text = f"Decide about {contact.name} first: /accept or /block."
                return with_flash(state, text, Tone.ERROR), ()
            invited = contact.handle in state.phrases_asked
            return open_panel(state, PhrasePanel(contact.handle, invited=invited))
        case "new":
            again = Call("contact.compare_again", about, contact.handle)
            return state, (SetComposer(""), again)
        case "cancel":
            cancel = Call("contact.compare_cancel", about, contact.handle)
            return state, (SetComposer(""), cancel)
        case _:
            text = "Type /secret alone; the phrase is then typed unseen."
            return with_flash(state, text, Tone.ERROR), (SetComposer(""),)


def typed(state: AppState, panel: PhrasePanel, text: str) -> Step:
    """Take the phrase that was typed on the panel."""
    if panel.running:
        return state, (SetComposer(""),)
    phrase = Secret(text.encode("utf-8", "replace"))
    params = (("contact", panel.handle), ("secret", phrase))
    panel = replace(panel, running=True, result="")
    call = Call("contact.compare", params, panel.handle)
    return replace(state, panel=panel), (SetComposer(""), call)


def offered(state: AppState, handle: str, *, asked: bool) -> AppState:
    """The node took the phrase; ``asked`` if the other person has to type it now."""
    del asked  # either way the next word is the comparison's end
    return replace(state, phrases_asked=state.phrases_asked - {handle})


def settled(state: AppState, handle: str, method: str) -> AppState:
    """A comparison was broken off, or new tries were allowed."""
    contact = state.contact(handle)
    name = contact.name if contact else "this contact"
    if method == "contact.compare_again":
        return with_flash(state, f"Three phrases may be compared with {name} again.", Tone.GOOD)
    state = replace(state, phrases_asked=state.phrases_asked - {handle})
    return with_flash(state, f"No phrase is compared with {name} now.")


def refused(state: AppState, handle: str, text: str) -> AppState:
    """The node did not take the phrase."""
    return _result(state, handle, text, Tone.ERROR) or with_flash(state, text, Tone.ERROR)


def invited(state: AppState, handle: str, now_ms: int) -> Step:
    """A contact has typed a phrase and waits for ours."""
    contact = state.contact(handle)
    if contact is None:
        return state, (list_contacts(),)
    state = replace(state, phrases_asked=state.phrases_asked | {handle})
    text = f"{contact.name} asks you to type a phrase that you both know: /secret"
    state = with_notice(state, handle, text, now_ms)
    panel = state.panel
    if isinstance(panel, PhrasePanel) and panel.handle == handle and not panel.running:
        return replace(state, panel=replace(panel, invited=True, result="")), ()
    if handle == state.active and panel is None:
        return state, ()
    return with_flash(state, text), ()


def compared(state: AppState, action: news.PhraseCompared) -> Step:
    """A comparison has ended: say so on its page, and for good in the conversation."""
    handle = action.handle
    contact = state.contact(handle)
    name = contact.name if contact else handle
    text = ended_words(action.outcome, name, action.tries_left)
    tone = Tone.GOOD if action.outcome == "verified" else Tone.ERROR
    if action.outcome in ALARMING:
        tone = Tone.WARNING
    state = replace(state, phrases_asked=state.phrases_asked - {handle})
    state = with_notice(state, handle, text, action.now_ms, tone)
    return _result(state, handle, text, tone) or state, (list_contacts(),)


def _result(state: AppState, handle: str, text: str, tone: Tone) -> AppState | None:
    panel = state.panel
    if not isinstance(panel, PhrasePanel) or panel.handle != handle:
        return None
    shown = replace(panel, running=False, invited=False, result=text, tone=tone)
    return replace(state, panel=shown)
