"""What an honest initiator meets: handshake, conversation, resumption (protocol.md §5 to §8).

These run first and in order: they learn the other side's static key, whether it accepts our
personas and whether it echoes; later checks build on that.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from p2pchat.errors import ErrorCode
from p2pchat.interop.check.dial_certificates import INVALID, present, valid
from p2pchat.interop.check.dialler import FRIEND, Dialling
from p2pchat.interop.check.dialogue import Dialogue
from p2pchat.interop.check.kit import set_up
from p2pchat.interop.check.registry import Role, check
from p2pchat.interop.check.report import FailedError, NotReachedError
from p2pchat.interop.forging import certificate, payload
from p2pchat.session import delivery
from p2pchat.session.frames import ClearKind, Kind, encode_clear
from p2pchat.session.messages import encode_message
from p2pchat.session.negotiation import IK_HFS, OUR_OFFER, XX, Offer

ROUNDS: Final = 70
"""Turns of a conversation: more than the 50 messages after which a hybrid step is due."""
ECHO_S: Final = 3.0
HOUR_MS: Final = 3_600_000


@check(Role.INITIATOR, "R-5.3.1", "R-5.5.1", "R-5.5.2", story="first")
async def a_first_contact(kit: Dialling) -> None:
    """A hybrid XX handshake as the tables say completes, and a PING is answered."""
    async with kit.knock(FRIEND) as knock:
        talk = await knock.through()
        await talk.alive()


@check(Role.INITIATOR, "R-5.4.7", story="first")
async def it_waits_for_our_hello(kit: Dialling) -> None:
    """Before our HELLO nothing comes but its own HELLO and keepalives."""
    async with kit.talk("kit-silent") as talk:
        kinds = [kind for kind, _ in await talk.listen()]
    extra = [kind for kind in kinds if kind not in (Kind.HELLO, Kind.PING, Kind.PONG)]
    if extra or kinds.count(Kind.HELLO) > 1:
        raise FailedError("it sent more than its HELLO before it had read ours")


@check(
    Role.INITIATOR,
    *("R-6.1.1", "R-6.1.2", "R-6.2.1", "R-6.2.2", "R-6.2.4", "R-6.2.5", "R-8.4.1", "R-8.4.4"),
    story="first",
)
async def a_new_session(kit: Dialling) -> None:
    """RESET comes by itself and no envelope before ours; our first envelopes are acknowledged."""
    async with kit.talk(FRIEND) as talk:
        dialogue = Dialogue(talk, kit.persona(FRIEND))
        await dialogue.greet()
        kinds = [kind for kind, _ in await talk.listen()]
        if any(kind in (Kind.RATCHET, Kind.RATCHET_PART, Kind.ACK) for kind in kinds):
            raise FailedError("it sent envelopes before it had read our RESET")
        if [kind for kind in kinds if kind in (Kind.RESUME, Kind.RESET)] != [Kind.RESET]:
            raise FailedError("to a HELLO without a session it did not say RESET, once, by itself")
        talk.send(talk.pack(Kind.RESET))
        dialogue.begin()
        await dialogue.acknowledgement(1)
        dialogue.say("first words")
        await dialogue.acknowledgement(2)
        await dialogue.settle()
        await dialogue.leave()


@check(Role.INITIATOR, "R-8.4.2", "R-8.4.3", "R-8.5.2", story="first")
async def resumption(kit: Dialling) -> None:
    """The stored session goes on; an envelope that comes twice is ignored, and acknowledged."""
    async with kit.knock(FRIEND) as knock:
        with set_up("the handshake"):
            talk = await knock.through()
        dialogue = Dialogue(talk, kit.persona(FRIEND))
        if not await dialogue.open():
            raise FailedError("it does not resume a session that fits")
        envelope = dialogue.seal(encode_message(dialogue.text("once")))
        talk.send(*dialogue.frames(envelope.index, envelope.envelope))
        await dialogue.acknowledgement(envelope.index)
        await dialogue.settle()
        acks = dialogue.acks
        talk.send(*dialogue.frames(envelope.index, envelope.envelope))
        await dialogue.until(lambda: dialogue.acks > acks, "an ACK of an envelope that came twice")
        await dialogue.settle()
        if dialogue.echoes("once") > 1:
            raise FailedError("an envelope that came twice was taken twice")
        await dialogue.leave()


@check(Role.INITIATOR, "R-6.2.3", "R-6.3.2", "R-6.4.1", story="first")
async def an_echo(kit: Dialling) -> None:
    """A text comes back, in an envelope that opens."""
    async with kit.dialogue(FRIEND) as dialogue:
        dialogue.say("who is there?")
        with set_up("it does not echo texts"):
            kit.target.echoes = False
            await dialogue.echo("who is there?", within=ECHO_S)
        kit.target.echoes = True
        await dialogue.leave()


@check(Role.INITIATOR, "R-8.4.3", story="first")
async def unacknowledged_envelopes_come_again(kit: Dialling) -> None:
    """A HELLO that has received less gets the missing envelopes again, byte for byte."""
    require_echo(kit)
    async with kit.dialogue(FRIEND) as dialogue:
        before = delivery.summarise(dialogue.state)
        dialogue.acknowledges = False
        for number in range(3):
            dialogue.say(f"keep {number}")
        await dialogue.echo("keep 2")
        await dialogue.acknowledgement(dialogue.state.sent)
        sent = delivery.summarise(dialogue.state).sent
        await dialogue.leave()
    async with kit.talk(FRIEND) as talk:
        again = Dialogue(talk, kit.persona(FRIEND))
        # As after a crash between reading and storing: they were sent, and are not here.
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


@check(Role.INITIATOR, "R-6.2.6", "R-6.7.1", "R-6.7.2", "R-6.7.4", "R-6.7.6", story="first")
async def a_long_conversation(kit: Dialling) -> None:
    """Seventy turns, so that our hybrid step falls due: it is answered, and every echo comes."""
    require_echo(kit)
    async with kit.dialogue(FRIEND) as dialogue:
        for number in range(ROUNDS):
            dialogue.say(f"turn {number}")
            await dialogue.echo(f"turn {number}")
        steps = dialogue.state.ratchet.kem_steps
        await dialogue.leave()
    if not steps:
        raise FailedError("our offer of an encapsulation key was not answered")


@check(Role.INITIATOR, "R-5.6.1", "R-5.4.8", story="first")
async def a_known_peer_and_its_replay(kit: Dialling) -> None:
    """IK with a fresh time is answered; replayed it is not, and displaces nobody."""
    async with kit.knock(FRIEND, suite=IK_HFS) as knock:
        opening = knock.opening()
        knock.wire.send(opening)
        with set_up("a handshake with IK"):
            await knock.answered()
            dialogue = Dialogue(knock.talk(), kit.persona(FRIEND))
            await dialogue.open()
            await dialogue.settle()
        async with kit.wire() as wire:
            wire.send(opening)
            answer = (await wire.clear_verdict()).answer
        if answer == "it went on with the handshake":
            if kit.target.accepts:
                raise FailedError("a replayed IK message got an answer")
            raise NotReachedError("it does not know us, so it has no time to compare")
        await dialogue.talk.alive()
        await dialogue.leave()


@check(Role.INITIATOR, "R-5.6.1", story="first")
async def an_earlier_time(kit: Dialling) -> None:
    """IK with a time of an hour ago gets no message 2."""
    async with kit.knock(FRIEND, suite=IK_HFS) as knock:
        message = knock.message_1(time_ms=kit.clock.wall_ms() - HOUR_MS)
        knock.wire.send(knock.preamble + encode_clear(ClearKind.NOISE, message))
        answer = (await knock.wire.clear_verdict()).answer
    if answer == "it went on with the handshake":
        if kit.target.accepts:
            raise FailedError("an IK message of an hour ago got an answer")
        raise NotReachedError("it does not know us, so it has no time to compare")


@check(Role.INITIATOR, "R-4.3.6", story="first")
async def less_than_hybrid(kit: Dialling) -> None:
    """A contact that has spoken hybrid comes with a classical suite alone: DOWNGRADE_DETECTED."""
    if not kit.target.accepts:
        raise NotReachedError("we are no contact of it")
    offer = Offer(OUR_OFFER.versions, (XX.number,))
    async with kit.knock(FRIEND, suite=XX, offer=offer) as knock:
        knock.wire.send(knock.opening())
        with set_up("a classical handshake"):
            await knock.answered()
        last = knock.message_3()
        talk, probe = knock.talk(), kit.rng(8)
        talk.send(last, talk.pack(Kind.PING, probe))
        (await talk.verdict(probe=probe)).require(ErrorCode.DOWNGRADE_DETECTED)


@check(Role.INITIATOR, "R-3.3.5", story="first")
async def an_older_generation(kit: Dialling) -> None:
    """A contact comes with a certificate of a lower generation than before: CERTIFICATE_INVALID."""
    if not kit.target.accepts:
        raise NotReachedError("we are no contact of it")
    who = kit.persona(FRIEND)
    old = replace(who, static=who.spare)
    await present(kit, old, payload(cert=certificate(old, **valid(kit, generation=0))), INVALID)


@check(Role.INITIATOR, "R-10.2.2", "R-10.2.3", story="first")
async def the_newer_connection(kit: Dialling) -> None:
    """A second connection of the same contact takes the place of the first: SUPERSEDED."""
    async with kit.dialogue(FRIEND) as older, kit.dialogue(FRIEND) as newer:
        newer.say("here now")
        await newer.acknowledgement(newer.state.sent)
        await older.settle(1.0)
        if not older.ended:
            raise FailedError("the older connection of the same contact stays")
        if older.talk.code != ErrorCode.SUPERSEDED:
            raise FailedError("it did not close the older connection with SUPERSEDED")
        await newer.leave()


def require_echo(kit: Dialling) -> None:
    """Go on only if texts are echoed."""
    if not kit.target.echoes:
        raise NotReachedError("it does not echo texts")
