"""Each class of failure: its exit code, one line, and nothing overwritten."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from p2pchat.cli.main import main
from p2pchat.identity.safety_number import safety_number
from p2pchat.rpc import opening
from p2pchat.store import keychain
from p2pchat.store.lock import ProfileLock
from tests.support.cli_world import Profile, plain_node, run, run_raw


@pytest.fixture
def alice(tmp_path: Path) -> Profile:
    return Profile.quick(tmp_path, "Alice")


@pytest.fixture
def bob(tmp_path: Path) -> Profile:
    return Profile.quick(tmp_path, "Bob")


def test_no_profile_is_a_failure_that_says_how_to_make_one(tmp_path: Path) -> None:
    nobody = Profile(tmp_path, "Nobody")
    assert "p2pchat init" in nobody.process("whoami", code=1)
    assert not nobody.path.exists()


def test_a_profile_is_never_made_over_another(alice: Profile) -> None:
    before = alice.files()
    assert "never overwritten" in alice.run("init", "--name", "Other", code=1)
    assert alice.files() == before


@pytest.mark.parametrize("name", ["", "  ", "two\nlines", "x" * 65, "a\x1b[31mb"])
def test_a_name_that_cannot_be_is_a_usage_error(name: str, tmp_path: Path) -> None:
    nobody = Profile(tmp_path, "Nobody")
    nobody.run("init", "--name", name, code=2)
    assert not (nobody.path / "key").exists()


def test_no_keychain_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keychain, "ALLOWED", ())
    nobody = Profile(tmp_path, "Nobody")
    options = ["--profile", f"{nobody.path}{os.sep}"]
    assert main([*options, "init", "--name", "N", "--keychain"]) == 3
    assert not (nobody.path / "key").exists()
    nobody.run("init", "--name", "N", "--keychain", code=2)  # and a passphrase file: which?


@pytest.mark.parametrize(
    "arguments",
    [("send", "bob", "a\udcff"), ("send", "\udcff", "a"), ("add", "\udcff"), ("log", "\udcff")],
)
def test_words_that_are_no_text_are_a_usage_error(
    arguments: tuple[str, ...], alice: Profile
) -> None:
    assert "not text" in alice.run(*arguments, code=2)


def test_a_wrong_passphrase_is_locked_and_changes_nothing(alice: Profile) -> None:
    before = alice.files()
    alice.passphrase_file.write_text("wrong\n")
    assert "passphrase is wrong" in alice.process("whoami", code=3)
    alice.passphrase_file.write_text("\n")
    assert "empty" in alice.run("log", "bob", code=3)
    alice.passphrase_file.unlink()
    assert "No such file" in alice.process("node", code=3)
    after = alice.files()
    assert {name: after[name] for name in ("key", "chat.db")} == {
        name: before[name] for name in ("key", "chat.db")
    }


def _flip_key_file(profile: Profile) -> None:
    path = profile.path / "key"
    content = bytearray(path.read_bytes())
    content[60] ^= 1
    path.write_bytes(content)


def _plaintext_database(profile: Profile) -> None:
    (profile.path / "chat.db").write_bytes(b"SQLite format 3\0" + bytes(8176))


def _damaged_page(profile: Profile) -> None:
    path = profile.path / "chat.db"
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)


def _lost_key_file(profile: Profile) -> None:
    (profile.path / "key").unlink()


@pytest.mark.parametrize(
    "harm", [_flip_key_file, _plaintext_database, _damaged_page, _lost_key_file]
)
def test_a_damaged_store_is_told_and_left_alone(
    harm: Callable[[Profile], None], alice: Profile
) -> None:
    alice.run("contacts")
    harm(alice)
    before = alice.files()
    (alice.process if harm is _damaged_page else alice.run)("contacts", code=6)
    after = alice.files()
    assert {name: after.get(name) for name in ("key", "chat.db")} == {
        name: before.get(name) for name in ("key", "chat.db")
    }


def test_contacts_and_links_that_are_not(alice: Profile) -> None:
    own_link = alice.link()
    with plain_node(alice, "--listen", "none"):
        assert "'nobody'" in alice.process("send", "nobody", "hello", code=1)
        alice.run("log", "nobody", code=1)
        alice.run("verify", "nobody", code=1)
        alice.run("add", "p2pchat:nonsense", code=2)
        alice.run("add", "https://example.org", code=2)
        alice.run("add", own_link, code=2)
        alice.process("add", "x" * 100_000, code=2)


def test_a_taken_name_and_an_empty_or_too_long_text(alice: Profile, bob: Profile) -> None:
    alice.run("add", bob.link(), "--name", "bob")
    carol = Profile.quick(bob.path.parent, "Carol")
    alice.run("add", carol.link(), "--name", "BOB", code=1)
    alice.run("add", carol.link(), "--name", "a\nb", code=2)
    alice.run("send", "bob", "", code=2)
    alice.run("send", "bob", "é" * 40_000, code=2)


def test_a_number_that_differs_is_refused_on_trust(alice: Profile, bob: Profile) -> None:
    alice.run("add", bob.link(), "--name", "bob")
    wrong = safety_number(b"1" * 32, b"2" * 32)
    with plain_node(alice, "--listen", "none"):
        assert "differ" in alice.process("verify", "bob", "--number", wrong, code=5)
        alice.run("verify", "bob", "--number", "123", code=2)
        assert alice.json("contacts")[0]["trust"] == "unverified"


def test_nobody_there_is_unreachable_and_the_message_stays(alice: Profile, bob: Profile) -> None:
    alice.run("add", bob.link(), "--name", "bob")
    complaint = alice.process("send", "bob", "hello", "--wait", "0.2", code=4)
    assert "stays queued" in complaint
    assert [entry["state"] for entry in alice.json("log", "bob")] == ["queued"]


def test_a_message_that_waits_for_a_while_only(alice: Profile, bob: Profile) -> None:
    alice.run("add", bob.link(), "--name", "bob")
    assert alice.run("send", "bob", "an hour", "--expires", "1h") == (
        "queued for bob; it leaves when both of you are online, within 1 hour or not at all\n"
    )
    for wrong, why in (("soon", "such as 30s, 5m"), ("0s", "1 second"), ("53w", "365 days")):
        assert why in alice.run("send", "bob", "no", "--expires", wrong, code=2)
    complaint = alice.run("send", "bob", "now", "--expires", "1s", "--wait", "20", code=4)
    why = "it expired before it could be sent; send it again if it still matters"
    assert complaint == f"p2pchat: not sent to bob: {why}\n"
    assert [(entry["text"], entry["state"]) for entry in alice.json("log", "bob")] == [
        ("an hour", "queued"),
        ("now", "failed"),
    ]
    assert f"→ now  ✗ failed: {why}\n" in alice.run("log", "bob")


def test_an_address_that_cannot_be_listened_on(alice: Profile) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert str(port) in alice.process("node", "--listen", f"127.0.0.1:{port}", code=1)
    alice.process("node", "--listen", "nonsense", code=2)
    alice.process("node", "--listen", "none", "--listen", "127.0.0.1:0", code=2)


def test_a_second_node_and_a_wrong_setting_are_refused(alice: Profile) -> None:
    with plain_node(alice):
        assert "already" in alice.process("node", code=1)
    (alice.path / "config.toml").write_text("lisen = []\n")
    assert "lisen" in alice.run("whoami", code=2)


def test_a_holder_without_a_socket_is_told_after_some_patience(
    alice: Profile, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(opening, "PATIENCE_S", 0.2)
    lock = ProfileLock(alice.path / "lock")
    try:
        assert main([*alice.options, "whoami"]) == 1
    finally:
        lock.release()
    err = capsys.readouterr().err
    assert f"in use by process {os.getpid()}" in err
    assert "does not answer" in err


def test_a_holder_that_does_not_answer_is_told(
    alice: Profile, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(opening, "ANSWER_S", 0.2)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(alice.path / "socket"))
        silent.listen()
        assert main([*alice.options, "whoami"]) == 1
    assert "does not answer" in capsys.readouterr().err


def test_a_dead_holders_socket_is_no_obstacle(alice: Profile) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(alice.path / "socket"))
    alice.run("whoami")
    with plain_node(alice):
        alice.run("whoami")
    assert not (alice.path / "socket").exists()


def test_the_app_needs_a_terminal(alice: Profile) -> None:
    assert "p2pchat node" in alice.process(code=2)
    alice.run("whoami", "--json", "--qr", code=2)


def test_interop_fails_on_what_is_no_vector(tmp_path: Path) -> None:
    path = tmp_path / "none.json"
    path.write_text("{}")
    vectors = Path(__file__).parents[1] / "vectors" / "noise"
    good = min(vectors.glob("*.json"))
    assert run("interop", "noise-vectors", str(good)).splitlines()[-1].endswith(" 0 failed")
    result = run_raw("interop", "noise-vectors", str(good), str(path))
    assert result.returncode == 1
    assert result.stdout.splitlines()[-1].endswith(b", 1 failed")
