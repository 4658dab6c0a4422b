"""Locking the app: the screen is blank at once, nothing of the chat stays, and all comes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2pchat.crypto.pwhash import MIN_MEMORY_KIB
from p2pchat.crypto.secret import Secret, system_rng
from p2pchat.errors import LockedError
from p2pchat.rpc import idle
from p2pchat.store.open import PassphraseUnlock, create_profile, open_profile
from p2pchat.tui.host import Needed, ProfileHost
from tests.tui.dataset import NOON, DataSet, ScriptedHost, contact, message
from tests.tui.terminal import terminal
from tests.tui.test_screens import SIZES, check

WORDS = "xylophone lessons"


def chatting() -> DataSet:
    return DataSet([contact("Bob", online=True)], {"Bob": [message(1, WORDS)]})


@pytest.mark.parametrize(("columns", "rows"), SIZES)
async def test_the_unlock_prompt_and_the_locked_screen(columns: int, rows: int) -> None:
    data = chatting()
    host = ScriptedHost(data, Needed.PASSPHRASE)
    async with terminal(host, columns, rows) as app:
        await app.shows("The passphrase of this profile:")
        check(app, "unlock", columns)
        app.press("open\r")
        await app.shows(WORDS)
        app.press("\x0c")
        await app.shows("p2pchat · locked")
        check(app, "locked", columns)


@pytest.mark.parametrize("keys", ["\x0c", "/lock\r"])
async def test_locked_and_unlocked_again(keys: str) -> None:
    data = chatting()
    async with terminal(data) as app:
        await app.shows(WORDS)
        if keys == "\x0c":
            app.press("a draft that is dropped")
            await app.shows("a draft")
        app.press(keys)
        await app.shows("p2pchat · locked")
        for part in ("xylophone", "Bob", "draft", "/lock"):
            assert part not in app.text()
        assert "xylophone" not in repr(app.app.state)
        assert app.app._composer.text == ""
        assert data.locked
        data.stream.put("message.received", contact="Bob", **message(2, "who is that"))
        app.press("\x1b1")
        app.press("wrong\r")
        await app.shows("✗ The passphrase is wrong.", "p2pchat · locked")
        assert "who is that" not in app.raw
        app.press("open\r")
        await app.shows("Bob", WORDS, "F1 help")
        assert "draft" not in app.text()
        assert "open" not in app.raw.replace("opens", "")


async def test_a_profile_locked_by_somebody_else_blanks_the_screen_too() -> None:
    data = chatting()
    async with terminal(data) as app:
        await app.shows(WORDS)
        await data.call("node.lock")
        await app.shows("p2pchat · locked", "F2 unlocks by")
        assert WORDS not in app.text()


async def test_an_app_that_finds_a_locked_node_asks_for_the_passphrase() -> None:
    data = chatting()
    data.locked = True
    async with terminal(data) as app:
        await app.shows("p2pchat · locked")
        app.press("open\r")
        await app.shows(WORDS)


async def test_old_news_of_a_lock_do_not_lock_again() -> None:
    data = chatting()
    async with terminal(data) as app:
        await app.shows(WORDS)
        data.stream.put("node.locked")
        data.stream.put("message.received", contact="Bob", **message(2, "after it"))
        await app.shows("after it")


async def test_wrong_passphrases_are_told_until_esc() -> None:
    data = chatting()
    data.stream.put("unlock.failures", count=3, last_at_ms=NOON)
    async with terminal(data) as app:
        await app.shows("⚠ 3 wrong passphrases were tried since you last unlocked", WORDS)
        app.press("\x1b")
        await app.lacks("wrong passphrases")


async def test_without_a_key_press_it_locks_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle, "LOOK_S", 0.05)
    moment = NOON
    async with terminal(chatting(), lock_after_s=60, now_ms=lambda: moment) as app:
        await app.shows(WORDS)
        assert app.app._idle is not None
        app.app._idle._after_ms = 300.0  # the watch sleeps no longer than that
        moment += 59_000
        app.press("a")
        await app.shows("> a")
        moment += 200
        app.press("b")
        await app.shows("> ab", WORDS)
        moment += 60_000
        await app.shows("p2pchat · locked")


async def test_a_real_profile_is_closed_and_opened_by_its_passphrase(tmp_path: Path) -> None:
    path, unlock = tmp_path / "p", PassphraseUnlock(Secret(b"words"))
    create_profile(
        path, name="Ada", unlock=unlock, rng=system_rng, now_ms=NOON, memory_kib=MIN_MEMORY_KIB
    ).close()
    with pytest.raises(LockedError):
        open_profile(path, unlock=PassphraseUnlock(Secret(b"guess")), now_ms=NOON)
    async with terminal(ProfileHost(path, NOON, ["127.0.0.1:0"])) as app:
        await app.shows("The passphrase of this profile:")
        app.press("words\r")
        await app.shows("Nobody is here yet.", "⚠ 1 wrong passphrase was tried")
        app.press("\x0c")
        await app.shows("p2pchat · locked")
        app.press("words!\r")
        await app.shows("The passphrase is wrong.")
        app.press("words\r")
        await app.shows("Nobody is here yet.", "listening on 127.0.0.1", "⚠ 1 wrong passphrase")
        app.press("\x03")
        await app.until_ended()
