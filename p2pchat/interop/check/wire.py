"""Bytes to and from the implementation under test, and how its refusals are read.

A stream of this kit never hangs: each wait ends. What an end tells is a ``Verdict``: a code in a
REFUSE or a CLOSE, an end without a word, or no end at all.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from p2pchat.errors import ErrorCode, ProtocolError
from p2pchat.interop.check.report import FailedError
from p2pchat.session.frames import ClearKind, FrameBuffer
from p2pchat.transport.base import Stream

ANSWER_S: Final = 5.0
"""An answer that is due comes within this time, or not at all."""
SILENCE_S: Final = 0.25
"""If nothing came for so long, nothing was going to come."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the implementation took what was sent.

    Attributes:
        ended: It ended the connection, or said that it would.
        code: What it told; None if nothing.
        clear: The code came in a REFUSE, in the clear.
        answer: What it sent instead of an end; empty if nothing.
    """

    ended: bool
    code: int | None = None
    clear: bool = False
    answer: str = ""

    def require(self, *codes: ErrorCode, or_silence: bool = False) -> None:
        """Return only if it refused with one of these codes, or said nothing if that will do.

        Raises:
            FailedError: It did not.
        """
        wanted = " or ".join(code.name for code in codes)
        if not self.ended:
            raise FailedError(f"{self.answer or 'it went on waiting'}, not {wanted}")
        if self.code is None and or_silence:
            return
        if self.code is None:
            raise FailedError(f"it ended the connection without telling {wanted}")
        if self.code not in codes:
            raise FailedError(f"it told {code_name(self.code)}, not {wanted}")

    def require_silence(self) -> None:
        """Return only if it ended the connection without a byte.

        Raises:
            FailedError: It did not.
        """
        if not self.ended:
            raise FailedError(f"{self.answer or 'it went on waiting'}; a silent end was due")
        if self.code is not None:
            raise FailedError(f"it told {code_name(self.code)}; a silent end was due")


def code_name(code: int) -> str:
    """Name an error code, known or not."""
    return ErrorCode(code).name if code in set(ErrorCode) else f"0x{code:04X}"


class EndedError(Exception):
    """The other side ended the connection where something else was due."""


class Wire:
    """One connection, read frame by frame."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._buffer = FrameBuffer()
        self._ended = False

    def send(self, data: bytes) -> None:
        """Send bytes as they are.

        What belongs together is sent in one call: a second write to a side that has hung up would
        destroy its last words.
        """
        self._stream.write(data)

    def end(self) -> None:
        """End our direction only."""
        self._stream.write_eof()

    def close(self) -> None:
        """Break off."""
        self._stream.abort()

    async def frame(self, within: float = ANSWER_S) -> bytes | None:
        """Return the next frame's body; None at the end of the stream.

        Raises:
            TimeoutError: Nothing came.
            FailedError: The frame is empty.
        """
        async with asyncio.timeout(within):
            while True:
                try:
                    frame = self._buffer.take_frame()
                except ProtocolError:
                    raise FailedError("it sent an empty frame (R-4.1.1)") from None
                if frame is not None:
                    return frame
                if not await self._more():
                    return None

    async def preamble(self) -> bytes:
        """Return the preamble of a side that dialled us.

        Raises:
            TimeoutError: Nothing came.
            EndedError: The stream ended.
            ProtocolError: The bytes cannot become one.
        """
        async with asyncio.timeout(ANSWER_S):
            while (preamble := self._buffer.take_preamble()) is None:
                if not await self._more():
                    raise EndedError
            return preamble

    async def clear_verdict(self, within: float = ANSWER_S) -> Verdict:
        """Read, in the handshake's phase, how the last bytes were taken."""
        try:
            frame = await self.frame(within)
        except TimeoutError:
            return Verdict(ended=False)
        if frame is None:
            return Verdict(ended=True)
        match frame[0]:
            case ClearKind.REFUSE if len(frame) == 3:
                return Verdict(True, int.from_bytes(frame[1:], "big"), clear=True)
            case ClearKind.RETRY:
                return Verdict(False, answer="it answered with RETRY")
            case ClearKind.NOISE:
                return Verdict(False, answer="it went on with the handshake")
            case _:
                return Verdict(False, answer="it answered with something else")

    async def closes(self, within: float) -> bool:
        """Tell whether the connection ends in time, whatever comes before."""
        try:
            async with asyncio.timeout(within):
                while await self._more():
                    pass
        except TimeoutError:
            return False
        return True

    async def _more(self) -> bool:
        if self._ended:
            return False
        data = await self._stream.read()
        self._ended = not data
        self._buffer.append(data)
        return not self._ended
