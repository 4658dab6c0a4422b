"""A store with a million messages: reading, searching, writing, and a node that only waits.

The store is made once a run, in bulk, within ``BUILD_MAX_S``: 40 contacts, one of them with
400,000 messages, one with a hundred. Every figure is ours alone and stands beside what is
allowed, so ``ratio`` says how much of it is used. Reads and writes go through the store's own
threads, as the node's do; the idle node is a process of its own, that of the command line, with
the password hash that profiles have.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import apsw

from p2pchat.crypto import pwhash, x25519
from p2pchat.crypto.secret import Secret, system_rng
from p2pchat.identity.certificate import issue
from p2pchat.identity.keys import generate_identity
from p2pchat.identity.trust import Pin, Trust
from p2pchat.node.clock import SystemClock
from p2pchat.store.database import Database, write_identity
from p2pchat.store.open import OpenProfile, PassphraseUnlock, make_profile
from p2pchat.store.ports import Transaction
from p2pchat.store.records import (
    ContactRecord,
    DeliveryState,
    Direction,
    IdentityRecord,
    MessageRecord,
)
from p2pchat.store.search import SearchIndex
from p2pchat.store.transaction import SqlTransaction
from p2pchat.store.writer import Writer

NAME: Final = "million-messages"
MESSAGES: Final = 1_000_000
CONTACTS: Final = 40
BIG, SMALL, SMALL_MESSAGES = 1, 2, 100
"""The contact with two messages of five, and the one with next to none."""
RARE_EVERY: Final = 20_000
BUILD_MAX_S: Final = 300.0
READS: Final = 200
COMMITS: Final = 12_000
"""More than the search index may fall behind (8192), so its work is among them."""
COMMIT_BYTES: Final = 5 << 12
"""A message changes about five pages."""
SETTLE_S, IDLE_S = 8.0, 60.0
PASSPHRASE: Final = "bench"
TICKS: Final = os.sysconf("SC_CLK_TCK")

READ_MS, SEARCH_MS, COMMIT_MS, MEMORY_MB, CPU_PERCENT = 5.0, 10.0, 2.0, 80.0, 0.5
"""What is allowed."""


def run() -> Iterator[dict[str, Any]]:
    """Make the store and yield one result for each promise."""
    with tempfile.TemporaryDirectory(prefix="p2pchat-bench-") as folder:
        path = Path(folder, "profile")
        start = time.perf_counter()
        profile = _build(path)
        built_s = time.perf_counter() - start
        yield _result("build", built_s, BUILD_MAX_S, "s")
        try:
            yield from asyncio.run(_reads(profile.store))
            yield from asyncio.run(_commits(profile.store, Path(folder, "sync")))
        finally:
            profile.close()
        yield from _idle(Path(folder), path)


def _result(what: str, ours: float, allowed: float, unit: str) -> dict[str, Any]:
    return {
        "name": f"million {what}",
        "ours": ours,
        "peer": allowed,
        "peer_name": "what is allowed",
        "unit": unit,
        "ratio": ours / allowed,
    }


# --- making it ------------------------------------------------------------------------------------


def _build(path: Path) -> OpenProfile:
    def fill(connection: apsw.Connection) -> None:
        signing = generate_identity(rng=system_rng)
        static = x25519.generate(rng=system_rng)
        certificate = issue(
            signing.seed, static.public, generation=0, now_ms=SystemClock().wall_ms()
        )
        write_identity(
            connection,
            IdentityRecord("Bench", signing.seed, static.private, certificate.encoded),
        )
        connection.pragma("cache_size", -256 << 10)  # of this connection only
        connection.execute("BEGIN IMMEDIATE")
        _contacts(connection)
        connection.executemany(
            "INSERT INTO message (position, contact_id, message_id, direction, state, sent_at_ms,"
            " stored_at_ms, reason, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, '', ?7)",
            _messages(),
        )
        connection.execute(
            "INSERT INTO message_index (rowid, contact, body)"
            " SELECT position, contact_id, body FROM message ORDER BY position"
        )
        connection.execute("UPDATE search_state SET indexed_to = ?", (MESSAGES,))
        connection.execute("COMMIT")

    return make_profile(
        path,
        fill,
        unlock=PassphraseUnlock(Secret(PASSPHRASE.encode())),
        rng=system_rng,
        memory_kib=pwhash.DEFAULT_MEMORY_KIB,
    )


def _contacts(connection: apsw.Connection) -> None:
    """Add them, each with an address where nobody answers."""
    transaction = SqlTransaction(connection, SearchIndex(connection))
    for number in range(1, CONTACTS + 1):
        identity = generate_identity(rng=system_rng).public
        transaction.put_contact(
            ContactRecord(0, f"Contact {number}", Pin(identity, Trust.UNVERIFIED), ("127.0.0.1:9",))
        )


def _messages() -> Iterator[tuple[Any, ...]]:
    texts = _texts()
    others = [number for number in range(1, CONTACTS + 1) if number not in (BIG, SMALL)]
    for position in range(1, MESSAGES + 1):
        if position % (MESSAGES // SMALL_MESSAGES) == 0:
            contact = SMALL
        elif position % 5 < 2:
            contact = BIG
        else:
            contact = others[position % len(others)]
        incoming = position % 2
        yield (
            position,
            contact,
            (position * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128).to_bytes(16, "big"),
            "in" if incoming else "out",
            "read" if incoming else "delivered",
            1_700_000_000_000 + position * 1000,
            texts[position * 2654435761 % len(texts)]
            + (" serendipity" if position % RARE_EVERY < 2 else ""),
        )


def _texts() -> list[str]:
    """Sentences of 4 to 20 words out of 4000, the n-th of which occurs once for n of the first."""
    sentences, noise = [], int.from_bytes(system_rng(4), "big")
    for _ in range(20_011):
        words = []
        noise = (noise * 6364136223846793005 + 1442695040888963407) % 2**64
        for _ in range(4 + (noise >> 40) % 17):
            noise = (noise * 6364136223846793005 + 1442695040888963407) % 2**64
            rank = int(4000 ** ((noise >> 33) / 2**31))
            words.append(f"word{rank}")
        sentences.append(" ".join(words))
    return sentences


# --- reading --------------------------------------------------------------------------------------


async def _reads(store: Database) -> Iterator[dict[str, Any]]:
    results = []
    for what, allowed, unit_of_work in (
        ("last 100", READ_MS, lambda tx: tx.messages(BIG, limit=100)),
        ("search common", SEARCH_MS, _search(BIG, "word1", 50)),
        ("search two words", SEARCH_MS, _search(BIG, "word1 word30", 50)),
        ("search rare", SEARCH_MS, _search(BIG, "serendipity", 50)),
        ("search small chat", SEARCH_MS, _search(SMALL, "word1", 1)),
        ("search no hit", SEARCH_MS, _search(SMALL, "serendipity word2", 0)),
    ):
        samples = []
        for _ in range(READS):
            start = time.perf_counter()
            await store.read(unit_of_work)
            samples.append(time.perf_counter() - start)
        results.append(_result(what, statistics.median(samples) * 1000, allowed, "ms"))
    return iter(results)


def _search(contact: int, words: str, least: int) -> Callable[[Transaction], object]:
    def work(transaction: Transaction) -> object:
        found = transaction.messages(contact, search=words, limit=50)
        assert len(found) >= least, f"{words} was found {len(found)} times"
        return found

    return work


# --- writing --------------------------------------------------------------------------------------


async def _commits(store: Database, file: Path) -> Iterator[dict[str, Any]]:
    """One message at a time, each awaited; those that met a checkpoint do not count.

    In between the disk is asked to sync as many bytes of a plain file: what it takes for that is
    no time of ours, and on a busy machine it is most of it.
    """
    checkpoints = []
    checkpoint = Writer._checkpoint

    def noted(writer: Writer) -> None:
        begun = time.perf_counter()
        checkpoint(writer)
        checkpoints.append((begun, time.perf_counter()))

    spans, syncs = [], []
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT)
    Writer._checkpoint = noted  # type: ignore[method-assign,assignment]  # a spectator
    try:
        for _ in range(COMMITS):
            message = MessageRecord(
                system_rng(16), BIG, Direction.OUT, "m" * 100, 0, DeliveryState.QUEUED
            )
            start = time.perf_counter()
            await store.write(partial(_add, message))
            spans.append((start, time.perf_counter()))
            os.write(descriptor, bytes(COMMIT_BYTES))
            start = time.perf_counter()
            os.fdatasync(descriptor)
            syncs.append(time.perf_counter() - start)
    finally:
        Writer._checkpoint = checkpoint  # type: ignore[method-assign]  # as before
        os.close(descriptor)
    samples = [
        end - start
        for start, end in spans
        if not any(start < other_end and begun < end for begun, other_end in checkpoints)
    ]
    return iter(
        [
            _result("commit p50", _percentile(samples, 50), COMMIT_MS, "ms"),
            _result("commit p99", _percentile(samples, 99), COMMIT_MS, "ms"),
            _result("disk alone p50", _percentile(syncs, 50), COMMIT_MS, "ms"),
            _result("disk alone p99", _percentile(syncs, 99), COMMIT_MS, "ms"),
        ]
    )


def _add(message: MessageRecord, transaction: Transaction) -> object:
    return transaction.add_message(message)


def _percentile(samples: list[float], percent: int) -> float:
    """In milliseconds."""
    return statistics.quantiles(samples, n=100)[percent - 1] * 1000


# --- waiting --------------------------------------------------------------------------------------


def _idle(folder: Path, path: Path) -> Iterator[dict[str, Any]]:
    passphrase = folder / "passphrase"
    passphrase.write_text(PASSPHRASE)
    command = [
        *(sys.executable, "-m", "p2pchat", "--profile", f"{path}{os.sep}"),
        *("--passphrase-file", str(passphrase), "node", "--listen", "127.0.0.1:0"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            while not process.stdout.readline().startswith("link "):
                assert process.poll() is None, "the node did not start"
            time.sleep(SETTLE_S)
            start, spent = time.perf_counter(), _cpu_s(process.pid)
            time.sleep(IDLE_S)
            percent = 100 * (_cpu_s(process.pid) - spent) / (time.perf_counter() - start)
            yield _result("idle memory", _resident_mb(process.pid), MEMORY_MB, "MB")
            yield _result("idle cpu", percent, CPU_PERCENT, "%")
        finally:
            process.terminate()


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _resident_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise LookupError("the system does not say how much memory a process has")
