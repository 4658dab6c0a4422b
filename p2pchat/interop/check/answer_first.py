"""What an honest responder meets, and the first messages that come to it (protocol.md §4 to §8)."""

from __future__ import annotations

from p2pchat.errors import ErrorCode
from p2pchat.interop.check.answer import Answer
from p2pchat.interop.check.dialogue import Dialogue
from p2pchat.interop.check.kit import set_up
from p2pchat.interop.check.listener import Listening
from p2pchat.interop.check.registry import Role, check
from p2pchat.interop.check.report import FailedError, NotReachedError
from p2pchat.interop.check.wire import SILENCE_S
from p2pchat.session import delivery
from p2pchat.session.codec import encode_map
from p2pchat.session.frames import ClearKind, Kind, encode_clear
from p2pchat.session.negotiation import (
    OUR_OFFER,
    XX,
    XX_HFS,
    Offer,
    decode_preamble,
    encode_offer,
)

ROUNDS = 70
ECHO_S = 3.0


@check(Role.RESPONDER, "R-4.2.5", "R-5.1.10")
async def its_first_words(kit: Listening) -> None:
    """Its preamble is well-formed, and its first message of a suite that it offers."""
    async with kit.wire() as wire:
        await Answer(kit, wire, kit.host).opened()


@check(Role.RESPONDER, "R-4.3.4")
async def an_offer_without_its_suite(kit: Listening) -> None:
    """Our encrypted offer does not name the suite in use: it refuses, and sends no message 3."""
    async with kit.opened() as answer:
        weaker = Offer(OUR_OFFER.versions, (XX.number,))
        classical = XX.number in answer.offer.suites
        if not answer.suite.post_quantum:
            raise NotReachedError("it began with a classical suite")
        answer.wire.send(answer.message_2(offer=encode_offer(weaker)))
        verdict = await answer.wire.clear_verdict()
        downgrade, nothing = ErrorCode.DOWNGRADE_DETECTED, ErrorCode.UNSUPPORTED_VERSION
        verdict.require(downgrade if classical else nothing)


@check(Role.RESPONDER, "R-4.3.2")
async def no_common_version(kit: Listening) -> None:
    """Our encrypted offer names no version of its: UNSUPPORTED_VERSION."""
    async with kit.opened() as answer:
        other = Offer(((2, 0),), OUR_OFFER.suites)
        answer.wire.send(answer.message_2(offer=encode_offer(other)))
        (await answer.wire.clear_verdict()).require(ErrorCode.UNSUPPORTED_VERSION)


@check(Role.RESPONDER, "R-4.3.4", "R-5.6.3")
async def a_retry_to_a_classical_suite(kit: Listening) -> None:
    """RETRY for a classical suite is refused: at once, or when our offer shows what we could."""
    async with kit.opened() as answer:
        offered = XX.number in answer.offer.suites
        answer.wire.send(answer.retry(XX))
        if not offered:
            (await answer.wire.clear_verdict()).require(ErrorCode.PROTOCOL_VIOLATION)
            return
        with set_up("message 1 after a RETRY"):
            await answer.read_1()
        answer.wire.send(answer.message_2())
        (await answer.wire.clear_verdict()).require(ErrorCode.DOWNGRADE_DETECTED)


