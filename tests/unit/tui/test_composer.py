"""The composer draws what was typed without effect, and keeps the cursor where it belongs."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.layout import BufferControl
from prompt_toolkit.layout.processors import Transformation, TransformationInput
from prompt_toolkit.utils import get_cwidth

from p2pchat.sanitize import MARKS_MAX, clean_text
from p2pchat.tui.composer import CommandCompleter, HarmlessProcessor, shown

NASTY = st.sampled_from(" a\u0301\u200d\u1175\ufe0f\U0001f3fd\u202e\x1b\u0e31\u3099")
CIRCLE = "\u25cc"


def transform(text: str) -> Transformation:
    document = Document(text)
    return HarmlessProcessor().apply_transformation(
        TransformationInput(
            BufferControl(Buffer()), document, 0, lambda index: index, [("", text)], 80, 24
        )
    )


def drawn(text: str) -> str:
    return "".join(part for _, part, *_ in transform(text).fragments)


@settings(max_examples=300)
@given(st.text(NASTY | st.characters(exclude_characters="\n")))
def test_what_is_drawn_is_harmless_and_positions_map_both_ways(text: str) -> None:
    transformation = transform(text)
    shown_text = "".join(part for _, part, *_ in transformation.fragments)
    # A mark without a base is drawn as it is: in the composer the space before it serves.
    assert clean_text(shown_text).replace(CIRCLE, "") == shown_text.replace(CIRCLE, "")
    places = [transformation.source_to_display(index) for index in range(len(text) + 1)]
    assert places == sorted(places)
    assert places[-1] == len(shown_text)
    for index in range(len(text) + 1):
        assert (
            transformation.source_to_display(transformation.display_to_source(places[index]))
            == (places[index])
        )


def test_signs_are_drawn_one_by_one() -> None:
    assert drawn("a\x1bb\u202ec\x07") == "a␛b\ufffdc␇"
    assert drawn("\U0001f469\u200d\U0001f467") == "\U0001f469\U0001f467"
    assert drawn("e" + "\u0301" * 50) == "e" + "\u0301" * MARKS_MAX
    assert drawn("e" + "\u0301\u200d" * 50) == "e" + "\u0301" * MARKS_MAX
    assert drawn("日本") == "日本"


@pytest.mark.parametrize(
    "codes",
    [
        pytest.param(range(0, 0x20000, 3), id="a third of two planes"),
        pytest.param(range(0x110000), id="all", marks=pytest.mark.slow),
    ],
)
def test_every_character_has_the_width_that_the_window_counts(codes: range) -> None:
    for code in codes:
        sign = shown(chr(code))
        assert len(sign) <= 1
        assert get_cwidth(sign) <= 2


def test_completions_replace_the_line() -> None:
    completer = CommandCompleter(lambda: ["Bob"])
    (only,) = completer.get_completions(Document("/msg B"), CompleteEvent())
    assert (only.text, only.start_position) == ("/msg Bob", -6)
