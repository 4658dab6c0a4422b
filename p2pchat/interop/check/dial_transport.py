"""Transport frames that must be refused, ignored or answered (protocol.md §7)."""

from __future__ import annotations

import asyncio
from typing import Final

from p2pchat.constants import REKEY_FRAMES, REKEY_TOLERATED_FRAMES
from p2pchat.errors import ErrorCode
from p2pchat.interop.check.dialler import Dialling
from p2pchat.interop.check.dialogue import Dialogue
from p2pchat.interop.check.registry import Role, check
from p2pchat.interop.check.report import FailedError
from p2pchat.interop.check.talk import Talk
from p2pchat.interop.forging import plaintext
from p2pchat.session.frames import Kind
from p2pchat.session.greeting import decode_greeting
from p2pchat.session.negotiation import OUR_OFFER, XX_HFS, encode_preamble

VIOLATION: Final = ErrorCode.PROTOCOL_VIOLATION
SLOW_S: Final = 15.0
DEADLINE_S: Final = 10.0


@check(Role.INITIATOR, "R-7.1.1", "R-7.5.1")
async def forged_frames(kit: Dialling) -> None:
    """A flipped bit at the begin, in the middle or in the tag of a frame: PROTOCOL_VIOLATION."""
    for place in (2, 100, -1):
        async with kit.talk() as talk:
            frame = bytearray(talk.pack(Kind.PING, kit.rng(8)))
            frame[place] ^= 0x40
            await talk.refused(bytes(frame), VIOLATION)


@check(Role.INITIATOR, "R-7.1.1")
async def frames_repeated_or_reordered(kit: Dialling) -> None:
    """A frame twice, two frames in the other order, a frame left out: PROTOCOL_VIOLATION."""
    for order in ((0, 0), (1, 0), (1,)):
        async with kit.talk() as talk:
            frames = [talk.pack(Kind.PONG, kit.rng(8)) for _ in range(2)]
            await talk.refused(b"".join(frames[number] for number in order), VIOLATION)


@check(Role.INITIATOR, "R-7.1.1")
async def its_own_frame_reflected(kit: Dialling) -> None:
    """Its own first frame comes back: PROTOCOL_VIOLATION."""
    async with kit.talk() as talk:
        frame = await talk.wire.frame()
        if frame is None:
            raise FailedError("it ended the connection")
        talk.keys.receive.decrypt_with_ad(b"", frame)
        await talk.refused(len(frame).to_bytes(2, "big") + frame, VIOLATION)


@check(Role.INITIATOR, "R-4.1.1")
async def an_empty_transport_frame(kit: Dialling) -> None:
    """A frame of length 0 after the handshake: PROTOCOL_VIOLATION."""
    async with kit.talk() as talk:
        await talk.refused(b"\x00\x00", VIOLATION)


@check(Role.INITIATOR, "R-7.1.1")
async def frames_shorter_than_a_tag(kit: Dialling) -> None:
    """A frame of 1 or 15 B after the handshake: PROTOCOL_VIOLATION."""
    for length in (1, 15):
        async with kit.talk() as talk:
            await talk.refused(length.to_bytes(2, "big") + bytes(length), VIOLATION)


@check(Role.INITIATOR, "R-7.2.2")
async def padding_of_other_sizes(kit: Dialling) -> None:
    """A plaintext of 255, 300 or 3 B: PROTOCOL_VIOLATION."""
    for size in (255, 300, 11):
        async with kit.talk() as talk:
            bad = talk.seal(plaintext(Kind.PONG, bytes(8), size=size))
            await talk.refused(bad, VIOLATION)


@check(Role.INITIATOR, "R-7.2.2")
async def padding_that_is_not_zero(kit: Dialling) -> None:
    """Padding of ones, and a last byte of one: PROTOCOL_VIOLATION."""
    good = plaintext(Kind.PONG, bytes(8))
    for packed in (plaintext(Kind.PONG, bytes(8), padding=1), good[:-1] + b"\x01"):
        async with kit.talk() as talk:
            await talk.refused(talk.seal(packed), VIOLATION)


@check(Role.INITIATOR, "R-7.2.2")
async def a_length_beyond_the_plaintext(kit: Dialling) -> None:
    """A body's length that its frame does not hold: PROTOCOL_VIOLATION."""
    async with kit.talk() as talk:
        packed = bytes([Kind.PONG]) + (254).to_bytes(2, "big") + bytes(253)
        await talk.refused(talk.seal(packed), VIOLATION)


