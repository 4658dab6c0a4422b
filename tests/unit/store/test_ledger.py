"""The ledger in the store: counted once, compared by the rules of protocol.md §8.6."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pchat.session.ledger import EMPTY, Head, LedgerSummary, extend
from p2pchat.store import ledger, schema
from p2pchat.store.execute import Execute, executor
from p2pchat.store.ledger import DIGEST_EVERY, LAG_MAX
from p2pchat.store.records import LedgerFinding
from tests.unit.store.files import message_id

VECTORS = Path(__file__).parents[2] / "vectors" / "protocol" / "session.json"
LEDGERS = [
    case
    for case in json.loads(VECTORS.read_text())["cases"]
    if case["name"].startswith("ledgers: ")
]
BOB = 1
NOW = 5
AGREED = LedgerFinding(at_ms=NOW)


def ids(first: int, last: int) -> list[bytes]:
    return [message_id(number) for number in range(first, last + 1)]


def chain(*numbers: int) -> Head:
    return extend(EMPTY, map(message_id, numbers))


class Side:
    """One side's ledger with one contact, and its messages without acknowledgement."""

    def __init__(self) -> None:
        self.connection = apsw.Connection(":memory:")
        self.connection.execute("PRAGMA foreign_keys = OFF")
        schema.migrate(self.connection)
        self.execute: Execute = executor(self.connection)
        self.waiting: list[bytes] = []

    @property
    def told(self) -> LedgerSummary:
        return ledger.summary(self.execute, BOB)

    def compare(self, theirs: LedgerSummary) -> LedgerFinding:
        found = ledger.compare(
            self.execute, BOB, theirs, self.waiting, has_left=bool(self.waiting), at_ms=NOW
        )
        return found or AGREED

    def copy(self) -> bytes:
        return self.connection.serialize("main")

    def put_back(self, copy: bytes) -> None:
        self.connection.deserialize("main", copy)


@pytest.fixture
def side() -> Iterator[Side]:
    made = Side()
    yield made
    made.connection.close()


@dataclass
class Two:
    """Alice, who sends to Bob, over a path that can lose acknowledgements."""

    alice: Side
    bob: Side

    def send(self, first: int, last: int, *, acknowledged: bool = True) -> None:
        sent = ids(first, last)
        ledger.received(self.bob.execute, BOB, sent)
        if acknowledged:
            ledger.delivered(self.alice.execute, BOB, sent)
        else:
            self.alice.waiting += sent

    def acknowledge(self) -> None:
        ledger.delivered(self.alice.execute, BOB, self.alice.waiting)
        self.alice.waiting = []

    def connect(self) -> tuple[LedgerFinding, LedgerFinding]:
        """Both say HELLO, then both compare."""
        of_alice, of_bob = self.alice.told, self.bob.told
        return self.alice.compare(of_bob), self.bob.compare(of_alice)


@pytest.fixture
def two() -> Iterator[Two]:
    made = Two(Side(), Side())
    yield made
    made.alice.connection.close()
    made.bob.connection.close()


def test_the_chain_is_as_protocol_md_says() -> None:
    """R-8.6.1."""
    import hashlib

    label = b"p2pchat/1 ledger"
    first = hashlib.sha256(label).digest()
    second = hashlib.sha256(label + first + message_id(7)).digest()
    assert Head(0, first) == EMPTY
    assert chain(7) == Head(1, second)
    assert chain(7, 8) == Head(2, hashlib.sha256(label + second + message_id(8)).digest())


def test_each_message_counts_once(side: Side) -> None:
    """R-8.6.1."""
    ledger.received(side.execute, BOB, ids(1, 2))
    ledger.received(side.execute, BOB, ids(2, 3))
    ledger.delivered(side.execute, BOB, ids(1, 1))
    assert side.told == LedgerSummary(chain(1), chain(1, 2, 3))
    assert ledger.summary(side.execute, 2) == LedgerSummary(EMPTY, EMPTY)


def test_what_was_counted_is_known(side: Side) -> None:
    ledger.received(side.execute, BOB, ids(1, 1))
    ledger.delivered(side.execute, BOB, ids(2, 2))
    assert ledger.holds(side.execute, BOB, message_id(1))
    assert not ledger.holds(side.execute, BOB, message_id(2))  # ours
    assert not ledger.holds(side.execute, BOB + 1, message_id(1))


@pytest.mark.parametrize("count", [0, 1, DIGEST_EVERY - 1, DIGEST_EVERY, 3 * DIGEST_EVERY + 7])
def test_every_beginning_is_known(side: Side, count: int) -> None:
    """R-8.6.5."""
    ledger.received(side.execute, BOB, ids(1, count))
    for number in range(count + 1):
        there = extend(EMPTY, ids(1, number))
        assert ledger.agrees(side.execute, BOB, there)
        assert not ledger.agrees(side.execute, BOB, Head(number, b"x" * 32))
    assert ledger.agrees(side.execute, BOB, Head(count + 1, b"x" * 32))  # not known here


