"""Nothing leaves before what it depends on is stored (protocol.md §8.2)."""

from __future__ import annotations

from p2pchat.constants import SEND_WINDOW
from p2pchat.errors import ErrorCode
from p2pchat.session.events import (
    Close,
    MessageReceived,
    MessagesDelivered,
    MessageSealed,
    SendMessage,
    SessionChanged,
)
from p2pchat.session.frames import Kind
from tests.support.pairs import Pair, Peer, closed, forge, frames_of, open_pair, pair_of
from tests.support.shells import text


def careful_pair() -> Pair:
    """An open pair whose ends commit only when told to."""
    pair = open_pair()
    pair.a.commit_at_once = pair.b.commit_at_once = False
    return pair


def carry(pair: Pair, sender: Peer, receiver: Peer) -> int:
    """Take what may leave to the other end; returns how many frames it was."""
    data = sender.connection.data_to_send()
    receiver.connection.receive_data(data, now=pair.now)
    receiver.drain()
    return len(frames_of(data))


def test_no_envelope_leaves_before_its_commit() -> None:
    """R-8.2.1."""
    pair = careful_pair()
    for number in range(3):
        pair.command(pair.a, SendMessage(text(number)))
    sealed = pair.a.of(MessageSealed)
    assert [event.envelope.index for event in sealed] == [2, 3, 4]
    assert [later.revision - sealed[0].revision for later in sealed] == [0, 1, 2]
    assert pair.a.connection.data_to_send() == b""
    for event in sealed:
        pair.a.connection.committed(event.revision - 1)
        assert pair.a.connection.data_to_send() == b""
        pair.a.connection.committed(event.revision)
        assert carry(pair, pair.a, pair.b) == 1
    assert pair.b.state.received == 4


def test_no_acknowledgement_leaves_before_its_commit() -> None:
    """R-8.2.2: each says exactly what is stored, not what has come."""
    pair = careful_pair()
    pair.a.commit_at_once = True
    for number in range(3):
        pair.command(pair.a, SendMessage(text(number)))
    carry(pair, pair.a, pair.b)
    received = [event for event in pair.b.of(MessageReceived) if event.message is not None]
    assert len(received) == 3
    assert pair.b.connection.data_to_send() == b""
    pair.b.connection.committed(received[1].revision)
    assert carry(pair, pair.b, pair.a) == 1
    [*_, delivered] = pair.a.of(MessagesDelivered)
    assert delivered.delivered == (text(0).message_id, text(1).message_id)
    assert delivered.acknowledged == 3
    pair.b.connection.committed(received[2].revision)
    assert carry(pair, pair.b, pair.a) == 1
    assert pair.a.state.acknowledged == 4


def test_the_first_envelope_of_a_session_waits_too() -> None:
    """R-8.2.1, R-8.4.4."""
    pair = pair_of()
    pair.a.commit_at_once = pair.b.commit_at_once = False
    pair.attach()
    assert pair.a.connection.is_open
    assert pair.a.connection.data_to_send() == b""
    assert pair.b.connection.send_window == 0
    pair.a.commit()
    assert carry(pair, pair.a, pair.b) == 1
    assert pair.b.connection.send_window == SEND_WINDOW


def test_a_slow_disk_stops_neither_keepalive_nor_goodbye() -> None:
    """R-7.4.1, R-7.4.2, R-7.5.1."""
    pair = careful_pair()
    pair.command(pair.a, SendMessage(text(0)))
    pair.now += 15
    pair.a.connection.handle_timeout(pair.now)
    assert carry(pair, pair.a, pair.b) == 1
    assert carry(pair, pair.b, pair.a) == 1
    pair.command(pair.a, Close())
    assert carry(pair, pair.a, pair.b) == 1
    assert closed(pair.b).clean
    assert pair.b.state.received == 1
    pair.a.commit()
    assert pair.a.connection.data_to_send() == b""


def test_revisions_grow_by_one_whatever_happens() -> None:
    pair = open_pair()
    for number in range(4):
        pair.command(pair.a, SendMessage(text(number)))
        pair.command(pair.b, SendMessage(text(100 + number)))
        pair.pump()
    for peer in (pair.a, pair.b):
        changes = [event.revision for event in peer.of(SessionChanged)]
        assert changes == list(range(1, len(changes) + 1))


def test_an_event_holds_the_state_after_it() -> None:
    """R-8.2.1, R-8.2.2: so the last of a batch is all that a store needs."""
    pair = careful_pair()
    pair.command(pair.a, SendMessage(text(0)))
    pair.command(pair.a, SendMessage(text(1)))
    states = [event.state for event in pair.a.of(MessageSealed)]
    assert [state.sent for state in states] == [2, 3]
    assert states[1].unacknowledged[:-1] == states[0].unacknowledged


def test_after_the_peers_goodbye_a_late_commit_releases_nothing() -> None:
    """What could not leave in time comes with the next connection."""
    pair = careful_pair()
    pair.command(pair.a, SendMessage(text(0)))
    pair.a.connection.receive_data(forge(pair.b, Kind.CLOSE, b"\x00\x00"), now=pair.now)
    pair.a.drain()
    assert pair.a.connection.is_closed
    pair.a.commit()
    assert pair.a.connection.data_to_send() == b""


def test_what_is_stored_is_acknowledged_before_a_goodbye() -> None:
    """R-7.5.1: CLOSE is the last frame, and the peer hears first what it may call delivered."""
    pair = careful_pair()
    pair.a.commit_at_once = True
    pair.command(pair.a, SendMessage(text(0)))
    carry(pair, pair.a, pair.b)
    pair.b.commit()
    pair.command(pair.b, Close(ErrorCode.GOING_AWAY))
    data = pair.b.connection.data_to_send()
    assert len(frames_of(data)) == 2
    pair.a.connection.receive_data(data, now=pair.now)
    pair.a.drain()
    assert pair.a.state.acknowledged == 2
    assert closed(pair.a).code is ErrorCode.GOING_AWAY
