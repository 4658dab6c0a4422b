"""What happens between people stands in the audit log, and a flood does not drown it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from p2pchat.errors import ErrorCode, StoreError, TrustError
from p2pchat.identity.keys import key_id, parse_peer_id
from p2pchat.identity.safety_number import safety_number
from p2pchat.identity.trust import Trust
from p2pchat.node.events import AuditWarned
from p2pchat.rpc.notifications import to_notification
from p2pchat.rpc.protocol import RpcCode, RpcError
from p2pchat.rpc.service import Service
from p2pchat.store.audit_file import parse_export
from p2pchat.store.audit_types import AuditKind, AuditRecord
from p2pchat.store.audit_verify import verify
from tests.support.net_clock import ManualClock
from tests.support.node_faulty_store import FaultyStore
from tests.support.node_world import (
    DEADLINE_S,
    Person,
    World,
    delivered,
    memory_world,
    online,
    until,
    view_of,
)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = memory_world(tmp_path, clock=ManualClock())
    yield world
    await world.close()


async def log_of(person: Person) -> list[AuditRecord]:
    """All records, after the log as a whole was found true."""
    report = await person.node.audit.verify()
    assert report.finding == ""
    assert report.log is not None
    return await person.node.audit.records(1000)


async def kinds_of(person: Person) -> list[str]:
    return [record.kind for record in await log_of(person) if record.kind != "checkpoint"]


async def only(person: Person, kind: AuditKind) -> AuditRecord:
    (record,) = await person.node.audit.records(10, kind)
    return record


def clock_of(world: World) -> ManualClock:
    assert isinstance(world.clock, ManualClock)
    return world.clock


def warnings_of(person: Person) -> list[str]:
    return [event.pattern for event in person.events if isinstance(event, AuditWarned)]


async def test_making_and_using_an_identity_is_recorded(world: World) -> None:
    alice = world.person("alice")
    await alice.start()
    await alice.stop()
    await alice.start()
    assert await kinds_of(alice) == [
        "identity_made", "key_made", "identity_loaded", "identity_loaded",
    ]  # fmt: skip
    own = alice.node.identity().peer_id
    made = await only(alice, AuditKind.IDENTITY_MADE)
    assert (made.principal, made.key_id) == (own, key_id(parse_peer_id(own)).hex())
    key = await only(alice, AuditKind.KEY_MADE)
    assert key.context == {"purpose": "static key", "generation": 0}
    assert key.key_id == key_id(alice.node._env.credentials._static.public).hex()


async def test_each_decision_about_a_contact_is_recorded(world: World) -> None:
    alice, bob = await world.two()
    bobs = bob.node.identity().peer_id
    before = len(await kinds_of(alice))
    with pytest.raises(TrustError):
        await alice.node.verify("bob", safety_number(b"1" * 32, b"2" * 32))
    await alice.node.verify("bob", await alice.node.safety_number("bob"))
    await alice.node.block("bob")
    await alice.node.accept("bob")
    await alice.node.set_addresses("bob", ["bob:4000"])  # no matter of trust
    await alice.node.remove("bob")
    records = (await log_of(alice))[-5:]
    assert [record.kind for record in records] == [
        "verification_failed", "contact_verified", "contact_blocked", "contact_accepted",
        "contact_removed",
    ]  # fmt: skip
    assert {record.principal for record in records} == {bobs}
    assert {record.key_id for record in records} == {key_id(parse_peer_id(bobs)).hex()}
    assert records[2].context == {"trust": "verified"}
    assert (await kinds_of(alice))[:before].count("contact_pinned") == 1


async def test_a_stranger_who_is_accepted(world: World) -> None:
    alice, bob = world.person("alice"), world.person("bob")
    await alice.start()
    await bob.start()
    await alice.node.add_contact(bob.node.identity().link)
    clock = clock_of(world)
    await until(lambda: any(True for _ in bob.node._book), clock=clock)
    await bob.node.accept("alice")
    await online(alice, "bob")
    assert (await kinds_of(bob))[-2:] == ["contact_requested", "contact_accepted"]
    requested = await only(bob, AuditKind.CONTACT_REQUESTED)
    assert requested.principal == alice.node.identity().peer_id


async def test_another_key_in_a_contacts_place(world: World) -> None:
    alice, bob = await world.two()
    carol = world.person("carol")
    await carol.start()
    bobs, carols = bob.node.identity().peer_id, carol.node.identity().peer_id
    await bob.stop()
    clock = clock_of(world)
    await until(lambda: not view_of(alice, "bob").online, clock=clock)
    await alice.node.set_addresses("bob", [carol.listen])
    await until(lambda: view_of(alice, "bob").trust is Trust.CHANGED, clock=clock)
    changed = await only(alice, AuditKind.KEY_CHANGED)
    assert (changed.principal, changed.context["other"]) == (bobs, carols)
    assert changed.context["trust"] == "unverified"
    await alice.node.keep("bob")
    kept = await only(alice, AuditKind.CONTACT_KEPT)
    assert (kept.principal, kept.context["other"]) == (bobs, carols)
    (refused, *_) = [
        record
        for record in await alice.node.audit.records(10, AuditKind.HANDSHAKE_REFUSED)
        if record.context["reason"] == "wrong_identity"
    ]
    assert refused.principal == bobs
    assert refused.context["direction"] == "outbound"


async def test_a_new_key_that_is_accepted_names_the_old_one(world: World) -> None:
    alice, bob = await world.two()
    carol = world.person("carol")
    await carol.start()
    bobs, carols = bob.node.identity().peer_id, carol.node.identity().peer_id
    await bob.stop()
    await alice.node.set_addresses("bob", [carol.listen])
    clock = clock_of(world)
    await until(lambda: view_of(alice, "bob").trust is Trust.CHANGED, clock=clock)
    await alice.node.accept("bob")
    pinned = (await alice.node.audit.records(10, AuditKind.CONTACT_PINNED))[-1]
    assert (pinned.principal, pinned.context) == (carols, {"other": bobs})


async def test_refused_certificates_and_downgrades_have_kinds_of_their_own(world: World) -> None:
    alice, bob = await world.two()
    peer = bob.node._book.find("alice")
    await alice.stop()
    clock = clock_of(world)
    await until(lambda: not view_of(bob, "alice").online, clock=clock)
    await peer.update(lambda record: replace(record, certificate_generation=5))
    await alice.start()
    journal = bob.node._journal
    await until(lambda: bool(journal._gathering) and not journal._writing, clock=clock)
    await alice.stop()
    # Either may have dialled the other first.
    record = (await bob.node.audit.records(10, AuditKind.CERTIFICATE_REFUSED))[0]
    assert record.principal == view_of(bob, "alice").peer_id
    inbound = record.context["direction"] == "inbound"
    assert record.context == {
        "by": "us", "count": 1, "direction": "inbound" if inbound else "outbound",
        "reason": "certificate_invalid", "source": "alice",
    }  # fmt: skip


async def test_a_healed_session_is_recorded_with_its_cause(world: World) -> None:
    alice, bob = await world.two()
    await alice.node.send("bob", "a1")
    await delivered(alice, "bob")
    await alice.stop()
    alice.save("backup")
    await alice.start()
    await alice.node.send("bob", "a2")
    await delivered(alice, "bob")
    await alice.stop()
    alice.restore("backup")
    await alice.start()
    await alice.node.send("bob", "a3")
    await delivered(alice, "bob")
    healed = await only(bob, AuditKind.SESSION_HEALED)
    assert "did not match" in str(healed.context["reason"])
    assert healed.principal == alice.node.identity().peer_id
    assert await bob.texts("alice") == ["a1", "a2", "a3"]


# --- Floods --------------------------------------------------------------------------------------


async def knock(bob: Person, world: World, count: int, origin: str = "place") -> None:
    """Speak no p2pchat at bob's door, so many times, each from another place."""
    assert world.network is not None
    for number in range(count):
        stream = await world.network.transport(f"{origin}{number}").dial(bob.listen)
        stream.write(b"GET / HTTP/1.1\r\n\r\n" * 10)
        await until(lambda: not bob.node._reception._links)
        stream.abort()


