"""Every parser of bytes from outside: what it takes, seeds that are right, errors it declares."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from dataclasses import dataclass

from p2pchat.config import parse_config
from p2pchat.crypto import x25519
from p2pchat.errors import (
    CertificateError,
    DamagedStateError,
    DecryptionError,
    IdentityError,
    InvalidKeyError,
    KeyStatementError,
    LinkError,
    ProtocolError,
    UsageError,
)
from p2pchat.identity.certificate import parse_and_verify
from p2pchat.identity.keys import parse_peer_id, peer_id
from p2pchat.identity.link import ContactLink, encode_link, parse_address, parse_link
from p2pchat.identity.revocation import (
    encode_revocation_text,
    parse_revocation,
    parse_revocation_text,
    revoke,
)
from p2pchat.identity.succession import parse_succession, succeed
from p2pchat.interop.noise_vectors import check_data
from p2pchat.noise.handshake import HandshakeState
from p2pchat.ratchet.double_ratchet import decrypt, encrypt
from p2pchat.rpc.protocol import parse_line
from p2pchat.sanitize import clean_line, clean_text
from p2pchat.session.changes import Edit, Reaction, Timer
from p2pchat.session.codec import decode_map, encode_map
from p2pchat.session.delivery import decode_session, encode_session
from p2pchat.session.events import ConnectionClosed
from p2pchat.session.frames import (
    FrameBuffer,
    Kind,
    decode_inner,
    encode_inner,
    pad_payload,
    unpad_payload,
)
from p2pchat.session.greeting import Announcement, Greeting, decode_greeting, encode_greeting
from p2pchat.session.messages import KINDS, Text, decode_message, encode_message
from p2pchat.session.negotiation import (
    HYBRID_OFFER,
    IK_HFS,
    OUR_OFFER,
    XX,
    decode_offer,
    decode_preamble,
    encode_offer,
    encode_preamble,
)
from p2pchat.session.vanishing import TimerStep
from tests.support.pairs import NOW_MS, Pair, open_pair, person, seeded_rng


@dataclass(frozen=True)
class Target:
    """One parser under fuzz."""

    name: str
    parse: Callable[[bytes], object]
    declared: tuple[type[Exception], ...]
    seeds: tuple[bytes, ...]


def _text(parse: Callable[[str], object]) -> Callable[[bytes], object]:
    return lambda data: parse(data.decode("utf-8", "surrogateescape"))


def _clean(text: str) -> None:
    for clean in (clean_text(text), clean_line(text, 80)):
        if any((ord(char) < 32 and char != "\n") or 0x7F <= ord(char) < 0xA0 for char in clean):
            raise AssertionError("a control character came through")


def _frames(data: bytes) -> None:
    buffer = FrameBuffer()
    buffer.append(data)
    while buffer.take_frame() is not None:
        pass


def _config(data: bytes) -> None:
    try:
        settings = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        return
    parse_config(settings)


def _connection(data: bytes) -> None:
    """A listener that is fed anything; whatever it thinks of it, it says by an event."""
    pair = Pair(person("alice"), person("bob"))
    listener = pair.b.connection
    listener.receive_data(data, now=pair.now)
    while (event := listener.next_event()) is not None:
        if isinstance(event, ConnectionClosed):
            return
    listener.data_to_send()


def targets() -> list[Target]:
    """Return all of them, with their seeds."""
    alice = person("alice")
    config = alice.config()
    pair = open_pair()
    session = pair.a.state
    _, envelope = encrypt(session.ratchet, b"seed", rng=seeded_rng("fuzz"))
    receiving = pair.b.state.ratchet
    pair_static = x25519.generate(rng=seeded_rng("fuzz static"))

    def handshake(data: bytes) -> None:
        state = HandshakeState(
            XX.noise_name, initiator=False, rng=seeded_rng("responder"), s=pair_static
        )
        state.read_message(data)

    initiator = HandshakeState(
        XX.noise_name, initiator=True, rng=seeded_rng("initiator"), s=config.static
    )
    fresh = Pair(person("alice"), person("bob"))
    first_bytes = fresh.a.connection.data_to_send()
    link = encode_link(ContactLink(alice.identity.public, "Alice", ("127.0.0.1:1", "[::1]:2")))
    text = encode_message(Text(b"i" * 16, 1, "hello"))
    revocation = revoke(alice.identity.seed)
    succession = succeed(person("bob").identity.seed, alice.identity.seed, now_ms=NOW_MS)
    told = Announcement(NOW_MS, succession)
    about = b"j" * 16
    changes = (
        Text(b"i" * 16, 1, "answer", about, 60),
        Edit(b"i" * 16, 1, about, "better"),
        Reaction(b"i" * 16, 1, about, "+"),
        Timer(b"i" * 16, 1, TimerStep.PROPOSE, 60),
        Timer(b"i" * 16, 1, TimerStep.ACCEPT, of=about),
    )
    greeting = encode_greeting(Greeting(True, "Alice", "note", announcement=told, kinds=KINDS))
    protocol = (ProtocolError,)
    return [
        Target(
            "offer", decode_offer, protocol, tuple(map(encode_offer, (OUR_OFFER, HYBRID_OFFER)))
        ),
        Target("preamble", decode_preamble, protocol, (encode_preamble(IK_HFS.number, OUR_OFFER),)),
        Target("frames", _frames, protocol, (b"\x00\x01a\x00\x02bc", b"\x00\x00")),
        Target("inner", decode_inner, protocol, (encode_inner(Kind.PING, b"12345678"),)),
        Target("payload", unpad_payload, protocol, (pad_payload(b"content"),)),
        Target(
            "map",
            lambda data: decode_map(data, max_bytes=2048),
            protocol,
            (encode_map({"a": [1, {"b": b"c"}], "d": True, "e": None}),),
        ),
        Target(
            "message", decode_message, protocol, (text, *(encode_message(each) for each in changes))
        ),
        Target("greeting", decode_greeting, protocol, (greeting, encode_map({"accepted": False}))),
        Target(
            "certificate",
            lambda data: parse_and_verify(data, now_ms=NOW_MS),
            (CertificateError,),
            (config.certificate.encoded,),
        ),
        Target(
            "peer id",
            _text(parse_peer_id),
            (IdentityError,),
            (peer_id(alice.identity.public).encode(),),
        ),
        Target("revocation", parse_revocation, (KeyStatementError,), (revocation.encoded,)),
        Target(
            "revocation text",
            _text(parse_revocation_text),
            (KeyStatementError,),
            (encode_revocation_text(revocation).encode(),),
        ),
        Target("succession", parse_succession, (KeyStatementError,), (succession.encoded,)),
        Target("link", _text(parse_link), (LinkError,), (link.encode(),)),
        Target(
            "address",
            _text(parse_address),
            (IdentityError,),
            (b"127.0.0.1:80", b"[::1]:80", b"host.example:1"),
        ),
        Target(
            "noise message",
            handshake,
            (DecryptionError, InvalidKeyError),
            (initiator.write_message(),),
        ),
        Target(
            "envelope",
            lambda data: decrypt(receiving, data),
            (DecryptionError,),
            (envelope, session.unacknowledged[0].envelope if session.unacknowledged else envelope),
        ),
        Target(
            "session snapshot",
            lambda data: decode_session(data, ()),
            (DamagedStateError,),
            (encode_session(session),),
        ),
        Target("connection", _connection, (), (first_bytes, first_bytes[:40])),
        Target(
            "rpc line",
            parse_line,
            (),
            (b'{"jsonrpc":"2.0","id":1,"method":"node.status","params":{}}', b"[]"),
        ),
        Target(
            "settings",
            _config,
            (UsageError,),
            (b'listen = ["127.0.0.1:0"]\nretry_max_s = 3.5\nstealth = true\n',),
        ),
        Target(
            "vector file",
            check_data,
            (),
            (json.dumps({"vectors": [{"protocol_name": XX.noise_name}]}).encode(),),
        ),
        Target("shown text", _text(_clean), (), (b"\x1b[31m", "e\u0301\u202e\u200d".encode())),
    ]
