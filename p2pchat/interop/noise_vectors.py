"""Checks published Noise test vectors against our engine (protocol.md §5.1, §5.5).

Four forms of file are read: cacophony's, with any of our patterns and modifiers; noise-c's
fallback form, where message 0 is an attempt that its receiver cannot read; the hybrid form, which
gives the KEM's seed, ciphertext and shared secret, and the transport keys; and a small form for
REKEY. Both parties of each vector are played: every message must come out byte for byte, every
payload must come back, and both handshake hashes must agree. A file that is none of these is one
failed vector with one sentence; nothing in a file causes a traceback.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NoReturn

import msgspec

from p2pchat.constants import KEY_LEN
from p2pchat.crypto import kem
from p2pchat.crypto.kem import KemKeyPair
from p2pchat.crypto.secret import Secret
from p2pchat.crypto.x25519 import KeyPair, key_pair
from p2pchat.errors import CryptoError, P2PChatError
from p2pchat.noise.handshake import HandshakeState, Split
from p2pchat.noise.party import Encapsulate
from p2pchat.noise.patterns import parse_protocol_name
from p2pchat.noise.symmetric import CipherState

FILE_MAX_BYTES: Final = 16 * 1024 * 1024
"""The largest published collections have about 1 MB; checked before a file is parsed."""

LABEL_MAX_CHARS: Final = 120
"""Names come out of files; a line stays a line."""


class MismatchError(P2PChatError):
    """Our engine and the vector disagree, or the vector is malformed."""


@dataclass(frozen=True, slots=True)
class VectorResult:
    """One vector's name, and in one sentence what is wrong with it; ``None`` if it passed."""

    name: str
    problem: str | None = None


class _Message(msgspec.Struct):
    payload: str
    ciphertext: str


class _Vector(msgspec.Struct):
    """The fields that matter; byte strings are hexadecimal. Others are ignored."""

    messages: list[_Message]
    pattern: str = ""  # of the attempt before a fallback
    fallback: bool = False
    init_prologue: str = ""
    init_psks: list[str] = msgspec.field(default_factory=list)
    init_ephemeral: str | None = None
    init_static: str | None = None
    init_remote_static: str | None = None
    resp_prologue: str = ""
    resp_psks: list[str] = msgspec.field(default_factory=list)
    resp_ephemeral: str | None = None
    resp_static: str | None = None
    resp_remote_static: str | None = None
    handshake_hash: str | None = None
    init_kem_seed: str | None = None
    kem_ciphertext: str | None = None  # what the responder's encapsulation gives
    kem_shared_secret: str | None = None
    split_k1: str | None = None  # from initiator to responder
    split_k2: str | None = None


class _Rekey(msgspec.Struct):
    k: str
    rekeyed: str
    rekeyed_twice: str


