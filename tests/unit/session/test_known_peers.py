"""Beginning with a known key, asking again, replays, stealth (protocol.md §5.6, §5.7)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest

from p2pchat.errors import ErrorCode, LocalProtocolError
from p2pchat.noise.handshake import HandshakeState
from p2pchat.session.connection import Connection
from p2pchat.session.events import (
    Answer,
    AskAgain,
    Attach,
    Close,
    ConnectionClosed,
    FirstMessageRead,
    PeerAuthenticated,
    PeerGreeted,
)
from p2pchat.session.frames import ClearKind, Kind, encode_clear, encode_refusal
from p2pchat.session.negotiation import (
    HYBRID_OFFER,
    IK,
    IK_HFS,
    OUR_OFFER,
    XX,
    XX_HFS,
    Offer,
    Suite,
    encode_preamble,
    known_peers_only,
)
from p2pchat.session.states import State
from tests.support.pairs import (
    ALL_SUITES,
    IK_SUITES,
    NOW_MS,
    Pair,
    Peer,
    Person,
    authenticated,
    closed,
    codes,
    forge,
    frames_of,
    offer_of,
    pair_for,
    person,
    suite_id,
)
from tests.support.scripted import payload_of

EACH_IK = pytest.mark.parametrize("suite", IK_SUITES, ids=suite_id)
EACH_SUITE = pytest.mark.parametrize("suite", ALL_SUITES, ids=suite_id)
FIRST_CONTACT = {IK: XX, IK_HFS: XX_HFS, XX: XX, XX_HFS: XX_HFS}


def preamble_len(offer: Offer) -> int:
    return len(encode_preamble(0, offer))


def meeting(
    *,
    knows: bytes | None = None,
    stealth: bool = False,
    ours: Offer = OUR_OFFER,
    theirs: Offer = OUR_OFFER,
) -> Pair:
    """Alice dials Bob, with what she believes to be his static key."""
    alice, bob = person("alice"), person("bob")
    return Pair(
        alice,
        bob,
        dialler_config=alice.config(expects=bob.identity.public, offer=ours, knows=knows),
        listener_config=bob.config(offer=theirs, stealth=stealth),
    )


def rotated() -> bytes:
    """A static key that Bob had once."""
    return person("bob's former key").static.public


def retry_for(suite: Suite | int) -> bytes:
    number = suite.number if isinstance(suite, Suite) else suite
    return encode_clear(ClearKind.RETRY, number.to_bytes(2, "big"))


def opens(pair: Pair) -> Suite:
    """Let both attach; returns the suite that they ended with."""
    pair.attach()
    assert pair.a.connection.is_open
    assert pair.b.connection.is_open
    assert authenticated(pair.a).suite == authenticated(pair.b).suite
    assert authenticated(pair.a).handshake_hash == authenticated(pair.b).handshake_hash
    return authenticated(pair.a).suite


# --- what the initiator begins with --------------------------------------------------


@pytest.mark.parametrize(
    ("offer", "known", "first"),
    [
        (OUR_OFFER, True, IK_HFS),
        (OUR_OFFER, False, XX_HFS),
        (offer_of(XX, IK), True, IK),
        (offer_of(XX, IK), False, XX),
        (offer_of(XX, IK, XX_HFS), True, XX_HFS),
        (HYBRID_OFFER, False, XX_HFS),
        (Offer(((1, 9),), (*OUR_OFFER.suites, 0x0301)), True, IK_HFS),
    ],
)
def test_the_initiator_begins_with_the_greatest_that_it_can_use(
    offer: Offer, known: bool, first: Suite
) -> None:
    """R-4.2.5."""
    bob = person("bob")
    pair = meeting(knows=bob.static.public if known else None, ours=offer)
    data = pair.a.connection.data_to_send()
    assert data[8:10] == first.number.to_bytes(2, "big")


def test_an_offer_that_cannot_begin_is_the_callers_fault() -> None:
    """R-4.2.5: IK needs the responder's key."""
    with pytest.raises(LocalProtocolError):
        meeting(ours=known_peers_only(OUR_OFFER))


