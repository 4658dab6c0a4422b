"""What unlocks the profile, as far as the running node is concerned: changes, and their record.

The node never holds the database key or a passphrase; whoever changes the unlocking brings what
unlocks it now (``store.unlocking``).
"""

from __future__ import annotations

import asyncio
import logging

from p2pchat.errors import StoreError
from p2pchat.node.environment import Environment
from p2pchat.store import keyfile
from p2pchat.store.audit_types import AuditEvent, AuditKind
from p2pchat.store.open import OpenProfile
from p2pchat.store.ports import Transaction
from p2pchat.store.profile import Profile
from p2pchat.store.unlocking import PassphraseUnlock, Unlock, change_unlock, keychain_count

_log = logging.getLogger(__name__)


class LockDesk:
    """Changes of the unlocking, and what the audit log says of locks."""

    def __init__(self, env: Environment, profile: OpenProfile) -> None:
        self._env = env
        self._profile = profile
        self.failures: tuple[int, ...] = ()
        """When wrong passphrases were tried since the unlocking before this one; Unix ms."""

    async def take_over_failures(self) -> None:
        """Move the wrong passphrases of the time before into the audit log."""
        self.failures = failures = self._profile.attempts.failures
        if not failures:
            return

        def work(tx: Transaction) -> None:
            for at_ms in failures:
                tx.audit(AuditEvent(AuditKind.UNLOCK_FAILED, at_ms))

        try:
            await self._env.store.write(work)
            # A crash in between records them twice, which hides nothing.
            self._profile.attempts.told()
        except StoreError as error:
            # On a full disk a person can still read what is there; the next start tries again.
            _log.warning("wrong passphrases were not recorded: %s", error)

    async def change(self, *, old: Unlock, new: Unlock) -> None:
        """Let ``new`` unlock the profile from the next time on (see ``change_unlock``).

        Raises:
            UsageError: The new passphrase is empty.
            LockedError: ``old`` does not unlock it, or no OS keychain is to be had.
            StoreError: The disk or the keychain refuses.
        """
        profile = Profile(self._profile.path)

        def work() -> None:
            change_unlock(
                profile, old=old, new=new, rng=self._env.rng, now_ms=self._env.clock.wall_ms()
            )
            # Last: stopped before, the former keychain has a count that lags, or none is kept yet.
            count = keychain_count(keyfile.read(profile.key), new)
            self._profile.store.keep_count_in(count)

        await asyncio.to_thread(work)
        method = "passphrase" if isinstance(new, PassphraseUnlock) else "keychain"
        await self._record(AuditKind.UNLOCK_CHANGED, {"method": method})

    async def note_lock(self) -> None:
        """Record that the profile is being locked."""
        await self._record(AuditKind.LOCKED, {})

    async def _record(self, kind: AuditKind, context: dict[str, str | int]) -> None:
        event = AuditEvent(kind, self._env.clock.wall_ms(), context=context)
        await self._env.store.write(lambda tx: tx.audit(event))
