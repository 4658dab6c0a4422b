"""The OS keychain, by an allow-list of back ends.

``keyring`` would pick any installed back end, among them some that write plaintext or answer
nothing; so its choice is not used. Only the modules named here are imported, and third-party
plug-ins not even loaded. What this does not do: protect from programs of the same user, to which
most keychains answer once unlocked.
"""

from __future__ import annotations

import importlib
from typing import Any, Final, Protocol

from p2pchat.constants import KEY_LEN
from p2pchat.crypto.secret import Secret
from p2pchat.errors import LockedError, StoreError

SERVICE: Final = "p2pchat"
ALLOWED: Final = (
    ("keyring.backends.SecretService", "Keyring"),
    ("keyring.backends.kwallet", "DBusKeyring"),
    ("keyring.backends.macOS", "Keyring"),
    ("keyring.backends.Windows", "WinVaultKeyring"),
)
"""Encrypted by the operating system or desktop. Never fail, null, chainer, ``keyrings.alt``."""


class Keychain(Protocol):
    """Keeps 32-byte keys for us, and a count as such, outside the profile."""

    def find(self, entry: str) -> Secret | None:
        """Return what ``entry`` holds, or None if there is nothing of ours.

        Raises:
            LockedError: The keychain did not open, so it is not known.
        """

    def get(self, entry: str) -> Secret:
        """Return the key of ``entry``.

        Raises:
            LockedError: There is none, or the person did not unlock the keychain.
        """

    def put(self, entry: str, key: Secret) -> None:
        """Keep ``key`` under ``entry``.

        Raises:
            StoreError: The keychain did not take it.
        """

    def delete(self, entry: str) -> None:
        """Forget the key of ``entry``.

        Raises:
            StoreError: The keychain still has it, or cannot be asked.
        """


class SystemKeychain:
    """The best allowed keychain of this desktop, found when first asked."""

    def find(self, entry: str) -> Secret | None:
        """See ``Keychain``."""
        backend = _backend()
        try:
            text = backend.get_password(SERVICE, entry)
        except Exception as error:  # D-Bus and keyring errors have no common root
            raise LockedError(f"the OS keychain did not open: {error}") from error
        try:
            key = bytes.fromhex(text or "")
        except ValueError:
            key = b""
        return Secret(key) if len(key) == KEY_LEN else None

    def get(self, entry: str) -> Secret:
        """See ``Keychain``."""
        key = self.find(entry)
        if key is None:
            raise LockedError(
                "the OS keychain does not hold this profile's key; restore the keychain, or use "
                "the user account that made the profile"
            )
        return key

    def put(self, entry: str, key: Secret) -> None:
        """See ``Keychain``."""
        backend = _backend()
        try:
            backend.set_password(SERVICE, entry, key.reveal().hex())
            kept = backend.get_password(SERVICE, entry)
        except Exception as error:  # D-Bus and keyring errors have no common root
            raise StoreError(f"the OS keychain did not take the key: {error}") from error
        if kept != key.reveal().hex():
            # KWallet reports a failed write only by a number that keyring drops.
            raise StoreError("the OS keychain did not keep the key")

    def delete(self, entry: str) -> None:
        """See ``Keychain``."""
        try:
            backend = _backend()
            if backend.get_password(SERVICE, entry) is not None:
                backend.delete_password(SERVICE, entry)
                if backend.get_password(SERVICE, entry) is None:
                    return
            else:
                return
        except Exception as error:  # D-Bus and keyring errors have no common root
            raise StoreError(f"the OS keychain did not delete {entry}: {error}") from error
        raise StoreError(f"the OS keychain did not delete {entry}")


def _backend() -> Any:
    """Return the first allowed back end that works here.

    Raises:
        LockedError: None does.
    """
    for module_name, class_name in ALLOWED:
        try:
            # Late, since keyring costs 125 ms, and one by one, since each needs its own desktop.
            backend = getattr(importlib.import_module(module_name), class_name)
            if backend.viable:
                return backend()
        except Exception:  # noqa: BLE001, S112  # whatever fails: this one is not usable
            continue
    raise LockedError(
        "no OS keychain is running that may be trusted with the key (Secret Service, KWallet, "
        "macOS, Windows); use a passphrase"
    )
