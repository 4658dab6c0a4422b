"""The profile's own identity and keys, what is said about identities, and the settings."""

from __future__ import annotations

from p2pchat.crypto.secret import Secret
from p2pchat.store import audit, statements
from p2pchat.store.operations.base import Operations
from p2pchat.store.records import (
    IdentityRecord,
    PreviousStaticKey,
    RevocationRecord,
    SuccessionRecord,
)


class KeyOperations(Operations):
    """Identity, revocations and successions, statement key, settings."""

    __slots__ = ()

    def identity(self) -> IdentityRecord | None:
        """See ``ports.Transaction``."""
        previous = None
        for private, certificate, until_ms in self._execute(
            "SELECT private, certificate, until_ms FROM previous_static_key"
        ):
            previous = PreviousStaticKey(Secret(private), certificate, until_ms)
        for name, seed, static, certificate in self._execute(
            "SELECT name, signing_seed, static_private, certificate FROM identity"
        ):
            return IdentityRecord(name, Secret(seed), Secret(static), certificate, previous)
        return None

    def put_identity(self, identity: IdentityRecord) -> None:
        """See ``ports.Transaction``; the audit log begins with the first, and follows another."""
        before = self.identity()
        if before is None:
            audit.begin(self._execute, identity.signing_seed)
        elif before.signing_seed != identity.signing_seed:
            audit.certify(self._execute, identity.signing_seed)
            self._execute("DELETE FROM statement_key")  # certified by the identity before
        statements.seal_own_revocation(self._execute, identity.signing_seed)
        self.erased = True
        self._execute(
            "INSERT INTO identity (id, name, signing_seed, static_private, certificate)"
            " VALUES (1, ?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET name = excluded.name,"
            " signing_seed = excluded.signing_seed, static_private = excluded.static_private,"
            " certificate = excluded.certificate",
            (
                identity.name,
                identity.signing_seed.reveal(),
                identity.static_private.reveal(),
                identity.certificate,
            ),
        )
        self._execute("DELETE FROM previous_static_key")
        if (previous := identity.previous) is not None:
            self._execute(
                "INSERT INTO previous_static_key VALUES (1, ?, ?, ?)",
                (previous.private.reveal(), previous.certificate, previous.until_ms),
            )

    def revocations(self) -> list[RevocationRecord]:
        """See ``ports.Transaction``."""
        return statements.revocations(self._execute)

    def put_revocation(self, revocation: RevocationRecord) -> None:
        """See ``ports.Transaction``."""
        statements.put_revocation(self._execute, revocation)

    def succession_to(self, new: bytes) -> SuccessionRecord | None:
        """See ``ports.Transaction``."""
        return statements.succession_to(self._execute, new)

    def put_succession(self, succession: SuccessionRecord) -> None:
        """See ``ports.Transaction``."""
        statements.put_succession(self._execute, succession)

    def statement_key(self) -> tuple[Secret, bytes] | None:
        """See ``ports.Transaction``."""
        for seed, certificate in self._execute("SELECT seed, certificate FROM statement_key"):
            return Secret(seed), certificate
        return None

    def put_statement_key(self, seed: Secret, certificate: bytes) -> None:
        """See ``ports.Transaction``."""
        self._execute(
            "INSERT OR REPLACE INTO statement_key VALUES (1, ?, ?)", (seed.reveal(), certificate)
        )

    def get_setting(self, key: str) -> str | None:
        """See ``ports.Transaction``."""
        for (value,) in self._execute("SELECT value FROM setting WHERE key = ?", (key,)):
            return str(value)
        return None

    def put_setting(self, key: str, value: str) -> None:
        """See ``ports.Transaction``."""
        self._execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (key, value))