@check(Role.INITIATOR, "R-7.2.2")
async def every_bucket(kit: Dialling) -> None:
    """Optional frames of each of the nine sizes are taken."""
    async with kit.talk() as talk:
        for length in (253, 254, 1021, 2045, 4093, 8189, 16381, 32765, 65516):
            talk.send(talk.pack(0x80, bytes(length)))
        await talk.alive()


@check(Role.INITIATOR, "R-7.3.1")
async def bodies_of_the_wrong_length(kit: Dialling) -> None:
    """PING of 7 B, PONG of 9 B, CLOSE of 1 and REKEY of 1 B: PROTOCOL_VIOLATION."""
    cases = ((Kind.PING, 7), (Kind.PONG, 9), (Kind.CLOSE, 1), (Kind.REKEY, 1))
    for kind, length in cases:
        async with kit.talk() as talk:
            await talk.refused(talk.seal(plaintext(kind, bytes(length))), VIOLATION)


@check(Role.INITIATOR, "R-7.3.2")
async def unknown_mandatory_kinds(kit: Dialling) -> None:
    """Frames of kinds 0x00, 0x30 and 0x7F: PROTOCOL_VIOLATION."""
    for kind in (0x00, 0x30, 0x7F):
        async with kit.talk() as talk:
            await talk.refused(talk.pack(kind), VIOLATION)


@check(Role.INITIATOR, "R-7.3.2")
async def unknown_optional_kinds(kit: Dialling) -> None:
    """Frames of kinds 0x80 to 0xFF are ignored."""
    async with kit.talk() as talk:
        talk.send(*(talk.pack(kind, b"later") for kind in (0x80, 0xA5, 0xFF)))
        await talk.alive()


@check(Role.INITIATOR, "R-7.4.2")
async def pings(kit: Dialling) -> None:
    """A PING gets a PONG with its 8 B, of three at least the last; a PONG gets nothing."""
    async with kit.talk() as talk:
        await talk.alive()
        tokens = [kit.rng(8) for _ in range(3)]
        talk.send(*(talk.pack(Kind.PING, token) for token in tokens))
        frames = await talk.listen()
        pongs = [body for kind, body in frames if kind == Kind.PONG]
        if not pongs or pongs[-1] != tokens[-1] or set(pongs) - set(tokens):
            raise FailedError("three PINGs did not end with the last one's PONG")
        talk.send(talk.pack(Kind.PONG, kit.rng(8)))
        if any(kind in (Kind.PING, Kind.PONG) for kind, _ in await talk.listen()):
            raise FailedError("a PONG was answered")


@check(Role.INITIATOR, "R-5.1.9", "R-7.6.2")
async def our_change_of_key(kit: Dialling) -> None:
    """Frames after our REKEY, and after a second one, are read under the new keys."""
    async with kit.talk() as talk:
        await talk.alive()
        for _ in range(2):
            talk.send(talk.rekey())
            await talk.alive()


@check(Role.INITIATOR, "R-7.6.2")
async def the_old_key_after_rekey(kit: Dialling) -> None:
    """A frame under the old key after a REKEY: PROTOCOL_VIOLATION."""
    async with kit.talk() as talk:
        marker = talk.seal(plaintext(Kind.REKEY))
        await talk.refused(marker + talk.pack(Kind.PONG, bytes(8)), VIOLATION)


