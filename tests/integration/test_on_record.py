"""Two nodes on the record: both agree first; what is signed proves itself (protocol.md §9.4)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from p2pchat.constants import STATEMENT_KEY_LIFETIME_MS
from p2pchat.crypto import ed25519
from p2pchat.crypto.secret import Secret
from p2pchat.errors import TrustError, UsageError
from p2pchat.identity import statement
from p2pchat.identity.keys import parse_peer_id
from p2pchat.identity.on_record import OnRecord, RecordStep
from p2pchat.identity.statement_file import from_file
from p2pchat.node.views import MessageView
from p2pchat.store.ports import Transaction
from p2pchat.store.records import MessageKind
from tests.support.net_clock import ManualClock
from tests.support.node_world import (
    Person,
    World,
    delivered,
    introduce,
    memory_world,
    online,
    until,
    view_of,
)


async def agreed(world: World) -> tuple[Person, Person]:
    alice, bob = await world.two()
    await alice.node.record("bob", RecordStep.PROPOSE)
    await until(lambda: view_of(bob, "alice").on_record is OnRecord.ASKED)
    await bob.node.record("alice", RecordStep.ACCEPT)
    await until(lambda: view_of(alice, "bob").on_record is OnRecord.ON)
    return alice, bob


async def last(person: Person, contact: str) -> MessageView:
    return (await person.history(contact))[-1]


async def test_both_agree_and_a_statement_proves_who_said_it(world: World) -> None:
    """R-9.4.4 to R-9.4.6"""
    alice, bob = await agreed(world)
    said = await alice.node.sign("bob", "I owe Bob a boat.")
    await delivered(alice, "bob")
    got = await last(bob, "alice")
    assert (got.text, got.kind) == ("I owe Bob a boat.", MessageKind.STATEMENT)
    assert [view.kind.value for view in await bob.history("alice")] == [
        *("record.propose", "record.accept", "statement"),
    ]
    files = {await person.node.export_statement(contact, said.message_id) for person, contact in (
        (alice, "bob"), (bob, "alice"))}  # fmt: skip
    assert len(files) == 1
    checked = from_file(files.pop().encode())
    assert checked.signer == parse_peer_id(alice.node.status().peer_id)
    assert checked.recipient == parse_peer_id(bob.node.status().peer_id)
    assert (checked.text, checked.at_ms) == ("I owe Bob a boat.", said.sent_at_ms)
    plain = await alice.node.send("bob", "deniable")
    with pytest.raises(UsageError, match="not signed proves nothing"):
        await alice.node.export_statement("bob", plain.message_id)


async def test_nothing_is_signed_before_both_have_agreed(world: World) -> None:
    """R-9.4.5"""
    alice, bob = await world.two()
    with pytest.raises(TrustError, match="only on the record"):
        await alice.node.sign("bob", "too early")
    await alice.node.record("bob", RecordStep.PROPOSE)
    with pytest.raises(TrustError, match="only on the record"):
        await alice.node.sign("bob", "still too early")
    with pytest.raises(UsageError, match="proposed already"):
        await alice.node.record("bob", RecordStep.PROPOSE)
    await until(lambda: view_of(bob, "alice").on_record is OnRecord.ASKED)
    with pytest.raises(TrustError, match="only on the record"):
        await bob.node.sign("alice", "not accepted")
    await bob.node.record("alice", RecordStep.DECLINE)
    await until(lambda: view_of(alice, "bob").on_record is OnRecord.OFF)
    assert await statement_key(alice) is None


async def test_either_ends_it_and_a_late_statement_is_none(world: World) -> None:
    """R-9.4.5: what crosses the end on its way is shown as a text that says so."""
    alice, bob = await agreed(world)
    await alice.stop()
    await bob.node.record("alice", RecordStep.END)
    await bob.stop()
    await alice.start(dial=False)
    await alice.node.sign("bob", "late")  # Alice does not know yet
    await alice.stop()
    await bob.start()
    await alice.start()
    await until(lambda: view_of(alice, "bob").on_record is OnRecord.OFF)
    await delivered(alice, "bob")
    got = await last(bob, "alice")
    assert got.kind is MessageKind.TEXT
    assert got.text == "[signed, but you have not both agreed to be on the record] late"
    with pytest.raises(UsageError, match="no such statement"):
        await bob.node.export_statement("alice", got.message_id)


async def test_agreement_survives_a_restart_and_not_another_key(world: World) -> None:
    _, bob = await agreed(world)
    await bob.stop()
    await bob.start()
    await online(bob, "alice")
    assert view_of(bob, "alice").on_record is OnRecord.ON
    peer = bob.node._book.find("alice")
    await peer.update(
        lambda record: replace(record, pin=replace(record.pin, identity=bytes(range(32))))
    )
    assert peer.on_record is OnRecord.OFF
    await bob.stop()
    await bob.start()
    assert view_of(bob, "alice").on_record is OnRecord.OFF


async def test_both_propose_at_once(world: World) -> None:
    alice, bob = await world.two()
    await bob.stop()
    await alice.node.record("bob", RecordStep.PROPOSE)
    await alice.stop()
    await bob.start(dial=False)
    await bob.node.record("alice", RecordStep.PROPOSE)
    await bob.stop()
    await alice.start()
    await bob.start()
    await until(lambda: view_of(alice, "bob").on_record is OnRecord.ON)
    await until(lambda: view_of(bob, "alice").on_record is OnRecord.ON)


@pytest.mark.parametrize("forged", ["for another", "of another", "damaged"])
async def test_a_statement_that_does_not_hold_is_shown_as_such(
    world: World, forged: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R-9.4.4: Alice's program is not ours."""
    alice, bob = await agreed(world)
    real = statement.sign

    def sign(*args: object, **kwargs: object) -> bytes:
        signed = real(*args, **kwargs)  # type: ignore[arg-type]  # passed on
        match forged:
            case "for another":
                return real(*args, **{**kwargs, "recipient": bytes(32)})  # type: ignore[arg-type]  # passed on
            case "of another":
                key = Secret(alice.world.rng(32))
                at_ms = int(str(kwargs["at_ms"]))
                certificate = statement.certify(key, ed25519.public_key(key), now_ms=at_ms)
                return real(key, certificate, **kwargs)  # type: ignore[arg-type]  # passed on
            case _:
                return signed[:-1] + bytes([signed[-1] ^ 1])

    monkeypatch.setattr(statement, "sign", sign)
    await alice.node.sign("bob", "believe me")
    await delivered(alice, "bob")
    got = await last(bob, "alice")
    assert got.kind is MessageKind.TEXT
    assert got.text.startswith("[a statement that does not hold: ")
    assert "believe me" not in got.text


