"""Statements and their keys: what holds, and every way in which one does not (protocol.md §9.4)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import pytest

from p2pchat.constants import STATEMENT_KEY_LIFETIME_MS, TEXT_MAX_BYTES
from p2pchat.crypto import ed25519
from p2pchat.crypto.secret import Secret
from p2pchat.errors import StatementError
from p2pchat.identity import on_record, statement
from p2pchat.identity.certificate import CERTIFICATE_LABEL
from p2pchat.identity.keys import peer_id
from p2pchat.identity.on_record import OURS, THEIRS, OnRecord, RecordStep
from p2pchat.identity.statement import (
    KEY_CERTIFICATE_LEN,
    KEY_LABEL,
    STATEMENT_LABEL,
    STATEMENT_MAX_LEN,
    STATEMENT_MIN_LEN,
    Statement,
)
from p2pchat.identity.statement_file import FILE_MAX_BYTES, from_file, to_file
from tests.unit.test_requirements import ROOT

ALICE, MALLORY, KEY = (Secret(bytes([number]) * 32) for number in (1, 2, 3))
BOB = ed25519.public_key(Secret(bytes([4]) * 32))
NOW_MS = 1_790_000_000_000
CERTIFICATE = statement.certify(ALICE, ed25519.public_key(KEY), now_ms=NOW_MS)


def signed(text: str = "I owe Bob a boat.", at_ms: int = NOW_MS + 5) -> bytes:
    return statement.sign(KEY, CERTIFICATE, recipient=BOB, at_ms=at_ms, text=text)


def resigned(change: Callable[[bytearray], None], body_seed: Secret = KEY) -> bytes:
    """A statement whose signed body was changed and signed again."""
    body = bytearray(signed()[KEY_CERTIFICATE_LEN:-64])
    change(body)
    return CERTIFICATE + bytes(body) + ed25519.sign(body_seed, STATEMENT_LABEL + bytes(body))


def test_a_statement_says_who_said_what_to_whom_and_when() -> None:
    """R-9.4.1 to R-9.4.3"""
    assert statement.verify(signed()) == Statement(
        ed25519.public_key(ALICE), BOB, NOW_MS + 5, "I owe Bob a boat."
    )
    assert len(signed("x")) == STATEMENT_MIN_LEN == 283
    assert len(signed("x" * TEXT_MAX_BYTES)) == STATEMENT_MAX_LEN == 65818
    for text in ("x", "x" * TEXT_MAX_BYTES):
        assert statement.verify(signed(text)).text == text


@pytest.mark.parametrize("place", range(STATEMENT_MIN_LEN + 16))
def test_any_changed_byte_breaks_it(place: int) -> None:
    changed = bytearray(signed())
    changed[place] ^= 1
    with pytest.raises(StatementError):
        statement.verify(bytes(changed))


@pytest.mark.parametrize("length", [0, STATEMENT_MIN_LEN - 1, STATEMENT_MAX_LEN + 1])
def test_lengths(length: int) -> None:
    with pytest.raises(StatementError, match="length"):
        statement.verify(bytes(length))


@pytest.mark.parametrize(
    ("at_ms", "holds"),
    [
        (0, True),
        (STATEMENT_KEY_LIFETIME_MS, True),
        (-1, False),
        (STATEMENT_KEY_LIFETIME_MS + 1, False),
    ],
)
def test_it_was_made_in_its_keys_term(at_ms: int, holds: bool) -> None:
    """R-9.4.3; when it is read does not matter."""
    if holds:
        statement.verify(signed(at_ms=NOW_MS + at_ms))
        return
    with pytest.raises(StatementError, match="term"):
        statement.verify(signed(at_ms=NOW_MS + at_ms))


@pytest.mark.parametrize(
    ("public_len", "now_ms"), [(31, NOW_MS), (33, NOW_MS), (32, -1), (32, 2**53)]
)
def test_what_no_certificate_can_hold_is_not_certified(public_len: int, now_ms: int) -> None:
    with pytest.raises(StatementError, match="clock"):
        statement.certify(ALICE, bytes(public_len), now_ms=now_ms)


@pytest.mark.parametrize("now_ms", [0, 2**53 - 1])
def test_the_first_and_the_last_time(now_ms: int) -> None:
    """R-9.4.3: times are those of a message, 0 to 2^53 - 1."""
    certificate = statement.certify(ALICE, ed25519.public_key(KEY), now_ms=now_ms)
    made = statement.sign(KEY, certificate, recipient=BOB, at_ms=now_ms, text="x")
    assert statement.verify(made).at_ms == now_ms
    later = statement.sign(KEY, certificate, recipient=BOB, at_ms=2**53, text="x")
    with pytest.raises(StatementError, match="term"):
        statement.verify(later)


def test_no_other_signature_of_the_identity_certifies_a_statement_key() -> None:
    """R-9.4.1: each purpose has a label of its own."""
    body = CERTIFICATE[:-64]
    other = body + ed25519.sign(ALICE, CERTIFICATE_LABEL + body)
    with pytest.raises(StatementError, match="not certified"):
        statement.read_certificate(other)


def test_somebody_who_certifies_anothers_statement_key_speaks_for_nobody() -> None:
    """R-9.4.2: Mallory vouches for Alice's key, and shows Alice's statement as her own."""
    theirs = statement.certify(MALLORY, ed25519.public_key(KEY), now_ms=NOW_MS)
    with pytest.raises(StatementError, match="another signer"):
        statement.verify(theirs + signed()[KEY_CERTIFICATE_LEN:])


def test_a_body_of_an_unknown_form() -> None:
    with pytest.raises(StatementError, match="format 2"):
        statement.verify(resigned(lambda body: body.__setitem__(0, 2)))
    with pytest.raises(StatementError, match="UTF-8"):
        statement.verify(resigned(lambda body: body.__setitem__(-1, 0xFF)))


def test_a_key_that_was_never_valid_and_one_of_an_unknown_form() -> None:
    for change, problem in ((80, "never valid"), (0, "format")):
        body = bytearray(CERTIFICATE[:-64])
        if change:
            body[73:81] = body[65:73]
        else:
            body[0] = 2
        encoded = bytes(body) + ed25519.sign(ALICE, KEY_LABEL + bytes(body))
        with pytest.raises(StatementError, match=problem):
            statement.read_certificate(encoded)


def test_who_said_it_to_whom_is_insisted_on() -> None:
    """R-9.4.4"""
    alice = ed25519.public_key(ALICE)
    statement.verify_from(signed(), signer=alice, recipient=BOB)
    for signer, recipient in ((BOB, BOB), (alice, alice)):
        with pytest.raises(StatementError, match="another"):
            statement.verify_from(signed(), signer=signer, recipient=recipient)


# --- the file -----------------------------------------------------------------------------------


def test_a_file_says_what_was_signed() -> None:
    """R-9.4.6"""
    assert from_file(to_file(signed()).encode()) == statement.verify(signed())
    assert json.loads(to_file(signed())) == {
        "what": "p2pchat statement",
        "signer": peer_id(ed25519.public_key(ALICE)),
        "recipient": peer_id(BOB),
        "at_ms": NOW_MS + 5,
        "text": "I owe Bob a boat.",
        "signed": base64.b64encode(signed()).decode(),
    }


@pytest.mark.parametrize("field", ["signer", "recipient", "at_ms", "text", "what", "more"])
def test_a_file_that_says_something_else_beside_is_refused(field: str) -> None:
    """R-9.4.6"""
    content = json.loads(to_file(signed()))
    content[field] = 0
    with pytest.raises(StatementError, match="not what was signed"):
        from_file(json.dumps(content).encode())


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b"null", b"\xff", b'{"signed": "!"}', b'{"signed": 5}', b"[" * 9999],
)
def test_what_is_no_such_file(content: bytes) -> None:
    with pytest.raises(StatementError):
        from_file(content)


def test_a_file_is_bounded() -> None:
    with pytest.raises(StatementError, match="too large"):
        from_file(bytes(FILE_MAX_BYTES + 1))
    longest = to_file(signed("\x01" * TEXT_MAX_BYTES))
    assert len(longest) < FILE_MAX_BYTES
    assert from_file(longest.encode().ljust(FILE_MAX_BYTES)).text == "\x01" * TEXT_MAX_BYTES


# --- agreement ----------------------------------------------------------------------------------


def test_the_protocol_prints_these_tables() -> None:
    document = (ROOT / "protocol.md").read_text()
    start, end = "<!-- record-table -->\n", "\n<!-- /record-table -->"
    assert document.split(start)[1].split(end)[0] == on_record.markdown()


def test_nobody_is_on_the_record_alone() -> None:
    """R-9.4.5: each way to ON has a word of either side in it."""
    for first, second in ((OURS, THEIRS), (THEIRS, OURS)):
        alone = {OnRecord.OFF}
        for _ in RecordStep:
            alone |= {following for (state, _), following in first.items() if state in alone}
        assert OnRecord.ON not in alone
        assert OnRecord.ON in second.values()
