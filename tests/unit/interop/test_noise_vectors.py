from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pchat.crypto.secret import Secret
from p2pchat.crypto.x25519 import key_pair
from p2pchat.interop import noise_vectors
from p2pchat.interop.noise_vectors import VectorResult, check_data, check_file, run
from p2pchat.noise.handshake import HandshakeState

FOLDER = Path(__file__).parents[2] / "vectors" / "noise"
FILES = sorted(FOLDER.glob("*.json"))
XX_FILE = FOLDER / "Noise_XX_25519_ChaChaPoly_SHA256.json"
PSK_FILE = FOLDER / "Noise_XXpsk3_25519_ChaChaPoly_SHA256.json"
FALLBACK_FILE = FOLDER / "Noise_XXfallback_25519_ChaChaPoly_SHA256.json"
REKEY_FILE = FOLDER / "rekey_chachapoly.json"
HFS_NAME = "Noise_XXhfs_25519+MLKEM768_ChaChaPoly_SHA256"
HFS_FILE = FOLDER.with_name("noise_hfs") / f"{HFS_NAME}.json"

Vector = dict[str, Any]


def load(path: Path) -> Vector:
    document: Vector = json.loads(path.read_text(encoding="utf-8"))
    return document


def vector_of(path: Path) -> Vector:
    (vector,) = load(path)["vectors"]
    assert isinstance(vector, dict)
    return vector


def check(document: object) -> list[VectorResult]:
    return check_data(json.dumps(document).encode())


def problem_of(vector: object) -> str:
    (result,) = check({"vectors": [vector]})
    assert result.problem is not None
    assert result.problem.isprintable()
    return result.problem


def report(*paths: Path | str) -> tuple[int, list[str]]:
    lines: list[str] = []
    return run([str(path) for path in paths], lines.append), lines


def flip(text: str, byte: int) -> str:
    value = bytearray.fromhex(text)
    value[byte] ^= 0x01
    return value.hex()


# --- Genuine files --------------------------------------------------------------------------------


def test_every_published_file_passes() -> None:
    """R-5.1.1, R-5.1.9, R-5.1.10"""
    code, lines = report(*FILES)
    assert len(FILES) == 19
    assert lines[-1] == "19 passed, 0 failed"
    assert [line for line in lines[:-1] if not line.startswith("ok    ")] == []
    assert len(lines) == 20
    assert code == 0


def test_a_line_names_the_file_and_the_vector() -> None:
    _, lines = report(XX_FILE)
    assert lines[0] == f"ok    {XX_FILE}: Noise_XX_25519_ChaChaPoly_SHA256"


def test_several_vectors_in_a_file_are_judged_one_by_one() -> None:
    bad = vector_of(XX_FILE)
    bad["messages"][3]["ciphertext"] = flip(bad["messages"][3]["ciphertext"], 0)
    results = check({"vectors": [vector_of(PSK_FILE), bad, 7, vector_of(FALLBACK_FILE)]})
    assert [(result.name, result.problem is None) for result in results] == [
        ("Noise_XXpsk3_25519_ChaChaPoly_SHA256", True),
        ("Noise_XX_25519_ChaChaPoly_SHA256", False),
        ("unnamed", False),
        ("Noise_XXfallback_25519_ChaChaPoly_SHA256", True),
    ]


def test_noise_cs_own_field_name_and_missing_hashes_are_read_too() -> None:
    vector = vector_of(FALLBACK_FILE)
    vector["name"] = vector.pop("protocol_name")
    del vector["handshake_hash"]
    assert check({"vectors": [vector]}) == [
        VectorResult("Noise_XXfallback_25519_ChaChaPoly_SHA256")
    ]


def test_the_published_hybrid_file_passes() -> None:
    """§5.5: its name stands once, beside the vectors."""
    assert report(HFS_FILE) == (0, [f"ok    {HFS_FILE}: {HFS_NAME}", "1 passed, 0 failed"])


# --- Tampered copies ------------------------------------------------------------------------------


