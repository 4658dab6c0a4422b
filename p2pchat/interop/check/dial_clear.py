"""Bad first bytes, offers and handshake messages of an initiator (protocol.md §4, §5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from p2pchat.constants import MAGIC, OFFER_MAX_BYTES
from p2pchat.errors import CryptoError, ErrorCode
from p2pchat.interop.check.dialler import Dialling
from p2pchat.interop.check.kit import set_up
from p2pchat.interop.check.knock import Knock
from p2pchat.interop.check.registry import Role, check
from p2pchat.interop.check.report import FailedError, NotReachedError
from p2pchat.interop.check.talk import Talk
from p2pchat.interop.check.wire import ANSWER_S
from p2pchat.interop.forging import retry_prologue
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

Change = Callable[[bytes], bytes]
FAILED: Final = ErrorCode.HANDSHAKE_FAILED
CLASSICAL_ONLY: Final = Offer(OUR_OFFER.versions, (XX.number,))


def noise(message: bytes) -> bytes:
    """Put a handshake message into its frame."""
    return encode_clear(ClearKind.NOISE, message)


def raw_preamble(offer: bytes, *, suite: int = XX_HFS.number, magic: bytes = MAGIC) -> bytes:
    """Return a preamble around any bytes."""
    return magic + suite.to_bytes(2, "big") + len(offer).to_bytes(2, "big") + offer


# --- Preamble -------------------------------------------------------------------------------------


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
    async with kit.knock("kit-classical", suite=XX, offer=CLASSICAL_ONLY) as knock:
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
    """A classical first message with a hybrid offer gets RETRY for XXhfs, which completes."""
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


# --- Clear frames ---------------------------------------------------------------------------------


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
