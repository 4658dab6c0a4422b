"""Envelopes, acknowledgements and messages that must be refused, ignored or taken (§6, §8.5, §9).

Each of these leaves a broken session behind, so each has a persona of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from p2pchat.constants import MAX_SKIP, SEND_WINDOW, TEXT_MAX_BYTES
from p2pchat.errors import ErrorCode
from p2pchat.interop.check.dial_first import require_echo
from p2pchat.interop.check.dialler import Dialling
from p2pchat.interop.check.dialogue import Dialogue
from p2pchat.interop.check.registry import Role, check
from p2pchat.interop.check.report import FailedError
from p2pchat.ratchet.double_ratchet import encrypt
from p2pchat.session.codec import encode_map
from p2pchat.session.frames import BODY_MAX_BYTES, Kind
from p2pchat.session.messages import encode_message

Change = Callable[[bytes], bytes]
VIOLATION: Final = ErrorCode.PROTOCOL_VIOLATION
BROKEN: Final = ErrorCode.SESSION_BROKEN


@asynccontextmanager
async def fresh(kit: Dialling, what: str) -> AsyncIterator[Dialogue]:
    """Open a session that is used for nothing else."""
    async with kit.dialogue(f"kit-{what}") as dialogue:
        await dialogue.acknowledgement(dialogue.state.sent)
        yield dialogue


# --- Envelopes ------------------------------------------------------------------------------------


@check(Role.INITIATOR, "R-8.5.6", "R-6.4.3")
async def a_forged_envelope(kit: Dialling) -> None:
    """A flipped bit in an envelope's body: SESSION_BROKEN, and the next connection begins anew."""
    async with fresh(kit, "forged") as dialogue:
        envelope = dialogue.seal(encode_message(dialogue.text("forged")))
        bad = envelope.envelope[:-1] + bytes([envelope.envelope[-1] ^ 1])
        await dialogue.talk.refused(b"".join(dialogue.frames(envelope.index, bad)), BROKEN)
    async with kit.talk("kit-forged") as talk:
        dialogue = Dialogue(talk, kit.persona("kit-forged"))
        if await dialogue.open():
            raise FailedError("it resumes a session that it had called broken")
        await dialogue.acknowledgement(1)


@check(Role.INITIATOR, "R-6.3.4", "R-8.5.6")
async def envelopes_out_of_form(kit: Dialling) -> None:
    """An envelope of another version, or too short: SESSION_BROKEN."""
    changes: tuple[Change, ...] = (
        lambda e: b"\x02" + e[1:],
        lambda e: e[:1269],
        lambda e: e[:20],
    )
    for change in changes:
        async with fresh(kit, "misshapen-envelope") as dialogue:
            envelope = dialogue.seal(b"")
            bad = change(envelope.envelope)
            await dialogue.talk.refused(b"".join(dialogue.frames(envelope.index, bad)), BROKEN)


@check(Role.INITIATOR, "R-6.4.6")
async def an_envelope_under_another_index(kit: Dialling) -> None:
    """An envelope that was opened comes again as the next one: SESSION_BROKEN."""
    async with fresh(kit, "replayed") as dialogue:
        envelope = dialogue.seal(b"")
        dialogue.talk.send(*dialogue.frames(envelope.index, envelope.envelope))
        await dialogue.acknowledgement(envelope.index)
        again = b"".join(dialogue.frames(envelope.index + 1, envelope.envelope))
        await dialogue.talk.refused(again, BROKEN)


@check(Role.INITIATOR, "R-6.5.1")
async def messages_left_out(kit: Dialling) -> None:
    """1000 messages of the ratchet may be left out, 1001 not: SESSION_BROKEN."""
    for lost, taken in ((MAX_SKIP, True), (MAX_SKIP + 1, False)):
        async with fresh(kit, f"gap-{lost}") as dialogue:
            ratchet = dialogue.state.ratchet
            for _ in range(lost + 1):
                ratchet, envelope = encrypt(ratchet, b"", rng=kit.rng)
            frames = b"".join(dialogue.frames(dialogue.state.sent + 1, envelope))
            if not taken:
                await dialogue.talk.refused(frames, BROKEN)
                continue
            acks = dialogue.acks
            dialogue.talk.send(frames)
            await _acknowledged(dialogue, acks)


