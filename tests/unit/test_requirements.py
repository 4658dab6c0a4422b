"""protocol.md against the program: requirements, limits and error codes agree.

A requirement is defined as ``**R-x.y.z**`` in protocol.md. Each must be cited by a test, and
whatever code, tests or documents cite must be defined. Ranges count: ``R-x.y.1 to R-x.y.3``.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from p2pchat import constants
from p2pchat.errors import ErrorCode

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "protocol.md").read_text()
DEFINED = re.compile(r"(?<!like )\*\*R-(\d+\.\d+\.\d+)\*\*")
CITED = re.compile(r"R-(\d+\.\d+\.)(\d+)(?: to R-(\d+\.\d+\.)(\d+))?")


def cited_in(text: str) -> set[str]:
    found: set[str] = set()
    for section, first, last_section, last in CITED.findall(text):
        end = int(last) if last and last_section == section else int(first)
        found |= {f"{section}{number}" for number in range(int(first), end + 1)}
        if last:
            found.add(f"{last_section}{last}")
    return found


def defined() -> list[str]:
    return DEFINED.findall(DOCUMENT)


def order(requirement: str) -> list[int]:
    return [int(part) for part in requirement.split(".")]


def listed(requirements: set[str]) -> str:
    return ", ".join(f"R-{requirement}" for requirement in sorted(requirements, key=order))


def files(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def rows(marker: str) -> list[list[str]]:
    """Cells of the rows of the one table between two markers, without its head."""
    start, end = f"<!-- {marker} -->", f"<!-- /{marker} -->"
    assert DOCUMENT.count(start) == DOCUMENT.count(end) == 1
    table = DOCUMENT.split(start)[1].split(end)[0].strip().splitlines()
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table[2:]]


def test_the_patterns_find_what_they_should() -> None:
    assert cited_in("R-1.2.3, R-1.2.5 to R-1.2.7 (R-10.1.12)") == {
        "1.2.3",
        "1.2.5",
        "1.2.6",
        "1.2.7",
        "10.1.12",
    }
    assert len(defined()) > 60


def test_no_requirement_is_defined_twice() -> None:
    assert len(defined()) == len(set(defined()))


def test_requirements_are_numbered_without_gaps() -> None:
    last: dict[str, int] = {}
    for requirement in sorted(set(defined()), key=order):
        section, _, number = requirement.rpartition(".")
        assert int(number) == last.get(section, 0) + 1, f"before R-{requirement}"
        last[section] = int(number)


def test_every_requirement_has_a_test() -> None:
    tested: set[str] = set()
    for path in files("tests"):
        if path != Path(__file__):
            tested |= cited_in(path.read_text())
    missing = set(defined()) - tested
    assert not missing, f"no test cites {listed(missing)}"


@pytest.mark.parametrize("folder", ["p2pchat", "tests"])
def test_what_is_cited_is_defined(folder: str) -> None:
    unknown = {
        f"{path.relative_to(ROOT)}: {listed(cited)}"
        for path in files(folder)
        if path != Path(__file__) and (cited := cited_in(path.read_text()) - set(defined()))
    }
    assert not unknown, "\n".join(sorted(unknown))


@pytest.mark.parametrize("name", ["protocol.md", "README.md", "SECURITY.md", "CHANGELOG.md"])
def test_documents_cite_what_is_defined(name: str) -> None:
    unknown = cited_in((ROOT / name).read_text()) - set(defined())
    assert not unknown, listed(unknown)


def test_the_limits_are_the_programs() -> None:
    """protocol.md §11."""
    written = {cells[0].strip("`"): cells[1] for cells in rows("limits")}
    for name, figure in written.items():
        value = getattr(constants, name)
        expected = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
        assert figure == expected, name
    numbers = {
        name
        for name, value in vars(constants).items()
        if name.isupper() and isinstance(value, int | float | tuple)
    }
    assert set(written) == numbers


def test_the_error_codes_are_the_programs() -> None:
    """protocol.md §12."""
    written = [(cells[0].strip("`"), int(cells[1], 16)) for cells in rows("error-codes")]
    assert written == [(code.name, code.value) for code in ErrorCode]
