"""The turnover of transport keys (protocol.md §7.6), to the exact frame and second."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from p2pchat.constants import REKEY_FRAMES, REKEY_INTERVAL_S, REKEY_TOLERATED_FRAMES
from p2pchat.crypto.secret import Secret
from p2pchat.errors import DecryptionError, ErrorCode, ProtocolError
from p2pchat.noise.symmetric import CipherState
from p2pchat.session.events import SendMessage
from p2pchat.session.frames import Kind, decode_inner, encode_frame, encode_inner
from p2pchat.session.records import FrameOpener, FrameSealer
from p2pchat.session.states import State
from tests.support.pairs import (
    ALL_SUITES,
    Pair,
    Peer,
    closed,
    forge,
    frames_of,
    open_pair,
    pair_of,
    suite_id,
)
from tests.support.shells import text

KEY = Secret(b"k" * 32)
PING = bytes(8)
EARLY = 2.0**-20


def kinds(frames: list[bytes], cipher: CipherState) -> list[int]:
    """Read frames as a receiver that follows every REKEY; returns their kinds."""
    found = []
    for frame in frames:
        kind, _ = decode_inner(cipher.decrypt_with_ad(b"", frame[2:]))
        if kind == Kind.REKEY:
            cipher.rekey()
        found.append(kind)
    return found


def sealed(count: int, sealer: FrameSealer, *, now: float = 0.0) -> list[bytes]:
    return [
        frame for _ in range(count) for frame in frames_of(sealer.seal(Kind.PING, PING, now=now))
    ]


# --- The sender ---------------------------------------------------------------------------------


def test_the_1024th_frame_of_a_key_is_its_rekey() -> None:
    """R-7.6.1: in each key's life, not only in the first."""
    frames = sealed(3 * (REKEY_FRAMES - 1), FrameSealer(CipherState(KEY), now=0.0))
    found = kinds(frames, CipherState(KEY))
    assert [place for place, kind in enumerate(found, 1) if kind == Kind.REKEY] == [1024, 2048]
    assert len(found) == 3 * (REKEY_FRAMES - 1) + 2


@pytest.mark.parametrize(
    ("age_s", "expected"),
    [(REKEY_INTERVAL_S - EARLY, [Kind.PING]), (REKEY_INTERVAL_S, [Kind.REKEY, Kind.PING])],
)
def test_ten_minutes_after_the_last_change(age_s: float, expected: list[int]) -> None:
    """R-7.6.1: counted from the key's first moment, then from each change."""
    sealer, cipher = FrameSealer(CipherState(KEY), now=50.0), CipherState(KEY)
    assert kinds(sealed(1, sealer, now=50.0 + age_s), cipher) == expected
    changed = 50.0 + REKEY_INTERVAL_S + 1
    if len(expected) == 1:
        assert kinds(sealed(1, sealer, now=changed), cipher) == [Kind.REKEY, Kind.PING]
    else:
        changed = 50.0 + age_s
    assert kinds(sealed(1, sealer, now=changed + REKEY_INTERVAL_S - EARLY), cipher) == [Kind.PING]
    assert kinds(sealed(1, sealer, now=changed + REKEY_INTERVAL_S), cipher) == [
        Kind.REKEY,
        Kind.PING,
    ]


def test_a_change_begins_a_new_count_and_a_new_time() -> None:
    """R-7.6.1: whichever of the two was due."""
    sealer, cipher = FrameSealer(CipherState(KEY), now=0.0), CipherState(KEY)
    kinds(sealed(1000, sealer), cipher)
    assert kinds(sealed(1, sealer, now=REKEY_INTERVAL_S), cipher) == [Kind.REKEY, Kind.PING]
    rest = kinds(sealed(REKEY_FRAMES - 2, sealer, now=REKEY_INTERVAL_S), cipher)
    assert Kind.REKEY not in rest
    assert kinds(sealed(1, sealer, now=REKEY_INTERVAL_S), cipher)[0] == Kind.REKEY


