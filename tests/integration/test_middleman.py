"""A man in the middle of two real nodes over TCP: every attack ends in a named refusal.

In each test Alice and Bob have chatted. Then someone on the path begins to interfere, and both
stored sessions, the trust and what is known of the contact stay as they are, byte for byte;
once he stops, the same session goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from p2pchat.errors import ErrorCode
from p2pchat.node.events import SessionRestarted
from p2pchat.session.events import ConnectionClosed
from p2pchat.session.frames import ClearKind, encode_clear
from p2pchat.session.negotiation import (
    IK_HFS,
    OUR_OFFER,
    XX,
    XX_HFS,
    Offer,
    decode_preamble,
    encode_preamble,
)
from p2pchat.store.ports import Transaction
from p2pchat.store.records import ContactRecord, SessionRecord
from tests.support.middleman import Attack, Flow, Middleman, Side, honest, other
from tests.support.node_world import Person, World, delivered, online, until

ALICE, BOB = Side.DIALLER, Side.LISTENER
V10 = OUR_OFFER.versions


class Scene:
    """Alice, who dials Bob through the middleman."""

    def __init__(self, world: World, alice: Person, bob: Person, middleman: Middleman) -> None:
        self.world = world
        self.alice = alice
        self.bob = bob
        self.middleman = middleman
        self.ends: dict[Side, list[ConnectionClosed]] = {ALICE: [], BOB: []}
        for side, person in ((ALICE, alice), (BOB, bob)):
            self._listen(person, self.ends[side])

    def _listen(self, person: Person, ends: list[ConnectionClosed]) -> None:
        """Hear how each connection of a node ends."""
        reception = person.node._reception
        detached = reception.detached

        def detached_too(link: object, closed: ConnectionClosed) -> None:
            ends.append(closed)
            detached(link, closed)  # type: ignore[arg-type]  # as it came

        reception.detached = detached_too  # type: ignore[method-assign]  # listening in

    async def stored(self, side: Side) -> tuple[ContactRecord, SessionRecord]:
        """What one side has of the other on the disk: the contact and the session.

        Without what a genuine message teaches however the connection ends: the peer's static key
        and time.
        """
        person, contact = (self.alice, "bob") if side is ALICE else (self.bob, "alice")
        number = person.node._book.find(contact).contact_id

        def read(tx: Transaction) -> tuple[ContactRecord, SessionRecord]:
            contact, session = tx.contact(number), tx.session(number)
            assert contact is not None
            assert session is not None
            return replace(contact, static=None, handshake_time_ms=0), session

        return await person.node._env.store.read(read)

    async def prepare(self, *, known: bool, pinned: bool) -> None:
        """Make the next handshake a first or a known one, of a pinned hybrid or not."""
        for person, contact in ((self.alice, "bob"), (self.bob, "alice")):
            peer = person.node._book.find(contact)
            await peer.update(
                lambda record: replace(
                    record, static=record.static if known else None, post_quantum=pinned
                )
            )

    def reconnect(self) -> None:
        """Break the connection; Alice dials anew."""
        for ends in self.ends.values():
            ends.clear()
        link = self.alice.node._book.find("bob").link
        assert link is not None
        link.abort()  # type: ignore[attr-defined]  # a Link

    async def meet_again(self) -> None:
        """Break the connection and wait until there is another, on both sides."""
        peers = [self.alice.node._book.find("bob"), self.bob.node._book.find("alice")]
        old = [peer.link for peer in peers]
        self.reconnect()
        await until(
            lambda: all(
                peer.online and peer.link is not link for peer, link in zip(peers, old, strict=True)
            )
        )

    async def refusal(self, side: Side) -> ConnectionClosed:
        """Wait until one side has refused on its own account, and return how."""
        found: list[ConnectionClosed] = []

        def has_refused() -> bool:
            found[:] = [
                end
                for end in self.ends[side]
                if not end.by_peer and not end.clean and end.code is not ErrorCode.TRUNCATED
            ]
            return bool(found)

        await until(has_refused)
        return found[0]

    async def chat_on(self) -> None:
        """The middleman stops: what waits arrives, in the same session."""
        self.middleman.attack = honest
        self.alice.node.retry("bob")
        await online(self.alice, "bob")
        await online(self.bob, "alice")
        await self.alice.node.send("bob", "he is gone")
        await self.bob.node.send("alice", "good")
        await delivered(self.alice, "bob")
        await delivered(self.bob, "alice")
        for person in (self.alice, self.bob):
            assert not [event for event in person.events if isinstance(event, SessionRestarted)]


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    world = World(tmp_path, network=None)
    alice, bob = world.person("alice"), world.person("bob")
    await alice.start(listen=False)
    await bob.start(dial=False)
    async with Middleman(bob.listen) as middleman:
        await bob.node.add_contact(alice.node.identity().link)
        await alice.node.add_contact(bob.node.identity().link)
        await alice.node.set_addresses("bob", [middleman.address])
        await online(alice, "bob")
        await online(bob, "alice")
        await alice.node.send("bob", "hello")
        await bob.node.send("alice", "hello too")
        await delivered(alice, "bob")
        await delivered(bob, "alice")
        scene = Scene(world, alice, bob, middleman)
        try:
            if not middleman.flows:
                await scene.meet_again()
            yield scene
        finally:
            await world.close()


def on(side: Side, number: int, change: Callable[[bytes], bytes]) -> Attack:
    """Change one piece of one side on every connection."""

    def attack(flow: Flow, sender: Side, count: int, piece: bytes) -> None:
        if (sender, count) == (side, number):
            piece = change(piece)
        flow.give(other(sender), piece)

    return attack


def preamble(suite: int | None, offer: Offer) -> Callable[[bytes], bytes]:
    """Put another offer into the preamble, and another suite unless None."""

    def change(piece: bytes) -> bytes:
        before = decode_preamble(piece)
        return encode_preamble(before.suite if suite is None else suite, offer)

    return change


def cut(piece: bytes) -> bytes:
    """Take the last byte of a frame, and say so in its length."""
    return (len(piece) - 3).to_bytes(2, "big") + piece[2:-1]


def strip_hybrid(flow: Flow, sender: Side, number: int, piece: bytes) -> None:
    """Make Bob believe in a classical peer, from the preamble to the size of the first message."""
    if (sender, number) == (ALICE, 0):
        piece = encode_preamble(XX.number, Offer(V10, (1, 2)))
    elif (sender, number) == (ALICE, 1):
        piece = encode_clear(ClearKind.NOISE, piece[3 : 3 + 32])
    flow.give(other(sender), piece)


def strip_hybrid_and_let_bob_ask(flow: Flow, sender: Side, number: int, piece: bytes) -> None:
    """Leave the first message as it is: Bob cannot read it and asks for the weaker one himself."""
    if (sender, number) == (ALICE, 0):
        piece = encode_preamble(decode_preamble(piece).suite, Offer(V10, (1, 2)))
    flow.give(other(sender), piece)


def forge_retry(suite: int) -> Attack:
    """Answer the first message in Bob's name, and let him see the second one as the first."""

    def attack(flow: Flow, sender: Side, number: int, piece: bytes) -> None:
        match sender, number:
            case Side.DIALLER, 0:
                offer = Offer(V10, (1, 2)) if suite == XX.number else OUR_OFFER
                flow.give(BOB, encode_preamble(suite, offer))
            case Side.DIALLER, 1:
                flow.give(ALICE, encode_clear(ClearKind.RETRY, suite.to_bytes(2, "big")))
            case _:
                flow.give(other(sender), piece)

    return attack


