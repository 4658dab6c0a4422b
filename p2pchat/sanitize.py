"""Text from outside, made harmless to show (protocol.md §9.3).

A name, a note or a message was written by someone else, and a terminal obeys what it prints.
``clean_line`` and ``clean_text`` return text in which nothing steers the terminal, turns the
writing direction, hides, or piles up without width. Where it helps, the removed thing leaves a
visible trace: ``␛`` for ESC, ``�`` for what has no picture.

Invariants: both are idempotent; whether a character is kept depends only on what was kept before
it and, for a joiner, on the next one. Stored text stays as it was sent; this is for the screen,
for logs, and for names as they come in.

What it deliberately does not do: normalise, judge look-alike letters, or measure cell widths.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

REPLACEMENT: Final = "\ufffd"
MARKS_MAX: Final = 5
"""Combining marks on one base: Hebrew with vowels and accents needs five, "Zalgo" fifty."""
JOINS_MAX: Final = 5
"""Joiners in one emoji: the longest that Unicode recommends has three."""
TAB: Final = "    "

_ZWNJ: Final = "\u200c"
_ZWJ: Final = "\u200d"
_TEXT_STYLE: Final = "\ufe0e"
_EMOJI_STYLE: Final = "\ufe0f"
_DOTTED_CIRCLE: Final = "\u25cc"
"""The base that typography gives to a mark that has none."""

# Most text needs no work: line feeds, ASCII, Latin, Greek, Cyrillic letters, common CJK.
_HARMLESS: Final = re.compile(
    "[\n -~\u00a1-\u00ac\u00ae-\u02ff\u0391-\u03a1\u03a3-\u03ce\u0400-\u0482\u048a-\u052f"
    "\u2010-\u2027\u20ac\u3001-\u3029\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fff\uac00-\ud7a3]*"
)
_EMOJI: Final = re.compile(
    "[\u00a9\u00ae\u203c\u2049\u2122\u2139\u2194-\u21aa\u231a-\u23ff\u24c2\u25aa-\u25fe"
    "\u2600-\u27bf\u2934\u2935\u2b05-\u2b55\u3030\u303d\u3297\u3299"
    "\U0001f000-\U0001f1e5\U0001f200-\U0001f3fa\U0001f400-\U0001faff]"
)
_KEYCAP_BASE: Final = frozenset("0123456789#*")
# Overrides, embeddings, isolates: they reorder what follows, so the reader must see them.
_BIDI_FORMATS: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# Format characters that stand for something visible; all others vanish without a trace.
_VISIBLE_FORMATS: Final = frozenset(
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
)
# Letters, marks and symbols that have no ink: fillers, variation selectors, joiners in disguise.
_INKLESS: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0\ufe00-\ufe0d"
    "\U0001bca0-\U0001bca3\U000e0100-\U000e01ef]"
)
# Extend the letter before them although their category is not "mark": Hangul vowels and finals,
# half-width voicing, and the skin tones.
_EXTENDERS: Final = re.compile("[\u1161-\u11ff\ud7b0-\ud7ff\uff9e\uff9f\U0001f3fb-\U0001f3ff]")
# Arabic to Malayalam: here an invisible joiner is spelling, elsewhere it only hides.
_JOINING_SCRIPT: Final = re.compile("[\u0620-\u0dff]")
# Python's tables are older than people's emoji; the blocks reserved for them are let through.
_EMOJI_RESERVE: Final = re.compile("[\U0001f300-\U0001faff]")


def clean_text(text: str) -> str:
    """Return a message body that is safe to print; line feeds stay, tabs become spaces.

    Args:
        text: Anything, lone surrogates included.

    Returns:
        Text without control, bidirectional, private or unassigned characters, in which each
        visible character carries at most ``MARKS_MAX`` marks. May be longer than ``text``.
    """
    if _HARMLESS.fullmatch(text):
        return text
    return _scrub(text.replace("\r\n", "\n").replace("\t", TAB))


def clean_line(text: str, max_chars: int) -> str:
    """Return a name or note as one line of at most ``max_chars`` characters.

    Runs of white space, line breaks included, become one space; a cut shows as ``…``.
    """
    line = " ".join(clean_text(text).split())
    if len(line) <= max_chars:
        return line
    if max_chars <= 0:
        return ""
    return line[: max_chars - 1].rstrip(" " + _ZWJ + _ZWNJ) + "…"


def _plain(char: str) -> str:
    """Map one character on its own: itself, a visible stand-in, or nothing."""
    if char in _BIDI_FORMATS or char in _VISIBLE_FORMATS:
        return REPLACEMENT
    if _INKLESS.match(char):
        return ""
    match unicodedata.category(char):
        case "Cc":
            return _control(char)
        case "Cf":
            return char if char in (_ZWJ, _ZWNJ) else ""
        case "Cn":
            return char if _EMOJI_RESERVE.match(char) else REPLACEMENT
        case "Co" | "Cs":
            return REPLACEMENT
        case "Zl" | "Zp":
            return "\n"
        case "Zs":
            return char if char == "\u3000" else " "
        case _:
            return " " if char == "\u2800" else char  # an empty Braille cell is a blank


def _control(char: str) -> str:
    if char == "\n":
        return char
    if char == "\x7f":
        return "\u2421"
    if char < " ":
        return chr(0x2400 + ord(char))
    return REPLACEMENT  # C1 has no pictures


def _scrub(text: str) -> str:
    """Keep marks, joiners and variation selectors only where they belong, and only so many."""
    kept: list[str] = []
    base = ""  # the visible character that marks now attach to; "" after white space
    joiner = ""  # seen after ``base``, kept only if the next character justifies it
    marks = joins = 0
    for source in text:
        char = _plain(source)
        if not char:
            continue
        if char in (_ZWJ, _ZWNJ):
            joiner = joiner or _allowed_joiner(char, base, joins)
        elif char in (_TEXT_STYLE, _EMOJI_STYLE):
            # Once, directly after what has both a text and an emoji form.
            if kept and kept[-1] == base and (_EMOJI.match(base) or base in _KEYCAP_BASE):
                kept.append(char)
            joiner = ""
        elif _EXTENDERS.match(char) or unicodedata.category(char)[0] == "M":
            joiner = ""
            if not base:
                kept.append(_DOTTED_CIRCLE)
                base, marks, joins = _DOTTED_CIRCLE, 0, 0
            if marks < MARKS_MAX:
                kept.append(char)
                marks += 1
        elif char.isspace():
            kept.append(char)
            base, joiner = "", ""
        else:
            if joiner and _justifies(joiner, base, char):
                kept.append(joiner)
                joins += 1
            else:
                joins = 0
            kept.append(char)
            base, joiner, marks = char, "", 0
    return "".join(kept)


def _allowed_joiner(joiner: str, base: str, joins: int) -> str:
    if joiner == _ZWJ and base and _EMOJI.match(base) and joins < JOINS_MAX:
        return joiner
    if base and _JOINING_SCRIPT.match(base):
        return joiner
    return ""


def _justifies(joiner: str, base: str, char: str) -> bool:
    if _EMOJI.match(base):
        return joiner == _ZWJ and _EMOJI.match(char) is not None
    return _JOINING_SCRIPT.match(char) is not None
