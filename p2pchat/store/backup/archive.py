"""Backing a profile up, and making a new one of a backup.

``create`` reads one moment of a running store over a connection of its own, so nobody waits for
it. ``restore`` makes a whole new profile with the old identity: new database key, new static key,
no sessions; the first connection with each contact begins a new one (protocol.md §8.4), and what
waited to be sent is sent again under its old ids. All of it blocks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import apsw

from p2pchat.crypto import pwhash, x25519
from p2pchat.crypto.secret import Rng, Secret
from p2pchat.errors import DamagedStoreError, StoreError, UsageError
from p2pchat.identity.certificate import issue
from p2pchat.identity.keys import identity_from_seed, key_id, peer_id
from p2pchat.store.audit_types import AuditEvent, AuditKind
from p2pchat.store.backup import container, tables
from p2pchat.store.faults import translated
from p2pchat.store.open import RECOVERED_AT_KEY, OpenProfile, Unlock, make_profile
from p2pchat.store.profile import Profile
from p2pchat.store.schema import MIGRATIONS, migrate, require_known
from p2pchat.store.search import SearchIndex
from p2pchat.store.transaction import SqlTransaction

CONFIG_MAX_BYTES: Final = 1 << 16
"""As ``config`` reads at most."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a backup holds: whose it is, when it was made, how much there is in it."""

    name: str
    peer_id: str
    made_at_ms: int
    schema: int
    contacts: int
    messages: int


def create(
    profile: OpenProfile,
    path: Path,
    passphrase: Secret,
    *,
    rng: Rng,
    now_ms: int,
    memory_kib: int = pwhash.DEFAULT_MEMORY_KIB,
) -> Summary:
    """Write a backup of an open profile; the profile may be in use meanwhile.

    Args:
        profile: Open.
        path: A file that does not exist yet.
        passphrase: Of the backup, not of the profile; any non-empty bytes.
        rng: For salt and nonce.
        now_ms: Wall clock, noted in the backup.
        memory_kib: Argon2id memory.

    Raises:
        UsageError: The passphrase is empty.
        StoreError: The file exists, the disk refuses, or the profile is closed meanwhile.
    """
    if not len(passphrase):
        raise UsageError("the backup's passphrase is empty; give one of several words")
    counts: Counter[str] = Counter()
    connection = profile.store.snapshot()
    try:
        with translated():
            connection.execute("BEGIN")
            begin = tables.Begin(
                profile.identity.name,
                peer_id(identity_from_seed(profile.identity.signing_seed).public),
                now_ms,
                connection.pragma("user_version"),
            )
            records = _records(connection, begin, Profile(profile.path).config, counts)
            container.write(
                path, map(tables.encode, records), passphrase, memory_kib=memory_kib, rng=rng
            )
    finally:
        connection.close()
    return _summary(begin, counts)


def verify(path: Path, passphrase: Secret) -> Summary:
    """Read a backup to its end; nothing is made of it.

    Raises:
        LockedError: The passphrase is wrong.
        DamagedStoreError: It is no backup, damaged or cut short.
        StoreError: It cannot be read, or a newer p2pchat made it.
    """
    records = _checked(path, passphrase)
    begin = next(records)
    end = begin
    for record in records:
        end = record
    if not isinstance(begin, tables.Begin) or not isinstance(end, tables.End):
        raise _contradicts()
    return _summary(begin, end.counts)