def reflect(side: Side, number: int) -> Attack:
    """Send one piece back to where it came from, in place of an answer."""

    def attack(flow: Flow, sender: Side, count: int, piece: bytes) -> None:
        back = (sender, count) == (side, number)
        flow.give(sender if back else other(sender), piece)

    return attack


UNREADABLE = ErrorCode.HANDSHAKE_FAILED
VIOLATION = ErrorCode.PROTOCOL_VIOLATION
UNSUPPORTED = ErrorCode.UNSUPPORTED_VERSION

# Name: attack, with a known peer, hybrid pinned, who refuses, and what he calls it.
ATTACKS: dict[str, tuple[Attack, bool, bool, Side, ErrorCode]] = {
    "offers removed, XX": (
        on(ALICE, 0, preamble(None, Offer(V10, (0x0101,)))), False, True, ALICE, UNREADABLE),
    "offers removed, IK": (
        on(ALICE, 0, preamble(None, Offer(V10, (0x0101,)))), True, True, ALICE, UNREADABLE),
    "all suites but one removed, IK": (
        on(ALICE, 0, preamble(None, Offer(V10, (0x0102,)))), True, True, BOB, UNREADABLE),
    "offers added, XX": (
        on(ALICE, 0, preamble(None, Offer(V10, (0x0101, 0x0102), (9,)))),
        False, True, ALICE, UNREADABLE),
    "major version lowered, XX": (
        on(ALICE, 0, preamble(None, Offer(((0, 9),), OUR_OFFER.suites))),
        False, True, BOB, UNSUPPORTED),
    "major version lowered, IK": (
        on(ALICE, 0, preamble(None, Offer(((0, 9),), OUR_OFFER.suites))),
        True, True, BOB, UNSUPPORTED),
    "hybrid stripped, XX": (strip_hybrid, False, False, ALICE, UNREADABLE),
    "hybrid stripped, XX, pinned": (strip_hybrid, False, True, ALICE, UNREADABLE),
    "hybrid stripped, XX, by Bob's RETRY": (
        strip_hybrid_and_let_bob_ask, False, False, ALICE, UNREADABLE),
    "hybrid stripped, XX, by Bob's RETRY, pinned": (
        strip_hybrid_and_let_bob_ask, False, True, ALICE, VIOLATION),
    "hybrid stripped, IK, by Bob's RETRY": (
        strip_hybrid_and_let_bob_ask, True, False, ALICE, UNREADABLE),
    "hybrid stripped, IK, by Bob's RETRY, pinned": (
        strip_hybrid_and_let_bob_ask, True, True, ALICE, VIOLATION),
    "RETRY forged, IK": (forge_retry(XX_HFS.number), True, True, ALICE, UNREADABLE),
    "RETRY forged, XX": (forge_retry(XX_HFS.number), False, True, ALICE, VIOLATION),
    "RETRY forged for the weaker class, IK": (
        forge_retry(XX.number), True, False, ALICE, UNREADABLE),
    "RETRY forged for the weaker class, IK, pinned": (
        forge_retry(XX.number), True, True, ALICE, VIOLATION),
    "RETRY forged for the weaker class, XX": (
        forge_retry(XX.number), False, False, ALICE, UNREADABLE),
    "first message reflected, XX": (reflect(ALICE, 1), False, True, ALICE, UNREADABLE),
    "first message reflected, IK": (reflect(ALICE, 1), True, True, ALICE, UNREADABLE),
    "answer reflected, XX": (reflect(BOB, 0), False, True, BOB, UNREADABLE),
    "answer reflected, IK": (reflect(BOB, 0), True, True, BOB, VIOLATION),
    "last message reflected, XX": (reflect(ALICE, 2), False, True, ALICE, VIOLATION),
    "greeting reflected, IK": (reflect(ALICE, 2), True, True, ALICE, VIOLATION),
    "first message truncated, XX": (on(ALICE, 1, cut), False, True, BOB, UNREADABLE),
    "first message truncated, IK": (on(ALICE, 1, cut), True, True, ALICE, UNREADABLE),
    "answer truncated, XX": (on(BOB, 0, cut), False, True, ALICE, UNREADABLE),
    "answer truncated, IK": (on(BOB, 0, cut), True, True, ALICE, UNREADABLE),
    "last message truncated, XX": (on(ALICE, 2, cut), False, True, BOB, UNREADABLE),
    "greeting truncated, IK": (on(ALICE, 2, cut), True, True, BOB, VIOLATION),
    "his greeting truncated, IK": (on(BOB, 1, cut), True, True, ALICE, VIOLATION),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
async def test_an_attack_on_the_handshake(scene: Scene, name: str) -> None:
    """R-4.3.4, R-4.3.6, R-5.2.5, R-5.4.3, R-5.6.3, R-5.6.4, R-7.1.1."""
    attack, known, pinned, refuser, code = ATTACKS[name]
    await scene.prepare(known=known, pinned=pinned)
    before = [await scene.stored(side) for side in Side]
    scene.middleman.attack = attack
    scene.reconnect()
    end = await scene.refusal(refuser)
    assert end.code is code
    assert [await scene.stored(side) for side in Side] == before
    await scene.chat_on()


@pytest.mark.parametrize("known", [False, True])
async def test_a_minor_version_lowered(
    scene: Scene, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R-4.3.4, R-13.1.1: between two of a later version."""
    later = Offer(((1, 3),), OUR_OFFER.suites)
    monkeypatch.setattr("p2pchat.node.credentials.OUR_OFFER", later)
    await scene.prepare(known=known, pinned=False)
    before = [await scene.stored(side) for side in Side]
    scene.middleman.attack = on(ALICE, 0, preamble(None, OUR_OFFER))
    scene.reconnect()
    assert (await scene.refusal(ALICE)).code is UNREADABLE
    assert [await scene.stored(side) for side in Side] == before
    await scene.chat_on()
    proof = scene.bob.node._book.find("alice").link.proof  # type: ignore[union-attr]  # a Link
    assert proof is not None
    assert proof.version == (1, 3)


@pytest.mark.parametrize("known", [False, True])
async def test_the_first_message_replayed_in_place_of_a_new_one(scene: Scene, known: bool) -> None:
    """R-5.6.1, R-5.6.4: the old one is genuine, and the other side is really there."""
    await scene.prepare(known=known, pinned=True)
    await scene.meet_again()
    recorded = scene.middleman.flows[-1].sent[ALICE][:2]
    suite = IK_HFS if known else XX_HFS
    assert decode_preamble(recorded[0]).suite == suite.number
    await scene.prepare(known=known, pinned=True)
    before = [await scene.stored(side) for side in Side]
    scene.middleman.attack = on(ALICE, 1, lambda _: recorded[1])
    scene.reconnect()
    assert (await scene.refusal(ALICE)).code is UNREADABLE
    assert [await scene.stored(side) for side in Side] == before
    await scene.chat_on()


async def test_a_whole_recorded_connection_replayed_beside_the_live_one(scene: Scene) -> None:
    """R-5.4.8, R-5.6.1: Bob asks again, and nothing recorded is an answer to that."""
    await scene.meet_again()
    await scene.alice.node.send("bob", "recorded")
    await delivered(scene.alice, "bob")
    recorded = list(scene.middleman.flows[-1].sent[ALICE])
    assert decode_preamble(recorded[0]).suite == IK_HFS.number
    live = scene.bob.node._book.find("alice").link
    before = [await scene.stored(side) for side in Side]
    scene.ends[BOB].clear()
    host, port = scene.bob.listen.rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"".join(recorded))
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    assert answer[:5] == encode_clear(ClearKind.RETRY, XX_HFS.number.to_bytes(2, "big"))
    assert (await scene.refusal(BOB)).code in (UNREADABLE, VIOLATION)
    assert scene.bob.node._book.find("alice").link is live
    assert [await scene.stored(side) for side in Side] == before
    await scene.chat_on()
    assert scene.bob.arrived().count("recorded") == 1


# --- An open connection -----------------------------------------------------------------------


class Interfering:
    """Does something to the frames that Alice sends from a moment on."""

    def __init__(self, change: Callable[[list[bytes]], list[bytes]], wanted: int) -> None:
        self._change = change
        self._wanted = wanted
        self._held: list[bytes] = []
        self.done = False

    def __call__(self, flow: Flow, sender: Side, number: int, piece: bytes) -> None:
        if sender is BOB or self.done:
            flow.give(other(sender), piece)
            return
        self._held.append(piece)
        if len(self._held) == self._wanted:
            self.done = True
            for changed in self._change(self._held):
                flow.give(BOB, changed)


FRAME_ATTACKS: dict[str, tuple[Callable[[list[bytes]], list[bytes]], int]] = {
    "reordered": (lambda frames: [frames[1], frames[0]], 2),
    "repeated": (lambda frames: [frames[0], frames[0]], 1),
    "dropped": (lambda frames: [frames[1]], 2),
    "truncated": (lambda frames: [cut(frames[0])], 1),
    "one bit": (lambda frames: [frames[0][:-1] + bytes([frames[0][-1] ^ 1])], 1),
    "cut to nothing": (lambda _: [b"\x00\x00"], 1),
}


@pytest.mark.parametrize("name", FRAME_ATTACKS)
async def test_frames_of_an_open_connection(scene: Scene, name: str) -> None:
    """R-7.1.1, R-4.1.1: what came before is kept; then it ends, and each text arrives once."""
    change, wanted = FRAME_ATTACKS[name]
    before = await scene.stored(BOB)
    scene.ends[BOB].clear()
    scene.middleman.attack = Interfering(change, wanted)
    await asyncio.gather(
        *(scene.alice.node.send("bob", f"number {number}") for number in range(wanted + 1))
    )
    await scene.alice.node.send("bob", "one more")
    end = await scene.refusal(BOB)
    assert end.code is VIOLATION
    contact, session = await scene.stored(BOB)
    if name == "repeated":  # the first one of the two is genuine, and counts
        contact = replace(contact, unread=before[0].unread)
    else:
        assert session == before[1]
    assert contact == before[0]
    await scene.chat_on()
    texts = await scene.bob.texts("alice")
    assert len(texts) == len(set(texts)) == wanted + 4


async def test_frames_reflected_on_an_open_connection(scene: Scene) -> None:
    """R-7.1.1: each direction has its own key."""
    scene.ends[ALICE].clear()

    def attack(flow: Flow, sender: Side, number: int, piece: bytes) -> None:
        flow.give(sender, piece)

    scene.middleman.attack = attack
    before = await scene.stored(BOB)
    await scene.alice.node.send("bob", "to myself?")
    assert (await scene.refusal(ALICE)).code is VIOLATION
    assert await scene.stored(BOB) == before
    await scene.chat_on()


async def test_an_end_without_goodbye_is_told_from_an_orderly_one(scene: Scene) -> None:
    """R-7.5.2: in the middle of a frame; both sides call it truncated."""
    before = [await scene.stored(side) for side in Side]
    for ends in scene.ends.values():
        ends.clear()
    flow = scene.middleman.flows[-1]
    flow.give(ALICE, b"\x01\x10half of it")
    flow.cut(ALICE)
    flow.cut(BOB)
    await until(lambda: all(scene.ends.values()))
    for ends in scene.ends.values():
        assert (ends[0].code, ends[0].clean) == (ErrorCode.TRUNCATED, False)
    assert [await scene.stored(side) for side in Side] == before
    await scene.chat_on()
