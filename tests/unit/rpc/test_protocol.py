"""Parsing is total and answers with the standard's codes."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pchat.errors import (
    CryptoError,
    DamagedStoreError,
    LinkError,
    LockedError,
    ProfileInUseError,
    TrustError,
    UnknownContactError,
    UnreachableError,
    UsageError,
)
from p2pchat.rpc import params as p
from p2pchat.rpc.failures import to_rpc_error
from p2pchat.rpc.protocol import (
    BATCH_MAX_CALLS,
    BadCall,
    Batch,
    Call,
    RpcCode,
    RpcError,
    format_batch,
    format_error,
    format_notification,
    format_result,
    parse_line,
)


def _bad(line: bytes) -> BadCall:
    parsed = parse_line(line)
    assert isinstance(parsed, BadCall)
    return parsed


def test_a_request_is_parsed() -> None:
    line = b'{"jsonrpc":"2.0","id":"7","method":"contact.add","params":{"link":"x"}}'
    assert parse_line(line) == Call("contact.add", {"link": "x"}, "7")


def test_a_request_without_id_is_a_notification_but_a_null_id_is_not() -> None:
    assert parse_line(b'{"jsonrpc":"2.0","method":"m"}') == Call("m", {}, None, True)
    assert parse_line(b'{"jsonrpc":"2.0","method":"m","id":null}') == Call("m", {}, None)


@pytest.mark.parametrize(
    "line",
    [b"", b"{", b"nonsense", b'{"a":NaN}', b'"\xff"', b'"\\ud800"', b"[" * 100_000, b"\x00"],
)
def test_what_is_no_json_is_a_parse_error(line: bytes) -> None:
    assert _bad(line).error.code == -32700


@pytest.mark.parametrize(
    ("line", "request_id"),
    [
        (b"1", None),
        (b'"text"', None),
        (b"null", None),
        (b"[]", None),
        (b"{}", None),
        (b'{"jsonrpc":"1.0","id":3,"method":"m"}', 3),
        (b'{"id":3,"method":"m"}', 3),
        (b'{"jsonrpc":"2.0","id":3}', 3),
        (b'{"jsonrpc":"2.0","id":3,"method":5}', 3),
        (b'{"jsonrpc":"2.0","id":3,"method":"m","params":"x"}', 3),
        (b'{"jsonrpc":"2.0","id":3,"method":"m","params":null}', 3),
        (b'{"jsonrpc":"2.0","id":[1],"method":"m"}', None),
        (b'{"jsonrpc":"2.0","id":true,"method":"m"}', None),
    ],
)
def test_what_is_no_request_is_refused_with_its_id(line: bytes, request_id: int | None) -> None:
    bad = _bad(line)
    assert bad.error.code == -32600
    assert bad.request_id == request_id


def test_a_batch_keeps_its_order_and_judges_each_entry() -> None:
    parsed = parse_line(b'[{"jsonrpc":"2.0","id":1,"method":"a"},7]')
    assert isinstance(parsed, Batch)
    first, second = parsed.calls
    assert first == Call("a", {}, 1)
    assert isinstance(second, BadCall)
    assert second.error.code == RpcCode.INVALID_REQUEST


def test_a_batch_is_bounded() -> None:
    assert isinstance(parse_line(b"[" + b"1," * (BATCH_MAX_CALLS - 1) + b"1]"), Batch)
    assert _bad(b"[" + b"1," * BATCH_MAX_CALLS + b"1]").error.code == RpcCode.INVALID_REQUEST


@given(st.binary(max_size=200))
@settings(max_examples=150)
def test_parsing_never_raises(line: bytes) -> None:
    assert isinstance(parse_line(line), Call | BadCall | Batch)


def test_what_is_formatted_is_one_line_of_json() -> None:
    hostile = "a\nb\r\u2028\x1b"
    for line in (
        format_result(1, {"text": hostile}),
        format_error("x", RpcError(-32000, hostile, kind="contact")),
        format_notification("message.received", {"text": hostile}),
        format_batch([format_result(1, {}), format_result(2, {})]),
    ):
        assert b"\n" not in line
        assert b"\r" not in line
        json.loads(line)
    error = json.loads(format_error("x", RpcError(-32000, "why", kind="contact")))
    assert error == {
        "jsonrpc": "2.0",
        "id": "x",
        "error": {"code": -32000, "message": "why", "data": {"kind": "contact"}},
    }


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (LockedError("w"), -32001),
        (UnknownContactError("w"), -32002),
        (UnreachableError("w"), -32003),
        (TrustError("w"), -32004),
        (UsageError("w"), -32602),
        (LinkError("w"), -32602),
        (DamagedStoreError("w"), -32000),
        (ProfileInUseError("w"), -32000),
        (CryptoError("w"), -32000),
    ],
)
def test_our_errors_have_the_codes_of_the_interface(error: Exception, code: int) -> None:
    answer = to_rpc_error(error)
    assert (answer.code, answer.message) == (code, "w")


def test_a_defect_says_nothing_of_itself() -> None:
    answer = to_rpc_error(ValueError("secret-in-a-message"))
    assert answer.code == -32603
    assert "secret" not in answer.message


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        (p.Params, {"extra": 1}),
        (p.Params, [1]),
        (p.ContactParams, {}),
        (p.ContactParams, {"contact": 5}),
        (p.ContactParams, {"contact": None}),
        (p.ContactParams, {"contact": ""}),
        (p.ContactParams, {"contact": "x" * 1000}),
        (p.SendParams, {"contact": "bob", "text": ""}),
        (p.SendParams, {"contact": "bob", "text": "x" * 65537}),
        (p.SendParams, {"contact": "bob", "text": "x", "txt": "y"}),
        (p.ListParams, {"contact": "bob", "limit": 0}),
        (p.ListParams, {"contact": "bob", "limit": "5"}),
        (p.ListParams, {"contact": "bob", "limit": True}),
        (p.ListParams, {"contact": "bob", "limit": 10**6}),
        (p.ListParams, {"contact": "bob", "before": "not-hex"}),
        (p.ListParams, {"contact": "bob", "before": "A" * 32}),
        (p.WaitParams, {"contact": "bob", "message_id": "0" * 32, "timeout": -1}),
        (p.AddressParams, {"contact": "bob", "addresses": "h:1"}),
        (p.AddressParams, {"contact": "bob", "addresses": ["h:1"] * 9}),
        (p.AddParams, {"link": ""}),
        (p.AddParams, {"link": "x" * 5000}),
    ],
)
def test_parameters_that_do_not_fit_are_refused(kind: type[p.Params], params: object) -> None:
    with pytest.raises(RpcError) as caught:
        p.convert(params, kind)  # type: ignore[arg-type]  # whatever JSON gave
    assert caught.value.code == -32602


def test_parameters_that_fit_are_typed() -> None:
    assert p.convert({"contact": "bob"}, p.ListParams) == p.ListParams("bob", None, 50, None)
    assert p.convert([], p.Params) == p.Params()
