"""The life of our static key: its schedule, its replacement, its end (protocol.md §3.3).

The key is replaced when it is ``rotate_static_days`` old or the person asks. What was stored is
used from the next connection on; those that are open go on and are told. The key before it
answers who comes back late, and is deleted when its overlap ends or another one takes its place.

Ages are measured by the wall clock, which people set. A clock set ahead makes one rotation due.
After one set back the key seems to be made in the future: that is borne for ``CHECK_S``, since a
computer without a battery starts so until it has asked for the time, and then counts as due once.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import Final

from p2pchat.crypto import x25519
from p2pchat.errors import CertificateError, DamagedStoreError, StoreError
from p2pchat.identity.audit_key import verify_audit_certificate
from p2pchat.identity.certificate import GENERATION_MAX
from p2pchat.identity.keys import key_id
from p2pchat.identity.statement import read_certificate
from p2pchat.node.credentials import Credentials, key_event, rotated
from p2pchat.node.environment import Environment
from p2pchat.node.reception import Reception
from p2pchat.node.tasks import Signal
from p2pchat.node.views import KeyView
from p2pchat.session.notices import CertificateNotice
from p2pchat.store import keyfile
from p2pchat.store.audit_types import AuditKind
from p2pchat.store.open import OpenProfile
from p2pchat.store.ports import Transaction
from p2pchat.store.profile import Profile
from p2pchat.store.records import IdentityRecord

CHECK_S: Final = 3600.0
"""Between two looks at the age of the key: the monotonic clock stands still while a computer
sleeps, so a single timer for the day itself would come late."""
DAY_MS: Final = 24 * 3600 * 1000
DATABASE: Final = "the profile's encrypted database"

_log = logging.getLogger(__name__)


class KeyDesk:
    """Keeps the static key young, and says what keys there are."""

    def __init__(self, env: Environment, profile: OpenProfile, reception: Reception) -> None:
        self._env = env
        self._profile = profile
        self._reception = reception
        self._changing = asyncio.Lock()
        self._seemed_ahead = False

    async def start(self) -> None:
        """See to what is due, and look again from time to time."""
        await self._look()
        self._env.supervisor.spawn(self._keep_looking, "keys")

    async def rotate(self) -> KeyView:
        """Replace the static key now, and return the new one (R-3.3.6 to R-3.3.9).

        Raises:
            CertificateError: The clock is out of all bounds, or the generations are used up.
            StoreError: Nothing has changed.
            TrustError: Our identity is revoked.
        """
        self._env.revocations.require_own_key()
        await self.renew()
        return self._static()

    async def renew(self) -> None:
        """Replace a static key of which contacts may know a successor: they refuse it (R-3.3.5).

        An older store was put back, or a thief has rotated in its name. The new key takes these
        seconds for its generation, more than any counted up. Once our identity is revoked it
        takes the greatest, which nothing outranks: whatever a thief has certified, contacts must
        hear of the revocation (R-3.7.5).
        """
        async with self._changing:
            now_ms = self._env.clock.wall_ms()
            at_least = now_ms // 1000
            if self._env.revocations.own is not None:
                at_least = GENERATION_MAX
                if self._env.credentials.certificate(now_ms).generation == GENERATION_MAX:
                    return
            await self._rotate(now_ms, at_least=at_least)

    async def status(self) -> tuple[KeyView, ...]:
        """Return every key of ours that outlives a connection."""
        own = self._env.credentials
        identity = KeyView(
            name="identity",
            purpose="is who you are: it signs certificates, and the safety number is made of it",
            algorithm="Ed25519",
            key_id=key_id(own.identity).hex(),
            stored=DATABASE,
        )
        others = await self._others()
        if own.previous is None:
            return identity, self._static(), *others
        previous = KeyView(
            name="static_previous",
            purpose="answers contacts who do not know of its successor yet",
            algorithm="X25519",
            key_id=key_id(own.previous.static).hex(),
            stored=DATABASE,
            generation=own.previous.generation,
            made_at_ms=own.previous.not_before_ms,
            ends_at_ms=own.previous_until_ms,
        )
        return identity, self._static(), previous, *others

    async def _others(self) -> list[KeyView]:
        """Return the keys that sign for one purpose each, and the one that encrypts the profile."""
        certificate, statement = await self._env.store.read(
            lambda tx: (tx.audit_certificate(), tx.statement_key())
        )
        _, audit_key = verify_audit_certificate(certificate)
        views = [
            KeyView(
                name="audit",
                purpose="signs the log of key and trust events",
                algorithm="Ed25519",
                key_id=key_id(audit_key).hex(),
                stored=DATABASE,
            )
        ]
        if statement is not None:
            key = read_certificate(statement[1])
            views.append(
                KeyView(
                    name="statement",
                    purpose="signs what you say on the record",
                    algorithm="Ed25519",
                    key_id=key_id(key.public).hex(),
                    stored=DATABASE,
                    made_at_ms=key.not_before_ms,
                    rotates_at_ms=key.not_after_ms,
                )
            )
        wrapped = keyfile.read(Profile(self._profile.path).key)
        by = "the passphrase" if wrapped.method is keyfile.Method.PASSPHRASE else "the keychain"
        views.append(
            KeyView(
                name="database",
                purpose="encrypts everything that the profile holds",
                algorithm="ChaCha20-Poly1305",
                key_id=wrapped.database_id[:8].hex(),
                stored=f"the key file, wrapped by {by}",
            )
        )
        return views

    def _static(self) -> KeyView:
        own = self._env.credentials
        certificate = own.certificate(self._env.clock.wall_ms())
        period_ms = self._env.config.rotate_static_days * DAY_MS
        return KeyView(
            name="static",
            purpose="proves who you are whenever a connection is made",
            algorithm="X25519",
            key_id=key_id(certificate.static).hex(),
            stored=DATABASE,
            generation=certificate.generation,
            made_at_ms=own.made_at_ms,
            rotates_at_ms=own.made_at_ms + period_ms if period_ms else None,
        )

    async def _keep_looking(self) -> None:
        never, clock = Signal(), self._env.clock
        while True:
            await never.wait_until(clock, clock.monotonic() + CHECK_S)
            await self._look()

    async def _look(self) -> None:
        """Rotate or delete what is due; a failure is tried again at the next look."""
        try:
            async with self._changing:
                await self._see_to(self._env.clock.wall_ms())
        except (StoreError, CertificateError) as error:
            _log.warning("the static key could not be seen to: %s", error)

    async def _see_to(self, now_ms: int) -> None:
        own = self._env.credentials
        period_ms = self._env.config.rotate_static_days * DAY_MS
        age_ms = now_ms - own.made_at_ms
        from_the_future = age_ms < 0 and self._seemed_ahead
        self._seemed_ahead = age_ms < 0
        is_due = age_ms >= period_ms or from_the_future
        if period_ms and is_due and self._env.revocations.own is None:
            await self._rotate(now_ms)
        elif own.previous_until_ms is not None and (
            now_ms >= own.previous_until_ms or from_the_future
        ):
            await self._forget_previous(now_ms)

    async def _rotate(self, now_ms: int, *, at_least: int = 0) -> None:
        pair = x25519.generate(rng=self._env.rng)

        def work(tx: Transaction) -> IdentityRecord:
            before = _stored(tx)
            after = rotated(before, pair, now_ms, at_least=at_least)
            if (erased := Credentials(before).previous) is not None:
                tx.audit(key_event(AuditKind.KEY_ERASED, erased, now_ms))
            tx.put_identity(after)
            made = Credentials(after).certificate(now_ms)
            tx.audit(key_event(AuditKind.KEY_ROTATED, made, now_ms))
            return after

        self._use(await self._env.store.write(work))
        told = self._env.credentials.certificate(now_ms)
        self._reception.tell_all(CertificateNotice(told.encoded))

    async def _forget_previous(self, now_ms: int) -> None:
        def work(tx: Transaction) -> IdentityRecord:
            before = _stored(tx)
            if (erased := Credentials(before).previous) is not None:
                tx.audit(key_event(AuditKind.KEY_ERASED, erased, now_ms))
            after = replace(before, previous=None)
            tx.put_identity(after)
            return after

        self._use(await self._env.store.write(work))

    def _use(self, record: IdentityRecord) -> None:
        """Go on with what is stored now, and keep no other copy of the key that it replaced."""
        self._env.credentials.use(record)
        self._profile.identity = record


def _stored(tx: Transaction) -> IdentityRecord:
    record = tx.identity()
    if record is None:
        raise DamagedStoreError("the profile's database holds no identity")
    return record
