"""A message is text and nothing else: no link is followed, no markup obeyed (protocol.md §9.7)."""

from __future__ import annotations

import socket
import subprocess
import webbrowser
from datetime import UTC
from pathlib import Path
from typing import Any, NoReturn

import pytest

from p2pchat.tui.actions.news import MessageArrived
from p2pchat.tui.conversation import Delivery, Message
from p2pchat.tui.history import Names, message_lines
from p2pchat.tui.wire import notified
from tests.support.node_world import delivered, memory_world

TEMPTING = (
    "see https://tracker.example/pixel.png?who=bob and **bold** <img src=//tracker.example/x>"
    " [click](file:///etc/passwd) \\\\server\\share 192.0.2.7:80 p2pchat:AAAA"
)


async def test_nothing_that_a_message_names_is_looked_up_or_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R-9.7.1: sent, received, answered, edited, read, listed, searched and drawn."""
    world = memory_world(tmp_path)
    alice, bob = await world.two()  # over the memory transport: no socket is needed from here on

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("a message made us reach out")

    for module, name in (
        (socket, "socket"),
        (socket, "getaddrinfo"),
        (socket, "create_connection"),
        (subprocess, "Popen"),
        (webbrowser, "open"),
    ):
        monkeypatch.setattr(module, name, refuse)
    view = await alice.node.send("bob", TEMPTING)
    await delivered(alice, "bob")
    await bob.node.reply("alice", view.message_id, TEMPTING)
    await alice.node.edit("bob", view.message_id, TEMPTING + " again")
    await delivered(bob, "alice")
    await alice.node.mark_read("bob")
    history = await alice.history("bob")
    assert history[-1].text == TEMPTING  # word for word
    assert len(await alice.node.messages("bob", search="tracker")) == 2
    drawn = message_lines(
        Message("1", False, TEMPTING, 0, Delivery.DELIVERED), Names("me", "Bob"), 400, UTC
    )
    assert TEMPTING in "".join(text for line in drawn for _, text in line)
    params = {"contact": "bob", "message_id": "1", "text": TEMPTING, "sent_at_ms": 0}
    arrived = notified("message.received", params, 0)
    assert isinstance(arrived, MessageArrived)
    assert arrived.message.text == TEMPTING
    await world.close()