# --- RETRY -----------------------------------------------------------------


@EACH_IK
def test_a_rotated_static_key_leads_to_xx_on_the_same_connection(suite: Suite) -> None:
    """R-5.6.2, R-5.6.3, R-5.6.4: no second dial, no refusal, and of the same class."""
    offer = offer_of(suite, FIRST_CONTACT[suite])
    pair = meeting(knows=rotated(), ours=offer, theirs=offer)
    assert opens(pair) == FIRST_CONTACT[suite]
    assert not pair.b.of(FirstMessageRead)


@EACH_IK
def test_a_message_that_may_be_a_replay_leads_to_xx(suite: Suite) -> None:
    """R-5.6.1, R-5.6.2: the honest peer whose clock was set back still gets in."""
    pair = pair_for(suite)
    pair.b.judgement = AskAgain()
    assert opens(pair) == FIRST_CONTACT[suite]
    assert len(pair.b.of(FirstMessageRead)) == 1


@EACH_IK
def test_who_may_be_a_replay_and_offers_no_first_contact_is_told_so(suite: Suite) -> None:
    """R-5.6.2: there is nothing to ask again for; the connection ends, and nobody raises."""
    pair = meeting(knows=person("bob").static.public, ours=offer_of(suite), theirs=OUR_OFFER)
    pair.b.judgement = AskAgain()
    pair.pump()
    assert codes(pair) == (ErrorCode.HANDSHAKE_FAILED, ErrorCode.HANDSHAKE_FAILED)
    assert "first contact" in closed(pair.b).reason
    assert not pair.a.of(PeerAuthenticated)
    assert not pair.b.of(PeerAuthenticated)


@pytest.mark.parametrize(
    ("ours", "theirs", "known", "expected"),
    [
        (OUR_OFFER, offer_of(XX), True, XX),
        (OUR_OFFER, offer_of(XX), False, XX),
        (OUR_OFFER, offer_of(XX, IK), True, XX),
        (OUR_OFFER, offer_of(XX, XX_HFS), True, XX_HFS),
        (Offer(((1, 0),), (1, 2, 0x0101, 0x0102)), offer_of(XX, IK, XX_HFS), True, XX_HFS),
        (offer_of(XX, IK), OUR_OFFER, True, IK),
        (offer_of(XX), OUR_OFFER, False, XX),
    ],
)
def test_a_suite_that_the_responder_has_not(
    ours: Offer, theirs: Offer, known: bool, expected: Suite
) -> None:
    """R-4.3.3, R-5.6.2: RETRY names the XX suite of the greatest common class."""
    pair = meeting(knows=person("bob").static.public if known else None, ours=ours, theirs=theirs)
    assert opens(pair) == expected


def test_a_later_peers_unknown_suite_is_answered_with_retry() -> None:
    """R-13.1.1, R-5.6.2: its first message means nothing to us, but what we share will do."""
    bob = Peer(listener(person("bob")))
    offer = Offer(((1, 9),), (*OUR_OFFER.suites, 0x0301))
    bob.connection.receive_data(encode_preamble(0x0301, offer), now=0.0)
    bob.connection.receive_data(encode_clear(ClearKind.NOISE, b"unheard of" * 300), now=0.0)
    bob.drain()
    assert bob.connection.data_to_send() == retry_for(XX_HFS)


def listener(who: Person, *, offer: Offer = OUR_OFFER, stealth: bool = False) -> Connection:
    return Connection(
        who.config(offer=offer, stealth=stealth),
        initiator=False,
        now=0.0,
        now_ms=NOW_MS,
        rng=who.rng,
    )


