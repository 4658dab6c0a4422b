"""Notices: bounds, states, and what crosses a real pair (protocol.md §7.8)."""

from __future__ import annotations

import pytest

from p2pchat.constants import NOTICE_MAX_BYTES
from p2pchat.errors import LocalProtocolError, ProtocolError
from p2pchat.identity.certificate import CERTIFICATE_LEN
from p2pchat.session.delivery import INDEX_MAX
from p2pchat.session.events import NoticeReceived, SendNotice
from p2pchat.session.frames import Kind
from p2pchat.session.ledger import Head
from p2pchat.session.notices import (
    NOTICE_KINDS,
    CertificateNotice,
    CompareNotice,
    LedgerNotice,
    Notice,
    RevokedNotice,
    TypingNotice,
    decode_notice,
    encode_notice,
)
from tests.support.pairs import open_pair

NOTICES: list[Notice] = [
    CertificateNotice(bytes(CERTIFICATE_LEN)),
    RevokedNotice(b"r"),
    CompareNotice(bytes(NOTICE_MAX_BYTES)),
    LedgerNotice(Head(INDEX_MAX, bytes(32))),
    TypingNotice(True),
    TypingNotice(False),
]


@pytest.mark.parametrize("notice", NOTICES)
def test_a_notice_comes_out_as_it_went_in(notice: Notice) -> None:
    assert decode_notice(*encode_notice(notice)) == notice


@pytest.mark.parametrize("kind", sorted(NOTICE_KINDS))
@pytest.mark.parametrize("length", [0, NOTICE_MAX_BYTES + 1])
def test_bounds(kind: Kind, length: int) -> None:
    """R-7.8.1."""
    with pytest.raises(ProtocolError):
        decode_notice(kind, bytes(length))


@pytest.mark.parametrize("length", [CERTIFICATE_LEN - 1, CERTIFICATE_LEN + 1])
def test_a_certificate_has_one_length(length: int) -> None:
    """R-7.8.1."""
    with pytest.raises(ProtocolError):
        decode_notice(Kind.CERTIFICATE, bytes(length))
    with pytest.raises(LocalProtocolError):
        encode_notice(CertificateNotice(bytes(length)))


@pytest.mark.parametrize("body", [bytes(39), bytes(41), b"\x80" + bytes(39)])
def test_a_ledger_has_one_length_and_counts_what_can_be(body: bytes) -> None:
    """R-7.8.1."""
    with pytest.raises(ProtocolError):
        decode_notice(Kind.LEDGER, body)


@pytest.mark.parametrize("body", [b"\x02", b"\x01\x01", b"\xff"])
def test_typing_is_one_byte_of_two_values(body: bytes) -> None:
    """R-7.8.8"""
    with pytest.raises(ProtocolError):
        decode_notice(Kind.TYPING, body)


def test_other_kinds_are_no_notices() -> None:
    with pytest.raises(ProtocolError):
        decode_notice(Kind.PING, b"12345678")


@pytest.mark.parametrize("notice", NOTICES)
def test_it_reaches_the_peer_and_changes_no_session(notice: Notice) -> None:
    pair = open_pair()
    pair.command(pair.a, SendNotice(notice))
    pair.pump()
    assert [event.notice for event in pair.b.of(NoticeReceived)] == [notice]
    assert pair.a.connection.is_open
    assert pair.b.connection.is_open