@check(
    Role.RESPONDER,
    *("R-5.3.1", "R-5.5.1", "R-5.5.2", "R-6.1.1", "R-6.1.2", "R-6.2.1", "R-8.3.2", "R-8.4.1"),
    "R-8.4.4",
)
async def a_new_session(kit: Listening) -> None:
    """It accepts us, waits for our RESET, then sends an envelope at once and acknowledges ours."""
    async with kit.opened() as answer:
        talk = await answer.through()
        dialogue = Dialogue(talk, kit.host)
        talk.send(dialogue.our_hello())
        if not (await dialogue.their_hello()).accepted:
            raise FailedError("it dials us and has not accepted us")
        kinds = [kind for kind, _ in await talk.listen()]
        if any(kind in (Kind.RATCHET, Kind.RATCHET_PART, Kind.ACK) for kind in kinds):
            raise FailedError("it sent envelopes before it had read our RESET")
        if [kind for kind in kinds if kind in (Kind.RESUME, Kind.RESET)] != [Kind.RESET]:
            raise FailedError("to a HELLO without a session it did not say RESET, once, by itself")
        talk.send(talk.pack(Kind.RESET))
        dialogue.begin()
        await dialogue.until(lambda: bool(dialogue.arrived), "the empty first envelope")
        if dialogue.arrived[0][0] != 1:
            raise FailedError("its first envelope has not the index 1")
        dialogue.say("hello")
        await dialogue.acknowledgement(1)
        kit.target.accepts = True
        await dialogue.settle()
        await dialogue.leave()


@check(Role.RESPONDER, "R-5.6.4", "R-5.6.3")
async def a_retry_of_its_ik(kit: Listening) -> None:
    """RETRY for the XX suite after IK: a handshake under the bound prologue completes."""
    async with kit.opened() as answer:
        if not answer.known:
            raise NotReachedError("it does not begin with IK although it knows us")
        answer.wire.send(answer.retry(XX_HFS))
        await answer.read_1()
        await (await answer.through()).alive()


@check(Role.RESPONDER, "R-5.6.4")
async def a_retry_that_is_not_bound(kit: Listening) -> None:
    """After a RETRY an answer under the old prologue: HANDSHAKE_FAILED."""
    async with kit.opened() as answer:
        if not answer.known:
            raise NotReachedError("it does not begin with IK although it knows us")
        frame = answer.retry(XX_HFS)
        answer.start(XX_HFS, answer.preamble)
        answer.wire.send(frame)
        with set_up("message 1 after a RETRY"):
            await answer.read_1()
        answer.wire.send(answer.message_2())
        (await answer.wire.clear_verdict()).require(ErrorCode.HANDSHAKE_FAILED)


@check(Role.RESPONDER, "R-5.6.3")
async def retries_that_make_no_sense(kit: Listening) -> None:
    """RETRY for an IK suite, for one that it has not offered, or of 1 B: PROTOCOL_VIOLATION."""
    for body in (b"\x01\x02", b"\x7f\x01", b"\x01"):
        async with kit.opened() as answer:
            answer.wire.send(encode_clear(ClearKind.RETRY, body))
            (await answer.wire.clear_verdict()).require(ErrorCode.PROTOCOL_VIOLATION)


@check(Role.RESPONDER, "R-8.4.2", "R-8.4.3", "R-6.3.2", "R-6.4.1", "R-8.5.2")
async def resumption(kit: Listening) -> None:
    """The session goes on; an envelope that comes twice is ignored and acknowledged again."""
    async with kit.talk() as talk:
        dialogue = Dialogue(talk, kit.host)
        if not await dialogue.open():
            raise FailedError("it does not resume a session that fits")
        await dialogue.settle(0.05)
        envelope = dialogue.seal(b"")
        for _ in range(2):
            acks = dialogue.acks
            talk.send(*dialogue.frames(envelope.index, envelope.envelope))
            await dialogue.until(lambda acks=acks: dialogue.acks > acks, "an ACK")  # type: ignore[misc]  # bound now
        await dialogue.leave()


@check(Role.RESPONDER, "R-6.2.2", "R-6.2.4", "R-6.2.5")
async def an_echo(kit: Listening) -> None:
    """A text comes back, in an envelope that opens."""
    async with kit.dialogue() as dialogue:
        dialogue.say("who is there?")
        with set_up("it does not echo texts"):
            kit.target.echoes = False
            await dialogue.echo("who is there?", within=ECHO_S)
        kit.target.echoes = True
        await dialogue.leave()


