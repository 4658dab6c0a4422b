"""Greetings and what may follow them (protocol.md §8.3, §8.4, §9.1).

A HELLO is the msgpack map that even a stranger may send, so what §9.1 says of maps is tried on it.
"""

from __future__ import annotations

from typing import Any, Final

import msgpack

from p2pchat.errors import ErrorCode
from p2pchat.identity.succession import succeed
from p2pchat.interop.check.dialler import Dialling
from p2pchat.interop.check.dialogue import Dialogue
from p2pchat.interop.check.kit import set_up
from p2pchat.interop.check.registry import Role, check
from p2pchat.interop.check.report import FailedError, NotReachedError
from p2pchat.interop.personas import Persona
from p2pchat.session.codec import encode_map
from p2pchat.session.delivery import SessionSummary
from p2pchat.session.frames import Kind

VIOLATION: Final = ErrorCode.PROTOCOL_VIOLATION
_SESSION: Final = {"id": bytes(16), "sent": 0, "received": 0, "digest": bytes(32)}


async def hello(kit: Dialling, body: bytes, *codes: ErrorCode, who: Persona | str = "") -> None:
    """Greet with ``body``, which is refused with one of the codes; with none, it is taken."""
    async with kit.talk(who) as talk:
        if codes:
            await talk.refused(talk.pack(Kind.HELLO, body), *codes)
        else:
            talk.send(talk.pack(Kind.HELLO, body))
            await talk.alive()


def _map(**fields: Any) -> bytes:
    return encode_map({"accepted": True, "name": "kit"} | fields)


def _nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth - 1):
        value = [value]
    return value


@check(Role.INITIATOR, "R-9.1.1")
async def maps_that_are_none(kit: Dialling) -> None:
    """No msgpack, no map, a key twice or no string, an extension, bytes after the end."""
    bodies = [
        b"\xc1",
        b"",
        msgpack.packb([True]),
        b"\x82\xa8accepted\xc3\xa8accepted\xc3",
        msgpack.packb({"accepted": True, 1: 2}),
        msgpack.packb({"accepted": True, "x": msgpack.ExtType(5, b"y")}),
        b"\x82\xa8accepted\xc3\xa4name\xa2\xff\xfe",
        _map() + b"\x00",
        _map(deep=_nested(9)),
    ]
    for body in bodies:
        await hello(kit, body, VIOLATION)


@check(Role.INITIATOR, "R-9.1.2")
async def maps_out_of_bounds(kit: Dialling) -> None:
    """33 entries, an array of 65 items, lengths that are not there: PROTOCOL_VIOLATION."""
    many = {f"x{number}": 0 for number in range(32)}
    bodies = [
        _map(**many),
        _map(x=[0] * 65),
        b"\xdf\xff\xff\xff\xff",
        b"\x81\xa1x\xdd\x7f\xff\xff\xff",
    ]
    for body in bodies:
        await hello(kit, body, VIOLATION)


@check(Role.INITIATOR, "R-9.1.3", "R-8.3.1")
async def fields_out_of_bounds(kit: Dialling) -> None:
    """A missing field, another type, a value out of bounds: PROTOCOL_VIOLATION."""
    bodies = [
        encode_map({"name": "kit"}),
        _map(accepted=1),
        _map(accepted="yes"),
        _map(name=b"kit"),
        _map(name="n" * 65),
        _map(note="n" * 281),
        _map(recovered=-1),
        _map(succession=bytes(200)),
        _map(session={**_SESSION, "id": bytes(15)}),
        _map(session={**_SESSION, "sent": True}),
        _map(session={**_SESSION, "sent": 1.0}),
        _map(session={**_SESSION, "received": -1}),
        _map(session={"id": bytes(16)}),
    ]
    for body in bodies:
        await hello(kit, body, VIOLATION)


@check(Role.INITIATOR, "R-3.7.9")
async def successions(kit: Dialling) -> None:
    """One that does not verify, or is to another identity: PROTOCOL_VIOLATION; else no matter."""
    who, before = kit.persona("kit-successor"), kit.persona("kit-predecessor")
    seeds = before.identity.seed, who.identity.seed
    good = succeed(*seeds, now_ms=kit.clock.wall_ms()).encoded
    to_another = succeed(*reversed(seeds), now_ms=kit.clock.wall_ms()).encoded
    for succession in (good[:-1] + bytes([good[-1] ^ 1]), to_another):
        await hello(kit, _map(succession=succession), VIOLATION, who=who)
    await hello(kit, _map(succession=good), who=who)


