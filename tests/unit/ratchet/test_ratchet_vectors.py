"""The committed vectors of the ratchet (protocol.md §6.8), and that their maker still makes them.

The maker and the ratchet could err alike. So the steps' keys are derived a second time here,
from the text of §6.2 to §6.4 with nothing but HMAC, X25519 and the AEAD.
"""

from __future__ import annotations

import hmac
import json
from pathlib import Path
from typing import Any

import pytest

from p2pchat.crypto import aead, kem, x25519
from p2pchat.crypto.kdf import hkdf_sha256
from p2pchat.crypto.secret import Secret
from p2pchat.interop.vectors import ml_kem
from p2pchat.ratchet.double_ratchet import init_initiator, init_responder
from p2pchat.ratchet.schedule import KemExchange, chain_step, root_step
from p2pchat.ratchet.state import RatchetSeed
from tests.support.make_ratchet_vectors import KEM_NAMES, encapsulate_from, encoded
from tests.support.ratchet_pair import Party, kem_part

PATH = Path(__file__).parents[2] / "vectors" / "ratchet.json"


@pytest.fixture(scope="module")
def vectors() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))
    return loaded


class Drawn:
    """An Rng that gives what the vectors say was drawn, and nothing else."""

    def __init__(self, drawn: list[str]) -> None:
        self._left = [bytes.fromhex(value) for value in drawn]

    def __call__(self, count: int) -> bytes:
        value = self._left.pop(0)
        assert len(value) == count
        return value

    def finish(self) -> None:
        assert self._left == []


def test_maker_still_makes_the_committed_file() -> None:
    assert PATH.read_text(encoding="utf-8") == encoded()


def test_seeding(vectors: dict[str, Any]) -> None:
    """R-6.1.1."""
    seeding = {name: bytes.fromhex(value) for name, value in vectors["seeding"].items()}
    okm = hkdf_sha256(
        salt=seeding["ck"],
        input_key=b"",
        info=b"p2pchat/1 ratchet seed" + seeding["h"],
        length=112,
    )
    assert okm == b"".join(
        seeding[name]
        for name in ("root_key", "header_key_initiator", "next_header_key", "session_id")
    )


def test_root_step(vectors: dict[str, Any]) -> None:
    """R-6.2.4."""
    step = {name: bytes.fromhex(value) for name, value in vectors["root_step"].items()}
    root_key, chain_key, header_key = root_step(Secret(step["root_key"]), step["dh"], None)
    assert root_key.reveal() == step["next_root_key"]
    assert chain_key.reveal() == step["chain_key"]
    assert header_key.secret.reveal() == step["next_header_key"]


def test_hybrid_root_step(vectors: dict[str, Any]) -> None:
    """R-6.2.6."""
    step = {name: bytes.fromhex(value) for name, value in vectors["hybrid_root_step"].items()}
    pair = kem.key_pair(Secret(step["kem_seed"]))
    assert pair.public == step["encapsulation_key"]
    assert ml_kem.encapsulate(pair.public, step["encapsulation_randomness"]) == (
        step["ciphertext"],
        step["shared_secret"],
    )
    assert pair.decapsulate(step["ciphertext"]) == step["shared_secret"]
    exchange = KemExchange(step["shared_secret"], pair.public, step["ciphertext"])
    root_key, chain_key, header_key = root_step(Secret(step["root_key"]), step["dh"], exchange)
    assert root_key.reveal() == step["next_root_key"]
    assert chain_key.reveal() == step["chain_key"]
    assert header_key.secret.reveal() == step["next_header_key"]


def test_chain_step(vectors: dict[str, Any]) -> None:
    """R-6.2.5."""
    step = {name: bytes.fromhex(value) for name, value in vectors["chain_step"].items()}
    assert chain_step(step["chain_key"]) == (step["message_key"], step["next_chain_key"])


