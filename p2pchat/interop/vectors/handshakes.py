"""handshake_*.json: whole handshakes byte for byte, with their payloads and keys (protocol.md §5).

Everything that is drawn at random stands in the file, the randomness of the encapsulation (m)
among it. ``frames`` is what travels, after the preamble; ``k1`` and ``k2`` are Split's keys, the
initiator's sending key first; the seed's parts are those of §6.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from p2pchat.crypto import kem, x25519
from p2pchat.crypto.kdf import hkdf_sha256
from p2pchat.crypto.secret import Rng
from p2pchat.errors import CryptoError, ErrorCode, ProtocolError
from p2pchat.interop.check.lax import ZERO
from p2pchat.interop.forging import retry_prologue, session_keys
from p2pchat.interop.personas import seeded_rng
from p2pchat.interop.vectors import ml_kem
from p2pchat.interop.vectors.form import VectorFile, flipped, refused
from p2pchat.interop.vectors.identities import NOW_MS, alice, bob
from p2pchat.noise.handshake import HandshakeState, Split
from p2pchat.session.frames import ClearKind, encode_clear
from p2pchat.session.negotiation import (
    IK,
    IK_HFS,
    OUR_OFFER,
    XX,
    XX_HFS,
    Offer,
    Suite,
    encode_offer,
    encode_preamble,
)
from p2pchat.session.payloads import FirstPayload, LastPayload, ResponderPayload, encode_payload

FAILED: Final = ErrorCode.HANDSHAKE_FAILED.name
_CLASSICAL: Final = Offer(OUR_OFFER.versions, (XX.number, IK.number))


def files() -> list[VectorFile]:
    """Return a file for each suite, and one for RETRY."""
    return [
        *(_file(suite) for suite in (XX, IK, XX_HFS, IK_HFS)),
        VectorFile(
            "handshake_retry.json",
            "protocol.md section 5.6: an IK message that cannot be read, RETRY, and the handshake "
            "that follows under the second prologue",
            [_retry_case()],
        ),
    ]


def _file(suite: Suite) -> VectorFile:
    run = Run(suite, encode_preamble(suite.number, OUR_OFFER if suite.strength else _CLASSICAL))
    name = suite.noise_name.split("_")[1].lower()
    case = {"name": f"{suite.noise_name}, from first byte to ratchet seed", **run.play()}
    return VectorFile(
        f"handshake_{name}.json",
        f"protocol.md section 5: {suite.noise_name}; certificates as of {NOW_MS}",
        [case],
        _bad_messages(suite, case),
        {
            f"message {number}": lambda text, number=number: Run(  # type: ignore[misc]  # bound now
                suite, bytes.fromhex(case["preamble"])
            ).read_instead(number, bytes.fromhex(text))
            for number in range(1, len(case["messages"]) + 1)
        },
        FAILED,
    )


@dataclass(frozen=True, slots=True)
class _Drawn:
    """All randomness of one handshake."""

    initiator_ephemeral: x25519.KeyPair
    responder_ephemeral: x25519.KeyPair
    ratchet: x25519.KeyPair
    e1: kem.KemKeyPair
    m: bytes


def _draw(rng: Rng) -> _Drawn:
    return _Drawn(
        x25519.generate(rng=rng),
        x25519.generate(rng=rng),
        x25519.generate(rng=rng),
        kem.generate(rng=rng),
        rng(32),
    )


class Run:
    """One handshake between alice, who dials, and bob."""

    def __init__(self, suite: Suite, preamble: bytes, prologue: bytes | None = None) -> None:
        self.suite = suite
        self.preamble = preamble
        self.prologue = preamble if prologue is None else prologue
        self.drawn = _draw(seeded_rng(f"vectors/{suite.number}"))
        self.encapsulated = b"", b""
        self._payloads = [self._first(), self._second(), self._third()]
        self._ends = self._end(initiator=True), self._end(initiator=False)

    def _end(self, *, initiator: bool) -> HandshakeState:
        hybrid, drawn = self.suite.post_quantum, self.drawn
        known = initiator and self.suite.knows_responder
        return HandshakeState(
            self.suite.noise_name,
            initiator=initiator,
            prologue=self.prologue,
            rng=seeded_rng("nothing is drawn"),
            s=(alice() if initiator else bob()).static,
            e=drawn.initiator_ephemeral if initiator else drawn.responder_ephemeral,
            rs=bob().static.public if known else None,
            e1=drawn.e1 if hybrid and initiator else None,
            encapsulate=self._encapsulate if hybrid and not initiator else None,
        )

    def _encapsulate(self, key: bytes) -> tuple[bytes, bytes]:
        self.encapsulated = ml_kem.encapsulate(key, self.drawn.m)
        return self.encapsulated

    def _first(self) -> bytes:
        if not self.suite.knows_responder:
            return b""
        return encode_payload(FirstPayload(alice().certificate(NOW_MS).encoded, NOW_MS))

    def _second(self) -> bytes:
        return encode_payload(
            ResponderPayload(
                encode_offer(OUR_OFFER),
                bob().certificate(NOW_MS).encoded,
                self.drawn.ratchet.public,
            )
        )

    def _third(self) -> bytes:
        return encode_payload(LastPayload(alice().certificate(NOW_MS).encoded))

    def messages(self) -> list[bytes]:
        """Write all messages; each is read by the other end."""
        written = []
        for number in range(2 if self.suite.knows_responder else 3):
            writer, reader = self._ends[number % 2], self._ends[1 - number % 2]
            message = writer.write_message(self._payloads[number])
            if reader.read_message(message) != self._payloads[number]:
                raise ProtocolError("a vector's payload did not come back", ErrorCode.INTERNAL)
            written.append(message)
        return written

    def read_instead(self, number: int, message: bytes) -> None:
        """Let the reader of message ``number`` read another, then the writer of its answer write.

        Raises:
            CryptoError: As it has to.
        """
        for before in range(number - 1):
            writer, reader = self._ends[before % 2], self._ends[1 - before % 2]
            reader.read_message(writer.write_message(self._payloads[before]))
        reader = self._ends[number % 2]
        payload = reader.read_message(message)
        if number == 1 and not self.suite.knows_responder and payload:
            raise ProtocolError("message 1 of XX has a payload")
        if reader.is_my_turn:  # a low-order key shows when it is first used
            reader.write_message(self._payloads[number])

    def play(self) -> dict[str, Any]:
        """Return the whole case."""
        drawn, hybrid = self.drawn, self.suite.post_quantum
        inputs = {
            "suite": self.suite.number,
            "preamble": self.preamble.hex(),
            "prologue": self.prologue.hex(),
            "initiator_static_private": alice().static.private.reveal().hex(),
            "responder_static_private": bob().static.private.reveal().hex(),
            "initiator_identity": alice().identity.public.hex(),
            "responder_identity": bob().identity.public.hex(),
            "initiator_ephemeral_private": drawn.initiator_ephemeral.private.reveal().hex(),
            "responder_ephemeral_private": drawn.responder_ephemeral.private.reveal().hex(),
            "ratchet_private": drawn.ratchet.private.reveal().hex(),
            "ratchet_public": drawn.ratchet.public.hex(),
        }
        messages = self.messages()
        if hybrid:
            ciphertext, secret = self.encapsulated
            inputs |= {
                "kem_seed": drawn.e1.private.reveal().hex(),
                "kem_m": drawn.m.hex(),
                "kem_ciphertext": ciphertext.hex(),
                "kem_shared_secret": secret.hex(),
            }
        split = self._ends[0].split()
        return {
            **inputs,
            "messages": [
                {
                    "payload": payload.hex(),
                    "message": message.hex(),
                    "frame": encode_clear(ClearKind.NOISE, message).hex(),
                }
                for payload, message in zip(self._payloads, messages, strict=False)
            ],
            "handshake_hash": split.handshake_hash.hex(),
            "chaining_key": split.chaining_key.reveal().hex(),
            **_transport(split),
            **_seed(split),
        }


def _transport(split: Split) -> dict[str, str]:
    """Show Split's keys by what they do: the first two empty messages of each direction."""
    k1, k2 = hkdf_keys(split.chaining_key.reveal())
    return {"k1": k1.hex(), "k2": k2.hex()}


