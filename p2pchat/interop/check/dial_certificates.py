"""Payloads and certificates of an initiator that must not be believed (protocol.md §3.3, §5.4).

They come in a message 3 that authenticates, so that the refusal has to come as a CLOSE (R-5.4.6).
"""

from __future__ import annotations

from typing import Any, Final

from p2pchat.errors import ErrorCode
from p2pchat.interop.check.dialler import Dialling
from p2pchat.interop.check.kit import set_up
from p2pchat.interop.check.registry import Role, check
from p2pchat.interop.check.report import FailedError, NotReachedError
from p2pchat.interop.forging import DAY_MS, GROUP_ORDER, NEUTRAL, certificate, payload
from p2pchat.interop.personas import Persona
from p2pchat.session.codec import encode_map
from p2pchat.session.frames import pad_payload

INVALID: Final = ErrorCode.CERTIFICATE_INVALID
VIOLATION: Final = ErrorCode.PROTOCOL_VIOLATION


async def present(kit: Dialling, who: Persona, content: bytes, *codes: ErrorCode) -> None:
    """Send ``content`` as the payload of message 3 and require a CLOSE with one of the codes."""
    async with kit.knock(who) as knock:
        with set_up("message 2"):
            knock.wire.send(knock.opening())
            await knock.answered()
        message = knock.message_3(content)
        talk = knock.talk()
        probe = kit.rng(8)
        talk.send(message, talk.pack(0x01, probe))
        verdict = await talk.verdict(probe=probe)
        if verdict.clear:
            kit.broke("it refused message 3 in the clear, not by CLOSE", "R-5.4.6")
        verdict.require(*codes)
        if not verdict.clear:
            kit.saw("R-5.4.6", "R-7.5.1")


def valid(kit: Dialling, **changes: Any) -> dict[str, Any]:
    """Return the arguments of a certificate that is valid now."""
    now_ms = kit.clock.wall_ms()
    return {"not_before_ms": now_ms - DAY_MS, "not_after_ms": now_ms + DAY_MS} | changes


@check(Role.INITIATOR, "R-5.4.1", "R-3.3.2", "R-5.4.6")
async def a_wrong_signature(kit: Dialling) -> None:
    """A flipped bit in the certificate's signature or in what it signs: CERTIFICATE_INVALID."""
    who = kit.persona("kit-flipped")
    good = certificate(who, **valid(kit))
    for place in (68, 84, 148):
        spoilt = good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :]
        await present(kit, who, payload(cert=spoilt), INVALID)


@check(Role.INITIATOR, "R-2.3.1")
async def signatures_that_lax_libraries_take(kit: Dialling) -> None:
    """A signature with S + L, and a public key of small order: CERTIFICATE_INVALID."""
    who = kit.persona("kit-malleable")
    good = certificate(who, **valid(kit))
    scalar = int.from_bytes(good[117:], "little") + GROUP_ORDER
    other = good[:117] + scalar.to_bytes(32, "little")
    await present(kit, who, payload(cert=other), INVALID)
    # With the neutral element as key and as R, S = 0 satisfies the equation for any message.
    small = good[:1] + NEUTRAL + good[33:85] + NEUTRAL + bytes(32)
    await present(kit, who, payload(cert=small), INVALID)


@check(Role.INITIATOR, "R-3.3.1")
async def certificates_out_of_form(kit: Dialling) -> None:
    """A certificate of format 2: CERTIFICATE_INVALID; of 148 or 150 B: PROTOCOL_VIOLATION."""
    who = kit.persona("kit-misshapen")
    await present(kit, who, payload(cert=certificate(who, form=2, **valid(kit))), INVALID)
    good = certificate(who, **valid(kit))
    for changed in (good[:-1], good + b"\x00"):
        await present(kit, who, payload(cert=changed), VIOLATION)


