"""greeting.json, messages.json, errors.json (protocol.md §8.3, §9, §12)."""

from __future__ import annotations

from typing import Any, Final

import msgpack

from p2pchat.errors import ErrorCode
from p2pchat.interop.personas import seeded_rng
from p2pchat.interop.vectors.form import VectorFile, from_hex, refused
from p2pchat.session.codec import encode_map
from p2pchat.session.delivery import (
    SessionSummary,
)
from p2pchat.session.greeting import Announcement, Greeting, decode_greeting, encode_greeting
from p2pchat.session.ledger import EMPTY, LedgerSummary, extend
from p2pchat.session.messages import KINDS, Text, Unsupported, decode_message, encode_message

VIOLATION: Final = ErrorCode.PROTOCOL_VIOLATION.name
_SESSION: Final = {"id": bytes(range(16)), "sent": 12, "received": 7, "digest": bytes(range(32))}

_OF: Final = bytes(range(16, 32))

_LEDGER: Final = LedgerSummary(extend(EMPTY, [bytes(16)]), EMPTY)
RECOVERED_AT_MS: Final = 1_789_900_000_000


def files() -> list[VectorFile]:
    """Return the files."""
    return [
        VectorFile(
            "greeting.json",
            "protocol.md sections 8.3 and 9.1: bodies of HELLO",
            _greetings(),
            _bad_greetings(),
            {"HELLO": from_hex(decode_greeting)},
        ),
        VectorFile(
            "messages.json",
            "protocol.md section 9.2: application messages",
            _messages(),
            _bad_messages(),
            {"message": from_hex(decode_message)},
        ),
        VectorFile(
            "errors.json",
            "protocol.md section 12: error codes",
            [{"name": code.name, "code": code.value} for code in ErrorCode],
        ),
    ]


def _greetings() -> list[dict[str, Any]]:
    summary = SessionSummary(bytes(range(16)), 12, 7, bytes(range(32)))
    greetings = {
        "a stranger, or someone blocked": Greeting(False),
        "accepted, without a session": Greeting(True, "Älice"),
        "accepted, with a note": Greeting(True, "Alice", "We met in Ghent."),
        "accepted, with a session": Greeting(True, "Alice", session=summary),
        "accepted, with nothing else": Greeting(True),
        "accepted, with a ledger": Greeting(True, "Alice", ledger=_LEDGER),
        "accepted, on another computer": Greeting(
            True, "Alice", announcement=Announcement(RECOVERED_AT_MS)
        ),
        "accepted, with the kinds of messages it knows": Greeting(True, "Alice", kinds=KINDS),
    }
    cases = [
        {"name": f"HELLO: {name}", **_fields(greeting), "body": encode_greeting(greeting).hex()}
        for name, greeting in greetings.items()
    ]
    later = encode_map({"later": [1, {"x": None}], "accepted": True, "name": "Alice"})
    other = {"name": "HELLO: unknown fields are ignored", **_fields(decode_greeting(later))}
    return [*cases, {**other, "body": later.hex()}]


def _fields(greeting: Greeting) -> dict[str, Any]:
    session = greeting.session
    recovered = greeting.announcement.recovered_at_ms
    return {
        "accepted": greeting.accepted,
        "own_name": greeting.name,
        "note": greeting.note,
        "session": None
        if session is None
        else {
            "id": session.session_id.hex(),
            "sent": session.sent,
            "received": session.received,
            "digest": session.digest.hex(),
        },
        "ledger": None
        if greeting.ledger is None
        else {
            "sent": greeting.ledger.sent.count,
            "sent_digest": greeting.ledger.sent.digest.hex(),
            "received": greeting.ledger.received.count,
            "received_digest": greeting.ledger.received.digest.hex(),
        },
        "kinds": sorted(greeting.kinds),
    } | ({} if recovered is None else {"recovered": recovered})


def _bad_greetings() -> list[dict[str, str]]:
    def hello(**fields: Any) -> bytes:
        return encode_map({"accepted": True, "name": "Alice"} | fields)

    deep: Any = []
    for _ in range(8):
        deep = [deep]
    return refused(
        "HELLO",
        VIOLATION,
        HELLO_empty=b"",
        HELLO_that_is_no_msgpack=b"\xc1",
        HELLO_that_is_an_array=b"\x91\xc3",
        HELLO_with_a_key_twice=b"\x82\xa8accepted\xc2\xa8accepted\xc3",
        HELLO_with_a_key_that_is_no_string=b"\x82\xa8accepted\xc3\x01\x02",
        HELLO_with_an_extension=msgpack.packb({"accepted": True, "x": msgpack.ExtType(5, b"y")}),
        HELLO_with_text_that_is_no_UTF_8=b"\x82\xa8accepted\xc3\xa4name\xa2\xff\xfe",
        HELLO_with_bytes_behind_its_end=hello() + b"\x00",
        HELLO_that_nests_too_deep=hello(x=deep),
        HELLO_with_33_entries=hello(**{f"x{number}": 0 for number in range(31)}),
        HELLO_with_an_array_of_65_items=hello(x=[0] * 65),
        HELLO_with_a_length_that_is_not_there=b"\xdf\xff\xff\xff\xff",
        HELLO_of_more_than_2048_bytes=hello(x=bytes(2048)),
        HELLO_without_accepted=encode_map({"name": "Alice"}),
        HELLO_with_a_number_for_a_bool=hello(accepted=1),
        HELLO_with_a_kind_that_has_no_name=hello(kinds=[""]),
        HELLO_with_a_kind_of_33_characters=hello(kinds=["k" * 33]),
        HELLO_with_a_kind_that_is_a_number=hello(kinds=[1]),
        HELLO_with_a_name_of_65_bytes=hello(name="n" * 65),
        HELLO_with_a_note_of_281_characters=hello(note="n" * 281),
        HELLO_recovered_before_1970=hello(recovered=-1),
        HELLO_recovered_at_no_number=hello(recovered="yesterday"),
        HELLO_with_a_succession_of_200_bytes=hello(succession=bytes(200)),
        HELLO_with_an_unknown_mandatory_field=hello(**{"!later": 1}),
        HELLO_with_a_mandatory_field_in_its_session=hello(session={**_SESSION, "!later": 1}),
        HELLO_with_a_session_id_of_15_bytes=hello(session={**_SESSION, "id": bytes(15)}),
        HELLO_with_a_bool_for_a_count=hello(session={**_SESSION, "sent": True}),
        HELLO_with_a_float_for_a_count=hello(session={**_SESSION, "sent": 1.0}),
        HELLO_with_a_negative_count=hello(session={**_SESSION, "received": -1}),
        HELLO_with_half_a_ledger=hello(ledger={"sent": 0, "sent_digest": bytes(32)}),
    )


