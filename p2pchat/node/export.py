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

from p2pchat.constants import NAME_MAX_BYTES
from p2pchat.crypto.secret import Rng
from p2pchat.node.messages import message_view
from p2pchat.node.peer import Peer
from p2pchat.node.views import MessageView
from p2pchat.sanitize import clean_line, clean_text
from p2pchat.store.database import Database
from p2pchat.store.faults import translated
from p2pchat.store.new_file import new_file
from p2pchat.store.records import DeliveryState, Direction
from p2pchat.store.search import SearchIndex
from p2pchat.store.transaction import SqlTransaction

_PAGE: Final = 500
_INDENT: Final = " " * len("2026-01-01 00:00:00Z ")
"""Before the further lines of a message, so that no text looks like another message."""
_REASON_MAX_CHARS: Final = 200


class ExportFormat(StrEnum):
    """What an export is written as."""

    TEXT = "text"
    JSON = "json"


def write_export(store: Database, peer: Peer, path: Path, form: ExportFormat, *, rng: Rng) -> int:
    """Write a conversation to a new file and return how many messages it has; blocks.

    Raises:
        StoreError: The file exists or the disk refuses; nothing is left behind.
    """
    view = peer.view()
    name = clean_line(view.name, NAME_MAX_BYTES)
    count = 0
    with new_file(path, "an export", rng=rng) as file:
        if form is ExportFormat.JSON:
            head = {"contact": view.name, "peer_id": view.peer_id}
            file.write(json.dumps(head)[:-1].encode() + b', "messages": [')
            for message in _all(store, peer):
                file.write(b",\n" if count else b"\n")
                file.write(json.dumps(asdict(message)).encode())
                count += 1
            file.write(b"\n]}\n")
        else:
            file.write(f"Conversation with {name}, peer id {view.peer_id}\n\n".encode())
            for message in _all(store, peer):
                file.write(_paragraph(message, name).encode())
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


def _paragraph(message: MessageView, name: str) -> str:
    incoming = message.direction is Direction.IN
    who = f"\u2190 {name}" if incoming else "\u2192"
    text = clean_text(message.text).replace("\n", f"\n{_INDENT}")
    line = f"{_time(message.sent_at_ms)} {who}: {text}"
    if not incoming and message.state is not DeliveryState.DELIVERED:
        reason = clean_line(message.reason, _REASON_MAX_CHARS)
        line += f" ({message.state.value}{': ' if reason else ''}{reason})"
    return line + "\n"


def _time(sent_at_ms: int) -> str:
    """Return a time in UTC: a file is read elsewhere, and later."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(sent_at_ms / 1000))
    except (ValueError, OverflowError, OSError):
        return "????-??-?? ??:??:??Z"  # a peer's clock says anything