def tampered_copies(document: Vector) -> Iterator[tuple[str, Vector]]:
    """Yield a copy for each expected value and each of its ends, with one bit flipped there."""
    for byte in (0, -1):
        if "vectors" not in document:
            for field in ("rekeyed", "rekeyed_twice", "k"):
                yield field, {**document, field: flip(document[field], byte)}
            continue
        for number, message in enumerate(document["vectors"][0]["messages"]):
            for field in ("ciphertext", "payload"):
                tampered = copy.deepcopy(document)
                tampered["vectors"][0]["messages"][number][field] = flip(message[field], byte)
                yield f"{field} {number}", tampered
        tampered = copy.deepcopy(document)
        vector = tampered["vectors"][0]
        vector["handshake_hash"] = flip(vector["handshake_hash"], byte)
        yield "handshake_hash", tampered


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_copy_with_one_wrong_bit_anywhere_fails(path: Path, tmp_path: Path) -> None:
    copies = list(tampered_copies(load(path)))
    assert len(copies) == (6 if path == REKEY_FILE else 26)
    for what, document in copies:
        tampered = tmp_path / "tampered.json"
        tampered.write_text(json.dumps(document), encoding="utf-8")
        code, lines = report(tampered)
        assert (code, lines[-1]) == (1, "0 passed, 1 failed"), what
        assert lines[0].startswith("FAIL  "), what


HFS_FIELDS = [
    "init_static",
    "resp_static",
    "init_ephemeral",
    "resp_ephemeral",
    "init_kem_seed",
    "kem_ciphertext",
    "kem_shared_secret",
    "handshake_hash",
    "split_k1",
    "split_k2",
]


# X25519 ignores a few bits at a key's ends; the seed's second half is only ever used to reject.
@pytest.mark.parametrize("field", HFS_FIELDS)
@pytest.mark.parametrize("byte", [1, 30])
def test_a_hybrid_file_with_a_wrong_bit_in_a_field_fails(field: str, byte: int) -> None:
    document = load(HFS_FILE)
    (vector,) = document["vectors"]
    vector[field] = flip(vector[field], byte)
    (result,) = check(document)
    assert result.name == HFS_NAME
    assert result.problem is not None


@pytest.mark.parametrize("number", range(3))
def test_a_hybrid_file_with_a_wrong_bit_in_a_message_fails(number: int) -> None:
    """In the X25519 key or the static key, the KEM key or ciphertext, and the last tag."""
    document = load(HFS_FILE)
    message = document["vectors"][0]["messages"][number]
    genuine = message["ciphertext"]
    for byte in (0, len(genuine) // 4, -1):
        message["ciphertext"] = flip(genuine, byte)
        (result,) = check(document)
        assert result.problem is not None
        assert f"message {number} differs from byte " in result.problem


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"kem_ciphertext": None}, "does not give the KEM's ciphertext and shared secret"),
        ({"kem_shared_secret": None}, "does not give the KEM's ciphertext and shared secret"),
        ({"kem_ciphertext": "00"}, "message 1 has 113 bytes here, 1200 in the vector"),
        ({"kem_ciphertext": "zz"}, "kem_ciphertext is not hexadecimal"),
        ({"kem_shared_secret": ""}, "message 1 differs from byte 1136 on"),
        ({"kem_shared_secret": 1}, "malformed"),
        ({"init_kem_seed": None}, "does not give an ephemeral key"),
        ({"init_kem_seed": "00"}, "seed has 64 bytes, not 1"),
        ({"init_kem_seed": "zz"}, "init_kem_seed is not hexadecimal"),
        ({"split_k1": "00"}, "key has 32 bytes, not 1"),
        ({"split_k2": "zz"}, "split_k2 is not hexadecimal"),
        ({"protocol_name": "Noise_XX_25519_ChaChaPoly_SHA256"}, "has no e1"),
    ],
)
def test_a_malformed_hybrid_vector_is_one_clear_failure(change: Vector, problem: str) -> None:
    document = load(HFS_FILE)
    document["vectors"][0].update(change)
    (result,) = check(document)
    assert problem in str(result.problem)


@pytest.mark.parametrize("name", [None, 7, ["XX"]])
def test_a_hybrid_file_without_a_name_fails(name: object) -> None:
    (result,) = check({**load(HFS_FILE), "protocol_name": name})
    assert result == VectorResult("unnamed", "has no protocol name")


@pytest.mark.parametrize(
    ("path", "field"),
    [
        (XX_FILE, "init_prologue"),
        (XX_FILE, "resp_prologue"),
        (PSK_FILE, "init_psks"),
        (PSK_FILE, "resp_psks"),
        (FALLBACK_FILE, "init_remote_static"),
        (FALLBACK_FILE, "resp_prologue"),
    ],
)
def test_other_inputs_of_one_side_fail(path: Path, field: str) -> None:
    vector = vector_of(path)
    value = vector[field]
    vector[field] = [flip(value[0], 0)] if isinstance(value, list) else flip(value, 0)
    problem_of(vector)


