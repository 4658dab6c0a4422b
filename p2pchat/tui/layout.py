"""Which surface stands where, and the two fields that take input.

Sizes come from the views; the chat gets what is left. Mouse support stays off, so that the
terminal's own selection and copying work.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

from prompt_toolkit.application import get_app
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import AnyFormattedText
from prompt_toolkit.layout import (
    BufferControl,
    ConditionalContainer,
    Dimension,
    DynamicContainer,
    Float,
    FloatContainer,
    HSplit,
    Layout,
    VSplit,
    Window,
)
from prompt_toolkit.layout.menus import CompletionsMenu
from prompt_toolkit.layout.processors import ConditionalProcessor, PasswordProcessor

from p2pchat.tui import firstrun, view
from p2pchat.tui.composer import CommandCompleter, HarmlessProcessor
from p2pchat.tui.history import History
from p2pchat.tui.hits import found_lines
from p2pchat.tui.panel_state import PhrasePanel, SearchPanel
from p2pchat.tui.panels import panel_lines
from p2pchat.tui.state import AppState
from p2pchat.tui.surface import Surface
from p2pchat.tui.text import EMPTY, Line, line

COMPOSER_MAX_ROWS: Final = 8
FLASH_MAX_ROWS: Final = 3
COMPLETIONS_MAX_ROWS: Final = 16
"""All commands, and a screen of 24 rows still shows what is written."""
TITLE_ROWS: Final = 3
_PANEL_OVERLAP: Final = 2
"""Lines of the last screenful that stay when a panel or the history is paged."""


@dataclass(frozen=True, slots=True)
class Screen:
    """The layout and what the app needs of it."""

    layout: Layout
    composer_window: Window
    entry_window: Window
    body: Surface
    history: History


def new_composer(names: Callable[[], list[str]], on_change: Callable[[Buffer], None]) -> Buffer:
    """Return the buffer in which messages are written."""
    return Buffer(
        multiline=True,
        completer=CommandCompleter(names),
        complete_while_typing=False,
        on_text_changed=on_change,
    )


def build(
    state: Callable[[], AppState],
    composer: Buffer,
    entry: Buffer,
    zone: tzinfo | None,
    now_ms: Callable[[], int],
) -> Screen:
    """Lay out the app over a state that changes; ``now_ms`` is the wall clock of ages shown."""
    history = History(zone)

    def draw_body(columns: int, rows: int) -> list[Line]:
        return body_lines(state(), history, columns, rows, zone)

    body = Surface(draw_body)

    def typing_phrase() -> bool:
        panel = state().panel
        return isinstance(panel, PhrasePanel) and not panel.agreed

    composer_window = Window(
        BufferControl(composer, input_processors=[HarmlessProcessor(), _unseen(typing_phrase)]),
        height=Dimension(min=1, max=COMPOSER_MAX_ROWS),
        wrap_lines=True,
        dont_extend_height=True,
        get_line_prefix=_composer_prefix,
    )
    entry_window = _entry_window(state, entry)
    chat = _chat(state, composer, composer_window, body, zone, now_ms)
    setup = _setup(state, entry_window)
    root = DynamicContainer(lambda: chat if state().setup is None else setup)
    return Screen(Layout(root), composer_window, entry_window, body, history)


def body_lines(
    state: AppState, history: History, columns: int, rows: int, zone: tzinfo | None
) -> list[Line]:
    """Return the lines in the middle of the screen: a panel, the chat, or how to begin."""
    if isinstance(state.panel, SearchPanel):
        return found_lines(state, state.panel, columns, rows, zone)
    if state.panel is not None:
        lines = panel_lines(state, state.panel, columns, zone)
        first = max(0, min(state.panel_scroll, len(lines) - rows))
        return lines[first : first + rows]
    if state.active_contact is None:
        return view.welcome(state, columns)[:rows]
    chat = state.shown
    lines = history.visible(chat, view.names(state), columns, rows)
    if not chat.entries:
        hint = "No messages yet." if chat.loaded else "Loading…"
        lines = [line(("class:dim", f" {hint}"))]
    return [EMPTY] * (rows - len(lines)) + lines


def panel_length(state: AppState, columns: int, zone: tzinfo | None) -> int:
    """Return how many lines the open panel has to be scrolled over."""
    if state.panel is None or isinstance(state.panel, SearchPanel):
        return 0  # of what was found, those around the chosen one are shown
    return len(panel_lines(state, state.panel, columns, zone))


def page(rows: int) -> int:
    """Return how many lines a page key moves."""
    return max(1, rows - _PANEL_OVERLAP)


def _chat(
    state: Callable[[], AppState],
    composer: Buffer,
    composer_window: Window,
    body: Surface,
    zone: tzinfo | None,
    now_ms: Callable[[], int],
) -> FloatContainer:
    no_panel = Condition(lambda: state().panel is None)
    with_sidebar = Condition(
        lambda: (
            state().panel is None and view.sidebar_width(get_app().output.get_size().columns) > 0
        )
    )
    sidebar = Surface(
        lambda width, rows: view.sidebar(state(), width, rows), columns=view.sidebar_width
    )
    divider = Surface(_divider, columns=lambda _: 1)

    def shown(lines: Callable[[AppState, int], list[Line]], most: Callable[[int], int]) -> Surface:
        # How many rows there are is asked of the terminal: prompt_toolkit tells other figures
        # while it measures than while it draws.
        return Surface(
            lambda width, _: lines(state(), width),
            rows=lambda width, _: min(len(lines(state(), width)), most(_terminal_rows() - 1)),
        )

    def draw_rule(width: int, _: int) -> list[Line]:
        # The body was drawn just before, in the same rendering.
        below = panel_length(state(), width, zone) - state().panel_scroll - body.size[1]
        return [view.composer_rule(state(), composer.text, width, more=below > 0)]

    main = HSplit(
        [
            ConditionalContainer(
                Surface(lambda width, _: view.title(state(), width, now_ms()), rows=TITLE_ROWS),
                no_panel,
            ),
            body,
            # On a small screen these give way, so that the composer is always there.
            shown(view.banner, lambda rows: max(0, rows - TITLE_ROWS - FLASH_MAX_ROWS - 2)),
            shown(view.flash, lambda rows: max(1, min(FLASH_MAX_ROWS, rows - TITLE_ROWS - 2))),
            Surface(draw_rule, rows=1),
            composer_window,
        ]
    )
    return FloatContainer(
        HSplit(
            [
                VSplit(
                    [
                        ConditionalContainer(sidebar, with_sidebar),
                        ConditionalContainer(divider, with_sidebar),
                        main,
                    ]
                ),
                Surface(lambda width, _: [view.status_bar(state(), width)], rows=1),
            ]
        ),
        floats=[
            Float(CompletionsMenu(max_height=COMPLETIONS_MAX_ROWS), xcursor=True, ycursor=True)
        ],
    )


def _setup(state: Callable[[], AppState], entry_window: Window) -> HSplit:
    def lines(width: int) -> list[Line]:
        setup = state().setup
        return firstrun.setup_lines(state(), setup, width) if setup else []

    return HSplit(
        [
            Surface(
                lambda width, _: lines(width),
                rows=lambda width, available: min(len(lines(width)), available - 1),
            ),
            entry_window,
            Surface(lambda _width, _rows: []),
        ]
    )


def _entry_window(state: Callable[[], AppState], entry: Buffer) -> Window:
    def hidden() -> bool:
        setup = state().setup
        return setup is not None and firstrun.is_hidden(setup)

    def shown() -> bool:
        setup = state().setup
        return setup is not None and firstrun.asks(setup)

    control = BufferControl(
        entry,
        input_processors=[
            HarmlessProcessor(),
            _unseen(hidden),
        ],
    )
    return Window(
        control,
        height=1,
        get_line_prefix=lambda _line, _wrap: [("class:prompt", "  > " if shown() else "")],
    )


def _unseen(when: Callable[[], bool]) -> ConditionalProcessor:
    """Draw dots in place of what is typed."""
    return ConditionalProcessor(PasswordProcessor("•"), Condition(when))


def _composer_prefix(line_number: int, wrap_count: int) -> AnyFormattedText:
    first = line_number == 0 and wrap_count == 0
    return [("class:prompt", " > " if first else "   ")]


def _terminal_rows() -> int:
    return get_app().output.get_size().rows


def _divider(_: int, rows: int) -> list[Line]:
    side: Line = (("class:rule", "│"),)
    return [side, side, (("class:rule", "┼"),), *[side] * (rows - 3)]