@check(Role.RESPONDER, "R-8.4.3")
async def unacknowledged_envelopes_come_again(kit: Listening) -> None:
    """A HELLO that has received less gets the missing envelopes again, byte for byte."""
    if not kit.target.echoes:
        raise NotReachedError("it does not echo texts")
    async with kit.dialogue() as dialogue:
        before = delivery.summarise(dialogue.state)
        dialogue.acknowledges = False
        for number in range(3):
            dialogue.say(f"keep {number}")
        await dialogue.echo("keep 2")
        await dialogue.acknowledgement(dialogue.state.sent)
        sent = delivery.summarise(dialogue.state).sent
        await dialogue.leave()
    async with kit.talk() as talk:
        again = Dialogue(talk, kit.host)
        await again.greet(
            stored=delivery.SessionSummary(before.session_id, sent, before.received, before.digest)
        )
        if not await again.agree(resume=True):
            raise FailedError("it said RESET although only its own envelopes were missing")
        await again.settle()
        repeated = dict(again.arrived)
        await again.leave()
    if repeated != dict(dialogue.arrived):
        raise FailedError("what was not acknowledged did not come again byte for byte")


@check(Role.RESPONDER, "R-6.2.6", "R-6.7.1", "R-6.7.2", "R-6.7.4", "R-6.7.6")
async def a_long_conversation(kit: Listening) -> None:
    """Many turns, so that hybrid steps fall due: every echo comes, and it never breaks."""
    if not kit.target.echoes:
        raise NotReachedError("it does not echo texts")
    async with kit.dialogue() as dialogue:
        for number in range(2 * ROUNDS):
            dialogue.say(f"turn {number}")
            await dialogue.echo(f"turn {number}")
        steps = dialogue.state.ratchet.kem_steps
        await dialogue.leave()
    if not steps:
        raise NotReachedError("it made no hybrid step in 140 turns (R-6.7.3 recommends it)")


@check(Role.RESPONDER, "R-4.3.6")
async def hybrid_from_now_on(kit: Listening) -> None:
    """Once hybrid was spoken with us, it offers no classical suite any more."""
    if not kit.target.accepts:
        raise NotReachedError("no hybrid handshake completed")
    async with kit.opened() as answer:
        if min(decode_preamble(answer.preamble).offer.suites) < XX_HFS.number & 0xFF00:
            raise FailedError("it still offers classical suites")


@check(Role.RESPONDER, "R-13.1.1")
async def a_later_minor_version(kit: Listening) -> None:
    """Our version 1.9, with a suite and a feature that are not known, is served."""
    offer = Offer(((1, 9),), (*OUR_OFFER.suites, 0x7F01), (0x0BAD,))
    async with kit.opened() as answer:
        answer.wire.send(answer.message_2(offer=encode_offer(offer) + b"later"))
        if not answer.known:
            await answer.read_3()
        await answer.talk().alive()


@check(Role.RESPONDER, "R-5.4.7")
async def it_waits_for_our_hello(kit: Listening) -> None:
    """Before our HELLO nothing comes but its own HELLO and keepalives."""
    async with kit.talk() as talk:
        kinds = [kind for kind, _ in await talk.listen(SILENCE_S)]
    extra = [kind for kind in kinds if kind not in (Kind.HELLO, Kind.PING, Kind.PONG)]
    if extra or kinds.count(Kind.HELLO) > 1:
        raise FailedError("it sent more than its HELLO before it had read ours")


@check(Role.RESPONDER, "R-8.3.5")
async def while_we_have_not_accepted(kit: Listening) -> None:
    """While our HELLO does not accept nothing but keepalives comes; when it does, it agrees."""
    async with kit.talk() as talk:
        dialogue = Dialogue(talk, kit.host)
        talk.send(talk.pack(Kind.HELLO, encode_map({"accepted": False})))
        kinds = {kind for kind, _ in await talk.listen()}
        if kinds - {Kind.HELLO, Kind.PING, Kind.PONG}:
            raise FailedError("it sent more than a HELLO to a side that has not accepted it")
        talk.send(dialogue.our_hello())
        await talk.expect(Kind.RESUME, Kind.RESET)
