"""Notices that must be refused, or do no harm (protocol.md §3.7, §7.8, §8.6).

A peer need not know a kind of notice: then it ignores whatever comes of that kind, and what only a
peer that knows it could break is not reached. One that refuses some of a kind knows it, and has to
refuse all that is not true. Personas that are rotated or revoked are new in each run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from p2pchat.constants import NOTICE_MAX_BYTES
from p2pchat.errors import ErrorCode
from p2pchat.identity.revocation import revoke
from p2pchat.interop.check.dial_certificates import present, valid
from p2pchat.interop.check.dialler import Dialling
from p2pchat.interop.check.dialogue import Dialogue
from p2pchat.interop.check.kit import set_up
from p2pchat.interop.check.registry import Role, check
from p2pchat.interop.check.report import FailedError, NotReachedError
from p2pchat.interop.check.talk import Talk
from p2pchat.interop.check.wire import Verdict
from p2pchat.interop.forging import DAY_MS, certificate, payload
from p2pchat.session.codec import encode_map
from p2pchat.session.comparison_steps import HEAD_LEN
from p2pchat.session.frames import Kind

INVALID: Final = ErrorCode.CERTIFICATE_INVALID
VIOLATION: Final = ErrorCode.PROTOCOL_VIOLATION
REVOKED: Final = ErrorCode.KEY_REVOKED


async def tried(talk: Talk, kind: Kind, body: bytes) -> Verdict:
    """Send a notice and see whether the connection goes on."""
    probe = talk.kit.rng(8)
    talk.send(talk.pack(kind, body), talk.pack(Kind.PING, probe))
    return await talk.verdict(probe=probe)


@dataclass(slots=True)
class Tally:
    """How a peer took the notices of each kind that it would have to refuse."""

    refused: set[Kind] = field(default_factory=set)
    let_pass: dict[Kind, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, kind: Kind, what: str, verdict: Verdict, code: ErrorCode) -> None:
        """Note one; a refusal has to tell ``code``."""
        if not verdict.ended:
            self.let_pass[kind].append(what)
            return
        try:
            verdict.require(code)
        except FailedError as error:
            raise FailedError(f"{what}: {error}") from None
        self.refused.add(kind)

    def judge(self) -> None:
        """Return only if it knows a kind, and of each that it knows has refused all."""
        for kind in self.refused & self.let_pass.keys():
            raise FailedError(
                f"it knows {kind.name} and went on after {', '.join(self.let_pass[kind])}"
            )
        if not self.refused:
            raise NotReachedError("it ignores these notices, as it may")


async def bad_ones(
    kit: Dialling, who: str, cases: Sequence[tuple[Kind, str, bytes, ErrorCode]]
) -> Tally:
    """Send each in an open session of its own connection."""
    tally = Tally()
    for kind, what, body, code in cases:
        async with kit.dialogue(who) as dialogue:
            tally.add(kind, what, await tried(dialogue.talk, kind, body), code)
    return tally


async def harmless(kit: Dialling, who: str, *notices: tuple[Kind, bytes]) -> None:
    """Send notices that end no connection, and go on talking."""
    async with kit.dialogue(who) as dialogue:
        for kind, body in notices:
            dialogue.talk.send(dialogue.talk.pack(kind, body))
        await dialogue.acknowledgement(dialogue.say("after some notices"))
        await dialogue.settle()
        await dialogue.leave()


def newcomer(kit: Dialling, what: str) -> str:
    """Name somebody whom nobody has met in an earlier run."""
    return f"kit-{what}-{kit.rng(4).hex()}"


@check(Role.INITIATOR, "R-7.8.1")
async def notices_of_wrong_lengths(kit: Dialling) -> None:
    """A length that a kind of notice does not have: PROTOCOL_VIOLATION, or it ignores the kind."""
    lengths = {
        Kind.CERTIFICATE: (0, 148, 150),
        Kind.REVOKED: (0, 96, NOTICE_MAX_BYTES + 1),
        Kind.COMPARE: (0, NOTICE_MAX_BYTES + 1),
        Kind.LEDGER: (0, 39, 41),
        Kind.TYPING: (0, 2),
    }
    cases = [
        (kind, f"{length} B", bytes(length), VIOLATION)
        for kind, several in lengths.items()
        for length in several
    ]
    (await bad_ones(kit, "kit-misfit", cases)).judge()


@check(Role.INITIATOR, "R-7.8.4", "R-7.8.5")
async def certificates_told(kit: Dialling) -> None:
    """One that is not true: CERTIFICATE_INVALID; a true one is taken, and then no older one."""
    name = newcomer(kit, "certifier")
    who, now_ms = kit.persona(name), kit.clock.wall_ms()
    good = certificate(who, static=who.spare.public, generation=7, **valid(kit))
    old = valid(kit, not_before_ms=now_ms - 98 * DAY_MS, not_after_ms=now_ms - 8 * DAY_MS)
    stranger = kit.persona("kit-somebody-else")
    bodies = {
        "a flipped bit": good[:-1] + bytes([good[-1] ^ 1]),
        "format 2": certificate(who, form=2, generation=7, **valid(kit)),
        "an expired one": certificate(who, generation=7, **old),
        "another identity's": certificate(stranger, generation=7, **valid(kit)),
        "a lower generation": certificate(who, generation=0, **valid(kit)),
    }
    if kit.target.static is not None:
        own = certificate(who, static=kit.target.static, generation=7, **valid(kit))
        bodies["its own static key"] = own
    cases = [(Kind.CERTIFICATE, what, body, INVALID) for what, body in bodies.items()]
    tally = await bad_ones(kit, name, cases)
    async with kit.dialogue(name) as dialogue:
        if (await tried(dialogue.talk, Kind.CERTIFICATE, good)).ended:
            raise FailedError("it refused a true certificate of a later key")
        lower = certificate(who, generation=6, **valid(kit))
        verdict = await tried(dialogue.talk, Kind.CERTIFICATE, lower)
        tally.add(Kind.CERTIFICATE, "one lower than it was told", verdict, INVALID)
    tally.judge()
    await present(kit, who, payload(cert=certificate(who, **valid(kit))), INVALID)


@check(Role.INITIATOR, "R-3.7.3", "R-3.7.4")
async def revocations_told(kit: Dialling) -> None:
    """A false one: PROTOCOL_VIOLATION; of nobody: no matter; a true one: KEY_REVOKED, for good."""
    name = newcomer(kit, "revoked")
    who = kit.persona(name)
    good = revoke(who.identity.seed).encoded
    bodies = {
        "format 2": b"\x02" + good[1:],
        "a flipped bit": good[:-1] + bytes([good[-1] ^ 1]),
    }
    tally = await bad_ones(
        kit, name, [(Kind.REVOKED, what, body, VIOLATION) for what, body in bodies.items()]
    )
    nobody = revoke(kit.persona(newcomer(kit, "nobody")).identity.seed).encoded
    await harmless(kit, name, (Kind.REVOKED, nobody))
    async with kit.dialogue(name) as dialogue:
        verdict = await tried(dialogue.talk, Kind.REVOKED, good)
        tally.add(Kind.REVOKED, "a true one", verdict, REVOKED)
    tally.judge()
    await present(kit, who, payload(cert=certificate(who, **valid(kit))), REVOKED)


@check(Role.INITIATOR, "R-7.8.6", "R-7.8.7")
async def comparisons_out_of_form(kit: Dialling) -> None:
    """Another step or length, or before OPEN: PROTOCOL_VIOLATION; what fits no run: no matter."""
    name, head = "kit-comparer", bytes(HEAD_LEN - 1)
    bodies = {
        "one byte": b"\x01",
        "step 0": b"\x00" + head,
        "step 6": b"\x06" + head,
        "a share of 31 B": b"\x01" + head + bytes(31),
        "a confirmation of 32 B": b"\x03" + head + bytes(32),
        "a CANCEL with a payload": b"\x05" + head + b"\x00",
    }
    tally = await bad_ones(
        kit, name, [(Kind.COMPARE, what, body, VIOLATION) for what, body in bodies.items()]
    )
    cancel = b"\x05" + kit.rng(HEAD_LEN - 1)
    async with kit.talk(name) as talk:
        talk.send(talk.pack(Kind.HELLO, encode_map({"accepted": False})))
        with set_up("its HELLO"):
            await Dialogue(talk, kit.persona(name)).their_hello()
        verdict = await tried(talk, Kind.COMPARE, cancel)
        tally.add(Kind.COMPARE, "one before OPEN", verdict, VIOLATION)
    foreign = b"\x01" + kit.rng(HEAD_LEN - 1 + 32)
    await harmless(kit, name, (Kind.COMPARE, cancel), (Kind.COMPARE, foreign))
    tally.judge()


@check(Role.INITIATOR, "R-8.6.5")
async def ledgers_that_cannot_be(kit: Dialling) -> None:
    """A count above 2^63 - 1: PROTOCOL_VIOLATION; another past than ours ends no connection."""
    name = "kit-historian"
    tally = await bad_ones(
        kit, name, [(Kind.LEDGER, "a count of 2^63", b"\x80" + bytes(39), VIOLATION)]
    )
    await harmless(kit, name, *((Kind.LEDGER, bytes(8) + kit.rng(32)) for _ in range(3)))
    tally.judge()


@check(Role.INITIATOR, "R-7.8.8")
async def typing_of_no_value(kit: Dialling) -> None:
    """A value of 2: PROTOCOL_VIOLATION; 1 and 0 are taken."""
    tally = await bad_ones(kit, "kit-typist", [(Kind.TYPING, "a 2", b"\x02", VIOLATION)])
    await harmless(kit, "kit-typist", (Kind.TYPING, b"\x01"), (Kind.TYPING, b"\x00"))
    tally.judge()