def test_conversation(vectors: dict[str, Any]) -> None:
    """R-6.4.1, R-6.4.3, R-6.4.6: every step as written, from the vectors' own randomness."""
    seeding, conversation = vectors["seeding"], vectors["conversation"]
    seed = RatchetSeed(
        *(
            Secret(bytes.fromhex(seeding[name]))
            for name in ("root_key", "header_key_initiator", "next_header_key")
        )
    )
    associated_data = bytes.fromhex(conversation["ad"])
    pair = x25519.key_pair(Secret(bytes.fromhex(conversation["responder_ratchet_private"])))
    assert pair.public.hex() == conversation["responder_ratchet_public"]
    drawn = Drawn(conversation["initiator_drawn"])
    parties = {
        "initiator": Party(
            init_initiator(
                seed, remote_ratchet_key=pair.public, associated_data=associated_data, rng=drawn
            ),
            drawn,
        ),
        "responder": Party(
            init_responder(seed, ratchet_pair=pair, associated_data=associated_data), drawn
        ),
    }
    steps = conversation["steps"]
    for step in steps:
        party = parties[step["party"]]
        match step["step"]:
            case "encrypt":
                drawn = Drawn(step["drawn"])
                party.rng, party.encapsulate = drawn, encapsulate_from(drawn)
                envelope = party.send(bytes.fromhex(step["plaintext"]), kem_due=step["kem_due"])
                assert envelope.hex() == step["envelope"]
                assert KEM_NAMES[kem_part(party.state)[0]] == step["kem"]
                drawn.finish()
            case "decrypt":
                envelope = bytes.fromhex(steps[step["envelope"]]["envelope"])
                assert party.receive(envelope).hex() == step["plaintext"]
            case "refuse":
                party.refuses(bytes.fromhex(step["envelope"]))
            case other:
                pytest.fail(f"there is no step {other!r}")
    assert {step["step"] for step in steps} == {"encrypt", "decrypt", "refuse"}
    assert [party.state.kem_steps for party in parties.values()] == [2, 2]


def test_first_chains_by_hand(vectors: dict[str, Any]) -> None:
    """R-6.2.1, R-6.2.2, R-6.3.1, R-6.3.2: derived from the text without the ratchet's code."""
    seeding, conversation = vectors["seeding"], vectors["conversation"]
    associated_data = bytes.fromhex(conversation["ad"])
    initiator_private = Secret(bytes.fromhex(conversation["initiator_drawn"][0]))
    responder_public = bytes.fromhex(conversation["responder_ratchet_public"])
    first, _, answer = conversation["steps"][:3]

    def mac(key: bytes, data: bytes) -> bytes:
        return hmac.digest(key, data, "sha256")

    def root(key: bytes, dh_output: bytes) -> tuple[bytes, bytes, bytes]:
        okm = hkdf_sha256(salt=key, input_key=dh_output, info=b"p2pchat/1 ratchet root", length=96)
        return okm[:32], okm[32:64], okm[64:]

    def seal(step: dict[str, Any], header_key: bytes, chain_key: bytes, public: bytes) -> str:
        nonce = bytes.fromhex(step["drawn"][-1])
        header = b"\x00" + public + bytes(4) + bytes(4) + bytes(1184)
        prefix = b"\x01" + nonce + aead.seal(header_key, nonce, header, associated_data)
        message_key, plaintext = mac(chain_key, b"\x01"), bytes.fromhex(step["plaintext"])
        body = aead.seal(message_key, nonce, plaintext, associated_data + prefix)
        return (prefix + body).hex()

    initiator_public = x25519.key_pair(initiator_private).public
    root_key, chain_key, _ = root(
        bytes.fromhex(seeding["root_key"]), x25519.dh(initiator_private, responder_public)
    )
    header_key = bytes.fromhex(seeding["header_key_initiator"])
    assert seal(first, header_key, chain_key, initiator_public) == first["envelope"]

    responder_private = Secret(bytes.fromhex(conversation["responder_ratchet_private"]))
    assert x25519.dh(responder_private, initiator_public) == x25519.dh(
        initiator_private, responder_public
    )
    answering = x25519.key_pair(Secret(bytes.fromhex(answer["drawn"][0])))
    _, chain_key, _ = root(root_key, x25519.dh(answering.private, initiator_public))
    header_key = bytes.fromhex(seeding["next_header_key"])
    assert seal(answer, header_key, chain_key, answering.public) == answer["envelope"]
