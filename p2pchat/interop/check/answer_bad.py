"""Answers that an initiator must refuse, and frames that it must (protocol.md §4, §5, §7, §8)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from p2pchat.errors import ErrorCode
from p2pchat.interop.check.answer import Answer
from p2pchat.interop.check.dialogue import Dialogue
from p2pchat.interop.check.kit import set_up
from p2pchat.interop.check.lax import ZERO, LaxHandshake
from p2pchat.interop.check.listener import Listening
from p2pchat.interop.check.registry import Role, check
from p2pchat.interop.check.report import FailedError, NotReachedError
from p2pchat.interop.check.wire import ANSWER_S
from p2pchat.interop.forging import (
    GROUP_ORDER,
    NEUTRAL,
    certificate,
    payload,
    retry_prologue,
)
from p2pchat.session.frames import ClearKind, encode_clear, pad_payload
from p2pchat.session.negotiation import OUR_OFFER, XX_HFS, encode_offer

FAILED: Final = ErrorCode.HANDSHAKE_FAILED
INVALID: Final = ErrorCode.CERTIFICATE_INVALID
Change = Callable[[bytes], bytes]
VIOLATION: Final = ErrorCode.PROTOCOL_VIOLATION
DAY_MS: Final = 24 * 3_600_000


# --- Message 2 ------------------------------------------------------------------------------------


@check(Role.RESPONDER, "R-5.2.3", "R-5.2.5", "R-5.5.2")
async def answers_cut_or_changed(kit: Listening) -> None:
    """A message 2 that is too short, or changed in a bit: HANDSHAKE_FAILED."""
    changes: tuple[Change, ...] = (
        lambda m: m[:95],
        lambda m: m[:-1] + bytes([m[-1] ^ 1]),
        lambda m: m[:40] + bytes([m[40] ^ 1]) + m[41:],
    )
    for change in changes:
        async with kit.opened() as answer:
            message = answer.message_2()[3:]
            answer.wire.send(encode_clear(ClearKind.NOISE, change(message)))
            (await answer.wire.clear_verdict()).require(FAILED)


@check(Role.RESPONDER, "R-5.2.5")
async def its_own_message_reflected(kit: Listening) -> None:
    """Its message 1 comes back as message 2: HANDSHAKE_FAILED."""
    async with kit.opened() as answer:
        answer.wire.send(encode_clear(ClearKind.NOISE, answer.first_message))
        (await answer.wire.clear_verdict()).require(FAILED)


@check(Role.RESPONDER, "R-4.1.1", "R-4.4.1")
async def clear_frames_out_of_form(kit: Listening) -> None:
    """In place of message 2 an empty frame, or one of kind 0x07: PROTOCOL_VIOLATION."""
    for frame in (b"\x00\x00", b"\x00\x02\x07\x00"):
        async with kit.opened() as answer:
            answer.wire.send(frame)
            (await answer.wire.clear_verdict()).require(VIOLATION)


async def _lax(kit: Listening, answer: Answer) -> LaxHandshake:
    """Return an engine that has read its message 1 of XXhfs, after a RETRY if need be."""
    if answer.known:
        answer.wire.send(answer.retry(XX_HFS))
        with set_up("message 1 after a RETRY"):
            first = answer.first_message
            await answer.read_1()
        prologue = retry_prologue(answer.preamble, first, XX_HFS.number)
    elif answer.suite is XX_HFS:
        prologue = answer.preamble
    else:
        raise NotReachedError("it does not speak the hybrid XX")
    lax = LaxHandshake(
        XX_HFS.noise_name, initiator=False, prologue=prologue, s=kit.host.static, rng=kit.rng
    )
    lax.read(answer.first_message)
    return lax


def _honest(answer: Answer) -> bytes:
    return payload(
        offer=encode_offer(OUR_OFFER), cert=answer.certificate, ratchet=answer.ratchet.public
    )


@check(Role.RESPONDER, "R-2.2.1", "R-5.1.6")
async def keys_of_low_order(kit: Listening) -> None:
    """An ephemeral or a static key of 0, in a message whose tags are right: HANDSHAKE_FAILED."""
    for ephemeral in (True, False):
        async with kit.opened() as answer:
            lax = await _lax(kit, answer)
            if ephemeral:
                lax.e = type(lax.e)(lax.e.private, ZERO)
            else:
                lax.s = type(lax.s)(lax.s.private, ZERO)
            answer.wire.send(encode_clear(ClearKind.NOISE, lax.write(_honest(answer))))
            (await answer.wire.clear_verdict()).require(FAILED)


@check(Role.RESPONDER, "R-5.5.5")
async def a_ciphertext_for_another_key(kit: Listening) -> None:
    """A changed ciphertext, well sealed, shows as HANDSHAKE_FAILED like any forgery."""
    async with kit.opened() as answer:
        lax = await _lax(kit, answer)
        honest = lax.encapsulate

        def changed(key: Any) -> tuple[bytes, bytes]:
            ciphertext, secret = honest(key)
            return ciphertext[:7] + bytes([ciphertext[7] ^ 1]) + ciphertext[8:], secret

        lax.encapsulate = changed
        answer.wire.send(encode_clear(ClearKind.NOISE, lax.write(_honest(answer))))
        (await answer.wire.clear_verdict()).require(FAILED)


@check(Role.RESPONDER, "R-5.3.1", "R-9.1.1", "R-9.1.3", "R-9.1.4")
async def payloads_out_of_form(kit: Listening) -> None:
    """Padding, length, total, msgpack or fields of the payload of message 2 are wrong: refused."""
    for number in range(8):
        async with kit.opened() as answer:
            fields: dict[str, Any] = {
                "offer": encode_offer(OUR_OFFER),
                "cert": answer.certificate,
                "ratchet": answer.ratchet.public,
            }
            good = payload(**fields)
            contents = (
                good[:-1] + b"\x01",
                b"\xff\xff" + good[2:],
                good + b"\x00",
                b"",
                pad_payload(b"\xc1"),
                payload(**{**fields, "ratchet": bytes(31)}),
                payload(**{**fields, "!later": 1}),
                payload(offer=fields["offer"], cert=fields["cert"]),
            )
            answer.wire.send(answer.message_2(contents[number]))
            (await answer.wire.clear_verdict()).require(VIOLATION)


@check(Role.RESPONDER, "R-4.2.3")
async def offers_out_of_form(kit: Listening) -> None:
    """An encrypted offer that is empty, cut short or does not ascend is refused."""
    for offer in ("", "01 0100 02 0102 0101 00", "01 0100 02 0101"):
        async with kit.opened() as answer:
            answer.wire.send(answer.message_2(offer=bytes.fromhex(offer)))
            (await answer.wire.clear_verdict()).require(VIOLATION)


@check(
    Role.RESPONDER,
    *("R-5.4.1", "R-3.3.1", "R-3.3.2", "R-3.3.3", "R-3.3.4", "R-5.4.2", "R-2.3.1"),
)
async def certificates_that_do_not_hold(kit: Listening) -> None:
    """Flipped, malleable, misshapen, backward, expired, early or borrowed: CERTIFICATE_INVALID."""
    who, now_ms = kit.host, kit.clock.wall_ms()

    def term(start: int, end: int, **more: Any) -> bytes:
        times: dict[str, Any] = {
            "not_before_ms": now_ms + start * DAY_MS,
            "not_after_ms": now_ms + end * DAY_MS,
        }
        return certificate(who, **times, **more)

    good = term(-1, 1)
    scalar = int.from_bytes(good[117:], "little") + GROUP_ORDER
    cases = [
        good[:84] + bytes([good[84] ^ 1]) + good[85:],
        good[:-1] + bytes([good[-1] ^ 1]),
        good[:1] + NEUTRAL + good[33:85] + NEUTRAL + bytes(32),
        term(-1, 1, form=2),
        term(1, -1),
        term(-98, -8),
        term(8, 98),
        term(-1, 1, static=who.spare.public),
        good[:117] + scalar.to_bytes(32, "little"),
    ]
    for bad in cases:
        async with kit.opened() as answer:
            answer.wire.send(answer.message_2(cert=bad))
            (await answer.wire.clear_verdict()).require(INVALID)


@check(Role.RESPONDER, "R-5.4.3")
async def its_own_certificate(kit: Listening) -> None:
    """Its own certificate, reflected, is refused."""
    if not kit.target.certificate:
        raise NotReachedError("its certificate is not known")
    async with kit.opened() as answer:
        answer.wire.send(answer.message_2(cert=kit.target.certificate))
        (await answer.wire.clear_verdict()).require(INVALID, ErrorCode.WRONG_IDENTITY)


@check(Role.RESPONDER, "R-4.4.2")
async def a_refusal_changes_nothing(kit: Listening) -> None:
    """A REFUSE in the clear ends that attempt; it dials again, and the session goes on."""
    async with kit.opened() as answer:
        answer.wire.send(encode_clear(ClearKind.REFUSE, b"\x00\x06"))
        if not await answer.wire.closes(ANSWER_S):
            raise FailedError("it keeps a connection that was refused")
    async with kit.talk() as talk:
        dialogue = Dialogue(talk, kit.host)
        if not await dialogue.open() and kit.target.accepts:
            raise FailedError("after a REFUSE it does not resume the session")
        await dialogue.settle()
        await dialogue.leave()


# --- Last: what makes it slow to dial again -------------------------------------------------------


@check(Role.RESPONDER, "R-7.4.4", seconds=10.0)
async def no_answer(kit: Listening) -> None:
    """A listener that says nothing is given up after 10 s."""
    async with kit.opened() as answer:
        if not await answer.wire.closes(13.0):
            raise FailedError("it waits longer than 13 s for message 2")


@check(Role.RESPONDER, "R-3.3.5")
async def an_older_generation(kit: Listening) -> None:
    """We come with a certificate of a lower generation than before: CERTIFICATE_INVALID."""
    if not kit.target.accepts:
        raise NotReachedError("no handshake completed")
    now_ms = kit.clock.wall_ms()
    async with kit.opened() as answer:
        old = certificate(
            kit.host, generation=0, not_before_ms=now_ms - DAY_MS, not_after_ms=now_ms + DAY_MS
        )
        answer.wire.send(answer.message_2(cert=old))
        if not answer.known:
            try:
                await answer.read_3()
            except FailedError as error:
                if INVALID.name in str(error):
                    return
                raise
        (await answer.talk().verdict()).require(INVALID)


@check(Role.RESPONDER, "R-5.4.5", "R-3.6.2")
async def another_identity(kit: Listening) -> None:
    """Another identity has certified the key that answers: WRONG_IDENTITY, and no message 3."""
    now_ms = kit.clock.wall_ms()
    async with kit.opened() as answer:
        other = certificate(
            kit.persona("kit-impostor"),
            static=kit.host.static.public,
            not_before_ms=now_ms - DAY_MS,
            not_after_ms=now_ms + DAY_MS,
        )
        answer.wire.send(answer.message_2(cert=other))
        (await answer.wire.clear_verdict()).require(ErrorCode.WRONG_IDENTITY)
