"""Styled lines: the values between the views and the screen.

A ``Fragment`` is a style and a text, a ``Line`` a tuple of them; both hashable, so that drawn
lines can be remembered. Helpers here compose lines to an exact width.
"""

from __future__ import annotations

from p2pchat.tui.cells import clip, width, wrap

Fragment = tuple[str, str]
Line = tuple[Fragment, ...]

EMPTY: Line = ()


def line(*fragments: Fragment) -> Line:
    """Make a line of the fragments that have text."""
    return tuple(fragment for fragment in fragments if fragment[1])


def line_width(parts: Line) -> int:
    """Return the cells of a line."""
    return sum(width(text) for _, text in parts)


def fit(parts: Line, cells: int, fill_style: str = "") -> Line:
    """Return the line clipped or filled to exactly ``cells``."""
    kept: list[Fragment] = []
    left = cells
    for style, text in parts:
        size = width(text)
        if size > left:
            kept.append((style, clip(text, left)))
            left -= width(kept[-1][1])
            break
        kept.append((style, text))
        left -= size
    if left > 0:
        kept.append((fill_style, " " * left))
    return line(*kept)


def spread(left: Line, right: Line, cells: int, fill_style: str = "") -> Line:
    """Return ``left`` at the left and ``right`` at the right end; the left one gives way."""
    right_width = line_width(right)
    if right_width >= cells:
        return fit(right, cells, fill_style)
    return fit(left, cells - right_width, fill_style) + right


def rule(cells: int, title: str = "", style: str = "class:rule", title_style: str = "") -> Line:
    """Return a horizontal rule with a title in its middle."""
    if not title:
        return line((style, "─" * cells))
    shown = f" {clip(title, max(0, cells - 6))} "
    before = max(2, (cells - width(shown)) // 2)
    after = max(0, cells - before - width(shown))
    return line((style, "─" * before), (title_style or style, shown), (style, "─" * after))


def paragraph(text: str, cells: int, style: str = "", indent: str = "") -> list[Line]:
    """Return the text wrapped to lines, each after ``indent``."""
    return [line((style, indent + part)) for part in wrap(text, cells - len(indent))]