@EACH_IK
def test_the_second_prologue_is_as_written(suite: Suite) -> None:
    """R-5.6.4: put together here from the text, byte for byte, and shaken hands with."""
    alice, bob = person("alice"), person("bob")
    xx = FIRST_CONTACT[suite]
    offer = offer_of(suite, xx)
    peer = Peer(listener(bob, offer=offer))
    preamble = encode_preamble(suite.number, offer)
    first = bytes(range(256)) * 8
    peer.connection.receive_data(preamble + encode_clear(ClearKind.NOISE, first), now=0.0)
    peer.drain()
    assert peer.connection.data_to_send() == retry_for(xx)
    prologue = preamble + hashlib.sha256(first).digest() + b"\x02" + xx.number.to_bytes(2, "big")
    noise = HandshakeState(
        xx.noise_name, initiator=True, prologue=prologue, rng=alice.rng, s=alice.static
    )
    again = encode_clear(ClearKind.NOISE, noise.write_message())
    peer.connection.receive_data(again, now=0.0)
    peer.drain()
    [frame] = frames_of(peer.connection.data_to_send())
    assert noise.read_message(frame[3:])


@EACH_SUITE
def test_a_second_retry_is_refused(suite: Suite) -> None:
    """R-5.6.2: there is at most one in a connection."""
    pair = pair_for(suite)
    pair.a.connection.data_to_send()
    other = FIRST_CONTACT[suite]
    if not suite.knows_responder:
        # Nothing but XX is offered in this class, so the first one cannot be obeyed already.
        assert hear(pair, retry_for(other)).code is ErrorCode.PROTOCOL_VIOLATION
        return
    pair.a.connection.receive_data(retry_for(other), now=pair.now)
    pair.a.drain()
    assert pair.a.connection.state is State.AWAIT_MESSAGE_2_AGAIN
    pair.a.connection.data_to_send()
    assert hear(pair, retry_for(other)).code is ErrorCode.PROTOCOL_VIOLATION


def hear(pair: Pair, data: bytes) -> ConnectionClosed:
    """Let alice hear something that ends her connection."""
    pair.a.connection.receive_data(data, now=pair.now)
    pair.a.drain()
    end = closed(pair.a)
    assert not pair.a.of(PeerAuthenticated)
    assert (end.by_peer, end.clean) == (False, False)
    return end


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x01",
        b"\x01\x01\x00",
        b"\x00\x00",
        b"\x00\x02",
        b"\x01\x02",
        b"\x77\x77",
    ],
    ids=bytes.hex,
)
def test_a_retry_that_asks_for_what_cannot_be(body: bytes) -> None:
    """R-5.6.3: malformed, IK, unknown."""
    pair = meeting(knows=person("bob").static.public)
    pair.a.connection.data_to_send()
    end = hear(pair, encode_clear(ClearKind.RETRY, body))
    assert end.code is ErrorCode.PROTOCOL_VIOLATION
    assert pair.a.connection.data_to_send() == encode_refusal(ErrorCode.PROTOCOL_VIOLATION)


@pytest.mark.parametrize("suite", [XX, IK], ids=suite_id)
def test_a_retry_for_what_was_not_offered(suite: Suite) -> None:
    """R-5.6.3, R-4.3.6: a contact that has spoken hybrid is never asked down to less."""
    pair = meeting(knows=person("bob").static.public, ours=HYBRID_OFFER)
    pair.a.connection.data_to_send()
    assert hear(pair, retry_for(suite)).code is ErrorCode.PROTOCOL_VIOLATION


@pytest.mark.parametrize("suite", [XX, XX_HFS], ids=suite_id)
def test_a_retry_for_what_was_just_used(suite: Suite) -> None:
    """R-5.6.3: it could go round for ever."""
    pair = meeting(ours=offer_of(suite))
    pair.a.connection.data_to_send()
    assert hear(pair, retry_for(suite)).code is ErrorCode.PROTOCOL_VIOLATION


