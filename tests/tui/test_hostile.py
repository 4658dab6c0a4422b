"""What a peer wrote never steers the terminal: asserted on the raw bytes (R-9.3.1, R-9.3.2)."""

from __future__ import annotations

import re

import pytest

from tests.tui.dataset import DataSet, contact, message
from tests.tui.terminal import terminal

HOSTILE = {
    "an escape sequence": "\x1b[31mred\x1b[2J",
    "the clipboard": "\x1b]52;c;cHduZWQ=\x07",
    "a window title": "\x1b]2;pwned\x07",
    "C1 CSI": "\x9b31mred",
    "C1 OSC": "\x9d52;c;cHduZWQ=\x9c",
    "bidi overrides": "\u202emoc.elpmaxe\u202c\u2066x\u2069\u200f\u200e\u061c",
    "control characters": "a\x00b\x07c\x08d\x0be\x7f",
    "a line that overwrites": "safe\rEVIL",
    "zero-width flood": "a" + "\u200b\u200d\u2060" * 500 + "b",
    "zalgo": "e" + "\u0301" * 500,
    "tags and private use": "x\U000e0041\U000e007f\ue000\U000f0000",
}
BIDI = re.compile("[\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
# What prompt_toolkit and GridOutput send of themselves: CSI sequences, and save and restore.
OWN = re.compile(r"\x1b(?:\[[0-9;?<>=]*[A-Za-z]|[78])")
OTHER_CONTROLS = re.compile("[\x00-\x07\x09\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def assert_harmless(raw: str) -> None:
    """Only our own sequences, nothing of the payloads."""
    assert "\x1b[31mred" not in raw
    assert "\x1b[2Jred" not in raw
    assert "\x1b]" not in raw
    assert not BIDI.search(raw)
    assert not OTHER_CONTROLS.search(OWN.sub("", raw))
    assert "\u0301" * 6 not in raw
    raw.encode()  # no lone surrogates


@pytest.mark.parametrize("payload", HOSTILE.values(), ids=HOSTILE)
async def test_in_names_notes_messages_and_reasons(payload: str) -> None:
    data = DataSet(
        [
            contact("Ann", name=f"Ann{payload}", offline_reason=f"reason{payload}"),
            contact("Erin", "request", name=f"Erin{payload}", note=f"note{payload}"),
            contact("Dave", "changed", name=f"Dave{payload}"),
        ],
        {
            "Ann": [
                message(1, f"first{payload}"),
                message(2, payload, out=True, state="failed", reason=f"why{payload}"),
                message(3, "last"),
            ]
        },
    )
    async with terminal(data, 120, 40) as app:
        await app.shows("Ann", "first", "why", "last")
        app.press("\x1b2")
        await app.shows("THE KEY OF Dave")
        app.press("\x1b3")
        await app.shows("“note")
        data.stream.put("contact.request", contact="x", name=f"Sam{payload}", peer_id="", note="")
        await app.shows("Sam", "asks to talk with you. Alt+a")
        data.stream.put("session.restarted", contact="Ann", cause=f"cause{payload}")
        app.press("\x1b1")
        await app.shows("cause")
        app.press("/search f\r")
        await app.shows("in the chat with Ann", "first")
        app.press("/verify\r")
        await app.shows("Compare the safety number with Ann")
        assert_harmless(app.raw)


@pytest.mark.parametrize("payload", HOSTILE.values(), ids=HOSTILE)
async def test_in_what_is_pasted_and_sent(payload: str) -> None:
    """A paste is somebody else's text as well, until it is sent; and it is sent as it is.

    R-9.3.5
    """
    data = DataSet([contact("Ann")])
    async with terminal(data, 80, 24) as app:
        await app.shows("No messages yet")
        pasted = f"begin {payload} end".replace("\r", "\n").replace("\x1b", "")
        await app.paste(pasted)
        await app.shows("> begin")
        app.press("\r")
        await app.shows("<Alice> begin")
        assert data.asked("message.send")[0]["text"] == pasted
        assert_harmless(app.raw)


async def test_an_ordinary_screen_sets_no_title_and_takes_no_mouse() -> None:
    async with terminal(DataSet([contact("Ann")])) as app:
        await app.shows("Ann")
        assert "\x1b]" not in app.raw
        for mouse in ("?1000h", "?1002h", "?1003h", "?1006h"):
            assert mouse not in app.raw
        assert "\x1b[?2004h" in app.raw  # bracketed paste
