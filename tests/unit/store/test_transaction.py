"""Each operation of the port, on a real file."""

from __future__ import annotations

from dataclasses import replace

import pytest

from p2pchat.crypto.secret import Secret
from p2pchat.errors import ContactError, StoreError, UnknownContactError, UsageError
from p2pchat.identity.trust import Pin, Trust
from p2pchat.session.ledger import EMPTY, LedgerSummary, extend
from p2pchat.store.database import Database
from p2pchat.store.ports import Transaction
from p2pchat.store.records import (
    ContactRecord,
    DeliveryState,
    EnvelopeRecord,
    IdentityRecord,
    PreviousStaticKey,
    SessionRecord,
)
from tests.unit.store.files import (
    IDENTITY,
    contact,
    incoming,
    looks,
    message_id,
    moves,
    new_contact,
    numbers,
    outgoing,
    puts,
    puts_identity,
)


async def test_identity_is_read_back_and_replaced(store: Database) -> None:
    assert await store.read(lambda t: t.identity()) == IDENTITY
    other = IdentityRecord("Eve", Secret(b"1" * 32), Secret(b"2" * 32), b"another")
    await store.write(lambda t: t.put_identity(other))
    assert await store.read(lambda t: t.identity()) == other


async def test_there_is_at_most_one_previous_static_key(store: Database) -> None:
    for number in (3, 4):
        key = PreviousStaticKey(Secret(bytes([number]) * 32), b"its own", 1_800_000_000_000)
        held = replace(IDENTITY, previous=key)
        await store.write(puts_identity(held))
        assert await store.read(lambda t: t.identity()) == held
    await store.write(lambda t: t.put_identity(IDENTITY))
    assert await store.read(lambda t: t.identity()) == IDENTITY


async def test_settings(store: Database) -> None:
    assert await store.read(lambda t: t.get_setting("port")) is None
    await store.write(lambda t: t.put_setting("port", "1"))
    await store.write(lambda t: t.put_setting("port", "2"))
    assert await store.read(lambda t: t.get_setting("port")) == "2"


# --- Contacts -----------------------------------------------------------------------------------


async def test_a_contact_is_read_back_whole(store: Database) -> None:
    record = ContactRecord(
        contact_id=0,
        name="Bob ✓",
        pin=Pin(b"b" * 32, Trust.CHANGED, b"c" * 32),
        addresses=("192.0.2.1:4", "[2001:db8::1]:5"),
        note='hi "there"\n',
        certificate_generation=2**32 - 1,
        added_at_ms=1_790_000_000_000,
        verified_at_ms=5,
        unread=0,
        post_quantum=True,
    )
    stored = await store.write(lambda t: t.put_contact(record))
    assert stored == replace(record, contact_id=stored.contact_id)
    assert stored.contact_id > 0
    assert await store.read(lambda t: t.contact(stored.contact_id)) == stored
    changed = replace(stored, name="Bo", pin=Pin(b"c" * 32, Trust.BLOCKED), verified_at_ms=None)
    assert await store.write(lambda t: t.put_contact(changed)) == changed
    assert await store.read(lambda t: t.contacts()) == [changed]
    assert await store.read(lambda t: t.contact(99)) is None


async def test_contacts_come_by_name_regardless_of_case(store: Database) -> None:
    for name in ("bob", "Cleo", "ada"):
        await store.write(puts(contact(name)))
    assert [c.name for c in await store.read(lambda t: t.contacts())] == ["ada", "bob", "Cleo"]


@pytest.mark.parametrize(
    ("first", "second"), [("Bob", "bOB"), ("Straße", "STRASSE"), ("Ada", "Ａｄａ")]
)
async def test_names_that_look_alike_in_another_case_or_width_are_one(
    store: Database, first: str, second: str
) -> None:
    await store.write(lambda t: t.put_contact(contact(first)))
    with pytest.raises(ContactError, match="choose another name"):
        await store.write(lambda t: t.put_contact(contact(second, b"z" * 32)))
    assert len(await store.read(lambda t: t.contacts())) == 1


async def test_an_identity_belongs_to_one_contact(store: Database) -> None:
    first = await store.write(lambda t: t.put_contact(contact("Bob")))
    second = await store.write(lambda t: t.put_contact(contact("Cleo")))
    with pytest.raises(ContactError, match="'Bob' already"):
        await store.write(lambda t: t.put_contact(contact("Dan", first.pin.identity)))
    with pytest.raises(ContactError, match="'Bob' already"):
        await store.write(lambda t: t.put_contact(replace(second, pin=first.pin)))
    with pytest.raises(ContactError, match="another contact is called 'Bob'"):
        await store.write(lambda t: t.put_contact(replace(second, name="BOB")))
    # A contact may change the case of its own name.
    assert (await store.write(lambda t: t.put_contact(replace(first, name="BOB")))).name == "BOB"


