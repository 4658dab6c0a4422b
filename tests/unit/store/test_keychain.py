"""Only named back ends of ``keyring``, and a plain sentence when none of them is there.

A desktop's keychain is not to be had in a test run, so a stand-in takes the place of the back
end's class: of the operating system, that is, not of our code.
"""

from __future__ import annotations

import subprocess
import sys
import types

import pytest

from p2pchat.crypto.secret import Secret
from p2pchat.errors import LockedError, StoreError
from p2pchat.store import keychain
from p2pchat.store.keychain import ALLOWED, SystemKeychain

KEY = Secret(bytes(range(32)))


class Desktop:
    """What a back end of ``keyring`` looks like."""

    viable = True
    kept: dict[tuple[str, str], str] = {}  # noqa: RUF012  # one desktop for all instances

    def get_password(self, service: str, entry: str) -> str | None:
        return self.kept.get((service, entry))

    def set_password(self, service: str, entry: str, password: str) -> None:
        self.kept[service, entry] = password

    def delete_password(self, service: str, entry: str) -> None:
        del self.kept[service, entry]


class Forgetful(Desktop):
    def set_password(self, service: str, entry: str, password: str) -> None:
        """KWallet's refusals are silent."""


class Refusing(Desktop):
    def get_password(self, service: str, entry: str) -> str | None:
        raise OSError("the prompt was dismissed")

    def set_password(self, service: str, entry: str, password: str) -> None:
        raise OSError("the prompt was dismissed")


class Absent(Desktop):
    viable = False


def install(monkeypatch: pytest.MonkeyPatch, *backends: type[Desktop] | None) -> None:
    """Put ``backends`` in the place of the allowed ones; None is a module that is missing."""
    names = []
    for number, backend in enumerate(backends):
        name = f"p2pchat_test_backend_{number}"
        names.append((name, "Keyring"))
        if backend is not None:
            module = types.ModuleType(name)
            module.__dict__["Keyring"] = backend
            monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(keychain, "ALLOWED", tuple(names))
    monkeypatch.setattr(Desktop, "kept", {})


def test_a_key_is_kept_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, None, Absent, Desktop)
    SystemKeychain().put("entry", KEY)
    assert SystemKeychain().get("entry") == KEY
    assert SystemKeychain().find("entry") == KEY
    assert list(Desktop.kept) == [("p2pchat", "entry")]


@pytest.mark.parametrize("stored", [None, "", "zz", "00" * 31, "00" * 33])
def test_anything_but_a_key_is_locked(monkeypatch: pytest.MonkeyPatch, stored: str | None) -> None:
    install(monkeypatch, Desktop)
    if stored is not None:
        Desktop.kept["p2pchat", "entry"] = stored
    with pytest.raises(LockedError, match="does not hold this profile's key"):
        SystemKeychain().get("entry")
    assert SystemKeychain().find("entry") is None


def test_a_keychain_that_drops_or_refuses_the_key_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install(monkeypatch, Forgetful)
    with pytest.raises(StoreError, match="did not keep"):
        SystemKeychain().put("entry", KEY)
    install(monkeypatch, Refusing)
    with pytest.raises(StoreError, match="did not take the key: the prompt was dismissed"):
        SystemKeychain().put("entry", KEY)
    for ask in (SystemKeychain().get, SystemKeychain().find):
        with pytest.raises(LockedError, match="did not open: the prompt was dismissed"):
            ask("entry")


def test_without_a_keychain_the_person_is_told_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install(monkeypatch, None, Absent)
    for attempt in (lambda: SystemKeychain().get("e"), lambda: SystemKeychain().put("e", KEY)):
        with pytest.raises(LockedError, match="use a passphrase"):
            attempt()


def test_only_encrypting_backends_are_on_the_list() -> None:
    assert {module.rpartition(".")[2] for module, _ in ALLOWED} == {
        "SecretService",
        "kwallet",
        "macOS",
        "Windows",
    }
    assert all(module.startswith("keyring.backends.") for module, _ in ALLOWED)


def test_neither_keyrings_own_choice_nor_any_plug_in_is_loaded() -> None:
    """An environment that names a plaintext back end changes nothing (a real ``keyring`` here)."""
    script = (
        "import sys\n"
        "from p2pchat.errors import LockedError\n"
        "import p2pchat.store.open\n"
        "assert 'keyring' not in sys.modules, 'imported too early'\n"
        "import keyring.core, keyring.backend\n"
        "keyring.core.init_backend = keyring.core.load_env = None\n"
        "keyring.backend._load_plugins = keyring.backend.get_all_keyring = None\n"
        "from p2pchat.store.keychain import SystemKeychain\n"
        "try:\n"
        "    SystemKeychain().get('entry')\n"
        "except LockedError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env={"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stderr == ""
    assert "use a passphrase" in done.stdout