def restore(
    path: Path,
    passphrase: Secret,
    folder: Path,
    *,
    unlock: Unlock,
    rng: Rng,
    now_ms: int,
    memory_kib: int = pwhash.DEFAULT_MEMORY_KIB,
) -> OpenProfile:
    """Make a profile of a backup and leave it unlocked; all or nothing.

    Args:
        path: The backup.
        passphrase: Of the backup.
        folder: Of the new profile; there must be none yet.
        unlock: What unlocks the new profile from now on.
        rng: For all new keys.
        now_ms: Wall clock; the new static key's certificate begins here, and its generation is
            these seconds, which is more than any earlier one of this identity (protocol.md §3.3).
        memory_kib: Argon2id memory of the new profile.

    Raises:
        LockedError: The backup's passphrase is wrong.
        DamagedStoreError: It is no backup, damaged or cut short.
        ProfileExistsError: There is a profile in ``folder``; it is left alone.
        StoreError: It cannot be read, a newer p2pchat made it, or the disk refuses.
        UsageError: The new profile's passphrase is empty.
    """
    settings: list[str] = []

    def fill(connection: apsw.Connection) -> None:
        for record in _checked(path, passphrase):
            match record:
                case tables.Begin(schema=schema):
                    migrate(connection, MIGRATIONS[:schema])
                    connection.execute("BEGIN IMMEDIATE")
                case tables.Rows() as part:
                    fresh = fresh_columns(part, rng=rng, now_ms=now_ms)
                    tables.load(connection, part, fresh)
                case tables.Settings(content):
                    settings.append(content)
                case tables.End():
                    connection.execute("COMMIT")
        migrate(connection)
        _note(connection, now_ms)

    restored = make_profile(folder, fill, unlock=unlock, rng=rng, memory_kib=memory_kib)
    try:
        for content in settings:
            file = Profile(folder).config
            if not file.exists():
                file.write_text(content, encoding="utf-8")
                file.chmod(0o600)
    except OSError as error:
        restored.close()
        raise StoreError(f"everything is restored but config.toml: {error.strerror}") from error
    return restored


def _records(
    connection: apsw.Connection, begin: tables.Begin, config: Path, counts: Counter[str]
) -> Iterator[tables.Record]:
    yield begin
    for part in tables.dump(connection):
        counts[part.table] += len(part.rows)
        yield part
    if config.exists() and config.stat().st_size <= CONFIG_MAX_BYTES:
        yield tables.Settings(config.read_text(encoding="utf-8", errors="replace"))
    yield tables.End(dict(counts))


def _checked(path: Path, passphrase: Secret) -> Iterator[tables.Record]:
    """Return a backup's records in order, and raise unless they are one whole backup's."""
    counts: Counter[str] = Counter()
    begun = ended = False
    for encoded in container.read(path, passphrase):
        record = tables.decode(encoded)
        if ended or begun == isinstance(record, tables.Begin):
            raise _contradicts()
        match record:
            case tables.Begin(schema=schema):
                begun = True
                if schema < 1:
                    raise _contradicts()
                require_known(schema)
            case tables.Rows(table, _, rows):
                counts[table] += len(rows)
            case tables.End(told):
                ended = True
                if dict(told) != dict(counts) or counts["identity"] != 1:
                    raise _contradicts()
        yield record
    if not ended:
        raise _contradicts()


def fresh_columns(
    part: tables.Rows, *, rng: Rng, now_ms: int
) -> Mapping[str, Mapping[str, object]]:
    """Return what a backup omits of the identity: a static key, certified anew."""
    if part.table != "identity":
        return {}
    [row] = part.rows
    seed = dict(zip(part.columns, row, strict=True)).get("signing_seed")
    if not isinstance(seed, bytes):
        raise _contradicts()
    static = x25519.generate(rng=rng)
    certificate = issue(Secret(seed), static.public, generation=now_ms // 1000, now_ms=now_ms)
    return {
        "identity": {
            "static_private": static.private.reveal(),
            "certificate": certificate.encoded,
        }
    }


def _note(connection: apsw.Connection, now_ms: int) -> None:
    """Record the restoration; contacts will be told of it (protocol.md §3.7)."""
    connection.execute("BEGIN IMMEDIATE")
    transaction = SqlTransaction(connection, SearchIndex(connection))
    identity = transaction.identity()
    if identity is None:
        raise _contradicts()
    principal = identity_from_seed(identity.signing_seed).public
    transaction.put_setting(RECOVERED_AT_KEY, str(now_ms))
    transaction.audit(
        AuditEvent(AuditKind.RECOVERED, now_ms, principal, key_id(principal), {"source": "backup"})
    )
    connection.execute("COMMIT")


def _summary(begin: tables.Begin, counts: Mapping[str, int]) -> Summary:
    return Summary(
        name=begin.name,
        peer_id=begin.peer_id,
        made_at_ms=begin.made_at_ms,
        schema=begin.schema,
        contacts=counts.get("contact", 0),
        messages=counts.get("message", 0),
    )


def _contradicts() -> DamagedStoreError:
    return DamagedStoreError("the backup contradicts itself; use another copy of it")
