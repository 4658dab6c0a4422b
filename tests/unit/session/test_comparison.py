"""Comparing a phrase: every step, and every way to spoil it (protocol.md §3.8, §7.8)."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from p2pchat.constants import NOTICE_MAX_BYTES, PHRASE_MAX_BYTES
from p2pchat.crypto.secret import Secret
from p2pchat.errors import LocalProtocolError, ProtocolError, TrustError, UsageError
from p2pchat.identity.phrase import normalise_phrase, require_tries
from p2pchat.session import comparison
from p2pchat.session.comparison import (
    TRANSITIONS,
    Action,
    Asked,
    Comparison,
    CountTry,
    Ended,
    Outcome,
    Send,
    State,
    Trigger,
)
from p2pchat.session.comparison_steps import HEAD_LEN, PAYLOAD_LEN, Step
from tests.support.pairs import seeded_rng

ALICE, BOB, MALLORY = (bytes([number]) * 32 for number in (1, 2, 3))
HASH = bytes(range(32))
PHRASE = normalise_phrase("the boat with the green hull")
WRONG = normalise_phrase("the boat with the red hull")


def side(ours: bytes, theirs: bytes, handshake_hash: bytes = HASH, seed: str = "") -> Comparison:
    rng = seeded_rng(f"{ours.hex()}{seed}")
    return Comparison(ours=ours, theirs=theirs, handshake_hash=handshake_hash, rng=rng)


def said(actions: list[Action]) -> bytes:
    """The one message among the actions."""
    [body] = [action.body for action in actions if isinstance(action, Send)]
    assert len(body) <= NOTICE_MAX_BYTES
    return body


def outcomes(actions: list[Action]) -> list[Outcome]:
    return [action.outcome for action in actions if isinstance(action, Ended)]


class Two:
    """Alice asks Bob, step by step; ``talk`` is all that was said."""

    def __init__(self) -> None:
        self.alice, self.bob = side(ALICE, BOB), side(BOB, ALICE)
        self.ended: dict[str, list[Outcome]] = {"alice": [], "bob": []}
        self.talk: list[bytes] = []

    def ask(self, phrase: Secret = PHRASE) -> list[Action]:
        self.talk.append(said(self.alice.offer(phrase)))
        return self.bob.receive(self.talk[-1])

    def answer(self, phrase: Secret = PHRASE) -> list[Action]:
        self.talk.append(said(self.bob.offer(phrase)))
        return self.alice.receive(self.talk[-1])

    def confirm(self, actions: list[Action]) -> tuple[list[Action], list[Action]]:
        """Bob's actions at Alice's confirmation, and hers at his reply."""
        self.talk.append(said(actions))
        bobs = self.bob.receive(self.talk[-1])
        self.talk.append(said(bobs))
        return bobs, self.alice.receive(self.talk[-1])


def test_the_same_phrase_verifies_both() -> None:
    """R-3.8.2, R-3.8.5"""
    two = Two()
    assert two.ask() == [Asked()]
    actions = two.answer()
    bobs, alices = two.confirm(actions)
    assert bobs == [Ended(Outcome.VERIFIED), Send(two.talk[-1])]
    assert alices == [Ended(Outcome.VERIFIED)]
    assert {two.alice.state, two.bob.state} == {State.IDLE}


@pytest.mark.parametrize("wrong", ["asker", "answerer"])
def test_another_phrase_verifies_nobody(wrong: str) -> None:
    two = Two()
    two.ask(WRONG if wrong == "asker" else PHRASE)
    bobs, alices = two.confirm(two.answer(WRONG if wrong == "answerer" else PHRASE))
    assert outcomes(bobs) == outcomes(alices) == [Outcome.DIFFERED]
    assert bobs[0] == CountTry()


def test_a_try_counts_before_what_would_tell_right_from_wrong() -> None:
    """R-3.8.6: each side's, and on the asker's even if nothing comes back."""
    two = Two()
    two.ask(WRONG)
    actions = two.answer()
    assert [type(action) for action in actions] == [CountTry, Send]
    bobs, _ = two.confirm(actions)
    assert [type(action) for action in bobs] == [CountTry, Ended, Send]


def test_what_is_sent_before_the_confirmations_is_independent_of_the_phrase() -> None:
    """Only the 64 bytes of a confirmation test a guess, and those need the other's share."""
    lengths = {step: HEAD_LEN + length for step, length in PAYLOAD_LEN.items()}
    two = Two()
    two.ask()
    two.confirm(two.answer())
    assert [len(body) for body in two.talk] == [
        lengths[Step.ASK], lengths[Step.SHARE], lengths[Step.CONFIRM], lengths[Step.CONFIRM],
    ]  # fmt: skip
    wrong = Two()
    wrong.ask(WRONG)
    assert len(wrong.talk[0]) == len(two.talk[0])


