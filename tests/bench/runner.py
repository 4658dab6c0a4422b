"""Times benchmarks in pairs and reports them.

A benchmark is a module of one of two shapes.

*Compared*: ``NAME``, ``UNIT``, ``ours()`` and either ``PEERS`` (peer name to factory) or
``PEER_NAME`` with ``peer()``. A factory does the set-up, untimed, and returns the callable that
is timed. ``OPERATIONS`` says how many operations one call performs (1 if absent); figures are
microseconds for one operation.

*Measured by itself*: ``NAME`` and ``run()``, which yields the fields of each result.

The two sides of a comparison run alternately, A B A B, in this one process, so that whatever
else slows the machine down slows both; each figure is the median of its runs.
"""

from __future__ import annotations

import gc
import json
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from types import ModuleType
from typing import Any, Final

PAIRS: Final = 15
"""Runs of each side."""
MIN_RUN_S: Final = 0.02
"""A run repeats its call for this long at least: timers and schedulers are coarse."""

Work = Callable[[], object]
Factory = Callable[[], Work]
Clock = Callable[[], float]
"""Monotonic seconds."""


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the report; ``ratio`` is our time over the peer's."""

    name: str
    ours: float
    peer: float | None
    peer_name: str | None
    unit: str
    ratio: float | None


def run_module(
    module: ModuleType,
    *,
    pairs: int = PAIRS,
    min_run_s: float = MIN_RUN_S,
    clock: Clock = time.perf_counter,
) -> Iterator[Result]:
    """Run one benchmark module and yield a result for each of its peers."""
    # Modules are duck-typed on purpose: a benchmark needs no import of this file.
    bench: Any = module
    if hasattr(module, "run"):
        for fields in bench.run():
            yield Result(**fields)
        return
    peers: dict[str, Factory]
    peers = bench.PEERS if hasattr(module, "PEERS") else {bench.PEER_NAME: bench.peer}
    operations: int = getattr(module, "OPERATIONS", 1)
    for peer_name, peer in peers.items():
        ours_s, peer_s = time_pair(
            bench.ours(), peer(), pairs=pairs, min_run_s=min_run_s, clock=clock
        )
        yield Result(
            name=bench.NAME,
            ours=ours_s * 1e6 / operations,
            peer=peer_s * 1e6 / operations,
            peer_name=peer_name,
            unit=bench.UNIT,
            ratio=ours_s / peer_s,
        )


def time_pair(
    ours: Work, peer: Work, *, pairs: int, min_run_s: float, clock: Clock
) -> tuple[float, float]:
    """Return the median seconds of one call of each, from ``pairs`` alternating runs."""
    calls = [_calls_for(work, min_run_s, clock) for work in (ours, peer)]
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(pairs):
        for work, count, samples in zip((ours, peer), calls, times, strict=True):
            samples.append(_time(work, count, clock) / count)
    return statistics.median(times[0]), statistics.median(times[1])


def _calls_for(work: Work, min_run_s: float, clock: Clock) -> int:
    """Warm ``work`` up and return how many calls fill a run."""
    work()
    return max(1, round(min_run_s / max(_time(work, 1, clock), 1e-9)))


def _time(work: Work, count: int, clock: Clock) -> float:
    # As timeit does: a collection of somebody else's garbage is not this run's cost.
    gc.collect()
    gc.disable()
    try:
        start = clock()
        for _ in range(count):
            work()
        return clock() - start
    finally:
        gc.enable()


def select(modules: Iterable[ModuleType], names: Sequence[str]) -> list[ModuleType]:
    """Return the modules called ``names``, in that order; all if there are no names.

    Raises:
        LookupError: No benchmark has one of the names; the message says which exist.
    """
    by_name: dict[str, ModuleType] = {module.NAME: module for module in modules}
    for name in names:
        if name not in by_name:
            raise LookupError(f"no benchmark is called {name!r}; there are {', '.join(by_name)}")
    return [by_name[name] for name in names] if names else list(by_name.values())


def as_json(result: Result) -> str:
    """Return the result as one line of JSON."""
    fields = {
        key: round(value, 4) if isinstance(value, float) else value
        for key, value in asdict(result).items()
    }
    return json.dumps(fields)


HEADING: Final = f"{'benchmark':<20} {'ours':>10} {'peer':>10}  {'unit':<18} {'ratio':>6}  against"


def as_row(result: Result) -> str:
    """Return the result as a row under ``HEADING``."""
    peer = "-" if result.peer is None else f"{result.peer:.1f}"
    ratio = "-" if result.ratio is None else f"{result.ratio:.2f}"
    return (
        f"{result.name:<20} {result.ours:>10.1f} {peer:>10}  {result.unit:<18} {ratio:>6}  "
        f"{result.peer_name or '-'}"
    )
