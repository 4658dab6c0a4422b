"""tests/vectors/protocol is what the kit makes, our readers refuse what it says, and a Connection
sends the same bytes (protocol.md §3 to §9, §12)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from p2pchat.crypto import kem, x25519
from p2pchat.crypto.secret import Rng, Secret
from p2pchat.errors import ErrorCode, UsageError
from p2pchat.interop.vectors import command, ml_kem
from p2pchat.interop.vectors.form import VectorFile
from p2pchat.interop.vectors.identities import NOW_MS, alice, bob
from p2pchat.session.connection import Connection
from p2pchat.session.credentials import ConnectionConfig
from p2pchat.session.events import Answer, FirstMessageRead, PeerAuthenticated
from p2pchat.session.negotiation import OUR_OFFER, Offer

FOLDER = Path(__file__).parents[2] / "vectors" / "protocol"
FILES = {file.name: file for file in command.all_files()}
SUITES = ["xx", "ik", "xxhfs", "ikhfs"]
CLASSICAL = Offer(OUR_OFFER.versions, (1, 2))


def test_the_committed_files_are_these() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_what_the_command_makes(name: str) -> None:
    assert (FOLDER / name).read_text() == FILES[name].text()


@pytest.mark.parametrize("name", FILES)
def test_our_readers_refuse_what_they_have_to(name: str) -> None:
    """R-2.3.1, R-3.2.2, R-3.3.1 to R-3.3.4, R-3.4.2, R-3.5.2, R-4.2.2, R-4.2.3, R-5.2.3, R-5.2.5,
    R-5.5.4, R-7.2.2, R-9.1.1 to R-9.1.4, R-9.2.2."""
    file = FILES[name]
    judged = {entry["name"]: file.judge(entry) for entry in file.refused}
    assert judged == {entry["name"]: entry["error"] for entry in file.refused}


@pytest.mark.parametrize("name", FILES)
def test_names_are_names(name: str) -> None:
    file = FILES[name]
    names = [entry["name"] for entry in (*file.cases, *file.refused)]
    assert len(names) == len(set(names))


# --- The command ----------------------------------------------------------------------------------


def check(folder: Path | None) -> tuple[int, list[str]]:
    lines: list[str] = []
    code = command.run(str(folder) if folder else None, None, show=False, say=lines.append)
    return code, lines


def test_checking_without_a_folder_judges_our_own() -> None:
    code, lines = check(None)
    assert code == 0
    assert lines[-1].endswith(" passed, 0 failed")


def test_what_is_written_can_be_checked(tmp_path: Path) -> None:
    assert command.run(None, str(tmp_path), show=False, say=lambda _: None) == 0
    assert check(tmp_path)[0] == 0


Spoil = Callable[[dict[str, Any]], Any]
SPOILT: dict[str, tuple[Spoil, str]] = {
    "changed": (lambda c: c["cases"][0].update(peer_id="x"), "peer_id differs"),
    "missing": (lambda c: c["cases"].pop(), "is missing"),
    "added": (lambda c: c["cases"].append({"name": "new"}), "is not one that we make"),
    "refused": (lambda c: c["refused"][0].update(error="NORMAL"), "error differs"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_changed_file_fails(name: str, tmp_path: Path) -> None:
    spoil, problem = SPOILT[name]
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    content = json.loads((FOLDER / "identity.json").read_text())
    spoil(content)
    (tmp_path / "identity.json").write_text(json.dumps(content))
    code, lines = check(tmp_path)
    assert code == 1
    assert [line for line in lines if line.startswith("FAILED") and problem in line]


@pytest.mark.parametrize("text", ["", "[]", "{}", "\xff"])
def test_a_file_that_is_none_fails(text: str, tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    (tmp_path / "errors.json").write_bytes(text.encode("latin-1"))
    (tmp_path / "session.json").unlink()
    code, lines = check(tmp_path)
    assert code == 1
    assert any("errors.json" in line for line in lines)
    assert any("session.json: the file: cannot be read" in line for line in lines)


def test_a_folder_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        check(tmp_path / "nowhere")


def test_printing_gives_one_object() -> None:
    lines: list[str] = []
    assert command.run(None, None, show=True, say=lines.append) == 0
    assert set(json.loads("\n".join(lines))) == set(FILES)


def test_a_reader_that_takes_too_much_fails() -> None:
    file = FILES["errors.json"]
    lenient = VectorFile(
        "x.json",
        "",
        [],
        [{"name": "bad", "reader": "any", "input": "00", "error": ErrorCode.TIMEOUT.name}],
        {"any": lambda _: None},
    )
    problems = dict(command.check_file(lenient, lenient.content()))
    assert problems["bad"] == "our reader says nothing, not TIMEOUT"
    assert not any(problem for _, problem in command.check_file(file, file.content()))


# --- The same bytes from a Connection -------------------------------------------------------------


def vector(suite: str) -> dict[str, Any]:
    [case] = json.loads((FOLDER / f"handshake_{suite}.json").read_text())["cases"]
    return dict(case)


def drawing(*values: str) -> Rng:
    """Give the vector's random bytes, in the order in which they are drawn."""
    left = [bytes.fromhex(value) for value in values]

    def rng(count: int) -> bytes:
        value = left.pop(0)
        assert len(value) == count
        return value

    return rng


