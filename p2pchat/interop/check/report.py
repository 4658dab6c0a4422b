"""What came of each requirement (protocol.md's R-ids): passed, failed, or not reached.

A requirement fails if any check of it failed, passes if at least one passed and none failed, and
is otherwise not reached: nothing is concluded from what could not be tried.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
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
    """Order ids by their numbers: section 10 after section 9."""
    return [int(part) for part in requirement.removeprefix("R-").split(".")]


@dataclass(frozen=True, slots=True)
class Line:
    """One requirement's result.

    Attributes:
        requirement: Its id.
        outcome: What came of it.
        detail: What went wrong, or why it was not reached.
        how: In what way this run judges it; empty if it does not.
    """

    requirement: str
    outcome: Outcome
    detail: str
    how: str

    def as_text(self) -> str:
        """Return the line for people."""
        return f"{self.outcome:<11}  {self.requirement:<9} {self.detail}".rstrip()

    def as_json(self) -> str:
        """Return the line for programs."""
        return json.dumps(asdict(self))


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

    def lines(self, judged: Mapping[str, str], elsewhere: Mapping[str, str]) -> list[Line]:
        """Return one line for each requirement.

        Args:
            judged: What the checks of this run could judge, and how.
            elsewhere: What they could not, and where it is shown instead.
        """
        known = {*judged, *elsewhere, *self.passed, *self.problems}
        return [
            Line(name, *self._outcome(name, elsewhere), judged.get(name, ""))
            for name in sorted(known, key=sort_key)
        ]

    def _outcome(self, name: str, elsewhere: Mapping[str, str]) -> tuple[Outcome, str]:
        if name in self.problems:
            return Outcome.FAILED, "; ".join(self.problems[name])
        if name in self.passed:
            return Outcome.PASSED, ""
        why = self.obstacles.get(name) or elsewhere.get(name) or "the run ended before its turn"
        return Outcome.NOT_REACHED, why
