"""Every parser of bytes from outside under spoilt input: declared errors only, memory bounded.

The ordinary run replays the kept corpus and adds a few thousand executions; the slow one makes a
million in all.
"""

from __future__ import annotations

import resource

import pytest

from tests.support.fuzz_targets import Target, targets
from tests.support.fuzzing import UndeclaredError, fuzz, load, outcome

TARGETS = targets()
MILLION = 1_000_000
MEMORY_MAX_KIB = 64 * 1024


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_the_kept_corpus(target: Target) -> None:
    for data in (*target.seeds, *load(target)):
        outcome(target, data)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_seeds_are_right(target: Target) -> None:
    """A seed that is refused would leave most of the parser unreached."""
    assert "taken" in {outcome(target, data) for data in target.seeds}


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_few_thousand_executions(target: Target) -> None:
    list(fuzz(target, 1_000, seed=20261123))


@pytest.mark.slow
def test_a_million_executions() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for target in TARGETS:
        list(fuzz(target, MILLION // len(TARGETS), seed=1))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < MEMORY_MAX_KIB


def test_an_undeclared_error_is_found() -> None:
    def careless(data: bytes) -> int:
        return {0x41: 1}[data[0]] if len(data) > 3 else 0

    target = Target("careless", careless, (), (b"AAAA",))
    with pytest.raises(UndeclaredError, match="careless: KeyError"):
        list(fuzz(target, 1_000, seed=1))
