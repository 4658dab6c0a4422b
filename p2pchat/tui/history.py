"""The lines of a conversation, laid out only where the window is.

An entry's lines depend on the entry, its neighbour's day, the names and the width, and are
remembered by just these; a window asks from its lowest line upwards and stops when it is full.
So a key press costs the same at a hundred messages as at a hundred thousand.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

from p2pchat.tui.cells import clip, width, wrap
from p2pchat.tui.changing import (
    CHOSEN_MARK,
    EDITED,
    REACTION_MARK,
    REMOVED_MARK,
    REPLY_MARK,
    VANISH_MARK,
    shown_reaction,
)
from p2pchat.tui.conversation import Anchor, Conversation, Delivery, Entry, Message, Notice
from p2pchat.tui.recording import mark_of, shown_text
from p2pchat.tui.text import Line, line, line_width, paragraph, rule
from p2pchat.tui.words import DELIVERY, clock, day

MARGIN: Final = " "
_HANGING: Final = len("[08:00] ")
_NAME_CELLS: Final = 20
_REMEMBERED: Final = 2048
"""Laid-out entries kept: several screens of the shortest ones."""


@dataclass(frozen=True, slots=True)
class Names:
    """Who is who in a conversation."""

    mine: str
    theirs: str


@dataclass(frozen=True, slots=True)
class _Frame:
    """What an entry's lines depend on besides itself."""

    names: Names
    cells: int
    new_day: bool
    first_new: bool
    chosen: bool


class History:
    """Lays out entries and remembers them; one for the app, since widths and names are keys.

    Attributes:
        laid_out: How many entries were laid out afresh, for tests of the cost.
    """

    def __init__(self, zone: tzinfo | None = None) -> None:
        self._zone = zone
        self._memory: OrderedDict[tuple[Entry, _Frame], tuple[Line, ...]] = OrderedDict()
        self.laid_out = 0

    def visible(self, chat: Conversation, names: Names, cells: int, height: int) -> list[Line]:
        """Return at most ``height`` lines, the lowest at the scroll position."""
        anchor = chat.anchor or Anchor(0, 0)
        index = len(chat.entries) - 1 - anchor.from_end
        hidden = anchor.hidden
        upwards: list[Line] = []
        while index >= 0 and len(upwards) < height:
            lines = self._lines(chat, index, names, cells)
            upwards += reversed(lines[: len(lines) - hidden])
            hidden = 0
            index -= 1
        return upwards[:height][::-1]

    def forget(self) -> None:
        """Drop what was laid out."""
        self._memory.clear()

    def scroll(
        self, chat: Conversation, names: Names, cells: int, height: int, up: int
    ) -> tuple[Anchor | None, bool]:
        """Return the anchor ``up`` lines further (down if negative), and whether it is the top.

        The top is where the oldest loaded line stands in the window's first row.
        """
        anchor = chat.anchor or Anchor(0, 0)
        below = anchor.hidden + up
        from_end = min(anchor.from_end, max(0, len(chat.entries) - 1))
        while below < 0 and from_end > 0:
            from_end -= 1
            below += self._count(chat, from_end, names, cells)
        below = max(0, below)
        while from_end < len(chat.entries) - 1:
            count = self._count(chat, from_end, names, cells)
            if below < count:
                break
            below -= count
            from_end += 1
        above = self._above(chat, from_end, below, names, cells, height + 1)
        if above < height:
            from_end, below = self._lower(chat, from_end, below, height - above, names, cells)
        lowest = from_end == 0 and below == 0
        return (None if lowest else Anchor(from_end, below)), above <= height

    def _above(
        self, chat: Conversation, from_end: int, hidden: int, names: Names, cells: int, enough: int
    ) -> int:
        """Count the lines from the anchor upwards, up to ``enough``."""
        lines = -hidden
        while from_end < len(chat.entries) and lines < enough:
            lines += self._count(chat, from_end, names, cells)
            from_end += 1
        return min(lines, enough)

    def _lower(
        self, chat: Conversation, from_end: int, hidden: int, by: int, names: Names, cells: int
    ) -> tuple[int, int]:
        """Move the anchor down by as many lines as are missing above it."""
        hidden -= by
        while hidden < 0 and from_end > 0:
            from_end -= 1
            hidden += self._count(chat, from_end, names, cells)
        return from_end, max(0, hidden)

    def _count(self, chat: Conversation, from_end: int, names: Names, cells: int) -> int:
        return len(self._lines(chat, len(chat.entries) - 1 - from_end, names, cells))

    def _lines(self, chat: Conversation, index: int, names: Names, cells: int) -> tuple[Line, ...]:
        entry = chat.entries[index]
        today = day(_at(entry), self._zone)
        new_day = index == 0 or day(_at(chat.entries[index - 1]), self._zone) != today
        first_new = bool(chat.first_new) and entry.key == chat.first_new
        chosen = bool(chat.selected) and entry.key == chat.selected
        key = (entry, _Frame(names, cells, new_day, first_new, chosen))
        known = self._memory.get(key)
        if known is not None:
            self._memory.move_to_end(key)
            return known
        self.laid_out += 1
        lines = tuple(self._lay_out(*key))
        self._memory[key] = lines
        if len(self._memory) > _REMEMBERED:
            self._memory.popitem(last=False)
        return lines

    def _lay_out(self, entry: Entry, frame: _Frame) -> list[Line]:
        lines: list[Line] = []
        if frame.new_day:
            lines.append(rule(frame.cells, day(_at(entry), self._zone)))
        if frame.first_new:
            lines.append(rule(frame.cells, "new messages", "class:new", "class:new"))
        if isinstance(entry, Notice):
            style = f"class:{entry.tone}"
            return lines + paragraph(entry.text, frame.cells, style, MARGIN + "· ")
        return lines + message_lines(
            entry, frame.names, frame.cells, self._zone, chosen=frame.chosen
        )