def test_the_problem_says_where() -> None:
    vector = vector_of(XX_FILE)
    message = vector["messages"][4]
    genuine = dict(message)
    message["ciphertext"] = flip(genuine["ciphertext"], 5)
    assert problem_of(vector) == "message 4 differs from byte 5 on"
    message["ciphertext"] = genuine["ciphertext"] + "00"
    assert problem_of(vector) == "message 4 has 33 bytes here, 34 in the vector"
    message["ciphertext"] = genuine["ciphertext"]
    vector["handshake_hash"] = flip(vector["handshake_hash"], 31)
    assert problem_of(vector) == "handshake_hash differs from byte 31 on"


@pytest.mark.parametrize("count", range(3))
def test_a_vector_that_stops_in_the_handshake_fails(count: int) -> None:
    """Or else an emptied vector would pass."""
    for path in (XX_FILE, PSK_FILE):
        vector = vector_of(path)
        vector["messages"] = vector["messages"][:count]
        assert problem_of(vector) == "the vector ends before its handshake does"


def test_a_fallback_vector_that_stops_early_fails() -> None:
    vector = vector_of(FALLBACK_FILE)
    messages = vector["messages"]
    vector["messages"] = []
    assert problem_of(vector) == "there is no message to fall back from"
    for count in (1, 2):
        vector["messages"] = messages[:count]
        assert problem_of(vector) == "the vector ends before its handshake does"


def test_a_fallback_from_a_message_that_can_be_read_fails() -> None:
    """The attempt is made to the responder's real key here, so it succeeds."""
    vector = vector_of(FALLBACK_FILE)
    responder = key_pair(Secret(bytes.fromhex(vector["resp_static"])))
    attempt = HandshakeState(
        vector["protocol_name"].replace("XXfallback", "IK"),
        initiator=True,
        prologue=bytes.fromhex(vector["init_prologue"]),
        rng=lambda _count: b"",
        s=key_pair(Secret(bytes.fromhex(vector["init_static"]))),
        e=key_pair(Secret(bytes.fromhex(vector["init_ephemeral"]))),
        rs=responder.public,
    )
    vector["init_remote_static"] = responder.public.hex()
    payload = bytes.fromhex(vector["messages"][0]["payload"])
    vector["messages"][0]["ciphertext"] = attempt.write_message(payload).hex()
    assert "nothing to fall back from" in problem_of(vector)


# --- Malformed files ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"protocol_name": "Noise_XX_448_ChaChaPoly_SHA256"}, "no DH function '448'"),
        ({"protocol_name": "Noise_N_25519_ChaChaPoly_SHA256"}, "no handshake pattern 'N'"),
        ({"protocol_name": "Noise_XXhfs_25519_ChaChaPoly_SHA256"}, "hfs and 25519+MLKEM768 need"),
        ({"protocol_name": HFS_NAME}, "does not give the KEM's ciphertext and shared secret"),
        ({"init_kem_seed": "00" * 64}, "this side of this pattern has no e1"),
        ({"split_k1": "00" * 32}, "split_k1 differs"),
        ({"split_k2": "00" * 32}, "split_k2 differs"),
        ({"protocol_name": "\x1b[2J"}, "not a Noise protocol name"),
        ({"protocol_name": ""}, "not a Noise protocol name"),
        ({"protocol_name": None}, "has no protocol name"),
        ({"protocol_name": ["XX"]}, "has no protocol name"),
        ({"init_static": None}, "needs our 's'"),
        ({"init_static": "00"}, "private key has 32 bytes, not 1"),
        ({"init_static": "zz"}, "init_static is not hexadecimal"),
        ({"init_ephemeral": "zz"}, "init_ephemeral is not hexadecimal"),
        ({"resp_ephemeral": None}, "does not give an ephemeral key"),
        ({"resp_ephemeral": 7}, "malformed"),
        ({"init_psks": ["00" * 32]}, "takes 0 pre-shared keys, not 1"),
        ({"init_psks": "00" * 32}, "malformed"),
        ({"init_remote_static": "00" * 32}, "does not know rs beforehand"),
        ({"messages": None}, "malformed"),
        ({"messages": [{"payload": "00"}]}, "malformed"),
        ({"messages": [{"payload": "0", "ciphertext": ""}]}, "payload of message 0 is not hexa"),
        ({"messages": [{"payload": "", "ciphertext": "é"}]}, "ciphertext of message 0 is not hexa"),
        ({"handshake_hash": "zz"}, "handshake_hash is not hexadecimal"),
        ({"handshake_hash": ""}, "handshake_hash has 32 bytes here, 0 in the vector"),
        ({"fallback": True}, "no handshake pattern ''"),
        ({"fallback": True, "pattern": "\\g<0>"}, "no handshake pattern"),
        ({"fallback": True, "pattern": "IK"}, "needs the peer's 's' beforehand"),
        ({"fallback": "yes"}, "malformed"),
    ],
)
def test_a_malformed_vector_is_one_clear_failure(change: Vector, problem: str) -> None:
    assert problem in problem_of({**vector_of(XX_FILE), **change})


