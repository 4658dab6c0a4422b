"""Both sides come to the same time, however their words cross (protocol.md §9.6)."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pchat.session.vanishing import Proposal, TimerStep, Vanishing, they_say, we_say

P, A, D, E = TimerStep.PROPOSE, TimerStep.ACCEPT, TimerStep.DECLINE, TimerStep.END


class Talk:
    """Two sides and the words on their way, in order in each direction."""

    def __init__(self) -> None:
        self.sides = [Vanishing(), Vanishing()]
        self.lines: list[deque[tuple[TimerStep, Proposal, bytes | None]]] = [deque(), deque()]
        self.spoken = 0

    def say(self, who: int, step: TimerStep, seconds: int = 0) -> bool:
        """Let one side say something, if it may; the word is on its way then."""
        self.spoken += 1
        state, ours = self.sides[who], Proposal(self.spoken.to_bytes(16, "big"), seconds)
        of = state.theirs.message_id if state.theirs and step in (A, D) else None
        following = we_say(state, step, ours)
        if following is None:
            return False
        self.sides[who] = following
        self.lines[1 - who].append((step, ours, of))
        return True

    def hear(self, who: int) -> None:
        """Let one side take the oldest word on its way, if there is one."""
        if self.lines[who]:
            step, proposed, of = self.lines[who].popleft()
            self.sides[who] = they_say(self.sides[who], step, proposed=proposed, of=of)

    def settle(self) -> tuple[int, int]:
        for who in (0, 1):
            while self.lines[who]:
                self.hear(who)
        return self.sides[0].seconds, self.sides[1].seconds


ACTS = st.lists(
    st.tuples(
        st.sampled_from([0, 1]),
        st.sampled_from([*TimerStep, "hear", "hear"]),
        st.sampled_from([10, 20, 30]),
    ),
    max_size=40,
)


@settings(max_examples=600)
@given(ACTS)
def test_any_crossing_ends_in_agreement(acts: list[tuple[int, TimerStep | str, int]]) -> None:
    """R-9.6.2"""
    talk = Talk()
    for who, what, seconds in acts:
        if isinstance(what, TimerStep):
            talk.say(who, what, seconds)
        else:
            talk.hear(who)
    one, other = talk.settle()
    assert one == other


def test_proposals_that_are_accepted_at_the_same_moment_give_the_shorter_time() -> None:
    """R-9.6.2"""
    talk = Talk()
    assert talk.say(0, P, 60)
    assert talk.say(1, P, 3600)
    talk.settle()
    assert talk.say(0, A)
    assert talk.say(1, A)
    assert talk.settle() == (60, 60)


CROSSINGS = [
    "0P10 1h 0E 0P20 1P10 0h 0A 1A 1h 1h 1A",
    "0P10 1h 0E 0P20 1P10 0h 0A 1A 1h 1h 1h 1A",
    "0P10 1h 0E 0P20 1P10 0h 0A 1A 1h 1h 1P10 1A",
    "1P10 0h 1E 1P20 0P10 0A 1E 0h 1P20 1h 1A 0P20 0h 0A 1h 1h 0h 1A 0h",
]
"""Found by trying all talks of eight words in every order of arrival, and longer ones by chance:
who speaks, the word and its seconds; ``h`` is hearing."""


@pytest.mark.parametrize("words", CROSSINGS)
def test_acceptances_that_cross_more_than_once(words: str) -> None:
    """R-9.6.2: a second proposal gives way before the answer to the first has come."""
    talk = Talk()
    steps = {"P": P, "A": A, "E": E}
    for word in words.split():
        who, what, seconds = int(word[0]), word[1], int(word[2:] or 0)
        if what == "h":
            talk.hear(who)
        else:
            talk.say(who, steps[what], seconds)
    one, other = talk.settle()
    assert one == other


OURS, THEIRS, SPENT = (Proposal(bytes([n]) * 16, n) for n in (60, 90, 30))
ALL = Vanishing(5, 4, OURS, THEIRS, (SPENT,), 7)


def test_what_each_word_of_ours_leaves() -> None:
    """R-9.6.1, R-9.6.2"""
    assert we_say(ALL, A, OURS) == Vanishing(90, 5, spent=(SPENT, OURS), accepted=90)
    assert we_say(ALL, D, OURS) == Vanishing(5, 4, OURS, None, (SPENT,), 7)
    assert we_say(ALL, E, OURS) == Vanishing(0, 5, None, THEIRS)
    assert we_say(Vanishing(ours=OURS), E, OURS) == Vanishing()
    assert [we_say(Vanishing(), step, OURS) for step in (A, D, E)] == [None] * 3


def test_what_each_word_of_theirs_leaves() -> None:
    """R-9.6.1, R-9.6.2"""

    def after(step: TimerStep, of: Proposal) -> Vanishing:
        return they_say(ALL, step, proposed=of, of=of.message_id)

    assert after(P, SPENT) == Vanishing(5, 4, OURS, SPENT, (SPENT,), 7)
    assert after(A, OURS) == Vanishing(60, 5)
    assert after(A, SPENT) == Vanishing(7, 5, OURS, accepted=7)
    assert after(D, OURS) == Vanishing(5, 4, None, THEIRS, (SPENT,), 7)
    assert after(E, OURS) == Vanishing(0, 5, OURS, None, (SPENT,))


def test_nothing_is_in_force_before_both_have_agreed() -> None:
    """R-9.6.1"""
    talk = Talk()
    talk.say(0, P, 60)
    assert talk.settle() == (0, 0)
    assert not talk.say(0, A)
    assert not talk.say(0, P, 61)
    talk.say(1, D)
    assert talk.settle() == (0, 0)
    talk.say(0, P, 60)
    talk.settle()
    talk.say(1, A)
    assert talk.sides[1].seconds == 60
    assert talk.sides[0].seconds == 0
    assert talk.settle() == (60, 60)
    assert not talk.say(0, P, 60)


def test_a_time_is_honoured_while_it_is_in_force_and_until_the_one_after_it_ends() -> None:
    """R-9.6.3"""
    state = Vanishing()
    assert not state.honours(0)
    assert Vanishing(1).honours(1)
    ours = Proposal(bytes(16), 60)
    state = they_say(Vanishing(ours=ours), A, proposed=ours, of=ours.message_id)
    assert state.honours(60)
    assert not state.honours(5)
    ended = we_say(state, E, ours)
    assert ended is not None
    assert ended.honours(60)
    assert not ended.honours(0)


def test_an_answer_to_what_was_not_proposed_changes_nothing() -> None:
    """R-9.6.2"""
    stranger = Proposal(b"x" * 16, 5)
    state = Vanishing(60, 0, Proposal(bytes(16), 90))
    for step in (A, D):
        assert they_say(state, step, proposed=stranger, of=b"y" * 16) == state
        assert they_say(state, step, proposed=stranger, of=None) == state
