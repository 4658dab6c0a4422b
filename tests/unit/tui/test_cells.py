"""Text measured and broken by what a reader sees as one sign."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pchat.sanitize import clean_line, clean_text
from p2pchat.tui.cells import clip, pad, width, wrap
from p2pchat.tui.text import fit, line, line_width, rule, spread

FAMILY = "\U0001f469\u200d\U0001f469\u200d\U0001f467"
TEXT = st.text(
    st.one_of(st.sampled_from("ab  日本\u0301" + FAMILY + "\U0001f44d\U0001f3fd"), st.characters())
).map(clean_text)


@pytest.mark.parametrize(
    ("text", "cells"),
    [("", 0), ("abc", 3), ("日本", 4), ("e\u0301", 1), (FAMILY, 2), ("\U0001f44d\U0001f3fd", 2)],
)
def test_width_counts_signs_and_not_code_points(text: str, cells: int) -> None:
    assert width(text) == cells


@given(TEXT, st.integers(4, 30), st.integers(0, 40))
def test_wrapped_lines_fit_and_lose_nothing_but_spaces(text: str, cells: int, used: int) -> None:
    lines = wrap(text, cells, used)
    assert all(width(each) <= cells for each in lines[1:])
    assert used + width(lines[0]) <= cells or lines[0] == "" or used >= cells
    assert "".join("".join(lines).split()) == "".join(text.split())


@given(st.text().map(lambda text: clean_line(text, 50)), st.integers(0, 20))
def test_clipped_and_padded_text_has_its_width(text: str, cells: int) -> None:
    assert width(clip(text, cells)) <= cells
    assert width(pad(text, cells)) == cells


def test_wrap_breaks_at_words_and_cuts_long_ones() -> None:
    assert wrap("one two three", 8) == ["one two", "three"]
    assert wrap("https://example.org", 8) == ["https://", "example.", "org"]
    assert wrap("日本語日本語", 4) == ["日本", "語日", "本語"]
    assert wrap("a\n\nb", 8) == ["a", "", "b"]
    assert wrap("wide word", 6, used=5) == ["", "wide", "word"]
    assert wrap("x" * 5, 6, used=9) == ["", "xxxxx"]


@given(TEXT.map(lambda text: clean_line(text, 60)), st.integers(1, 40), st.integers(0, 10))
def test_composed_lines_are_exactly_as_wide_as_asked(text: str, cells: int, right: int) -> None:
    assert line_width(fit(line(("", text)), cells)) == cells
    assert line_width(spread(line(("", text)), line(("", "r" * right)), cells)) == cells
    assert line_width(rule(40, text)) == 40
