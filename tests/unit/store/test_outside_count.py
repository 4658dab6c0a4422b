"""The count outside of the database: in the file beside it, and in the keychain (R-6.6.2)."""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from p2pchat.crypto.secret import Secret, system_rng
from p2pchat.errors import StoreError
from p2pchat.store import keyfile, outside_count
from p2pchat.store.backup.archive import create, restore
from p2pchat.store.backup.salvage import salvage
from p2pchat.store.connection import open_database
from p2pchat.store.database import Database, open_store
from p2pchat.store.freshness import OLDER_DATABASE
from p2pchat.store.keychain import Keychain
from p2pchat.store.open import (
    KeychainUnlock,
    OpenProfile,
    PassphraseUnlock,
    Unlock,
    create_profile,
    open_profile,
)
from p2pchat.store.outside_count import COUNT_MAX, CountFile, KeychainCount, OutsideCount
from p2pchat.store.profile import Profile
from p2pchat.store.unlocking import change_unlock, keychain_count
from tests.support.keychains import MemoryKeychain
from tests.unit.store.files import DATABASE_ID, KEY, new_contact, new_store

NOW_MS = 1_790_000_000_000
WORDS = PassphraseUnlock(Secret(b"four words"))
DEADLINE_S = 20.0
PAUSE_S = outside_count.PAUSE_S