def test_both_ask_at_once() -> None:
    """R-3.8.4: the greater identity's run goes on."""
    alice, bob = side(ALICE, BOB), side(BOB, ALICE)
    alices, bobs = said(alice.offer(PHRASE)), said(bob.offer(PHRASE))
    assert bob.receive(alices) == []
    share = said(alice.receive(bobs))
    assert (alice.state, bob.state) == (State.ANSWERED, State.ASKED)
    confirm = alice.receive(said(bob.receive(share)))
    assert outcomes(confirm) == [Outcome.VERIFIED]
    assert outcomes(bob.receive(said(confirm))) == [Outcome.VERIFIED]


def test_an_ask_that_was_passed_over_and_taken_back_disturbs_nothing() -> None:
    """R-3.8.4: Alice gives up before she hears that Bob's run goes on."""
    alice, bob = side(ALICE, BOB), side(BOB, ALICE)
    alices, bobs = said(alice.offer(PHRASE)), said(bob.offer(PHRASE))
    taken_back = said(alice.give_up())
    assert bob.receive(alices) == bob.receive(taken_back) == []
    assert bob.state is State.ASKED
    assert alice.receive(bobs) == [Asked()]
    confirm = alice.receive(said(bob.receive(said(alice.offer(PHRASE)))))
    assert outcomes(confirm) == [Outcome.VERIFIED]
    assert outcomes(bob.receive(said(confirm))) == [Outcome.VERIFIED]


def middleman() -> tuple[Comparison, Comparison]:
    """Two genuine sessions of Mallory's own: Alice takes her for Bob, Bob takes her for Alice."""
    return side(ALICE, MALLORY, bytes(32)), side(BOB, MALLORY, b"\xff" * 32)


def test_a_man_in_the_middle_who_passes_messages_on_is_told_by_name() -> None:
    alice, bob = middleman()
    assert outcomes(bob.receive(said(alice.offer(PHRASE)))) == [Outcome.FOREIGN]


def test_a_man_in_the_middle_who_makes_them_fit_learns_nothing_and_verifies_nobody() -> None:
    """R-3.8.3: he rewrites what binds a message to its connection, but not the shares."""
    alice, bob = middleman()
    to_alice, to_bob = side(MALLORY, ALICE, bytes(32)), side(MALLORY, BOB, b"\xff" * 32)

    def passed(body: bytes, to: Comparison) -> bytes:
        run = body[1:9]
        binding = to._binding(run, MALLORY)
        return body[:1] + run + binding + body[HEAD_LEN:]

    bob.receive(passed(said(alice.offer(PHRASE)), to_bob))
    actions = alice.receive(passed(said(bob.offer(PHRASE)), to_alice))
    bobs = bob.receive(passed(said(actions), to_bob))
    assert outcomes(bobs) == [Outcome.DIFFERED]
    assert outcomes(alice.receive(passed(said(bobs), to_alice))) == [Outcome.DIFFERED]


def test_our_own_message_sent_back() -> None:
    two = Two()
    two.ask()
    assert outcomes(two.alice.receive(two.talk[0])) == [Outcome.FOREIGN]
    assert two.alice.state is State.IDLE


