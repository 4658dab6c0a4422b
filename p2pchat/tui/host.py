"""The profile behind the screen: what the app asks for before it has a client.

The only module of the app that knows the store: it makes a profile, opens it, and hands over a
``Client``. Argon2id runs on a thread, so that the screen stays alive.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol

from p2pchat.crypto.secret import Secret, system_rng
from p2pchat.rpc.client import Client
from p2pchat.rpc.opening import attach, open_client
from p2pchat.store import keyfile
from p2pchat.store.open import (
    KeychainUnlock,
    PassphraseUnlock,
    Unlock,
    create_profile,
    profile_exists,
)
from p2pchat.store.profile import Profile


class Needed(Enum):
    """What stands between us and a client."""

    NOTHING = "nothing"
    PROFILE = "profile"
    PASSPHRASE = "passphrase"  # noqa: S105 - the name of a need


class Host(Protocol):
    """Makes and opens one profile."""

    async def needed(self) -> Needed:
        """Tell what the person has to give first."""

    async def create(self, name: str, passphrase: Secret | None) -> None:
        """Make the profile; without a passphrase, the keychain keeps its key.

        Raises:
            P2PChatError: It cannot be made; nothing was overwritten.
        """

    async def open(self, passphrase: Secret | None) -> Client:
        """Open the profile, or reach the process that holds it.

        Raises:
            LockedError: Not with this passphrase.
            P2PChatError: Not at all.
        """


@dataclass(frozen=True, slots=True)
class ProfileHost:
    """The real host of a profile folder.

    Attributes:
        path: The folder.
        now_ms: Wall clock of the profile's making.
        listen: Addresses for a node started here; None leaves it to the settings.
        memory_kib: Argon2id memory of a new profile; None takes the default.
    """

    path: Path
    now_ms: int
    listen: Sequence[str] | None = None
    memory_kib: int | None = None

    async def needed(self) -> Needed:
        """Look for a running node, then for the profile (see ``Host``)."""
        client = await attach(self.path)
        if client is not None:
            await client.close()
            return Needed.NOTHING
        if not profile_exists(self.path):
            return Needed.PROFILE
        method = keyfile.read(Profile(self.path).key).method
        return Needed.NOTHING if method is keyfile.Method.KEYCHAIN else Needed.PASSPHRASE

    async def create(self, name: str, passphrase: Secret | None) -> None:
        """Make the profile and close it again; opening follows (see ``Host``)."""
        await asyncio.to_thread(self._create, name, _unlock(passphrase))

    def _create(self, name: str, unlock: Unlock) -> None:
        rng, now_ms = system_rng, self.now_ms
        if self.memory_kib is None:
            opened = create_profile(self.path, name=name, unlock=unlock, rng=rng, now_ms=now_ms)
        else:
            opened = create_profile(
                self.path,
                name=name,
                unlock=unlock,
                rng=rng,
                now_ms=now_ms,
                memory_kib=self.memory_kib,
            )
        opened.close()

    async def open(self, passphrase: Secret | None) -> Client:
        """Open the profile with its network (see ``Host``)."""
        unlock = _unlock(passphrase)
        return await open_client(self.path, unlock=unlock, network=True, listen=self.listen)


def _unlock(passphrase: Secret | None) -> Unlock:
    return KeychainUnlock() if passphrase is None else PassphraseUnlock(passphrase)
