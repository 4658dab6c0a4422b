"""Every test that README.md and SECURITY.md name for a claim exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REFERENCE = re.compile(r"`(tests/[a-z0-9_/]+\.py)?::([A-Za-z0-9_]+)`")


def references(document: str) -> list[tuple[str, str]]:
    """Pairs of file and test; a reference without a file means the one before it."""
    found, file = [], ""
    for match in REFERENCE.finditer((ROOT / document).read_text()):
        file = match[1] or file
        found.append((file, match[2]))
    return found


@pytest.mark.parametrize("document", ["README.md", "SECURITY.md"])
def test_each_named_test_exists(document: str) -> None:
    named = references(document)
    assert len(named) > 10
    for file, name in named:
        source = (ROOT / file).read_text()
        pattern = rf"^( *(async )?def {name}\(|(class )?{name}\b)"
        assert re.search(pattern, source, re.MULTILINE), f"{file} has no {name}"


@pytest.mark.parametrize("document", ["README.md", "SECURITY.md"])
def test_each_row_of_claims_names_a_test(document: str) -> None:
    text = (ROOT / document).read_text()
    rows = text.split("| claim | test |\n|---|---|\n")[1].split("\n\n")[0].splitlines()
    assert rows
    for row in rows:
        assert REFERENCE.search(row), f"no test is named for: {row}"


def test_each_standard_names_code_and_a_test_that_exist() -> None:
    text = (ROOT / "SECURITY.md").read_text()
    rows = text.split("## Standards")[1].split("|---|---|---|---|\n")[1].split("\n\n")[0]
    assert len(rows.splitlines()) > 20
    for row in rows.splitlines():
        _, _, code, test = row.strip("|").split("|")
        assert (ROOT / code.strip(" `")).is_file(), row
        assert REFERENCE.search(test), row
