"""Making and unlocking a profile: all or nothing, nothing overwritten, each failure by name."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from p2pchat.crypto.secret import Secret, system_rng
from p2pchat.crypto.x25519 import key_pair
from p2pchat.errors import (
    DamagedStoreError,
    LockedError,
    NoProfileError,
    P2PChatError,
    ProfileExistsError,
    ProfileInUseError,
    StoreError,
    UsageError,
)
from p2pchat.identity.certificate import parse_and_verify
from p2pchat.identity.keys import identity_from_seed
from p2pchat.store import open as open_module
from p2pchat.store.keychain import Keychain
from p2pchat.store.open import (
    KeychainUnlock,
    OpenProfile,
    PassphraseUnlock,
    Unlock,
    create_profile,
    open_profile,
    profile_exists,
)
from tests.support.keychains import MemoryKeychain
from tests.unit.store.files import adds, contact, outgoing

NOW_MS = 1_790_000_000_000
UNLOCK = PassphraseUnlock(Secret(b"correct horse"))


def make(path: Path, unlock: Unlock = UNLOCK, name: str = "Ada") -> OpenProfile:
    return create_profile(
        path, name=name, unlock=unlock, rng=system_rng, now_ms=NOW_MS, memory_kib=64
    )


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    path = tmp_path / "p"
    make(path).close()
    return path


def content(folder: Path) -> dict[str, bytes]:
    """Return what must not change: everything but the lock, which names its last holder."""
    return {f.name: f.read_bytes() for f in folder.iterdir() if f.name != "lock"}


def test_a_new_profile_holds_a_working_identity(tmp_path: Path) -> None:
    made = make(tmp_path / "deep" / "p")
    identity = made.identity
    certificate = parse_and_verify(identity.certificate, now_ms=NOW_MS)
    assert identity.name == "Ada"
    assert certificate.identity == identity_from_seed(identity.signing_seed).public
    assert certificate.static == key_pair(identity.static_private).public
    assert certificate.generation == 0
    made.close()
    again = open_profile(tmp_path / "deep" / "p", unlock=UNLOCK, now_ms=NOW_MS)
    assert again.identity == identity
    assert again.path == tmp_path / "deep" / "p"
    again.close()


def test_no_two_profiles_share_a_key(tmp_path: Path) -> None:
    first, second = make(tmp_path / "a"), make(tmp_path / "b")
    assert first.identity.signing_seed != second.identity.signing_seed
    assert first.identity.static_private != second.identity.static_private
    first.close()
    second.close()
    assert (tmp_path / "a" / "chat.db").read_bytes()[:16] != (
        tmp_path / "b" / "chat.db"
    ).read_bytes()[:16]


def test_the_files_are_ours_alone_and_no_more_than_needed(profile: Path) -> None:
    modes = {f.name: stat.S_IMODE(f.stat().st_mode) for f in profile.iterdir()}
    assert modes == {"key": 0o600, "chat.db": 0o600, "lock": 0o600}
    assert stat.S_IMODE(profile.stat().st_mode) == 0o700


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777])
def test_they_are_under_any_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        make(tmp_path / "p").close()
        opened = open_profile(tmp_path / "p", unlock=UNLOCK, now_ms=NOW_MS)
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(f.stat().st_mode) for f in (tmp_path / "p").iterdir()}
    opened.close()
    assert modes == {0o600}


async def test_no_message_name_or_key_can_be_read_in_the_folder(tmp_path: Path) -> None:
    path = tmp_path / "p"
    opened = make(path, name="NameCanary")
    canaries = [b"NameCanary", b"BobCanary", b"TextCanary", b"192.0.2.77", b"correct horse"]
    canaries += [
        opened.identity.signing_seed.reveal(),
        opened.identity.static_private.reveal(),
        opened.identity.certificate,
        b"StateCanary" * 3,
    ]
    bob = await opened.store.write(lambda t: t.put_contact(contact("BobCanary")).contact_id)
    for number in range(50):
        await opened.store.write(adds(outgoing(bob, number, f"TextCanary {number} 192.0.2.77")))
    await opened.store.write(lambda t: t.put_session(bob, b"StateCanary" * 300))
    index = opened.store._writer._index
    await opened.store.write(lambda _: index.index_batch())

    def look() -> None:
        files = content(path)
        assert files["chat.db"]
        for name, data in files.items():
            for canary in canaries:
                for shape in (canary, canary.hex().encode(), canary.lower()):
                    assert shape not in data, f"{canary!r} in {name}"

    assert (path / "chat.db-wal").stat().st_size > 10_000
    look()
    await opened.store.close()
    opened.close()
    look()


# --- What is refused --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", " ", " Ada", "Ada ", "A\nda", "A\x1b[2Jda", "A\u202eda"])
def test_names_that_could_not_be_shown_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="one line"):
        make(tmp_path / "p", name=name)
    assert not (tmp_path / "p").exists()


def test_a_name_that_is_too_long_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "p", name="ö" * 32).close()
    with pytest.raises(UsageError, match="at most 64 bytes"):
        make(tmp_path / "q", name="ö" * 33)


def test_an_empty_passphrase_is_refused(tmp_path: Path, profile: Path) -> None:
    empty = PassphraseUnlock(Secret(b""))
    with pytest.raises(UsageError, match="empty"):
        make(tmp_path / "q", empty)
    assert not (tmp_path / "q").exists()
    with pytest.raises(LockedError, match="empty"):
        open_profile(profile, unlock=empty, now_ms=NOW_MS)


def test_an_existing_profile_is_never_made_again(profile: Path) -> None:
    before = content(profile)
    with pytest.raises(ProfileExistsError, match="never overwritten"):
        make(profile)
    assert content(profile) == before


def test_looking_for_a_profile_leaves_no_trace(tmp_path: Path) -> None:
    assert not profile_exists(tmp_path / "none")
    with pytest.raises(NoProfileError, match="p2pchat init"):
        open_profile(tmp_path / "none", unlock=UNLOCK, now_ms=NOW_MS)
    assert not (tmp_path / "none").exists()
    with pytest.raises(NoProfileError):
        open_profile(tmp_path, unlock=UNLOCK, now_ms=NOW_MS)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_passphrase_changes_nothing(profile: Path) -> None:
    before = content(profile)
    with pytest.raises(LockedError, match="passphrase is wrong"):
        open_profile(profile, unlock=PassphraseUnlock(Secret(b"incorrect horse")), now_ms=NOW_MS)
    after = content(profile)
    assert after.pop("attempts") == f"{NOW_MS}\n".encode()
    assert after == before
    open_profile(profile, unlock=UNLOCK, now_ms=NOW_MS).close()


def test_a_second_holder_is_refused_before_it_spends_a_second_on_the_passphrase(
    profile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_profile(profile, unlock=UNLOCK, now_ms=NOW_MS)
    monkeypatch.setattr(open_module, "unlock_key", None)
    with pytest.raises(ProfileInUseError, match=str(os.getpid())):
        open_profile(profile, unlock=UNLOCK, now_ms=NOW_MS)
    with pytest.raises(ProfileInUseError):
        make(profile)
    monkeypatch.undo()
    first.close()
    first.close()
    open_profile(profile, unlock=UNLOCK, now_ms=NOW_MS).close()


def folder_instead(file: Path) -> None:
    file.unlink()
    file.mkdir()


DAMAGES: list[tuple[str, Callable[[Path], object], type[P2PChatError], str]] = [
    ("no key", lambda p: (p / "key").unlink(), DamagedStoreError, "key file is not"),
    ("no database", lambda p: (p / "chat.db").unlink(), DamagedStoreError, "missing"),
    ("cut key", lambda p: os.truncate(p / "key", 80), DamagedStoreError, "key file is damaged"),
    ("empty key", lambda p: os.truncate(p / "key", 0), DamagedStoreError, "key file is damaged"),
    ("cut database", lambda p: os.truncate(p / "chat.db", 9000), DamagedStoreError, "damaged"),
    ("text", lambda p: (p / "chat.db").write_text("hello"), DamagedStoreError, "key file"),
    (
        "folder as key",
        lambda p: folder_instead(p / "key"),
        StoreError,
        "cannot",
    ),
]


@pytest.mark.parametrize(
    ("damage", "expected", "words"),
    [pytest.param(*case[1:], id=case[0]) for case in DAMAGES],
)
def test_damage_is_named_left_alone_and_lets_the_lock_go(
    profile: Path, damage: Callable[[Path], object], expected: type[P2PChatError], words: str
) -> None:
    damage(profile)
    before = {f: f.stat().st_mtime_ns for f in profile.iterdir() if f.name != "lock"}
    for _ in range(2):  # the second time too: not "in use"
        with pytest.raises(expected, match=words):
            open_profile(profile, unlock=UNLOCK, now_ms=NOW_MS)
    with pytest.raises((DamagedStoreError, ProfileExistsError)):
        make(profile)
    assert {f: f.stat().st_mtime_ns for f in before} == before


def test_a_log_without_its_database_is_not_taken_for_a_new_start(profile: Path) -> None:
    for file in ("key", "chat.db"):
        (profile / file).unlink()
    (profile / "chat.db-wal").write_bytes(b"pages")
    with pytest.raises(DamagedStoreError, match="key file is not"):
        make(profile)


def test_a_database_and_a_key_file_of_two_profiles_do_not_open(
    profile: Path, tmp_path: Path
) -> None:
    make(tmp_path / "q").close()
    (tmp_path / "q" / "chat.db").rename(profile / "chat.db")
    with pytest.raises(DamagedStoreError, match="does not belong"):
        open_profile(profile, unlock=UNLOCK, now_ms=NOW_MS)


# --- The OS keychain --------------------------------------------------------------------------


def test_a_keychain_unlocks_without_a_passphrase(tmp_path: Path) -> None:
    drawer: Keychain = MemoryKeychain()
    made = make(tmp_path / "p", KeychainUnlock(drawer))
    made.close()
    opened = open_profile(tmp_path / "p", unlock=KeychainUnlock(drawer), now_ms=NOW_MS)
    assert opened.identity == made.identity
    opened.close()
    with pytest.raises(LockedError, match="no such entry"):
        open_profile(tmp_path / "p", unlock=KeychainUnlock(MemoryKeychain()), now_ms=NOW_MS)
    with pytest.raises(LockedError, match="by the OS keychain, not by a passphrase"):
        open_profile(tmp_path / "p", unlock=UNLOCK, now_ms=NOW_MS)


def test_a_passphrase_profile_does_not_ask_the_keychain(profile: Path) -> None:
    with pytest.raises(LockedError, match="by a passphrase, not by the OS keychain"):
        open_profile(profile, unlock=KeychainUnlock(MemoryKeychain()), now_ms=NOW_MS)


# --- Stopped in the middle --------------------------------------------------------------------


class StopError(Exception):
    """Something breaks."""


def test_a_failure_at_any_random_draw_can_be_started_over(tmp_path: Path) -> None:
    draws = 0
    for stop_at in range(1, 99):
        path = tmp_path / f"p{stop_at}"
        draws = 0

        def rng(count: int, limit: int = stop_at) -> bytes:
            nonlocal draws
            draws += 1
            if draws == limit:
                raise StopError
            return system_rng(count)

        try:
            create_profile(
                path, name="Ada", unlock=UNLOCK, rng=rng, now_ms=NOW_MS, memory_kib=64
            ).close()
        except StopError:
            with pytest.raises(NoProfileError):
                open_profile(path, unlock=UNLOCK, now_ms=NOW_MS)
            make(path).close()
            open_profile(path, unlock=UNLOCK, now_ms=NOW_MS).close()
        else:
            break
    assert draws == 6  # two identity keys, database key and id, salt, nonce


KILLED = """
import os, pathlib, signal, sys
path, limit = pathlib.Path(sys.argv[1]), int(sys.argv[2])
calls = 0
def watch(event, arguments):
    global calls
    # Every file operation of Python's own, and SQLite's opening of the file.
    if event in ("open", "os.rename", "os.remove", "os.mkdir", "sqlite3.connect", "os.chmod"):
        if armed:
            calls += 1
            if calls == limit:
                os.kill(os.getpid(), signal.SIGKILL)
