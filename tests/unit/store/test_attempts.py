"""Wrong passphrases: the delay, what survives a restart, and a clock that jumps."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from p2pchat.errors import LockedError
from p2pchat.store.attempts import DELAYS_S, KEPT_MAX, Attempts

NOW_MS = 1_790_000_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "attempts"


def waited_s(path: Path, now_ms: int) -> int:
    """Return the whole seconds after which the next try is allowed."""
    for seconds in range(100):
        try:
            Attempts(path).require_patience(now_ms + seconds * 1000)
        except LockedError:
            continue
        return seconds
    raise AssertionError("for ever")


def test_the_delay_grows_with_each_wrong_one_and_over_restarts(path: Path) -> None:
    now_ms, waits = NOW_MS, []
    for _ in range(len(DELAYS_S) + 2):
        waits.append(waited_s(path, now_ms))
        now_ms += waits[-1] * 1000
        Attempts(path).failed(now_ms)  # read anew each time, as by another process
    assert waits == [*DELAYS_S, DELAYS_S[-1], DELAYS_S[-1]]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_refusal_says_how_long_and_is_no_failure(path: Path) -> None:
    for _ in range(4):
        Attempts(path).failed(NOW_MS)
    before = path.read_bytes()
    with pytest.raises(LockedError, match=r"4 wrong passphrases in a row; try again in 2 s"):
        Attempts(path).require_patience(NOW_MS + 1)
    assert path.read_bytes() == before


def test_the_right_one_ends_the_delay_and_keeps_the_times_until_they_are_told(path: Path) -> None:
    for number in range(5):
        Attempts(path).failed(NOW_MS + number)
    Attempts(path).succeeded()
    again = Attempts(path)
    again.require_patience(NOW_MS)
    assert again.failures == tuple(range(NOW_MS, NOW_MS + 5))
    again.failed(NOW_MS + 9)  # one in a row: not six
    Attempts(path).require_patience(NOW_MS + 9)
    assert len(Attempts(path).failures) == 6
    again.told()
    assert not path.exists()
    assert Attempts(path).failures == ()


def test_a_clock_that_was_set_back_delays_but_not_for_ever(path: Path) -> None:
    for _ in range(4):
        Attempts(path).failed(NOW_MS + 10**12)
    with pytest.raises(LockedError, match="in 2 s"):
        Attempts(path).require_patience(NOW_MS)
    Attempts(path).require_patience(NOW_MS + 2000)


def test_the_file_stays_small_and_rubbish_in_it_counts_for_nothing(path: Path) -> None:
    attempts = Attempts(path)
    for number in range(KEPT_MAX + 30):
        attempts.failed(NOW_MS + number)
    assert Attempts(path).failures == tuple(range(NOW_MS + 30, NOW_MS + KEPT_MAX + 30))
    assert path.stat().st_size < 4096
    path.write_bytes(b"\xff\x00\n-5\n" + b"x" * 100_000)
    assert Attempts(path).failures == ()
    Attempts(path).require_patience(NOW_MS)
