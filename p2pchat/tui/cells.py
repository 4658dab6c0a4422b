"""Text measured in terminal cells: width, clipping, wrapping, by what a reader sees as one sign.

prompt_toolkit adds up single code points, which is wrong for emoji sequences; here the unit is
the grapheme cluster and its width is ``wcwidth.wcswidth``. Text is expected to be sanitised.

What it deliberately does not do: style, or know how wide the screen is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from wcwidth import iter_graphemes, wcswidth

ELLIPSIS: Final = "…"
_ASCII: Final = re.compile("[ -~]*")
_WORDS: Final = re.compile(r" +|[^ ]+")


@lru_cache(maxsize=8192)
def cluster_width(cluster: str) -> int:
    """Return the cells of one grapheme cluster: 0, 1 or 2."""
    return max(0, wcswidth(cluster))


def clusters(text: str) -> Iterator[tuple[str, int]]:
    """Yield each grapheme cluster with its width."""
    if _ASCII.fullmatch(text):
        return ((char, 1) for char in text)
    return ((cluster, cluster_width(cluster)) for cluster in iter_graphemes(text))


def width(text: str) -> int:
    """Return the cells of one line of text."""
    if _ASCII.fullmatch(text):
        return len(text)
    return sum(cells for _, cells in clusters(text))


def clip(text: str, cells: int) -> str:
    """Return the text if it fits in ``cells``, or its beginning and an ellipsis."""
    if cells <= 0:
        return ""
    if width(text) <= cells:
        return text
    kept: list[str] = []
    left = cells - 1
    for cluster, size in clusters(text):
        if size > left:
            break
        kept.append(cluster)
        left -= size
    return "".join(kept).rstrip() + ELLIPSIS


def pad(text: str, cells: int) -> str:
    """Return the text clipped or filled with spaces to exactly ``cells``."""
    clipped = clip(text, cells)
    return clipped + " " * (cells - width(clipped))


def wrap(text: str, cells: int, used: int = 0) -> list[str]:
    """Break text into lines of at most ``cells``; line feeds break too, long words are cut.

    Args:
        text: Sanitised text.
        cells: Room of a line.
        used: Cells of the first line that are taken already.

    Returns:
        At least one line. A line may be wider only if a single cluster is.
    """
    lines: list[str] = []
    for paragraph in text.split("\n"):
        lines += _wrap_paragraph(paragraph, max(1, cells), used)
        used = 0
    return lines


def _wrap_paragraph(paragraph: str, cells: int, used: int) -> list[str]:
    if used + width(paragraph) <= cells:
        return [paragraph]
    lines: list[str] = []
    line = ""
    for word in _WORDS.findall(paragraph):
        size = width(word)
        if used + size <= cells:
            line, used = line + word, used + size
        elif word.startswith(" "):  # the break takes the place of the spaces
            lines.append(line)
            line, used = "", 0
        elif used and size <= cells:
            lines.append(line.rstrip(" "))
            line, used = word, size
        else:  # longer than a line (a link, Chinese): fill the rest of this one and go on
            for cluster, step in clusters(word):
                if used and used + step > cells:
                    lines.append(line)
                    line, used = "", 0
                line, used = line + cluster, used + step
    if line or not lines:
        lines.append(line)
    return lines
