"""Handshake payloads that no honest program sends (protocol.md §5.3)."""

from __future__ import annotations

from typing import Any

import pytest

from p2pchat.errors import ErrorCode
from p2pchat.session.codec import encode_map
from p2pchat.session.events import Attach, FirstMessageRead
from p2pchat.session.frames import (
    ClearKind,
    Kind,
    decode_inner,
    encode_clear,
    encode_refusal,
    pad_payload,
)
from p2pchat.session.negotiation import Offer, Suite, encode_offer
from tests.support.pairs import (
    ALL_SUITES,
    IK_SUITES,
    NOW_MS,
    XX_SUITES,
    authenticated,
    closed,
    person,
    suite_id,
)
from tests.support.scripted import Script, changes_id, payload_of, speak

BOTH_ROLES = pytest.mark.parametrize("initiator", [False, True])
EACH_SUITE = pytest.mark.parametrize("suite", ALL_SUITES, ids=suite_id)


@BOTH_ROLES
@EACH_SUITE
def test_the_script_is_believed_while_it_is_honest(initiator: bool, suite: Suite) -> None:
    script = speak(initiator=initiator, suite=suite, payload=payload_of(initiator, suite))
    if initiator and suite.knows_responder:
        script.confirm()
    assert authenticated(script.peer).identity == script.me.identity.public


@BOTH_ROLES
@EACH_SUITE
def test_later_fields_and_longer_padding_are_fine(initiator: bool, suite: Suite) -> None:
    """R-9.1.4, R-5.3.1."""
    later = payload_of(initiator, suite, later=[1]) + bytes(512)
    script = speak(initiator=initiator, suite=suite, payload=later)
    if initiator and suite.knows_responder:
        script.confirm()
    assert authenticated(script.peer)


@BOTH_ROLES
@EACH_SUITE
@pytest.mark.parametrize(
    "changes",
    [
        {"cert": ...},
        {"cert": b""},
        {"cert": bytes(148)},
        {"cert": bytes(150)},
        {"cert": "x" * 149},
        {"!later": 1},
        {"later": bytes(2048)},
    ],
    ids=changes_id,
)
def test_a_payload_out_of_form(initiator: bool, suite: Suite, changes: dict[str, Any]) -> None:
    """R-5.3.1, R-9.1.3, R-9.1.4."""
    script = speak(
        initiator=initiator, suite=suite, payload=payload_of(initiator, suite, **changes)
    )
    assert closed(script.peer).code is ErrorCode.PROTOCOL_VIOLATION


@pytest.mark.parametrize("suite", IK_SUITES, ids=suite_id)
@pytest.mark.parametrize(
    "changes",
    [
        {"time": ...},
        {"time": -1},
        {"time": 2**53},
        {"time": True},
        {"time": 1.5},
        {"time": b"now"},
    ],
    ids=changes_id,
)
def test_a_known_peers_payload_out_of_form(changes: dict[str, Any], suite: Suite) -> None:
    """R-5.3.1, R-5.3.2, R-9.1.3."""
    script = speak(initiator=True, suite=suite, payload=payload_of(True, suite, **changes))
    assert closed(script.peer).code is ErrorCode.PROTOCOL_VIOLATION


@pytest.mark.parametrize("suite", IK_SUITES, ids=suite_id)
def test_the_shell_gets_name_and_time_of_a_known_peer(suite: Suite) -> None:
    """R-5.6.1: and nothing is answered before it has judged them."""
    script = Script(initiator=True, suite=suite)
    script.peer.judgement = None
    script.deliver(script.preamble)
    script.say(payload_of(True, suite, time=NOW_MS - 7))
    [event] = script.peer.of(FirstMessageRead)
    assert (event.certificate.identity, event.time_ms) == (script.me.identity.public, NOW_MS - 7)
    assert script.peer.connection.data_to_send() == b""
    assert script.peer.connection.peer_identity is None