async def test_a_removed_contact_takes_everything_along_and_its_id_is_not_used_again(
    store: Database,
) -> None:
    def fill(transaction: Transaction) -> int:
        contact_id = new_contact(transaction)
        transaction.add_message(incoming(contact_id, 1))
        transaction.put_session(contact_id, b"state")
        transaction.append_envelopes(contact_id, [EnvelopeRecord(1, b"e", b"d", None)])
        return contact_id

    gone = await store.write(fill)
    await store.write(lambda t: t.remove_contact(gone))
    assert await store.read(lambda t: t.contacts()) == []
    assert await store.read(lambda t: t.messages(gone)) == []
    assert await store.read(lambda t: t.session(gone)) is None
    assert await store.write(new_contact) > gone
    await store.write(lambda t: t.remove_contact(999))  # nothing to remove is no error


async def test_a_stale_record_does_not_bring_a_removed_contact_back(store: Database) -> None:
    stored = await store.write(lambda t: t.put_contact(contact()))
    await store.write(lambda t: t.remove_contact(stored.contact_id))
    with pytest.raises(UnknownContactError):
        await store.write(lambda t: t.put_contact(stored))
    for late in (
        lambda t: t.add_message(incoming(stored.contact_id, 1)),
        lambda t: t.put_session(stored.contact_id, b"state"),
        lambda t: t.append_envelopes(stored.contact_id, [EnvelopeRecord(1, b"e", b"d", None)]),
    ):
        with pytest.raises(UnknownContactError):
            await store.write(late)
    assert await store.read(lambda t: t.contacts()) == []


# --- Messages -----------------------------------------------------------------------------------


async def test_messages_get_growing_positions_and_are_read_back_whole(store: Database) -> None:
    bob = await store.write(new_contact)
    record = replace(outgoing(bob, 7, "Grüße\n\t\0 👩‍💻"), reason="why", sent_at_ms=2**40)
    first = await store.write(lambda t: t.add_message(record))
    assert first is not None
    assert first == replace(record, position=first.position)
    second = await store.write(lambda t: t.add_message(incoming(bob, 8)))
    assert second is not None
    assert second.position > first.position > 0
    assert await store.read(lambda t: t.message(bob, message_id(7))) == first
    assert await store.read(lambda t: t.message(bob, message_id(9))) is None


async def test_a_message_id_is_stored_once_per_contact(store: Database) -> None:
    """R-8.5.4: a message that was received before is ignored."""
    bob = await store.write(new_contact)
    cleo = (await store.write(lambda t: t.put_contact(contact("Cleo")))).contact_id
    assert await store.write(lambda t: t.add_message(incoming(bob, 1, "first"))) is not None
    assert await store.write(lambda t: t.add_message(incoming(bob, 1, "again"))) is None
    assert await store.write(lambda t: t.add_message(incoming(cleo, 1, "hers"))) is not None
    texts = [m.text for m in await store.read(lambda t: t.messages(bob))]
    assert texts == ["first"]


async def test_pages_of_history(store: Database) -> None:
    bob = await store.write(new_contact)
    cleo = (await store.write(lambda t: t.put_contact(contact("Cleo")))).contact_id

    def fill(transaction: Transaction) -> None:
        for number in range(10):
            transaction.add_message(outgoing(bob, number))
            transaction.add_message(outgoing(cleo, 100 + number))

    await store.write(fill)
    newest = await store.read(lambda t: t.messages(bob, limit=4))
    assert numbers(newest) == [6, 7, 8, 9]
    page = await store.read(lambda t: t.messages(bob, before=message_id(6), limit=4))
    assert numbers(page) == [2, 3, 4, 5]
    page = await store.read(lambda t: t.messages(bob, before=message_id(2), limit=4))
    assert numbers(page) == [0, 1]
    assert await store.read(lambda t: t.messages(bob, before=message_id(0))) == []


async def test_history_refuses_what_it_cannot_mean(store: Database) -> None:
    bob = await store.write(new_contact)
    for limit in (0, -1):
        with pytest.raises(UsageError, match="at least one"):
            await store.read(looks(bob, limit=limit))
    with pytest.raises(UsageError, match="no such message"):
        await store.read(lambda t: t.messages(bob, before=message_id(5)))