@check(Role.INITIATOR, "R-7.6.2")
async def one_key_for_too_long(kit: Dialling) -> None:
    """2048 frames under one key are taken, the next one: LIMIT_EXCEEDED."""
    async with kit.talk() as talk:
        frame = plaintext(0x80)
        for _ in range(REKEY_TOLERATED_FRAMES // 256 - 1):
            talk.send(*(talk.seal(frame) for _ in range(256)))
        talk.send(*(talk.seal(frame) for _ in range(255)))
        token = kit.rng(8)
        talk.send(talk.seal(plaintext(Kind.PING, token)))
        while (answer := await talk.receive()) != (Kind.PONG, token):
            if answer is None or answer[0] == Kind.CLOSE:
                raise FailedError("it does not take 2048 frames under one key")
        probe = kit.rng(8)
        talk.send(talk.seal(frame), talk.seal(plaintext(Kind.PING, probe)))
        (await talk.verdict(probe=probe)).require(ErrorCode.LIMIT_EXCEEDED)


@check(Role.INITIATOR, "R-7.6.1")
async def its_change_of_key(kit: Dialling) -> None:
    """Of 1100 PONGs none after the 1023rd frame comes without a REKEY before it."""
    async with kit.talk() as talk:
        for _ in range(REKEY_FRAMES + 76):
            await talk.alive()
        if not talk.rekeyed:
            raise FailedError("1100 frames came without a REKEY")


@check(Role.INITIATOR, "R-7.5.1")
async def our_close(kit: Dialling) -> None:
    """After our CLOSE it ends the connection, and sends no more than a CLOSE of its own."""
    async with kit.talk() as talk:
        await talk.alive()
        talk.send(talk.pack(Kind.CLOSE, b"\x00\x00"))
        talk.wire.end()
        late = [kind for kind, _ in await talk.listen(3.0) if kind != Kind.CLOSE]
        if late:
            raise FailedError("it went on sending after our CLOSE")
        if not await talk.wire.closes(3.0):
            raise FailedError("it does not end a connection that was closed")


# --- Slow ones: they wait side by side ------------------------------------------------------------


async def _ends_in_time(kit: Dialling, first: bytes, *, drip: bytes = b"") -> None:
    """Send ``first``, then ``drip`` byte by byte each second, and require an end after 10 s."""
    loop_clock = kit.clock
    async with kit.wire() as wire:
        begun = loop_clock.monotonic()
        wire.send(first)
        rest = list(drip)
        while not await wire.closes(1.0):
            if loop_clock.monotonic() - begun > DEADLINE_S + 3:
                raise FailedError("a handshake that takes 13 s is still waited for")
            if rest:
                wire.send(bytes([rest.pop(0)]))
        if loop_clock.monotonic() - begun < DEADLINE_S - 3:
            raise FailedError("it did not wait ten seconds")


@check(Role.INITIATOR, "R-7.4.4", seconds=DEADLINE_S)
async def nothing_at_all(kit: Dialling) -> None:
    """A connection on which nothing comes is ended after 10 s."""
    await _ends_in_time(kit, b"")


@check(Role.INITIATOR, "R-7.4.4", seconds=DEADLINE_S)
async def a_byte_a_second(kit: Dialling) -> None:
    """A preamble that comes a byte a second is not waited for beyond 10 s."""
    preamble = encode_preamble(XX_HFS.number, OUR_OFFER)
    await _ends_in_time(kit, preamble[:3], drip=preamble[3:])


@check(Role.INITIATOR, "R-7.4.4", seconds=DEADLINE_S)
async def half_a_handshake(kit: Dialling) -> None:
    """After message 2 nothing comes: TIMEOUT, after 10 s."""
    async with kit.knock() as knock:
        knock.wire.send(knock.opening())
        await knock.answered()
        (await knock.wire.clear_verdict(DEADLINE_S + 3)).require(ErrorCode.TIMEOUT)


@check(Role.INITIATOR, "R-7.4.4", seconds=DEADLINE_S)
async def no_hello(kit: Dialling) -> None:
    """After the handshake no HELLO comes: TIMEOUT, after 10 s."""
    async with kit.talk() as talk:
        (await talk.verdict(DEADLINE_S + 3)).require(ErrorCode.TIMEOUT)


@check(Role.INITIATOR, "R-7.4.1", seconds=SLOW_S)
async def its_keepalive(kit: Dialling) -> None:
    """Between two silent sides a PING comes after 15 s."""
    async with kit.talk("kit-idle") as talk:
        await _fall_silent(kit, talk, SLOW_S + 2, until=Kind.PING)


@check(Role.INITIATOR, "R-7.4.3", seconds=46.0)
async def a_silent_peer(kit: Dialling) -> None:
    """A side that is silent for 45 s is given up: TIMEOUT."""
    async with kit.talk("kit-mute") as talk:
        await _fall_silent(kit, talk, 49.0, until=Kind.CLOSE)
        if talk.code != ErrorCode.TIMEOUT:
            raise FailedError("it did not tell TIMEOUT")


async def _fall_silent(kit: Dialling, talk: Talk, seconds: float, *, until: Kind) -> None:
    """Greet, open a session if we are accepted, then say nothing until a frame of a kind comes."""
    dialogue = Dialogue(talk, kit.persona("kit-idle"))
    talk.send(dialogue.our_hello())
    try:
        async with asyncio.timeout(seconds):
            while True:
                frame = await talk.receive(seconds)
                if frame is not None and frame[0] == until:
                    return
                if frame is None or frame[0] == Kind.CLOSE:
                    raise FailedError("it ended the connection")
                if frame[0] == Kind.HELLO and decode_greeting(frame[1]).accepted:
                    talk.send(talk.pack(Kind.RESET))
                    dialogue.begin()
    except TimeoutError:
        raise FailedError(f"no {until.name} came within {seconds:.0f} s") from None
