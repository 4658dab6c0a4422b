"""Every method of interface.md between two real nodes, and what each refuses."""

import asyncio
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from p2pchat.errors import LockedError, ProfileInUseError
from p2pchat.identity.safety_number import safety_number
from p2pchat.rpc import opening
from p2pchat.rpc.client import Client, SocketClient
from p2pchat.rpc.opening import HeldProfile, attach, open_client
from p2pchat.rpc.params import LIST_MAX
from p2pchat.rpc.protocol import RpcError
from p2pchat.store.open import PassphraseUnlock
from tests.support.cli_world import Profile

STRANGER = "ab" * 16
NO_NUMBER = safety_number(b"1" * 32, b"2" * 32)


class Pair:
    """Alice's own client, bob's, and bob's by his socket."""

    def __init__(self, alice: HeldProfile, bob: HeldProfile, by_socket: SocketClient) -> None:
        self.alice = alice
        self.bob = bob
        self.by_socket = by_socket


async def held(profile: Profile, *, network: bool = True) -> HeldProfile:
    return await HeldProfile.open(
        profile.path,
        unlock=PassphraseUnlock(profile.secret),
        network=network,
        listen=["127.0.0.1:0"],
    )


@pytest.fixture
def profiles(tmp_path: Path) -> tuple[Profile, Profile]:
    return Profile.quick(tmp_path, "Alice"), Profile.quick(tmp_path, "Bob")


@pytest.fixture
async def pair(profiles: tuple[Profile, Profile]) -> AsyncIterator[Pair]:
    async with asyncio.timeout(30):
        alice, bob = await held(profiles[0]), await held(profiles[1])
        by_socket = await attach(profiles[1].path)
        assert by_socket is not None
        yield Pair(alice, bob, by_socket)
        await by_socket.close()
        await alice.close()
        await bob.close()


async def link_of(client: Client) -> str:
    link: str = (await client.call("identity.show"))["link"]
    return link


async def meet(pair: Pair) -> None:
    """Let both add each other, and wait until both see the other online."""
    await pair.alice.call("contact.add", {"link": await link_of(pair.bob)})
    await pair.bob.call("contact.add", {"link": await link_of(pair.alice)})
    for client in (pair.alice, pair.bob):
        changes = client.notifications()
        while not (await client.call("contact.list"))[0]["online"]:
            await anext(changes)
        changes.close()


async def notification(stream: Any, method: str) -> dict[str, Any]:
    async for name, params in stream:
        if name == method:
            result: dict[str, Any] = params
            return result
    raise AssertionError("the stream ended")


async def code_of(client: Client, method: str, **params: object) -> int:
    with pytest.raises(RpcError) as caught:
        await client.call(method, params)
    return caught.value.code


async def test_ourselves(pair: Pair) -> None:
    status = await pair.by_socket.call("node.status")
    assert set(status) == {"version", "peer_id", "listen", "contacts_online"}
    assert status["listen"][0].startswith("127.0.0.1:")
    assert status["contacts_online"] == 0
    identity = await pair.by_socket.call("identity.show")
    assert set(identity) == {"name", "peer_id", "link"}
    assert identity["name"] == "Bob"
    assert identity["peer_id"] == status["peer_id"]
    assert identity == await pair.bob.call("identity.show")


async def test_contacts_from_strangers_to_verified(pair: Pair) -> None:
    seen_by_bob = pair.by_socket.notifications()
    link = await link_of(pair.bob)
    assert await pair.alice.call(
        "contact.add", {"link": link, "name": "bobby", "note": "it is me"}
    ) == {"contact": "bobby"}
    request = await notification(seen_by_bob, "contact.request")
    me = await pair.alice.call("identity.show")
    assert request == {
        "contact": "Alice",
        "name": "Alice",
        "peer_id": me["peer_id"],
        "note": "it is me",
    }
    (contact,) = await pair.bob.call("contact.list")
    assert set(contact) == {
        *("contact", "name", "peer_id", "trust", "online", "pq"),
        *("unread", "note", "addresses", "offline_reason", "offered_peer_id", "verified_at_ms"),
        *("verified_by", "compare_asked", "verify_first", "record"),
        *("revoked", "revoked_at_ms", "announced"),
        *("timer_s", "timer_proposed_s", "timer_asked_s"),
    }
    assert contact["trust"] == "request"
    assert await code_of(pair.bob, "message.send", contact="alice", text="hello") == -32004
    assert await pair.by_socket.call("contact.accept", {"contact": "alice"}) == {}
    assert (await pair.bob.call("contact.list"))[0]["trust"] == "unverified"

    mine = await pair.alice.call("contact.safety_number", {"contact": "bobby"})
    assert mine == await pair.by_socket.call("contact.safety_number", {"contact": me["peer_id"]})
    assert await code_of(pair.alice, "contact.verify", contact="bobby", number=NO_NUMBER) == -32004
    assert await code_of(pair.alice, "contact.verify", contact="bobby", number="12") == -32602
    verified = await pair.alice.call(
        "contact.verify", {"contact": "bobby", "number": mine["number"].replace(" ", "")}
    )
    assert verified == {"trust": "verified"}
    (contact,) = await pair.alice.call("contact.list")
    assert contact["trust"] == "verified"
    assert contact["verified_at_ms"] > 0
    assert contact["offered_peer_id"] is None