@pytest.mark.parametrize(
    ("asked", "known"), [(XX, False), (XX, True), (XX_HFS, True)], ids=lambda value: str(value)[:20]
)
def test_a_retry_that_a_man_in_the_middle_made(asked: Suite, known: bool) -> None:
    """R-5.6.4: the responder knows of none, so the two prologues differ.

    He shows the new message to the responder as a first one, and makes it believe that no more
    is offered: nobody ends up with less than both know.
    """
    pair = meeting(knows=person("bob").static.public if known else None)
    pair.a.connection.data_to_send()
    pair.a.connection.receive_data(retry_for(asked), now=pair.now)
    pair.a.drain()
    again = pair.a.connection.data_to_send()
    bob = Peer(listener(person("bob")))
    offer = OUR_OFFER if asked == XX_HFS else offer_of(XX)
    bob.connection.receive_data(encode_preamble(asked.number, offer) + again, now=0.0)
    bob.drain()
    assert bob.connection.state is State.AWAIT_MESSAGE_3
    end = hear(pair, bob.connection.data_to_send())
    assert end.code is ErrorCode.HANDSHAKE_FAILED


def test_a_retry_is_believed_only_with_the_offer_that_explains_it() -> None:
    """R-4.3.4, R-5.6.2: a responder that asks for less than it could is found out."""
    alice, bob = person("alice"), person("bob")
    pair = meeting(knows=bob.static.public)
    first = pair.a.connection.data_to_send()
    preamble = first[: preamble_len(OUR_OFFER)]
    failed = first[len(preamble) + 3 :]
    pair.a.connection.receive_data(retry_for(XX), now=pair.now)
    pair.a.drain()
    prologue = preamble + hashlib.sha256(failed).digest() + b"\x02\x00\x01"
    noise = HandshakeState(
        XX.noise_name, initiator=False, prologue=prologue, rng=bob.rng, s=bob.static
    )
    [frame] = frames_of(pair.a.connection.data_to_send())
    noise.read_message(frame[3:])

    answer = encode_clear(ClearKind.NOISE, noise.write_message(payload_of(False)))
    assert hear(pair, answer).code is ErrorCode.DOWNGRADE_DETECTED
    assert alice.identity.public not in answer


@EACH_IK
def test_a_first_message_changed_on_the_path_does_not_end_well(suite: Suite) -> None:
    """R-5.6.4: he makes the responder ask again; what failed is in both prologues, and differs."""
    pair = pair_for(suite)
    data = bytearray(pair.a.connection.data_to_send())
    data[-1] ^= 1
    pair.b.connection.receive_data(bytes(data), now=pair.now)
    pair.pump()
    assert codes(pair) == (ErrorCode.HANDSHAKE_FAILED, ErrorCode.HANDSHAKE_FAILED)
    assert not pair.a.of(PeerAuthenticated)
    assert not pair.b.of(PeerAuthenticated)


def test_no_common_first_contact_is_said() -> None:
    """R-5.6.2: there is nothing to ask for."""
    offer = known_peers_only(OUR_OFFER)
    pair = meeting(knows=rotated(), ours=offer)
    pair.pump()
    assert codes(pair) == (ErrorCode.HANDSHAKE_FAILED, ErrorCode.HANDSHAKE_FAILED)


@EACH_IK
def test_a_point_of_low_order_in_a_known_peers_message(suite: Suite) -> None:
    """R-5.1.6, R-5.6.2: as any that cannot be read; the refusal comes with the next one."""
    bob = Peer(listener(person("bob"), offer=offer_of(suite, FIRST_CONTACT[suite])))
    preamble = encode_preamble(suite.number, offer_of(suite, FIRST_CONTACT[suite]))
    bob.connection.receive_data(preamble, now=0.0)
    low = encode_clear(ClearKind.NOISE, bytes(1808 if suite.post_quantum else 608))
    bob.connection.receive_data(low, now=0.0)
    bob.drain()
    assert bob.connection.data_to_send() == retry_for(FIRST_CONTACT[suite])
    bob.connection.receive_data(low, now=0.0)
    bob.drain()
    assert closed(bob).code in (ErrorCode.HANDSHAKE_FAILED, ErrorCode.PROTOCOL_VIOLATION)


