"""Lines reach the right cells, and the terminal's columns stay where they are counted."""

from __future__ import annotations

import io

import pyte
import pytest
from prompt_toolkit.data_structures import Size
from prompt_toolkit.layout.mouse_handlers import MouseHandlers
from prompt_toolkit.layout.screen import Screen, WritePosition

from p2pchat.tui.surface import GridOutput, Surface
from p2pchat.tui.text import Line

FAMILY = "\U0001f469\u200d\U0001f469\u200d\U0001f467"


def place(lines: list[Line], columns: int, rows: int) -> Screen:
    screen = Screen()
    surface = Surface(lambda _width, _height: lines)
    position = WritePosition(3, 2, columns, rows)
    surface.write_to_screen(screen, MouseHandlers(), position, "", True, None)
    assert surface.size == (columns, rows)
    return screen


def test_clusters_take_their_cells() -> None:
    screen = place([(("class:a", f"x{FAMILY}"), ("class:b", "日y"))], 20, 1)
    row = screen.data_buffer[2]
    cells = [(row[x].char, row[x].width, row[x].style) for x in range(3, 9)]
    assert cells == [
        ("x", 1, "class:a"),
        (FAMILY, 2, "class:a"),
        ("", 0, ""),
        ("日", 2, "class:b"),
        ("", 0, ""),
        ("y", 1, "class:b"),
    ]
    assert screen.height == 3


def test_nothing_is_drawn_outside_of_its_place() -> None:
    screen = place([(("", "abcdef"),), (("", "second"),)], 4, 1)
    assert sorted(screen.data_buffer[2]) == [3, 4, 5, 6]
    assert 3 not in screen.data_buffer


def test_a_sequence_is_drawn_between_saving_and_restoring_the_cursor() -> None:
    wire = io.StringIO()
    output = GridOutput(wire, lambda: Size(24, 80), term="xterm")
    output.write("plain")
    output.write(FAMILY)
    output.write("é")
    output.flush()
    assert wire.getvalue() == f"plain\x1b7  \x1b8\x1b7{FAMILY}\x1b8\x1b[2Cé"


@pytest.mark.parametrize("sequence", ["❤️", "☺️", "1️⃣", FAMILY])
def test_a_sequence_that_is_drawn_narrow_leaves_nothing_of_what_stood_there(sequence: str) -> None:
    """pyte, as tmux, draws a heart with a variation selector in one cell."""
    screen = pyte.Screen(8, 1)
    wire = io.StringIO()
    output = GridOutput(wire, lambda: Size(1, 8), term="xterm")
    output.write("abcdefgh")
    output.cursor_goto(1, 3)
    output.write(sequence)
    output.write("|")
    output.flush()
    pyte.Stream(screen).feed(wire.getvalue())
    row = [screen.buffer[0][column].data for column in range(8)]
    assert (row[:2], row[4:]) == ([*"ab"], ["|", *"fgh"])
    assert row[2] != "c"
    assert row[3] != "d"


def test_not_even_an_unclean_cell_steers_the_terminal() -> None:
    wire = io.StringIO()
    output = GridOutput(wire, lambda: Size(24, 80), term="xterm")
    output.write("x\x1b[2Jé")
    output.flush()
    assert "\x1b[2J" not in wire.getvalue()