async def test_unread_counts_incoming_messages_until_they_are_read(store: Database) -> None:
    bob = await store.write(new_contact)

    def fill(transaction: Transaction) -> None:
        transaction.add_message(incoming(bob, 1))
        transaction.add_message(incoming(bob, 2))
        transaction.add_message(outgoing(bob, 3))

    await store.write(fill)
    before = await store.read(lambda t: t.contact(bob))
    assert before is not None
    assert before.unread == 2
    await store.write(lambda t: t.mark_read(bob))
    # A record read before does not bring the old count back.
    after = await store.write(lambda t: t.put_contact(before))
    assert after.unread == 0
    states = [m.state for m in await store.read(lambda t: t.messages(bob))]
    assert states == [DeliveryState.READ, DeliveryState.READ, DeliveryState.QUEUED]


async def test_states_of_outgoing_messages_move_on_with_their_reason(store: Database) -> None:
    bob = await store.write(new_contact)
    ids = [message_id(1), message_id(2)]

    def fill(transaction: Transaction) -> None:
        for number in (1, 2):
            transaction.add_message(outgoing(bob, number))
        transaction.add_message(incoming(bob, 3))

    await store.write(fill)
    await store.write(lambda t: t.set_message_state(bob, ids, DeliveryState.FAILED, "too long"))
    failed = await store.read(lambda t: t.message(bob, message_id(2)))
    assert failed is not None
    assert (failed.state, failed.reason) == (DeliveryState.FAILED, "too long")
    await store.write(lambda t: t.set_message_state(bob, ids, DeliveryState.SENT))
    await store.write(lambda t: t.set_message_state(bob, ids[:1], DeliveryState.DELIVERED))
    sent = await store.read(lambda t: t.messages(bob))
    assert [(m.state, m.reason) for m in sent[:2]] == [
        (DeliveryState.DELIVERED, ""),
        (DeliveryState.SENT, ""),
    ]
    # Not ours to move, and not there at all.
    await store.write(
        lambda t: t.set_message_state(bob, [message_id(3), message_id(4)], DeliveryState.FAILED)
    )
    await store.write(moves(bob, 3, DeliveryState.READ))
    theirs = await store.read(lambda t: t.message(bob, message_id(3)))
    assert theirs is not None
    assert theirs.state is DeliveryState.DELIVERED


@pytest.mark.parametrize("late", [DeliveryState.QUEUED, DeliveryState.SENT, DeliveryState.FAILED])
async def test_a_delivered_message_never_becomes_undelivered(
    store: Database, late: DeliveryState
) -> None:
    bob = await store.write(new_contact)
    await store.write(lambda t: t.add_message(outgoing(bob, 1)))
    for state in (DeliveryState.DELIVERED, late):
        await store.write(moves(bob, 1, state))
    found = await store.read(lambda t: t.message(bob, message_id(1)))
    assert found is not None
    assert found.state is DeliveryState.DELIVERED
    for state in (DeliveryState.READ, DeliveryState.DELIVERED, late):
        await store.write(moves(bob, 1, state))
    found = await store.read(lambda t: t.message(bob, message_id(1)))
    assert found is not None
    assert found.state is DeliveryState.READ


async def test_a_cancelled_message_is_gone(store: Database) -> None:
    bob = await store.write(new_contact)
    await store.write(lambda t: t.add_message(outgoing(bob, 1)))
    await store.write(lambda t: t.delete_message(bob, message_id(1)))
    await store.write(lambda t: t.delete_message(bob, message_id(1)))
    assert await store.read(lambda t: t.messages(bob)) == []


async def test_undelivered_are_the_oldest_queued_or_sent_of_ours(store: Database) -> None:
    bob = await store.write(new_contact)
    cleo = (await store.write(lambda t: t.put_contact(contact("Cleo")))).contact_id

    def fill(transaction: Transaction) -> None:
        for number in range(6):
            transaction.add_message(outgoing(bob, number))
        transaction.add_message(incoming(bob, 50))
        transaction.add_message(outgoing(cleo, 60))
        transaction.set_message_state(bob, [message_id(0)], DeliveryState.DELIVERED)
        transaction.set_message_state(bob, [message_id(1)], DeliveryState.SENT)
        transaction.set_message_state(bob, [message_id(2)], DeliveryState.FAILED)
        transaction.put_session(bob, b"state")
        transaction.append_envelopes(
            bob,
            [
                EnvelopeRecord(1, b"e", b"d", message_id(1)),
                EnvelopeRecord(2, b"e", b"d", None),
                EnvelopeRecord(3, b"e", b"d", message_id(4)),
            ],
        )
        # Another contact's envelope of the same message id seals nothing here.
        transaction.append_envelopes(cleo, [EnvelopeRecord(1, b"e", b"d", message_id(3))])

    await store.write(fill)
    found = await store.read(lambda t: t.undelivered(bob, 10, unsealed_only=False))
    assert numbers(found) == [1, 3, 4, 5]
    found = await store.read(lambda t: t.undelivered(bob, 2, unsealed_only=False))
    assert numbers(found) == [1, 3]
    found = await store.read(lambda t: t.undelivered(bob, 10, unsealed_only=True))
    assert numbers(found) == [3, 5]
    await store.write(lambda t: t.break_session(bob))
    found = await store.read(lambda t: t.undelivered(bob, 10, unsealed_only=True))
    assert numbers(found) == [1, 3, 4, 5]