# --- replays -------------------------------------------------------------------


@EACH_IK
def test_nothing_is_answered_before_the_shell_has_judged(suite: Suite) -> None:
    """R-5.6.1: the time can be stored first."""
    pair = pair_for(suite)
    pair.b.judgement = None
    pair.pump()
    [event] = pair.b.of(FirstMessageRead)
    assert event.certificate.identity == person("alice").identity.public
    assert event.time_ms == NOW_MS
    assert pair.b.connection.state is State.CONSIDERING
    assert pair.b.connection.peer_identity is None
    pair.b.connection.send(Answer(), now=pair.now)
    assert opens(pair) == suite


@EACH_IK
@pytest.mark.parametrize("judgement", [Answer(), AskAgain()], ids=["answered", "asked again"])
def test_a_replayed_first_message_never_proves_anybody(
    suite: Suite, judgement: Answer | AskAgain
) -> None:
    """R-5.4.8, R-5.6.1: whatever its judge decides, and whatever the replayer says next."""
    recorded = pair_for(suite)
    first = recorded.a.connection.data_to_send()
    recorded.b.connection.receive_data(first, now=recorded.now)
    recorded.pump()
    recorded.a.connection.send(Attach(True, "alice"), now=recorded.now)
    hello = recorded.a.connection.data_to_send()

    bob = person("bob")
    bob.rng(500)  # another ephemeral key than the recorded one
    victim = Peer(listener(bob, offer=offer_of(suite, FIRST_CONTACT[suite])))
    victim.judgement = judgement
    victim.connection.receive_data(first, now=0.0)
    victim.drain()
    assert victim.connection.state in (State.AWAIT_CONFIRMATION, State.AWAIT_MESSAGE_1_AGAIN)
    assert not victim.of(PeerAuthenticated)
    assert victim.connection.peer_identity is None
    victim.connection.receive_data(hello, now=0.0)
    victim.drain()
    assert not victim.of(PeerAuthenticated)
    assert victim.connection.peer_identity is None
    assert closed(victim).code is not ErrorCode.NORMAL


@EACH_IK
def test_a_frame_that_does_not_open_proves_nobody(suite: Suite) -> None:
    """R-5.4.8, R-7.1.1."""
    pair = pair_for(suite)
    pair.pump()
    assert pair.b.connection.state is State.AWAIT_CONFIRMATION
    pair.b.connection.receive_data(b"\x01\x10" + bytes(272), now=pair.now)
    pair.b.drain()
    assert closed(pair.b).code is ErrorCode.PROTOCOL_VIOLATION
    assert not pair.b.of(PeerAuthenticated)


@EACH_IK
def test_the_first_frame_is_the_proof_and_is_not_lost(suite: Suite) -> None:
    """R-5.4.8."""
    pair = pair_for(suite)
    pair.pump()
    assert pair.a.connection.state is State.AUTHENTICATED
    assert pair.b.connection.state is State.AWAIT_CONFIRMATION
    assert pair.b.connection.peer_identity is None
    assert not pair.b.of(PeerAuthenticated)
    pair.a.connection.send(Attach(True, "alice"), now=pair.now)
    pair.pump()
    assert authenticated(pair.b).identity == person("alice").identity.public
    assert opens_from_here(pair)


def opens_from_here(pair: Pair) -> bool:
    pair.b.connection.send(Attach(True, "bob"), now=pair.now)
    pair.pump()
    return pair.a.connection.is_open and pair.b.connection.is_open


