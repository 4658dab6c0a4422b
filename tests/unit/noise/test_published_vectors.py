"""The published handshakes, played here step by step without the checker (R-5.1.1)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from p2pchat.crypto.secret import Secret
from p2pchat.crypto.x25519 import KeyPair, key_pair
from p2pchat.errors import DecryptionError
from p2pchat.noise.handshake import HandshakeState

FOLDER = Path(__file__).parents[2] / "vectors" / "noise"
FILES = sorted(path.name for path in FOLDER.glob("Noise_*.json"))
FALLBACKS = [name for name in FILES if "fallback" in name]
PLAIN = [name for name in FILES if "fallback" not in name]

Vector = dict[str, Any]


def load(file_name: str) -> Vector:
    (vector,) = json.loads((FOLDER / file_name).read_text(encoding="utf-8"))["vectors"]
    assert isinstance(vector, dict)
    return vector


def pair_from(vector: Vector, field: str) -> KeyPair | None:
    return key_pair(Secret(bytes.fromhex(vector[field]))) if field in vector else None


def state(
    vector: Vector, side: str, name: str, *, initiator: bool, **remote: Any
) -> HandshakeState:
    return HandshakeState(
        name,
        initiator=initiator,
        prologue=bytes.fromhex(vector[f"{side}_prologue"]),
        rng=lambda _count: pytest.fail("the vector gives every key"),
        s=pair_from(vector, f"{side}_static"),
        e=pair_from(vector, f"{side}_ephemeral"),
        psks=[Secret(bytes.fromhex(psk)) for psk in vector.get(f"{side}_psks", [])],
        **remote,
    )


def play(
    init: HandshakeState, resp: HandshakeState, messages: list[Vector], handshake_hash: str
) -> None:
    """Play a handshake and then transport messages; the sides go on taking turns."""
    expected = [(bytes.fromhex(m["payload"]), bytes.fromhex(m["ciphertext"])) for m in messages]
    position = 0
    init_opens = init.is_my_turn
    while not init.is_complete:
        payload, ciphertext = expected[position]
        writer, reader = (init, resp) if init.is_my_turn else (resp, init)
        assert writer.write_message(payload) == ciphertext
        assert reader.read_message(ciphertext) == payload
        position += 1
    assert resp.is_complete
    for side in (init, resp):
        assert side.handshake_hash.hex() == handshake_hash
    splits = {True: init.split(), False: resp.split()}
    init_writes = init_opens == (position % 2 == 0)
    assert position < len(expected)
    for payload, ciphertext in expected[position:]:
        sender, receiver = splits[init_writes], splits[not init_writes]
        assert sender.send.encrypt_with_ad(b"", payload) == ciphertext
        assert receiver.receive.decrypt_with_ad(b"", ciphertext) == payload
        init_writes = not init_writes


@pytest.mark.parametrize("file_name", PLAIN)
def test_handshake_hash_and_transport_are_byte_for_byte_as_published(file_name: str) -> None:
    """R-5.1.1, R-5.1.2"""
    vector = load(file_name)
    remotes: dict[str, dict[str, Any]] = {
        side: {"rs": bytes.fromhex(vector[f"{side}_remote_static"])}
        if f"{side}_remote_static" in vector
        else {}
        for side in ("init", "resp")
    }
    name = vector["protocol_name"]
    play(
        state(vector, "init", name, initiator=True, **remotes["init"]),
        state(vector, "resp", name, initiator=False, **remotes["resp"]),
        vector["messages"],
        vector["handshake_hash"],
    )


@pytest.mark.parametrize("file_name", FALLBACKS)
def test_a_failed_ik_falls_back_to_xx_as_published(file_name: str) -> None:
    """R-5.1.10: the responder of the failed attempt is the initiator of XXfallback."""
    vector = load(file_name)
    name = vector["protocol_name"]
    attempt_name = name.replace("XXfallback", vector["pattern"])
    rs = bytes.fromhex(vector["init_remote_static"])
    first = vector["messages"][0]
    attempt = state(vector, "init", attempt_name, initiator=True, rs=rs)
    message = attempt.write_message(bytes.fromhex(first["payload"]))
    assert message.hex() == first["ciphertext"]
    with pytest.raises(DecryptionError):
        state(vector, "resp", attempt_name, initiator=False).read_message(message)
    play(
        state(vector, "init", name, initiator=False),
        state(vector, "resp", name, initiator=True, re=message[:32]),
        vector["messages"][1:],
        vector["handshake_hash"],
    )


def test_all_eighteen_files_are_there() -> None:
    assert (len(PLAIN), len(FALLBACKS)) == (15, 3)
