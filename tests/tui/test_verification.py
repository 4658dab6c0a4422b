"""Comparing safety numbers and deciding about a changed key, on the screen."""

from __future__ import annotations

from tests.tui.dataset import NUMBER, DataSet, contact, message
from tests.tui.terminal import terminal


async def test_the_number_stands_in_three_rows_of_four() -> None:
    async with terminal(DataSet([contact("Bob")])) as app:
        await app.shows("Bob")
        app.press("/verify\r")
        await app.shows(
            "11111  11112  11113  11114",
            "11115  11116  11117  11118",
            "11119  11120  11121  11122",
            "Call Bob or meet",
            "paste the number here",
        )


async def test_the_same_number_verifies_and_stays() -> None:
    """R-3.6.5"""
    data = DataSet([contact("Bob")])
    async with terminal(data) as app:
        await app.shows("Bob")
        app.press("/verify\r")
        await app.shows("11111  11112")
        await app.paste(NUMBER.replace(" ", "\n  "))
        app.press("\r")
        await app.shows("✓ The numbers are the same. Bob is verified.")
        data.contacts[0]["online"] = True
        data.stream.put("contact.state", contact="Bob", online=True, trust="verified", pq=False)
        await app.shows("✓ The numbers are the same. Bob is verified.")
        app.press("\x1b")
        await app.shows("✓ verified", "● online")


async def test_another_number_warns_and_stays() -> None:
    data = DataSet([contact("Bob")])
    async with terminal(data) as app:
        await app.shows("Bob")
        app.press("/verify\r")
        await app.shows("11111  11112")
        await app.paste(NUMBER.replace("11115", "91115"))
        app.press("\r")
        await app.shows("⚠ THE NUMBERS DIFFER", "91115  11116", "Do not write anything private")
        data.stream.put("contact.state", contact="Bob", online=True, trust="unverified", pq=False)
        await app.shows("⚠ THE NUMBERS DIFFER", "/block Bob")
        assert data.contacts[0]["trust"] == "unverified"


async def test_a_changed_key_blocks_writing_until_it_is_decided() -> None:
    """R-3.6.6"""
    data = DataSet([contact("Bob", "changed")], {"Bob": [message(1, "old times")]})
    async with terminal(data) as app:
        await app.shows(
            "⚠ KEY CHANGED",
            "⚠ THE KEY OF Bob HAS CHANGED",
            "/accept",
            "/keep",
            "/verify",
            "/block",
            "old times",
        )
        app.press("a secret\r")
        await app.shows("✗ Not sent: Bob's key has changed.", "> a secret")
        assert data.asked("message.send") == []
        app.press("\x15/accept\r")
        await app.shows("Bob is accepted. Compare safety numbers with /verify.", "~ unverified")
        await app.lacks("HAS CHANGED")
        app.press("a secret\r")
        await app.shows("<Alice> a secret ◌")


async def test_a_revoked_key_is_said_and_refused() -> None:
    """R-3.7.4"""
    data = DataSet([contact("Bob", "verified", online=True)], {"Bob": [message(1, "old times")]})
    async with terminal(data) as app:
        await app.shows("✓ verified")
        data.contacts[0].update(
            trust="blocked",
            online=False,
            offline_reason="they have revoked this key",
            revoked_at_ms=7,
        )
        data.stream.put("contact.key", contact="Bob", news="revoked", at_ms=7)
        await app.shows(
            "⊘ KEY REVOKED",
            "○ offline: they have revoked this key",
            "⊘ Bob HAS REVOKED THIS KEY",
            "Bob has revoked this key. Nothing is sent",
            "/remove",
        )
        app.press("a secret\r")
        await app.shows("✗ Not sent: Bob has revoked this key.", "> a secret")
        assert data.asked("message.send") == []


async def test_an_announced_key_has_words_of_its_own() -> None:
    """R-3.7.10"""
    data = DataSet([contact("Bob", "changed", announced=True)])
    async with terminal(data) as app:
        await app.shows(
            "⚠ KEY CHANGED",
            "⚠ Bob HAS ANNOUNCED A NEW KEY",
            "signed with the old one as well",
            "/accept",
            "/keep",
        )
        app.press("a secret\r")
        await app.shows("✗ Not sent: Bob's key has changed.")
        data.contacts[0].update(revoked_at_ms=7)
        data.stream.put("contact.state", contact="Bob", online=False, trust="changed", pq=False)
        await app.shows("/remove", "the old key is revoked")
        await app.lacks("/keep")


async def test_our_own_revoked_key_is_said() -> None:
    """R-3.7.5"""
    data = DataSet([contact("Bob")])
    data.identity["revoked_at_ms"] = 7
    async with terminal(data) as app:
        await app.shows("⊘ You have revoked your key: nothing is sent with it.")


async def test_keeping_the_old_key() -> None:
    data = DataSet([contact("Bob", "changed")])
    async with terminal(data) as app:
        await app.shows("HAS CHANGED")
        app.press("/keep\r")
        await app.shows("The old key of Bob stays.", "~ unverified")
        assert data.asked("contact.keep") == [{"contact": "Bob"}]


async def test_a_key_that_changes_during_a_chat() -> None:
    data = DataSet([contact("Bob", "verified", online=True)])
    async with terminal(data) as app:
        await app.shows("✓ verified")
        app.press("half a sent")
        data.contacts[0].update(trust="changed", online=False)
        data.stream.put("contact.state", contact="Bob", online=False, trust="changed", pq=False)
        await app.shows("⚠ THE KEY OF Bob HAS CHANGED", "> half a sent")
