"""Whatever bytes or text come from outside, parsers give a value or their declared error.

One test a parser: arbitrary input, and input that was right until it was spoilt (R-9.1.1 to
R-9.1.4, R-7.2.2, R-5.3.1, R-4.2.3, R-3.2.2, R-3.3.1, R-3.4.2).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from p2pchat.constants import CONTENT_MAX_BYTES, PADDING_BUCKETS
from p2pchat.errors import (
    CertificateError,
    DamagedStateError,
    ErrorCode,
    IdentityError,
    LinkError,
    ProtocolError,
    TrustError,
    UsageError,
)
from p2pchat.identity.certificate import parse_and_verify
from p2pchat.identity.keys import parse_peer_id, peer_id
from p2pchat.identity.link import ContactLink, encode_link, parse_address, parse_link
from p2pchat.identity.safety_number import compare
from p2pchat.session.codec import decode_map, encode_map
from p2pchat.session.delivery import SessionSummary, decode_session, encode_session
from p2pchat.session.events import ConnectionClosed
from p2pchat.session.frames import (
    FrameBuffer,
    Kind,
    decode_inner,
    encode_inner,
    pad_payload,
    unpad_payload,
)
from p2pchat.session.greeting import Greeting, decode_greeting, encode_greeting
from p2pchat.session.messages import Text, decode_message, encode_message
from p2pchat.session.negotiation import (
    OUR_OFFER,
    XX,
    Offer,
    decode_offer,
    decode_preamble,
    encode_offer,
    encode_preamble,
    preamble_length,
)
from tests.support.pairs import NOW_MS, Peer, closed, forge, open_pair, pair_of, person

PROFILE = settings(
    max_examples=60,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
CERTIFICATE = person("alice").config().certificate.encoded
SUMMARY = SessionSummary(b"i" * 16, 7, 5, b"d" * 32)
SESSION = open_pair().a.state


def padded_to_a_bucket(data: bytes) -> bytes:
    return data.ljust(next(size for size in PADDING_BUCKETS if size >= len(data)), b"\x00")


@st.composite
def spoilt(draw: st.DrawFn, good: bytes) -> bytes:
    """Bytes that were right, with something changed, cut out or put in."""
    place = draw(st.integers(0, len(good)))
    cut = draw(st.integers(0, 4))
    return good[:place] + draw(st.binary(max_size=4)) + good[place + cut :]


def nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    keys = st.text(max_size=4) | st.sampled_from(
        ["t", "id", "at", "body", "!", "accepted", "session"]
    )
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=5),
        max_leaves=12,
    )


MSGPACK = nested(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=40)
    | st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=8))
    | st.builds(msgpack.Timestamp, st.integers(0, 2**34 - 1), st.integers(0, 10**9 - 1))
).map(msgpack.packb)

BINARY: dict[str, tuple[Callable[[bytes], object], type[Exception], bytes]] = {
    "offer": (decode_offer, ProtocolError, encode_offer(Offer(((1, 0), (2, 1)), (1, 2), (5, 6)))),
    "preamble": (decode_preamble, ProtocolError, encode_preamble(XX.number, OUR_OFFER)),
    "transport frame": (
        lambda data: decode_inner(padded_to_a_bucket(data)),
        ProtocolError,
        encode_inner(Kind.PING, b"12345678")[:20],
    ),
    "transport frame of any size": (decode_inner, ProtocolError, encode_inner(Kind.RESET, b"")),
    "handshake payload": (unpad_payload, ProtocolError, pad_payload(b"content")),
    "map": (
        lambda data: decode_map(data, max_bytes=2048),
        ProtocolError,
        encode_map({"a": [1, {"b": b"x"}], "c": "ü"}),
    ),
    "message": (decode_message, ProtocolError, encode_message(Text(b"i" * 16, 5, "hello"))),
    "greeting": (
        decode_greeting,
        ProtocolError,
        encode_greeting(Greeting(True, "Alice", "a note", SUMMARY)),
    ),
    "certificate": (
        lambda data: parse_and_verify(data, now_ms=NOW_MS),
        CertificateError,
        CERTIFICATE,
    ),
    "certificate of the right length": (
        lambda data: parse_and_verify(data[:149].ljust(149, b"\x01"), now_ms=NOW_MS),
        CertificateError,
        CERTIFICATE,
    ),
    "stored session": (
        lambda data: decode_session(data, SESSION.unacknowledged),
        DamagedStateError,
        encode_session(SESSION),
    ),
}


@pytest.mark.parametrize("name", BINARY)
@given(data=st.data())
@PROFILE
def test_bytes_from_outside(name: str, data: st.DataObject) -> None:
    parse, error, good = BINARY[name]
    hostile = data.draw(st.binary(max_size=300) | MSGPACK | spoilt(good))
    try:
        first = parse(hostile)
    except error:
        return
    assert parse(hostile) == first


def test_what_is_right_is_taken() -> None:
    """Or else the test above would show nothing."""
    for parse, _, good in BINARY.values():
        parse(good)


@given(st.binary(max_size=4))
@PROFILE
def test_a_preambles_head(tail: bytes) -> None:
    head = encode_preamble(XX.number, OUR_OFFER)[: 12 - len(tail)] + tail
    length = 12 + int.from_bytes(head[10:], "big")
    if length <= 12 + 512:
        assert preamble_length(head) == length
    else:
        with pytest.raises(ProtocolError) as caught:
            preamble_length(head)
        assert caught.value.code is ErrorCode.LIMIT_EXCEEDED


@given(st.lists(st.binary(max_size=50), max_size=10), st.booleans())
@PROFILE
def test_a_buffer_of_frames(pieces: list[bytes], preamble: bool) -> None:
    """Taken and kept bytes together are what went in."""
    buffer, taken = FrameBuffer(), 0
    for piece in pieces:
        buffer.append(piece)
        try:
            if preamble:
                if (whole := buffer.take_preamble()) is not None:
                    taken += len(whole)
                    preamble = False
            else:
                while (frame := buffer.take_frame()) is not None:
                    assert frame
                    taken += 2 + len(frame)
        except ProtocolError:
            return
    assert taken + len(buffer) == sum(map(len, pieces))


TEXTS = st.text(max_size=80) | st.text("p2chat:ABCabc019-_=.[]%~ \n\x1b\ud800ıſ", max_size=80)
TEXTUAL: dict[str, tuple[Callable[[str], object], tuple[type[Exception], ...], str]] = {
    "link": (
        parse_link,
        (LinkError,),
        encode_link(ContactLink(person("alice").identity.public, "Alice", ("[::1]:80", "host:1"))),
    ),
    "peer id": (parse_peer_id, (IdentityError,), peer_id(person("alice").identity.public)),
    "address": (parse_address, (IdentityError,), "[2001:db8::1%eth0]:4000"),
    "safety number": (
        lambda text: compare("12345 " * 12, text),
        (UsageError, TrustError),
        "12345 " * 12,
    ),
}


@pytest.mark.parametrize("name", TEXTUAL)
@given(data=st.data())
@PROFILE
def test_text_from_outside(name: str, data: st.DataObject) -> None:
    parse, errors, good = TEXTUAL[name]
    place, cut = data.draw(st.integers(0, len(good))), data.draw(st.integers(0, 3))
    put_in = data.draw(st.text(max_size=3))
    hostile = data.draw(TEXTS | st.just(good[:place] + put_in + good[place + cut :]))
    try:
        parse(hostile)
    except errors:
        return


def test_text_that_is_right_is_taken() -> None:
    for parse, _, good in TEXTUAL.values():
        parse(good)


@given(st.lists(st.binary(max_size=100), max_size=8), st.booleans())
@example([b"p2pchat\n", b"\xff" * 60], False)
@PROFILE
def test_a_connection_in_its_handshake(pieces: list[bytes], initiator: bool) -> None:
    """Nothing but events comes out of it, and at most one of them is the end."""
    pair = pair_of()
    peer = pair.a if initiator else pair.b
    for piece in pieces:
        peer.connection.receive_data(piece, now=pair.now)
        peer.drain()
    peer.connection.receive_data(b"", now=pair.now)
    peer.drain()
    assert not closed(peer).clean
    assert len(peer.events) == 1


def frames() -> st.SearchStrategy[tuple[int, bytes]]:
    bodies = st.binary(max_size=60) | MSGPACK
    return st.tuples(st.sampled_from(list(Kind)) | st.integers(0, 255), bodies)


@given(st.lists(frames(), max_size=6))
@PROFILE
def test_an_authentic_peer_gone_mad(said: list[tuple[int, bytes]]) -> None:
    """Under the connection's own keys, in an open connection."""
    pair = open_pair()
    for kind, body in said:
        pair.b.connection.receive_data(forge(pair.a, kind, body), now=pair.now)
        pair.b.drain()
    ends = pair.b.of(ConnectionClosed)
    assert len(ends) <= 1
    if ends:
        assert pair.b.events[-1] is ends[0]
        assert ends[0].by_peer is (ends[0].clean)


@given(MSGPACK)
@PROFILE
def test_any_hello(body: bytes) -> None:
    pair = pair_of()
    pair.attach(accepted=(False, False))
    peer: Peer = pair.b
    peer.connection.receive_data(forge(pair.a, Kind.HELLO, body), now=pair.now)
    peer.drain()
    if peer.connection.is_closed:
        assert closed(peer).code is ErrorCode.PROTOCOL_VIOLATION


def test_a_message_at_its_limit_is_parsed_in_bounded_time() -> None:
    """R-9.1.2: the widest nesting that the bounds allow."""
    wide: Any = [[] for _ in range(64)]
    for _ in range(2):
        wide = [wide for _ in range(16)]
    data = msgpack.packb({"x": wide})
    assert len(data) < CONTENT_MAX_BYTES
    assert decode_map(data, max_bytes=CONTENT_MAX_BYTES)
