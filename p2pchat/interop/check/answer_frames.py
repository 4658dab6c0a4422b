"""Frames and envelopes that an initiator must refuse, ignore or take (protocol.md §7 to §9)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from p2pchat.errors import ErrorCode
from p2pchat.interop.check.dialogue import Dialogue
from p2pchat.interop.check.listener import Listening
from p2pchat.interop.check.registry import Role, check
from p2pchat.interop.check.report import FailedError
from p2pchat.interop.forging import (
    plaintext,
)
from p2pchat.session.codec import encode_map
from p2pchat.session.frames import Kind
from p2pchat.session.messages import encode_message

FAILED: Final = ErrorCode.HANDSHAKE_FAILED
INVALID: Final = ErrorCode.CERTIFICATE_INVALID
Change = Callable[[bytes], bytes]
VIOLATION: Final = ErrorCode.PROTOCOL_VIOLATION
DAY_MS: Final = 24 * 3_600_000


# --- Transport ------------------------------------------------------------------------------------


@check(Role.RESPONDER, "R-7.1.1", "R-7.5.1")
async def forged_and_reordered_frames(kit: Listening) -> None:
    """A flipped bit, a frame twice, two in the other order: PROTOCOL_VIOLATION."""
    for order in (None, (0, 0), (1, 0)):
        async with kit.talk() as talk:
            frames = [talk.pack(Kind.PONG, kit.rng(8)) for _ in range(2)]
            if order is None:
                bad = frames[0][:-1] + bytes([frames[0][-1] ^ 1])
            else:
                bad = b"".join(frames[number] for number in order)
            await talk.refused(bad, VIOLATION)


@check(Role.RESPONDER, "R-7.2.2", "R-7.3.1", "R-7.3.2", "R-4.1.1")
async def frames_out_of_form(kit: Listening) -> None:
    """Other sizes, padding, lengths, kinds, bodies, an empty frame: PROTOCOL_VIOLATION."""
    plain = [
        plaintext(Kind.PONG, bytes(8), size=300),
        plaintext(Kind.PONG, bytes(8), padding=1),
        bytes([Kind.PONG]) + (254).to_bytes(2, "big") + bytes(253),
        plaintext(Kind.PING, bytes(7)),
        plaintext(0x30),
    ]
    for packed in plain:
        async with kit.talk() as talk:
            await talk.refused(talk.seal(packed), VIOLATION)
    async with kit.talk() as talk:
        await talk.refused(b"\x00\x00", VIOLATION)


@check(Role.RESPONDER, "R-7.3.2", "R-7.4.2", "R-7.6.2", "R-5.1.9")
async def frames_that_are_fine(kit: Listening) -> None:
    """Optional kinds are ignored, PINGs answered, our REKEY followed."""
    async with kit.talk() as talk:
        talk.send(*(talk.pack(kind, b"later") for kind in (0x80, 0xA5, 0xFF)))
        await talk.alive()
        talk.send(talk.rekey())
        await talk.alive()


@check(Role.RESPONDER, "R-7.6.1")
async def its_change_of_key(kit: Listening) -> None:
    """Of 1100 PONGs none after the 1023rd frame comes without a REKEY before it."""
    async with kit.talk() as talk:
        for _ in range(1100):
            await talk.alive()
        if not talk.rekeyed:
            raise FailedError("1100 frames came without a REKEY")


# --- Session --------------------------------------------------------------------------------------


@check(Role.RESPONDER, "R-9.1.1", "R-9.1.3", "R-9.1.4", "R-8.3.4")
async def hellos_out_of_form(kit: Listening) -> None:
    """No map, no `accepted`, a mandatory field, a HELLO too many: PROTOCOL_VIOLATION."""
    accepting = encode_map({"accepted": False})
    for bodies in (
        (b"\x90",),
        (encode_map({"name": "x"}),),
        (encode_map({"accepted": True, "!x": 1}),),
        (accepting, accepting),
    ):
        async with kit.talk() as talk:
            await talk.refused(b"".join(talk.pack(Kind.HELLO, body) for body in bodies), VIOLATION)


@check(Role.RESPONDER, "R-8.5.3")
async def an_index_too_far(kit: Listening) -> None:
    """An index that leaves one out: PROTOCOL_VIOLATION."""
    async with kit.dialogue() as dialogue:
        # Not one of the session's own envelopes: the index alone has to be refused.
        index = dialogue.state.sent + 2
        await dialogue.talk.refused(b"".join(dialogue.frames(index, bytes(1300))), VIOLATION)


@check(Role.RESPONDER, "R-8.5.5")
async def an_ack_of_what_was_not_sent(kit: Listening) -> None:
    """An ACK beyond what it has sent: PROTOCOL_VIOLATION."""
    async with kit.dialogue() as dialogue:
        index = (dialogue.state.received + 1000).to_bytes(8, "big")
        await dialogue.talk.refused(dialogue.talk.pack(Kind.ACK, index), VIOLATION)


@check(Role.RESPONDER, "R-9.2.2")
async def a_message_of_an_unknown_kind(kit: Listening) -> None:
    """A message of an unknown kind is acknowledged, and the conversation goes on."""
    async with kit.dialogue() as dialogue:
        fields = {"t": "hologram", "id": kit.rng(16), "at": 0, "data": [1, 2]}
        await dialogue.acknowledgement(dialogue.say(encode_map(fields)))
        await dialogue.acknowledgement(dialogue.say("still here?"))
        await dialogue.settle()
        await dialogue.leave()


@check(Role.RESPONDER, "R-8.5.6", "R-6.4.3", "R-8.4.2")
async def a_forged_envelope(kit: Listening) -> None:
    """A flipped bit in an envelope's body: SESSION_BROKEN, and the next connection begins anew."""
    async with kit.dialogue() as dialogue:
        envelope = dialogue.seal(encode_message(dialogue.text("forged")))
        bad = envelope.envelope[:-1] + bytes([envelope.envelope[-1] ^ 1])
        frames = b"".join(dialogue.frames(envelope.index, bad))
        await dialogue.talk.refused(frames, ErrorCode.SESSION_BROKEN)
    async with kit.talk() as talk:
        dialogue = Dialogue(talk, kit.host)
        if await dialogue.open():
            raise FailedError("it resumes a session that it had called broken")
        await dialogue.settle()
        await dialogue.leave()