@EACH_IK
def test_a_first_frame_that_says_nothing_holds_up_none_behind_it(suite: Suite) -> None:
    """R-5.4.8: they come in one piece, and are waited for as little."""
    pair = pair_for(suite)
    pair.pump()
    piece = forge(pair.a, Kind.PING, bytes(8))
    pair.a.connection.send(Attach(True, "alice"), now=pair.now)
    piece += pair.a.connection.data_to_send()
    pair.b.connection.receive_data(piece, now=pair.now)
    pair.b.drain()
    pair.b.connection.send(Attach(True, "bob"), now=pair.now)
    pair.b.drain()
    assert pair.b.of(PeerGreeted)


@EACH_IK
def test_a_change_of_key_alone_proves_and_loses_nothing(suite: Suite) -> None:
    """R-5.4.8, R-7.6.2: before the first frame that says something."""
    pair = pair_for(suite)
    pair.pump()
    pair.b.connection.receive_data(forge(pair.a, Kind.REKEY), now=pair.now)
    pair.b.drain()
    sealer = pair.a.connection._outgoing._sealer
    assert sealer is not None
    sealer._cipher.rekey()
    pair.a.connection.send(Attach(True, "alice"), now=pair.now)
    pair.pump()
    assert opens_from_here(pair)


@EACH_IK
def test_an_unproven_peer_has_ten_seconds(suite: Suite) -> None:
    """R-7.4.4, R-5.4.8: from the first byte, however long its message was judged."""
    pair = pair_for(suite)
    start = pair.now
    pair.now += 6
    pair.pump()
    assert pair.b.connection.next_deadline() == start + 10
    pair.b.connection.handle_timeout(start + 10)
    pair.b.drain()
    assert closed(pair.b).code is ErrorCode.TIMEOUT
    assert not pair.b.of(PeerAuthenticated)


@EACH_IK
def test_an_unproven_peer_cannot_fill_our_memory(suite: Suite) -> None:
    """R-5.4.7: while its message is judged."""
    pair = pair_for(suite)
    pair.b.judgement = None
    pair.pump()
    pair.b.connection.receive_data(bytes(65538), now=pair.now)
    pair.b.drain()
    assert closed(pair.b).code is ErrorCode.LIMIT_EXCEEDED


@pytest.mark.parametrize("judgement", [Answer(), AskAgain()], ids=["answer", "ask again"])
@pytest.mark.parametrize("make", [lambda: pair_for(XX_HFS), lambda: pair_for(IK_HFS)])
def test_judging_what_is_not_there_changes_nothing(
    judgement: Answer | AskAgain, make: Callable[[], Pair]
) -> None:
    """R-5.6.1: a command out of place, on either side, at any time."""
    pair = make()
    for peer in (pair.a, pair.b):
        peer.connection.data_to_send()
        state = peer.connection.state
        with pytest.raises(LocalProtocolError):
            peer.connection.send(judgement, now=pair.now)
        assert peer.connection.state is state
        assert peer.connection.next_event() is None
        assert peer.connection.data_to_send() == b""


# --- stealth ---------------------------------------------------------------------------


def probes() -> dict[str, bytes]:
    """What a scanner might say, and what a peer says who does not know the key."""
    bob = person("bob")
    stale = meeting(knows=rotated()).a.connection.data_to_send()
    genuine = meeting(knows=bob.static.public).a.connection.data_to_send()
    spoilt = genuine[:-1] + bytes([genuine[-1] ^ 1])
    empty = encode_preamble(IK_HFS.number, OUR_OFFER)
    return {
        "http": b"GET / HTTP/1.1\r\n\r\n",
        "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "preamble alone": empty,
        "another version": encode_preamble(IK_HFS.number, Offer(((2, 0),), (0x0102,))),
        "no common suite": encode_preamble(0x7777, Offer(((1, 0),), (0x7777,))),
        "malformed offer": b"p2pchat\n\x01\x02\x00\x02\x01\x01",
        "long offer": b"p2pchat\n\x01\x02\xff\xff",
        "XX": meeting(ours=offer_of(XX)).a.connection.data_to_send(),
        "XXhfs": meeting().a.connection.data_to_send(),
        "IK for an old key": stale,
        "IK spoilt": spoilt,
        "IK short": empty + encode_clear(ClearKind.NOISE, b"x"),
        "an empty frame": empty + b"\x00\x00",
        "an unknown kind": empty + b"\x00\x01\x7f",
        "RETRY": empty + retry_for(XX_HFS),
        "REFUSE": empty + encode_refusal(ErrorCode.NORMAL),
    }


