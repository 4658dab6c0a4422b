"""Bad first bytes, offers and handshake messages of an initiator (protocol.md §4, §5)."""

from __future__ import annotations

from typing import Final

from p2pchat.constants import MAGIC, OFFER_MAX_BYTES
from p2pchat.crypto import kem
from p2pchat.errors import CryptoError, ErrorCode
from p2pchat.interop.check.dialler import Dialling
from p2pchat.interop.check.halves import Knock, retry_prologue
from p2pchat.interop.check.kit import set_up
from p2pchat.interop.check.lax import ZERO, LaxHandshake
from p2pchat.interop.check.registry import Role, check
from p2pchat.interop.check.report import FailedError, NotReachedError
from p2pchat.interop.check.talk import Talk
from p2pchat.interop.check.wire import ANSWER_S
from p2pchat.session.frames import ClearKind, encode_clear
from p2pchat.session.negotiation import (
    IK_HFS,
    OUR_OFFER,
    XX,
    XX_HFS,
    Offer,
    choose,
    decode_offer,
    encode_offer,
    encode_preamble,
)

FAILED: Final = ErrorCode.HANDSHAKE_FAILED
_CLASSICAL_ONLY: Final = Offer(OUR_OFFER.versions, (XX.number,))


def noise(message: bytes) -> bytes:
    """Put a handshake message into its frame."""
    return encode_clear(ClearKind.NOISE, message)


def raw_preamble(offer: bytes, *, suite: int = XX_HFS.number, magic: bytes = MAGIC) -> bytes:
    """Return a preamble around any bytes."""
    return magic + suite.to_bytes(2, "big") + len(offer).to_bytes(2, "big") + offer


# --- Preamble ---------------------------------------------------------------------------------------


@check(Role.INITIATOR, "R-4.2.1", "R-4.4.3")
async def another_protocol(kit: Dialling) -> None:
    """First bytes that are not the magic: the end, without a byte."""
    for first in (b"GET / HTTP/1.1\r\n\r\n", MAGIC[:-1] + b"\r" + bytes(600)):
        async with kit.wire() as wire:
            wire.send(first)
            (await wire.clear_verdict()).require_silence()


@check(Role.INITIATOR, "R-4.2.2", "R-4.4.3")
async def an_offer_of_513_bytes(kit: Dialling) -> None:
    """An offer's length above 512: the end before its bytes came, without a byte."""
    async with kit.wire() as wire:
        wire.send(raw_preamble(bytes(OFFER_MAX_BYTES + 1))[:12])
        (await wire.clear_verdict()).require_silence()


@check(Role.INITIATOR, "R-4.2.3", "R-4.4.3")
async def offers_out_of_form(kit: Dialling) -> None:
    """Lists that are empty, cut short or do not ascend: the end, without a byte."""
    for offer in ("00 01 0101 00", "01 0100 00 00", "01 0100 02 0102 0101 00", "01 0100 02 0101"):
        async with kit.wire() as wire:
            wire.send(raw_preamble(bytes.fromhex(offer)))
            (await wire.clear_verdict()).require_silence()


@check(Role.INITIATOR, "R-4.2.4")
async def bytes_behind_the_offer(kit: Dialling) -> None:
    """Bytes after the third list are ignored, and authenticated with the rest."""
    async with kit.knock() as knock:
        knock.preamble = raw_preamble(encode_offer(OUR_OFFER) + b"later")
        knock.start(XX_HFS, knock.preamble)
        await (await knock.through()).alive()


@check(Role.INITIATOR, "R-4.3.1", "R-13.1.1")
async def a_later_minor_version(kit: Dialling) -> None:
    """Version 1.9 with a suite and a feature that are not known is served."""
    offer = Offer(((1, 9), (7, 0)), (*OUR_OFFER.suites, 0x7F01), (0x0BAD,))
    async with kit.knock(offer=offer) as knock:
        await (await knock.through()).alive()