@check(Role.INITIATOR, "R-6.5.1", "R-6.5.4", "R-6.4.6")
async def messages_out_of_order(kit: Dialling) -> None:
    """A message of the ratchet that others overtook is opened, once."""
    async with fresh(kit, "overtaken") as dialogue:
        ratchet = dialogue.state.ratchet
        ratchet, late = encrypt(ratchet, b"", rng=kit.rng)
        ratchet, early = encrypt(ratchet, b"", rng=kit.rng)
        index = dialogue.state.sent
        for number, envelope in ((1, early), (2, late)):
            acks = dialogue.acks
            dialogue.talk.send(*dialogue.frames(index + number, envelope))
            await _acknowledged(dialogue, acks)
        await dialogue.talk.refused(b"".join(dialogue.frames(index + 3, late)), BROKEN)


async def _acknowledged(dialogue: Dialogue, acks: int) -> None:
    """Wait for an ACK of what our session, which was not told of it, has not sent."""
    while True:
        frame = await dialogue.talk.receive()
        if frame is None or frame[0] == Kind.CLOSE:
            raise FailedError("it refused an envelope that it should have opened")
        if frame[0] == Kind.ACK:
            return


@check(Role.INITIATOR, "R-8.5.3")
async def an_index_too_far(kit: Dialling) -> None:
    """An index that leaves one out: PROTOCOL_VIOLATION."""
    async with fresh(kit, "skipping") as dialogue:
        envelope = dialogue.seal(b"")
        frames = b"".join(dialogue.frames(envelope.index + 1, envelope.envelope))
        await dialogue.talk.refused(frames, VIOLATION)


@check(Role.INITIATOR, "R-8.5.7")
async def parts_without_end(kit: Dialling) -> None:
    """Parts of more than 73728 B in all: PROTOCOL_VIOLATION, before the last one came."""
    async with fresh(kit, "endless") as dialogue:
        part = dialogue.talk.pack(Kind.RATCHET_PART, bytes(BODY_MAX_BYTES))
        more = dialogue.talk.pack(Kind.RATCHET_PART, bytes(BODY_MAX_BYTES))
        await dialogue.talk.refused(part + more, VIOLATION)


@check(Role.INITIATOR, "R-7.3.1", "R-8.3.4")
async def frames_out_of_place(kit: Dialling) -> None:
    """In an open session a HELLO, a RESET, an ACK of 7 B: PROTOCOL_VIOLATION."""
    cases = (
        (Kind.HELLO, encode_map({"accepted": True})),
        (Kind.RESET, b""),
        (Kind.ACK, bytes(7)),
    )
    for kind, body in cases:
        async with fresh(kit, f"misplaced-{kind.name.lower()}") as dialogue:
            await dialogue.talk.refused(dialogue.talk.pack(kind, body), VIOLATION)


# --- Acknowledgements -----------------------------------------------------------------------------


@check(Role.INITIATOR, "R-8.5.5")
async def an_ack_of_what_was_not_sent(kit: Dialling) -> None:
    """An ACK beyond what it has sent: PROTOCOL_VIOLATION."""
    async with fresh(kit, "overacknowledging") as dialogue:
        index = (dialogue.state.received + 1000).to_bytes(8, "big")
        await dialogue.talk.refused(dialogue.talk.pack(Kind.ACK, index), VIOLATION)


@check(Role.INITIATOR, "R-8.5.5")
async def an_ack_that_takes_back(kit: Dialling) -> None:
    """An ACK below an earlier one: PROTOCOL_VIOLATION."""
    require_echo(kit)
    async with fresh(kit, "retracting") as dialogue:
        for body in ("one", "two"):
            dialogue.say(body)
            await dialogue.echo(body)
        await dialogue.talk.alive()
        index = (dialogue.state.received - 1).to_bytes(8, "big")
        await dialogue.talk.refused(dialogue.talk.pack(Kind.ACK, index), VIOLATION)