def test_our_own_share_as_theirs() -> None:
    """With the peer's binding, as only the peer itself can make it."""
    two = Two()
    two.ask()
    share = two.bob._binding(two.bob._run, BOB), two.talk[0][HEAD_LEN:]
    body = bytes([Step.SHARE]) + two.bob._run + share[0] + share[1]
    assert outcomes(two.alice.receive(body)) == [Outcome.DISTURBED]


@pytest.mark.parametrize("point", ["00" * 32, "01" + "00" * 31, "ec" + "ff" * 30 + "7f"])
@pytest.mark.parametrize("step", [Step.ASK, Step.SHARE])
def test_a_low_order_point(step: Step, point: str) -> None:
    two = Two()
    if step is Step.ASK:
        body = said(two.alice.offer(PHRASE))
        two.bob.receive(body[:HEAD_LEN] + bytes.fromhex(point))
        actions = two.bob.offer(PHRASE)
    else:
        two.ask()
        body = said(two.bob.offer(PHRASE))
        actions = two.alice.receive(body[:HEAD_LEN] + bytes.fromhex(point))
    assert outcomes(actions) == [Outcome.DISTURBED]
    assert CountTry() not in actions
    other = two.alice if step is Step.ASK else two.bob
    assert outcomes(other.receive(said(actions))) == [Outcome.CANCELLED]


@pytest.mark.parametrize("forgery", ["zeros", "our own"])
def test_a_forged_confirmation_verifies_nobody(forgery: str) -> None:
    """R-3.8.5: an answerer who does not know the phrase claims that it does."""
    two = Two()
    two.ask()
    ours = said(two.answer(WRONG))
    tag = ours[HEAD_LEN:] if forgery == "our own" else bytes(len(ours) - HEAD_LEN)
    run = two.bob._run
    body = bytes([Step.CONFIRM]) + run + two.bob._binding(run, BOB) + tag
    assert two.alice.receive(body) == [Ended(Outcome.DIFFERED)]


def test_a_new_run_in_the_middle_of_another() -> None:
    two = Two()
    two.ask()
    two.alice.give_up()
    assert outcomes(two.ask()) == [Outcome.DISTURBED]
    assert two.bob.state is State.IDLE


@pytest.mark.parametrize("number", range(3))
def test_a_message_that_comes_twice_in_its_run(number: int) -> None:
    two = Two()
    two.ask()
    if number:
        actions = two.answer()
        if number == 2:
            two.talk.append(said(actions))
            two.bob.receive(two.talk[2])
    receiver = two.alice if number == 1 else two.bob
    state = receiver.state
    actions = receiver.receive(two.talk[number])
    if state is State.IDLE:  # the run is over: nothing is at stake any more
        assert actions == []
    else:
        expected = Outcome.REPLAYED if number == 0 else Outcome.DISTURBED
        assert outcomes(actions) == [expected]
        assert receiver.state is State.IDLE


def test_messages_of_an_earlier_run() -> None:
    two = Two()
    two.ask(WRONG)
    two.confirm(two.answer())
    earlier = list(two.talk)
    two.ask()
    two.bob.offer(PHRASE)
    two.bob._left = None  # not the run that ended last, whose messages may still be on their way
    assert outcomes(two.bob.receive(earlier[2])) == [Outcome.REPLAYED]
    assert outcomes(two.bob.receive(earlier[0])) == [Outcome.REPLAYED]


@pytest.mark.parametrize("number", range(4))
def test_messages_of_another_connection(number: int) -> None:
    earlier = Two()
    earlier.ask()
    earlier.confirm(earlier.answer())
    receiver = (side(BOB, ALICE, bytes(32)), side(ALICE, BOB, bytes(32)))[number % 2]
    assert outcomes(receiver.receive(earlier.talk[number])) == [Outcome.FOREIGN]


def test_either_side_may_break_it_off() -> None:
    two = Two()
    two.ask()
    assert outcomes(two.bob.receive(said(two.alice.give_up()))) == [Outcome.CANCELLED]
    two.ask()
    assert outcomes(two.alice.receive(said(two.bob.give_up()))) == [Outcome.CANCELLED]
    assert two.alice.give_up() == []