def test_the_old_key_opens_nothing_after_the_change_and_the_new_one_nothing_before() -> None:
    """R-5.1.9, R-7.6.1: forward secrecy inside a connection; nonces go on."""
    frames = sealed(REKEY_FRAMES + 3, FrameSealer(CipherState(KEY), now=0.0))
    stolen_before, stolen_after = CipherState(KEY), CipherState(KEY)
    assert Kind.REKEY in kinds(frames[:REKEY_FRAMES], stolen_after)
    for frame in frames[:REKEY_FRAMES]:
        stolen_before.decrypt_with_ad(b"", frame[2:])
    with pytest.raises(DecryptionError):
        stolen_before.decrypt_with_ad(b"", frames[REKEY_FRAMES][2:])
    assert kinds(frames[REKEY_FRAMES:], stolen_after) == [Kind.PING] * 4
    replayer = CipherState(KEY)
    replayer.rekey()
    for frame in frames[:20]:
        with pytest.raises(DecryptionError):
            replayer.decrypt_with_ad(b"", frame[2:])


# --- The receiver -------------------------------------------------------------------------------


def lazy(count: int, *, rekey_after: int | None = None) -> list[bytes]:
    """Frames of a sender that never changes its key, or only after so many."""
    cipher, frames = CipherState(KEY), []
    for number in range(count):
        kind = Kind.REKEY if number == rekey_after else Kind.PING
        body = b"" if kind is Kind.REKEY else PING
        frames.append(cipher.encrypt_with_ad(b"", encode_inner(kind, body)))
        if kind is Kind.REKEY:
            cipher.rekey()
    return frames


@pytest.mark.parametrize("rekey_after", [None, 0], ids=["the first key", "the second"])
def test_2048_frames_under_one_key_and_no_more(rekey_after: int | None) -> None:
    """R-7.6.2: in each key's life, not only in the first."""
    opener = FrameOpener(CipherState(KEY))
    earlier = 0 if rekey_after is None else 1
    frames = lazy(earlier + REKEY_TOLERATED_FRAMES + 1, rekey_after=rekey_after)
    for frame in frames[:earlier]:
        assert opener.open(frame) is None
    for frame in frames[earlier:-1]:
        assert opener.open(frame) == (Kind.PING, PING)
    with pytest.raises(ProtocolError) as caught:
        opener.open(frames[-1])
    assert caught.value.code is ErrorCode.LIMIT_EXCEEDED


@pytest.mark.parametrize(("after", "accepted"), [(2047, True), (2048, False)])
def test_the_rekey_counts_as_a_frame_of_the_old_key(after: int, accepted: bool) -> None:
    """R-7.6.2: the 2048th frame may be it, the 2049th may not."""
    opener = FrameOpener(CipherState(KEY))
    frames = lazy(after + 2, rekey_after=after)
    for frame in frames[:after]:
        opener.open(frame)
    if accepted:
        assert opener.open(frames[after]) is None
        assert opener.open(frames[after + 1]) == (Kind.PING, PING)
    else:
        with pytest.raises(ProtocolError):
            opener.open(frames[after])


def test_a_rekey_that_does_not_authenticate_changes_nothing() -> None:
    """R-5.2.2, R-7.6.2: the genuine frame is still read."""
    opener = FrameOpener(CipherState(KEY))
    frames = lazy(2, rekey_after=0)
    with pytest.raises(DecryptionError):
        opener.open(frames[0][:-1] + bytes([frames[0][-1] ^ 1]))
    assert opener.open(frames[0]) is None
    assert opener.open(frames[1]) == (Kind.PING, PING)


# --- In connections -----------------------------------------------------------------------------


def deliver(pair: Pair, receiver: Peer, frames: list[bytes]) -> None:
    receiver.connection.receive_data(b"".join(frames), now=pair.now)
    receiver.drain()


def burst(pair: Pair, count: int) -> list[bytes]:
    """Let alice send so many PINGs, as far as her own program goes."""
    for _ in range(count):
        pair.a.connection._outgoing.control(Kind.PING, PING)
    return frames_of(pair.a.connection.data_to_send())


def until_rekey(pair: Pair) -> list[bytes]:
    """Frames of alice around her REKEY: two before it, it, two after it; all else is delivered."""
    sealer = pair.a.connection._outgoing._sealer
    assert sealer is not None
    deliver(pair, pair.b, burst(pair, REKEY_FRAMES - 3 - sealer._frames))
    frames = burst(pair, 4)
    assert len(frames) == 5
    deliver(pair, pair.a, [pair.b.connection.data_to_send()])
    return frames


