"""The steps before the chat, on the screen."""

from __future__ import annotations

import asyncio

import pytest
from prompt_toolkit.input import DummyInput
from prompt_toolkit.output import DummyOutput

from p2pchat.crypto.secret import Secret
from p2pchat.errors import DamagedStoreError, LockedError
from p2pchat.rpc.client import Client
from p2pchat.tui.app import TerminalApp
from p2pchat.tui.host import Needed
from tests.tui.dataset import LINK, NOON, DataSet, ScriptedHost, contact
from tests.tui.terminal import terminal


async def test_first_steps_lead_to_the_link_and_the_chat() -> None:
    host = ScriptedHost(DataSet(), Needed.PROFILE)
    async with terminal(host) as app:
        await app.shows("first steps · 1 of 3", "What is your name?", "no server between them")
        app.press("\r")
        await app.shows("Type the name that the others will see.")
        app.press("Alice\r")
        await app.shows("2 of 3", "Hello Alice.", "Choose a passphrase.")
        app.press("four words in a row")
        await app.shows("> •••••••••••••••••••")
        app.press("\r")
        await app.shows("Type the same passphrase again.")
        app.press("four words\r")
        await app.shows("The two were not the same.", "Choose a passphrase.")
        app.press("four words\r")
        await app.shows("Type the same passphrase again.")
        app.press("four words\r")
        await app.shows("Your profile is ready.", LINK[:80], "/add", "/verify", "Enter opens")
        assert host.created == ["Alice"]
        assert "four words" not in app.raw
        app.press("\r")
        await app.shows("Nobody is here yet.", "F1 help")


async def test_a_step_back() -> None:
    async with terminal(ScriptedHost(DataSet(), Needed.PROFILE)) as app:
        await app.shows("What is your name?")
        app.press("Alice\r")
        await app.shows("Choose a passphrase.")
        app.press("\x1b")
        await app.shows("What is your name?")


async def test_names_that_would_not_do() -> None:
    async with terminal(ScriptedHost(DataSet(), Needed.PROFILE)) as app:
        await app.shows("What is your name?")
        app.press("x" * 65 + "\r")
        await app.shows("Use a plain name of at most 64 bytes.")
        await app.paste("Al\u202eice\n")
        app.press("\r")
        await app.shows("Use a plain name")
        assert "\u202e" not in app.raw


async def test_the_keychain_instead_of_a_passphrase() -> None:
    class NoKeychain(ScriptedHost):
        async def create(self, name: str, passphrase: Secret | None) -> None:
            if passphrase is None:
                raise LockedError("no OS keychain is to be had; choose a passphrase")
            await super().create(name, passphrase)

    async with terminal(NoKeychain(DataSet(), Needed.PROFILE)) as app:
        await app.shows("What is your name?")
        app.press("Alice\r")
        await app.shows("F2 lets this computer's keychain")
        app.press("\x1bOQ")
        await app.shows("✗ No OS keychain is to be had; choose a passphrase.")
        app.press("words\r")
        await app.shows("Type the same passphrase again.")
        app.press("words\r")
        await app.shows("Your profile is ready.")


async def test_a_wrong_passphrase_is_said_and_asked_again() -> None:
    host = ScriptedHost(DataSet([contact("Bob")]), Needed.PASSPHRASE, b"right")
    async with terminal(host) as app:
        await app.shows("The passphrase of this profile:")
        app.press("\r")
        await app.shows("Type the passphrase of this profile.")
        app.press("wrong\r")
        await app.shows("✗ The passphrase is wrong.")
        app.press("right\r")
        await app.shows("Bob", "F1 help")
        assert "wrong" not in app.raw.replace("The passphrase is wrong", "")


async def test_the_screen_lives_while_the_key_is_derived() -> None:
    class Slow(ScriptedHost):
        def __init__(self) -> None:
            super().__init__(DataSet([contact("Bob")]), Needed.PASSPHRASE, b"right")
            self.done = asyncio.Event()

        async def open(self, passphrase: Secret | None) -> Client:
            await self.done.wait()
            return await super().open(passphrase)

    host = Slow()
    async with terminal(host) as app:
        await app.shows("The passphrase of this profile:")
        app.press("right\r")
        await app.shows("Unlocking.")
        app.press("impatient\r\r")
        await app.paste("impatient")
        await asyncio.sleep(0.1)
        assert "•" not in app.text()
        host.done.set()
        await app.shows("Bob", "F1 help")
        assert "impatient" not in app.raw


async def test_a_damaged_profile_ends_the_app_with_its_error() -> None:
    class Damaged(ScriptedHost):
        async def open(self, passphrase: Secret | None) -> Client:
            raise DamagedStoreError("the database is damaged")

    caught: list[str] = []
    try:
        async with terminal(Damaged(DataSet(), Needed.PASSPHRASE)) as app:
            await app.shows("The passphrase of this profile:")
            app.press("right\r")
            await asyncio.sleep(5)
    except* DamagedStoreError as group:
        caught = [str(each) for each in group.exceptions]
    assert caught == ["the database is damaged"]


async def test_ctrl_c_leaves_at_once() -> None:
    async with terminal(ScriptedHost(DataSet(), Needed.PROFILE)) as app:
        await app.shows("What is your name?")
        app.press("Alice\x03")
        await app.until_ended()


async def test_a_profile_that_is_refused_at_once() -> None:
    class Damaged(ScriptedHost):
        async def open(self, passphrase: Secret | None) -> Client:
            raise DamagedStoreError("the database is damaged")

    app = TerminalApp(
        Damaged(DataSet(), Needed.NOTHING),
        now_ms=lambda: NOON,
        terminal_input=DummyInput(),
        output=DummyOutput(),
    )
    with pytest.raises(DamagedStoreError, match="the database is damaged"):
        await app.run()