def test_nothing_lost_is_nothing_said(two: Two) -> None:
    two.send(1, 5)
    assert two.connect() == (AGREED, AGREED)


@pytest.mark.parametrize("last", [6, 8, 5 + LAG_MAX])
def test_acknowledgements_under_way_are_no_difference(two: Two, last: int) -> None:
    """R-8.6.3."""
    two.send(1, 5)
    two.send(6, last, acknowledged=False)
    assert two.connect() == (AGREED, AGREED)
    two.acknowledge()
    assert two.connect() == (AGREED, AGREED)
    assert two.alice.told.sent == two.bob.told.received == extend(EMPTY, ids(1, last))


def test_a_peer_that_went_back_is_found_and_what_it_lost_is_named(two: Two) -> None:
    """R-8.6.3, R-8.6.4: on both sides, once."""
    two.send(1, 5)
    copy = two.bob.copy()
    two.send(6, 8)
    two.bob.put_back(copy)
    ours, theirs = two.connect()
    assert ours == LedgerFinding(lost_there=3, lost_there_ids=tuple(ids(6, 8)), at_ms=NOW)
    assert theirs == LedgerFinding(lost_here=3, at_ms=NOW)
    two.send(9, 9)
    assert two.connect() == (AGREED, AGREED)
    assert ledger.findings(two.alice.execute, BOB, 10, 16) == [ours]
    assert ledger.findings(two.bob.execute, BOB, 10, 16) == [theirs]


def test_a_side_that_went_back_learns_what_was_sent_in_its_name(two: Two) -> None:
    """R-8.6.3, R-8.6.4."""
    two.send(1, 5)
    copy = two.alice.copy()
    two.send(6, 8)
    two.alice.put_back(copy)
    ours, theirs = two.connect()
    assert ours == LedgerFinding(sent_elsewhere=3, at_ms=NOW)
    assert theirs == AGREED  # it has all that there is
    two.send(9, 9)
    assert two.connect() == (AGREED, AGREED)


def test_after_going_back_an_acknowledgement_may_be_of_an_old_message(two: Two) -> None:
    """R-8.6.4: 6 was known before, 7 is new; alice cannot tell, and nothing false is said."""
    two.send(1, 5)
    copy = two.alice.copy()
    two.send(6, 6)
    two.send(20, 21)
    two.alice.put_back(copy)
    two.alice.waiting = ids(6, 7)
    assert two.connect() == (LedgerFinding(sent_elsewhere=3, at_ms=NOW), AGREED)
    for _ in range(2):  # and again, as long as they wait
        assert two.alice.told.sent == EMPTY
        assert two.connect() == (AGREED, AGREED)
    ledger.received(two.bob.execute, BOB, ids(6, 7))
    two.acknowledge()
    assert two.connect() == (AGREED, AGREED)
    assert two.connect() == (AGREED, AGREED)
    assert two.alice.told.sent == two.bob.told.received


def test_what_was_said_in_uncertainty_is_named_when_it_is_lost(side: Side) -> None:
    ledger.delivered(side.execute, BOB, ids(1, 1))
    side.waiting = ids(2, 2)
    side.compare(LedgerSummary(EMPTY, chain(1, 9)))
    ledger.delivered(side.execute, BOB, ids(2, 2))
    side.waiting = []
    assert side.compare(LedgerSummary(EMPTY, chain(1, 9, 2))) == AGREED
    found = side.compare(LedgerSummary(EMPTY, chain(1, 9)))
    assert (found.lost_there, found.lost_there_ids) == (1, tuple(ids(2, 2)))


def test_both_went_back(two: Two) -> None:
    two.send(1, 5)
    copies = two.alice.copy(), two.bob.copy()
    two.send(6, 8)
    two.alice.put_back(copies[0])
    two.bob.put_back(copies[1])
    assert two.connect() == (AGREED, AGREED)


def test_another_past(two: Two) -> None:
    """R-8.6.3, R-8.6.4: as many messages, and others."""
    two.send(1, 5)
    ledger.received(two.bob.execute, BOB, ids(6, 7))
    ledger.delivered(two.alice.execute, BOB, ids(8, 9))
    assert two.connect() == (
        LedgerFinding(forked=True, at_ms=NOW),
        LedgerFinding(forked=True, at_ms=NOW),
    )
    assert [found.forked for found in ledger.findings(two.bob.execute, BOB, 10, 16)] == [True]
    two.send(10, 10)
    assert two.connect() == (AGREED, AGREED)


def test_a_shorter_past_that_differs(two: Two) -> None:
    ledger.received(two.bob.execute, BOB, ids(1, 2))
    ledger.delivered(two.alice.execute, BOB, ids(3, 6))
    ours, theirs = two.connect()
    assert ours.forked
    assert (ours.lost_there, ours.lost_there_ids) == (2, tuple(ids(5, 6)))
    assert theirs.lost_here == 2
    two.send(10, 10)
    assert two.connect() == (AGREED, AGREED)