@pytest.mark.parametrize(
    "changes",
    [
        {"offer": ...},
        {"offer": b""},
        {"offer": bytes(513)},
        {"offer": encode_offer(Offer(((1, 0),), (2, 1)))},
        {"ratchet": ...},
        {"ratchet": bytes(31)},
        {"ratchet": bytes(33)},
    ],
    ids=changes_id,
)
def test_a_responders_payload_out_of_form(changes: dict[str, Any]) -> None:
    """R-5.3.1, R-4.2.3."""
    script = speak(initiator=False, payload=payload_of(False, **changes))
    assert closed(script.peer).code is ErrorCode.PROTOCOL_VIOLATION


@BOTH_ROLES
@EACH_SUITE
@pytest.mark.parametrize(
    "payload",
    [
        b"",
        bytes(511),
        bytes(512),
        pad_payload(b"\x90"),
        pad_payload(b"\xc1"),
        b"\xff\xff" + bytes(510),
        bytes(511) + b"\x01",
    ],
    ids=["empty", "511", "no content", "an array", "not msgpack", "length", "padding"],
)
def test_a_payload_that_is_not_one(initiator: bool, suite: Suite, payload: bytes) -> None:
    """R-5.3.1."""
    script = speak(initiator=initiator, suite=suite, payload=payload)
    assert closed(script.peer).code is ErrorCode.PROTOCOL_VIOLATION


@pytest.mark.parametrize("suite", XX_SUITES, ids=suite_id)
def test_a_first_message_that_says_something(suite: Suite) -> None:
    """R-5.3.2: it would be in the clear and could be replayed."""
    script = Script(initiator=True, suite=suite)
    script.deliver(script.preamble)
    script.say(b"hello")
    assert closed(script.peer).code is ErrorCode.PROTOCOL_VIOLATION


def test_every_single_bit_of_a_certificate_counts() -> None:
    """R-5.4.1."""
    good = person("bob").config().certificate.encoded
    for place in range(0, len(good), 4):
        spoilt = bytearray(good)
        spoilt[place] ^= 0x10
        script = speak(initiator=False, payload=payload_of(False, cert=bytes(spoilt)))
        assert closed(script.peer).code is ErrorCode.CERTIFICATE_INVALID


@pytest.mark.parametrize("point", [bytes(32), b"\x01" + bytes(31)])
def test_a_ratchet_key_of_low_order_makes_no_session(point: bytes) -> None:
    """R-2.2.1: the connection ends, and no exception escapes."""
    script = speak(initiator=False, payload=payload_of(False, ratchet=point))
    alice = script.peer
    script.collect()
    script.read()
    hello = encode_map({"accepted": True})
    alice.connection.send(Attach(True, "alice"), now=0.0)
    cipher = script.engine.split().send
    for kind, body in ((Kind.HELLO, hello), (Kind.RESET, b"")):
        inner = bytes([kind]) + len(body).to_bytes(2, "big") + body
        sealed = cipher.encrypt_with_ad(b"", inner.ljust(256, b"\x00"))
        script.deliver(len(sealed).to_bytes(2, "big") + sealed)
    assert not closed(alice).clean
    assert not alice.connection.is_open


def test_who_proved_nothing_in_message_3_still_learns_why() -> None:
    """R-5.4.6: under the transport keys, since it reads nothing else any more."""
    script = speak(initiator=True, payload=payload_of(True, cert=...))
    script.collect()
    frame = script.buffer.take_frame()
    assert frame is not None
    inner = script.engine.split().receive.decrypt_with_ad(b"", frame)
    assert decode_inner(inner) == (Kind.CLOSE, b"\x00\x01")
    assert len(script.buffer) == 0


def test_a_message_3_that_does_not_authenticate_gets_a_refusal_in_the_clear() -> None:
    """R-5.4.6: there are no transport keys to say it under."""
    script = Script(initiator=True)
    script.deliver(script.preamble)
    script.say(b"")
    script.collect()
    script.read()
    script.deliver(encode_clear(ClearKind.NOISE, bytes(576)))
    assert closed(script.peer).code is ErrorCode.HANDSHAKE_FAILED
    refusal = script.peer.connection.data_to_send()
    assert refusal == encode_refusal(ErrorCode.HANDSHAKE_FAILED)
