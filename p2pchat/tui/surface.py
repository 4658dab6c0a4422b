"""Styled lines onto prompt_toolkit's screen, cell by cell.

prompt_toolkit's own windows place single code points and so tear emoji sequences apart; a
``Surface`` places grapheme clusters with their true width. ``GridOutput`` then keeps the grid
even if the terminal draws a sequence wider or narrower than it should: it puts the cursor back
where it belongs after each one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

from prompt_toolkit.layout import Container, Dimension
from prompt_toolkit.layout.mouse_handlers import MouseHandlers
from prompt_toolkit.layout.screen import Char, Screen, WritePosition
from prompt_toolkit.output.vt100 import Vt100_Output

from p2pchat.tui.cells import clusters
from p2pchat.tui.text import Line

Draw = Callable[[int, int], Sequence[Line]]
"""Given columns and rows, returns the lines to show, at most as many as there are rows."""
_FILLED: Final = Char("", "")
"""Stands in the second cell of a wide cluster."""


class GridOutput(Vt100_Output):
    """A terminal whose columns stay where they are counted."""

    def write(self, data: str) -> None:
        """Write one cell's text; a sequence is bracketed by saving and restoring the cursor.

        Its cells are made blank first: a terminal that draws it narrower (tmux draws ❤️ in one
        cell) would leave in the second what stood there before. The cursor is saved for each time
        that it is restored, since some terminals forget a place when they go back to it.
        """
        if len(data) < 2 or data.isascii():
            super().write(data)
            return
        cells = _cell(data, "").width
        self.write_raw(f"\x1b7{' ' * cells}\x1b8\x1b7")
        super().write(data)
        self.write_raw(f"\x1b8\x1b[{cells}C")


class Surface(Container):
    """A part of the layout that shows lines and takes no input.

    Args:
        draw: Called with the size at each rendering.
        rows: Its height, or a function of columns and available rows; None takes what is left.
        columns: Its width; None takes what is left.
    """

    def __init__(
        self,
        draw: Draw,
        *,
        rows: int | Callable[[int, int], int] | None = None,
        columns: Callable[[int], int] | None = None,
    ) -> None:
        self._draw = draw
        self._rows = rows
        self._columns = columns
        self.size = (0, 0)

    def reset(self) -> None:
        """Nothing is kept between renderings."""

    def preferred_width(self, max_available_width: int) -> Dimension:
        """Return the fixed width, or room to grow."""
        if self._columns is None:
            return Dimension(min=1, weight=1)
        return Dimension.exact(self._columns(max_available_width))

    def preferred_height(self, width: int, max_available_height: int) -> Dimension:
        """Return the fixed height, or room to grow."""
        if self._rows is None:
            return Dimension(min=0, preferred=max_available_height, weight=1)
        rows = (
            self._rows if isinstance(self._rows, int) else self._rows(width, max_available_height)
        )
        return Dimension.exact(rows)

    def write_to_screen(
        self,
        screen: Screen,
        mouse_handlers: MouseHandlers,
        write_position: WritePosition,
        parent_style: str,
        erase_bg: bool,
        z_index: int | None,
    ) -> None:
        """Put the lines into the screen's cells."""
        del mouse_handlers, parent_style, erase_bg, z_index
        x, y = write_position.xpos, write_position.ypos
        columns, rows = write_position.width, write_position.height
        self.size = (columns, rows)
        screen.height = max(screen.height, y + rows)
        for offset, line in enumerate(self._draw(columns, rows)[:rows]):
            cells = _cells(line)[:columns]
            screen.data_buffer[y + offset].update(zip(range(x, x + columns), cells, strict=False))

    def get_children(self) -> list[Container]:
        """Return no children."""
        return []


def forget() -> None:
    """Drop the cells of everything that was drawn."""
    _cells.cache_clear()
    _cell.cache_clear()


@lru_cache(maxsize=1024)
def _cells(line: Line) -> tuple[Char, ...]:
    """Return one entry a cell; the second half of a wide cluster is empty."""
    row: list[Char] = []
    for style, text in line:
        for cluster, size in clusters(text):
            if size == 0:
                continue  # nothing sanitised is without width; the grid does not depend on it
            row.append(_cell(cluster, style))
            row += [_FILLED] * (size - 1)
    return tuple(row)


@lru_cache(maxsize=8192)
def _cell(cluster: str, style: str) -> Char:
    char = Char(cluster, style)
    char.width = sum(size for _, size in clusters(cluster)) or 1
    return char
