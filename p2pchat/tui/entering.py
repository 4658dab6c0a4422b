"""The steps before the chat: make an identity, or unlock the one that is there; pure.

A passphrase exists here only as ``Secret``. Creating and opening take a second or more of
Argon2 and are effects; meanwhile the screen says so and takes no input.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from p2pchat.constants import NAME_MAX_BYTES
from p2pchat.crypto.secret import Secret
from p2pchat.sanitize import clean_line
from p2pchat.tui.effects import (
    Call,
    ClearEntry,
    CreateProfile,
    Effect,
    ForgetAll,
    LockProfile,
    OpenProfile,
)
from p2pchat.tui.navigation import list_contacts
from p2pchat.tui.state import AppState, Setup, Step

Stepped = tuple[AppState, tuple[Effect, ...]]


def entered(state: AppState, setup: Setup, entry: Secret) -> Stepped:
    """Take what was typed at the current step."""
    match setup.step:
        case Step.NAME:
            return _named(state, setup, entry)
        case Step.PASSPHRASE:
            if not len(entry):
                return _stay(state, setup, "Type a passphrase, or press F2 for the keychain.")
            return _go(state, replace(setup, step=Step.REPEAT, passphrase=entry, error=""))
        case Step.REPEAT:
            return _repeated(state, setup, entry)
        case Step.UNLOCK:
            if not len(entry):
                return _stay(state, setup, "Type the passphrase of this profile.")
            opening = replace(setup, step=Step.OPENING, error="")
            return replace(state, setup=opening), (ClearEntry(), OpenProfile(entry))
        case Step.READY:
            return replace(state, setup=None), (ClearEntry(), list_contacts())
        case Step.CREATING | Step.OPENING:
            return state, ()
        case _ as unreachable:
            assert_never(unreachable)


def keychain_chosen(state: AppState, setup: Setup) -> Stepped:
    """Let the system's keychain keep the key."""
    match setup.step:
        case Step.PASSPHRASE | Step.REPEAT:
            return _create(state, setup, None)
        case Step.UNLOCK:
            opening = replace(setup, step=Step.OPENING, error="")
            return replace(state, setup=opening), (ClearEntry(), OpenProfile(None))
        case Step.NAME | Step.CREATING | Step.OPENING | Step.READY:
            return state, ()
        case _ as unreachable:
            assert_never(unreachable)


def went_back(state: AppState, setup: Setup) -> Stepped:
    """Esc: one step back where nothing is decided yet."""
    match setup.step:
        case Step.PASSPHRASE:
            return _go(state, replace(setup, step=Step.NAME, error=""))
        case Step.REPEAT:
            return _go(state, replace(setup, step=Step.PASSPHRASE, passphrase=None, error=""))
        case _:
            return state, ()


def lock(state: AppState, *orders: LockProfile) -> Stepped:
    """Blank the screen to the unlock prompt; nothing of the chat stays, drafts neither."""
    if state.setup is not None:
        return state, ()  # not open yet, or locked already
    locked = Setup(Step.UNLOCK, first_run=False, locked=True)
    return AppState(setup=locked, lost=state.lost), (ForgetAll(), *orders)


def opened(state: AppState) -> Stepped:
    """The client is there: show the link after a first run, else the chat."""
    setup = state.setup
    calls = (
        Call("identity.show"),
        Call("node.status"),
        list_contacts(),
        Call("audit.warnings"),
    )
    if setup is not None and setup.first_run:
        ready = Setup(Step.READY, first_run=True, name=setup.name)
        return replace(state, setup=ready), (ClearEntry(), *calls)
    return replace(state, setup=None), (ClearEntry(), *calls)


def failed(state: AppState, text: str) -> Stepped:
    """Creating or opening failed: say why, and ask again."""
    setup = state.setup
    if setup is None:
        return state, ()
    step = Step.PASSPHRASE if setup.first_run else Step.UNLOCK
    return replace(state, setup=replace(setup, step=step, passphrase=None, error=text)), ()


def _named(state: AppState, setup: Setup, entry: Secret) -> Stepped:
    typed = entry.reveal().decode("utf-8", "replace")
    name = clean_line(typed, NAME_MAX_BYTES)
    if not name:
        return _stay(state, setup, "Type the name that the others will see.")
    if name != " ".join(typed.split()) or len(name.encode()) > NAME_MAX_BYTES:
        return _stay(state, setup, f"Use a plain name of at most {NAME_MAX_BYTES} bytes.")
    if setup.passphrase is not None:  # given on the command line, so nobody is asked
        return _create(state, replace(setup, name=name), setup.passphrase)
    return _go(state, replace(setup, step=Step.PASSPHRASE, name=name, error=""))


def _repeated(state: AppState, setup: Setup, entry: Secret) -> Stepped:
    if setup.passphrase is None or entry != setup.passphrase:
        again = replace(setup, step=Step.PASSPHRASE, passphrase=None)
        return _stay(state, again, "The two were not the same. Type the passphrase once more.")
    return _create(state, setup, entry)


def _create(state: AppState, setup: Setup, passphrase: Secret | None) -> Stepped:
    creating = replace(setup, step=Step.CREATING, passphrase=None, error="")
    return replace(state, setup=creating), (ClearEntry(), CreateProfile(setup.name, passphrase))


def _stay(state: AppState, setup: Setup, error: str) -> Stepped:
    return _go(state, replace(setup, error=error))


def _go(state: AppState, setup: Setup) -> Stepped:
    return replace(state, setup=setup), (ClearEntry(),)
