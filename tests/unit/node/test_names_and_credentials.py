"""Names of contacts, message ids, our own certificate."""

from __future__ import annotations

from dataclasses import replace

import pytest

from p2pchat.config import Config
from p2pchat.constants import CERTIFICATE_LIFETIME_MS, NAME_MAX_BYTES, STATIC_KEY_OVERLAP_MS
from p2pchat.crypto import x25519
from p2pchat.errors import CertificateError, DamagedStoreError, UsageError
from p2pchat.identity.certificate import GENERATION_MAX, issue, parse_and_verify
from p2pchat.identity.keys import generate_identity, peer_id
from p2pchat.identity.trust import Pin, Trust
from p2pchat.node.book import _free_name, check_name, name_of_stranger
from p2pchat.node.credentials import Credentials, rotated
from p2pchat.node.messages import parse_message_id
from p2pchat.store.records import ContactRecord, IdentityRecord, PreviousStaticKey
from tests.support.net_random import seeded_rng

NOW_MS = 1_800_000_000_000
IDENTITY = bytes(range(32))


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Bob", "  Bob ", "Zoë", "李雷", "bob@home", "a" * NAME_MAX_BYTES])
def test_good_names(name: str) -> None:
    assert check_name(name) == name.strip()


@pytest.mark.parametrize(
    "name",
    ["", "   ", "a\nb", "a\x1b[31mb", "a\u202eb", "x" * (NAME_MAX_BYTES + 1), "é" * 33,
     peer_id(IDENTITY), peer_id(IDENTITY).upper()],
)  # fmt: skip
def test_bad_names(name: str) -> None:
    with pytest.raises(UsageError, match="name"):
        check_name(name)


@pytest.mark.parametrize("offered", [None, "", "x\x1b", peer_id(IDENTITY), "y" * 99])
def test_a_stranger_without_a_usable_name_is_called_by_its_key(offered: str | None) -> None:
    """R-8.3.3: a stranger cannot take a name that means another contact."""
    assert name_of_stranger(offered, IDENTITY) == peer_id(IDENTITY)[:8]


