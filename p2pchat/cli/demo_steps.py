"""What the demo shows, step by step; each asserts its claim (see ``demo``).

A step raises when something did not hold and otherwise returns, in words for a visitor, what was
seen. The words are true of this run: whether the keys were hybrid is asked, not assumed.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from p2pchat.cli.demo_peer import PeerProcess, contact_of, until_contact
from p2pchat.crypto.secret import Secret, system_rng
from p2pchat.errors import P2PChatError
from p2pchat.identity.certificate import parse_and_verify
from p2pchat.identity.keys import peer_id
from p2pchat.identity.safety_number import compare
from p2pchat.rpc.protocol import RpcCode, RpcError
from p2pchat.store.open import PassphraseUnlock, create_profile

ALICE: Final = "Alice Liddell"
BOB: Final = "Bob Dodgson"
_MEMORY_KIB: Final = 8 * 1024
"""Passphrase hardening of the throw-away profiles: quick, and enough for minutes of life."""
_SHOWN_CHARS: Final = 10
_TO_BOB: Final = ("Hello Bob, does this reach you?", "Only you can read it.")
_TO_ALICE: Final = ("It does, Alice!", "And nobody in between.")
_WHILE_AWAY: Final = tuple(f"Message {n} of 5 while you were away." for n in range(1, 6))
_BACK_AGAIN: Final = ("I was away for a moment. All five arrived.",)


class DidNotHoldError(P2PChatError):
    """A claim of the demo is not true."""


@dataclass(slots=True)
class Person:
    """Alice or Bob.

    Attributes:
        name: As the other sees it.
        profile: The folder.
        secrets_on_disk: Bytes that must be found nowhere in the folder.
        node: The running process.
        link: To hand to the other.
    """

    name: str
    profile: Path
    passphrase: Secret
    peer_id: str = ""
    secrets_on_disk: list[bytes] = field(default_factory=list)
    node: PeerProcess | None = None
    link: str = ""

    @property
    def running(self) -> PeerProcess:
        """The process; it is an error if none runs."""
        if self.node is None:
            raise DidNotHoldError(f"{self.name}'s program does not run")
        return self.node


class Stage:
    """Everything that the steps share."""

    def __init__(self, folder: Path) -> None:
        self.alice = Person(ALICE, folder / "1", Secret(secrets.token_hex(16).encode()))
        self.bob = Person(BOB, folder / "2", Secret(secrets.token_hex(16).encode()))
        self.post_quantum = False

    async def clear(self) -> None:
        """End whatever still runs."""
        for person in (self.alice, self.bob):
            if person.node is not None:
                await person.node.kill()
                person.node = None


@dataclass(frozen=True, slots=True)
class Step:
    """One claim.

    Attributes:
        name: For ``--json``.
        title: For people.
        act: Makes it true, asserts it, and returns what was seen.
    """

    name: str
    title: str
    act: Callable[[Stage], Awaitable[str]]


async def _identities(stage: Stage) -> str:
    for person in (stage.alice, stage.bob):
        now_ms = time.time_ns() // 1_000_000
        opened = await asyncio.to_thread(
            create_profile,
            person.profile,
            name=person.name,
            unlock=PassphraseUnlock(person.passphrase),
            rng=system_rng,
            now_ms=now_ms,
            memory_kib=_MEMORY_KIB,
        )
        own = opened.identity
        certificate = parse_and_verify(own.certificate, now_ms=now_ms)
        person.peer_id = peer_id(certificate.identity)
        person.secrets_on_disk = [
            own.signing_seed.reveal(),
            own.static_private.reveal(),
            person.passphrase.reveal(),
        ]
        opened.close()
        _hold((person.profile.stat().st_mode & 0o777) == 0o700, "a profile is open to others")
    _hold(stage.alice.peer_id != stage.bob.peer_id, "both have the same identity")
    return (
        f"Alice is {stage.alice.peer_id[:_SHOWN_CHARS]}…, Bob {stage.bob.peer_id[:_SHOWN_CHARS]}…; "
        "their secret keys lie in encrypted profiles (with a quicker passphrase hardening than "
        "yours will have)."
    )


async def _start(stage: Stage) -> str:
    people = (stage.alice, stage.bob)
    addresses = await asyncio.gather(*(_start_node(person) for person in people))
    return f"Alice listens on {addresses[0]}, Bob on {addresses[1]}; no server anywhere."


async def _add(stage: Stage) -> str:
    for person, other in ((stage.alice, stage.bob), (stage.bob, stage.alice)):
        added = await person.running.call("contact.add", {"link": other.link})
        _hold(added["contact"] == other.name, f"{person.name} got another contact than expected")
    return (
        f"each by the other's contact link, {len(stage.bob.link)} characters that hold name, "
        "public key and address."
    )


async def _handshake(stage: Stage) -> str:
    seen = []
    for person, other in ((stage.alice, stage.bob), (stage.bob, stage.alice)):
        contact = await until_contact(person.running, other.name, online=True)
        _hold(contact["peer_id"] == other.peer_id, "the contact has another identity")
        _hold(contact["trust"] == "unverified", "a contact is trusted before anybody compared")
        seen.append(bool(contact["pq"]))
    _hold(seen[0] == seen[1], "the two sides disagree about the kind of handshake")
    stage.post_quantum = seen[0]
    keys = (
        "hybrid keys (X25519 and ML-KEM-768): what is recorded today stays secret even if a "
        "quantum computer breaks one of the two."
        if stage.post_quantum
        else "classical keys (X25519): strong today, but not made for quantum computers."
    )
    return f"a Noise handshake in which both proved their identity, with {keys}"


async def _safety_number(stage: Stage) -> str:
    numbers = []
    for person, other in ((stage.alice, stage.bob), (stage.bob, stage.alice)):
        answer = await person.running.call("contact.safety_number", {"contact": other.name})
        numbers.append(answer["number"])
    compare(numbers[0], numbers[1])
    first = numbers[0]
    wrong = ("1" if first[0] == "0" else "0") + first[1:]
    try:
        await stage.alice.running.call("contact.verify", {"contact": BOB, "number": wrong})
    except RpcError as error:
        _hold(error.code == RpcCode.TRUST, "a wrong number was refused for another reason")
    else:
        raise DidNotHoldError("a wrong safety number was accepted")
    for person, other, number in (
        (stage.alice, stage.bob, numbers[1]),
        (stage.bob, stage.alice, numbers[0]),
    ):
        await person.running.call("contact.verify", {"contact": other.name, "number": number})
        contact = await contact_of(person.running, other.name)
        _hold(contact["trust"] == "verified", "the contact is not marked as verified")
    return (
        f"each computed the same 60 digits, {first[:11]} …, from both identities, so both are now "
        "marked as verified. A number with one wrong digit was refused."
    )


async def _chat(stage: Stage) -> str:
    await asyncio.gather(
        _tell(stage.alice, stage.bob, _TO_BOB), _tell(stage.bob, stage.alice, _TO_ALICE)
    )
    await _expect_history(stage.bob, stage.alice, incoming=_TO_BOB, outgoing=_TO_ALICE)
    await _expect_history(stage.alice, stage.bob, incoming=_TO_ALICE, outgoing=_TO_BOB)
    return (
        f"“{_TO_BOB[0]}” – “{_TO_ALICE[0]}” Two messages each way, each arrived once and in order, "
        "and its sender knows it."
    )


async def _kill(stage: Stage) -> str:
    code = await stage.bob.running.kill()
    stage.bob.node = None
    _hold(code == -signal.SIGKILL, f"Bob's program ended with {code} instead")
    await until_contact(stage.alice.running, BOB, online=False)
    return "his program was killed without warning (SIGKILL), and Alice sees that he is gone."


async def _queue(stage: Stage) -> str:
    sent = [
        await stage.alice.running.call("message.send", {"contact": BOB, "text": text})
        for text in _WHILE_AWAY
    ]
    history = await stage.alice.running.call("message.list", {"contact": BOB, "limit": len(sent)})
    _hold(
        [(message["message_id"], message["state"]) for message in history]
        == [(message["message_id"], "queued") for message in sent],
        "the messages are not all queued",
    )
    return f"{len(sent)} messages to Bob, stored in her profile and shown to her as queued."


async def _return(stage: Stage) -> str:
    events = stage.alice.running.notifications()
    await _start_node(stage.bob)
    queued = await stage.alice.running.call(
        "message.list", {"contact": BOB, "limit": len(_WHILE_AWAY)}
    )
    await asyncio.gather(*(_delivered(stage.alice, BOB, message) for message in queued))
    await _tell(stage.bob, stage.alice, _BACK_AGAIN)
    to_bob, to_alice = (*_TO_BOB, *_WHILE_AWAY), (*_TO_ALICE, *_BACK_AGAIN)
    await _expect_history(stage.bob, stage.alice, incoming=to_bob, outgoing=to_alice)
    await _expect_history(stage.alice, stage.bob, incoming=to_alice, outgoing=to_bob)
    contact = await contact_of(stage.alice.running, BOB)
    events.close()
    seen = [method async for method, _ in events]
    _hold("contact.state" in seen, "Alice was not told that Bob is back")
    _hold("session.restarted" not in seen, "the encrypted session had to be made anew")
    _hold(contact["trust"] == "verified", "Bob is no longer verified after his return")
    return (
        f"his program starts again, finds Alice by itself and gets all {len(_WHILE_AWAY)} "
        "messages, each once and in order, in the encrypted session of before. He is still "
        "verified."
    )


async def _at_rest(stage: Stage) -> str:
    words = (*_TO_BOB, *_TO_ALICE, *_WHILE_AWAY, *_BACK_AGAIN, ALICE, BOB)
    readable = [word.encode() for word in words]
    readable += [stage.alice.peer_id.encode(), stage.bob.peer_id.encode()]
    files = total = 0
    for person in (stage.alice, stage.bob):
        for file in person.profile.iterdir():
            if not file.is_file():
                continue  # the socket
            _hold((file.stat().st_mode & 0o077) == 0, f"others may read {file.name}")
            content = await asyncio.to_thread(file.read_bytes)
            files, total = files + 1, total + len(content)
            for needle in (*readable, *person.secrets_on_disk):
                _hold(needle not in content, f"something readable lies in the file {file.name}")
    _hold(total > 0, "there is nothing on the disk")
    return (
        f"{files} files of both profiles, {total // 1024} KiB, hold no message, name, peer id, "
        "secret key or passphrase that could be read."
    )


async def _end(stage: Stage) -> str:
    for person in (stage.alice, stage.bob):
        code = await person.running.end()
        person.node = None
        _hold(code == 0, f"{person.name}'s program ended with {code}")
    return "both programs end as they should."


STEPS: Final = (
    Step("identities", "Two identities", _identities),
    Step("start", "Two programs start", _start),
    Step("contacts", "They add each other", _add),
    Step("handshake", "They connect", _handshake),
    Step("safety_number", "They compare safety numbers", _safety_number),
    Step("chat", "They chat", _chat),
    Step("kill", "Bob disappears", _kill),
    Step("queue", "Alice goes on writing", _queue),
    Step("return", "Bob comes back", _return),
    Step("at_rest", "Nothing readable on the disk", _at_rest),
    Step("end", "They leave", _end),
)


def summary(stage: Stage) -> str:
    """Return what was shown and what was not."""
    quantum = (
        ""
        if stage.post_quantum
        else "- protection from future quantum computers: this version's keys are classical;\n"
    )
    return (
        "Shown: two people connect without any server and make sure who the other is;\n"
        "what they write arrives exactly once, even across a crash, and cannot be read\n"
        "on their disks.\n"
        "Not shown here:\n"
        "- two computers: both programs ran on this one, over its own loopback network;\n"
        f"{quantum}"
        "- an attacker on the line: the test suite plays that part.\n"
        "Your turn: p2pchat"
    )


async def _start_node(person: Person) -> str:
    person.node = await PeerProcess.start(person.profile, person.passphrase)
    status = await person.node.call("node.status")
    _hold(status["peer_id"] == person.peer_id, f"{person.name} came up with another identity")
    _hold(len(status["listen"]) == 1, f"{person.name} does not listen")
    person.link = (await person.node.call("identity.show"))["link"]
    address: str = status["listen"][0]
    return address


async def _tell(sender: Person, receiver: Person, texts: tuple[str, ...]) -> None:
    """Send messages and wait until each is known to be stored at the other end."""
    for text in texts:
        params = {"contact": receiver.name, "text": text}
        await _delivered(sender, receiver.name, await sender.running.call("message.send", params))


async def _delivered(sender: Person, contact: str, message: dict[str, Any]) -> None:
    params = {"contact": contact, "message_id": message["message_id"], "timeout": 10}
    state = (await sender.running.call("message.wait", params))["state"]
    _hold(state == "delivered", f"a message is {state} instead of delivered")


async def _expect_history(
    person: Person, other: Person, *, incoming: tuple[str, ...], outgoing: tuple[str, ...]
) -> None:
    history = await person.running.call("message.list", {"contact": other.name, "limit": 200})
    for direction, texts in (("in", incoming), ("out", outgoing)):
        found = tuple(message["text"] for message in history if message["direction"] == direction)
        _hold(
            found == texts,
            f"{person.name} has {len(found)} messages ({direction}) instead of {len(texts)}, or "
            "in another order",
        )


def _hold(condition: bool, otherwise: str) -> None:
    if not condition:
        raise DidNotHoldError(otherwise)
