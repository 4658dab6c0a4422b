"""Two Connections, two stores, and everything that can happen to them (protocol.md §8).

Invariants: each message is in the peer's store at most once, in order, and as it was written; a
forgery never reaches a store; what a side believes delivered, the other has stored; nothing leaves
before it is stored; the window holds; no key meets a nonce twice. At the end, and whenever the wire
heals, everything written arrives (R-8.2.1, R-8.2.2, R-8.4.3, R-8.4.4, R-8.5.1, R-8.5.4).

A rolled-back store begins a new *era*: what only the lost time knew may be lost with it, so the
strict order holds within an era. A rollback that the peer cannot notice makes the ratchet derive
message keys of the lost time again; their nonces are random, so that the last invariant holds
even then.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from p2pchat.crypto import aead
from p2pchat.ratchet.header import PREFIX_LEN
from p2pchat.ratchet.state import ASSOCIATED_DATA_LEN
from p2pchat.session import delivery
from p2pchat.session.events import (
    MessageReceived,
    MessagesDelivered,
    MessageSealed,
    SessionResumed,
    SessionStarted,
)
from p2pchat.session.frames import Kind, decode_inner
from p2pchat.session.messages import Text
from tests.support.pairs import frames_of
from tests.support.shells import Disk, Link, Shell, make_link

WINDOW = 5
"""Small, so that it fills up; the real one is tested by unit tests."""
HEADER_AT = 13
"""An envelope is version ‖ 12-byte nonce ‖ sealed header ‖ sealed body (protocol.md §6.3)."""
Seal = tuple[bytes, bytes]


class Witness:
    """Sees all that is sealed: under which key and nonce, and whether its sender has stored it.

    The ratchet seals when a message is written; until it is committed and sent, a crash may undo
    that. So its seals count from the transport frame on that carries them.
    """

    def __init__(self) -> None:
        self.disk_of_sender: Callable[[], Disk] = Disk
        self.left: dict[Seal, Seal] = {}
        self.waiting: dict[bytes, tuple[Seal, Seal]] = {}

    def sealed(self, pair: Seal, content: Seal, ciphertext: bytes) -> None:
        plaintext, associated_data = content
        if len(associated_data) >= ASSOCIATED_DATA_LEN:
            self.waiting[ciphertext] = pair, content
            return
        assert pair not in self.left, "the connection's encryption used a nonce twice"
        self.left[pair] = content
        if associated_data == b"":
            self.frame_leaves(*decode_inner(plaintext))

    def frame_leaves(self, kind: int, body: bytes) -> None:
        disk = self.disk_of_sender()
        if kind == Kind.ACK:
            assert int.from_bytes(body, "big") <= disk.received, "it left before its commit"
        elif kind == Kind.RATCHET:
            assert disk.session is not None
            durable = {item.envelope for item in disk.session[1]}
            assert body[8:] in durable, "it left before its commit"
            self.leaves(body[8 + HEADER_AT : 8 + PREFIX_LEN])
            self.leaves(body[8 + PREFIX_LEN :])

    def leaves(self, ciphertext: bytes) -> None:
        pair, content = self.waiting[ciphertext]
        assert self.left.setdefault(pair, content) == content, "the ratchet used a nonce twice"

    def cipher(self) -> type:
        record = self.sealed

        class Recording:
            def __init__(self, key: bytes) -> None:
                self._key = bytes(key)
                self._real = ChaCha20Poly1305(key)

            def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes) -> bytes:
                ciphertext = self._real.encrypt(nonce, data, associated_data)
                record((self._key, nonce), (data, associated_data), ciphertext)
                return ciphertext

            def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes) -> bytes:
                return self._real.decrypt(nonce, data, associated_data)

        return Recording


class TwoConnections(RuleBasedStateMachine):
    """Sides are 0 and 1; ``wire[side]`` is on its way to that side."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.witness = Witness()
        self.patch.setattr(aead, "ChaCha20Poly1305", self.witness.cipher())
        self.patch.setattr(delivery, "SEND_WINDOW", WINDOW)
        self.link: Link = make_link()
        self.shells: tuple[Shell, Shell] = (self.link.left, self.link.right)
        self.wire = [b"", b""]
        self.written: dict[bytes, Text] = {}
        self.author: dict[bytes, int] = {}
        self.era_start = 0
        self.digests: tuple[set[bytes], set[bytes]] = (set(), set())
        self.stored: tuple[set[bytes], set[bytes]] = (set(), set())
        self.seen: list[int] = [0, 0]
        self.old: tuple[list[Disk], list[Disk]] = ([], [])
        for side, shell in enumerate(self.shells):
            shell.on_write = self.note_of(side)
            shell.on_take = self.sending_of(shell)

    def teardown(self) -> None:
        try:
            self.heal(left_dials=True)
        finally:
            self.patch.undo()

    def note_of(self, side: int) -> Callable[[], None]:
        def note() -> None:
            disk = self.shells[side].disk
            self.stored[side].update(message.message_id for message in disk.inbox)
            self.old[side].append(disk)

        return note

    def sending_of(self, shell: Shell) -> Callable[[], None]:
        def sending() -> None:
            self.witness.disk_of_sender = lambda: shell.disk

        return sending

    # --- Ordinary life ----------------------------------------------------------------------

    @initialize(left_dials=st.booleans(), settled=st.booleans())
    def first_connection(self, left_dials: bool, settled: bool) -> None:
        if settled:
            self.heal(left_dials)
        else:
            self.connect(left_dials)

    @property
    def alive(self) -> bool:
        """Whether the connection is worth going on with; if not, only another one helps."""
        return not any(shell.live.is_closed for shell in self.shells)

    def connect(self, left_dials: bool) -> None:
        self.wire = [b"", b""]
        self.seen = [0, 0]
        self.link.connect(left_dials=left_dials)

    @rule(side=st.integers(0, 1), body=st.text("abc", min_size=1, max_size=60))
    def write(self, side: int, body: str) -> None:
        number = len(self.written)
        message = Text(number.to_bytes(16, "big"), number, body)
        self.written[message.message_id] = message
        self.author[message.message_id] = side
        self.shells[side].write(message)
        self.work(side)

    @precondition(lambda self: self.alive)
    @rule(side=st.integers(0, 1))
    def seal(self, side: int) -> None:
        self.work(side)

    @precondition(lambda self: self.alive)
    @rule(side=st.integers(0, 1), count=st.none() | st.integers(0, 3))
    def commit(self, side: int, count: int | None) -> None:
        self.shells[side].commit(count)

    @precondition(lambda self: self.alive)
    @rule(side=st.integers(0, 1))
    def transmit(self, side: int) -> None:
        self.wire[1 - side] += self.shells[side].take()

    @precondition(lambda self: self.alive)
    @rule(side=st.integers(0, 1), share=st.sampled_from([1.0, 1.0, 0.5, 0.1]))
    def deliver(self, side: int, share: float) -> None:
        data = self.wire[side]
        size = round(len(data) * share)
        self.wire[side] = data[size:]
        if size:
            self.shells[side].receive(data[:size], self.link.now)
            self.work(side)

    @precondition(lambda self: self.alive)
    @rule(first=st.integers(0, 1), count=st.integers(1, 6), slow_disk=st.booleans())
    def progress(self, first: int, count: int, slow_disk: bool) -> None:
        """Several rules in one, so that examples get somewhere."""
        for number in range(count):
            side = (first + number) % 2
            self.work(side)
            if slow_disk:
                self.transmit(side)
                self.commit(side, None)
            else:
                self.commit(side, None)
                self.transmit(side)
            self.deliver(1 - side, 1.0)

    def work(self, side: int) -> None:
        shell = self.shells[side]
        shell.drain(self.link.now)
        shell.fill_window(self.link.now)
        self.judge()

    @precondition(lambda self: self.alive)
    @rule(seconds=st.sampled_from([1.0, 5.0, 15.0]))
    def wait(self, seconds: float) -> None:
        self.link.now += seconds
        for side, shell in enumerate(self.shells):
            shell.live.handle_timeout(self.link.now)
            self.work(side)

    # --- What goes wrong ---------------------------------------------------------------------

    @rule(left_dials=st.booleans(), saves=st.tuples(st.booleans(), st.booleans()))
    def crash(self, left_dials: bool, saves: tuple[bool, bool]) -> None:
        """The connection is lost; a side that does not save loses what was not committed."""
        for shell, save in zip(self.shells, saves, strict=True):
            if save:
                shell.commit()
        self.connect(left_dials)

    @precondition(lambda self: self.alive)
    @rule(
        side=st.integers(0, 1),
        how=st.sampled_from(["flip", "flip", "lose", "swap", "repeat", "insert", "reflect", "end"]),
        place=st.integers(0, 5000),
        noise=st.binary(min_size=1, max_size=40),
    )
    def spoil(self, side: int, how: str, place: int, noise: bytes) -> None:
        """Somebody on the path does something to what is on its way, and it arrives."""
        self.write(1 - side, "in danger")
        self.commit(1 - side, None)
        self.transmit(1 - side)
        data = self.wire[side]
        place %= len(data) + 1
        match how:
            case "flip":
                flipped = bytes([data[place] ^ (noise[0] | 1)]) if place < len(data) else b""
                self.wire[side] = data[:place] + flipped + data[place + 1 :]
            case "lose":
                self.wire[side] = data[:place] + data[place + len(noise) :]
            case "swap":
                frames = frames_of(data)
                self.wire[side] = b"".join(frames[place % 3 :] + frames[: place % 3])
            case "repeat":
                frames = frames_of(data)
                self.wire[side] = b"".join(frames + frames[place % 3 : place % 3 + 1])
            case "insert":
                self.wire[side] = data[:place] + noise + data[place:]
            case "reflect":
                self.wire[side] = data + self.wire[1 - side]
            case "end":
                self.deliver(side, 1.0)
                self.shells[side].receive(b"", self.link.now)
        self.deliver(side, 1.0)

    @precondition(lambda self: len(self.written) > 1 and all(self.old))
    @rule(side=st.integers(0, 1), age=st.integers(1, 30), left_dials=st.booleans())
    def roll_back(self, side: int, age: int, left_dials: bool) -> None:
        """An older store is put back; the other process may have lost power at that moment."""
        shell = self.shells[side]
        disks = self.old[side]
        older = disks[-min(age, len(disks))]
        self.era_start = len(self.written)
        shell.roll_back(older)
        self.shells[1 - side].commit()
        self.connect(left_dials)

    @rule(left_dials=st.booleans())
    def heal(self, left_dials: bool) -> None:
        """A connection that nobody disturbs: everything arrives."""
        self.connect(left_dials)
        self.link.settle()
        self.judge()
        for side, shell in enumerate(self.shells):
            assert shell.live.is_open
            assert not shell.uncommitted
            outbox = {message.message_id for message in shell.disk.outbox}
            assert shell.disk.delivered == outbox
            recent = [m for m in shell.disk.outbox if m.sent_at_ms >= self.era_start]
            there = self.shells[1 - side].disk.inbox
            assert [m for m in there if m.sent_at_ms >= self.era_start] == recent

    # --- What always holds ---------------------------------------------------------------------

    def judge(self) -> None:
        """Look at the events that are new; what was sealed first, then what was opened."""
        news = [shell.events[seen:] for shell, seen in zip(self.shells, self.seen, strict=True)]
        self.seen = [len(shell.events) for shell in self.shells]
        for side, events in enumerate(news):
            for event in events:
                if isinstance(event, SessionStarted | MessageSealed):
                    self.digests[side].update(e.digest for e in event.state.unacknowledged)
        for side, events in enumerate(news):
            for event in events:
                match event:
                    case MessageReceived():
                        assert event.state.received_digest in self.digests[1 - side], "a forgery"
                    case MessagesDelivered() | SessionResumed():
                        assert set(event.delivered) <= self.stored[1 - side], "delivered to nobody"
                    case _:
                        pass

    @invariant()
    def stores_hold_what_was_written(self) -> None:
        for side, shell in enumerate(self.shells):
            inbox = shell.disk.inbox
            for message in inbox:
                assert self.written.get(message.message_id) == message
                assert self.author[message.message_id] == 1 - side
            assert len({message.message_id for message in inbox}) == len(inbox)
            recent = [m.sent_at_ms for m in inbox if m.sent_at_ms >= self.era_start]
            assert recent == sorted(recent)

    @invariant()
    def the_window_holds(self) -> None:
        for shell in self.shells:
            assert shell.disk.session is None or len(shell.disk.session[1]) <= WINDOW
            if shell.connection is not None:
                assert 0 <= shell.connection.send_window <= WINDOW


TestTwoConnections = TwoConnections.TestCase
TestTwoConnections.settings = settings(
    max_examples=80,
    stateful_step_count=40,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
