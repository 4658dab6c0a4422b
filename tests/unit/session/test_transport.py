"""Frames of an open connection: kinds, bodies, damage on the path (protocol.md §7, §8.5)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from p2pchat.constants import ENVELOPE_MAX_BYTES, SEND_WINDOW, TEXT_MAX_BYTES
from p2pchat.errors import ErrorCode, LocalProtocolError
from p2pchat.session.codec import encode_map
from p2pchat.session.delivery import SessionState, encode_session, seal
from p2pchat.session.events import (
    Attach,
    MessageReceived,
    SendMessage,
    SessionBroke,
    SessionChanged,
)
from p2pchat.session.frames import BODY_MAX_BYTES, Kind, encode_frame
from p2pchat.session.messages import Text, Unsupported
from tests.support.pairs import Pair, Peer, closed, forge, frames_of, open_pair, pair_of
from tests.support.shells import Link, Shell, make_link, text


def hear(pair: Pair, kind: int, body: bytes) -> Peer:
    """Let bob hear a frame of alice's own keys that her program would not send."""
    pair.b.connection.receive_data(forge(pair.a, kind, body), now=pair.now)
    pair.b.drain()
    return pair.b


def received(peer: Peer) -> list[object]:
    return [event.message for event in peer.of(MessageReceived) if event.message is not None]


# --- Kinds and bodies -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [0x80, 0x86, 0xA2, 0xFF])
@pytest.mark.parametrize("body", [b"", b"later", bytes(BODY_MAX_BYTES)], ids=len)
def test_a_later_optional_kind_is_ignored(kind: int, body: bytes) -> None:
    """R-7.3.2."""
    pair = open_pair()
    hear(pair, kind, body)
    pair.command(pair.a, SendMessage(text(1)))
    pair.pump()
    assert received(pair.b) == [text(1)]


@pytest.mark.parametrize("kind", [0x00, 0x05, 0x0F, 0x13, 0x1F, 0x23, 0x7F])
def test_a_later_mandatory_kind_is_refused(kind: int) -> None:
    """R-7.3.2."""
    assert closed(hear(open_pair(), kind, b"")).code is ErrorCode.PROTOCOL_VIOLATION


LENGTHS = {Kind.PING: 8, Kind.PONG: 8, Kind.CLOSE: 2, Kind.ACK: 8}


