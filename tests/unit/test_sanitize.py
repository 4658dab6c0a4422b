"""What others wrote is shown without effect (protocol.md §9.3)."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from wcwidth import iter_graphemes, wcwidth

from p2pchat.sanitize import JOINS_MAX, MARKS_MAX, clean_line, clean_text

FORBIDDEN = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ue000-\uf8ff\ud800-\udfff\U000e0000-\U000e01ef\U000f0000-\U0010ffff]"
)
NASTY = st.sampled_from(
    "\x1b\x00\x07\x08\r\n\t\x7f\x85\x9b\x9d\u202e\u2066\u2069\u200f\u061c\u200b\u200c\u200d\u2060"
    "\ufe0e\ufe0f\u20e3\u0301\u0338\u034f\ufeff\u2028\ue000\ud800\uffff\U000e0041\u3164\u1160\u1175"
    "\U0001f3fd\U0001f468\U0001f469\u2764\U0001f1e8\u0915\u094d\u0937\u0627 1a\u3000\u00a0"
)
ANY_TEXT = st.text(st.one_of(NASTY, st.characters()), max_size=60)


@given(ANY_TEXT)
@example("a\u200d\u200d\u0301b")
@example(" \u0301")
@example("\U0001f468\u200d\u200f\U0001f469")
def test_text_is_clean_and_stays_as_it_is(text: str) -> None:
    """R-9.3.1, R-9.3.2, R-9.3.3"""
    clean = clean_text(text)
    assert not FORBIDDEN.search(clean)
    assert clean_text(clean) == clean
    clean.encode()


@given(ANY_TEXT, st.integers(0, 40))
def test_a_line_is_one_bounded_line(text: str, max_chars: int) -> None:
    line = clean_line(text, max_chars)
    assert not FORBIDDEN.search(line)
    assert "\n" not in line
    assert "  " not in line
    assert len(line) <= max_chars
    assert line == line.strip()
    assert clean_line(line, max_chars) == line


@given(ANY_TEXT)
@settings(max_examples=200)
def test_nothing_piles_up_without_width(text: str) -> None:
    """R-9.3.4"""
    for run in re.split(r"[\s]", clean_text(text)):
        zero_width = re.findall(r"(?:(?![\u0900-\u0dff])[\u0300-\u036f\u20d0-\u20ff])+", run)
        assert all(len(marks) <= MARKS_MAX for marks in zero_width)


@pytest.mark.parametrize(
    "codes",
    [
        pytest.param(range(0x3000), id="the first scripts"),
        pytest.param(range(0xD700, 0x10000, 3), id="surrogates, private use, forms"),
        pytest.param(range(0x110000), id="all", marks=pytest.mark.slow),
    ],
)
def test_no_character_alone_is_invisible(codes: range) -> None:
    """Each single code point yields nothing, or something that occupies a cell."""
    for code in codes:
        clean = clean_text(chr(code))
        assert clean in ("", "\n") or any(wcwidth(char) > 0 for char in clean), hex(code)
        assert clean_text(clean) == clean, hex(code)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[31mred", "␛[31mred"),
        ("\x1b]52;c;cHduZWQ=\x07", "␛]52;c;cHduZWQ=␇"),
        ("\x9b31m", "\ufffd31m"),
        ("a\x7fb\x00", "a␡b␀"),
        ("over\rwrite", "over␍write"),
        ("dos\r\nline", "dos\nline"),
        ("txt.\u202egnp.exe", "txt.\ufffdgnp.exe"),
        ("\u2066in\u2069", "\ufffdin\ufffd"),
        ("a\u200e\u200f\u061cb", "ab"),
        ("a\u200b\u200b\u2060\ufeffb", "ab"),
        ("one\u2028two\u2029three", "one\ntwo\nthree"),
        ("\ue000\ud800\uffff", "\ufffd\ufffd\ufffd"),
        ("tag\U000e0041\U000e007f", "tag"),
        ("\ta", "    a"),
        ("\u0301a", "\u25cc\u0301a"),
        ("\u3164\u2800", " "),
        ("Al\u200cice\u200d", "Alice"),
    ],
)
def test_hostile_text_is_shown_and_not_obeyed(raw: str, shown: str) -> None:
    assert clean_text(raw) == shown


@pytest.mark.parametrize(
    "text",
    [
        "plain\nlines",
        "Grüße, Ωμέγα, Привет, 日本語, 한국어",
        "e\u0301",
        "\U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466",
        "\U0001f469\U0001f3fd\u200d\u2764\ufe0f\u200d\U0001f48b\u200d\U0001f468\U0001f3fb",
        "\U0001f44d\U0001f3fd \U0001f1e8\U0001f1ed 1\ufe0f\u20e3",
        "می\u200cخواهم",
        "क्\u200dष",
        "שָׁלוֹם",
        "\U0001fae8 \U0001facd",
    ],
)
def test_honest_text_passes_unchanged(text: str) -> None:
    assert clean_text(text) == text


def test_floods_are_cut() -> None:
    assert clean_text("e" + "\u0301" * 500) == "e" + "\u0301" * MARKS_MAX
    family = clean_text("\u200d".join(["\U0001f469"] * 100))
    longest = max(len(cluster) for cluster in iter_graphemes(family))
    assert longest <= 2 * JOINS_MAX + 1
    assert len(clean_text("\U0001f44d" + "\U0001f3fd" * 100)) == 1 + MARKS_MAX
    assert clean_text("a" + "\u200b\u200c\u200d\ufe0f" * 1000 + "b") == "ab"


def test_a_cut_line_says_so() -> None:
    assert clean_line("abcdef", 4) == "abc…"
    assert clean_line("abcd", 4) == "abcd"
    assert clean_line("a \u0301 line\nwith\tbreaks", 40) == "a \u25cc\u0301 line with breaks"
    assert clean_line("\U0001f469\u200d\U0001f469 and", 3) == "\U0001f469…"


@pytest.mark.parametrize(
    "codes",
    [
        pytest.param(range(0x20000), id="two planes"),
        pytest.param(range(0x110000), id="all", marks=pytest.mark.slow),
    ],
)
def test_categories_that_remain(codes: range) -> None:
    every = clean_text("".join(chr(code) + "x" for code in codes))
    left = {unicodedata.category(char) for char in every}
    assert left & {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"} <= {"Cc"}
    assert {char for char in every if unicodedata.category(char) == "Cc"} == {"\n"}
