"""Makes ``tests/vectors/ratchet.json`` (protocol.md §6.7).

``uv run --locked python -m tests.support.make_ratchet_vectors > tests/vectors/ratchet.json``

All randomness is seeded, so the same code writes the same file: a test compares them. A change
of the file is a change of the protocol.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from p2pchat.constants import KEY_LEN
from p2pchat.crypto import x25519
from p2pchat.crypto.kdf import hkdf_sha256
from p2pchat.crypto.secret import Secret
from p2pchat.ratchet.double_ratchet import init_initiator, init_responder
from p2pchat.ratchet.schedule import chain_step, root_step
from p2pchat.ratchet.state import RatchetSeed
from tests.support.ratchet_pair import Party, SeededRng

SEED_LABEL = b"p2pchat/1 ratchet seed"


class Recorder:
    """Carries a conversation between two parties and writes down each step."""

    def __init__(self, initiator: Party, responder: Party) -> None:
        self._parties = {"initiator": initiator, "responder": responder}
        self.steps: list[dict[str, Any]] = []

    def encrypt(self, party: str, plaintext: bytes) -> int:
        """Return the step's number, by which later steps name the envelope."""
        sender = self._parties[party]
        assert isinstance(sender.rng, SeededRng)
        already = len(sender.rng.drawn)
        envelope = sender.send(plaintext)
        self.steps.append(
            {
                "step": "encrypt",
                "party": party,
                "plaintext": plaintext.hex(),
                "drawn": [drawn.hex() for drawn in sender.rng.drawn[already:]],
                "envelope": envelope.hex(),
            }
        )
        return len(self.steps) - 1

    def decrypt(self, party: str, number: int) -> None:
        plaintext = self._parties[party].receive(self.envelope(number))
        self.steps.append(
            {"step": "decrypt", "party": party, "envelope": number, "plaintext": plaintext.hex()}
        )

    def refuse(self, party: str, envelope: bytes, reason: str) -> None:
        self._parties[party].refuses(envelope)
        self.steps.append(
            {"step": "refuse", "party": party, "envelope": envelope.hex(), "reason": reason}
        )

    def envelope(self, number: int) -> bytes:
        return bytes.fromhex(self.steps[number]["envelope"])


def flipped(envelope: bytes, position: int) -> bytes:
    """Return the envelope with the lowest bit of one byte inverted."""
    changed = bytearray(envelope)
    changed[position] ^= 0x01
    return bytes(changed)


def make_seeding(rng: SeededRng) -> dict[str, str]:
    chaining_key, handshake_hash = rng(32), rng(32)
    okm = hkdf_sha256(
        salt=chaining_key, input_key=b"", info=SEED_LABEL + handshake_hash, length=112
    )
    return {
        "ck": chaining_key.hex(),
        "h": handshake_hash.hex(),
        "root_key": okm[:32].hex(),
        "header_key_initiator": okm[32:64].hex(),
        "next_header_key": okm[64:96].hex(),
        "session_id": okm[96:].hex(),
    }


def make_root_step(rng: SeededRng) -> dict[str, str]:
    root_key, dh_output = rng(KEY_LEN), rng(KEY_LEN)
    next_root_key, chain_key, next_header_key = root_step(Secret(root_key), dh_output)
    return {
        "root_key": root_key.hex(),
        "dh": dh_output.hex(),
        "next_root_key": next_root_key.reveal().hex(),
        "chain_key": chain_key.reveal().hex(),
        "next_header_key": next_header_key.secret.reveal().hex(),
    }


def make_chain_step(rng: SeededRng) -> dict[str, str]:
    chain_key = rng(KEY_LEN)
    message_key, next_chain_key = chain_step(chain_key)
    return {
        "chain_key": chain_key.hex(),
        "message_key": message_key.hex(),
        "next_chain_key": next_chain_key.hex(),
    }


def make_conversation(seeding: dict[str, str], rng: SeededRng) -> dict[str, Any]:
    seed = RatchetSeed(
        *(
            Secret(bytes.fromhex(seeding[name]))
            for name in ("root_key", "header_key_initiator", "next_header_key")
        )
    )
    associated_data = bytes.fromhex(seeding["h"]) + rng(32) + rng(32)
    ratchet_pair = x25519.generate(rng=rng)
    initiator_rng, responder_rng = SeededRng("initiator"), SeededRng("responder")
    initiator = Party(
        init_initiator(
            seed,
            remote_ratchet_key=ratchet_pair.public,
            associated_data=associated_data,
            rng=initiator_rng,
        ),
        initiator_rng,
    )
    responder = Party(
        init_responder(seed, ratchet_pair=ratchet_pair, associated_data=associated_data),
        responder_rng,
    )
    initially_drawn = [drawn.hex() for drawn in initiator_rng.drawn]
    recorder = Recorder(initiator, responder)
    talk(recorder)
    return {
        "ad": associated_data.hex(),
        "responder_ratchet_private": ratchet_pair.private.reveal().hex(),
        "responder_ratchet_public": ratchet_pair.public.hex(),
        "initiator_drawn": initially_drawn,
        "steps": recorder.steps,
    }


def talk(recorder: Recorder) -> None:
    """Say something of every kind: both directions, late, lost, repeated and forged."""
    encrypt, decrypt = recorder.encrypt, recorder.decrypt
    first = encrypt("initiator", b"")
    decrypt("responder", first)
    hello = encrypt("responder", b"hello")
    long = encrypt("responder", bytes(range(256)) * 4)
    decrypt("initiator", hello)
    decrypt("initiator", long)

    numbered = [encrypt("initiator", b"message %d" % number) for number in range(5)]
    decrypt("responder", numbered[0])
    decrypt("responder", numbered[3])
    late = recorder.envelope(numbered[1])
    recorder.refuse("responder", recorder.envelope(numbered[0]), "replay in the current chain")
    recorder.refuse("responder", flipped(late, -1), "body tag of a late message")
    recorder.refuse("responder", flipped(late, 0), "version")
    recorder.refuse("responder", flipped(late, 1), "nonce")
    recorder.refuse("responder", flipped(late, 13), "header")
    recorder.refuse("responder", flipped(late, 70), "body")
    recorder.refuse("responder", late[:85], "too short")
    decrypt("responder", numbered[1])
    recorder.refuse("responder", late, "replay of a late message")

    crossing = encrypt("responder", b"crossing")
    more = encrypt("initiator", b"crossing too")
    decrypt("initiator", crossing)
    new_chain = encrypt("initiator", b"new chain")
    decrypt("responder", new_chain)
    decrypt("responder", more)
    decrypt("responder", numbered[4])
    decrypt("responder", numbered[2])
    recorder.refuse("responder", recorder.envelope(numbered[2]), "replay of an old chain")
    recorder.refuse("responder", recorder.envelope(crossing), "reflection")


def make_vectors() -> dict[str, Any]:
    """Return the whole file's content."""
    rng = SeededRng("ratchet vectors")
    seeding = make_seeding(rng)
    return {
        "about": "p2pchat protocol version 1, Double Ratchet (protocol.md 6.7)",
        "seeding": seeding,
        "root_step": make_root_step(rng),
        "chain_step": make_chain_step(rng),
        "conversation": make_conversation(seeding, rng),
    }


def encoded() -> str:
    """Return the file's text."""
    return json.dumps(make_vectors(), indent=1) + "\n"


if __name__ == "__main__":
    sys.stdout.write(encoded())