@pytest.mark.parametrize("suite", ALL_SUITES, ids=suite_id)
def test_each_direction_changes_its_key_by_itself(suite: object) -> None:
    """R-7.6.1, R-7.6.2: alice twice, bob never; and messages still flow both ways."""
    pair = open_pair(suite=suite)  # type: ignore[arg-type]  # parametrised
    for _ in range(2):
        deliver(pair, pair.b, until_rekey(pair))
    for peer in (pair.a, pair.b):
        pair.command(peer, SendMessage(text(1 if peer is pair.a else 2)))
        pair.pump()
    assert pair.a.state.received > 0
    assert pair.a.connection.is_open
    assert pair.b.connection.is_open


def test_after_ten_minutes_of_keepalives() -> None:
    """R-7.6.1: a quiet connection changes its keys too, on both sides."""
    pair = open_pair()
    start = pair.now
    for _ in range(41):
        pair.now += 15
        for peer in (pair.a, pair.b):
            peer.connection.handle_timeout(pair.now)
        pair.pump()
    for peer in (pair.a, pair.b):
        sealer = peer.connection._outgoing._sealer
        assert sealer is not None
        assert sealer._changed_at == start + REKEY_INTERVAL_S
    assert pair.a.connection.is_open
    assert pair.b.connection.is_open


def test_a_waiting_request_changes_its_keys() -> None:
    """R-7.6.1, R-8.3.5: it may wait for days."""
    pair = pair_of()
    pair.attach(accepted=(True, False))
    for _ in range(100):
        pair.now += 15
        for peer in (pair.a, pair.b):
            peer.connection.handle_timeout(pair.now)
        pair.pump()
    assert pair.a.connection.state is pair.b.connection.state is State.PENDING


TROUBLE: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "REKEY dropped": lambda f: [f[0], f[1], f[3]],
    "REKEY twice": lambda f: [f[0], f[1], f[2], f[2]],
    "REKEY early": lambda f: [f[0], f[2], f[1]],
    "REKEY late": lambda f: [f[0], f[1], f[3], f[2]],
    "frame before it dropped": lambda f: [f[0], f[2]],
    "frame after it dropped": lambda f: [f[0], f[1], f[2], f[4]],
    "old frame after it": lambda f: [f[0], f[1], f[2], f[1]],
    "REKEY cut short": lambda f: [f[0], f[1], b"\x01\x0f" + f[2][2:-1], f[3]],
    "REKEY reflected": lambda f: [],
}


@pytest.mark.parametrize("trouble", TROUBLE)
def test_trouble_around_a_rekey_ends_the_connection(trouble: str) -> None:
    """R-7.1.1, R-7.6.2."""
    pair = open_pair()
    frames = until_rekey(pair)
    victim = pair.b
    if trouble == "REKEY reflected":
        victim = pair.a
        deliver(pair, victim, [frames[2]])
    else:
        deliver(pair, victim, TROUBLE[trouble](frames))
    assert closed(victim).code is ErrorCode.PROTOCOL_VIOLATION
    assert not closed(victim).by_peer


def test_a_peer_that_never_changes_its_key_is_refused() -> None:
    """R-7.6.2: with a CLOSE that says so, and nothing stored is touched."""
    pair = open_pair()
    stored = pair.b.state
    sealer = pair.a.connection._outgoing._sealer
    assert sealer is not None
    for _ in range(REKEY_TOLERATED_FRAMES):
        sealer._frames = 0
        deliver(pair, pair.b, [forge(pair.a, Kind.PING, PING)])
        if pair.b.connection.is_closed:
            break
        pair.b.connection._outgoing._pong = None
    end = closed(pair.b)
    assert (end.code, end.by_peer) == (ErrorCode.LIMIT_EXCEEDED, False)
    assert pair.b.state == stored
    pair.pump()
    assert closed(pair.a).code is ErrorCode.LIMIT_EXCEEDED


def test_a_rekey_looks_like_any_small_frame() -> None:
    """R-7.2.1: only its moment tells, and that is known to everybody anyway."""
    sizes = {
        len(frame) for frame in sealed(REKEY_FRAMES + 1, FrameSealer(CipherState(KEY), now=0.0))
    }
    assert sizes == {len(encode_frame(bytes(256 + 16)))}