@pytest.fixture(autouse=True)
def rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for a write that time brings about, unless it says so."""
    monkeypatch.setattr(outside_count, "PAUSE_S", 3600.0)


@pytest.fixture
def chain() -> MemoryKeychain:
    return MemoryKeychain()


def make(path: Path, chain: Keychain) -> Path:
    """Make a profile that a keychain unlocks, with one contact and its session."""
    made = create_profile(
        path, name="Ada", unlock=KeychainUnlock(chain), rng=system_rng, now_ms=NOW_MS
    )
    change(made.store, 0, first=True)
    made.close()
    return path


def opened(path: Path, unlock: Unlock) -> OpenProfile:
    return open_profile(path, unlock=unlock, now_ms=NOW_MS)


def change(store: Database, *states: int, first: bool = False) -> None:
    """Write states of the session, in a transaction each."""

    async def run() -> None:
        if first:
            await store.write(new_contact)
        for state in states:
            await store.write(lambda tx: tx.put_session(1, b"state %d" % state))  # noqa: B023  # awaited

    asyncio.run(run())


def use(path: Path, unlock: Unlock, *states: int) -> str:
    """Open, write, close; returns what the opening has found."""
    profile = opened(path, unlock)
    found = profile.store.stale
    change(profile.store, *states)
    profile.close()
    return found


def copied(path: Path, name: str) -> Path:
    copy = path.with_name(name)
    shutil.copytree(path, copy)
    return copy


def put_back(copy: Path, path: Path) -> None:
    shutil.rmtree(path)
    shutil.copytree(copy, path)


def entry_of(path: Path) -> str:
    return keyfile.read(path / "key").count_entry


def count_in(chain: MemoryKeychain, path: Path) -> int | None:
    kept = chain.kept.get(entry_of(path))
    return None if kept is None else int.from_bytes(kept.reveal(), "big")


def count_beside(path: Path) -> int:
    return int.from_bytes((path / "count").read_bytes()[:8], "big")


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def has_session(profile: OpenProfile) -> bool:
    async def ask() -> bool:
        return await profile.store.read(lambda tx: tx.session(1)) is not None

    return asyncio.run(ask())


def test_a_copy_of_the_whole_folder_is_noticed_once(tmp_path: Path, chain: MemoryKeychain) -> None:
    path, unlock = make(tmp_path / "p", chain), KeychainUnlock(chain)
    copy = copied(path, "copy")
    assert use(path, unlock, 1) == ""
    put_back(copy, path)
    profile = opened(path, unlock)
    assert profile.store.stale == OLDER_DATABASE
    assert not has_session(profile)
    change(profile.store, 2)
    profile.close()
    assert use(path, unlock) == ""
    profile = opened(path, unlock)
    assert has_session(profile)
    profile.close()


def test_the_keychain_is_told_after_the_opening_and_at_the_closing_not_at_commits(
    tmp_path: Path, chain: MemoryKeychain, caplog: pytest.LogCaptureFixture
) -> None:
    path = make(tmp_path / "p", chain)
    chain.puts.clear()
    before = count_in(chain, path)
    assert before == count_beside(path)
    del chain.kept[entry_of(path)]
    profile = opened(path, KeychainUnlock(chain))
    until(lambda: count_in(chain, path) == before)
    change(profile.store, *range(20))
    assert chain.puts == {entry_of(path): 1}
    profile.close()
    assert chain.puts == {entry_of(path): 2}
    assert count_in(chain, path) == before + 20
    use(path, KeychainUnlock(chain))
    assert chain.puts == {entry_of(path): 2}  # nothing moved
    assert caplog.text == ""


def test_the_keychain_is_told_while_the_count_moves(
    tmp_path: Path, chain: MemoryKeychain, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(tmp_path / "p", chain)
    monkeypatch.setattr(outside_count, "PAUSE_S", 0.001)
    profile = opened(path, KeychainUnlock(chain))
    for state in range(3):
        change(profile.store, state)
        until(lambda: count_in(chain, path) == count_beside(path))
    # As it stands now: a process that is killed here writes nothing any more.
    kept = dict(chain.kept)
    profile.close()
    assert chain.kept == kept


def test_the_pause_is_a_minute() -> None:
    assert PAUSE_S == 60


def test_a_keychain_is_not_asked_while_nothing_moves(
    chain: MemoryKeychain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside_count, "PAUSE_S", 0.0)
    count, looks = KeychainCount(chain, "entry"), 0

    def newest() -> int:
        nonlocal looks
        looks += 1
        return 1

    count.follow(newest)
    until(lambda: looks > 10)
    count.close()
    assert chain.asked == 1
    assert chain.puts == {"entry": 1}


class Watching(MemoryKeychain):
    """Looks, at each write, at what the disk has."""

    def __init__(self, database: Path) -> None:
        super().__init__()
        self.database = database
        self.leads: list[int] = []

    def put(self, entry: str, key: Secret) -> None:
        connection = open_database(self.database, KEY, read_only=True)
        ((count,),) = connection.execute("SELECT count FROM freshness")
        connection.close()
        assert isinstance(count, int)
        self.leads.append(int.from_bytes(key.reveal(), "big") - count)
        super().put(entry, key)


def test_the_keychain_never_leads_what_is_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside_count, "PAUSE_S", 0.0)
    new_store(tmp_path).close_now()
    chain = Watching(tmp_path / "chat.db")
    count = KeychainCount(chain, "entry")
    store, _ = open_store(tmp_path / "chat.db", KEY, DATABASE_ID, keychain=count)
    change(store, *range(50), first=True)
    store.close_now()
    assert len(chain.leads) >= 1
    assert max(chain.leads) <= 0
    assert int.from_bytes(chain.kept["entry"].reveal(), "big") == count_beside(tmp_path)


def test_a_unit_that_fails_moves_nothing(tmp_path: Path, chain: MemoryKeychain) -> None:
    path = make(tmp_path / "p", chain)
    before = count_in(chain, path)
    profile = opened(path, KeychainUnlock(chain))

    async def run() -> None:
        await profile.store.write(lambda _: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        asyncio.run(run())
    profile.close()
    assert count_in(chain, path) == before


def test_on_another_computer_nothing_is_old(tmp_path: Path, chain: MemoryKeychain) -> None:
    path = make(tmp_path / "p", chain)
    copy = copied(path, "copy")
    use(path, KeychainUnlock(chain), 1, 2)
    other = MemoryKeychain()
    entry = keyfile.read(copy / "key").keychain_entry
    other.kept[entry] = chain.kept[entry]  # moved by its owner
    assert use(copy, KeychainUnlock(other), 1) == ""
    assert count_in(other, copy) == count_beside(copy)


def test_of_two_copies_on_one_computer_the_one_behind_is_told(
    tmp_path: Path, chain: MemoryKeychain, caplog: pytest.LogCaptureFixture
) -> None:
    unlock = KeychainUnlock(chain)
    one = make(tmp_path / "p", chain)
    other = copied(one, "other")
    running = opened(one, unlock)
    beside = opened(other, unlock)
    assert (running.store.stale, beside.store.stale) == ("", "")
    change(beside.store, *range(9))
    beside.close()
    ahead = count_in(chain, one)
    change(running.store, 1)
    running.close()
    assert count_in(chain, one) == ahead  # raised only
    assert "another copy of this profile" in caplog.text
    assert use(one, unlock) == OLDER_DATABASE
    assert use(one, unlock) == ""
    assert use(other, unlock) == OLDER_DATABASE


def test_a_restored_or_salvaged_profile_under_the_same_name_is_not_old(
    tmp_path: Path, chain: MemoryKeychain
) -> None:
    path, unlock = make(tmp_path / "p", chain), KeychainUnlock(chain)
    profile = opened(path, unlock)
    backup = tmp_path / "backup"
    create(profile, backup, WORDS.passphrase, rng=system_rng, now_ms=NOW_MS, memory_kib=8)
    profile.close()
    use(path, unlock, *range(30))
    former = entry_of(path)
    damaged = copied(path, "damaged")
    for again in ("restored", "salvaged"):
        shutil.rmtree(path)
        if again == "restored":
            restore(
                backup,
                WORDS.passphrase,
                path,
                unlock=unlock,
                rng=system_rng,
                now_ms=NOW_MS,
            ).close()
        else:
            salvage(damaged, path, unlock=unlock, rng=system_rng, now_ms=NOW_MS)
        assert entry_of(path) != former
        assert use(path, unlock, 1) == ""
        assert use(path, unlock) == ""
    assert entry_of(damaged) == former


def test_a_keychain_that_does_not_open_is_a_line_in_the_log(
    tmp_path: Path, chain: MemoryKeychain, caplog: pytest.LogCaptureFixture
) -> None:
    path = make(tmp_path / "p", chain)
    before = count_in(chain, path)
    count = KeychainCount(chain, entry_of(path))
    chain.locked = True
    assert count.read() == 0
    why = "the keychain did not open"
    assert f"the count in the keychain was not read: {why}" in caplog.text
    chain.asked = 0
    moved = 10**6
    count.follow(lambda: moved)
    until(lambda: f"the count in the keychain was not written: {why}" in caplog.text)
    chain.locked = False
    moved += 1
    count.close()
    assert chain.asked == 1  # nobody is asked again and again
    assert count_in(chain, path) == before
    chain.locked = True
    count.forget()
    assert "the count in the keychain was not deleted: the keychain did not" in caplog.text


def test_a_keychain_that_never_answers_does_not_hold_up_the_closing(
    tmp_path: Path,
    chain: MemoryKeychain,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outside_count, "CLOSE_WAIT_S", 0.01)
    path = make(tmp_path / "p", chain)
    until(lambda: count_in(chain, path) == count_beside(path))
    profile = opened(path, KeychainUnlock(chain))
    chain.answers.clear()
    change(profile.store, 1, 2)
    (thread,) = [each for each in threading.enumerate() if each.name == "p2pchat-keychain"]
    assert thread.daemon, "it must not keep the process either"
    profile.close()
    assert "does not answer" in caplog.text
    chain.answers.set()
    thread.join()
    assert use(path, KeychainUnlock(chain)) == ""


def switch(profile: OpenProfile, old: Unlock, new: Unlock) -> None:
    """Do what the node does."""
    files = Profile(profile.path)
    change_unlock(files, old=old, new=new, rng=system_rng, now_ms=NOW_MS, memory_kib=8)
    profile.store.keep_count_in(keychain_count(keyfile.read(files.key), new))


def test_from_keychain_to_keychain_to_a_passphrase_and_back(
    tmp_path: Path, chain: MemoryKeychain
) -> None:
    path, unlock = make(tmp_path / "p", chain), KeychainUnlock(chain)
    profile = opened(path, unlock)
    switch(profile, unlock, unlock)
    change(profile.store, 1)
    profile.close()
    assert len(chain.kept) == 2
    assert count_in(chain, path) == count_beside(path)
    profile = opened(path, unlock)
    switch(profile, unlock, WORDS)
    assert chain.kept == {}
    change(profile.store, 2)
    profile.close()
    assert chain.kept == {}
    assert use(path, WORDS, 3) == ""
    profile = opened(path, WORDS)
    switch(profile, WORDS, unlock)
    until(lambda: count_in(chain, path) == count_beside(path))
    change(profile.store, 4)
    copy = path.with_name("copy")
    profile.close()
    assert count_in(chain, path) == count_beside(path)
    shutil.copytree(path, copy)
    use(path, unlock, 5)
    put_back(copy, path)
    assert use(path, unlock) == OLDER_DATABASE


def test_an_entry_that_stayed_behind_lags_and_is_right_again(
    tmp_path: Path, chain: MemoryKeychain
) -> None:
    path, unlock = make(tmp_path / "p", chain), KeychainUnlock(chain)
    left = dict(chain.kept)[entry_of(path)]
    profile = opened(path, unlock)
    switch(profile, unlock, WORDS)
    chain.kept[entry_of(path)] = left
    change(profile.store, 1, 2, 3)
    switch(profile, WORDS, unlock)
    profile.close()
    assert count_in(chain, path) == count_beside(path)
    assert use(path, unlock) == ""


def test_profiles_do_not_share_an_entry(tmp_path: Path, chain: MemoryKeychain) -> None:
    one, other = make(tmp_path / "1", chain), make(tmp_path / "2", chain)
    use(one, KeychainUnlock(chain), *range(30))
    assert use(other, KeychainUnlock(chain)) == ""
    assert entry_of(one) != entry_of(other)
    assert len(chain.kept) == 4


@pytest.fixture
def file(tmp_path: Path) -> Iterator[CountFile]:
    made = CountFile(tmp_path / "count")
    yield made
    made.close()


def test_the_file_is_eight_bytes_of_ours_alone_written_in_place(
    tmp_path: Path, file: CountFile
) -> None:
    assert file.read() == 0
    for count in (1, 258, COUNT_MAX, 3):
        file.write(count)
        assert (tmp_path / "count").read_bytes() == count.to_bytes(8, "big")
        assert file.read() == count
    assert (tmp_path / "count").stat().st_mode & 0o777 == 0o600
    file.close()
    file.close()
    file.write(4)
    assert file.read() == 4


def test_nothing_outside_is_a_count_of_0(tmp_path: Path, file: CountFile) -> None:
    assert OutsideCount(file, None).read() == 0
    (tmp_path / "count").write_bytes(b"\xff" * 8)
    assert OutsideCount(file, None).read() == 0
    (tmp_path / "count").write_bytes((3).to_bytes(8, "big") + b"more")
    assert OutsideCount(file, None).read() == 3


@pytest.mark.parametrize("content", [b"\xff" * 8, (COUNT_MAX + 1).to_bytes(8, "big") + b"more"])
def test_what_is_no_count_reads_as_none(
    tmp_path: Path, chain: MemoryKeychain, content: bytes
) -> None:
    """SQLite could not count on from it, and the profile would not open any more."""
    path, unlock = make(tmp_path / "p", chain), KeychainUnlock(chain)
    (path / "count").write_bytes(content)
    chain.kept[entry_of(path)] = Secret(bytes(24) + content[:8])
    assert use(path, unlock, 1) == ""
    assert count_in(chain, path) == count_beside(path) < 100
    chain.kept[entry_of(path)] = Secret(COUNT_MAX.to_bytes(32, "big"))
    assert use(path, unlock) == OLDER_DATABASE


def test_a_file_that_cannot_be_written_is_a_line_in_the_log(
    tmp_path: Path, file: CountFile, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "count").mkdir()
    file.write(1)
    assert "the count beside the database was not written: Is a directory" in caplog.text


def test_the_keychain_still_has_the_count_where_the_disk_did_not_take_the_file(
    tmp_path: Path, chain: MemoryKeychain
) -> None:
    path, unlock = make(tmp_path / "p", chain), KeychainUnlock(chain)
    old = (path / "chat.db").read_bytes()
    use(path, unlock, 1)
    (path / "count").unlink()
    (path / "chat.db").write_bytes(old)
    assert use(path, unlock) == OLDER_DATABASE


def test_a_locked_keychain_leaves_the_entry_when_the_words_take_its_place(
    tmp_path: Path, chain: MemoryKeychain
) -> None:
    path, unlock = make(tmp_path / "p", chain), KeychainUnlock(chain)
    profile = opened(path, unlock)
    until(lambda: count_in(chain, path) == count_beside(path))

    class Refusing(MemoryKeychain):
        def delete(self, entry: str) -> None:
            if not entry.endswith(".count"):
                return super().delete(entry)
            raise StoreError("no")

    refusing = Refusing()
    refusing.kept = chain.kept
    switch(profile, unlock, KeychainUnlock(refusing))
    switch(profile, KeychainUnlock(refusing), WORDS)
    profile.close()
    assert list(refusing.kept) == [entry_of(path)]
    assert use(path, WORDS, 1) == ""
