"""A scripted contact list and history behind the ``Client`` protocol, for tests of the screen.

It answers from plain values, as a node would; what a node decides (delivery, trust) a test sets.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import Any

from p2pchat.crypto.secret import Secret
from p2pchat.errors import LockedError
from p2pchat.rpc.client import Client
from p2pchat.rpc.protocol import RpcCode, RpcError
from p2pchat.tui.host import Needed

NOON = 1_795_435_200_000
"""2026-11-23 12:00:00 UTC."""
NUMBER = " ".join(f"{each:05d}" for each in range(11111, 11123))
LINK = "p2pchat:AQ" + "x7Qm-_" * 15
SENT = 1_000_000
"""Begins the keys of messages that are sent, so that they are new."""
PEER = "abcdefghijklmnopqrstuvwxyz234567abcdefghijklmnopqrstuvwx"


def contact(handle: str, trust: str = "unverified", **more: Any) -> dict[str, Any]:
    """Return an entry of ``contact.list``."""
    entry: dict[str, Any] = {
        "contact": handle,
        "name": handle,
        "peer_id": PEER,
        "trust": trust,
        "online": False,
        "pq": False,
        "unread": 0,
        "note": "",
        "addresses": [],
        "offline_reason": "no answer at 192.0.2.7:4000",
        "offered_peer_id": None,
        "verified_at_ms": None,
        "verified_by": None,
    }
    return entry | more


def message(key: int, text: str, *, out: bool = False, **more: Any) -> dict[str, Any]:
    """Return an entry of ``message.list``; one a minute from noon on."""
    entry: dict[str, Any] = {
        "message_id": f"{key:032x}",
        "direction": "out" if out else "in",
        "text": text,
        "sent_at_ms": NOON + key % SENT * 60_000,
        "state": "delivered",
        "reason": "",
        "kind": "text",
    }
    return entry | more


class Stream:
    """Notifications that a test puts in."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[tuple[str, dict[str, Any]] | None] = asyncio.Queue()

    def put(self, method: str, **params: Any) -> None:
        self._queue.put_nowait((method, params))

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> tuple[str, dict[str, Any]]:
        item = await self._queue.get()
        if item is None:
            self._queue.put_nowait(None)  # every further iteration ends as well
            raise StopAsyncIteration
        return item

    def end(self) -> None:
        """The node is gone, or has cut the listener off."""
        self._queue.put_nowait(None)

    def close(self) -> None:
        """The app leaves its stream; the test still holds it."""