def message_lines(
    message: Message,
    names: Names,
    cells: int,
    zone: tzinfo | None,
    date: str = "",
    *,
    chosen: bool = False,
) -> list[Line]:
    """Lay out one message: ``[08:00] <Alice> text``, wrapped under itself, with its mark."""
    margin = CHOSEN_MARK if chosen else MARGIN
    stamp = f"[{date}{clock(message.sent_at_ms, zone)}] "
    # Before the name, where neither a name nor a text reaches.
    signs = (
        mark_of(message.kind) or (VANISH_MARK if message.vanishes else ""),
        EDITED if message.edited else "",
    )
    stamp += "".join(f"{sign} " for sign in signs if sign)
    name = clip(names.mine if message.outgoing else names.theirs, _NAME_CELLS)
    if message.deleted:
        gone = f"{REMOVED_MARK} deleted by {name}"
        return [line(("class:time", margin + stamp), ("class:dim", clip(gone, cells - 12)))]
    who = f"<{name}> "
    style = "class:mine" if message.outgoing else "class:theirs"
    room = max(8, cells - len(MARGIN) * 2 - _HANGING)
    taken = width(stamp) - _HANGING + width(who)
    text = shown_text(message.kind, message.text, incoming=not message.outgoing)
    first, *others = wrap(text, room, taken)
    lines = []
    if message.answers:
        quote = message.quote or "a message that is not here any more"
        lines.append(line(("class:dim", f"{MARGIN}{REPLY_MARK} {clip(quote, cells - 4)}")))
    lines.append(
        line(("class:time", margin + stamp), (style, who[:-1]), ("", " "), ("class:body", first))
    )
    indent = MARGIN + " " * _HANGING
    lines += [line(("class:body", indent + part)) for part in others]
    if message.outgoing:
        mark, _ = DELIVERY[message.state]
        if line_width(lines[-1]) + width(mark[1]) + 1 < cells:
            lines[-1] = (*lines[-1], ("", " "), mark)
        else:
            lines.append(line(("", indent), mark))
        if message.state is Delivery.FAILED:
            why = f"not delivered: {message.reason or 'no reason is known'}"
            lines += paragraph(why, cells - 1, "class:error", indent)
    return lines + _reactions(message, names, cells)


def _reactions(message: Message, names: Names, cells: int) -> list[Line]:
    """Lay out who reacted how, further left than any text begins."""
    told = [
        f"{shown_reaction(emoji)} {clip(names.mine if ours else names.theirs, _NAME_CELLS)}"
        for ours, emoji in message.reactions
    ]
    if not told:
        return []
    return [line(("class:dim", clip(f"    {REACTION_MARK} {'  '.join(told)}", cells)))]


def _at(entry: Entry) -> int:
    return entry.sent_at_ms if isinstance(entry, Message) else entry.at_ms