def test_a_malformed_rekey_file_is_one_clear_failure() -> None:
    document = load(REKEY_FILE)
    for change, problem in (
        ({"k": "00"}, "not 1"),
        ({"k": "xx"}, "k is not hexadecimal"),
        ({"rekeyed": None}, "malformed"),
        ({"rekeyed_twice": ""}, "not 0"),
        ({"rekeyed_twice": document["rekeyed"]}, "rekeyed_twice differs"),
    ):
        (result,) = check({**document, **change})
        assert result.name == "REKEY ChaChaPoly"
        assert problem in str(result.problem)
    (result,) = check({"rekeyed": document["rekeyed"], "k": document["k"]})
    assert "rekeyed_twice" in str(result.problem)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b'"\xff"', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"vectors": ' * 100_000, "not JSON"),
        (b"null", "holds no Noise vectors"),
        (b"[]", "holds no Noise vectors"),
        (b"{}", "holds no Noise vectors"),
        (b'{"vectors": []}', "holds no Noise vectors"),
        (b'{"vectors": {}}', "holds no Noise vectors"),
        (b'{"vectors": "Noise"}', "holds no Noise vectors"),
    ],
)
def test_what_is_no_vector_file_is_one_clear_failure(data: bytes, problem: str) -> None:
    (result,) = check_data(data)
    assert result.name == "file"
    assert problem in str(result.problem)
    assert str(result.problem).isprintable()


def test_files_that_cannot_be_read_are_one_clear_failure_each(tmp_path: Path) -> None:
    code, lines = report(tmp_path / "missing.json", tmp_path, "nul\0byte", XX_FILE)
    assert code == 1
    assert lines[0].endswith("missing.json: file: cannot be read: No such file or directory")
    assert lines[1].endswith(": file: cannot be read: Is a directory")
    assert lines[2] == r"FAIL  nul\x00byte: file: cannot be read: not a file name"
    assert lines[3].startswith("ok    ")
    assert lines[4] == "1 passed, 3 failed"


def test_a_file_that_is_too_large_is_not_parsed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert noise_vectors.FILE_MAX_BYTES == 16 * 1024 * 1024
    data = XX_FILE.read_bytes()
    monkeypatch.setattr(noise_vectors, "FILE_MAX_BYTES", len(data))
    assert report(XX_FILE)[0] == 0
    larger = tmp_path / "larger.json"
    larger.write_bytes(data + b" ")
    code, lines = report(larger)
    assert code == 1
    assert lines[0].endswith(f"larger than {len(data)} bytes")


def test_no_files_are_a_failure() -> None:
    assert report() == (1, ["FAIL  no files were given", "0 passed, 1 failed"])


def test_names_out_of_files_cannot_reach_the_terminal_raw(tmp_path: Path) -> None:
    path = tmp_path / "evil\x1b[31m.json"
    name = "\x1b]52;c;aGk=\x07\u202e\n" + "N" * 1000
    path.write_text(json.dumps({"vectors": [{"protocol_name": name}]}), encoding="utf-8")
    _, lines = report(path)
    assert all(line.isprintable() for line in lines)
    assert len(lines) == 2
    (result,) = check_file(str(path))
    assert len(result.name) < 200


@given(
    position=st.integers(min_value=0),
    replacement=st.binary(max_size=4),
    removed=st.integers(min_value=0, max_value=40),
    path=st.sampled_from([XX_FILE, PSK_FILE, FALLBACK_FILE, REKEY_FILE, HFS_FILE]),
)
def test_damage_anywhere_never_escapes_as_an_exception(
    position: int, replacement: bytes, removed: int, path: Path
) -> None:
    data = path.read_bytes()
    position %= len(data)
    results = check_data(data[:position] + replacement + data[position + removed :])
    assert results
    assert all(result.problem is None or result.problem.isprintable() for result in results)
