"""The composer's pieces for prompt_toolkit: what is typed as it is drawn, and Tab completion.

The buffer holds the text as typed or pasted. What is drawn is sanitised sign by sign, and parts
of an emoji sequence stand side by side, so that the cursor is where the next character goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.layout.processors import Processor, Transformation, TransformationInput
from prompt_toolkit.utils import get_cwidth

from p2pchat.sanitize import MARKS_MAX, REPLACEMENT, clean_text
from p2pchat.tui.cells import cluster_width
from p2pchat.tui.commands import completions


def shown(char: str) -> str:
    """Return what stands in the composer for one character: itself, a stand-in, or nothing.

    A character whose width prompt_toolkit would count wrongly on its own is left out.
    """
    if " " <= char <= "~":
        return char
    clean = clean_text(char)
    if len(clean) == 2 and clean[1] == char:
        return char  # a mark: the dotted circle is for marks without a base
    if len(clean) != 1:
        return "" if not clean else REPLACEMENT
    return clean if cluster_width(clean) == get_cwidth(clean) else REPLACEMENT


class HarmlessProcessor(Processor):
    """Draws the composer's text without anything that steers the terminal."""

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        """Replace single characters, keeping track of where each one went."""
        fragments = transformation_input.fragments
        if all(text.isascii() and text.isprintable() for _, text, *_ in fragments):
            return Transformation(fragments)
        drawn: list[tuple[str, str]] = []
        places = [0]  # of each source position in the drawn text
        marks = 0
        for style, text, *_ in fragments:
            for char in text:
                sign = shown(char)
                if sign:
                    marks = 0 if get_cwidth(sign) else marks + 1
                if marks > MARKS_MAX:
                    sign = ""
                changed = sign != char
                drawn.append((f"{style} class:harmless" if changed else style, sign))
                places.append(places[-1] + len(sign))

        def to_display(position: int) -> int:
            return places[min(position, len(places) - 1)] + max(0, position - len(places) + 1)

        def to_source(position: int) -> int:
            return next(
                (index for index, place in enumerate(places) if place >= position),
                len(places) - 1,
            )

        return Transformation(list(drawn), to_display, to_source)


class CommandCompleter(Completer):
    """Completes commands, and names where a command takes one."""

    def __init__(self, names: Callable[[], Iterable[str]]) -> None:
        self._names = names

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        """Yield whole lines in place of the one that was begun."""
        del complete_event
        begun = document.text_before_cursor
        for candidate in completions(begun, self._names()):
            yield Completion(candidate, start_position=-len(begun))
