"""Two people on two screens: real profiles, real nodes, real sockets, nothing scripted."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path

from p2pchat.crypto.pwhash import MIN_MEMORY_KIB
from p2pchat.store.profile import Profile
from p2pchat.tui.host import ProfileHost
from tests.tui.dataset import NOON
from tests.tui.terminal import Terminal, terminal

LOOPBACK = ["127.0.0.1:0"]


@contextlib.asynccontextmanager
async def person(
    folder: Path, name: str, listen: list[str] | None = None
) -> AsyncIterator[Terminal]:
    """Run the app on a profile; takes the first steps, or unlocks."""
    host = ProfileHost(folder / name, NOON, listen or LOOPBACK, memory_kib=MIN_MEMORY_KIB)
    known = Profile(folder / name).key.exists()
    async with terminal(host, 120, 30) as app:
        if known:
            await app.shows("The passphrase of this profile:")
            app.press("words\r")
        else:
            await app.shows("What is your name?")
            app.press(f"{name}\r")
            await app.shows("Choose a passphrase.")
            app.press("words\r")
            await app.shows("Type the same passphrase again.")
            app.press("words\r")
            await app.shows("Your profile is ready.", "p2pchat:")
            app.press("\r")
        await app.shows("F1 help", "listening on 127.0.0.1")
        yield app
        app.press("\x03")
        await app.until_ended()


async def own_link(app: Terminal) -> str:
    """Read the link off the screen, as a person copies it."""
    app.press("/myid\r")
    await app.shows("contact link", "Peer id")
    rows = app.rows()
    begin = next(index for index, row in enumerate(rows) if row.startswith("p2pchat:"))
    end = rows.index("", begin)
    app.press("\x1b")
    await app.lacks("Peer id")
    return "\n".join(rows[begin:end])


async def shown_number(app: Terminal) -> str:
    """Read the safety number off the screen."""
    app.press("/verify\r")
    await app.shows("Compare the safety number", "paste the number here")
    for _ in range(100):
        groups = re.findall(r"\b\d{5}\b", app.text().split("paste the number here")[0])
        if len(groups) == 12:
            return " ".join(groups)
        await asyncio.sleep(0.05)
    raise AssertionError(app.text())


async def test_meeting_talking_and_verifying(tmp_path: Path) -> None:
    async with person(tmp_path, "Alice") as alice, person(tmp_path, "Bob") as bob:
        link = await own_link(alice)
        await bob.paste(f"/add {link}")
        bob.press("\r")
        await bob.shows("Added.", "~ unverified")
        await alice.shows("Bob asks to talk with you", "? request")
        alice.press("/accept\r")
        await alice.shows("Bob is accepted.", "● online")
        await bob.shows("● online")
        bob.press("Is this really you?\r")
        await bob.shows("<Bob> Is this really you? ✓✓")
        await alice.shows("<Bob> Is this really you?")
        await alice.paste("Two lines\nat once")
        alice.press("\r")
        await alice.shows("at once ✓✓")
        await bob.shows("<Alice> Two lines", "at once")
        number = await shown_number(alice)
        bob.press("/verify\r")
        await bob.shows("paste the number here")
        await bob.paste(number)
        bob.press("\r")
        await bob.shows("The numbers are the same. Alice is verified.")
        alice.press("same\r")
        await alice.shows("The numbers are the same. Bob is verified.")
        alice.press("\x1b")
        await alice.shows("✓ verified")


async def test_what_is_written_to_somebody_offline_arrives_later(tmp_path: Path) -> None:
    async with person(tmp_path, "Alice") as alice:
        link = await own_link(alice)
        port = link_port(alice)
        async with person(tmp_path, "Bob") as bob:
            await bob.paste(f"/add {link}")
            bob.press("\r")
            await alice.shows("? request")
            alice.press("/accept\r")
            await bob.shows("● online")
    async with person(tmp_path, "Bob") as bob:
        await bob.shows("○ offline: ")
        bob.press("Are you there?\r")
        await bob.shows("<Bob> Are you there? ◌")
        async with person(tmp_path, "Alice", [f"127.0.0.1:{port}"]) as alice:
            bob.press("/retry\r")
            await bob.shows("<Bob> Are you there? ✓✓")
            await alice.shows("<Bob> Are you there?")


async def test_another_key_at_a_known_address(tmp_path: Path) -> None:
    """R-3.6.3, R-3.6.6"""
    async with person(tmp_path, "Alice") as alice:
        link = await own_link(alice)
        port = link_port(alice)
    async with person(tmp_path, "Mallory", [f"127.0.0.1:{port}"]), person(tmp_path, "Bob") as bob:
        await bob.paste(f"/add {link}")
        bob.press("\r")
        await bob.shows("⚠ THE KEY OF Alice HAS CHANGED", "⚠ KEY CHANGED")
        bob.press("my secret\r")
        await bob.shows("✗ Not sent: Alice's key has changed.", "> my secret")
        bob.press("\x15/keep\r")
        await bob.shows("The old key of Alice stays.")
        bob.press("my secret\r")
        await bob.shows("<Bob> my secret ◌")


async def test_a_second_screen_shares_the_running_node(tmp_path: Path) -> None:
    async with person(tmp_path, "Alice") as first:
        host = ProfileHost(tmp_path / "Alice", NOON, LOOPBACK)
        async with terminal(host, 80, 24) as second:
            await second.shows("Alice", "Nobody is here yet.")
            link = await own_link(second)
            assert "".join(link.split()) == "".join((await own_link(first)).split())


async def test_a_wrong_passphrase_on_a_real_profile(tmp_path: Path) -> None:
    async with person(tmp_path, "Alice"):
        pass
    host = ProfileHost(tmp_path / "Alice", NOON, LOOPBACK)
    async with terminal(host, 80, 24) as app:
        await app.shows("The passphrase of this profile:")
        app.press("wrong\r")
        await app.shows("✗ The passphrase is wrong.")
        app.press("words\r")
        await app.shows("Nobody is here yet.")


def link_port(app: Terminal) -> str:
    """Read the port off the status bar."""
    found = re.search(r"listening on 127\.0\.0\.1:(\d+)", app.text())
    assert found
    return found[1]
