"""``--keychain`` on computers of three kinds: no keychain, only one in plain text, a real one.

Each runs the commands in processes of their own with the real ``keyring``. The plain-text one is
a stand-in for ``keyrings.alt``, installed as that is; the real one is ``gnome-keyring`` on a D-Bus
session of the test's own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from p2pchat.crypto.secret import Secret, system_rng
from p2pchat.store import keyfile
from p2pchat.store.freshness import OLDER_DATABASE
from p2pchat.store.open import PassphraseUnlock, create_profile
from tests.support.cli_world import TIMEOUT_S, command

_PLAINTEXT = """
import pathlib
from keyring.backend import KeyringBackend

class PlaintextKeyring(KeyringBackend):
    priority = 99
    kept = pathlib.Path({kept!r})

    def get_password(self, service, username):
        return self.kept.read_text() if self.kept.exists() else None

    def set_password(self, service, username, password):
        self.kept.write_text(password)

    def delete_password(self, service, username):
        self.kept.unlink()
"""
_WITH_SECRET_SERVICE = """
printf 'collection password' | gnome-keyring-daemon --unlock --components=secrets >/dev/null
exec "$@"
"""
_ALL_STEPS = """
set -e
run() { "$PYTHON" -m p2pchat --profile "$PROFILE" "$@"; }
entries() { "$PYTHON" -c 'import secretstorage as s, sys; c = s.dbus_init()
for item in s.search_items(c, {"service": "p2pchat"}):
    print(sys.argv[1], item.get_attributes()["username"])' "$1"; }
run init --name Alice --keychain
run whoami
run key keychain
run whoami
printf 'four words\\n' > "$WORDS"
run key passphrase --new-passphrase-file "$WORDS"
entries with-words
run whoami --passphrase-file "$WORDS"
run key keychain --passphrase-file "$WORDS"
run whoami
entries entry
cp -r "$PROFILE" "${PROFILE%/}.old"
run whoami
rm -r "$PROFILE"
cp -r "${PROFILE%/}.old" "$PROFILE"
for time in 1 2; do run audit show --kind session_healed --json; done
"""


class Computer:
    """An environment of its own, without the tester's desktop."""

    def __init__(self, folder: Path) -> None:
        self.profile = folder / "alice"
        self.words = folder / "words"
        self.packages = folder / "packages"
        self.kept_in_plain_text = folder / "kept"
        home = folder / "home"
        home.mkdir()
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "XDG_RUNTIME_DIR": str(home),
            "PYTHONPATH": f"{self.packages}{os.pathsep}{Path(__file__).parents[2]}",
            "PYTHON": sys.executable,
            "PROFILE": f"{self.profile}{os.sep}",
            "WORDS": str(self.words),
        }

    def install_plaintext(self) -> None:
        """Install a keychain that writes plain text, and that ``keyring`` prefers."""
        package = self.packages / "keyrings" / "alt"
        package.mkdir(parents=True)
        source = _PLAINTEXT.format(kept=str(self.kept_in_plain_text))
        (package / "file.py").write_text(source)
        about = self.packages / "keyrings.alt-5.0.2.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: keyrings.alt\nVersion: 5.0.2\n"
        )
        (about / "entry_points.txt").write_text("[keyring.backends]\nfile = keyrings.alt.file\n")

    def run(self, *arguments: str, before: Sequence[str] = ()) -> tuple[int, str, str]:
        done = subprocess.run(
            [*before, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
        return done.returncode, done.stdout, done.stderr

    def p2pchat(self, *arguments: str) -> tuple[int, str, str]:
        return self.run(*command("--profile", f"{self.profile}{os.sep}", *arguments))


@pytest.fixture
def computer(tmp_path: Path) -> Computer:
    return Computer(tmp_path)


@pytest.mark.parametrize("plaintext", [False, True])
def test_without_a_keychain_to_be_trusted_nothing_is_made_and_nothing_written(
    computer: Computer, plaintext: bool
) -> None:
    if plaintext:
        computer.install_plaintext()
        chosen = computer.run(sys.executable, "-c", "import keyring; print(keyring.get_keyring())")
        assert "PlaintextKeyring" in chosen[1]  # what a program gets that trusts ``keyring``
    code, out, err = computer.p2pchat("init", "--name", "Alice", "--keychain")
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert "no OS keychain is running that may be trusted" in err
    assert not (computer.profile / "key").exists()
    computer.words.write_text("four words\n")
    options = ("--passphrase-file", str(computer.words))
    create_profile(
        computer.profile,
        name="Alice",
        unlock=PassphraseUnlock(Secret(b"four words")),
        rng=system_rng,
        now_ms=0,
        memory_kib=8,
    ).close()
    before = (computer.profile / "key").read_bytes()
    code, out, err = computer.p2pchat("key", "keychain", *options)
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert (computer.profile / "key").read_bytes() == before
    assert not computer.kept_in_plain_text.exists()


@pytest.mark.slow
@pytest.mark.skipif(
    not (shutil.which("gnome-keyring-daemon") and shutil.which("dbus-run-session")),
    reason="gnome-keyring and dbus are not installed here",
)
def test_a_real_secret_service_keeps_the_key_also_beside_a_plaintext_one(
    computer: Computer,
) -> None:
    computer.install_plaintext()
    code, out, err = computer.run(
        "dbus-run-session",
        *("--", "bash", "-c", _WITH_SECRET_SERVICE, "sh"),
        *("bash", "-c", _ALL_STEPS),
    )
    assert code == 0, err
    assert out.count("name     Alice") == 5
    assert out.count("changed: ") == 3
    key_file = keyfile.read(computer.profile / "key")
    assert key_file.method is keyfile.Method.KEYCHAIN
    # Of all entries made on the way, those in force are left; with a passphrase there is none.
    lines = out.splitlines()
    assert {line for line in lines if line.startswith(("entry ", "with-words"))} == {
        f"entry {key_file.keychain_entry}",
        f"entry {key_file.count_entry}",
    }
    # The whole folder was put back: noticed when it was opened, recorded once.
    healed = [json.loads(line) for line in lines if line.startswith("{")]
    assert [record["context"] for record in healed] == [{"reason": OLDER_DATABASE}] * 2
    assert healed[0] == healed[1]
    assert not computer.kept_in_plain_text.exists()
    code, _, err = computer.p2pchat("whoami")  # outside of that session nothing opens it
    assert (code, err.count("\n")) == (3, 1)
