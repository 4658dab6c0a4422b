"""What a full recording gives to whoever gets keys later (protocol.md §14, §5.5).

The eavesdropper is a program of its own; the control tests show that he would read everything
if he had every secret, so that his failures say something.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from p2pchat.crypto import kem, x25519
from p2pchat.crypto.kem import KemKeyPair
from p2pchat.crypto.secret import Rng
from p2pchat.crypto.x25519 import KeyPair
from p2pchat.noise.patterns import Token
from p2pchat.session.events import SendMessage
from p2pchat.session.frames import Kind
from p2pchat.session.negotiation import IK, IK_HFS, XX, XX_HFS, Suite
from tests.support.eavesdropper import Guess, Recording, listen_in
from tests.support.pairs import ALL_SUITES, frames_of, offer_of, pair_for, person, suite_id
from tests.support.shells import text

HYBRID = (XX_HFS, IK_HFS)
CLASSICAL = (XX, IK)
PREAMBLE_LEN = 21


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[KeyPair | KemKeyPair]:
    """Every key pair that is generated from now on."""
    found: list[KeyPair | KemKeyPair] = []
    generate_x25519, generate_kem = x25519.generate, kem.generate

    def generate(*, rng: Rng) -> KeyPair:
        pair = generate_x25519(rng=rng)
        found.append(pair)
        return pair

    def generate_for_kem(*, rng: Rng) -> KemKeyPair:
        pair = generate_kem(rng=rng)
        found.append(pair)
        return pair

    monkeypatch.setattr(x25519, "generate", generate)
    monkeypatch.setattr(kem, "generate", generate_for_kem)
    return found


def record(suite: Suite, made: list[KeyPair | KemKeyPair]) -> Recording:
    """Let Alice and Bob shake hands and chat, and write everything down."""
    pair = pair_for(suite)
    sent: tuple[list[bytes], list[bytes]] = ([], [])
    for number, peer in enumerate((pair.a, pair.b)):
        take = peer.connection.data_to_send

        def write_down(number: int = number, take: Callable[[], bytes] = take) -> bytes:
            data = take()
            if number == 0 and not sent[0] and data:
                sent[0].extend(frames_of(data[PREAMBLE_LEN:]))
            else:
                sent[number].extend(frames_of(data))
            return data

        peer.connection.data_to_send = write_down  # type: ignore[method-assign]  # listening in
    pair.attach()
    for peer, number in ((pair.a, 1), (pair.b, 2), (pair.a, 3)):
        pair.command(peer, SendMessage(text(number)))
        pair.pump()
    assert pair.a.connection.is_open
    alices, bobs = ([frame[2:] for frame in frames] for frames in sent)
    flights = [alices.pop(0)[1:], bobs.pop(0)[1:]]
    if not suite.knows_responder:
        flights.append(alices.pop(0)[1:])
    pairs = {item.public: item for item in made if isinstance(item, KeyPair)}
    same_class = [other for other in ALL_SUITES if other.strength == suite.strength]
    return Recording(
        suite,
        offer_of(*same_class),
        (person("alice").static, person("bob").static),
        (pairs[flights[0][:32]], pairs[flights[1][:32]]),
        next((item for item in made if isinstance(item, KemKeyPair)), None),
        flights,
        (alices, bobs),
    )


GUESSES: dict[str, Guess] = {
    "zeros": lambda _: bytes(32),
    "left out": lambda _: None,
    "a public key": lambda _: person("bob").static.public,
    "static-static": lambda _: x25519.dh(
        person("alice").static.private, person("bob").static.public
    ),
}
EACH_GUESS = pytest.mark.parametrize("guess", GUESSES)
FIRST_OF_IK = {
    IK: [(1, "s"), (1, "payload")],
    IK_HFS: [(1, "e1"), (1, "s"), (1, "payload")],
    XX: [],
    XX_HFS: [],
}
"""The certificate and time of a known peer's first message: all that R-5.3.2 gives away."""


def nothing(_: Token) -> bytes | None:
    raise AssertionError("he needs no guess")


@pytest.mark.parametrize("suite", ALL_SUITES, ids=suite_id)
def test_control_with_every_secret_he_reads_everything(
    suite: Suite, made: list[KeyPair | KemKeyPair]
) -> None:
    """R-5.1.1, R-5.5.1: his key schedule is the right one."""
    recording = record(suite, made)
    pair = recording.kem_pair
    loot = listen_in(
        recording,
        dh=recording.dh,
        decapsulate=pair.decapsulate if pair else None,
        guess=nothing,
    )
    assert len(loot.frames) == sum(map(len, recording.frames))
    assert loot.frames.count(Kind.HELLO) == 2
    assert loot.frames.count(Kind.RATCHET) == 4
    assert loot.opened[: len(FIRST_OF_IK[suite])] == FIRST_OF_IK[suite]
    assert (2, "payload") in loot.opened
    assert ((3, "payload") in loot.opened) is not suite.knows_responder