async def test_messages_and_their_states(pair: Pair) -> None:
    await meet(pair)
    at_bob, at_alice = pair.by_socket.notifications(), pair.alice.notifications()
    sent = await pair.alice.call("message.send", {"contact": "bob", "text": "Grüße 👋\nzwei"})
    assert set(sent) == {"message_id", "state"}
    assert sent["state"] == "queued"
    message_id = sent["message_id"]
    received = await notification(at_bob, "message.received")
    assert received == {
        "contact": "Alice",
        "message_id": message_id,
        "text": "Grüße 👋\nzwei",
        "sent_at_ms": received["sent_at_ms"],
    }
    states = []
    while "delivered" not in states:
        change = await notification(at_alice, "message.state")
        assert set(change) == {"contact", "message_id", "state"}
        assert (change["contact"], change["message_id"]) == ("Bob", message_id)
        states.append(change["state"])
    waited = await pair.alice.call(
        "message.wait", {"contact": "bob", "message_id": message_id, "timeout": 5}
    )
    (listed,) = await pair.alice.call("message.list", {"contact": "bob"})
    assert waited == listed
    assert listed == {
        "message_id": message_id,
        "direction": "out",
        "text": "Grüße 👋\nzwei",
        "sent_at_ms": received["sent_at_ms"],
        "state": "delivered",
        "reason": "",
        "kind": "text",
        "reply_to": None,
        "quote": "",
        "edited_at_ms": None,
        "deleted": False,
        "reactions": [],
        "lifetime_s": None,
        "expires_at_ms": None,
        "unsent_until_ms": None,
    }
    assert (await pair.by_socket.call("contact.list"))[0]["unread"] == 1
    assert await pair.by_socket.call("message.mark_read", {"contact": "alice"}) == {}
    assert (await pair.by_socket.call("contact.list"))[0]["unread"] == 0


async def test_changes_and_timers(pair: Pair) -> None:
    await meet(pair)
    at_bob = pair.by_socket.notifications()
    sent = await pair.alice.call("message.send", {"contact": "bob", "text": "helo"})
    about = {"contact": "bob", "message_id": sent["message_id"]}
    await pair.alice.call("message.wait", {**about, "timeout": 5})
    assert await pair.alice.call("message.edit", {**about, "text": "hello"}) == {}
    changed = await notification(at_bob, "message.changed")
    assert (changed["contact"], changed["message_id"]) == ("Alice", sent["message_id"])
    assert (changed["text"], changed["removed"], changed["deleted"]) == ("hello", False, False)
    assert changed["edited_at_ms"] >= changed["sent_at_ms"]
    theirs = {**about, "contact": "alice"}
    assert await pair.by_socket.call("message.react", {**theirs, "emoji": "👍"}) == {}
    changed = await notification(at_bob, "message.changed")  # our own change is told as well
    assert changed["reactions"] == [{"direction": "out", "emoji": "👍"}]
    answer = await pair.by_socket.call("message.reply", {**theirs, "text": "hi"})
    wait = {"contact": "alice", "message_id": answer["message_id"], "timeout": 5}
    await pair.by_socket.call("message.wait", wait)
    (_, reply) = await pair.alice.call("message.list", {"contact": "bob"})
    assert (reply["reply_to"], reply["quote"]) == (sent["message_id"], "hello")
    assert await pair.alice.call("message.delete", about) == {}
    changed = await notification(at_bob, "message.changed")
    assert (changed["text"], changed["deleted"], changed["reactions"]) == ("", True, [])

    timer = {"contact": "bob", "step": "propose", "seconds": 60}
    assert await pair.alice.call("message.timer", timer) == {
        "timer_s": 0,
        "timer_proposed_s": 60,
        "timer_asked_s": None,
    }
    await notification(at_bob, "message.received")
    (contact,) = await pair.by_socket.call("contact.list")
    assert contact["timer_asked_s"] == 60
    accept = {"contact": "alice", "step": "accept"}
    assert (await pair.by_socket.call("message.timer", accept))["timer_s"] == 60
    for bad in (
        {**timer, "seconds": 4},
        {"contact": "bob", "step": "propose"},
        {"contact": "bob", "step": "end", "seconds": 60},
        {"contact": "bob", "step": "never"},
    ):
        assert await code_of(pair.alice, "message.timer", **bad) == -32602
    assert await code_of(pair.alice, "message.edit", **about, text="x") == -32602
    assert await code_of(pair.alice, "message.react", **about, emoji="x" * 65) == -32602


