"""Key presses as actions.

Editing keys stay as every shell has them: Ctrl+W, U, A, E, K are prompt_toolkit's own, and
Ctrl+S and Ctrl+Q belong to the terminal. Esc waits a moment, since it also begins Alt keys.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from prompt_toolkit.buffer import Buffer
from prompt_toolkit.filters import Condition
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys

from p2pchat.crypto.secret import Secret
from p2pchat.tui.actions import Action, opening, person
from p2pchat.tui.commands import completions
from p2pchat.tui.firstrun import asks
from p2pchat.tui.panel_state import SearchPanel
from p2pchat.tui.state import AppState


@dataclass(frozen=True, slots=True)
class Controls:
    """What the bindings act on.

    Attributes:
        dispatch: Takes the actions.
        state: Returns the present state.
        now_ms: Wall clock.
        scroll: Scrolls history or panel by a page, up (1) or down (-1).
    """

    dispatch: Callable[[Action], None]
    state: Callable[[], AppState]
    now_ms: Callable[[], int]
    scroll: Callable[[int], None]


def bindings(controls: Controls, composer: Buffer, entry: Buffer) -> KeyBindings:
    """Return all key bindings of the app."""
    keys = KeyBindings()
    _bind_always(keys, controls, composer)
    _bind_setup(keys, controls, entry)
    _bind_composer(keys, controls, composer)
    _bind_moves(keys, controls)
    _bind_question(keys, controls)
    return keys


def _bind_always(keys: KeyBindings, controls: Controls, composer: Buffer) -> None:
    @keys.add("c-c")
    @keys.add("<sigint>")
    def _leave(_: KeyPressEvent) -> None:
        controls.dispatch(person.LeaveWanted())

    nothing_typed = Condition(lambda: not composer.text or controls.state().setup is not None)

    @keys.add("c-d", filter=nothing_typed)
    def _leave_empty(_: KeyPressEvent) -> None:
        controls.dispatch(person.LeaveWanted())

    @keys.add("escape")
    def _escape(_: KeyPressEvent) -> None:
        if composer.complete_state is not None:
            composer.cancel_completion()
            return
        controls.dispatch(person.Escaped())


def _bind_setup(keys: KeyBindings, controls: Controls, entry: Buffer) -> None:
    in_setup = Condition(lambda: controls.state().setup is not None)

    @keys.add("enter", filter=in_setup)
    def _enter(_: KeyPressEvent) -> None:
        typed = entry.text.strip("\r\n")
        controls.dispatch(opening.EntrySubmitted(Secret(typed.encode("utf-8", "surrogateescape"))))

    busy = Condition(lambda: _is_busy(controls.state()))

    @keys.add(Keys.Any, filter=busy)
    @keys.add(Keys.BracketedPaste, filter=busy)
    def _ignore(_: KeyPressEvent) -> None:
        """What is typed while the key is derived belongs to no field."""

    @keys.add("f2", filter=in_setup)
    def _keychain(_: KeyPressEvent) -> None:
        controls.dispatch(opening.KeychainChosen())


def _is_busy(state: AppState) -> bool:
    return state.setup is not None and not asks(state.setup)


def _bind_composer(keys: KeyBindings, controls: Controls, composer: Buffer) -> None:
    in_chat = Condition(lambda: controls.state().setup is None)

    @keys.add("enter", filter=in_chat)
    def _send(_: KeyPressEvent) -> None:
        if composer.complete_state is not None and composer.complete_state.current_completion:
            composer.complete_state = None  # the first Enter takes what was chosen
            return
        controls.dispatch(person.Submitted(composer.text, controls.now_ms()))

    listed = Condition(
        lambda: isinstance(controls.state().panel, SearchPanel) and not composer.text
    )

    @keys.add("up", filter=listed)
    def _up(_: KeyPressEvent) -> None:
        controls.dispatch(person.MessageChosen(-1))

    @keys.add("down", filter=listed)
    def _down(_: KeyPressEvent) -> None:
        controls.dispatch(person.MessageChosen(1))

    @keys.add("escape", "enter", filter=in_chat)
    @keys.add("c-j", filter=in_chat)
    def _newline(_: KeyPressEvent) -> None:
        composer.insert_text("\n")

    @keys.add("tab", filter=in_chat)
    def _complete(_: KeyPressEvent) -> None:
        if composer.complete_state is not None:
            composer.complete_next()
            return
        names = [each.name for each in controls.state().contacts]
        found = completions(composer.document.text_before_cursor, names)
        if len(found) == 1:
            composer.delete_before_cursor(len(composer.document.text_before_cursor))
            composer.insert_text(found[0])
        elif found:
            composer.start_completion(select_first=False)

    @keys.add("s-tab", filter=in_chat)
    def _complete_back(_: KeyPressEvent) -> None:
        if composer.complete_state is not None:
            composer.complete_previous()


def _bind_moves(keys: KeyBindings, controls: Controls) -> None:
    def choose(index: int) -> Callable[[KeyPressEvent], None]:
        return lambda _: controls.dispatch(person.ContactChosen(index))

    for digit in "1234567890":
        keys.add("escape", digit)(choose((int(digit) - 1) % 10))

    def press(names: tuple[str, ...], action: Action) -> None:
        keys.add(*names)(lambda _: controls.dispatch(action))

    press(("escape", "left"), person.ContactStepped(-1))
    press(("escape", "right"), person.ContactStepped(1))
    press(("escape", "up"), person.MessageChosen(-1))
    press(("escape", "down"), person.MessageChosen(1))
    press(("escape", "a"), person.NextUnreadWanted())
    press(("f1",), person.HelpToggled())
    press(("c-l",), person.LockWanted())

    keys.add("pageup")(lambda _: controls.scroll(1))
    keys.add("pagedown")(lambda _: controls.scroll(-1))


def _bind_question(keys: KeyBindings, controls: Controls) -> None:
    asked = Condition(lambda: controls.state().confirm is not None)

    def answer(key: str, *, yes: bool) -> None:
        keys.add(key, filter=asked, eager=True)(lambda _: controls.dispatch(person.Answered(yes)))

    answer("y", yes=True)
    answer("Y", yes=True)
    answer("n", yes=False)
    answer("N", yes=False)

    @keys.add(Keys.Any, filter=asked)
    @keys.add(Keys.BracketedPaste, filter=asked)
    @keys.add("enter", filter=asked)
    def _ignore(_: KeyPressEvent) -> None:
        """Nothing else is typed while a question is open."""
