"""The screens before the chat, as styled lines: first-run steps and the unlock prompt; pure."""

from __future__ import annotations

from typing import Final, assert_never

from p2pchat.tui.panels import link_lines
from p2pchat.tui.state import AppState, Setup, Step
from p2pchat.tui.text import EMPTY, Line, line, paragraph

TEXT_CELLS: Final = 66
"""Longer lines are hard to read."""
_STEPS: Final = {Step.NAME: 1, Step.PASSPHRASE: 2, Step.REPEAT: 2, Step.CREATING: 3, Step.READY: 3}

_PURPOSE: Final = (
    "Two people talk, computer to computer. No account, and no server between them: what you "
    "write can be read by you two alone."
)
_ABOUT_PASSPHRASES: Final = (
    "It is asked each time that you start. Nobody can reset it: if it is lost, so is the profile. "
    "Several words are better than one."
)
_KEYCHAIN: Final = "F2 lets this computer's keychain keep the key instead. Esc goes back."
_CREATING: Final = (
    "Making your keys and locking them. This takes a moment on purpose: it makes guessing slow."
)
_OPENING: Final = "Unlocking. This takes a moment on purpose: it makes guessing slow."
_LOCKED: Final = (
    "Your keys and messages were forgotten and nobody is connected; what others send waits with "
    "them until you unlock."
)
_LOCKED_KEYS: Final = "F2 unlocks by this computer's keychain instead. Ctrl+C leaves."
_NEXT: Final = (
    "1. Send it to a friend, by any means: it is not secret. /myid shows it again.",
    "2. Get the link of your friend, and type /add and the link.",
    "3. When you talk, compare a number with /verify: then you know that nobody is in between.",
)
_NOT_LISTENING: Final = (
    "You are not listening: you can call others, they cannot call you. `listen` in the profile's "
    "config.toml says so."
)


def asks(setup: Setup) -> bool:
    """Tell whether something is to be typed; not while Argon2 runs."""
    return setup.step not in (Step.CREATING, Step.OPENING, Step.READY)


def is_hidden(setup: Setup) -> bool:
    """Tell whether what is typed shows as dots: all but the name."""
    return setup.step is not Step.NAME


def setup_lines(state: AppState, setup: Setup, columns: int) -> list[Line]:
    """Return the page above the field."""
    cells = min(columns - 3, TEXT_CELLS)
    heading = "p2pchat"
    if setup.first_run:
        heading += f" · first steps · {_STEPS.get(setup.step, 1)} of 3"
    if setup.locked:
        heading += " · locked"
    lines: list[Line] = [EMPTY, line(("class:heading", f"  {heading}")), EMPTY]
    for style, text in _page(state, setup):
        lines += paragraph(text, cells, style, "  ") if text else [EMPTY]
    if setup.step is Step.READY and state.identity is not None:
        lines += [EMPTY, *link_lines(state.identity.link, columns), EMPTY]
        for text in _NEXT:
            lines += paragraph(text, cells, "", "  ")
        if not state.listen:
            lines += [EMPTY, *paragraph(_NOT_LISTENING, cells, "class:warning", "  ")]
        lines += [EMPTY, *paragraph("Enter opens the chat.", cells, "class:question", "  ")]
    if setup.error:
        lines += [EMPTY, *paragraph(f"✗ {setup.error}", cells, "class:error", "  ")]
    return [*lines, EMPTY]


def _page(state: AppState, setup: Setup) -> tuple[tuple[str, str], ...]:
    match setup.step:
        case Step.NAME:
            return (
                ("", _PURPOSE),
                ("", ""),
                ("class:question", "What is your name?"),
                ("class:dim", "The people that you talk with see it. Enter goes on."),
            )
        case Step.PASSPHRASE:
            return (
                ("", f"Hello {setup.name}. Keys and messages are encrypted on this computer."),
                ("", ""),
                ("class:question", "Choose a passphrase."),
                ("class:dim", _ABOUT_PASSPHRASES),
                ("class:dim", _KEYCHAIN),
            )
        case Step.REPEAT:
            return (
                ("class:question", "Type the same passphrase again."),
                ("class:dim", "Esc goes back."),
            )
        case Step.CREATING:
            return (("", _CREATING),)
        case Step.UNLOCK:
            ask = ("class:question", "The passphrase of this profile:")
            if not setup.locked:
                return (ask, ("class:dim", "Ctrl+C leaves."))
            return (("", _LOCKED), ("", ""), ask, ("class:dim", _LOCKED_KEYS))
        case Step.OPENING:
            return (("", _OPENING),)
        case Step.READY:
            if state.identity is None:
                return (("class:dim", "One moment…"),)
            return (("class:good", "✓ Your profile is ready. This is your contact link:"),)
        case _ as unreachable:
            assert_never(unreachable)