@check(Role.INITIATOR, "R-4.3.2")
async def nothing_in_common(kit: Dialling) -> None:
    """Another major version, or no common suite: UNSUPPORTED_VERSION."""
    for offer in (Offer(((2, 0),), OUR_OFFER.suites), Offer(OUR_OFFER.versions, (0x7F01,))):
        async with kit.knock() as knock:
            knock.wire.send(encode_preamble(offer.suites[-1], offer) + noise(knock.message_1()))
            verdict = await knock.wire.clear_verdict()
            verdict.require(ErrorCode.UNSUPPORTED_VERSION)


@check(Role.INITIATOR, "R-5.1.1", "R-5.1.2")
async def a_classical_handshake(kit: Dialling) -> None:
    """An offer of classical XX alone is served by it, if hybrid suites are not insisted on."""
    async with kit.knock("kit-classical", suite=XX, offer=_CLASSICAL_ONLY) as knock:
        knock.wire.send(knock.opening())
        try:
            await knock.answered()
        except FailedError as error:
            if "UNSUPPORTED_VERSION" in str(error):
                raise NotReachedError("it insists on hybrid suites") from None
            raise
        knock.wire.send(knock.message_3())
        await knock.talk().alive()


@check(Role.INITIATOR, "R-4.3.3", "R-5.6.2", "R-5.6.4")
async def a_first_message_of_a_weaker_class(kit: Dialling) -> None:
    """A classical first message with a hybrid offer gets RETRY for the hybrid XX; that completes."""
    async with kit.knock(suite=XX) as knock:
        knock.wire.send(knock.opening())
        await _retried(knock)
        await (await _again(knock)).alive()


async def _retried(knock: Knock) -> None:
    frame = await knock.wire.frame()
    if frame is None or frame[0] != ClearKind.RETRY:
        raise FailedError("no RETRY came")
    if frame[1:] != XX_HFS.number.to_bytes(2, "big"):
        raise FailedError("the RETRY does not name the XX suite of the greatest common class")


async def _again(knock: Knock) -> Talk:
    """Do the handshake that a RETRY asks for."""
    first = knock.first_message
    knock.start(XX_HFS, retry_prologue(knock.preamble, first, XX_HFS.number))
    knock.wire.send(noise(knock.message_1()))
    await knock.answered()
    knock.wire.send(knock.message_3())
    return knock.talk()


@check(Role.INITIATOR, "R-5.6.2", "R-5.6.4", "R-5.5.7")
async def an_old_static_key(kit: Dialling) -> None:
    """IK for a static key that it does not have gets RETRY; the XX that follows completes."""
    wrong = kit.persona("kit-elsewhere").spare.public
    async with kit.knock(suite=IK_HFS, static=wrong) as knock:
        knock.wire.send(knock.opening())
        await _retried(knock)
        await (await _again(knock)).alive()


@check(Role.INITIATOR, "R-5.6.4")
async def a_retry_that_is_not_bound(kit: Dialling) -> None:
    """After a RETRY the old prologue does not do: message 2 does not open under it."""
    async with kit.knock(suite=XX) as knock:
        knock.wire.send(knock.opening())
        with set_up("a RETRY"):
            await _retried(knock)
        knock.start(XX_HFS, knock.preamble)
        knock.wire.send(noise(knock.message_1()))
        with set_up("message 2 after a RETRY"):
            message = await knock.noise()
        try:
            knock.engine.read_message(message)
        except CryptoError:
            return
        raise FailedError("the prologue after a RETRY is that of before")


@check(Role.INITIATOR, "R-5.6.2")
async def only_one_retry(kit: Dialling) -> None:
    """After a RETRY a message that is no good ends the connection: HANDSHAKE_FAILED."""
    async with kit.knock(suite=XX) as knock:
        knock.wire.send(knock.opening())
        with set_up("a RETRY"):
            await _retried(knock)
        knock.wire.send(noise(bytes(40)))
        (await knock.wire.clear_verdict()).require(FAILED)


# --- Clear frames ------------------------------------------------------------------------------------


