"""Cover traffic (protocol.md §7.7): one frame of one size at each tick, said or unsaid."""

from __future__ import annotations

from dataclasses import replace

import pytest

from p2pchat.constants import COVER_FRAME_BYTES, KEM_INTERVAL_S, REKEY_FRAMES, TAG_LEN
from p2pchat.session.events import (
    Close,
    ConnectionClosed,
    MessageReceived,
    MessagesDelivered,
    SendMessage,
)
from p2pchat.session.messages import Text
from p2pchat.session.pacing import Pacer
from tests.support.pairs import Pair, Peer, person

TICK_S = 0.5
FRAME_BYTES = 2 + COVER_FRAME_BYTES + TAG_LEN


def text(number: int, body: str = "word") -> Text:
    return Text(number.to_bytes(16, "big"), number, body)


@pytest.fixture
def pair() -> Pair:
    """Alice covers what she sends, Bob does not."""
    alice, bob = person("alice"), person("bob")
    config = replace(alice.config(expects=bob.identity.public), cover_interval_s=TICK_S)
    pair = Pair(alice, bob, dialler_config=config)
    pair.attach()
    assert pair.a.connection.is_open
    while not pair.b.connection.is_open:  # Alice's verdict may have to wait for a tick
        carry(pair)
    return pair


def received(peer: Peer) -> list[str]:
    messages = [event.message for event in peer.events if isinstance(event, MessageReceived)]
    return [message.body for message in messages if isinstance(message, Text)]


def carry(pair: Pair) -> bytes:
    """One tick, with Bob's answers carried back unless there are none."""
    due = pair.a.connection.next_deadline()
    assert due is not None
    pair.now = max(pair.now, due)
    for peer in (pair.a, pair.b):
        peer.connection.handle_timeout(pair.now)
    pair.a.drain()
    data = pair.a.connection.data_to_send()
    if data:
        pair.b.connection.receive_data(data, now=pair.now)
        pair.b.drain()
    answer = pair.b.connection.data_to_send()
    if answer:
        pair.a.connection.receive_data(answer, now=pair.now)
        pair.a.drain()
    return data


def test_silence_and_speech_look_alike(pair: Pair) -> None:
    """R-7.7.1: each tick has one frame, always of the same size."""
    silent = [carry(pair) for _ in range(5)]
    for number in range(5):
        pair.command(pair.a, SendMessage(text(number, "x" * 50 * number + "word")))
        assert pair.a.connection.data_to_send() == b"", "nothing leaves between the ticks"
    spoken = [carry(pair) for _ in range(8)]
    assert {len(data) for data in silent + spoken} == {FRAME_BYTES}
    assert len(received(pair.b)) == 5


def test_a_long_text_is_cut_to_the_size(pair: Pair) -> None:
    """R-7.7.1: parts of at most 2045 bytes, one a tick."""
    body = "long " * 4000
    pair.command(pair.a, SendMessage(text(1, body)))
    ticks = 0
    while not received(pair.b):
        assert len(carry(pair)) == FRAME_BYTES
        ticks += 1
    assert received(pair.b) == [body]
    assert ticks >= len(body) // COVER_FRAME_BYTES
    carry(pair)
    assert any(isinstance(event, MessagesDelivered) for event in pair.a.events)


def test_a_change_of_key_takes_a_tick_and_the_size(pair: Pair) -> None:
    """R-7.6.1, R-7.7.1: REKEY does not show either."""
    sizes = {len(carry(pair)) for _ in range(REKEY_FRAMES + 50)}
    assert sizes == {FRAME_BYTES}
    pair.command(pair.a, SendMessage(text(1)))
    carry(pair)
    assert received(pair.b) == ["word"], "both sides have changed the key"


def test_missed_ticks_are_not_made_up_for(pair: Pair) -> None:
    """R-7.7.2: after a pause there is one frame, and the rhythm goes on."""
    pair.now += 7.3 * TICK_S
    assert len(carry(pair)) == FRAME_BYTES
    assert pair.a.connection.data_to_send() == b""
    due = pair.a.connection.next_deadline()
    assert due is not None
    assert pair.now < due <= pair.now + TICK_S


def test_a_pacer_keeps_its_rhythm() -> None:
    pacer = Pacer(2.0, now=10.0)
    assert not pacer.tick(11.9)
    assert pacer.tick(12.0)
    assert pacer.next_at == 14.0
    assert pacer.tick(19.0)
    assert pacer.next_at == 20.0


def test_a_goodbye_does_not_wait(pair: Pair) -> None:
    pair.command(pair.a, Close())
    pair.b.connection.receive_data(pair.a.connection.data_to_send(), now=pair.now)
    pair.b.drain()
    assert isinstance(pair.b.events[-1], ConnectionClosed)
    assert pair.b.events[-1].clean


def test_without_cover_nothing_ticks() -> None:
    alice, bob = person("alice"), person("bob")
    pair = Pair(alice, bob)
    pair.attach()
    deadline = pair.a.connection.next_deadline()
    assert deadline is not None
    assert deadline > pair.now + 10


def test_an_hour_after_the_last_hybrid_step_the_next_is_due() -> None:
    """R-6.7.3: by time alone, long before fifty messages."""
    pair = Pair(person("alice"), person("bob"))
    pair.attach()
    number = 0

    def exchange() -> int:
        nonlocal number
        for speaker in (pair.a, pair.b):
            number += 1
            pair.command(speaker, SendMessage(text(number)))
            pair.pump()
        return pair.a.state.ratchet.kem_steps

    assert exchange() == 0
    pair.now += KEM_INTERVAL_S - 1
    assert exchange() == 0
    pair.now += 1
    for peer in (pair.a, pair.b):
        peer.connection.handle_timeout(pair.now)
    steps = [exchange() for _ in range(4)]
    assert steps[-1] == 1, "one step, and then the hour begins again"
