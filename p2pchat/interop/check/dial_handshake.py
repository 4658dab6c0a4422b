"""Bad handshake messages of an initiator (protocol.md §5.1, §5.2, §5.5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from p2pchat.crypto import kem
from p2pchat.errors import CryptoError, ErrorCode
from p2pchat.interop.check.dial_clear import CLASSICAL_ONLY, noise, raw_preamble
from p2pchat.interop.check.dialler import Dialling
from p2pchat.interop.check.kit import set_up
from p2pchat.interop.check.knock import Knock
from p2pchat.interop.check.lax import ZERO, LaxHandshake
from p2pchat.interop.check.registry import Role, check
from p2pchat.interop.check.report import FailedError
from p2pchat.session.negotiation import (
    OUR_OFFER,
    XX,
    XX_HFS,
    encode_offer,
    encode_preamble,
)

Change = Callable[[bytes], bytes]
FAILED: Final = ErrorCode.HANDSHAKE_FAILED


@check(Role.INITIATOR, "R-5.2.3", "R-5.2.5", "R-5.1.2", "R-5.5.2")
async def short_first_messages(kit: Dialling) -> None:
    """A message 1 of XX that is a byte short, or empty: HANDSHAKE_FAILED."""
    cases = [(XX_HFS, OUR_OFFER, 1215), (XX_HFS, OUR_OFFER, 0), (XX, CLASSICAL_ONLY, 31)]
    for suite, offer, length in cases:
        async with kit.knock(suite=suite, offer=offer) as knock:
            knock.wire.send(knock.preamble + noise(knock.message_1()[:length]))
            verdict = await knock.wire.clear_verdict()
            if suite is XX and verdict.code == ErrorCode.UNSUPPORTED_VERSION:
                continue  # it insists on hybrid suites
            verdict.require(FAILED)


@check(Role.INITIATOR, "R-5.2.3", "R-5.2.5")
async def a_short_last_message(kit: Dialling) -> None:
    """A message 3 that is cut to 63 B, or changed in one bit: HANDSHAKE_FAILED or silence."""
    changes: tuple[Change, ...] = (lambda m: m[:63], lambda m: m[:-1] + bytes([m[-1] ^ 1]))
    for change in changes:
        async with kit.knock() as knock:
            with set_up("message 2"):
                knock.wire.send(knock.opening())
                await knock.answered()
            message = knock.engine.write_message(b"")
            knock.wire.send(noise(change(message)))
            (await knock.wire.clear_verdict()).require(FAILED, or_silence=True)


@check(Role.INITIATOR, "R-5.3.2")
async def a_first_message_that_speaks(kit: Dialling) -> None:
    """A message 1 of XX with a payload: PROTOCOL_VIOLATION."""
    async with kit.knock() as knock:
        knock.wire.send(knock.preamble + noise(knock.engine.write_message(b"hello")))
        verdict = await knock.wire.clear_verdict()
        verdict.require(ErrorCode.PROTOCOL_VIOLATION)


@check(Role.INITIATOR, "R-2.2.1", "R-5.1.6")
async def an_ephemeral_of_low_order(kit: Dialling) -> None:
    """An ephemeral key of 0: HANDSHAKE_FAILED, with either class of suites."""
    rest = kem.generate(rng=kit.rng).public
    for suite, message in ((XX_HFS, ZERO + rest), (XX, ZERO)):
        offer = OUR_OFFER if suite is XX_HFS else CLASSICAL_ONLY
        async with kit.wire() as wire:
            wire.send(encode_preamble(suite.number, offer) + noise(message))
            verdict = await wire.clear_verdict()
            if suite is XX and verdict.code == ErrorCode.UNSUPPORTED_VERSION:
                continue
            verdict.require(FAILED)


@check(Role.INITIATOR, "R-2.2.1", "R-5.1.6")
async def a_static_of_low_order(kit: Dialling) -> None:
    """A static key of 0, in a message whose tags are right for it: HANDSHAKE_FAILED or silence."""
    async with kit.knock() as knock:
        lax = _lax(kit, knock)
        with set_up("message 2"):
            await _lax_answer(knock, lax)
        lax.s = type(lax.s)(lax.s.private, ZERO)
        knock.wire.send(noise(lax.write(bytes(512))))
        (await knock.wire.clear_verdict()).require(FAILED, or_silence=True)


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
    """Its own message 2 comes back as message 3: HANDSHAKE_FAILED or silence."""
    async with kit.knock() as knock:
        knock.wire.send(knock.opening())
        with set_up("message 2"):
            message = await knock.noise()
        knock.wire.send(noise(message))
        (await knock.wire.clear_verdict()).require(FAILED, or_silence=True)


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