def test_a_taken_name_gets_a_number() -> None:
    assert _free_name("Bob", {"bob", "bob (2)"}) == "Bob (3)"
    assert _free_name("Bob", {"alice"}) == "Bob"
    long = "é" * (NAME_MAX_BYTES // 2)
    free = _free_name(long, {long.casefold()})
    assert free.endswith(" (2)")
    assert len(free.encode()) <= NAME_MAX_BYTES


# --- message ids ----------------------------------------------------------------------------------


def test_message_ids() -> None:
    assert parse_message_id("0f" * 16) == b"\x0f" * 16
    for text in ("", "0f" * 15, "0f" * 17, "xy" * 16, "0f " * 16, "０f" * 16):
        with pytest.raises(UsageError, match="hexadecimal"):
            parse_message_id(text)


# --- credentials ----------------------------------------------------------------------------------


def record(now_ms: int = NOW_MS, generation: int = 3) -> IdentityRecord:
    rng = seeded_rng(7)
    identity, static = generate_identity(rng=rng), x25519.generate(rng=rng)
    certificate = issue(identity.seed, static.public, generation=generation, now_ms=now_ms)
    return IdentityRecord("Alice", identity.seed, static.private, certificate.encoded)


def test_the_stored_certificate_is_presented_while_it_is_young() -> None:
    own = record()
    now_ms = NOW_MS + CERTIFICATE_LIFETIME_MS // 3
    config = Credentials(own).for_listening(now_ms, Config())
    assert config.certificate.encoded == own.certificate
    assert config.expected_identity is None
    config = Credentials(own).for_dialling(contact(), now_ms, Config())
    assert config.certificate.encoded == own.certificate
    assert config.expected_identity == b"x" * 32


def contact(*, post_quantum: bool = False, static: bytes | None = None) -> ContactRecord:
    pin = Pin(b"x" * 32, Trust.UNVERIFIED)
    return ContactRecord(1, "x", pin, post_quantum=post_quantum, static=static)


@pytest.mark.parametrize("static", [None, b"s" * 32])
def test_a_contacts_last_static_key_is_what_we_dial_with(static: bytes | None) -> None:
    """R-4.2.5."""
    config = Credentials(record()).for_dialling(contact(static=static), NOW_MS, Config())
    assert config.peer_static == static
    assert not config.stealth


@pytest.mark.parametrize(
    ("classical", "pinned", "offered"),
    [
        (True, False, (0x0001, 0x0002, 0x0101, 0x0102)),
        (True, True, (0x0101, 0x0102)),
        (False, False, (0x0101, 0x0102)),
        (False, True, (0x0101, 0x0102)),
    ],
)
def test_what_is_offered_to_a_contact(
    classical: bool, pinned: bool, offered: tuple[int, ...]
) -> None:
    """R-4.3.6: no less than what it has spoken; nothing classical if the person wants none."""
    theirs = contact(post_quantum=pinned)
    config = Credentials(record()).for_dialling(theirs, NOW_MS, Config(classical_peers=classical))
    assert config.offer.suites == offered


@pytest.mark.parametrize(
    ("classical", "stealth", "offered"),
    [
        (True, False, (0x0001, 0x0002, 0x0101, 0x0102)),
        (False, False, (0x0101, 0x0102)),
        (False, True, (0x0101, 0x0102)),
    ],
)
def test_what_is_offered_to_whoever_dials(
    classical: bool, stealth: bool, offered: tuple[int, ...]
) -> None:
    """R-4.3.6: nothing classical if the person wants none."""
    config = Credentials(record()).for_listening(
        NOW_MS, Config(classical_peers=classical, stealth=stealth)
    )
    assert config.offer.suites == offered
    assert config.stealth is stealth


@pytest.mark.parametrize("age_ms", [CERTIFICATE_LIFETIME_MS // 2, 10 * CERTIFICATE_LIFETIME_MS, -1])
def test_an_old_certificate_is_renewed_for_the_same_key_and_generation(age_ms: int) -> None:
    """R-3.3.3: nobody is ever shown an expired certificate, whatever our clock did meanwhile."""
    own = record()
    stored = parse_and_verify(own.certificate, now_ms=NOW_MS)
    credentials = Credentials(own)
    renewed = credentials.for_listening(NOW_MS + age_ms, Config()).certificate
    assert renewed.encoded != own.certificate
    assert parse_and_verify(renewed.encoded, now_ms=NOW_MS + age_ms) == renewed
    assert (renewed.identity, renewed.static, renewed.generation) == (
        stored.identity,
        stored.static,
        3,
    )
    assert credentials.for_listening(NOW_MS + age_ms + 1, Config()).certificate is renewed


def after_rotation(own: IdentityRecord, now_ms: int = NOW_MS) -> IdentityRecord:
    return rotated(own, x25519.generate(rng=seeded_rng(9)), now_ms)


@pytest.mark.parametrize("generation", [0, 3, 1_800_000_000, GENERATION_MAX - 1])
def test_a_new_key_has_the_next_generation(generation: int) -> None:
    """R-3.3.6: also where it began as a time, after a recovery."""
    own = record(generation=generation)
    after = after_rotation(own, NOW_MS + 5)
    certificate = parse_and_verify(after.certificate, now_ms=NOW_MS + 5)
    assert certificate.generation == generation + 1
    assert certificate.static == x25519.key_pair(after.static_private).public
    assert certificate.not_before_ms == NOW_MS + 5
    assert after.signing_seed == own.signing_seed
    assert after.previous == PreviousStaticKey(
        own.static_private, own.certificate, NOW_MS + 5 + STATIC_KEY_OVERLAP_MS
    )


def test_after_the_last_generation_there_is_no_other() -> None:
    with pytest.raises(CertificateError, match="generation"):
        after_rotation(record(generation=GENERATION_MAX))


@pytest.mark.parametrize(
    ("age_ms", "answers"),
    [(0, True), (STATIC_KEY_OVERLAP_MS - 1, True), (STATIC_KEY_OVERLAP_MS, False)],
)
def test_the_previous_key_answers_while_it_overlaps(age_ms: int, answers: bool) -> None:
    """R-3.3.8: with a certificate that is valid, however old the stored one is."""
    own = record(NOW_MS - 2 * CERTIFICATE_LIFETIME_MS)
    credentials = Credentials(after_rotation(own))
    now_ms = NOW_MS + age_ms
    previous = credentials.for_listening(now_ms, Config()).previous
    assert (previous is not None) is answers
    if previous is not None:
        certificate = parse_and_verify(previous.certificate.encoded, now_ms=now_ms)
        assert certificate.generation == 3
        assert certificate.static == previous.pair.public
        assert previous.pair.private == own.static_private


def test_both_keys_are_ours() -> None:
    own = record()
    after = after_rotation(own)
    credentials = Credentials(own)
    credentials.use(after)
    for private in (own.static_private, after.static_private):
        assert credentials.holds(x25519.key_pair(private).public)
    assert not credentials.holds(x25519.generate(rng=seeded_rng(8)).public)


def test_a_stored_certificate_that_is_not_ours_is_damage() -> None:
    own = record()
    after = after_rotation(own)
    assert after.previous is not None
    swapped = replace(after, previous=replace(after.previous, private=after.static_private))
    other_key = replace(own, static_private=x25519.generate(rng=seeded_rng(8)).private)
    flipped = replace(own, certificate=own.certificate[:-1] + bytes([own.certificate[-1] ^ 1]))
    for damaged in (other_key, flipped, replace(own, certificate=b""), swapped):
        with pytest.raises(DamagedStoreError, match="certificate"):
            Credentials(damaged)