async def refusals(bob: Person, records: int) -> list[object]:
    """What each record of refused handshakes counts, once there are so many."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            found = await bob.node.audit.records(100, AuditKind.HANDSHAKE_REFUSED)
            if len(found) >= records:
                return [record.context["count"] for record in found]
            await asyncio.sleep(0.001)


async def test_a_flood_of_strangers_is_counted_not_listed(world: World) -> None:
    bob = world.person("bob")
    await bob.start()
    clock = clock_of(world)
    await knock(bob, world, 40)
    clock.advance(60)
    await knock(bob, world, 30, "later")
    clock.advance(119)
    assert await refusals(bob, 2) == [1, 39]
    clock.advance(1)
    await bob.stop()
    await bob.start()
    records = await bob.node.audit.records(100, AuditKind.HANDSHAKE_REFUSED)
    assert [record.context["count"] for record in records] == [1, 39, 30]
    assert {record.context["reason"] for record in records} == {"protocol_violation"}
    assert {record.principal for record in records} == {None}


async def test_what_was_gathered_is_recorded_at_the_end(world: World) -> None:
    bob = world.person("bob")
    await bob.start()
    await knock(bob, world, 5)
    await bob.stop()
    await bob.start()
    records = await bob.node.audit.records(100, AuditKind.HANDSHAKE_REFUSED)
    assert sum(int(record.context["count"]) for record in records) == 5
    assert len(records) == 2


async def test_failures_that_go_on_are_recorded_ever_more_seldom(world: World) -> None:
    """Three days with a failure a minute cost some 80 records, not 4,320."""
    bob = world.person("bob")
    await bob.start()
    journal, clock = bob.node._journal, clock_of(world)
    for _ in range(3 * 24 * 60):
        journal.refused(
            ErrorCode.TIMEOUT, outbound=False, by_peer=False, principal=None, source="there"
        )
        clock.advance(60)
    await bob.stop()
    await bob.start()
    records = await bob.node.audit.records(1000, AuditKind.HANDSHAKE_REFUSED)
    assert 72 <= len(records) <= 72 + 8
    assert sum(int(record.context["count"]) for record in records) == 3 * 24 * 60


# --- Warnings and the head -----------------------------------------------------------------------


async def test_a_flood_gives_one_warning_and_no_stream(world: World) -> None:
    bob = world.person("bob")
    await bob.start()
    clock = clock_of(world)
    for _ in range(3):
        await knock(bob, world, 60)
        clock.advance(61)
        await until(lambda: not bob.node._journal._writing)
    await until(lambda: warnings_of(bob) != [])
    assert warnings_of(bob) == ["many_failed_handshakes"]
    listed: Any = await Service(bob.node).call("audit.warnings", {})
    assert [each["pattern"] for each in listed] == ["many_failed_handshakes"]
    event = next(event for event in bob.events if isinstance(event, AuditWarned))
    method, params = to_notification(event)
    assert method == "audit.warning"
    assert params["pattern"] == "many_failed_handshakes"
    assert params["count"] >= 50


async def test_an_older_database_under_a_newer_head_warns_and_fails_verification(
    world: World,
) -> None:
    alice, _ = await world.two()
    await alice.stop()
    alice.save("backup")
    await alice.start()
    await alice.node.verify("bob", await alice.node.safety_number("bob"))
    await alice.stop()
    head = (alice.path / "audit.head").read_bytes()
    alice.restore("backup")
    (alice.path / "audit.head").write_bytes(head)
    await alice.start()
    await until(lambda: warnings_of(alice) == ["log_replaced"])
    report = await alice.node.audit.verify()
    assert report.log is None
    assert "copy of the database" in report.finding
    assert report.sequence is not None


async def test_a_log_that_grows_while_it_is_verified_is_whole(world: World) -> None:
    alice = world.person("alice")
    stores: list[FaultyStore] = []

    def held(inner: Any) -> FaultyStore:
        stores.append(FaultyStore(inner))
        return stores[0]

    await alice.start(listen=False, dial=False, wrap_store=held)
    await until((alice.path / "audit.head").exists)
    stores[0].reading.clear()
    async with asyncio.TaskGroup() as group:
        verifying = group.create_task(alice.node.audit.verify())
        await until(lambda: stores[0].held >= 1)
        before = (alice.path / "audit.head").read_bytes()
        await alice.node.add_contact(await carol_link(world))
        await until(lambda: (alice.path / "audit.head").read_bytes() != before)
        stores[0].reading.set()
    assert verifying.result().finding == ""
    (alice.path / "audit.head").write_bytes(b"damaged")
    assert "audit.head is damaged" in (await alice.node.audit.verify()).finding


async def test_a_disk_that_refuses_does_not_keep_the_person_out(world: World) -> None:
    alice = world.person("alice")

    def broken(inner: Any) -> FaultyStore:
        store = FaultyStore(inner)
        store.broken = True
        return store

    await alice.start(listen=False, dial=False, wrap_store=broken)
    assert await alice.node.contacts() == []
    with pytest.raises(StoreError):
        await alice.node.add_contact(await carol_link(world))


async def carol_link(world: World) -> str:
    carol = world.person("carol")
    await carol.start()
    return carol.node.identity().link


# --- Over JSON-RPC -------------------------------------------------------------------------------


async def test_the_log_over_json_rpc(world: World) -> None:
    alice, _ = await world.two()
    service = Service(alice.node)
    listed: Any = await service.call("audit.list", {"limit": 2, "kind": "contact_pinned"})
    assert [record["kind"] for record in listed] == ["contact_pinned"]
    assert listed[0]["principal"] == view_of(alice, "bob").peer_id
    report: Any = await service.call("audit.verify", {})
    assert report["ok"]
    assert (report["finding"], report["sequence"], report["head_outside"]) == ("", None, True)
    exported: Any = await service.call("audit.export", {})
    log = parse_export(line.encode() for line in exported["lines"])
    assert verify(log).identity == alice.node._env.credentials.identity
    assert b'"kind":"checkpoint"' in log.records[-1][1]
    assert await service.call("audit.warnings", {}) == []
    for wrong in ({"limit": 0}, {"limit": 10**6}, {"kind": "gossip"}, {"kind": 3}, {"x": 1}):
        with pytest.raises(RpcError) as caught:
            await service.call("audit.list", wrong)
        assert caught.value.code == RpcCode.INVALID_PARAMS


async def test_no_secret_stands_in_any_record(world: World) -> None:
    """Keys, texts and safety numbers of a whole life; the canaries are the real ones."""
    alice, _ = await world.two()
    number = await alice.node.safety_number("bob")
    await alice.node.verify("bob", number)
    await alice.node.send("bob", "the canary text")
    await delivered(alice, "bob")
    credentials = alice.node._env.credentials
    secrets = [credentials._seed.reveal(), credentials._static.private.reveal()]
    lines = b"".join(await alice.node.audit.export())
    assert lines.count(b"\n") > 8
    for secret in secrets:
        assert secret.hex().encode() not in lines
    for text in ("canary", number, number.replace(" ", ""), "correct horse"):
        assert text.encode() not in lines


async def test_the_order_of_kinds_in_a_life_is_the_order_of_events(world: World) -> None:
    alice, bob = await world.two()
    sequence = [record.sequence for record in await log_of(alice)]
    assert sequence == list(range(1, len(sequence) + 1))
    assert Counter(await kinds_of(bob))["contact_pinned"] >= 1