class DataSet:
    """A client of a profile whose content is written down."""

    def __init__(
        self,
        contacts: list[dict[str, Any]] | None = None,
        messages: dict[str, list[dict[str, Any]]] | None = None,
    ) -> None:
        self.contacts = contacts or []
        self.messages = messages or {}
        self.identity: dict[str, Any] = {"name": "Alice", "peer_id": PEER, "link": LINK}
        self.listen = ["127.0.0.1:41234"]
        self.warnings: list[dict[str, Any]] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.refuse: dict[str, RpcError] = {}
        self.stream = Stream()
        self.closed = False
        self.locked = False
        self.passphrase = base64.b64encode(b"open").decode()

    def asked(self, method: str) -> list[dict[str, Any]]:
        """Return the parameters of each call of a method."""
        return [params for name, params in self.calls if name == method]

    async def call(self, method: str, params: dict[str, Any] | None = None) -> Any:
        params = params or {}
        self.calls.append((method, params))
        if method in self.refuse:
            raise self.refuse[method]
        if method in ("node.lock", "node.unlock"):
            return self._lock(method, params)
        if self.locked:
            raise RpcError(RpcCode.LOCKED, "the profile is locked")
        answers: dict[str, Callable[[dict[str, Any]], Any]] = {
            "identity.show": lambda _: self.identity,
            "node.status": lambda _: {
                "version": "1",
                "peer_id": PEER,
                "listen": self.listen,
                "contacts_online": 0,
            },
            "audit.warnings": lambda _: self.warnings,
            "contact.list": lambda _: self.contacts,
            "contact.add": self._add,
            "contact.accept": lambda p: self._trust(p, "unverified"),
            "contact.keep": lambda p: self._trust(p, "unverified"),
            "contact.block": lambda p: self._trust(p, "blocked"),
            "contact.remove": self._remove,
            "contact.decline": self._remove,
            "contact.retry": lambda _: {},
            "contact.safety_number": lambda _: {"number": NUMBER},
            "contact.verify": self._verify,
            "contact.compare": lambda _: {"state": "asked", "contact": "Bob"},
            "contact.compare_cancel": lambda _: {},
            "contact.compare_again": lambda _: {},
            "record.step": lambda _: {"record": "on"},
            "record.sign": lambda p: self._send(p, kind="statement"),
            "message.send": self._send,
            "message.resend": self._resend,
            "message.reply": self._send,
            "message.edit": lambda _: {},
            "message.delete": lambda _: {},
            "message.react": lambda _: {},
            "message.timer": lambda _: {},
            "message.typing": lambda _: {"told": False},
            "message.list": self._list,
            "message.search": self._search,
            "message.mark_read": self._mark_read,
        }
        return answers[method](params)

    def notifications(self) -> Stream:
        return self.stream

    async def close(self) -> None:
        self.closed = True

    def _lock(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        if method == "node.unlock" and params.get("passphrase") != self.passphrase:
            raise RpcError(RpcCode.LOCKED, "the passphrase is wrong")
        self.locked = method == "node.lock"
        self.stream.put("node.locked" if self.locked else "node.unlocked")
        return {} if self.locked else {"failures": 0}

    def _find(self, params: dict[str, Any]) -> dict[str, Any]:
        return next(each for each in self.contacts if each["contact"] == params["contact"])

    def _add(self, params: dict[str, Any]) -> dict[str, Any]:
        self.contacts.append(contact(params.get("name", "Zoe")))
        return {"contact": self.contacts[-1]["contact"]}

    def _trust(self, params: dict[str, Any], trust: str) -> dict[str, Any]:
        self._find(params)["trust"] = trust
        return {}

    def _remove(self, params: dict[str, Any]) -> dict[str, Any]:
        self.contacts.remove(self._find(params))
        return {}

    def _verify(self, params: dict[str, Any]) -> dict[str, Any]:
        if "".join(params["number"].split()) != "".join(NUMBER.split()):
            raise RpcError(RpcCode.TRUST, "the safety numbers differ")
        self._find(params)["trust"] = "verified"
        return {"trust": "verified"}

    def _send(self, params: dict[str, Any], **more: Any) -> dict[str, Any]:
        sent = self.messages.setdefault(params["contact"], [])
        sent.append(message(SENT + len(sent), params["text"], out=True, state="queued", **more))
        return {"message_id": sent[-1]["message_id"], "state": "queued"}

    def _resend(self, params: dict[str, Any]) -> dict[str, Any]:
        sent = self.messages[params["contact"]]
        failed = next(each for each in sent if each["message_id"] == params["message_id"])
        sent.remove(failed)
        return self._send({**params, "text": failed["text"]})

    def _list(self, params: dict[str, Any]) -> list[dict[str, Any]]:
        found = self.messages.get(params["contact"], [])
        if params.get("search"):
            found = [each for each in found if params["search"] in each["text"]]
        keys = [each["message_id"] for each in found]
        if params.get("after"):
            return found[keys.index(params["after"]) + 1 :][: params["limit"]]
        if params.get("before"):
            found = found[: keys.index(params["before"])]
        return found[-params["limit"] :]

    def _search(self, params: dict[str, Any]) -> list[dict[str, Any]]:
        found = [
            {"contact": handle, **each}
            for handle, listed in self.messages.items()
            for each in listed
            if params["words"] in each["text"]
        ]
        return sorted(found, key=lambda each: str(each["message_id"]))[-params["limit"] :]

    def _mark_read(self, params: dict[str, Any]) -> dict[str, Any]:
        self._find(params)["unread"] = 0
        return {}


class ScriptedHost:
    """A host whose profile is a data set; a passphrase is right or wrong as the test says."""

    def __init__(
        self, client: DataSet, needed: Needed = Needed.NOTHING, passphrase: bytes = b"open"
    ) -> None:
        self.client = client
        self.created: list[str] = []
        self._needed = needed
        self._passphrase = passphrase

    async def needed(self) -> Needed:
        return self._needed

    async def create(self, name: str, passphrase: Secret | None) -> None:
        self.created.append(name)
        self._passphrase = passphrase.reveal() if passphrase else b""

    async def open(self, passphrase: Secret | None) -> Client:
        asked = self._needed is not Needed.NOTHING
        if asked and (passphrase is None or passphrase.reveal() != self._passphrase):
            raise LockedError("the passphrase is wrong")
        return self.client