def hkdf_keys(chaining_key: bytes) -> tuple[bytes, bytes]:
    """Return Split's two keys: HKDF of Noise §4.3 with an empty input."""
    okm = hkdf_sha256(salt=chaining_key, input_key=b"", info=b"", length=64)
    return okm[:32], okm[32:]


def _seed(split: Split) -> dict[str, str]:
    okm = session_keys(split.chaining_key.reveal(), split.handshake_hash)
    data = split.handshake_hash + alice().identity.public + bob().identity.public
    return {
        "root_key": okm[:32].hex(),
        "header_key_initiator": okm[32:64].hex(),
        "next_header_key": okm[64:96].hex(),
        "session_id": okm[96:].hex(),
        "associated_data": data.hex(),
    }


def _bad_messages(suite: Suite, case: dict[str, Any]) -> list[dict[str, str]]:
    entries = []
    for number, item in enumerate(case["messages"], start=1):
        good = bytes.fromhex(item["message"])
        fixed = len(good) - len(item["payload"]) // 2
        inputs = {"cut_by_a_byte_of_its_fixed_part": good[: fixed - 1], "empty": b""}
        if number != 3:
            inputs["with_an_ephemeral_key_of_zero"] = ZERO + good[32:]
        if number > 1 or suite.knows_responder:
            inputs["with_a_changed_tag"] = flipped(good, -1)
            inputs["with_a_changed_ephemeral_or_static_key"] = flipped(good, 3)
        if suite is XX_HFS and number == 1:
            inputs["with_a_coefficient_out_of_range"] = good[:32] + b"\xff\xff\xff" + good[35:]
        if suite.post_quantum and number == 2:
            inputs["with_a_changed_ciphertext"] = flipped(good, 700)
        named = {f"message_{number}_{name}": data for name, data in inputs.items()}
        entries += refused(f"message {number}", FAILED, **named)
        if number == 1 and not suite.knows_responder:
            entries += refused(
                "message 1", "PROTOCOL_VIOLATION", message_1_with_a_payload=good + b"hello"
            )
    return entries


def _retry_case() -> dict[str, Any]:
    preamble = encode_preamble(IK_HFS.number, OUR_OFFER)
    first = Run(IK_HFS, preamble)
    old = alice().spare.public  # not bob's key: he cannot read it
    attempt = HandshakeState(
        IK_HFS.noise_name,
        initiator=True,
        prologue=preamble,
        rng=seeded_rng("vectors/retry"),
        s=alice().static,
        e=first.drawn.initiator_ephemeral,
        rs=old,
        e1=first.drawn.e1,
    )
    message = attempt.write_message(
        encode_payload(FirstPayload(alice().certificate(NOW_MS).encoded, NOW_MS))
    )
    try:
        Run(IK_HFS, preamble).read_instead(1, message)
    except CryptoError:
        pass
    else:
        raise ProtocolError("bob can read what is not for him", ErrorCode.INTERNAL)
    prologue = retry_prologue(preamble, message, XX_HFS.number)
    return {
        "name": "IKhfs for an old static key, RETRY, XXhfs",
        "old_static": old.hex(),
        "first_message": message.hex(),
        "retry_frame": encode_clear(ClearKind.RETRY, XX_HFS.number.to_bytes(2, "big")).hex(),
        **Run(XX_HFS, preamble, prologue).play(),
    }
