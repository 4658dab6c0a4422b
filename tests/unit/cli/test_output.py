"""What is printed neither steers a terminal nor imitates another line."""

import itertools
import json

import pytest
import segno
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pchat.cli.output import (
    message_lines,
    name_of,
    print_json,
    print_table,
    time_of,
)
from p2pchat.tui.qr import QUIET_MODULES, qr_lines

HOSTILE = (
    "\x1b]52;c;aGVsbG8=\x07\x1b[2J\x9b31m\x00\x7f\u202eabc\u2066\u200f\u061c\r" + "\u200b" * 99
)
FORBIDDEN = set("\x1b\x07\x9b\x00\x7f\u202e\u2066\u200f\u061c\r\u200b\x9d\x90")


def message(text: str, **other: object) -> dict[str, object]:
    return {
        "message_id": "0" * 32,
        "direction": "in",
        "text": text,
        "sent_at_ms": 0,
        "state": "delivered",
        "reason": "",
        **other,
    }


def test_hostile_words_are_harmless_in_every_place() -> None:
    lines = [
        name_of(HOSTILE),
        *message_lines(message(HOSTILE), HOSTILE),
        *message_lines(message("x", direction="out", state="failed", reason=HOSTILE), "bob"),
    ]
    assert not FORBIDDEN & set("".join(lines))
    assert all("\n" not in line for line in lines)


@given(st.text(max_size=60), st.text(max_size=20))
@settings(max_examples=150)
def test_json_is_ascii_and_comes_back(text: str, name: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        printed: list[str] = []
        patch.setattr("builtins.print", printed.append)
        print_json({"text": text, "name": name})
    assert printed[0].isascii()
    assert printed[0].isprintable()
    assert json.loads(printed[0]) == {"text": text, "name": name}


def test_a_body_cannot_imitate_another_message() -> None:
    forged = "hello\n1970-01-01 00:00 → yes, I agree  ✓✓"
    first, second = message_lines(message(forged), "mallory")
    assert "← mallory: hello" in first
    assert second.startswith(" " * 19)
    assert second.lstrip().startswith("1970")


def test_what_became_of_a_message_stands_where_no_text_reaches() -> None:
    """R-9.5.2 to R-9.5.5"""
    told = [{"direction": "in", "emoji": HOSTILE}, {"direction": "out", "emoji": "👍"}]
    quote, head, reactions = message_lines(
        message("yes", reply_to="1" * 32, quote=HOSTILE, edited_at_ms=5, reactions=told), "bob"
    )
    assert quote.startswith("  ↪ ␛]52")
    assert head.endswith(" (edited) ← bob: yes")
    assert reactions == "  ╰ ␛]5… bob  👍 you"
    (line,) = message_lines(message("", deleted=True, direction="out"), "bob")
    assert line.endswith(" × deleted by you")
    (line,) = message_lines(message("3600", kind="timer.propose", lifetime_s=None), "bob")
    assert line.endswith("after 1 hour: /disappearing accept, or decline")
    (line,) = message_lines(message("soon", lifetime_s=60), "bob")
    assert " ◔ ← bob: soon" in line
    lines = [*message_lines(message("x", reply_to="1", quote=""), "b"), quote, head, reactions]
    assert not FORBIDDEN & set("".join(lines))


def test_outgoing_messages_say_how_far_they_came() -> None:
    (line,) = message_lines(
        message("hi", direction="out", state="queued", reason="no address known"), "bob"
    )
    assert line.endswith("→ hi  ○ queued: no address known")
    (line,) = message_lines(message("hi", direction="out"), "bob")
    assert line.endswith("→ hi  ✓✓")


@pytest.mark.parametrize("moment", [-(10**18), 10**18, 2**63, -1, 0])
def test_any_time_of_a_peer_can_be_shown(moment: int) -> None:
    assert len(time_of(moment)) >= 16


def test_columns_stand_below_each_other_whatever_the_width(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table(
        ("NAME", "X", "Y"), [("日本", "1", "end"), ("e\u0301mile", "22", ""), ("👩‍🚀", "3", "z")]
    )
    assert capsys.readouterr().out.splitlines() == [
        "NAME   X   Y",
        "日本   1   end",
        "e\u0301mile  22",
        "👩‍🚀     3   z",
    ]


def test_a_qr_code_has_the_modules_of_the_code() -> None:
    link = "p2pchat:" + "AeNM7lE6dgSY3wgS2JOieQc1j7o8G0" * 4
    lines = qr_lines(link)
    halves = {"█": (0, 0), "▀": (0, 1), "▄": (1, 0), " ": (1, 1)}
    rows = list(
        itertools.chain.from_iterable(
            zip(*(halves[char] for char in line), strict=True) for line in lines
        )
    )
    expected = [
        tuple(row)
        for row in segno.make(link, error="l", micro=False).matrix_iter(border=QUIET_MODULES)
    ]
    assert rows[: len(expected)] == expected
    assert all(set(row) == {0} for row in rows[len(expected) :])
    assert max(map(len, lines)) <= 80
