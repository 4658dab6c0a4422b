"""From passphrase to passphrase, to the keychain and back; stopped anywhere, it still opens."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from p2pchat.crypto.secret import Secret, system_rng
from p2pchat.errors import LockedError, StoreError, UsageError
from p2pchat.identity.keys import identity_from_seed
from p2pchat.store import keyfile
from p2pchat.store.open import create_profile, open_profile
from p2pchat.store.profile import Profile
from p2pchat.store.unlocking import (
    KeychainUnlock,
    PassphraseUnlock,
    Unlock,
    change_unlock,
    check_unlock,
)
from tests.support.keychains import FolderKeychain

NOW_MS = 1_790_000_000_000
OLD = PassphraseUnlock(Secret(b"old words"))
NEW = PassphraseUnlock(Secret(b"new words"))


@pytest.fixture
def chain(tmp_path: Path) -> FolderKeychain:
    return FolderKeychain(tmp_path / "chain")


def make(path: Path, unlock: Unlock) -> bytes:
    """Make a profile; returns its identity."""
    made = create_profile(
        path, name="Ada", unlock=unlock, rng=system_rng, now_ms=NOW_MS, memory_kib=64
    )
    made.close()
    return identity_from_seed(made.identity.signing_seed).public


def opens(path: Path, unlock: Unlock) -> bytes | None:
    """Return the identity inside, or None if ``unlock`` is refused."""
    try:
        opened = open_profile(path, unlock=unlock, now_ms=NOW_MS)
    except LockedError:
        return None
    identity = identity_from_seed(opened.identity.signing_seed).public
    opened.attempts.told()
    opened.close()
    return identity


def change(path: Path, old: Unlock, new: Unlock) -> None:
    change_unlock(Profile(path), old=old, new=new, rng=system_rng, now_ms=NOW_MS, memory_kib=64)


def test_passphrase_keychain_and_back_with_the_database_untouched(
    tmp_path: Path, chain: FolderKeychain
) -> None:
    path, keychain = tmp_path / "p", KeychainUnlock(chain)
    identity = make(path, OLD)
    database = (path / "chat.db").read_bytes()
    now: Unlock = OLD
    for new in (NEW, keychain, keychain, OLD):
        change(path, now, new)
        assert opens(path, new) == identity
        if now != new:
            assert opens(path, now) is None
        assert len(chain.entries()) == isinstance(new, KeychainUnlock)
        now = new
    assert (path / "chat.db").read_bytes() == database
    assert keyfile.read(path / "key").method is keyfile.Method.PASSPHRASE


def test_what_unlocks_now_is_needed_and_a_wrong_one_counts(
    tmp_path: Path, chain: FolderKeychain
) -> None:
    path = tmp_path / "p"
    identity = make(path, OLD)
    before = (path / "key").read_bytes()
    for wrong in (NEW, PassphraseUnlock(Secret(b"")), KeychainUnlock(chain)):
        with pytest.raises(LockedError):
            change(path, wrong, NEW)
    with pytest.raises(UsageError, match="empty"):
        change(path, OLD, PassphraseUnlock(Secret(b"")))
    assert (path / "key").read_bytes() == before
    assert (path / "attempts").read_text().count("\n") == 1
    assert opens(path, OLD) == identity


def test_whoever_finds_it_open_is_checked_as_strictly(tmp_path: Path) -> None:
    path = tmp_path / "p"
    make(path, OLD)
    check_unlock(Profile(path), OLD, now_ms=NOW_MS)
    for _ in range(4):
        with pytest.raises(LockedError, match="wrong"):
            check_unlock(Profile(path), NEW, now_ms=NOW_MS)
        with pytest.raises(LockedError):
            open_profile(path, unlock=PassphraseUnlock(Secret(b"x")), now_ms=NOW_MS)
        if (path / "attempts").read_text().count("\n") >= 4:
            break
    with pytest.raises(LockedError, match="try again in"):
        check_unlock(Profile(path), OLD, now_ms=NOW_MS)


def test_a_keychain_that_keeps_the_former_key_is_told(
    tmp_path: Path, chain: FolderKeychain, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "p"
    identity = make(path, KeychainUnlock(chain))

    def refuse(_: FolderKeychain, entry: str) -> None:
        raise StoreError(f"the OS keychain did not delete {entry}")

    monkeypatch.setattr(FolderKeychain, "delete", refuse)
    (entry,) = chain.entries()
    with pytest.raises(StoreError, match=f"the change is made, .*{entry}"):
        change(path, KeychainUnlock(chain), NEW)
    assert opens(path, NEW) == identity


def test_a_full_disk_leaves_no_entry_behind(
    tmp_path: Path, chain: FolderKeychain, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "p"
    identity = make(path, OLD)
    with monkeypatch.context() as patch:

        def refuse(*_: object) -> None:
            raise StoreError("cannot write: no space")

        patch.setattr(keyfile, "replace", refuse)
        with pytest.raises(StoreError, match="no space"):
            change(path, OLD, KeychainUnlock(chain))
    assert chain.entries() == set()
    assert opens(path, OLD) == identity


def change_and_be_killed(path: Path, old: Unlock, new: Unlock, limit: int) -> int:
    """Change in a process of its own that is killed at a file operation; returns its status."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    calls = 0

    def watch(event: str, _: object) -> None:
        nonlocal calls
        if event in ("open", "os.rename", "os.remove", "os.chmod"):
            calls += 1
            if calls == limit:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)  # cannot be removed, and goes with the child
    try:
        change(path, old, new)
        os._exit(0)
    finally:
        os._exit(1)  # only the parent goes on with the test run


@pytest.mark.parametrize(
    ("old", "new"), [("old", "new"), ("old", "chain"), ("chain", "chain"), ("chain", "new")]
)
def test_a_kill_at_any_file_operation_leaves_a_profile_that_opens(
    tmp_path: Path, old: str, new: str
) -> None:
    """The keychain is files here, so the steps between it and the key file are hit as well."""
    outcomes = set()
    for limit in range(1, 40):
        folder = tmp_path / str(limit)
        folder.mkdir()
        ways: dict[str, Unlock] = {
            "old": OLD,
            "new": NEW,
            "chain": KeychainUnlock(FolderKeychain(folder / "chain")),
        }
        identity = make(folder / "p", ways[old])
        status = change_and_be_killed(folder / "p", ways[old], ways[new], limit)
        by_old, by_new = opens(folder / "p", ways[old]), opens(folder / "p", ways[new])
        assert identity in (by_old, by_new)
        outcomes.add("new" if by_new == identity else "old")
        change(folder / "p", ways[new] if by_new == identity else ways[old], NEW)  # goes on
        assert opens(folder / "p", NEW) == identity
        if status == 0:
            assert by_new == identity
            break
        assert os.WTERMSIG(status) == signal.SIGKILL
    else:
        raise AssertionError("never ran to the end")
    assert limit > 4
    assert outcomes == ({"old", "new"} if old != new else {"new"})
