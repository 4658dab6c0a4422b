"""A conversation as a file: text for people, or JSON for programs.

It is read from one moment of the store, over a connection of its own, so that nobody waits for
it. It is plaintext by nature, for its owner alone to read. As text it is made harmless for a
terminal; as JSON every message is exactly as it is stored.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Final

from p2pchat.constants import NAME_MAX_BYTES, REACTION_MAX_BYTES
from p2pchat.crypto.secret import Rng
from p2pchat.node.messages import message_view
from p2pchat.node.peer import Peer
from p2pchat.node.views import MessageView
from p2pchat.sanitize import clean_line, clean_text
from p2pchat.store.database import Database
from p2pchat.store.faults import translated
from p2pchat.store.new_file import new_file
from p2pchat.store.records import DeliveryState, Direction, MessageKind
from p2pchat.store.search import SearchIndex
from p2pchat.store.transaction import SqlTransaction

_PAGE: Final = 500
_INDENT: Final = " " * len("[2026-01-01 00:00:00Z] ")
"""Before the further lines of a message."""
_ABOUT: Final = " " * 4
"""Before what is told of a message."""
_GONE: Final = "a message that is not here any more"
_LINE_MAX_CHARS: Final = 200
"""Of a quote or a reason."""


class ExportFormat(StrEnum):
    """What an export is written as."""

    TEXT = "text"
    JSON = "json"


def write_export(
    store: Database, peer: Peer, path: Path, form: ExportFormat, *, own_name: str, rng: Rng
) -> int:
    """Write a conversation to a new file and return how many messages it has; blocks.

    Raises:
        StoreError: The file exists or the disk refuses; nothing is left behind.
    """
    view = peer.view()
    name, mine = (clean_line(each, NAME_MAX_BYTES) for each in (view.name, own_name))
    count = 0
    with new_file(path, "an export", rng=rng) as file:
        if form is ExportFormat.JSON:
            whose = {"contact": view.name, "peer_id": view.peer_id}
            file.write(json.dumps(whose)[:-1].encode() + b', "messages": [')
            for message in _all(store, peer):
                file.write(b",\n" if count else b"\n")
                file.write(json.dumps(asdict(message)).encode())
                count += 1
            file.write(b"\n]}\n")
        else:
            head = f"Conversation of {mine} (\u2192) with {name} (\u2190), peer id {view.peer_id}"
            file.write(f"{head}\nTimes are UTC.\n\n".encode())
            for message in _all(store, peer):
                file.write(_paragraph(message, mine, name).encode())
                count += 1
    return count


def _all(store: Database, peer: Peer) -> Iterator[MessageView]:
    """Return the conversation as it is at this moment, oldest first."""
    connection = store.snapshot()
    try:
        with translated():
            connection.execute("BEGIN")
            transaction = SqlTransaction(connection, SearchIndex(connection))
            position = -1
            while page := transaction.messages_above(peer.contact_id, position, _PAGE):
                for record in page:
                    yield message_view(peer, record)
                position = page[-1].position
    finally:
        connection.close()


def _paragraph(message: MessageView, mine: str, theirs: str) -> str:
    """Return a message as text whose lines no message can imitate.

    Only its own first line begins at the left edge; what is told of it stands four columns in, and
    its further lines further than that. Marks stand before the name, where no text reaches.
    """
    incoming = message.direction is Direction.IN
    text = clean_text(message.text).replace("\n", f"\n{_INDENT}")
    marks = "".join(f"({mark}) " for mark in _marks(message))
    arrow, who = ("\u2190", theirs) if incoming else ("\u2192", mine)
    lines = [f"[{_time(message.sent_at_ms)}] {arrow} {marks}<{who}> {text}".rstrip()]
    if message.reply_to is not None:
        lines.append(f"{_ABOUT}> {clean_line(message.quote, _LINE_MAX_CHARS) or _GONE}")
    told = [
        f"{clean_line(emoji, REACTION_MAX_BYTES)} {theirs if by is Direction.IN else mine}"
        for by, emoji in message.reactions
    ]
    if told:
        lines.append(f"{_ABOUT}reactions: {', '.join(told)}")
    if not incoming and message.state not in (DeliveryState.DELIVERED, DeliveryState.READ):
        reason = clean_line(message.reason, _LINE_MAX_CHARS)
        lines.append(f"{_ABOUT}{message.state.value}{': ' if reason else ''}{reason}")
    return "\n".join(lines) + "\n"


def _marks(message: MessageView) -> Iterator[str]:
    if message.kind is not MessageKind.TEXT:
        yield message.kind.value
    if message.lifetime_s is not None:
        yield "disappears"
    if message.deleted:
        yield "deleted"
    elif message.edited_at_ms is not None:
        yield "edited"


def _time(sent_at_ms: int) -> str:
    """Return a time in UTC: a file is read elsewhere, and later."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(sent_at_ms / 1000))
    except (ValueError, OverflowError, OSError):
        return "????-??-?? ??:??:??Z"  # a peer's clock says anything