def run(paths: Sequence[str], write: Callable[[str], None]) -> int:
    """Check files and report, a line for each vector and a last one with the counts.

    Args:
        paths: Files in any of the four forms.
        write: Takes one line, without its end.

    Returns:
        0 if there was something to check and all of it passed, otherwise 1.
    """
    passed = failed = 0
    if not paths:
        write("FAIL  no files were given")
        failed = 1
    for path in paths:
        for result in check_file(path):
            label = f"{_printable(path)}: {result.name}"
            if result.problem is None:
                passed += 1
                write(f"ok    {label}")
            else:
                failed += 1
                write(f"FAIL  {label}: {result.problem}")
    write(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def check_file(path: str) -> list[VectorResult]:
    """Check every vector of a file of at most 16 MiB; the list is never empty."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(FILE_MAX_BYTES + 1)
    except OSError as error:
        return [VectorResult("file", f"cannot be read: {error.strerror}")]
    except ValueError:  # a NUL in the path
        return [VectorResult("file", "cannot be read: not a file name")]
    return check_data(data)


def check_data(data: bytes) -> list[VectorResult]:
    """Check every vector of a JSON document; the list is never empty."""
    if len(data) > FILE_MAX_BYTES:
        return [VectorResult("file", f"larger than {FILE_MAX_BYTES} bytes")]
    try:
        document = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return [VectorResult("file", f"not JSON: {_printable(str(error))}")]
    match document:
        case {"vectors": [_, *_] as vectors}:
            # The hybrid form names the protocol once, for all of the file's vectors.
            return [_check_entry(entry, document.get("protocol_name")) for entry in vectors]
        case {"rekeyed": _}:
            return [_check_entry(document, None)]
        case _:
            return [VectorResult("file", "holds no Noise vectors")]


def _check_entry(entry: object, file_name: object) -> VectorResult:
    name = "unnamed"
    try:
        match entry:
            case {"protocol_name": str(given)} | {"name": str(given)}:
                name = _printable(given)
                _check_vector(given, msgspec.convert(entry, _Vector))
            case {"rekeyed": _}:
                name = "REKEY ChaChaPoly"
                _check_rekey(msgspec.convert(entry, _Rekey))
            case {} if isinstance(file_name, str):
                name = _printable(file_name)
                _check_vector(file_name, msgspec.convert(entry, _Vector))
            case _:
                raise MismatchError("has no protocol name")
    except msgspec.ValidationError as error:
        return VectorResult(name, f"malformed: {_printable(str(error))}")
    except P2PChatError as error:
        return VectorResult(name, str(error))
    return VectorResult(name)


def _check_rekey(vector: _Rekey) -> None:
    cipher = CipherState(Secret(_unhex(vector.k, "k")))
    for field, expected in (("rekeyed", vector.rekeyed), ("rekeyed_twice", vector.rekeyed_twice)):
        cipher.rekey()
        _compare_key(field, cipher, expected)


def _check_vector(name: str, vector: _Vector) -> None:
    protocol = parse_protocol_name(name)  # first: clearer than a key that is out of place
    init, resp = _keys_of(vector, "init"), _keys_of(vector, "resp")
    if vector.init_kem_seed is not None:
        seed = Secret(_unhex(vector.init_kem_seed, "init_kem_seed"))
        init = replace(init, e1=kem.key_pair(seed))
    if protocol.is_hybrid:
        resp = replace(resp, encapsulate=_encapsulation(vector))
    messages = [
        (
            _unhex(message.payload, f"the payload of message {number}"),
            _unhex(message.ciphertext, f"the ciphertext of message {number}"),
        )
        for number, message in enumerate(vector.messages)
    ]
    if vector.fallback:
        if not messages:
            raise MismatchError("there is no message to fall back from")
        prefix, _, functions = name.split("_", 2) if name.count("_") > 1 else (name, "", "")
        attempt_name = f"{prefix}_{vector.pattern}_{functions}"
        _check_failed_attempt(attempt_name, init, resp, *messages[0])
        # The receiver of the failed attempt opens the fallback handshake, and so is its initiator.
        remote_ephemeral = messages[0][1][:KEY_LEN]
        initiator = _Party(name, replace(init, rs=None), initiator=False)
        responder = _Party(name, replace(resp, rs=None), initiator=True, re=remote_ephemeral)
    else:
        initiator = _Party(name, init, initiator=True)
        responder = _Party(name, resp, initiator=False)

    for number, (payload, ciphertext) in enumerate(messages):
        if vector.fallback and number == 0:
            continue
        sender, receiver = (responder, initiator) if number % 2 else (initiator, responder)
        _compare(f"message {number}", sender.write(payload), ciphertext)
        _compare(f"the payload of message {number}", receiver.read(ciphertext), payload)
    for party in (initiator, responder):
        party.check_outcome(vector)


def _check_failed_attempt(
    name: str, init: _Keys, resp: _Keys, payload: bytes, ciphertext: bytes
) -> None:
    """Play message 0 of a fallback vector: it must be as given, and must not be readable."""
    _compare("message 0", _Party(name, init, initiator=True).write(payload), ciphertext)
    try:
        _Party(name, resp, initiator=False).read(ciphertext)
    except CryptoError:
        return
    raise MismatchError("message 0 can be read, so there is nothing to fall back from")


@dataclass(frozen=True, slots=True)
class _Keys:
    """What a vector gives one party."""

    prologue: bytes
    s: KeyPair | None
    e: KeyPair | None
    rs: bytes | None
    psks: tuple[Secret, ...]
    e1: KemKeyPair | None = None
    encapsulate: Encapsulate | None = None


class _Party:
    """One party, from its first handshake message to its last transport message."""

    def __init__(
        self, protocol_name: str, keys: _Keys, *, initiator: bool, re: bytes | None = None
    ) -> None:
        self._is_initiator = initiator
        self._handshake = HandshakeState(
            protocol_name,
            initiator=initiator,
            prologue=keys.prologue,
            rng=_no_randomness,
            s=keys.s,
            e=keys.e,
            rs=keys.rs,
            re=re,
            psks=keys.psks,
            e1=keys.e1,
            encapsulate=keys.encapsulate,
        )
        self._split: Split | None = None

    def write(self, payload: bytes) -> bytes:
        if not self._handshake.is_complete:
            return self._handshake.write_message(payload)
        return self._transport().send.encrypt_with_ad(b"", payload)

    def read(self, message: bytes) -> bytes:
        if not self._handshake.is_complete:
            return self._handshake.read_message(message)
        return self._transport().receive.decrypt_with_ad(b"", message)

    def check_outcome(self, vector: _Vector) -> None:
        if not self._handshake.is_complete:
            raise MismatchError("the vector ends before its handshake does")
        if vector.handshake_hash is not None:
            expected = _unhex(vector.handshake_hash, "handshake_hash")
            _compare("handshake_hash", self._handshake.handshake_hash, expected)
        split = self._transport()
        first, second = split.send, split.receive
        if not self._is_initiator:
            first, second = second, first
        _compare_key("split_k1", first, vector.split_k1)
        _compare_key("split_k2", second, vector.split_k2)

    def _transport(self) -> Split:
        if self._split is None:
            self._split = self._handshake.split()
        return self._split


def _keys_of(vector: _Vector, party: str) -> _Keys:
    def field(name: str) -> bytes | None:
        text: str | None = getattr(vector, f"{party}_{name}")
        return None if text is None else _unhex(text, f"{party}_{name}")

    def pair(name: str) -> KeyPair | None:
        private = field(name)
        return None if private is None else key_pair(Secret(private))

    psks: list[str] = getattr(vector, f"{party}_psks")
    return _Keys(
        prologue=field("prologue") or b"",
        s=pair("static"),
        e=pair("ephemeral"),
        rs=field("remote_static"),
        psks=tuple(Secret(_unhex(psk, f"{party}_psks")) for psk in psks),
    )


def _encapsulation(vector: _Vector) -> Encapsulate:
    """Return what gives the vector's ciphertext: our KEM encapsulates at random only."""
    if vector.kem_ciphertext is None or vector.kem_shared_secret is None:
        raise MismatchError("the vector does not give the KEM's ciphertext and shared secret")
    ciphertext = _unhex(vector.kem_ciphertext, "kem_ciphertext")
    shared_secret = _unhex(vector.kem_shared_secret, "kem_shared_secret")
    return lambda _public: (ciphertext, shared_secret)


def _no_randomness(count: int) -> NoReturn:
    raise MismatchError("the vector does not give an ephemeral key that it needs")


def _unhex(text: str, field: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise MismatchError(f"{field} is not hexadecimal") from None


def _compare(what: str, ours: bytes, expected: bytes) -> None:
    if len(ours) != len(expected):
        raise MismatchError(f"{what} has {len(ours)} bytes here, {len(expected)} in the vector")
    for position, (mine, theirs) in enumerate(zip(ours, expected, strict=True)):
        if mine != theirs:
            raise MismatchError(f"{what} differs from byte {position} on")


def _compare_key(field: str, cipher: CipherState, expected: str | None) -> None:
    """Compare a cipher's key by what it encrypts, since the cipher hides the key itself."""
    if expected is None:
        return
    other = CipherState(Secret(_unhex(expected, field)), nonce=cipher.nonce)
    if cipher.encrypt_with_ad(b"", b"") != other.encrypt_with_ad(b"", b""):
        raise MismatchError(f"{field} differs")


def _printable(text: str) -> str:
    """Make text from a file or a command line fit for one line of a terminal."""
    shown = text if text.isprintable() else ascii(text)[1:-1]
    return shown if len(shown) <= LABEL_MAX_CHARS else shown[:LABEL_MAX_CHARS] + "..."
