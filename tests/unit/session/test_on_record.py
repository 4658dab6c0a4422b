"""Messages about the record and statements: their form and bounds (protocol.md §9.2, §9.4)."""

from __future__ import annotations

from typing import Any

import pytest

from p2pchat.constants import CONTENT_MAX_BYTES
from p2pchat.errors import LocalProtocolError, ProtocolError
from p2pchat.identity.on_record import RecordStep
from p2pchat.identity.statement import STATEMENT_MAX_LEN, STATEMENT_MIN_LEN
from p2pchat.session.codec import encode_map
from p2pchat.session.messages import Unsupported, decode_message, encode_message
from p2pchat.session.on_record import Record, Signed

ID = bytes(range(16))


def content(**fields: Any) -> bytes:
    return encode_map({"id": ID, "at": 5} | fields)


@pytest.mark.parametrize("step", RecordStep)
def test_a_word_about_the_record(step: RecordStep) -> None:
    encoded = encode_message(Record(ID, 5, step))
    assert encoded == encode_map({"t": "record", "id": ID, "at": 5, "state": step.value})
    assert decode_message(encoded) == Record(ID, 5, step)


@pytest.mark.parametrize("length", [STATEMENT_MIN_LEN, STATEMENT_MAX_LEN])
def test_a_statement(length: int) -> None:
    encoded = encode_message(Signed(ID, 5, bytes(length)))
    assert len(encoded) <= CONTENT_MAX_BYTES
    assert decode_message(encoded) == Signed(ID, 5, bytes(length))


@pytest.mark.parametrize(
    "fields",
    [
        {"t": "record"},
        {"t": "record", "state": "perhaps"},
        {"t": "record", "state": 1},
        {"t": "statement"},
        {"t": "statement", "signed": "x" * 300},
        {"t": "statement", "signed": bytes(STATEMENT_MIN_LEN - 1)},
        {"t": "statement", "signed": bytes(STATEMENT_MAX_LEN + 1)},
    ],
)
def test_what_breaks_a_rule_is_refused(fields: dict[str, Any]) -> None:
    """R-9.2.2, R-9.4.5"""
    with pytest.raises(ProtocolError):
        decode_message(content(**fields))


def test_out_of_bounds_is_not_sent() -> None:
    for message in (
        Signed(ID, 5, bytes(STATEMENT_MIN_LEN - 1)),
        Record(ID[1:], 5, RecordStep.END),
        Record(ID, -1, RecordStep.END),
    ):
        with pytest.raises(LocalProtocolError):
            encode_message(message)


@pytest.mark.parametrize("kind", ["record", "statement"])
def test_a_mandatory_field_that_is_unknown(kind: str) -> None:
    """R-9.2.2"""
    assert decode_message(content(t=kind, **{"!later": 1})) == Unsupported(ID, 5, kind)