@check(Role.INITIATOR, "R-3.3.3")
async def a_term_that_ends_before_it_begins(kit: Dialling) -> None:
    """not-after before not-before: CERTIFICATE_INVALID, though both lie within the skew."""
    who = kit.persona("kit-backward")
    now_ms = kit.clock.wall_ms()
    term: dict[str, Any] = {"not_before_ms": now_ms + DAY_MS, "not_after_ms": now_ms - DAY_MS}
    await present(kit, who, payload(cert=certificate(who, **term)), INVALID)


@check(Role.INITIATOR, "R-3.3.4", "R-5.4.1")
async def certificates_out_of_term(kit: Dialling) -> None:
    """Expired, or not yet valid, by 8 days: CERTIFICATE_INVALID; by 6 days it is taken."""
    who = kit.persona("kit-untimely")
    now_ms = kit.clock.wall_ms()
    for start, end in ((-98, -8), (8, 98)):
        term: dict[str, Any] = {
            "not_before_ms": now_ms + start * DAY_MS,
            "not_after_ms": now_ms + end * DAY_MS,
        }
        await present(kit, who, payload(cert=certificate(who, **term)), INVALID)
    for start, end in ((-96, -6), (6, 96)):
        term = {
            "not_before_ms": now_ms + start * DAY_MS,
            "not_after_ms": now_ms + end * DAY_MS,
        }
        async with kit.knock() as knock:
            knock.wire.send(knock.opening())
            with set_up("message 2"):
                await knock.answered()
            knock.wire.send(knock.message_3(payload(cert=certificate(knock.who, **term))))
            await knock.talk().alive()


@check(Role.INITIATOR, "R-5.4.2")
async def a_certificate_for_another_key(kit: Dialling) -> None:
    """A valid certificate for another static key than Noise's: CERTIFICATE_INVALID."""
    who = kit.persona("kit-borrowed")
    other = certificate(who, static=who.spare.public, **valid(kit))
    await present(kit, who, payload(cert=other), INVALID)


@check(Role.INITIATOR, "R-5.4.3")
async def its_own_certificate(kit: Dialling) -> None:
    """Its own certificate, reflected, is refused."""
    if not kit.target.certificate:
        raise NotReachedError("its certificate is not known")
    content = payload(cert=kit.target.certificate)
    await present(kit, kit.persona("kit-mirror"), content, INVALID, ErrorCode.WRONG_IDENTITY)


@check(Role.INITIATOR, "R-5.3.1", "R-5.4.6")
async def payloads_badly_padded(kit: Dialling) -> None:
    """Padding that is not zero, a length beyond the payload, a total that is no multiple of 512."""
    who = kit.persona("kit-unpadded")
    good = payload(cert=certificate(who, **valid(kit)))
    cases = (good[:-1] + b"\x01", b"\xff\xff" + good[2:], good + b"\x00", b"")
    for content in cases:
        await present(kit, who, content, VIOLATION)


@check(Role.INITIATOR, "R-9.1.1", "R-9.1.3", "R-9.1.4", "R-5.3.1")
async def payloads_out_of_form(kit: Dialling) -> None:
    """No map, no certificate, one of another type, an unknown mandatory field: refused."""
    who = kit.persona("kit-formless")
    good = certificate(who, **valid(kit))
    fields: tuple[dict[str, Any], ...] = ({}, {"cert": good.hex()}, {"cert": good, "!new": 1})
    contents = [pad_payload(encode_map(each)) for each in fields]
    contents += [pad_payload(b"\x90"), pad_payload(b"\xc1"), pad_payload(b"")]
    for content in contents:
        await present(kit, who, content, VIOLATION)


@check(Role.INITIATOR, "R-9.1.4", "R-5.3.1")
async def payloads_of_later_versions(kit: Dialling) -> None:
    """Unknown optional fields and another 512 B of padding are taken."""
    async with kit.knock() as knock:
        knock.wire.send(knock.opening())
        with set_up("message 2"):
            await knock.answered()
        content = payload(cert=knock.certificate, later=[1, {"x": "y"}]) + bytes(512)
        knock.wire.send(knock.message_3(content))
        try:
            await knock.talk().alive()
        except FailedError as error:
            raise FailedError(f"a later version's payload: {error}") from None