async def test_lists_give_the_newest_oldest_first(pair: Pair) -> None:
    await meet(pair)
    ids = [
        (await pair.alice.call("message.send", {"contact": "bob", "text": f"number {n}"}))[
            "message_id"
        ]
        for n in range(6)
    ]

    async def listed(**params: object) -> list[str]:
        page = await pair.alice.call("message.list", {"contact": "bob", **params})
        return [message["message_id"] for message in page]

    assert await listed() == ids
    assert await listed(limit=2) == ids[-2:]
    assert await listed(limit=2, before=ids[4]) == ids[2:4]
    assert await listed(before=ids[0]) == []
    assert await listed(search="number 3") == ids[3:4]
    assert await listed(search="NUMBER", limit=1, before=ids[3]) == ids[2:3]
    assert await code_of(pair.alice, "message.list", contact="bob", limit=LIST_MAX + 1) == -32602


async def test_an_outbox_can_be_waited_for_cancelled_and_hurried(pair: Pair) -> None:
    await pair.alice.call("contact.add", {"link": await link_of(pair.bob), "name": "bob"})
    await pair.alice.call("contact.address", {"contact": "bob", "addresses": ["127.0.0.1:1"]})
    assert (await pair.alice.call("contact.list"))[0]["addresses"] == ["127.0.0.1:1"]
    sent = await pair.alice.call("message.send", {"contact": "bob", "text": "one"})
    wait = {"contact": "bob", "message_id": sent["message_id"], "timeout": 0.05}
    assert await code_of(pair.alice, "message.wait", **wait) == -32003
    cancel = {"contact": "bob", "message_id": sent["message_id"]}
    assert await pair.alice.call("message.cancel", cancel) == {}
    assert await code_of(pair.alice, "message.cancel", **cancel) == -32602
    assert await pair.alice.call("message.list", {"contact": "bob"}) == []
    assert await pair.alice.call("contact.retry") == {}
    assert await pair.alice.call("contact.retry", {"contact": "bob"}) == {}
    assert await code_of(pair.alice, "contact.address", contact="bob", addresses=["x"]) == -32602


async def test_a_message_that_expires_says_so_and_can_be_sent_again(pair: Pair) -> None:
    await pair.alice.call("contact.add", {"link": await link_of(pair.bob), "name": "bob"})
    await pair.alice.call("contact.address", {"contact": "bob", "addresses": ["127.0.0.1:1"]})
    at_alice = pair.alice.notifications()
    text = {"contact": "bob", "text": "one"}
    for bad in (0, -1, 10**9, 1.5, "1", True):
        assert await code_of(pair.alice, "message.send", **text, expires_in_s=bad) == -32602
    sent = await pair.alice.call("message.send", {**text, "expires_in_s": 1})
    about = {"contact": "bob", "message_id": sent["message_id"]}
    (queued,) = await pair.alice.call("message.list", {"contact": "bob"})
    assert queued["unsent_until_ms"] == queued["sent_at_ms"] + 1000
    told = await notification(at_alice, "message.state")
    reason = "it expired before it could be sent; send it again if it still matters"
    assert told == {**about, "state": "failed", "reason": reason}
    waited = await pair.alice.call("message.wait", {**about, "timeout": 5})
    assert (waited["state"], waited["reason"]) == ("failed", reason)
    again = await pair.alice.call("message.resend", about)
    assert again == {"message_id": again["message_id"], "state": "queued"}
    assert await notification(at_alice, "message.changed") == {**about, "removed": True}
    (listed,) = await pair.alice.call("message.list", {"contact": "bob"})
    assert (listed["message_id"], listed["text"]) == (again["message_id"], "one")
    assert await code_of(pair.alice, "message.resend", **about) == -32602


