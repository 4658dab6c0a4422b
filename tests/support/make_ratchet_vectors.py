"""Makes ``tests/vectors/ratchet.json`` (protocol.md §6.8).

``uv run --locked python -m tests.support.make_ratchet_vectors > tests/vectors/ratchet.json``

All randomness is seeded, so the same code writes the same file: a test compares them. A change
of the file is a change of the protocol.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from p2pchat.constants import KEY_LEN
from p2pchat.crypto import kem, x25519
from p2pchat.crypto.kdf import hkdf_sha256
from p2pchat.crypto.secret import Rng, Secret
from p2pchat.interop.vectors import ml_kem
from p2pchat.ratchet.double_ratchet import init_initiator, init_responder
from p2pchat.ratchet.header import (
    ENVELOPE_MIN_BYTES,
    KEM_ANSWER,
    KEM_NONE,
    KEM_OFFER,
    NO_KEM,
    PREFIX_LEN,
    answer_field,
)
from p2pchat.ratchet.hybrid import Encapsulate
from p2pchat.ratchet.schedule import KemExchange, chain_step, root_step
from p2pchat.ratchet.state import RatchetSeed
from tests.support.ratchet_pair import Party, SeededRng, crafted, kem_part

SEED_LABEL = b"p2pchat/1 ratchet seed"
KEM_NAMES = {KEM_NONE: "none", KEM_OFFER: "offer", KEM_ANSWER: "answer"}


class Recorder:
    """Carries a conversation between two parties and writes down each step."""

    def __init__(self, initiator: Party, responder: Party) -> None:
        self._parties = {"initiator": initiator, "responder": responder}
        self.steps: list[dict[str, Any]] = []

    def encrypt(self, party: str, plaintext: bytes, *, kem_due: bool = False) -> int:
        """Return the step's number, by which later steps name the envelope."""
        sender = self._parties[party]
        assert isinstance(sender.rng, SeededRng)
        already = len(sender.rng.drawn)
        envelope = sender.send(plaintext, kem_due=kem_due)
        self.steps.append(
            {
                "step": "encrypt",
                "party": party,
                "plaintext": plaintext.hex(),
                "kem_due": kem_due,
                "kem": KEM_NAMES[sender.state.root.kem.flags],
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

    def refuse_crafted(
        self, sender: str, receiver: str, flags: int, kem_field: bytes, reason: str
    ) -> None:
        """Have one party break the KEM rules, and the other refuse."""
        self.refuse(receiver, crafted(self._parties[sender], flags, kem_field), reason)

    def kem_field(self, party: str) -> bytes:
        return kem_part(self._parties[party].state)[1]

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
    next_root_key, chain_key, next_header_key = root_step(Secret(root_key), dh_output, None)
    return {
        "root_key": root_key.hex(),
        "dh": dh_output.hex(),
        "next_root_key": next_root_key.reveal().hex(),
        "chain_key": chain_key.reveal().hex(),
        "next_header_key": next_header_key.secret.reveal().hex(),
    }


def make_hybrid_root_step(rng: SeededRng) -> dict[str, str]:
    root_key, dh_output = rng(KEY_LEN), rng(KEY_LEN)
    pair, randomness = kem.generate(rng=rng), rng(32)
    ciphertext, shared_secret = ml_kem.encapsulate(pair.public, randomness)
    assert pair.decapsulate(ciphertext) == shared_secret
    next_root_key, chain_key, next_header_key = root_step(
        Secret(root_key), dh_output, KemExchange(shared_secret, pair.public, ciphertext)
    )
    return {
        "root_key": root_key.hex(),
        "dh": dh_output.hex(),
        "kem_seed": pair.private.reveal().hex(),
        "encapsulation_key": pair.public.hex(),
        "encapsulation_randomness": randomness.hex(),
        "ciphertext": ciphertext.hex(),
        "shared_secret": shared_secret.hex(),
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
        encapsulate_from(initiator_rng),
    )
    responder = Party(
        init_responder(seed, ratchet_pair=ratchet_pair, associated_data=associated_data),
        responder_rng,
        encapsulate_from(responder_rng),
    )
    initially_drawn = [drawn.hex() for drawn in initiator_rng.drawn]
    recorder = Recorder(initiator, responder)
    talk(recorder)
    talk_hybrid(recorder)
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
    recorder.refuse("responder", flipped(late, PREFIX_LEN), "body")
    recorder.refuse("responder", late[: ENVELOPE_MIN_BYTES - 1], "too short")
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


def talk_hybrid(recorder: Recorder) -> None:
    """Make a hybrid step in each direction, and break every rule of theirs."""
    encrypt, decrypt = recorder.encrypt, recorder.decrypt
    key = kem.generate(rng=SeededRng("another key")).public
    ciphertext, _ = ml_kem.encapsulate(key, bytes(32))
    not_a_key = b"\xff\xff" + key[2:]

    not_yet = encrypt("responder", b"it is not the responder's turn", kem_due=True)
    recorder.refuse_crafted("responder", "initiator", KEM_OFFER, key, "offer out of turn")
    recorder.refuse_crafted(
        "responder", "initiator", KEM_ANSWER, answer_field(ciphertext), "answer to no offer"
    )
    decrypt("initiator", not_yet)

    offers = [encrypt("initiator", b"offer %d" % number, kem_due=True) for number in range(3)]
    recorder.refuse_crafted("initiator", "responder", KEM_OFFER, not_a_key, "key out of range")
    decrypt("responder", offers[1])
    answers = [encrypt("responder", b"answer %d" % number) for number in range(3)]
    decrypt("responder", offers[0])
    recorder.refuse_crafted("responder", "initiator", KEM_NONE, NO_KEM, "answer missing")
    recorder.refuse_crafted("responder", "initiator", KEM_OFFER, key, "offer instead of answer")
    recorder.refuse_crafted(
        "responder", "initiator", KEM_ANSWER, answer_field(ciphertext), "another ciphertext"
    )
    untidy = recorder.kem_field("responder")[:-1] + b"\x01"
    recorder.refuse_crafted("responder", "initiator", KEM_ANSWER, untidy, "not followed by zeros")
    decrypt("initiator", answers[2])
    decrypt("initiator", answers[0])
    decrypt("responder", offers[2])

    after = encrypt("initiator", b"not the initiator's turn any more", kem_due=True)
    recorder.refuse_crafted("initiator", "responder", KEM_NONE, key, "field of no kind")
    recorder.refuse_crafted("initiator", "responder", 3, key, "flags")
    decrypt("responder", after)
    back = encrypt("responder", b"the responder's turn", kem_due=True)
    decrypt("initiator", back)
    answer = encrypt("initiator", b"and its answer")
    decrypt("responder", answer)
    decrypt("initiator", answers[1])


def encapsulate_from(rng: Rng) -> Encapsulate:
    """Return an encapsulation that draws its 32 bytes from ``rng``, as FIPS 203's internal one."""
    return lambda key: ml_kem.encapsulate(key.encoded, rng(32))


def make_vectors() -> dict[str, Any]:
    """Return the whole file's content."""
    rng = SeededRng("ratchet vectors")
    seeding = make_seeding(rng)
    return {
        "about": "p2pchat protocol version 1, Double Ratchet (protocol.md 6.8)",
        "seeding": seeding,
        "root_step": make_root_step(rng),
        "hybrid_root_step": make_hybrid_root_step(rng),
        "chain_step": make_chain_step(rng),
        "conversation": make_conversation(seeding, rng),
    }


def encoded() -> str:
    """Return the file's text."""
    return json.dumps(make_vectors(), indent=1) + "\n"


if __name__ == "__main__":
    sys.stdout.write(encoded())