@pytest.mark.parametrize("probe", probes())
@pytest.mark.parametrize("ending", ["silence", "the end", "goodbye of our own"])
def test_in_stealth_not_one_byte_leaves(probe: str, ending: str) -> None:
    """R-5.7.1: to whatever is said, and whatever happens then."""
    peer = Peer(listener(person("bob"), stealth=True))
    peer.connection.receive_data(probes()[probe], now=0.0)
    peer.drain()
    match ending:
        case "silence":
            peer.connection.handle_timeout(10.0)
        case "the end":
            peer.connection.receive_data(b"", now=1.0)
        case _:
            peer.connection.send(Close(ErrorCode.GOING_AWAY), now=1.0)
    peer.drain()
    assert peer.connection.is_closed
    assert peer.connection.data_to_send() == b""
    assert not peer.of(PeerAuthenticated)
    assert not peer.of(FirstMessageRead)
    if probe == "IK for an old key":
        assert closed(peer).code is ErrorCode.HANDSHAKE_FAILED


@pytest.mark.parametrize("ending", ["not fresh", "too slow", "goodbye of our own"])
def test_in_stealth_not_one_byte_leaves_before_the_message_is_judged_fresh(ending: str) -> None:
    """R-5.7.1: a replay by someone who has recorded a contact."""
    pair = meeting(knows=person("bob").static.public, stealth=True)
    pair.b.judgement = None
    pair.b.connection.receive_data(pair.a.connection.data_to_send(), now=pair.now)
    pair.b.drain()
    assert len(pair.b.of(FirstMessageRead)) == 1
    match ending:
        case "not fresh":
            pair.b.connection.send(AskAgain(), now=pair.now)
        case "too slow":
            pair.b.connection.handle_timeout(pair.now + 10)
        case _:
            pair.b.connection.send(Close(ErrorCode.GOING_AWAY), now=pair.now)
    pair.b.drain()
    assert pair.b.connection.is_closed
    assert pair.b.connection.data_to_send() == b""
    if ending == "not fresh":
        assert closed(pair.b).code is ErrorCode.HANDSHAKE_FAILED


@pytest.mark.parametrize("theirs", [OUR_OFFER, HYBRID_OFFER, offer_of(XX, IK)])
def test_in_stealth_whoever_knows_the_key_is_served(theirs: Offer) -> None:
    """R-5.7.1: and is told what is wrong afterwards."""
    pair = meeting(knows=person("bob").static.public, stealth=True, ours=theirs)
    assert opens(pair) == (IK if theirs == offer_of(XX, IK) else IK_HFS)


def test_a_certificate_that_does_not_hold_meets_silence_in_stealth() -> None:
    """R-5.7.1: freshness is judged by identity, and there is none that holds."""
    alice = person("alice")
    config = person("eve").config(offer=OUR_OFFER, knows=person("bob").static.public)
    pair = Pair(
        alice,
        person("bob"),
        dialler_config=config.__class__(
            config.certificate, alice.static, None, config.offer, config.peer_static
        ),
        listener_config=person("bob").config(stealth=True),
    )
    pair.b.connection.receive_data(pair.a.connection.data_to_send(), now=pair.now)
    pair.b.drain()
    assert closed(pair.b).code is ErrorCode.CERTIFICATE_INVALID
    assert pair.b.connection.data_to_send() == b""