async def test_blocking_keeping_and_removing(pair: Pair) -> None:
    await meet(pair)
    assert await pair.alice.call("contact.block", {"contact": "bob"}) == {}
    (contact,) = await pair.alice.call("contact.list")
    assert contact["trust"] == "blocked"
    assert await code_of(pair.alice, "message.send", contact="bob", text="x") == -32004
    assert await pair.alice.call("contact.accept", {"contact": "bob"}) == {}
    assert await pair.alice.call("contact.keep", {"contact": "bob"}) == {}
    assert await pair.alice.call("contact.remove", {"contact": "bob"}) == {}
    assert await pair.alice.call("contact.list") == []


@pytest.mark.parametrize(
    "method",
    [
        *("contact.accept", "contact.block", "contact.keep", "contact.remove"),
        *("contact.safety_number", "contact.retry", "message.list", "message.mark_read"),
        "contact.address",
        "contact.verify",
        "message.send",
        "message.cancel",
        "message.resend",
        "message.wait",
        "message.typing",
        *("message.reply", "message.edit", "message.delete", "message.react", "message.timer"),
    ],
)
async def test_an_unknown_contact_has_its_code(
    method: str, profiles: tuple[Profile, Profile]
) -> None:
    more: dict[str, dict[str, object]] = {
        "contact.address": {"addresses": []},
        "contact.verify": {"number": NO_NUMBER},
        "message.send": {"text": "x"},
        "message.cancel": {"message_id": STRANGER},
        "message.resend": {"message_id": STRANGER},
        "message.wait": {"message_id": STRANGER, "timeout": 0},
        "message.reply": {"message_id": STRANGER, "text": "x"},
        "message.edit": {"message_id": STRANGER, "text": "x"},
        "message.delete": {"message_id": STRANGER},
        "message.react": {"message_id": STRANGER, "emoji": "x"},
        "message.timer": {"step": "end"},
        "message.typing": {"writing": True},
    }
    client = await held(profiles[0], network=False)
    assert await code_of(client, method, contact="nobody", **more.get(method, {})) == -32002
    await client.close()


async def test_what_is_malformed_has_its_code(profiles: tuple[Profile, Profile]) -> None:
    client = await held(profiles[0], network=False)
    own = await link_of(client)
    assert await code_of(client, "contact.add", link="p2pchat:nonsense") == -32602
    assert await code_of(client, "contact.add", link=own) == -32602
    assert await code_of(client, "contact.list", extra=1) == -32602
    assert await code_of(client, "node.stop") == -32000
    assert await code_of(client, "unheard.of") == -32601
    await client.close()


async def test_the_socket_is_there_while_the_node_is(profiles: tuple[Profile, Profile]) -> None:
    socket = profiles[0].path / "socket"
    client = await held(profiles[0])
    assert stat.S_IMODE(socket.stat().st_mode) == 0o600
    other = await open_client(profiles[0].path, unlock=None)
    assert isinstance(other, SocketClient)
    await client.close()
    assert not socket.exists()
    with pytest.raises(RpcError, match="ended"):
        await other.call("node.status")
    await other.close()
    with pytest.raises(LockedError, match="just ended"):
        await open_client(profiles[0].path, unlock=None)


async def test_a_short_command_is_waited_for(profiles: tuple[Profile, Profile]) -> None:
    unlock = PassphraseUnlock(profiles[0].secret)
    short = await held(profiles[0], network=False)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(open_client(profiles[0].path, unlock=unlock))
        await asyncio.sleep(opening._PAUSE_S)
        assert not waiting.done()
        await short.close()
        client = await waiting
    await client.close()


async def test_whatever_fails_on_the_way_leaves_nothing_open(
    profiles: tuple[Profile, Profile], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "PATIENCE_S", 0.0)
    path, unlock = profiles[0].path, PassphraseUnlock(profiles[0].secret)
    (path / "socket").mkdir()
    with pytest.raises(Exception, match="no socket"):
        await open_client(path, unlock=unlock, network=True, listen=[])
    (path / "socket").rmdir()
    with pytest.raises(Exception, match="listen"):
        await open_client(path, unlock=unlock, network=True, listen=["192.0.2.1:1"])
    first = await open_client(path, unlock=unlock)
    with pytest.raises(ProfileInUseError):
        await open_client(path, unlock=unlock)
    await first.close()
