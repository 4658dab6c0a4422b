"""Revocation between running nodes: told, refused, final (protocol.md §3.7, §7.8)."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from p2pchat.crypto.secret import Secret
from p2pchat.errors import KeyStatementError, TrustError, UsageError
from p2pchat.identity.certificate import GENERATION_MAX
from p2pchat.identity.keys import peer_id
from p2pchat.identity.revocation import encode_revocation_text, revoke
from p2pchat.identity.trust import Trust
from p2pchat.node.events import KeyNews, KeyNewsKind
from p2pchat.session.notices import RevokedNotice
from p2pchat.store.audit_record import decode
from p2pchat.store.audit_types import AuditRecord
from p2pchat.store.ports import Transaction
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
from tests.support.raw_sql import raw_sql

DAY_S = 24 * 3600


def is_revoked(person: Person, contact: str) -> bool:
    return view_of(person, contact).revoked_at_ms is not None


def reason(person: Person, contact: str) -> str:
    return view_of(person, contact).offline_reason


async def has_session(person: Person, contact: str) -> bool:
    contact_id = person.node._book.find(contact).contact_id
    store = person.node._env.store
    return await store.read(lambda tx: tx.session(contact_id)) is not None


async def test_a_contact_that_is_online_refuses_the_key_at_once(world: World) -> None:
    """R-3.7.3, R-3.7.4, R-3.7.5: told, acknowledged by KEY_REVOKED, session gone, both are told."""
    alice, bob = await world.two()
    await bob.node.verify("alice", await bob.node.safety_number("alice"))
    await alice.node.send("bob", "before")
    await delivered(alice, "bob")
    view = await alice.node.revoke()
    assert (view.ours, view.untold) == (True, 1)
    await until(lambda: is_revoked(bob, "alice"))
    await until(lambda: reason(alice, "bob") == "your key is revoked, and they know")
    view_of_alice = view_of(bob, "alice")
    assert (view_of_alice.trust, view_of_alice.online) == (Trust.BLOCKED, False)
    assert view_of_alice.offline_reason == "they have revoked this key"
    news = [event for event in bob.events if isinstance(event, KeyNews)]
    assert [(each.contact, each.kind) for each in news] == [("Alice", KeyNewsKind.REVOKED)]
    await until(lambda: bob.node._book.find("alice").link is None)
    async with bob.node._book.find("alice").attaching:
        assert not await has_session(bob, "alice")
    with pytest.raises(TrustError, match="revoked"):
        await bob.node.send("alice", "no more")
    with pytest.raises(TrustError, match="revoked your key"):
        await alice.node.send("bob", "no more")
    with pytest.raises(TrustError, match="revoked your key"):
        await alice.node.sign("bob", "nor this")
    assert await bob.texts("alice") == ["before"]


async def test_it_is_final(world: World) -> None:
    """R-3.7.4: neither accepting nor its link nor comparing nor a restart brings the key back."""
    alice, bob = await world.two()
    link = alice.node.identity().link
    number = await bob.node.safety_number("alice")
    await alice.node.revoke()
    await until(lambda: is_revoked(bob, "alice"))
    for attempt in range(2):
        for undo in (bob.node.accept("alice"), bob.node.keep("alice")):
            with pytest.raises(TrustError, match="revoked"):
                await undo
        with pytest.raises(TrustError, match="revoked"):
            await bob.node.verify("alice", number)
        with pytest.raises(TrustError, match="revoked"):
            await bob.node.add_contact(link)
        await bob.node.block("alice")
        assert is_revoked(bob, "alice")
        if attempt == 0:
            await bob.stop()
            await bob.start()
    await bob.node.remove("alice")
    with pytest.raises(TrustError, match="revoked"):
        await bob.node.add_contact(link)


async def test_no_key_that_a_thief_has_certified_keeps_the_revocation_out(world: World) -> None:
    """R-3.3.5, R-3.7.5: he has the identity key as well, and has taken the greatest generation."""
    alice, bob = await world.two()
    await alice.stop()
    await bob.node._book.find("alice").update(
        lambda record: replace(record, certificate_generation=GENERATION_MAX)
    )
    await alice.start()
    await until(lambda: "certificate" in reason(alice, "bob"))
    for _ in range(2):
        assert (await alice.node.revoke()).ours
    await until(lambda: is_revoked(bob, "alice"))
    await until(lambda: reason(alice, "bob").endswith("and they know"))


async def test_a_revoked_identity_keeps_its_last_key(tmp_path: Path) -> None:
    clock = ManualClock()
    world = memory_world(tmp_path, clock=clock)
    try:
        alice = world.person("alice")
        await alice.start()
        await alice.node.revoke()
        last = alice.node._env.credentials.certificate(clock.wall_ms())
        assert last.generation == GENERATION_MAX
        await alice.stop()
        clock.advance(100 * DAY_S)
        await alice.start()
        now = alice.node._env.credentials.certificate(clock.wall_ms())
        assert (now.static, now.generation) == (last.static, GENERATION_MAX)
        with pytest.raises(TrustError, match="revoked your key"):
            await alice.node.rotate_key()
    finally:
        await world.close()


async def test_a_contact_that_is_away_for_days_is_told_when_it_is_next_met(tmp_path: Path) -> None:
    """R-3.7.5: the owner goes on seeking it, through a restart of its own; then no more."""
    clock = ManualClock()
    world = memory_world(tmp_path, clock=clock)
    try:
        alice, bob = await world.two()
        await bob.stop()
        await until(lambda: not view_of(alice, "bob").online, clock=clock)
        await alice.node.revoke()
        assert "they do not know yet" in reason(alice, "bob")
        clock.advance(3 * DAY_S)
        await alice.stop()
        await alice.start()
        assert "they do not know yet" in reason(alice, "bob")
        clock.advance(3 * DAY_S)
        await bob.start()
        await until(lambda: is_revoked(bob, "alice"), clock=clock)
        await until(lambda: reason(alice, "bob").endswith("and they know"), clock=clock)
        assert not alice.node._book.find("bob").wants_dialling
        await alice.stop()
        await alice.start()
        assert reason(alice, "bob").endswith("and they know")
    finally:
        await world.close()


async def test_who_comes_with_the_revoked_key_is_refused_each_time(world: World) -> None:
    """R-3.7.4: a thief with a copy of the profile gets nowhere, and both screens say so."""
    alice, bob = await world.two()
    await alice.node.send("bob", "before")
    await delivered(alice, "bob")
    await alice.stop()
    alice.save("stolen")
    thief = world.person("thief")
    await thief.stop()
    shutil.rmtree(thief.path)
    shutil.copytree(world.folder / "alice.stolen", thief.path)
    await alice.start()
    await alice.node.revoke()
    await until(lambda: is_revoked(bob, "alice"))
    await alice.stop()
    thief.listen = "thief:4000"
    await thief.start()
    await bob.node.set_addresses("alice", [thief.listen])
    assert not bob.node._book.find("alice").wants_dialling
    for _ in range(3):
        thief.node.retry("bob")
        await until(lambda: "was refused" in reason(bob, "alice"))
        assert reason(bob, "alice").startswith("they have revoked this key; somebody came with it")
        await until(lambda: reason(thief, "bob").startswith("they refuse your key"))
        bob.node._book.find("alice").away(thief.node._book.find("bob").reason)  # forget it
    assert not view_of(thief, "bob").online
    with pytest.raises(TrustError):
        await bob.node.send("alice", "is it you?")
    await thief.node.send("bob", "it is me, Alice")
    await until(lambda: reason(thief, "bob").startswith("they refuse your key"))
    assert await bob.texts("alice") == ["before"]


async def test_a_friend_may_bring_it(world: World) -> None:
    """R-3.7.3: whoever brings a certificate of somebody known, its signature counts."""
    alice, bob = await world.two()
    carol = world.person("carol")
    await carol.start()
    await introduce(carol, bob)
    certificate = alice.node.revocation_certificate()
    statement = revoke(await seed_of(alice)).encoded
    link = carol.node._book.find("bob").link
    assert link is not None
    link.tell(RevokedNotice(statement))
    await until(lambda: is_revoked(bob, "alice"))
    await until(lambda: bob.node._book.find("alice").link is None)
    assert view_of(bob, "carol").online
    await until(lambda: reason(alice, "bob").startswith("they refuse your key"))
    # Alice, whose certificate was used by somebody else, puts it into effect as well.
    await alice.node.revoke(certificate)
    assert alice.node.identity().revoked_at_ms is not None


async def seed_of(person: Person) -> Secret:
    def work(tx: Transaction) -> Secret:
        identity = tx.identity()
        assert identity is not None
        return identity.signing_seed

    return await person.node._env.store.read(work)


async def test_a_forged_one_ends_the_connection_and_revokes_nothing(world: World) -> None:
    """R-3.7.1, R-3.7.3."""
    alice, bob = await world.two()
    statement = bytearray(revoke(await seed_of(alice)).encoded)
    statement[-1] ^= 1
    link = alice.node._book.find("bob").link
    assert link is not None
    link.tell(RevokedNotice(bytes(statement)))
    await until(lambda: alice.node._book.find("bob").link is not link)
    await online(alice, "bob")
    assert not is_revoked(bob, "alice")


async def test_one_of_nobody_known_is_ignored(world: World) -> None:
    """R-3.7.3: not even its signature is looked at."""
    alice, bob = await world.two()
    link = alice.node._book.find("bob").link
    assert link is not None
    stranger = bytearray(revoke(Secret(bytes(32))).encoded)
    stranger[-1] ^= 1
    link.tell(RevokedNotice(bytes(stranger)))
    await alice.node.send("bob", "after it")
    await delivered(alice, "bob")
    assert alice.node._book.find("bob").link is link
    assert not any(isinstance(event, KeyNews) for event in bob.events)


async def test_a_contacts_certificate_can_be_given_by_hand(world: World) -> None:
    alice, bob = await world.two()
    certificate = alice.node.revocation_certificate()
    view = await bob.node.revoke(certificate)
    assert (view.ours, view.contact) == (False, "Alice")
    assert is_revoked(bob, "alice")
    await until(lambda: reason(alice, "bob").startswith("they refuse your key"))
    again = await bob.node.revoke(certificate)
    assert again == view
    with pytest.raises(UsageError, match="neither you nor one of your contacts"):
        await bob.node.revoke(encode_revocation_text(revoke(Secret(bytes(32)))))
    with pytest.raises(KeyStatementError, match="begins with p2pchat-revocation:"):
        await bob.node.revoke(bob.node.identity().link)


async def test_a_stranger_who_comes_is_told_too(world: World) -> None:
    """Who has our link but is no contact of ours still learns that the key is of no more use."""
    alice, bob = world.person("alice"), world.person("bob")
    await alice.start()
    await bob.start()
    await alice.node.revoke()
    await bob.node.add_contact(alice.node.identity().link)
    await until(lambda: is_revoked(bob, "alice"))
    assert await alice.node.contacts() == []
    with pytest.raises(TrustError, match="revoked your key"):
        await alice.node.add_contact(bob.node.identity().link)


async def test_with_an_older_program_nothing_more_is_said_under_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R-3.7.5: who does not know the notice does not close; no message passes all the same."""
    clock = ManualClock()
    world = memory_world(tmp_path, clock=clock)
    try:
        alice, bob = await world.two()

        async def ignored(link: object, statement: bytes) -> None:
            """As a program that knows no REVOKED does."""

        monkeypatch.setattr(bob.node._revocations, "noticed", ignored)
        await alice.node.revoke()
        await bob.node.send("alice", "under way when it happened")
        await until(lambda: not view_of(bob, "alice").online, clock=clock)
        await until(lambda: "accept you" in reason(bob, "alice"), clock=clock)
        await bob.node.send("alice", "after it")
        clock.advance(60)
        assert "they do not know yet" in reason(alice, "bob")
        assert "after it" not in await alice.texts("bob")
        assert not view_of(bob, "alice").online
    finally:
        await world.close()


async def test_it_is_on_record_on_both_sides(world: World) -> None:
    alice, bob = await world.two()
    identity = alice.node._env.credentials.identity
    await alice.node.revoke()
    await until(lambda: is_revoked(bob, "alice"))
    for person, source in ((alice, "certificate"), (bob, "owner")):
        (record,) = [each for each in await recorded(person) if each.kind == "key_revoked"]
        assert record.principal == peer_id(identity)
        assert record.context == {"source": source}


async def recorded(person: Person) -> list[AuditRecord]:
    """The audit log as it stands in the store."""

    def work(tx: Transaction) -> list[AuditRecord]:
        rows = raw_sql(tx, "SELECT record FROM audit_record")
        return [decode(record) for (record,) in rows]

    return await person.node._env.store.read(work)
