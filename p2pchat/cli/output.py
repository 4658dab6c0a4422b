"""What commands print: harmless lines for people, JSON for programs (interface.md).

Every word of a peer goes through ``sanitize`` here once more, whatever happened to it before:
the terminal is where it would do harm. JSON is pure ASCII, so that it is harmless as well.
"""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from p2pchat.constants import NAME_MAX_BYTES, REACTION_MAX_BYTES
from p2pchat.sanitize import clean_line, clean_text
from p2pchat.tui.changing import (
    EDITED,
    REACTION_MARK,
    REMOVED_MARK,
    REPLY_MARK,
    VANISH_MARK,
    shown_reaction,
)
from p2pchat.tui.comparing import VERIFIED_BY, ago
from p2pchat.tui.conversation import QUOTE_MAX_CHARS
from p2pchat.tui.recording import RECORD_MARK, mark_of, shown_text

TRUST_WORDS: Final[Mapping[str, str]] = {
    "unverified": "~ unverified",
    "verified": "✓ verified",
    "changed": "⚠ KEY CHANGED",
    "blocked": "⊘ blocked",
    "request": "? request",
}
REVOKED_WORDS: Final = "⊘ KEY REVOKED"
STATE_WORDS: Final[Mapping[str, str]] = {
    "queued": "○ queued",
    "sent": "✓ sent",
    "delivered": "✓✓",
    "read": "✓✓ read",
    "failed": "✗ failed",
}
REASON_MAX_CHARS: Final = 200


def print_json(value: Mapping[str, Any]) -> None:
    """Print one object on one line of ASCII."""
    print(json.dumps(value))


def warn_of_failures(count: int) -> None:
    """Tell on standard error that somebody tried wrong passphrases."""
    word = "passphrase was" if count == 1 else "passphrases were"
    print(
        f"p2pchat: warning: {count} wrong {word} tried since this profile was last unlocked",
        file=sys.stderr,
    )


def name_of(contact: str) -> str:
    """Return a contact's name as one harmless line."""
    return clean_line(contact, NAME_MAX_BYTES)


def word_of(name: str) -> str:
    """Return a name as it has to be typed in a shell."""
    return shlex.quote(name)


def verified_remark(contact: Mapping[str, Any]) -> list[str]:
    """Return when and how a verified contact was verified."""
    if contact["trust"] != "verified" or contact["verified_at_ms"] is None:
        return []
    age = ago(contact["verified_at_ms"], time.time_ns() // 1_000_000)
    by = VERIFIED_BY.get(contact["verified_by"] or "", "")
    return [f"{name_of(contact['contact'])} was verified {age}{by}"]


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns as wide as their widest cell, in terminal cells."""
    widths = [max(_width(row[column]) for row in (head, *rows)) for column in range(len(head) - 1)]
    for row in (head, *rows):
        cells = [
            cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=False)
        ]
        print("  ".join((*cells, row[-1])).rstrip())


def time_of(sent_at_ms: int) -> str:
    """Return a wall-clock time as the person's own time zone writes it."""
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(sent_at_ms / 1000))
    except (ValueError, OverflowError, OSError):
        return "????-??-?? ??:??"  # a peer's clock says anything


def message_lines(message: Mapping[str, Any], contact: str) -> list[str]:
    """Return a message as lines that no text can imitate.

    The arrow stands where a body never reaches: its further lines are indented under the first,
    further than what it answers and how it was reacted to.
    """
    incoming = message["direction"] == "in"
    head = f"{time_of(message['sent_at_ms'])} "
    kind = message.get("kind", "text")
    marks = (
        mark_of(kind) or (VANISH_MARK if message.get("lifetime_s") else ""),
        EDITED if message.get("edited_at_ms") else "",
    )
    head += "".join(f"{mark} " if mark != RECORD_MARK else mark for mark in marks if mark)
    who = name_of(contact) if incoming else "you"
    if message.get("deleted"):
        return [f"{head}{REMOVED_MARK} deleted by {who}"]
    head += f"← {who}: " if incoming else "→ "
    text = shown_text(kind, message["text"], incoming=incoming)
    first, *rest = clean_text(text).split("\n")
    indent = " " * len("2026-01-01 00:00 ← ")
    lines = [head + first, *(indent + line for line in rest)]
    if not incoming:
        lines[-1] += f"  {STATE_WORDS.get(message['state'], '')}"
        if reason := message.get("reason"):
            lines[-1] += f": {clean_line(reason, REASON_MAX_CHARS)}"
    if message.get("reply_to"):
        quote = clean_line(message["quote"], QUOTE_MAX_CHARS) or "a message that is not here"
        lines.insert(0, f"  {REPLY_MARK} {quote}")
    told = [
        f"{shown_reaction(clean_line(each['emoji'], REACTION_MAX_BYTES))} "
        + (name_of(contact) if each["direction"] == "in" else "you")
        for each in message.get("reactions", ())
    ]
    return [*lines, f"  {REACTION_MARK} {'  '.join(told)}"] if told else lines


def _width(text: str) -> int:
    from wcwidth import wcswidth  # large tables, for tables only

    return max(0, wcswidth(text))
