"""The kit knows every requirement of protocol.md: it judges it, or says where it shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from p2pchat.interop.check import command
from p2pchat.interop.check.registry import Role, checks_of
from p2pchat.interop.check.report import Outcome, Report
from p2pchat.interop.check.requirements import ELSEWHERE

DOCUMENT = (Path(__file__).parents[3] / "protocol.md").read_text()
DEFINED = {f"R-{number}" for number in re.findall(r"(?<!like )\*\*R-(\d+\.\d+\.\d+)\*\*", DOCUMENT)}


@pytest.mark.parametrize("role", Role)
def test_every_requirement_is_in_the_report(role: Role) -> None:
    lines = Report().lines(command.judged(role), command.not_judged(role))
    assert {line.requirement for line in lines} == DEFINED


def test_what_is_judged_is_not_said_to_be_unseen() -> None:
    judged = {name for role in Role for name in command.judged(role)}
    assert judged.isdisjoint(ELSEWHERE)


@pytest.mark.parametrize("role", Role)
def test_every_check_says_how(role: Role) -> None:
    for check in checks_of(role):
        assert check.requirements, check.name
        assert check.how.endswith("."), check.name
    names = [check.name for check in checks_of(role)]
    assert len(names) == len(set(names))


def test_an_outcome_follows_from_all_checks_of_a_requirement() -> None:
    report = Report()
    report.keep("R-2.1.1", "R-2.2.1")
    report.fail(["R-2.2.1"], "it broke")
    report.fail(["R-2.2.1"], "it broke")
    report.obstruct(["R-2.1.1", "R-2.3.1"], "no way there")
    lines = report.lines(
        {"R-2.3.1": "by looking", "R-10.2.1": "", "R-3.1.1": ""}, {"R-10.2.2": "at home"}
    )
    assert [(line.requirement, line.outcome, line.detail) for line in lines] == [
        ("R-2.1.1", Outcome.PASSED, ""),
        ("R-2.2.1", Outcome.FAILED, "it broke"),
        ("R-2.3.1", Outcome.NOT_REACHED, "no way there"),
        ("R-3.1.1", Outcome.NOT_REACHED, "the run ended before its turn"),
        ("R-10.2.1", Outcome.NOT_REACHED, "the run ended before its turn"),
        ("R-10.2.2", Outcome.NOT_REACHED, "at home"),
    ]
    assert lines[2].how == "by looking"
    assert lines[0].as_text() == "passed       R-2.1.1"