def test_more_than_a_window_ahead_is_no_lag(two: Two) -> None:
    two.send(1, LAG_MAX + 1, acknowledged=False)
    two.alice.waiting = two.alice.waiting[:LAG_MAX]
    assert two.connect()[0].sent_elsewhere == LAG_MAX + 1


def head(account: dict[str, Any], direction: str) -> Head:
    return Head(account[direction], bytes.fromhex(account[f"{direction}_digest"]))


@pytest.mark.parametrize("case", LEDGERS, ids=lambda case: case["name"].replace("ledgers: ", ""))
def test_published_comparisons(side: Side, case: dict[str, Any]) -> None:
    """R-8.6.3, R-8.6.4."""
    ours = {key: [bytes.fromhex(one) for one in ids] for key, ids in case["ours"].items()}
    ledger.delivered(side.execute, BOB, ours["sent"])
    ledger.received(side.execute, BOB, ours["received"])
    side.waiting = ours["waiting"]
    theirs = case["theirs"]
    found = side.compare(LedgerSummary(head(theirs, "sent"), head(theirs, "received")))
    find = dict(case["find"])
    find["lost_there_ids"] = tuple(bytes.fromhex(one) for one in find["lost_there_ids"])
    assert found == LedgerFinding(**find, at_ms=NOW)
    then = case["then"]
    assert side.told == LedgerSummary(head(then, "sent"), head(then, "received"))


def test_another_past_is_told_once(two: Two) -> None:
    """R-8.6.6: a peer that does not go on from our chain says the same at each connect."""
    two.send(1, 5)
    theirs = LedgerSummary(Head(4, b"x" * 32), EMPTY)

    def compare(told: Head | None) -> LedgerFinding | None:
        return ledger.compare(
            two.bob.execute, BOB, theirs, [], has_left=False, at_ms=NOW, told=told
        )

    assert compare(None) == LedgerFinding(forked=True, at_ms=NOW)
    assert compare(theirs.sent) is None
    assert compare(Head(3, b"x" * 32)) == LedgerFinding(forked=True, at_ms=NOW)


def test_a_gap_is_not_called_a_fork(two: Two) -> None:
    """What was taken over has no ids: nothing can be said of a number within."""
    two.send(1, 5)
    copy = two.bob.copy()
    two.send(6, 8)
    two.bob.put_back(copy)
    two.connect()
    assert ledger.agrees(two.bob.execute, BOB, Head(7, b"x" * 32))
    assert ledger.agrees(two.bob.execute, BOB, extend(EMPTY, ids(1, 8)))
    assert not ledger.agrees(two.bob.execute, BOB, Head(8, b"x" * 32))
    assert not ledger.agrees(two.bob.execute, BOB, Head(3, b"x" * 32))
    last = 8 + 2 * DIGEST_EVERY
    two.send(9, last + 1)
    assert not ledger.agrees(two.bob.execute, BOB, Head(last, b"x" * 32))
    assert ledger.agrees(two.bob.execute, BOB, extend(EMPTY, ids(1, last)))


def test_a_new_identity_begins_anew(side: Side) -> None:
    ledger.received(side.execute, BOB, ids(1, 5))
    ledger.forget(side.execute, BOB)
    assert side.told == LedgerSummary(EMPTY, EMPTY)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_same_difference_is_found_once(data: st.DataObject) -> None:
    """Whatever was lost on either side, the second look finds nothing and the chains are one."""
    two = Two(Side(), Side())
    number = 0
    copies: list[tuple[bytes, bytes, list[bytes]]] = []
    for _ in range(data.draw(st.integers(1, 6))):
        count = data.draw(st.integers(1, 4))
        two.send(number + 1, number + count, acknowledged=data.draw(st.booleans()))
        number += count
        copies.append((two.alice.copy(), two.bob.copy(), list(two.alice.waiting)))
        if data.draw(st.booleans()):
            two.acknowledge()
    back = data.draw(st.sampled_from(["alice", "bob", "none"]))
    alice, bob, waiting = data.draw(st.sampled_from(copies))
    if back == "alice":
        two.alice.put_back(alice)
        two.alice.waiting = waiting
    elif back == "bob":
        two.bob.put_back(bob)
    two.connect()
    # What waits is sent again; a message that is known is acknowledged and not counted.
    ledger.received(two.bob.execute, BOB, two.alice.waiting)
    two.acknowledge()
    two.connect()
    for _ in range(2):
        assert two.connect() == (AGREED, AGREED)
        assert two.alice.told.sent == two.bob.told.received
        number += 1
        two.send(number, number)
    two.alice.connection.close()
    two.bob.connection.close()