async def statement_key(person: Person) -> bytes | None:
    def read(tx: Transaction) -> bytes | None:
        key = tx.statement_key()
        return None if key is None else statement.read_certificate(key[1]).public

    return await person.node._env.store.read(read)


async def test_a_statement_key_is_kept_for_its_term_and_then_replaced(tmp_path: Path) -> None:
    """R-9.4.3"""
    clock = ManualClock()
    world = memory_world(tmp_path, clock=clock)
    alice, bob = world.person("alice"), world.person("bob")
    await alice.start()
    await bob.start()
    await introduce(alice, bob)
    peer = alice.node._book.find("bob")
    await alice.node.record("bob", RecordStep.PROPOSE)
    await until(lambda: view_of(bob, "alice").on_record is OnRecord.ASKED, clock=clock)
    await bob.node.record("alice", RecordStep.ACCEPT)
    await until(lambda: peer.on_record is OnRecord.ON, clock=clock)
    await bob.stop()
    first = await alice.node.sign("bob", "one")
    key = await statement_key(alice)
    await alice.node.sign("bob", "two")
    assert await statement_key(alice) == key
    clock._wall_ms += STATEMENT_KEY_LIFETIME_MS + 1
    await alice.node.sign("bob", "three")
    assert await statement_key(alice) != key
    from_file((await alice.node.export_statement("bob", first.message_id)).encode())
    await world.close()


async def test_a_word_about_the_record_is_not_cancelled(world: World) -> None:
    alice, bob = await world.two()
    await bob.stop()
    await alice.node.record("bob", RecordStep.PROPOSE)
    proposed = await last(alice, "bob")
    with pytest.raises(UsageError, match="not taken back"):
        await alice.node.cancel("bob", proposed.message_id)