# --- Session and envelopes ----------------------------------------------------------------------


async def test_a_session_is_read_back_with_its_envelopes_in_order(store: Database) -> None:
    bob = await store.write(new_contact)
    envelopes = [
        EnvelopeRecord(9, b"nine" * 20_000, b"d9", message_id(9)),
        EnvelopeRecord(10, b"ten", b"d10", None),
        EnvelopeRecord(11, b"eleven", b"d11", message_id(11)),
    ]
    assert await store.read(lambda t: t.session(bob)) is None
    await store.write(lambda t: t.put_session(bob, b"one"))
    await store.write(lambda t: t.put_session(bob, b"two"))
    await store.write(lambda t: t.append_envelopes(bob, envelopes[1:]))
    await store.write(lambda t: t.append_envelopes(bob, envelopes[:1]))
    assert await store.read(lambda t: t.session(bob)) == SessionRecord(b"two", tuple(envelopes))
    await store.write(lambda t: t.acknowledge(bob, 10))
    assert await store.read(lambda t: t.session(bob)) == SessionRecord(b"two", (envelopes[2],))
    await store.write(lambda t: t.replace_envelopes(bob, envelopes[:2]))
    assert await store.read(lambda t: t.session(bob)) == SessionRecord(b"two", tuple(envelopes[:2]))
    await store.write(lambda t: t.replace_envelopes(bob, []))
    assert await store.read(lambda t: t.session(bob)) == SessionRecord(b"two", ())


async def test_a_broken_session_is_gone_with_its_envelopes(store: Database) -> None:
    bob = await store.write(new_contact)
    await store.write(lambda t: t.put_session(bob, b"state"))
    await store.write(lambda t: t.append_envelopes(bob, [EnvelopeRecord(1, b"e", b"d", None)]))
    await store.write(lambda t: t.break_session(bob))
    assert await store.read(lambda t: t.session(bob)) is None
    await store.write(lambda t: t.put_session(bob, b"new"))
    assert await store.read(lambda t: t.session(bob)) == SessionRecord(b"new", ())


async def test_an_envelope_number_is_never_used_twice(store: Database) -> None:
    bob = await store.write(new_contact)
    record = EnvelopeRecord(1, b"e", b"d", None)
    await store.write(lambda t: t.append_envelopes(bob, [record]))
    with pytest.raises(StoreError, match="refused"):
        await store.write(lambda t: t.append_envelopes(bob, [record]))


async def test_a_transaction_is_of_no_use_after_its_unit(store: Database) -> None:
    for run in (store.write, store.read):
        leaked = await run(lambda transaction: transaction)
        with pytest.raises(StoreError, match="after its unit"):
            leaked.contacts()


async def test_what_may_have_left_in_a_lost_past_counts_as_sent(store: Database) -> None:
    """R-8.6.3: until none of it waits any more, our chain is not compared."""
    bob = await store.write(new_contact)
    await store.write(lambda t: t.add_message(outgoing(bob, 1, "queued in the copy")))
    ahead = LedgerSummary(EMPTY, extend(EMPTY, [message_id(1), message_id(9)]))
    assert (await store.write(lambda t: t.compare_ledger(bob, ahead, at_ms=0))) is not None
    waiting = await store.read(lambda t: t.undelivered(bob, 10, unsealed_only=True))
    assert [message.state for message in waiting] == [DeliveryState.SENT]
    # It goes again and is acknowledged, and the peer does not count it a second time.
    await store.write(lambda t: t.add_message(outgoing(bob, 2, "queued since")))
    assert (await store.write(lambda t: t.compare_ledger(bob, ahead, at_ms=0))) is None
    await store.write(lambda t: t.count_delivered(bob, [message_id(1)]))
    await store.write(lambda t: t.set_message_state(bob, [message_id(1)], DeliveryState.DELIVERED))
    assert (await store.write(lambda t: t.compare_ledger(bob, ahead, at_ms=0))) is None
    assert (await store.read(lambda t: t.ledger(bob))).sent == ahead.received
