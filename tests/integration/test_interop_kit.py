"""The checker against ourselves and against peers that break the rules (protocol.md §4 to §10).

Every variant of a misbehaving peer is our own Connection with one rule taken out, so that the
kit has to find that rule and no other.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from p2pchat.constants import KEY_LEN
from p2pchat.crypto import x25519
from p2pchat.crypto.x25519 import KeyPair
from p2pchat.errors import InvalidKeyError, UnreachableError
from p2pchat.identity.certificate import Certificate, parse_and_verify
from p2pchat.interop.check import command, dialler, listener
from p2pchat.interop.check.registry import Role, checks_of
from p2pchat.interop.check.requirements import ELSEWHERE
from p2pchat.interop.peer import Contact, ScriptedPeer
from p2pchat.interop.peer_notices import learned
from p2pchat.interop.personas import persona, seeded_rng
from p2pchat.node.clock import SystemClock
from p2pchat.node.events import ContactRequested, MessageArrived
from p2pchat.session.authentication import Authentication
from p2pchat.session.events import Answer, AskAgain, FirstMessageRead, PeerAuthenticated
from p2pchat.session.frames import decode_inner, encode_inner, encode_refusal
from p2pchat.session.greeting import Announcement
from p2pchat.session.messages import Text
from p2pchat.session.notices import Notice
from p2pchat.session.opening import Opening
from p2pchat.session.outgoing import Outgoing
from p2pchat.transport.memory import MemoryNetwork
from p2pchat.transport.tcp import TcpTransport
from tests.support.net_random import seeded_rng as network_rng
from tests.support.node_world import QUICK, Person, World

HERE = "target:1"
SEED = "test"
QUICKLY_S = 2.0
"""A patience that leaves out what waits for deadlines."""


class Outcome:
    """A report, read back."""

    def __init__(self, code: int, lines: list[str]) -> None:
        self.code = code
        objects = [json.loads(line) for line in lines]
        self.counts = objects[-1]
        self.lines = {one["requirement"]: one for one in objects if "requirement" in one}

    def of(self, outcome: str) -> set[str]:
        return {name for name, one in self.lines.items() if one["outcome"] == outcome}

    def why(self) -> str:
        """What failed, for pytest to show."""
        return "\n".join(f"{n} {self.lines[n]['detail']}" for n in sorted(self.of("failed")))


def scripted(kind: type[ScriptedPeer] = ScriptedPeer) -> ScriptedPeer:
    peer = kind(
        persona("kit-peer", SEED),
        clock=SystemClock(),
        rng=seeded_rng("a test's peer"),
        say=lambda _: None,
    )
    peer.redial_s = 0.0
    return peer


async def check_listening(
    peer: ScriptedPeer, *, patience: float = QUICKLY_S, only: frozenset[str] = frozenset()
) -> Outcome:
    """Dial a scripted peer and check it."""
    network = MemoryNetwork(network_rng(1))
    lines: list[str] = []
    async with asyncio.TaskGroup() as group:
        bound = await network.transport("target").listen(
            HERE, lambda stream: ignore(group.create_task(peer.serve(stream, initiator=False)))
        )
        code = await command.check(
            HERE,
            listens=False,
            seed=SEED,
            patience=patience,
            as_json=True,
            write=lines.append,
            transport=network.transport("kit"),
            pace=0.0,
            only=only,
        )
        await bound.aclose()
    return Outcome(code, lines)


async def check_dialling(
    peer: ScriptedPeer,
    *,
    patience: float = QUICKLY_S,
    only: frozenset[str] = frozenset(),
    expects: bool = True,
) -> Outcome:
    """Let a scripted peer dial the checker."""
    network = MemoryNetwork(network_rng(2))
    lines: list[str] = []
    host = persona(listener.HOST, SEED).identity.public if expects else None
    async with asyncio.TaskGroup() as group:
        dialling = group.create_task(peer.dial(network.transport("target"), "kit:1", host))
        code = await command.check(
            "kit:1",
            listens=True,
            seed=SEED,
            patience=patience,
            as_json=True,
            write=lines.append,
            transport=network.transport("kit"),
            only=only,
        )
        dialling.cancel()
    return Outcome(code, lines)


def ignore(_: object) -> None:
    """Take what nobody waits for: the task group does."""


# --- Ourselves ------------------------------------------------------------------------------------

UNSEEN_OF_SCRIPTED = {
    "R-7.4.1",  # these two and the next wait for deadlines
    "R-7.4.3",
    "R-7.4.4",
}


def all_judged(role: Role) -> set[str]:
    return set(command.judged(role))


@pytest.mark.slow
async def test_our_scripted_peer_as_the_responder() -> None:
    outcome = await check_listening(scripted())
    assert outcome.of("failed") == set(), outcome.why()
    assert outcome.code == 0
    assert all_judged(Role.INITIATOR) - outcome.of("passed") == UNSEEN_OF_SCRIPTED


@pytest.mark.slow
async def test_our_scripted_peer_as_the_initiator() -> None:
    outcome = await check_dialling(scripted())
    assert outcome.of("failed") == set(), outcome.why()
    assert outcome.code == 0
    assert all_judged(Role.RESPONDER) - outcome.of("passed") == {"R-7.4.4"}


@pytest.mark.slow
async def test_our_scripted_peer_keeps_its_deadlines() -> None:
    """R-7.4.1, R-7.4.3, R-7.4.4."""
    only = frozenset({"R-7.4.1", "R-7.4.3", "R-7.4.4"})
    async with asyncio.TaskGroup() as group:
        ours = group.create_task(check_listening(scripted(), patience=50.0, only=only))
        theirs = group.create_task(check_dialling(scripted(), patience=50.0, only=only))
    assert only <= ours.result().of("passed"), ours.result().why()
    assert "R-7.4.4" in theirs.result().of("passed"), theirs.result().why()


class EchoingNode:
    """A node whose person accepts everybody and repeats what they say."""

    def __init__(self, who: Person) -> None:
        self.who = who

    async def run(self) -> None:
        node = self.who.node
        async for event in node.subscribe():
            match event:
                case ContactRequested(contact):
                    await node.accept(contact.peer_id)
                case MessageArrived(message):
                    await node.send(message.contact, message.text)
                case _:
                    pass


@pytest.mark.slow
async def test_our_node_as_the_responder(tmp_path: Path) -> None:
    world = World(tmp_path, network=None, config=QUICK)
    lines: list[str] = []
    try:
        alice = world.person("alice")
        await alice.start()
        async with asyncio.TaskGroup() as group:
            echo = group.create_task(EchoingNode(alice).run())
            code = await command.check(
                alice.listen,
                listens=False,
                seed=SEED,
                patience=20.0,
                as_json=True,
                write=lines.append,
            )
            echo.cancel()
    finally:
        await world.close()
    outcome = Outcome(code, lines)
    assert outcome.of("failed") == set(), outcome.why()
    assert all_judged(Role.INITIATOR) - outcome.of("passed") <= {"R-7.4.3"}


@pytest.mark.slow
async def test_our_node_as_the_initiator(tmp_path: Path) -> None:
    world = World(tmp_path, network=None, config=QUICK)
    lines: list[str] = []
    try:
        alice = world.person("alice")
        await alice.start()
        async with asyncio.TaskGroup() as group:
            echo = group.create_task(EchoingNode(alice).run())

            def write(line: str) -> None:
                lines.append(line)
                if "link" in (told := json.loads(line)):
                    ignore(group.create_task(alice.node.add_contact(told["link"])))

            code = await command.check(
                "127.0.0.1:0", listens=True, seed=SEED, patience=20.0, as_json=True, write=write
            )
            echo.cancel()
    finally:
        await world.close()
    outcome = Outcome(code, lines)
    assert outcome.of("failed") == set(), outcome.why()
    assert all_judged(Role.RESPONDER) - outcome.of("passed") == set()


# --- Peers that break a rule ----------------------------------------------------------------------

Break = Callable[[pytest.MonkeyPatch], type[ScriptedPeer]]


def lax_padding(patch: pytest.MonkeyPatch) -> type[ScriptedPeer]:
    def read(plaintext: bytes) -> tuple[int, bytes]:
        end = 3 + int.from_bytes(plaintext[1:3], "big")
        return plaintext[0], plaintext[3:end]

    patch.setattr("p2pchat.session.records.decode_inner", read)
    return ScriptedPeer


def padding_of_ones(patch: pytest.MonkeyPatch) -> type[ScriptedPeer]:
    def write(kind: int, body: bytes, *, at_least: int) -> bytes:
        good = encode_inner(kind, body, at_least=at_least)
        return good[: 3 + len(body)].ljust(len(good), b"\x01")

    patch.setattr("p2pchat.session.records.encode_inner", write)
    return ScriptedPeer


def no_padding(patch: pytest.MonkeyPatch) -> type[ScriptedPeer]:
    def write(kind: int, body: bytes, *, at_least: int) -> bytes:
        return encode_inner(kind, body, at_least=at_least)[: 3 + len(body)]

    patch.setattr("p2pchat.session.records.encode_inner", write)
    return ScriptedPeer


def talks_to_strangers(patch: pytest.MonkeyPatch) -> type[ScriptedPeer]:
    """A refusal even for who has not sent the magic."""

    def refuse(self: Any, code: Any, *, now: float) -> None:
        del now
        self._outgoing.clear_bytes(encode_refusal(code))

    patch.setattr(Opening, "refuse", refuse)
    return ScriptedPeer


def no_clock(patch: pytest.MonkeyPatch) -> type[ScriptedPeer]:
    def read(encoded: bytes, *, now_ms: int) -> Any:
        del now_ms
        return parse_and_verify(encoded, now_ms=int.from_bytes(encoded[69:77], "big"))

    patch.setattr("p2pchat.session.credentials.parse_and_verify", read)
    return ScriptedPeer


def low_order_points(patch: pytest.MonkeyPatch) -> type[ScriptedPeer]:
    def dh(self: KeyPair, public: bytes) -> bytes:
        try:
            return x25519.dh(self.private, public)
        except InvalidKeyError:
            return bytes(KEY_LEN)

    patch.setattr(KeyPair, "dh", dh)
    return ScriptedPeer


def no_pin(patch: pytest.MonkeyPatch) -> type[ScriptedPeer]:
    del patch

    class Forgetful(ScriptedPeer):
        def _admit(self, link: Any, event: PeerAuthenticated) -> Any:
            self._contact(event.identity).post_quantum = False
            answer = super()._admit(link, event)
            self._contact(event.identity).post_quantum = False
            return answer

    return Forgetful


def answers_replays(patch: pytest.MonkeyPatch) -> type[ScriptedPeer]:
    del patch

    class Trusting(ScriptedPeer):
        def _judge(self, event: FirstMessageRead) -> Answer | AskAgain:
            del event
            return Answer()

    return Trusting


def repeats_itself(patch: pytest.MonkeyPatch) -> type[ScriptedPeer]:
    del patch

    class Forgetful(ScriptedPeer):
        def _on_text(self, link: Any, text: Text) -> None:
            self._contact_of(link).seen.clear()
            super()._on_text(link, text)

    return Forgetful


def any_generation(patch: pytest.MonkeyPatch) -> type[ScriptedPeer]:
    del patch

    class Forgetful(ScriptedPeer):
        def _contact(self, identity: bytes) -> Contact:
            contact = super()._contact(identity)
            contact.generation = 0
            return contact

    return Forgetful


def setting(name: str, value: object) -> Break:
    """Break a rule by a figure."""

    def patch_it(patch: pytest.MonkeyPatch) -> type[ScriptedPeer]:
        patch.setattr(name, value)
        return ScriptedPeer

    return patch_it


def clear_refusals(patch: pytest.MonkeyPatch) -> type[ScriptedPeer]:
    patch.setattr(Authentication, "refusal_cipher", lambda _: None)
    return ScriptedPeer


def any_succession(patch: pytest.MonkeyPatch) -> type[ScriptedPeer]:
    patch.setattr("p2pchat.session.greeting._announcement", lambda _: Announcement())
    return ScriptedPeer


def wordless(patch: pytest.MonkeyPatch) -> type[ScriptedPeer]:
    patch.setattr(Outgoing, "goodbye", lambda _, code: ignore(code))
    return ScriptedPeer


def resumes_anything(patch: pytest.MonkeyPatch) -> type[ScriptedPeer]:
    patch.setattr("p2pchat.session.delivery.can_resume", lambda *_: True)
    return ScriptedPeer


def told_any_generation(patch: pytest.MonkeyPatch) -> type[ScriptedPeer]:
    def lax(notice: Notice, sender: bytes, **known: Any) -> Certificate | None:
        return learned(notice, sender, **known | {"generation": 0})

    patch.setattr("p2pchat.interop.peer.learned", lax)
    return ScriptedPeer


def compares_at_once(patch: pytest.MonkeyPatch) -> type[ScriptedPeer]:
    def lax(notice: Notice, sender: bytes, **known: Any) -> Certificate | None:
        return learned(notice, sender, **known | {"is_open": True})

    patch.setattr("p2pchat.interop.peer.learned", lax)
    return ScriptedPeer


def forgets_revocations(patch: pytest.MonkeyPatch) -> type[ScriptedPeer]:
    del patch

    class Forgetful(ScriptedPeer):
        def _admit(self, link: Any, event: PeerAuthenticated) -> Any:
            self._contact(event.identity).revoked = False
            return super()._admit(link, event)

    return Forgetful


BROKEN: dict[str, tuple[Break, set[str]]] = {
    "takes any padding": (lax_padding, {"R-7.2.2"}),
    "pads with ones": (padding_of_ones, {"R-7.2.1"}),
    "does not pad": (no_padding, {"R-7.2.1"}),
    "answers another protocol": (talks_to_strangers, {"R-4.2.1", "R-4.4.3"}),
    "has no calendar": (no_clock, {"R-3.3.4"}),
    "takes low-order points": (low_order_points, {"R-2.2.1", "R-5.1.6"}),
    "forgets that it spoke hybrid": (no_pin, {"R-4.3.6"}),
    "answers a replay": (answers_replays, {"R-5.6.1"}),
    "forgets message ids": (repeats_itself, {"R-8.5.4"}),
    "takes any succession": (any_succession, {"R-3.7.9"}),
    "takes an old certificate": (any_generation, {"R-3.3.5"}),
    "ignores every unknown kind": (
        setting("p2pchat.session.exchange.OPTIONAL_KINDS_FROM", 0),
        {"R-7.3.2"},
    ),
    "never changes its key": (
        setting("p2pchat.session.records.REKEY_FRAMES", 10**6),
        {"R-7.6.1"},
    ),
    "lets others keep their key": (
        setting("p2pchat.session.records.REKEY_TOLERATED_FRAMES", 10**6),
        {"R-7.6.2"},
    ),
    "refuses message 3 in the clear": (clear_refusals, {"R-5.4.6"}),
    "hangs up without a word": (wordless, {"R-7.1.1", "R-7.5.1"}),
    "resumes what does not fit": (resumes_anything, {"R-8.4.2"}),
    "takes any generation that it is told": (told_any_generation, {"R-7.8.4"}),
    "forgets a revocation": (forgets_revocations, {"R-3.7.4"}),
    "compares before it has agreed": (compares_at_once, {"R-7.8.7"}),
}
CONTROL = {"R-4.2.4", "R-13.1.1", "R-7.4.2"}
"""Kept by all of them, but for those whose frames cannot be read."""
BLINDING = {"pads with ones", "does not pad"}


@pytest.mark.parametrize(
    "name",
    [
        name if number % 15 == 0 else pytest.param(name, marks=pytest.mark.slow)
        for number, name in enumerate(BROKEN)
    ],
)
async def test_a_broken_rule_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    breaks, ids = BROKEN[name]
    peer = scripted(breaks(monkeypatch))
    outcome = await check_listening(peer, only=frozenset(ids | CONTROL))
    assert outcome.code == 1
    assert ids <= outcome.of("failed"), outcome.lines
    if name not in BLINDING:
        assert outcome.of("passed") >= CONTROL, outcome.why()


async def test_an_initiator_that_takes_anybody_is_found() -> None:
    """R-5.4.5."""
    only = frozenset({"R-5.4.5", "R-3.6.2", "R-7.4.2"})
    outcome = await check_dialling(scripted(), only=only, expects=False)
    assert outcome.of("failed") == {"R-5.4.5", "R-3.6.2"}, outcome.why()


@pytest.mark.parametrize(
    ("breaks", "ids"),
    [
        (no_pin, {"R-4.3.6"}),
        (low_order_points, {"R-2.2.1", "R-5.1.6"}),
        (no_clock, {"R-3.3.4"}),
        (lax_padding, {"R-7.2.2"}),
    ],
    ids=["no pin", "low-order points", "no calendar", "any padding"],
)
async def test_an_initiator_that_breaks_a_rule_is_found(
    breaks: Break, ids: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = scripted(breaks(monkeypatch))
    outcome = await check_dialling(peer, only=frozenset(ids | {"R-7.4.2"}))
    assert ids <= outcome.of("failed"), outcome.lines
    assert "R-7.4.2" not in outcome.of("failed"), outcome.why()


async def test_nothing_is_concluded_from_a_port_that_hangs_up() -> None:
    network = MemoryNetwork(network_rng(3))
    bound = await network.transport("target").listen(HERE, lambda stream: stream.abort())
    lines: list[str] = []
    code = await command.check(
        HERE,
        listens=False,
        seed=SEED,
        patience=QUICKLY_S,
        as_json=True,
        write=lines.append,
        transport=network.transport("kit"),
        pace=0.0,
        only=frozenset({"R-5.5.1", "R-7.2.2", "R-8.5.3"}),
    )
    await bound.aclose()
    outcome = Outcome(code, lines)
    assert code == 1
    assert "R-5.5.1" in outcome.of("failed")
    assert {"R-7.2.2", "R-8.5.3"} <= outcome.of("not reached")


async def test_nobody_there() -> None:
    with pytest.raises(UnreachableError):
        await command.check(
            "127.0.0.1:1",
            listens=False,
            seed=SEED,
            patience=QUICKLY_S,
            as_json=False,
            write=lambda _: None,
            transport=TcpTransport(),
        )


async def test_nobody_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "FIRST_DIAL_S", 0.05)
    with pytest.raises(UnreachableError, match="nobody dialled"):
        await command.check(
            "127.0.0.1:0",
            listens=True,
            seed=SEED,
            patience=QUICKLY_S,
            as_json=False,
            write=lambda _: None,
        )


def test_pieces_that_the_tests_take_apart_are_there() -> None:
    """The checks that others build on exist, and what cannot be seen is not also checked."""
    names = {check.name for check in checks_of(Role.INITIATOR)}
    assert names >= dialler.GROUND
    judged = all_judged(Role.INITIATOR) | all_judged(Role.RESPONDER)
    assert judged.isdisjoint(ELSEWHERE)
    assert decode_inner(encode_inner(1, b"12345678")) == (1, b"12345678")
