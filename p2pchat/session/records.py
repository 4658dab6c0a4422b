"""The record layer: transport frames in and out, and their keys' turnover (protocol.md §7.1, §7.6).

Each direction has one cipher. The sender changes its key by an in-band marker, so that a key
taken from a running connection opens little of what went before; the receiver insists on it.
"""

from __future__ import annotations

from p2pchat.constants import REKEY_FRAMES, REKEY_INTERVAL_S, REKEY_TOLERATED_FRAMES
from p2pchat.errors import ErrorCode, ProtocolError
from p2pchat.noise.symmetric import CipherState
from p2pchat.session.frames import Kind, decode_inner, encode_frame, encode_inner


class FrameSealer:
    """Our direction."""

    __slots__ = ("_changed_at", "_cipher", "_frames")

    def __init__(self, cipher: CipherState, *, now: float) -> None:
        self._cipher = cipher
        self._frames = 0
        self._changed_at = now

    def seal(self, kind: int, body: bytes, *, now: float, at_least: int = 0) -> bytes:
        """Return a whole frame, padded to ``at_least`` that many bytes of plaintext.

        A REKEY frame goes before it when one is due (R-7.6.1).
        """
        marker = self.change_key(now=now) if self.is_due(now=now) else b""
        return marker + self._seal(kind, body, at_least)

    def is_due(self, *, now: float) -> bool:
        """Tell whether the next frame has to be a REKEY."""
        # The marker counts as a frame of the old key, hence the one that is kept for it.
        return self._frames >= REKEY_FRAMES - 1 or now - self._changed_at >= REKEY_INTERVAL_S

    def change_key(self, *, now: float, at_least: int = 0) -> bytes:
        """Return a REKEY frame; what follows is under the new key."""
        marker = self._seal(Kind.REKEY, b"", at_least)
        self._cipher.rekey()
        self._frames = 0
        self._changed_at = now
        return marker

    def _seal(self, kind: int, body: bytes, at_least: int) -> bytes:
        self._frames += 1
        plaintext = encode_inner(kind, body, at_least=at_least)
        # The nonce is the cipher's own counter, one for each frame; rekeying leaves it going.
        return encode_frame(self._cipher.encrypt_with_ad(b"", plaintext))


class FrameOpener:
    """The peer's direction."""

    __slots__ = ("_cipher", "_frames")

    def __init__(self, cipher: CipherState) -> None:
        self._cipher = cipher
        self._frames = 0

    def open(self, frame: bytes) -> tuple[int, bytes] | None:
        """Return a frame's kind and body, or None for a REKEY, which is carried out here.

        Raises:
            DecryptionError: It does not authenticate; the connection is over.
            ProtocolError: Malformed, or the peer keeps one key too long (R-7.6.2).
        """
        kind, body = decode_inner(self._cipher.decrypt_with_ad(b"", frame))
        self._frames += 1
        if self._frames > REKEY_TOLERATED_FRAMES:
            raise ProtocolError("the peer does not change its key", ErrorCode.LIMIT_EXCEEDED)
        if kind == Kind.REKEY:
            if body:
                raise ProtocolError("a REKEY has no body")
            self._cipher.rekey()
            self._frames = 0
            return None
        return kind, body