@check(Role.INITIATOR, "R-4.1.1")
async def an_empty_clear_frame(kit: Dialling) -> None:
    """A frame of length 0 in the handshake: PROTOCOL_VIOLATION."""
    async with kit.knock() as knock:
        knock.wire.send(knock.preamble + b"\x00\x00")
        (await knock.wire.clear_verdict()).require(ErrorCode.PROTOCOL_VIOLATION)


@check(Role.INITIATOR, "R-4.4.1")
async def an_unknown_clear_frame(kit: Dialling) -> None:
    """A clear frame of kind 0x07, or a RETRY to the responder: PROTOCOL_VIOLATION."""
    for frame in (b"\x00\x02\x07\x07", b"\x00\x03\x02\x01\x01"):
        async with kit.knock() as knock:
            knock.wire.send(knock.preamble + frame)
            (await knock.wire.clear_verdict()).require(ErrorCode.PROTOCOL_VIOLATION)


# --- Handshake messages ------------------------------------------------------------------------------


@check(Role.INITIATOR, "R-5.2.3", "R-5.2.5", "R-5.1.2", "R-5.5.2")
async def short_first_messages(kit: Dialling) -> None:
    """A message 1 of XX that is a byte short, or empty: HANDSHAKE_FAILED."""
    cases = [(XX_HFS, OUR_OFFER, 1215), (XX_HFS, OUR_OFFER, 0), (XX, _CLASSICAL_ONLY, 31)]
    for suite, offer, length in cases:
        async with kit.knock(suite=suite, offer=offer) as knock:
            knock.wire.send(knock.preamble + noise(knock.message_1()[:length]))
            verdict = await knock.wire.clear_verdict()
            if suite is XX and verdict.code == ErrorCode.UNSUPPORTED_VERSION:
                continue  # it insists on hybrid suites
            verdict.require(FAILED)


@check(Role.INITIATOR, "R-5.2.3", "R-5.2.5")
async def a_short_last_message(kit: Dialling) -> None:
    """A message 3 that is cut to 63 B, or changed in one bit: HANDSHAKE_FAILED."""
    for change in (lambda m: m[:63], lambda m: m[:-1] + bytes([m[-1] ^ 1])):
        async with kit.knock() as knock:
            with set_up("message 2"):
                knock.wire.send(knock.opening())
                await knock.answered()
            message = knock.engine.write_message(b"")
            knock.wire.send(noise(change(message)))
            (await knock.wire.clear_verdict()).require(FAILED)


@check(Role.INITIATOR, "R-5.3.2")
async def a_first_message_that_speaks(kit: Dialling) -> None:
    """A message 1 of XX with a payload is refused."""
    async with kit.knock() as knock:
        knock.wire.send(knock.preamble + noise(knock.engine.write_message(b"hello")))
        verdict = await knock.wire.clear_verdict()
        verdict.require(ErrorCode.PROTOCOL_VIOLATION, FAILED)


@check(Role.INITIATOR, "R-2.2.1", "R-5.1.6")
async def an_ephemeral_of_low_order(kit: Dialling) -> None:
    """An ephemeral key of 0: HANDSHAKE_FAILED, with either class of suites."""
    rest = kem.generate(rng=kit.rng).public
    for suite, message in ((XX_HFS, ZERO + rest), (XX, ZERO)):
        offer = OUR_OFFER if suite is XX_HFS else _CLASSICAL_ONLY
        async with kit.wire() as wire:
            wire.send(encode_preamble(suite.number, offer) + noise(message))
            verdict = await wire.clear_verdict()
            if suite is XX and verdict.code == ErrorCode.UNSUPPORTED_VERSION:
                continue
            verdict.require(FAILED)


@check(Role.INITIATOR, "R-2.2.1", "R-5.1.6")
async def a_static_of_low_order(kit: Dialling) -> None:
    """A static key of 0, in a message whose tags are right for it: HANDSHAKE_FAILED."""
    async with kit.knock() as knock:
        lax = _lax(kit, knock)
        with set_up("message 2"):
            await _lax_answer(knock, lax)
        lax.s = type(lax.s)(lax.s.private, ZERO)
        knock.wire.send(noise(lax.write(bytes(512))))
        (await knock.wire.clear_verdict()).require(FAILED)


