"""``python -m tests.support.recording_node``: p2pchat that keeps a record of its message keys.

Two lines a message go to ``PROFILE.record``, both before what they tell of goes on, so a process
that is killed has recorded everything that left it:

- ``sealed KEY BODY``: the ratchet has encrypted a message. A crash may follow before the state is
  stored; then the same key seals another message in the next process, and that is sound, provided
  the first one never left.
- ``leaves INDEX ENVELOPE BODY``: an envelope has been handed to the transport's cipher, which the
  connection does for nothing that still waits for its commit.

KEY, BODY and ENVELOPE are hashes: no secret is written.

Its disk is slow, too: each commit takes some milliseconds before and after, so that a kill at a
random moment often falls between sealing, storing and sending.
"""

from __future__ import annotations

import hashlib
import os
import random  # noqa: TID251 - the moments of a slow disk need no quality
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

from p2pchat.cli.main import main
from p2pchat.crypto import aead
from p2pchat.ratchet import double_ratchet
from p2pchat.ratchet.header import PREFIX_LEN
from p2pchat.session.frames import Kind
from p2pchat.session.outgoing import INDEX_LEN
from p2pchat.session.records import FrameSealer
from p2pchat.store.jobs import Job, Outcome
from p2pchat.store.writer import Writer

SLOWNESS_S = 0.006
"""At most, before and after each commit."""


def record_path(profile: Path) -> Path:
    return profile.with_name(f"{profile.name}.record")


def forget_record(profile: Path) -> None:
    """Begin the record anew, under the running process."""
    os.truncate(record_path(profile), 0)


@dataclass(slots=True)
class Record:
    """What the processes of one profile have sealed and sent, over all their lives.

    Attributes:
        sealed: How often the ratchet has sealed.
        left: How often an envelope has left, the same one after a reconnect included.
        envelopes: The distinct envelopes that left, by the key of their message.
    """

    sealed: int = 0
    left: int = 0
    envelopes: dict[str, set[tuple[str, str]]] = field(default_factory=dict)

    @classmethod
    def read(cls, profile: Path) -> Record:
        record = cls()
        keys: dict[str, str] = {}
        for line in record_path(profile).read_text().splitlines():
            match line.split():
                case ["sealed", key, body]:
                    record.sealed += 1
                    keys[body] = key
                case ["leaves", index, envelope, body]:
                    record.left += 1
                    record.envelopes.setdefault(keys[body], set()).add((index, envelope))
                case _:
                    raise AssertionError(line)
        return record


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]


def _start_recording(path: Path) -> None:
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(*words: str) -> None:
        os.write(file, " ".join(words).encode() + b"\n")

    def seal(key: bytes, nonce: bytes, plaintext: bytes, associated_data: bytes) -> bytes:
        body = aead.seal(key, nonce, plaintext, associated_data)
        write("sealed", _hash(key), _hash(body))
        return body

    plain = FrameSealer.seal

    def leave(self: FrameSealer, kind: int, body: bytes, *, now: float, at_least: int = 0) -> bytes:
        assert kind != Kind.RATCHET_PART, "only short messages, please"
        if kind == Kind.RATCHET:
            index, envelope = body[:INDEX_LEN], body[INDEX_LEN:]
            write("leaves", index.hex(), _hash(envelope), _hash(envelope[PREFIX_LEN:]))
        return plain(self, kind, body, now=now, at_least=at_least)

    # Only in a process of its own, and only where the ratchet looks: other users of the cipher
    # (the key file) are not recorded.
    vars(double_ratchet)["aead"] = SimpleNamespace(seal=seal, open_=aead.open_)
    FrameSealer.seal = leave  # type: ignore[method-assign]  # recorded


def _slow_down_the_disk() -> None:
    plain = Writer._run_group

    def slow(self: Writer, jobs: list[Job]) -> list[Outcome]:
        time.sleep(SLOWNESS_S * random.random())
        outcomes = plain(self, jobs)
        time.sleep(SLOWNESS_S * random.random())
        return outcomes

    Writer._run_group = slow  # type: ignore[method-assign]  # recorded


if __name__ == "__main__":
    _slow_down_the_disk()
    _start_recording(record_path(Path(sys.argv[sys.argv.index("--profile") + 1])))
    sys.exit(main())
