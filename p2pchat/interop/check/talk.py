"""The transport phase under a check's command (protocol.md §7).

Frames are packed as the protocol wants unless a check wants otherwise; whatever comes is held to
the rules and noted in the report.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from p2pchat.constants import REKEY_FRAMES
from p2pchat.crypto.x25519 import KeyPair
from p2pchat.errors import CryptoError, ErrorCode, ProtocolError
from p2pchat.interop.check.kit import Kit
from p2pchat.interop.check.report import FailedError
from p2pchat.interop.check.wire import ANSWER_S, SILENCE_S, EndedError, Verdict, Wire, code_name
from p2pchat.interop.forging import plaintext
from p2pchat.noise.symmetric import CipherState
from p2pchat.session.delivery import SessionSeed
from p2pchat.session.frames import ClearKind, Kind, decode_inner, encode_frame, encode_inner

REFUSE_LEN: Final = 3
_FREE: Final = frozenset({Kind.PING, Kind.PONG, Kind.CLOSE, Kind.REKEY})


@dataclass(frozen=True, slots=True)
class Keys:
    """What a handshake has left us.

    Attributes:
        send: Our cipher.
        receive: Theirs.
        seed: Of a new session.
        ratchet_pair: Ours, if we are the responder.
        ratchet_key: Theirs, if we are the initiator.
    """

    send: CipherState
    receive: CipherState
    seed: SessionSeed
    ratchet_pair: KeyPair | None
    ratchet_key: bytes | None


class Talk:
    """One connection after its handshake."""

    def __init__(self, kit: Kit, wire: Wire, keys: Keys) -> None:
        self.kit = kit
        self.wire = wire
        self.keys = keys
        self._sent = self._received = 0
        self.rekeyed = 0
        self.code: int | None = None

    # --- what we send -----------------------------------------------------------------------------

    def seal(self, packed: bytes) -> bytes:
        """Return a frame around any plaintext."""
        self._sent += 1
        return encode_frame(self.keys.send.encrypt_with_ad(b"", packed))

    def pack(self, kind: int, body: bytes = b"") -> bytes:
        """Return a frame as the protocol wants it, after a REKEY if one is due."""
        marker = self.rekey() if self._sent >= REKEY_FRAMES - 1 else b""
        return marker + self.seal(plaintext(kind, body))

    def rekey(self) -> bytes:
        """Return a REKEY frame and change our key."""
        frame = self.seal(encode_inner(Kind.REKEY, b""))
        self.keys.send.rekey()
        self._sent = 0
        return frame

    def send(self, *frames: bytes) -> None:
        """Send frames in one piece."""
        self.wire.send(b"".join(frames))

    # --- what comes -------------------------------------------------------------------------------

    async def receive(self, within: float = ANSWER_S) -> tuple[int, bytes] | None:
        """Return the next frame's kind and body; None at the end.

        Raises:
            TimeoutError: Nothing came.
            FailedError: The frame breaks the rules.
        """
        while (frame := await self.wire.frame(within)) is not None:
            if len(frame) == REFUSE_LEN and frame[0] == ClearKind.REFUSE:
                self.code = int.from_bytes(frame[1:], "big")
                raise FailedError(f"it told {code_name(self.code)} in the clear, not by CLOSE")
            opened = self._open(frame)
            if opened[0] == Kind.REKEY:
                self.keys.receive.rekey()
                self._received = 0
                self.rekeyed += 1
                self.kit.saw("R-5.1.9")
                continue
            if opened[0] == Kind.CLOSE and len(opened[1]) == 2:
                self.code = int.from_bytes(opened[1], "big")
            return opened
        return None

    def _open(self, frame: bytes) -> tuple[int, bytes]:
        kit = self.kit
        try:
            packed = self.keys.receive.decrypt_with_ad(b"", frame)
        except CryptoError:
            kit.broke("a frame does not open", "R-5.1.4")
            raise FailedError("a frame of theirs does not open") from None
        self._received += 1
        if self._received > REKEY_FRAMES:
            kit.broke("more than 1024 frames came under one key", "R-7.6.1")
        if self._received > 1:
            kit.saw("R-5.1.4")
        try:
            kind, body = decode_inner(packed)
        except ProtocolError as error:
            kit.broke(str(error), "R-7.2.1")
            raise FailedError(f"a frame of theirs: {error}") from None
        kit.saw("R-7.2.1")
        return kind, body

    async def expect(self, *kinds: int, within: float = ANSWER_S) -> tuple[int, bytes]:
        """Return the next frame that is of one of these kinds; answers PING, passes over PONG.

        Raises:
            EndedError: The connection ended instead.
            FailedError: Another frame came, or none.
        """
        while True:
            try:
                frame = await self.receive(within)
            except TimeoutError:
                names = " or ".join(kind_name(kind) for kind in kinds)
                raise FailedError(f"no {names} came") from None
            if frame is None:
                raise EndedError("it ended the connection")
            kind, body = frame
            if kind in kinds:
                return frame
            if kind == Kind.PING:
                self.send(self.pack(Kind.PONG, body))
            elif kind == Kind.CLOSE:
                raise EndedError(f"it closed with {code_name(self.code or 0)}")
            elif kind != Kind.PONG:
                names = " or ".join(kind_name(wanted) for wanted in kinds)
                raise FailedError(f"{kind_name(kind)} came, not {names}")

    async def verdict(self, within: float = ANSWER_S, *, probe: bytes = b"") -> Verdict:
        """Read how the last frames were taken, passing over what was on its way.

        Args:
            within: How long to wait for the end.
            probe: The token of a PING sent behind: its PONG shows that the connection goes on.
        """
        while True:
            try:
                frame = await self.receive(within)
            except TimeoutError:
                return Verdict(False)
            except FailedError as error:
                if self.code is not None:
                    return Verdict(True, self.code, clear=True)
                return Verdict(False, answer=str(error))
            if frame is None:
                return Verdict(True)
            if frame[0] == Kind.CLOSE:
                return Verdict(True, self.code)
            if probe and frame == (Kind.PONG, probe):
                return Verdict(False, answer="it went on as if nothing had happened")

    async def refused(self, bad: bytes, *codes: ErrorCode, within: float = ANSWER_S) -> None:
        """Send ``bad`` and require a CLOSE with one of these codes.

        A PING follows in the same piece, so that a peer that goes on shows it at once.
        """
        probe = self.kit.rng(8)
        self.send(bad, self.pack(Kind.PING, probe))
        verdict = await self.verdict(within, probe=probe)
        verdict.require(*codes)
        if verdict.clear:
            raise FailedError("it refused in the clear after the handshake, not by CLOSE")
        self.kit.saw("R-7.5.1")

    async def alive(self) -> None:
        """Require that a PING is answered by its PONG, whatever else comes.

        Raises:
            FailedError: It is not.
            EndedError: The connection ended.
        """
        token = self.kit.rng(8)
        self.send(self.pack(Kind.PING, token))
        while True:
            try:
                frame = await self.receive()
            except TimeoutError:
                raise FailedError("a PING got no PONG") from None
            if frame is None or frame[0] == Kind.CLOSE:
                told = "" if self.code is None else f" with {code_name(self.code)}"
                raise FailedError(f"it ended the connection{told}")
            if frame == (Kind.PONG, token):
                return

    async def listen(self, within: float = SILENCE_S) -> list[tuple[int, bytes]]:
        """Return all frames that come until it is quiet."""
        frames: list[tuple[int, bytes]] = []
        while True:
            try:
                frame = await self.receive(within)
            except TimeoutError:
                return frames
            if frame is None:
                return frames
            frames.append(frame)


def kind_name(kind: int) -> str:
    """Name a frame's kind, known or not."""
    return Kind(kind).name if kind in set(Kind) else f"a frame of kind 0x{kind:02X}"