@check(Role.INITIATOR, "R-5.5.4", "R-5.2.5")
async def an_encapsulation_key_out_of_range(kit: Dialling) -> None:
    """An encapsulation key with a coefficient of 4095: HANDSHAKE_FAILED."""
    async with kit.knock() as knock:
        message = bytearray(knock.message_1())
        message[32:35] = b"\xff\xff\xff"
        knock.wire.send(knock.preamble + noise(bytes(message)))
        (await knock.wire.clear_verdict()).require(FAILED)


@check(Role.INITIATOR, "R-5.5.3")
async def two_encapsulations(kit: Dialling) -> None:
    """The same encapsulation key in two handshakes gets two ciphertexts and two secrets."""
    pair = kem.generate(rng=kit.rng)
    ciphertexts = []
    for _ in range(2):
        async with kit.knock() as knock:
            lax = _lax(kit, knock)
            lax.e1 = pair
            with set_up("message 2"):
                await _lax_answer(knock, lax)
            ciphertexts.append(lax.ciphertext)
    if ciphertexts[0] == ciphertexts[1]:
        raise FailedError("one encapsulation served two handshakes")


def _lax(kit: Dialling, knock: Knock) -> LaxHandshake:
    return LaxHandshake(
        XX_HFS.noise_name,
        initiator=True,
        prologue=knock.preamble,
        s=knock.who.static,
        rng=kit.rng,
    )


async def _lax_answer(knock: Knock, lax: LaxHandshake) -> None:
    knock.wire.send(knock.preamble + noise(lax.write(b"")))
    lax.read(await knock.noise())


@check(Role.INITIATOR, "R-5.1.1", "R-5.5.1")
async def reflected_messages(kit: Dialling) -> None:
    """Its own message 2 comes back as message 3: HANDSHAKE_FAILED."""
    async with kit.knock() as knock:
        knock.wire.send(knock.opening())
        with set_up("message 2"):
            message = await knock.noise()
        knock.wire.send(noise(message))
        (await knock.wire.clear_verdict()).require(FAILED)


@check(Role.INITIATOR, "R-5.1.1", "R-5.5.1")
async def a_preamble_changed_on_its_way(kit: Dialling) -> None:
    """One changed byte of the preamble breaks the handshake: message 2 does not open."""
    async with kit.knock() as knock:
        changed = raw_preamble(encode_offer(OUR_OFFER) + b"x")
        knock.wire.send(changed + noise(knock.message_1()))
        with set_up("message 2"):
            message = await knock.noise()
        try:
            knock.engine.read_message(message)
        except CryptoError:
            return
        raise FailedError("the preamble is not what it has hashed as the prologue")


@check(Role.INITIATOR, "R-4.4.2")
async def a_refusal_changes_nothing(kit: Dialling) -> None:
    """A REFUSE in the clear ends that attempt; the next handshake completes."""
    async with kit.knock() as knock:
        knock.wire.send(knock.opening())
        with set_up("message 2"):
            await knock.answered()
        knock.wire.send(encode_clear(ClearKind.REFUSE, b"\x00\x06"))
        if not await knock.wire.closes(ANSWER_S):
            raise FailedError("it keeps a connection that was refused")
    async with kit.knock() as knock:
        await (await knock.through()).alive()


@check(Role.INITIATOR, "R-4.3.1", "R-5.1.10")
async def its_offer(kit: Dialling) -> None:
    """Its offer names version 1, and the suite in use is one of the best common ones."""
    async with kit.knock() as knock:
        knock.wire.send(knock.opening())
        with set_up("message 2"):
            answer = await knock.answered()
    best = choose(OUR_OFFER, decode_offer(answer.offer))
    if XX_HFS not in best.suites:
        raise FailedError("it used a suite that is not among the best common ones")