@check(Role.INITIATOR, "R-9.1.4")
async def unknown_fields(kit: Dialling) -> None:
    """An unknown field is ignored; one that begins with ! is refused, in an inner map too."""
    await hello(kit, _map(later={"x": [1, 2.5, None]}, x=_nested(7)))
    await hello(kit, encode_map({"accepted": True, "!later": 0}), VIOLATION)
    await hello(kit, _map(session={**_SESSION, "!later": 0}), VIOLATION)


@check(Role.INITIATOR, "R-8.3.4")
async def a_second_hello(kit: Dialling) -> None:
    """A second HELLO that changes nothing: PROTOCOL_VIOLATION."""
    for accepted in (True, False):
        async with kit.talk() as talk:
            body = _map() if accepted else encode_map({"accepted": False})
            await talk.refused(b"".join(talk.pack(Kind.HELLO, body) for _ in range(2)), VIOLATION)


@check(Role.INITIATOR, "R-8.3.4")
async def a_hello_that_accepts_later(kit: Dialling) -> None:
    """A HELLO that does not accept, then one that does: both sides go on to agree."""
    if kit.target.accepts is False:
        raise NotReachedError("it does not accept our personas as contacts")
    async with kit.talk("kit-hesitant") as talk:
        dialogue = Dialogue(talk, kit.persona("kit-hesitant"))
        talk.send(talk.pack(Kind.HELLO, encode_map({"accepted": False})))
        await talk.alive()
        with set_up("being accepted"):
            await dialogue.greet()
        await dialogue.agree(resume=False)
        await dialogue.acknowledgement(1)


@check(Role.INITIATOR, "R-8.3.5")
async def frames_before_the_agreement(kit: Dialling) -> None:
    """ACK, RATCHET, RESUME or RESET before its HELLO and ours accept: PROTOCOL_VIOLATION."""
    cases = (
        (Kind.ACK, bytes(8)),
        (Kind.RATCHET, bytes(1300)),
        (Kind.RESUME, b""),
        (Kind.RESET, b""),
    )
    for kind, body in cases:
        async with kit.talk() as talk:
            refusing = talk.pack(Kind.HELLO, encode_map({"accepted": False}))
            await talk.refused(refusing + talk.pack(kind, body), VIOLATION)


@check(Role.INITIATOR, "R-8.3.1")
async def what_a_stranger_learns(kit: Dialling) -> None:
    """A stranger's first HELLO is answered by {"accepted": false} and nothing else."""
    async with kit.talk() as talk:
        dialogue = Dialogue(talk, kit.persona("kit-stranger"))
        with set_up("its HELLO"):
            greeting = await dialogue.their_hello()
        if greeting.accepted:
            raise NotReachedError("it accepts everybody at once")


@check(Role.INITIATOR, "R-8.4.2", "R-8.4.4")
async def sessions_that_do_not_fit(kit: Dialling) -> None:
    """Another id or digest, fewer sent than it has received, more received than it sent: RESET."""
    name = "kit-rolled-back"
    async with kit.dialogue(name) as dialogue:
        dialogue.say("so that there is something to forget")
        await dialogue.acknowledgement(2)
        await dialogue.settle()
        await dialogue.leave()

    def other(number: int, fits: SessionSummary) -> SessionSummary:
        session_id, sent, received, digest = fits.session_id, fits.sent, fits.received, fits.digest
        return [
            SessionSummary(bytes(16), sent, received, digest),
            SessionSummary(session_id, sent, received, bytes(32)),
            SessionSummary(session_id, 0, received, digest),
            SessionSummary(session_id, sent, received + 1000, digest),
        ][number]

    for number in range(4):
        async with kit.talk(name) as talk:
            dialogue = Dialogue(talk, kit.persona(name))
            session = kit.sessions[name]
            fits = SessionSummary(
                session.session_id, session.sent, session.received, session.received_digest
            )
            await dialogue.greet(stored=other(number, fits))
            talk.send(talk.pack(Kind.RESUME))
            kind, _ = await talk.expect(Kind.RESUME, Kind.RESET)
            if kind != Kind.RESET:
                raise FailedError("it resumes a session that does not fit")
            dialogue.begin()
            await dialogue.acknowledgement(1)
            dialogue.say("again")
            await dialogue.acknowledgement(2)
            await dialogue.settle()
            await dialogue.leave()