def test_messages_that_crossed_the_end_on_their_way_are_no_replay() -> None:
    two = Two()
    two.ask()
    late = said(two.bob.offer(PHRASE))
    two.alice.give_up()
    assert two.alice.receive(late) == []
    two.alice.offer(PHRASE)
    assert two.alice.receive(late) == []
    assert two.alice.state is State.ASKED


def test_one_at_a_time() -> None:
    two = Two()
    two.ask()
    with pytest.raises(LocalProtocolError):
        two.alice.offer(PHRASE)
    two.bob.offer(PHRASE)
    with pytest.raises(LocalProtocolError):
        two.bob.offer(PHRASE)


def test_a_connection_has_no_endless_runs() -> None:
    two = Two()
    for _ in range(comparison.RUNS_MAX):
        two.ask()
        two.bob.receive(said(two.alice.give_up()))
    with pytest.raises(LocalProtocolError):
        two.alice.offer(PHRASE)
    with pytest.raises(LocalProtocolError):
        two.bob.offer(PHRASE)
    two.alice._seen.clear()  # an asker who does not count
    assert outcomes(two.ask()) == [Outcome.REPLAYED]


@pytest.mark.parametrize("step", Step)
@pytest.mark.parametrize("change", [-1, 1])
def test_lengths(step: Step, change: int) -> None:
    """R-7.8.6"""
    with pytest.raises(ProtocolError):
        side(ALICE, BOB).receive(bytes([step]) + bytes(HEAD_LEN - 1 + PAYLOAD_LEN[step] + change))


@pytest.mark.parametrize("body", [b"", b"\x01", bytes(HEAD_LEN), b"\x06" + bytes(HEAD_LEN)])
def test_no_step(body: bytes) -> None:
    """R-7.8.6"""
    with pytest.raises(ProtocolError):
        side(ALICE, BOB).receive(body)


def test_the_protocol_prints_this_table() -> None:
    document = (Path(__file__).parents[3] / "protocol.md").read_text()
    start, end = "<!-- comparison-table -->\n", "\n<!-- /comparison-table -->"
    assert document.split(start)[1].split(end)[0] == comparison.markdown()


def test_the_table_says_all_that_a_run_may_do() -> None:
    """Whatever is not in it ends the run with a name of its own."""
    pairs = {(state, Trigger[step.name]) for state, step in itertools.product(State, Step)}
    assert {pair for pair in TRANSITIONS if pair[1].name in Step.__members__} < pairs
    assert all(TRANSITIONS[pair] is State.IDLE for pair in TRANSITIONS if pair[1] is Trigger.CANCEL)


# --- the phrase -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "typed",
    [
        "  The BOAT\twith the\ngreen\u00a0hull ",
        "the boat with the green hull",
        "ｔｈｅ boat with the green hull",
        "the\u2028boat\u3000with\u0085the\u1680green hull",
    ],
)
def test_one_phrase_typed_in_several_ways(typed: str) -> None:
    """R-3.8.1"""
    assert normalise_phrase(typed) == PHRASE


def test_what_stays_different() -> None:
    """R-3.8.1"""
    assert normalise_phrase("Straße") == normalise_phrase("STRASSE")
    assert normalise_phrase("cafe\u0301 bar") == normalise_phrase("CAFÉ BAR")
    assert normalise_phrase("green hull") != normalise_phrase("greenhull")


@pytest.mark.parametrize(
    "typed",
    [
        *("", "  a b ", "abc", "x" * (PHRASE_MAX_BYTES + 1)),
        *("boat\x1b[2J", "boat\x1fboat", "\ud800boat", "\u0378boat"),
    ],
)
def test_no_phrase(typed: str) -> None:
    """R-3.8.1"""
    with pytest.raises(UsageError):
        normalise_phrase(typed)


@pytest.mark.parametrize("typed", ["boat", "x" * PHRASE_MAX_BYTES])
def test_the_shortest_phrase_and_the_longest(typed: str) -> None:
    """R-3.8.1"""
    assert normalise_phrase(typed).reveal() == typed.encode()


def test_three_tries() -> None:
    """R-3.8.6"""
    require_tries(2)
    with pytest.raises(TrustError):
        require_tries(3)
