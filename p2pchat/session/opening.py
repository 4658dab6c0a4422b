"""The phase in the clear: from the first byte to the keys of the transport (protocol.md §4, §5).

Moves the connection's state table by preambles and clear frames, and queues what they ask for.
What must be true of a peer is ``Authentication``'s business; what is said to the shell, and how
the connection ends, is the Connection's.

Nothing of a stored session is known here, so nothing of one can change.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from p2pchat.crypto.secret import Rng
from p2pchat.errors import ErrorCode, ProtocolError
from p2pchat.session.authentication import (
    Authenticated,
    Authentication,
    RetryNeeded,
)
from p2pchat.session.credentials import ConnectionConfig
from p2pchat.session.events import FirstMessageRead
from p2pchat.session.frames import ClearKind, encode_clear, encode_refusal, known_code
from p2pchat.session.negotiation import decode_preamble, known_peers_only
from p2pchat.session.outgoing import Outgoing
from p2pchat.session.states import Machine, State, Trigger

_REFUSE_LEN: Final = 3


@dataclass(frozen=True, slots=True)
class Refused:
    """The peer's REFUSE; not authenticated, whoever is on the path could have sent it."""

    code: ErrorCode


class Opening:
    """One connection's first phase, in either role."""

    def __init__(
        self,
        config: ConnectionConfig,
        machine: Machine,
        outgoing: Outgoing,
        *,
        initiator: bool,
        now_ms: int,
        rng: Rng,
    ) -> None:
        if config.stealth:
            config = replace(config, offer=known_peers_only(config.offer))
        self._initiator = initiator
        self._stealth = config.stealth
        self._machine = machine
        self._outgoing = outgoing
        self._authentication = Authentication(config, initiator=initiator, now_ms=now_ms, rng=rng)
        if initiator:
            preamble, message = self._authentication.begin()
            outgoing.clear_bytes(preamble)
            self._send(message)

    @property
    def answering_identity(self) -> bytes | None:
        """Who answered an initiator, wanted or not; None until that is certain."""
        certificate = self._authentication.peer_certificate
        return certificate.identity if self._initiator and certificate is not None else None

    def on_preamble(self, encoded: bytes) -> None:
        """Take the initiator's preamble.

        Raises:
            ProtocolError: Malformed, or nothing in common.
        """
        preamble = decode_preamble(encoded)
        # Valid, so from here on the peer is told why it is refused.
        self._machine.state = self._machine.following(Trigger.PREAMBLE)
        self._authentication.read_preamble(preamble)

    def takes(self, frame: bytes) -> bool:
        """Whether a frame that comes when we await the first transport frame is a REFUSE.

        The initiator of IK that refuses our answer has no other way to say why (R-5.4.6); every
        transport frame is longer than this.
        """
        awaiting = self._machine.state is State.AWAIT_CONFIRMATION
        return awaiting and len(frame) == _REFUSE_LEN and frame[0] == ClearKind.REFUSE

    def on_frame(self, frame: bytes) -> Authenticated | FirstMessageRead | Refused | None:
        """Take a clear frame.

        Returns:
            The proven peer; or who claims to knock, which the shell must judge; or a refusal, which
            ends the connection; or None: the peer's turn.

        Raises:
            ProtocolError: Out of turn, malformed, or a peer that must not be let in.
            CryptoError: It does not authenticate.
        """
        kind, body = frame[0], frame[1:]
        if kind == ClearKind.REFUSE:
            self._machine.following(Trigger.REFUSE)
            if len(frame) != _REFUSE_LEN:
                raise ProtocolError("a refusal has the wrong length")
            return Refused(known_code(body))
        if kind == ClearKind.RETRY:
            following = self._machine.following(Trigger.RETRY)
            self._send(self._authentication.read_retry(body))
            self._machine.state = following
            return None
        if kind != ClearKind.NOISE:
            raise ProtocolError("a frame of an unknown kind came during the handshake")
        if self._machine.state in (State.AWAIT_MESSAGE_1, State.AWAIT_MESSAGE_1_AGAIN):
            return self._on_message_1(body)
        following = self._machine.following(Trigger.NOISE)
        if self._initiator:
            message, peer = self._authentication.read_message_2(body)
            if message is not None:
                self._send(message)
        else:
            peer = self._authentication.read_message_3(body)
        self._machine.state = following
        return peer

    def _on_message_1(self, body: bytes) -> FirstMessageRead | None:
        try:
            known = self._authentication.read_message_1(body)
        except RetryNeeded:
            self._retry(self._machine.following(Trigger.MESSAGE_1_OF_NO_USE))
            return None
        if known is not None:
            self._machine.state = self._machine.following(Trigger.MESSAGE_1_IK)
            return FirstMessageRead(*known)
        following = self._machine.following(Trigger.MESSAGE_1_XX)
        self._send(self._authentication.answer())
        self._machine.state = following
        return None

    def answer(self) -> Authenticated:
        """Answer a fresh IK message; only the peer's first frame proves that it was its own.

        Raises:
            LocalProtocolError: There is none to answer.
            CryptoError: Its keys are no good.
        """
        following = self._machine.allowed(Trigger.ANSWER)
        self._send(self._authentication.answer())
        self._machine.state = following
        return self._authentication.finish_known()

    def ask_again(self) -> None:
        """Ask for a first message that cannot be a replay (§5.6).

        Raises:
            LocalProtocolError: There is none to judge.
            ProtocolError: We are in stealth, or there is no other suite to ask for.
        """
        self._retry(self._machine.allowed(Trigger.ASK_AGAIN))

    def _retry(self, following: State) -> None:
        if self._stealth:
            raise ProtocolError("who asks does not know us", ErrorCode.HANDSHAKE_FAILED)
        suite = self._authentication.retry()
        self._outgoing.clear_bytes(encode_clear(ClearKind.RETRY, suite))
        self._machine.state = following

    def refuse(self, code: ErrorCode, *, now: float) -> None:
        """Tell the peer why, in the way that it can still read, if it may know at all."""
        if (cipher := self._authentication.refusal_cipher()) is not None:
            self._outgoing.start_transport(cipher, now=now)
            self._outgoing.goodbye(code)
        elif self._machine.state is not State.AWAIT_PREAMBLE and not self._stealth:
            # Whoever has not even sent our preamble is told nothing at all, and by a
            # node in stealth nobody is who has not proven to know it.
            self._outgoing.clear_bytes(encode_refusal(code))

    def _send(self, message: bytes) -> None:
        self._outgoing.clear_bytes(encode_clear(ClearKind.NOISE, message))