@check(Role.INITIATOR, "R-8.5.1")
async def a_full_window(kit: Dialling) -> None:
    """300 texts and no ACK of ours: no more than 256 envelopes come back; after an ACK the rest."""
    require_echo(kit)
    async with fresh(kit, "unmoved") as dialogue:
        dialogue.acknowledges = False
        total = SEND_WINDOW + 44
        for number in range(total):
            if dialogue.state.window < 8:
                await dialogue.acknowledgement(dialogue.state.sent)
            dialogue.say(f"{number}")
        before = dialogue.state.received - len(dialogue.texts)
        await dialogue.until(
            lambda: len(dialogue.texts) >= SEND_WINDOW - before - 8, "most echoes", within=20.0
        )
        await dialogue.settle(1.0)
        if len({index for index, _ in dialogue.arrived}) > SEND_WINDOW:
            raise FailedError("more than 256 envelopes came that nobody had acknowledged")
        dialogue.acknowledges = True
        ack = dialogue.state.received.to_bytes(8, "big")
        dialogue.talk.send(dialogue.talk.pack(Kind.ACK, ack))
        await dialogue.echo(f"{total - 1}", within=20.0)


# --- Messages -------------------------------------------------------------------------------------


@check(Role.INITIATOR, "R-8.5.4")
async def a_message_id_twice(kit: Dialling) -> None:
    """The same message id in two envelopes: both are acknowledged, one is taken."""
    require_echo(kit)
    async with fresh(kit, "repeating") as dialogue:
        content = encode_message(dialogue.text("said once"))
        dialogue.say(content)
        await dialogue.echo("said once")
        dialogue.say(content)
        await dialogue.acknowledgement(dialogue.state.sent)
        await dialogue.settle()
        if dialogue.echoes("said once") > 1:
            raise FailedError("the same message was taken twice")


@check(Role.INITIATOR, "R-9.2.2")
async def a_message_of_an_unknown_kind(kit: Dialling) -> None:
    """A message of an unknown kind, or with an unknown mandatory field, is acknowledged."""
    async with fresh(kit, "novel") as dialogue:
        for fields in ({"t": "hologram", "!x": 1}, {"t": "text", "body": "x", "!x": 1}):
            content = encode_map({"id": kit.rng(16), "at": 0, **fields})
            await dialogue.acknowledgement(dialogue.say(content))
        await dialogue.acknowledgement(dialogue.say("still here?"))


@check(Role.INITIATOR, "R-9.1.4")
async def an_unknown_field_of_a_text(kit: Dialling) -> None:
    """A text with an unknown optional field is acknowledged."""
    async with fresh(kit, "extended") as dialogue:
        fields = {"t": "text", "id": kit.rng(16), "at": 0, "body": "x", "later": 1}
        await dialogue.acknowledgement(dialogue.say(encode_map(fields)))


@check(Role.INITIATOR, "R-8.5.7", "R-9.2.1")
async def the_longest_text(kit: Dialling) -> None:
    """A text of 65536 B, in two parts, is acknowledged."""
    async with fresh(kit, "longwinded") as dialogue:
        await dialogue.acknowledgement(dialogue.say("é" * (TEXT_MAX_BYTES // 2)))


@check(Role.INITIATOR, "R-9.1.3", "R-9.2.1")
async def messages_out_of_form(kit: Dialling) -> None:
    """No id, a short id, a negative time, an empty body, one of 65537 B: PROTOCOL_VIOLATION."""
    good: dict[str, Any] = {"t": "text", "id": bytes(16), "at": 0, "body": "x"}
    cases: list[dict[str, Any]] = [
        {"t": "text", "at": 0, "body": "x"},
        {**good, "id": bytes(15)},
        {**good, "at": -1},
        {**good, "at": True},
        {**good, "body": ""},
        {**good, "body": b"x"},
        {**good, "body": "x" * (TEXT_MAX_BYTES + 1)},
    ]
    for number, fields in enumerate(cases):
        async with fresh(kit, f"formless-{number}") as dialogue:
            envelope = dialogue.seal(encode_map(fields))
            frames = b"".join(dialogue.frames(envelope.index, envelope.envelope))
            await dialogue.talk.refused(frames, VIOLATION)