def dialler(suite: str, case: dict[str, Any]) -> Connection:
    kem_seed = [case["kem_seed"]] if "kem_seed" in case else []
    return Connection(
        ConnectionConfig(
            alice().certificate(NOW_MS),
            alice().static,
            bob().identity.public,
            OUR_OFFER if kem_seed else CLASSICAL,
            bob().static.public if "ik" in suite else None,
        ),
        initiator=True,
        now=0.0,
        now_ms=NOW_MS,
        rng=drawing(case["initiator_ephemeral_private"], *kem_seed),
    )


@pytest.mark.parametrize("suite", SUITES)
def test_a_connection_that_dials_sends_the_vectors_bytes(suite: str) -> None:
    """R-5.1.1, R-5.5.1, R-5.3.1, R-6.1.1."""
    case = vector(suite)
    connection = dialler(suite, case)
    first, second, *third = (bytes.fromhex(item["frame"]) for item in case["messages"])
    assert connection.data_to_send() == bytes.fromhex(case["preamble"]) + first
    connection.receive_data(second, now=0.0)
    event = connection.next_event()
    assert isinstance(event, PeerAuthenticated)
    assert event.handshake_hash.hex() == case["handshake_hash"]
    assert connection.data_to_send() == b"".join(third)


@pytest.mark.parametrize("suite", SUITES)
def test_a_connection_that_listens_sends_the_vectors_bytes(
    suite: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R-5.1.1, R-5.5.1, R-5.3.1; the library's encapsulation gives way to the vector's."""
    case = vector(suite)
    if "kem_m" in case:
        made = bytes.fromhex(case["kem_ciphertext"]), bytes.fromhex(case["kem_shared_secret"])
        monkeypatch.setattr(kem.EncapsulationKey, "encapsulate", lambda _: made)
    connection = Connection(
        ConnectionConfig(bob().certificate(NOW_MS), bob().static),
        initiator=False,
        now=0.0,
        now_ms=NOW_MS,
        rng=drawing(case["ratchet_private"], case["responder_ephemeral_private"]),
    )
    first, second, *third = (bytes.fromhex(item["frame"]) for item in case["messages"])
    connection.receive_data(bytes.fromhex(case["preamble"]) + first, now=0.0)
    event = connection.next_event()
    if "ik" in suite:
        assert isinstance(event, FirstMessageRead)
        assert event.time_ms == NOW_MS
        connection.send(Answer(), now=0.0)
    assert connection.data_to_send() == second
    if third:
        connection.receive_data(third[0], now=0.0)
        event = connection.next_event()
        assert isinstance(event, PeerAuthenticated)
        assert event.handshake_hash.hex() == case["handshake_hash"]


def test_a_connection_asks_again_and_goes_on_as_the_vector_does() -> None:
    """R-5.6.2, R-5.6.4."""
    [case] = json.loads((FOLDER / "handshake_retry.json").read_text())["cases"]
    connection = Connection(
        ConnectionConfig(bob().certificate(NOW_MS), bob().static),
        initiator=False,
        now=0.0,
        now_ms=NOW_MS,
        rng=drawing(),
    )
    failed = b"\x01" + bytes.fromhex(case["first_message"])
    frame = len(failed).to_bytes(2, "big") + failed
    connection.receive_data(bytes.fromhex(case["preamble"]) + frame, now=0.0)
    assert connection.next_event() is None
    assert connection.data_to_send() == bytes.fromhex(case["retry_frame"])


@pytest.mark.parametrize("number", range(3))
def test_our_encapsulation_is_the_librarys(number: int) -> None:
    """FIPS 203: what is encapsulated here from given randomness, the library decapsulates."""
    pair = kem.key_pair(Secret(bytes([number]) * 64))
    ciphertext, secret = ml_kem.encapsulate(pair.public, bytes([255 - number]) * 32)
    assert pair.decapsulate(ciphertext) == secret


def test_the_people_of_the_vectors_have_their_keys() -> None:
    for who in (alice(), bob()):
        assert x25519.key_pair(who.static.private).public == who.static.public
    assert alice().identity.public != bob().identity.public
