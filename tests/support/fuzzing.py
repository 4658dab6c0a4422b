"""A small mutating fuzzer: seeds and a kept corpus are spoilt at random, new outcomes are kept.

An outcome is what a parser did: the type of its error and the words of it without figures, or that
it took the input. An input with an outcome not seen before joins the corpus and is spoilt in turn.
``python -m tests.support.fuzzing [EXECUTIONS] [SEED]`` runs all targets and writes what it kept.
"""

from __future__ import annotations

import json
import random  # noqa: TID251 - a seeded generator makes a finding repeatable
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support.fuzz_targets import Target, targets

CORPUS = Path(__file__).parents[1] / "vectors" / "fuzz"
INPUT_MAX_BYTES = 70_000
KEPT_INPUT_MAX_BYTES = 2048
_FIGURES = re.compile(r"0x[0-9a-f]+|[0-9]+|'[^']*'|`[^`]*`")
_INTERESTING = (
    *(b"\x00", b"\xff", b"\x80", b"\x7f", b"\xff\xff", b"\xff\xff\xff\xff"),
    *(b"\xc1", b"\xde", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\x91" * 40),
    *(b"\xc7\x08\xff", b"[" * 40, b"{", b'"', "\u202e".encode(), b"\x1b]52;c;", b"\xed\xa0\x80"),
)
"""What has broken parsers of msgpack, JSON, lengths and text before."""


class UndeclaredError(AssertionError):
    """A parser did what it does not declare; the input is in the message, as hex."""


def outcome(target: Target, data: bytes) -> str:
    """Run a parser once; return what it did.

    Raises:
        UndeclaredError: It raised something else than it declares.
    """
    try:
        target.parse(data)
    except target.declared as error:
        return f"{type(error).__name__}: {_FIGURES.sub('#', str(error))[:80]}"
    except Exception as error:  # anything else at all is the finding
        raise UndeclaredError(f"{target.name}: {error!r} on {data.hex()}") from error
    return "taken"


def spoil(data: bytes, rng: random.Random, corpus: list[bytes]) -> bytes:
    """Return ``data`` with one to four random changes."""
    for _ in range(rng.randint(1, 4)):
        place = rng.randint(0, len(data))
        match rng.randrange(7):
            case 0 if data:
                place = rng.randrange(len(data))
                data = (
                    data[:place]
                    + bytes([data[place] ^ (1 << rng.randrange(8))])
                    + data[place + 1 :]
                )
            case 1:
                data = data[:place] + data[place + rng.randint(1, 8) :]
            case 2:
                data = data[:place] + rng.randbytes(rng.randint(1, 8)) + data[place:]
            case 3:
                data = data[:place]
            case 4:
                data = data[:place] + rng.choice(_INTERESTING) + data[place:]
            case 5:
                other = rng.choice(corpus)
                data = data[:place] + other[rng.randint(0, len(other)) :]
            case _:
                length = rng.randint(1, 64)
                data = (
                    data[:place] + data[place : place + length] * rng.randint(2, 4) + data[place:]
                )
    return data[:INPUT_MAX_BYTES]


def load(target: Target) -> list[bytes]:
    """Return the kept corpus of a target."""
    path = CORPUS / f"{target.name.replace(' ', '_')}.json"
    if not path.exists():
        return []
    kept: list[str] = json.loads(path.read_text())
    return [bytes.fromhex(item) for item in kept]


def fuzz(target: Target, executions: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield each new outcome with its input, over ``executions`` runs of one target."""
    rng = random.Random(f"{seed}/{target.name}")
    corpus = [*target.seeds, *load(target)]
    seen = {outcome(target, data) for data in corpus}
    for _ in range(executions):
        data = spoil(rng.choice(corpus), rng, corpus)
        result = outcome(target, data)
        if result not in seen:
            seen.add(result)
            corpus.append(data)
            yield result, data


def main(executions: int = 1_000_000, seed: int = 1) -> None:
    """Fuzz everything and add what is new to the kept corpus."""
    everything = targets()
    CORPUS.mkdir(exist_ok=True)
    for target in everything:
        found = list(fuzz(target, executions // len(everything), seed))
        kept = load(target) + [data for _, data in found if len(data) <= KEPT_INPUT_MAX_BYTES]
        path = CORPUS / f"{target.name.replace(' ', '_')}.json"
        path.write_text(json.dumps([data.hex() for data in kept], indent=1) + "\n")
        sys.stdout.write(f"{target.name}: {len(found)} new, {len(kept)} kept\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
