"""Agreement on a stored session, or on a new one (protocol.md §8.4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from p2pchat.constants import SEND_WINDOW
from p2pchat.session.delivery import SessionState
from p2pchat.session.events import (
    MessageReceived,
    SessionResumed,
    SessionStarted,
)
from tests.support.pairs import Pair, person
from tests.support.shells import Disk, Link, Shell, make_link, stored_session, text


def written(link: Link, count: int = 4) -> None:
    """Let both write some messages, none of which leaves yet."""
    for number in range(count):
        link.left.write(text(number))
        link.right.write(text(100 + number))


def arrived(link: Link, count: int = 4) -> None:
    """Each message of ``written`` once, in order, and known to be delivered."""
    left = [text(number) for number in range(count)]
    right = [text(100 + number) for number in range(count)]
    assert link.right.disk.inbox == tuple(left)
    assert link.left.disk.inbox == tuple(right)
    assert link.left.disk.delivered == {message.message_id for message in left}
    assert link.right.disk.delivered == {message.message_id for message in right}


def session(shell: Shell) -> SessionState:
    state = shell.disk.load_session()
    assert state is not None
    return state


def agreed(link: Link) -> type[SessionResumed] | type[SessionStarted]:
    """What both ends of the latest connection agreed on; the same, or the test fails."""
    kinds = {
        type(event)
        for shell in (link.left, link.right)
        for event in shell.events
        if isinstance(event, SessionResumed | SessionStarted)
    }
    assert len(kinds) == 1
    assert session(link.left).session_id == session(link.right).session_id
    return SessionResumed if SessionResumed in kinds else SessionStarted


def conversed() -> Link:
    """Two who have exchanged messages, and whose connection is over."""
    link = make_link()
    written(link)
    link.reconnect()
    arrived(link)
    return link


@pytest.mark.parametrize("left_dials", [True, False])
def test_a_session_outlives_its_connection(left_dials: bool) -> None:
    """R-8.4.1, R-8.4.3: whoever dials the next time."""
    link = conversed()
    before = session(link.left).session_id
    link.close()
    for number in range(4, 8):
        link.left.write(text(number))
        link.right.write(text(100 + number))
    link.reconnect(left_dials=left_dials)
    assert agreed(link) is SessionResumed
    assert session(link.left).session_id == before
    arrived(link, 8)


@pytest.mark.parametrize("left_dials", [True, False])
@pytest.mark.parametrize("received", range(5))
def test_what_was_lost_comes_again_byte_for_byte(left_dials: bool, received: int) -> None:
    """R-8.4.3: in both directions, and exactly from where the peer stopped."""
    link = make_link()
    link.reconnect()
    written(link)
    envelopes: dict[Shell, dict[int, bytes]] = {}
    frames = {}
    for shell in (link.left, link.right):
        shell.fill_window()
        shell.commit()
        envelopes[shell] = {item.index: item.envelope for item in session(shell).unacknowledged}
        assert len(envelopes[shell]) == 4
        frames[shell] = shell.live.data_to_send()
    for sender, receiver in ((link.left, link.right), (link.right, link.left)):
        # Each frame has the same size; the acknowledgements of these are lost.
        size = len(frames[sender]) // 4
        if received:
            receiver.receive(frames[sender][: received * size])
        receiver.commit()
        assert len(receiver.disk.inbox) == received
    link.connect(left_dials=left_dials)
    link.settle()
    assert agreed(link) is SessionResumed
    for sender, receiver in ((link.left, link.right), (link.right, link.left)):
        [resumed] = [event for event in sender.events if isinstance(event, SessionResumed)]
        assert len(resumed.delivered) == received
        assert {item.index: item.envelope for item in resumed.state.unacknowledged} == dict(
            list(envelopes[sender].items())[received:]
        )
        opened = [event for event in receiver.events if isinstance(event, MessageReceived)]
        assert len(opened) == 4 - received
    arrived(link)


def test_a_full_window_is_sent_again() -> None:
    """R-8.5.1, R-8.4.3."""
    link = make_link()
    link.reconnect()
    for number in range(SEND_WINDOW + 40):
        link.left.write(text(number))
    link.left.fill_window()
    link.left.commit()
    assert len(session(link.left).unacknowledged) == SEND_WINDOW
    link.reconnect()
    assert agreed(link) is SessionResumed
    assert link.right.disk.inbox == link.left.disk.outbox
    assert len(link.left.disk.delivered) == SEND_WINDOW + 40


@pytest.mark.parametrize("forgetful", ["left", "right", "both"])
@pytest.mark.parametrize("left_dials", [True, False])
def test_a_lost_session_is_replaced(forgetful: str, left_dials: bool) -> None:
    """R-8.4.2, R-8.4.4: and what was not acknowledged is sealed again, and stored once."""
    link = conversed()
    before = session(link.left).session_id
    for number in range(4, 8):
        link.left.write(text(number))
        link.right.write(text(100 + number))
    for shell in (link.left, link.right):
        shell.fill_window()
        shell.commit()
    data = link.left.live.data_to_send()
    link.right.receive(data[: len(data) // 2])
    link.right.commit()
    for name, shell in (("left", link.left), ("right", link.right)):
        if forgetful in (name, "both"):
            shell.disk = replace(shell.disk, session=None)
    link.reconnect(left_dials=left_dials)
    assert agreed(link) is SessionStarted
    assert session(link.left).session_id != before
    arrived(link, 8)
    for name, shell in (("left", link.left), ("right", link.right)):
        [started] = [event for event in shell.events if isinstance(event, SessionStarted)]
        assert started.replaced is (forgetful not in (name, "both"))


def test_sessions_of_other_handshakes_do_not_mix() -> None:
    """R-8.4.2: equal counters are not enough."""
    first, second = conversed(), conversed()
    other = make_link()
    other.left.person.rng(64)
    written(other)
    other.reconnect()
    second.left.disk = other.left.disk
    assert session(second.left).sent == session(first.left).sent
    second.reconnect()
    assert agreed(second) is SessionStarted


@pytest.mark.parametrize(
    "spoil",
    [
        lambda state: replace(state, received_digest=bytes(32)),
        lambda state: replace(state, acknowledged_digest=bytes(32)),
    ],
    ids=["received", "sent"],
)
def test_one_differing_digest_makes_a_new_session(
    spoil: Callable[[SessionState], SessionState],
) -> None:
    """R-8.4.2: whichever side it is that says RESET."""
    link = conversed()
    spoilt = spoil(session(link.left))
    link.left.disk = replace(link.left.disk, session=stored_session(spoilt))
    link.reconnect()
    assert agreed(link) is SessionStarted


def test_two_clones_of_a_profile_never_share_a_session() -> None:
    """R-8.4.2, R-8.4.4: the copy speaks, then the original comes back."""
    link = conversed()
    original = link.left.disk
    link.left.write(text(50))
    link.reconnect()
    assert agreed(link) is SessionResumed
    link.left.roll_back(original)
    link.left.write(text(60))
    link.reconnect()
    assert agreed(link) is SessionStarted
    assert link.right.disk.inbox[-2:] == (text(50), text(60))


def rolled_back(link: Link, shell: Shell, disk: Disk) -> None:
    shell.roll_back(disk)
    link.reconnect()


@pytest.mark.parametrize("which", ["left", "right"])
@pytest.mark.parametrize("writer", ["left", "right"])
def test_a_rolled_back_store_is_noticed(which: str, writer: str) -> None:
    """R-8.4.2: after anything that the peer has seen, in either direction."""
    link = conversed()
    shell = link.left if which == "left" else link.right
    old = shell.disk
    (link.left if writer == "left" else link.right).write(text(70))
    link.reconnect()
    assert agreed(link) is SessionResumed
    rolled_back(link, shell, old)
    assert agreed(link) is SessionStarted
    link.left.write(text(80))
    link.right.write(text(90))
    link.settle()
    assert link.right.disk.inbox[-1] == text(80)
    assert link.left.disk.inbox[-1] == text(90)


def test_both_rolled_back_to_different_days() -> None:
    """R-8.4.2."""
    link = conversed()
    old_left = link.left.disk
    link.left.write(text(70))
    link.reconnect()
    old_right = link.right.disk
    link.right.write(text(71))
    link.reconnect()
    link.left.roll_back(old_left)
    link.right.roll_back(old_right)
    link.reconnect()
    assert agreed(link) is SessionStarted


def test_both_rolled_back_to_the_same_moment_resume_unnoticed() -> None:
    """The limit of R-8.4.2: nothing that either side still knows contradicts the other.

    Message keys of the lost time then serve a second time, with other nonces, since these are
    random. Only something outside both stores could tell.
    """
    link = conversed()
    old_left, old_right = link.left.disk, link.right.disk
    link.left.write(text(70))
    link.reconnect()
    link.left.roll_back(old_left)
    link.right.roll_back(old_right)
    link.left.write(text(80))
    link.reconnect()
    assert agreed(link) is SessionResumed
    assert link.right.disk.inbox[-1] == text(80)


def test_resuming_is_not_tied_to_a_role() -> None:
    """R-8.4.3: sessions keep their own initiator; connections have theirs."""
    link = conversed()
    before = session(link.left).session_id
    for number in range(6):
        link.left.write(text(200 + number))
        link.right.write(text(300 + number))
        link.reconnect(left_dials=number % 2 == 1)
        assert agreed(link) is SessionResumed
        assert session(link.left).session_id == before
    assert link.right.disk.inbox[-6:] == tuple(text(200 + number) for number in range(6))
    assert link.left.disk.inbox[-6:] == tuple(text(300 + number) for number in range(6))


def test_a_session_whose_first_envelope_was_lost_can_still_begin() -> None:
    """R-8.4.4, R-8.4.3: the responder waits for it over as many connections as it takes."""
    link = make_link()
    link.connect()
    while not (link.left.live.is_open and link.right.live.is_open):
        for sender, receiver in ((link.left, link.right), (link.right, link.left)):
            if data := sender.live.data_to_send():
                receiver.receive(data)
    link.left.commit()
    link.right.commit()
    assert session(link.left).sent == 1
    assert session(link.right).received == 0
    link.right.write(text(1))
    link.reconnect(left_dials=False)
    assert agreed(link) is SessionResumed
    assert link.left.disk.inbox == (text(1),)


def test_two_pairs_of_people_do_not_disturb_each_other() -> None:
    """A session is between two identities: a third person's state is never resumed."""
    link = conversed()
    stranger = make_link("alice", "carol")
    stranger.left.disk = replace(link.left.disk, outbox=(), inbox=(), delivered=frozenset())
    stranger.reconnect()
    assert agreed(stranger) is SessionStarted
    assert isinstance(Pair(person("alice"), person("carol")), Pair)