@EACH_GUESS
@pytest.mark.parametrize("suite", ALL_SUITES, ids=suite_id)
def test_both_static_keys_and_a_recording_open_nothing(
    suite: Suite, guess: str, made: list[KeyPair | KemKeyPair]
) -> None:
    """R-5.1.7, R-5.3.2: but the first message of a known peer, which therefore says nothing."""
    recording = record(suite, made)
    loot = listen_in(recording, dh=recording.from_statics(), decapsulate=None, guess=GUESSES[guess])
    assert loot.opened == FIRST_OF_IK[suite]
    assert loot.frames == []


@EACH_GUESS
@pytest.mark.parametrize("suite", HYBRID, ids=suite_id)
def test_the_ml_kem_secrets_beside_both_static_keys_open_nothing_more(
    suite: Suite, guess: str, made: list[KeyPair | KemKeyPair]
) -> None:
    """R-5.5.1: with ML-KEM broken, X25519's ephemerals still stand; even the secret in hand."""
    recording = record(suite, made)
    pair = recording.kem_pair
    assert pair is not None
    whole = listen_in(recording, dh=recording.dh, decapsulate=pair.decapsulate, guess=nothing)
    assert whole.frames
    secrets: list[bytes] = []

    def remember(ciphertext: bytes) -> bytes:
        secrets.append(pair.decapsulate(ciphertext))
        return secrets[0]

    listen_in(recording, dh=recording.dh, decapsulate=remember, guess=nothing)
    loot = listen_in(
        recording,
        dh=recording.from_statics(),
        decapsulate=lambda _: secrets[0],
        guess=GUESSES[guess],
    )
    assert loot.opened == FIRST_OF_IK[suite]
    assert loot.frames == []


@EACH_GUESS
@pytest.mark.parametrize("suite", HYBRID, ids=suite_id)
def test_all_of_x25519_without_ml_kem_opens_nothing(
    suite: Suite, guess: str, made: list[KeyPair | KemKeyPair]
) -> None:
    """R-5.5.1: a later quantum computer; of the answer he gets the KEM ciphertext, no content."""
    recording = record(suite, made)
    loot = listen_in(recording, dh=recording.dh, decapsulate=None, guess=GUESSES[guess])
    assert loot.opened == [*FIRST_OF_IK[suite], (2, "ekem1")]
    assert loot.frames == []


@pytest.mark.parametrize("suite", HYBRID, ids=suite_id)
def test_another_kem_key_is_no_help(suite: Suite, made: list[KeyPair | KemKeyPair]) -> None:
    """R-5.5.3, R-5.5.5: implicit rejection gives him some secret, and it opens nothing."""
    recording = record(suite, made)
    other = kem.generate(rng=person("carol").rng)
    loot = listen_in(recording, dh=recording.dh, decapsulate=other.decapsulate, guess=nothing)
    assert loot.opened == [*FIRST_OF_IK[suite], (2, "ekem1")]
    assert loot.frames == []


@pytest.mark.parametrize("suite", CLASSICAL, ids=suite_id)
def test_control_all_of_x25519_opens_a_classical_recording(
    suite: Suite, made: list[KeyPair | KemKeyPair]
) -> None:
    """§14: which is why such a contact is shown as not post-quantum."""
    recording = record(suite, made)
    loot = listen_in(recording, dh=recording.dh, decapsulate=None, guess=nothing)
    assert len(loot.frames) == sum(map(len, recording.frames))


@pytest.mark.parametrize(
    ("suite", "missing"),
    [
        (suite, token)
        for suite in ALL_SUITES
        for token in (Token.EE, Token.ES, Token.SE, Token.SS)
        if token is not Token.SS or suite.knows_responder  # XX has none
    ],
    ids=lambda value: suite_id(value) if isinstance(value, Suite) else str(value),
)
def test_each_secret_of_the_pattern_is_needed(
    suite: Suite, missing: Token, made: list[KeyPair | KemKeyPair]
) -> None:
    """R-5.1.1, R-5.5.1: without any one of them not a single transport frame opens."""
    recording = record(suite, made)
    known = {token: secret for token, secret in recording.dh.items() if token is not missing}
    pair = recording.kem_pair
    loot = listen_in(
        recording,
        dh=known,
        decapsulate=(lambda data: pair.decapsulate(data) if data else bytes(32)) if pair else None,
        guess=GUESSES["zeros"],
    )
    assert loot.frames == []
