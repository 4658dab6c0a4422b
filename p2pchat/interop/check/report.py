"""What came of each requirement (protocol.md's R-ids): passed, failed, or not reached.

A requirement fails if any check of it failed, passes if at least one passed and none failed, and
is otherwise not reached: nothing is concluded from what could not be tried.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """Of a requirement."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_REACHED = "not reached"


class FailedError(Exception):
    """The implementation under test broke a requirement; the message says how."""


class NotReachedError(Exception):
    """The check did not get to its point; the message says why."""


def sort_key(requirement: str) -> list[int]:
    """Order ``R-5.10.2`` after ``R-5.9.1``."""
    return [int(part) for part in requirement.removeprefix("R-").split(".")]


@dataclass(frozen=True, slots=True)
class Line:
    """One requirement's result; ``detail`` says what went wrong, or why it was not reached."""

    requirement: str
    outcome: Outcome
    detail: str

    def as_text(self) -> str:
        """Return the line for people."""
        detail = f"  {self.detail}" if self.detail else ""
        return f"{self.outcome:<11}  {self.requirement:<9}{detail}"

    def as_json(self) -> str:
        """Return the line for programs."""
        return json.dumps(
            {"requirement": self.requirement, "outcome": self.outcome, "detail": self.detail},
            ensure_ascii=False,
        )


@dataclass(slots=True)
class Report:
    """Collects what the checks conclude.

    Attributes:
        passed: Requirements that some check saw kept.
        problems: Requirements that some check saw broken, and how.
        obstacles: Why a check did not get to its point, by requirement.
    """

    passed: set[str] = field(default_factory=set)
    problems: dict[str, list[str]] = field(default_factory=dict)
    obstacles: dict[str, str] = field(default_factory=dict)

    def keep(self, *requirements: str) -> None:
        """Note that these were kept, as far as could be seen."""
        self.passed.update(requirements)

    def fail(self, requirements: Iterable[str], problem: str) -> None:
        """Note that these were broken."""
        for requirement in requirements:
            problems = self.problems.setdefault(requirement, [])
            if problem not in problems:
                problems.append(problem)

    def obstruct(self, requirements: Iterable[str], why: str) -> None:
        """Note that these could not be tried."""
        for requirement in requirements:
            self.obstacles.setdefault(requirement, why)

    def lines(self, expected: Iterable[str], elsewhere: dict[str, str]) -> list[Line]:
        """Return one line for each requirement that is expected, known or was met.

        Args:
            expected: What the checks of this run could have judged.
            elsewhere: What cannot be judged from outside, and where it is shown instead.
        """
        known = {*expected, *elsewhere, *self.passed, *self.problems}
        return [self._line(name, elsewhere) for name in sorted(known, key=sort_key)]

    def _line(self, name: str, elsewhere: dict[str, str]) -> Line:
        if name in self.problems:
            return Line(name, Outcome.FAILED, "; ".join(self.problems[name]))
        if name in self.passed:
            return Line(name, Outcome.PASSED, "")
        why = self.obstacles.get(name) or elsewhere.get(name) or "the run ended before its turn"
        return Line(name, Outcome.NOT_REACHED, why)