from p2pchat.store.open import PassphraseUnlock, create_profile
from p2pchat.crypto.secret import Secret, system_rng
armed = False
sys.addaudithook(watch)
armed = True
create_profile(path, name="Ada", unlock=PassphraseUnlock(Secret(b"correct horse")),
               rng=system_rng, now_ms=1_790_000_000_000, memory_kib=64)
os._exit(0)
"""


@pytest.mark.slow
def test_a_kill_at_any_file_operation_leaves_all_or_nothing(tmp_path: Path) -> None:
    """Whatever is there afterwards either opens, or is recognised as unfinished and made anew."""
    outcomes = set()
    for limit in range(1, 60):
        path = tmp_path / f"p{limit}"
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(path), str(limit)], check=False, timeout=60
        )
        try:
            opened = open_profile(path, unlock=UNLOCK, now_ms=NOW_MS)
        except NoProfileError:
            outcomes.add("unfinished")
            opened = make(path)
        else:
            outcomes.add("whole")
        identity = opened.identity
        opened.close()
        assert {f.name for f in path.iterdir()} - {"key.tmp"} == {"key", "chat.db", "lock"}
        with pytest.raises(ProfileExistsError):
            make(path)
        opened = open_profile(path, unlock=UNLOCK, now_ms=NOW_MS)
        assert opened.identity == identity
        opened.close()
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
    else:
        raise AssertionError("never ran to the end")
    assert limit > 10
    assert outcomes == {"unfinished", "whole"}


def test_a_disk_that_refuses_is_told_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(StoreError, match="No space left"):
            make(tmp_path / "p")
    make(tmp_path / "p").close()


def test_closing_finishes_what_is_queued(profile: Path) -> None:
    opened = open_profile(profile, unlock=UNLOCK, now_ms=NOW_MS)

    async def write() -> None:
        opened.store.write(lambda t: t.put_setting("n", "kept"))

    asyncio.run(write())
    opened.close()
    again = open_profile(profile, unlock=UNLOCK, now_ms=NOW_MS)

    async def read() -> str | None:
        return await again.store.read(lambda t: t.get_setting("n"))

    assert asyncio.run(read()) == "kept"
    again.close()