@pytest.mark.parametrize("kind", LENGTHS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("difference", [-8, -1, 1, 250])
def test_a_body_of_the_wrong_length_is_refused(kind: Kind, difference: int) -> None:
    """R-7.3.1."""
    body = bytes(max(0, LENGTHS[kind] + difference))
    end = closed(hear(open_pair(), kind, body))
    assert (end.code, end.by_peer) == (ErrorCode.PROTOCOL_VIOLATION, False)


def test_a_change_of_key_with_a_body_is_refused() -> None:
    """R-7.3.1."""
    end = closed(hear(open_pair(), Kind.REKEY, b"\x00"))
    assert end.code is ErrorCode.PROTOCOL_VIOLATION


@pytest.mark.parametrize("kind", [Kind.RESUME, Kind.RESET])
def test_a_verdict_with_a_body_is_refused(kind: Kind) -> None:
    """R-7.3.1."""
    pair = pair_of()
    pair.pump()
    for peer in (pair.a, pair.b):
        peer.connection.send(Attach(True, "x"), now=pair.now)
    pair.b.connection.receive_data(pair.a.connection.data_to_send(), now=pair.now)
    pair.b.drain()
    assert closed(hear(pair, kind, b"\x00")).code is ErrorCode.PROTOCOL_VIOLATION


# --- Envelopes ----------------------------------------------------------------------------------


def test_the_longest_text_travels_in_parts() -> None:
    """R-8.5.7's other side: 64 KiB of the widest characters arrive whole."""
    pair = open_pair()
    longest = Text(b"L" * 16, 1, "\U0001f600" * (TEXT_MAX_BYTES // 4))
    pair.command(pair.a, SendMessage(longest))
    data = pair.a.connection.data_to_send()
    assert len(frames_of(data)) == 2
    for start in range(0, len(data), 5000):
        pair.b.connection.receive_data(data[start : start + 5000], now=pair.now)
        pair.b.drain()
    assert received(pair.b) == [longest]
    pair.pump()
    assert pair.a.state.acknowledged == 2


def test_a_text_that_is_too_long_is_refused_before_anything_changes() -> None:
    pair = open_pair()
    before = encode_session(pair.a.state)
    for body in ("x" * (TEXT_MAX_BYTES + 1), ""):
        with pytest.raises(LocalProtocolError):
            pair.a.connection.send(SendMessage(Text(bytes(16), 0, body)), now=pair.now)
    assert pair.a.drain() == []
    assert encode_session(pair.a.state) == before
    assert pair.a.connection.data_to_send() == b""


@pytest.mark.parametrize("by_the_initiator", [True, False])
def test_parts_are_bounded_before_they_are_put_together(by_the_initiator: bool) -> None:
    """R-8.5.7: index and envelope at their limit, then one byte more."""
    pair = open_pair()
    speaker, hearer = (pair.a, pair.b) if by_the_initiator else (pair.b, pair.a)
    rest = bytes(ENVELOPE_MAX_BYTES + 8 - BODY_MAX_BYTES)
    for body in (bytes(BODY_MAX_BYTES), rest, b"x"):
        assert not hearer.connection.is_closed
        hearer.connection.receive_data(forge(speaker, Kind.RATCHET_PART, body), now=pair.now)
        hearer.drain()
    assert closed(hearer).code is ErrorCode.PROTOCOL_VIOLATION


@pytest.mark.parametrize("kind", [Kind.RATCHET_PART, Kind.RATCHET])
def test_an_empty_part_is_refused(kind: Kind) -> None:
    """R-7.3.1: parts without bytes would be parts without bound."""
    assert closed(hear(open_pair(), kind, b"")).code is ErrorCode.PROTOCOL_VIOLATION


def test_parts_may_be_small_and_have_other_frames_between_them() -> None:
    """R-8.5.7: cutting is the sender's choice."""
    pair = open_pair()
    pair.command(pair.a, SendMessage(text(1)))
    envelope = pair.a.state.unacknowledged[-1]
    whole = envelope.index.to_bytes(8, "big") + envelope.envelope
    pair.a.connection._outgoing._session.clear()
    for byte in whole[:-1]:
        hear(pair, Kind.RATCHET_PART, bytes([byte]))
        if byte % 16 == 0:
            hear(pair, Kind.PING, b"12345678")
    hear(pair, Kind.RATCHET, whole[-1:])
    assert received(pair.b) == [text(1)]


@pytest.mark.parametrize("length", [1, 7, 8])
def test_an_envelope_cut_short_is_refused(length: int) -> None:
    """R-7.3.1."""
    end = closed(hear(open_pair(), Kind.RATCHET, bytes(length)))
    assert end.code is ErrorCode.PROTOCOL_VIOLATION


@pytest.mark.parametrize("ahead", [2, 3, 1000, 2**63])
def test_an_index_that_skips_one_is_refused(ahead: int) -> None:
    """R-8.5.3."""
    pair = open_pair()
    index = pair.b.state.received + ahead
    peer = hear(pair, Kind.RATCHET, index.to_bytes(8, "big") + bytes(100))
    assert closed(peer).code is ErrorCode.PROTOCOL_VIOLATION
    assert not peer.of(SessionBroke)


def test_an_old_envelope_is_ignored_and_acknowledged_again() -> None:
    """R-8.5.2."""
    pair = open_pair()
    pair.command(pair.a, SendMessage(text(1)))
    pair.pump()
    changes = len(pair.b.of(SessionChanged))
    for index in (0, 1, 2):
        hear(pair, Kind.RATCHET, index.to_bytes(8, "big") + b"anything")
        [ack] = frames_of(pair.b.connection.data_to_send())
        pair.a.connection.receive_data(ack, now=pair.now)
        pair.a.drain()
    assert len(pair.b.of(SessionChanged)) == changes
    assert not pair.a.connection.is_closed
    assert pair.a.state.acknowledged == 2


@pytest.mark.parametrize("index", [0, 3, 2**63, 2**64 - 1])
def test_an_impossible_acknowledgement_ends_the_connection(index: int) -> None:
    """R-8.5.5."""
    pair = open_pair()
    pair.command(pair.b, SendMessage(text(1)))
    pair.command(pair.b, SendMessage(text(2)))
    pair.pump()
    before = encode_session(pair.b.state)
    peer = hear(pair, Kind.ACK, index.to_bytes(8, "big"))
    assert closed(peer).code is ErrorCode.PROTOCOL_VIOLATION
    assert encode_session(peer.state) == before


def test_an_envelope_that_does_not_decrypt_breaks_the_session() -> None:
    """R-8.5.6: the connection's keys are right, the session's are not."""
    pair = open_pair()
    before = encode_session(pair.b.state)
    index = (pair.b.state.received + 1).to_bytes(8, "big")
    peer = hear(pair, Kind.RATCHET, index + bytes(200))
    [broke] = peer.of(SessionBroke)
    assert broke.session_id == pair.b.state.session_id
    assert closed(peer).code is ErrorCode.SESSION_BROKEN
    assert peer.events[-2:] == [broke, closed(peer)]
    assert encode_session(peer.state) == before
    pair.pump()
    assert closed(pair.a).code is ErrorCode.SESSION_BROKEN


CONTENTS = {
    "no map": b"\x90",
    "not msgpack": b"\xc1",
    "no kind": encode_map({"id": bytes(16), "at": 0}),
    "a short id": encode_map({"t": "text", "id": bytes(3), "at": 0, "body": "x"}),
    "an empty text": encode_map({"t": "text", "id": bytes(16), "at": 0, "body": ""}),
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_an_authentic_envelope_with_malformed_content_is_refused(content: bytes) -> None:
    """R-9.1.1, R-9.1.3: and is not taken as received."""
    pair = open_pair()
    before = encode_session(pair.b.state)
    _, envelope = seal(pair.a.state, content, None, rng=lambda count: b"\x01" * count)
    body = envelope.index.to_bytes(8, "big") + envelope.envelope
    peer = hear(pair, Kind.RATCHET, body)
    assert closed(peer).code is ErrorCode.PROTOCOL_VIOLATION
    assert not peer.of(SessionBroke)
    assert encode_session(peer.state) == before
    assert len(frames_of(peer.connection.data_to_send())) == 1


def test_a_message_of_a_later_kind_is_acknowledged() -> None:
    """R-9.2.2."""
    pair = open_pair()
    content = encode_map({"t": "picture", "id": b"r" * 16, "at": 5, "glyph": "+"})
    _, envelope = seal(pair.a.state, content, None, rng=lambda count: b"\x01" * count)
    peer = hear(pair, Kind.RATCHET, envelope.index.to_bytes(8, "big") + envelope.envelope)
    assert received(peer) == [Unsupported(b"r" * 16, 5, "picture")]
    assert len(frames_of(peer.connection.data_to_send())) == 1
    assert not peer.connection.is_closed


def test_the_window_is_256_envelopes_and_opens_with_acknowledgements() -> None:
    """R-8.5.1."""
    pair = open_pair()
    assert pair.a.connection.send_window == SEND_WINDOW == 256
    for number in range(SEND_WINDOW):
        pair.command(pair.a, SendMessage(text(number)))
        assert pair.a.connection.send_window == SEND_WINDOW - 1 - number
    with pytest.raises(LocalProtocolError, match="acknowledgement"):
        pair.a.connection.send(SendMessage(text(999)), now=pair.now)
    assert len(pair.a.state.unacknowledged) == SEND_WINDOW
    pair.pump()
    assert pair.a.connection.send_window == SEND_WINDOW
    assert received(pair.b) == [text(number) for number in range(SEND_WINDOW)]


def test_acknowledgements_are_joined() -> None:
    """R-8.5.5: a burst costs the other direction one frame."""
    pair = open_pair()
    for number in range(50):
        pair.command(pair.a, SendMessage(text(number)))
    pair.b.connection.receive_data(pair.a.connection.data_to_send(), now=pair.now)
    pair.b.drain()
    assert len(frames_of(pair.b.connection.data_to_send())) == 1


# --- The path -------------------------------------------------------------------------------------


def flipped(frames: list[bytes]) -> bytes:
    return frames[0] + frames[1][:20] + bytes([frames[1][20] ^ 1]) + frames[1][21:] + frames[2]


DAMAGE: dict[str, Callable[[list[bytes]], bytes]] = {
    "a bit flipped": flipped,
    "a tag flipped": lambda f: f[0] + f[1][:-1] + bytes([f[1][-1] ^ 0x80]) + f[2],
    "one dropped": lambda f: f[0] + f[2],
    "the first dropped": lambda f: f[1] + f[2],
    "one doubled": lambda f: f[0] + f[0] + f[1] + f[2],
    "two swapped": lambda f: f[1] + f[0] + f[2],
    "one cut, with its length": lambda f: f[0] + encode_frame(f[1][2:-1]) + f[2],
    "one made longer": lambda f: f[0] + encode_frame(f[1][2:] + b"x") + f[2],
    "a length spoilt": lambda f: f[0] + b"\x00\x05" + f[1][2:] + f[2],
    "an empty frame": lambda f: f[0] + b"\x00\x00" + f[1] + f[2],
    "noise put in": lambda f: f[0] + b"\x00\x10" + bytes(16) + f[1] + f[2],
    "a refusal put in": lambda f: f[0] + b"\x00\x03\x03\x00\x0a" + f[1] + f[2],
}


def talking() -> Link:
    link = make_link()
    link.reconnect()
    for number in range(3):
        link.left.write(text(number))
        link.right.write(text(100 + number))
    link.left.fill_window()
    link.left.commit()
    return link


def session_of(shell: Shell) -> SessionState:
    state = shell.disk.load_session()
    assert state is not None
    return state


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_ends_the_connection_and_nothing_else(
    damage: Callable[[list[bytes]], bytes],
) -> None:
    """R-7.1.1, R-4.1.1: what was whole before it counts, and the next connection resumes."""
    link = talking()
    before = link.right.disk
    frames = frames_of(link.left.live.data_to_send())
    assert len(frames) == 3
    link.right.receive(damage(frames))
    assert link.right.closed is not None
    assert link.right.closed.code is ErrorCode.PROTOCOL_VIOLATION
    link.right.commit()
    whole = len(link.right.disk.inbox)
    assert link.right.disk.inbox == tuple(text(number) for number in range(whole))
    assert whole <= 1
    if whole == 0:
        assert link.right.disk == before
    session_id = session_of(link.left).session_id
    link.reconnect()
    assert session_of(link.left).session_id == session_of(link.right).session_id == session_id
    assert link.right.disk.inbox == tuple(text(number) for number in range(3))
    assert link.left.disk.inbox == tuple(text(100 + number) for number in range(3))


def test_a_stream_cut_at_any_byte_loses_nothing() -> None:
    """R-7.5.2: sampled over three frames, and at each frame's own ends."""
    size = len(frames_of(talking().left.live.data_to_send())[0])
    ends = [number * size + shift for number in range(1, 3) for shift in (-1, 0, 1, 2)]
    for cut in sorted([*range(0, 3 * size, size // 7), *ends]):
        link = talking()
        data = link.left.live.data_to_send()
        assert len(data) == 3 * size
        if cut:
            link.right.receive(data[:cut])
        link.right.receive(b"")
        assert link.right.closed is not None
        assert link.right.closed.code is ErrorCode.TRUNCATED
        link.right.commit()
        assert len(link.right.disk.inbox) == cut // size
        link.reconnect()
        assert link.right.disk.inbox == tuple(text(number) for number in range(3))
