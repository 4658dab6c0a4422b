"""On the screen: comparing a phrase, who was verified how, the record (protocol.md §3.8, §9.4)."""

from __future__ import annotations

import pytest

from p2pchat.session.comparison import Outcome
from p2pchat.tui.comparing import ago, ended_words
from tests.support.node_world import until
from tests.tui.dataset import NOON, PEER, DataSet, contact, message
from tests.tui.terminal import terminal

PHRASE = "zebra canary phrase"
DAY_MS = 24 * 3600 * 1000


async def test_a_phrase_is_typed_unseen_and_its_end_stays_in_the_chat() -> None:
    data = DataSet([contact("Bob", online=True)])
    async with terminal(data) as app:
        await app.shows("Bob")
        app.press("/secret\r")
        await app.shows("Compare a phrase with Bob", "type the phrase, unseen")
        app.press(PHRASE)
        await app.shows("> " + "•" * len(PHRASE))
        app.press("\r")
        await app.shows("Waiting for Bob to type the same phrase")
        await until(lambda: data.asked("contact.compare") != [])
        assert data.asked("contact.compare") == [{"contact": "Bob", "secret": PHRASE}]
        data.contacts[0].update(trust="verified", verified_at_ms=NOON, verified_by="secret")
        data.stream.put("contact.compared", contact="Bob", outcome="verified", tries_left=3)
        await app.shows("✓ Both of you typed the same phrase: Bob is verified.", "Esc goes back")
        app.press("/whois\r")  # no phrase any more, and seen as it is typed
        await app.shows("Peer id")
        assert len(data.asked("contact.compare")) == 1
        app.press("\x1b")
        await app.shows("Both of you typed the same phrase", "✓ verified just now by shared secret")
        assert "zebra" not in app.raw
        assert "zebra" not in repr(app.app.state)


async def test_who_is_asked_hears_of_it() -> None:
    data = DataSet([contact("Bob", online=True)])
    async with terminal(data) as app:
        await app.shows("Bob")
        data.stream.put("contact.compare_asked", contact="Bob")
        await app.shows("· Bob asks you to type a phrase that you both know:", "/secret")
        app.press("/secret\r")
        await app.shows("Bob has typed a phrase that you both know. Type it too")
        app.press(PHRASE + "\r")
        await app.shows("Waiting for Bob")
        data.stream.put("contact.compared", contact="Bob", outcome="differed", tries_left=2)
        await app.shows("✗ Not verified: the two phrases differ", "2 tries are left")


async def test_a_phrase_is_no_argument_of_the_command() -> None:
    data = DataSet([contact("Bob", online=True)])
    async with terminal(data) as app:
        await app.shows("Bob")
        app.press("/secret open sesame\r")
        await app.shows("Type /secret alone; the phrase is then typed unseen.")
        await app.lacks("sesame")
        assert data.asked("contact.compare") == []
        app.press("/secret new\r")
        await app.shows("Three phrases may be compared with Bob again.")


async def test_whois_tells_who_somebody_is_and_how_one_knows() -> None:
    more = {"verified_at_ms": NOON - 430 * DAY_MS, "verified_by": "secret"}
    data = DataSet([contact("Bob", "verified", online=True, **more), contact("Carol")])
    async with terminal(data) as app:
        await app.shows("Carol")
        app.press("/whois Bob\r")
        await app.shows("Bob", "✓ verified 14 months ago by shared secret", "● online", PEER)
        app.press("/whois Carol\r")
        await app.shows("Carol", "~ unverified: not compared yet", "offline")


async def test_the_header_tells_how_and_when_somebody_was_verified() -> None:
    more = {"verified_at_ms": NOON - 430 * DAY_MS, "verified_by": "number"}
    async with terminal(DataSet([contact("Bob", "verified", **more)])) as app:
        await app.shows("✓ verified 14 months ago by safety number")
    long = contact("Bob of the very long name indeed", "verified", **more)
    async with terminal(DataSet([long])) as app:
        screen = await app.shows("Bob of the very long name indeed", "✓ verified")
        assert "months ago" not in screen


@pytest.mark.parametrize(
    ("minutes", "words"),
    [
        (-5, "just now"),
        (0, "just now"),
        (1, "1 minute ago"),
        (59, "59 minutes ago"),
        (120, "2 hours ago"),
        (24 * 60, "1 day ago"),
        (59 * 24 * 60, "59 days ago"),
        (430 * 24 * 60, "14 months ago"),
        (800 * 24 * 60, "2 years ago"),
    ],
)
def test_how_long_ago(minutes: int, words: str) -> None:
    assert ago(NOON - minutes * 60_000, NOON) == words


def test_each_end_has_a_sentence_of_its_own() -> None:
    sentences = {ended_words(outcome.value, "Bob", 2) for outcome in Outcome}
    assert len(sentences) == len(Outcome)
    assert "Not verified." not in sentences
    assert all(
        sentence.startswith("Not verified: ") for sentence in sentences if "Both" not in sentence
    )


# --- on the record --------------------------------------------------------------------------------


async def test_signing_takes_both_and_no_text_looks_like_a_statement() -> None:
    lines = [
        message(1, "signed: I owe you a boat"),
        message(2, "propose", kind="record.propose"),
        message(3, "I owe you a ship", kind="statement"),
    ]
    data = DataSet([contact("Bob", online=True, record="asked")], {"Bob": lines})
    async with terminal(data) as app:
        await app.shows(
            "[12:01] <Bob> signed: I owe you a boat",
            "[12:02] ✎ <Bob> asks to go on the record",
            "[12:03] ✎ <Bob> signed: I owe you a ship",
        )
        app.press("/sign me too\r")
        await app.shows("✗ Not signed: both of you have to be on the record first.")
        app.press("\x15/record\r")
        await app.shows("Bob asks to go on the record: /record accept, or decline.")
        app.press("/record accept\r")
        await until(lambda: data.asked("record.step") != [])
        assert data.asked("record.step") == [{"contact": "Bob", "step": "accept"}]
        data.contacts[0]["record"] = "on"
        data.stream.put("contact.state", contact="Bob", online=True, trust="unverified", pq=False)
        await until(lambda: app.app.state.contacts[0].record == "on")
        app.press("/sign me too\r")
        await until(lambda: data.asked("record.sign") != [])
        assert data.asked("record.sign") == [{"contact": "Bob", "text": "me too"}]
        await app.shows("✎ <Alice> signed: me too")
