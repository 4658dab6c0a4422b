"""A responder that has rotated its static key still answers who knows the one before (§3.3)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from p2pchat.crypto import x25519
from p2pchat.errors import ErrorCode
from p2pchat.identity.certificate import issue
from p2pchat.session.credentials import CertifiedKey, ConnectionConfig
from p2pchat.session.events import AskAgain
from p2pchat.session.negotiation import IK, IK_HFS, XX, XX_HFS, Offer, Suite
from p2pchat.session.states import State
from tests.support.pairs import (
    ALL_SUITES,
    IK_SUITES,
    NOW_MS,
    Pair,
    Person,
    authenticated,
    codes,
    offer_of,
    person,
    suite_id,
)

EACH_IK = pytest.mark.parametrize("suite", IK_SUITES, ids=suite_id)
FIRST_CONTACT = {IK: XX, IK_HFS: XX_HFS}
OLD, NEW = 3, 4


def rotated(bob: Person, suite: Suite, *, stealth: bool = False) -> ConnectionConfig:
    """Bob's side after a rotation: his first pair is the previous one."""
    fresh = x25519.generate(rng=bob.rng)
    certificate = issue(bob.identity.seed, fresh.public, generation=NEW, now_ms=NOW_MS)
    before = bob.config(generation=OLD, offer=class_of(suite), stealth=stealth)
    return replace(
        before,
        certificate=certificate,
        static=fresh,
        previous=CertifiedKey(before.certificate, before.static),
    )


def class_of(suite: Suite) -> Offer:
    return offer_of(*(other for other in ALL_SUITES if other.strength == suite.strength))


def meeting(suite: Suite, *, knows: str, stealth: bool = False) -> Pair:
    """Alice dials Bob with the static key that she knows of him."""
    alice, bob = person("alice"), person("bob")
    theirs = rotated(bob, suite, stealth=stealth)
    keys = {
        "current": theirs.static.public,
        "previous": bob.static.public,
        "older": x25519.generate(rng=alice.rng).public,
    }
    ours = alice.config(
        expects=bob.identity.public, offer=class_of(suite), knows=keys[knows], generation=7
    )
    return Pair(alice, bob, dialler_config=ours, listener_config=theirs)


def shown(pair: Pair) -> tuple[int, int]:
    """The generation that Alice was shown, and the one that Bob knows that he has shown."""
    return authenticated(pair.a).certificate.generation, authenticated(pair.b).presented.generation


@EACH_IK
@pytest.mark.parametrize("stealth", [False, True])
@pytest.mark.parametrize(("knows", "generation"), [("current", NEW), ("previous", OLD)])
def test_both_keys_open_the_door(suite: Suite, stealth: bool, knows: str, generation: int) -> None:
    """R-3.3.8: with the certificate of the key that was meant; in stealth as well."""
    pair = meeting(suite, knows=knows, stealth=stealth)
    pair.attach()
    assert pair.a.connection.is_open
    assert pair.b.connection.is_open
    assert authenticated(pair.a).suite == suite
    assert shown(pair) == (generation, generation)
    assert authenticated(pair.a).presented.generation == 7


@EACH_IK
def test_an_older_key_leads_to_the_current_one(suite: Suite) -> None:
    """R-3.3.8, R-5.6.2: a RETRY; what follows presents the current key."""
    pair = meeting(suite, knows="older")
    pair.attach()
    assert authenticated(pair.a).suite == FIRST_CONTACT[suite]
    assert shown(pair) == (NEW, NEW)


@EACH_IK
def test_in_stealth_an_older_key_meets_silence(suite: Suite) -> None:
    """R-5.7.1."""
    pair = meeting(suite, knows="older", stealth=True)
    pair.b.connection.receive_data(pair.a.connection.data_to_send(), now=pair.now)
    pair.b.drain()
    assert pair.b.connection.state is State.CLOSED
    assert pair.b.connection.data_to_send() == b""


@EACH_IK
def test_a_stale_message_for_the_previous_key_leads_to_the_current_one(suite: Suite) -> None:
    """R-3.3.8, R-5.6.1: after the RETRY nothing is left of the previous key."""
    pair = meeting(suite, knows="previous")
    pair.b.judgement = AskAgain()
    pair.attach()
    assert authenticated(pair.a).suite == FIRST_CONTACT[suite]
    assert shown(pair) == (NEW, NEW)


@EACH_IK
def test_who_shows_our_previous_key_is_refused(suite: Suite) -> None:
    """R-5.4.4."""
    alice, bob = person("alice"), person("bob")
    theirs = rotated(bob, suite)
    alice.static = bob.static
    ours = alice.config(
        expects=bob.identity.public, offer=class_of(suite), knows=theirs.static.public
    )
    pair = Pair(alice, bob, dialler_config=ours, listener_config=theirs)
    pair.pump()
    assert codes(pair) == (ErrorCode.CERTIFICATE_INVALID, ErrorCode.CERTIFICATE_INVALID)