def _messages() -> list[dict[str, Any]]:
    rng = seeded_rng("vectors/messages")
    texts = {
        "text": Text(rng(16), 1_790_000_000_000, "Hello, Bob."),
        "text in two lines, beyond ASCII": Text(rng(16), 1_790_000_000_001, "Grüße\n你好 👩‍💻"),
        "text of one byte, at the begin of time": Text(rng(16), 0, "."),
        "text at the end of time": Text(rng(16), 2**53 - 1, "at last"),
    }
    cases = [
        {
            "name": name,
            "t": "text",
            "id": text.message_id.hex(),
            "at": text.sent_at_ms,
            "body": text.body,
            "content": encode_message(text).hex(),
        }
        for name, text in texts.items()
    ]
    for name, fields in (
        ("a kind that is not known is stored", {"t": "hologram", "data": [1]}),
        ("a word about the record", {"t": "record", "state": "propose"}),
        ("a statement, not looked into here", {"t": "statement", "signed": bytes(283)}),
        ("an answer that disappears", {"t": "text", "body": "x", "re": _OF, "ttl": 3600}),
        ("an edit", {"t": "edit", "of": _OF, "body": "better"}),
        ("a deletion", {"t": "delete", "of": _OF}),
        ("a reaction", {"t": "reaction", "of": _OF, "emoji": "👍"}),
        ("a reaction taken back", {"t": "reaction", "of": _OF, "emoji": ""}),
        ("a receipt", {"t": "read", "of": _OF}),
        ("a timer, proposed", {"t": "timer", "state": "propose", "s": 3600}),
        ("a timer, accepted", {"t": "timer", "state": "accept", "of": _OF}),
        ("a timer, declined", {"t": "timer", "state": "decline", "of": _OF}),
        ("a timer, ended", {"t": "timer", "state": "end"}),
        ("unknown fields of a text are ignored", {"t": "text", "body": "x", "later": {}}),
        ("a text with a mandatory field that is not known is stored", {"t": "text", "!x": 1}),
    ):
        content = encode_map({"id": bytes(16), "at": 5, **fields})
        read = decode_message(content)
        case = {"name": name, "t": fields["t"], "id": bytes(16).hex(), "at": 5}
        for field in ("state", "body", "re", "of", "ttl", "emoji", "s"):
            if field in fields and not isinstance(read, Unsupported):
                value = fields[field]
                case[field] = value.hex() if isinstance(value, bytes) else value
        cases.append({**case, "content": content.hex()})
    return cases


def _bad_messages() -> list[dict[str, str]]:
    def text(**fields: Any) -> bytes:
        return encode_map({"t": "text", "id": bytes(16), "at": 0, "body": "x"} | fields)

    return refused(
        "message",
        VIOLATION,
        message_without_an_id=encode_map({"t": "text", "at": 0, "body": "x"}),
        message_with_an_id_of_15_bytes=text(id=bytes(15)),
        message_with_a_negative_time=text(at=-1),
        message_after_the_end_of_time=text(at=2**53),
        message_with_a_float_for_its_time=text(at=1.0),
        message_without_a_body=encode_map({"t": "text", "id": bytes(16), "at": 0}),
        message_with_an_empty_body=text(body=""),
        message_with_bytes_for_a_body=text(body=b"x"),
        message_of_an_empty_kind=text(t=""),
        word_about_the_record_that_is_none=text(t="record", state="perhaps"),
        answer_to_an_id_of_15_bytes=text(re=bytes(15)),
        text_that_disappears_after_4_seconds=text(ttl=4),
        text_that_disappears_after_more_than_a_year=text(ttl=31536001),
        edit_without_a_message=text(t="edit"),
        edit_to_nothing=text(t="edit", of=_OF, body=""),
        deletion_of_an_id_of_15_bytes=text(t="delete", of=bytes(15)),
        reaction_of_65_bytes=text(t="reaction", of=_OF, emoji="x" * 65),
        receipt_without_a_message=text(t="read"),
        timer_of_4_seconds=text(t="timer", state="propose", s=4),
        timer_accepted_without_a_proposal=text(t="timer", state="accept"),
        timer_in_no_known_state=text(t="timer", state="perhaps"),
        statement_of_282_bytes=text(t="statement", signed=bytes(282)),
        message_of_a_kind_of_33_characters=text(t="k" * 33),
    )
