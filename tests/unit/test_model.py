"""The prover's results belong to the models that are here (tests/model)."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

MODELS = Path(__file__).parents[1] / "model"
RESULTS = (MODELS / "results.txt").read_text().split("== ")[1:]
PROVED = sorted(path.name for path in MODELS.glob("*.pv"))


def section(model: str) -> str:
    return next(text for text in RESULTS if text.startswith(f"{model}\n"))


@pytest.mark.parametrize("model", PROVED)
def test_a_model_was_not_changed_after_it_was_proved(model: str) -> None:
    shared = MODELS / f"{model.removesuffix('.pv').split('_')[0]}.pvl"
    parts = [MODELS / "primitives.pvl", *([shared] if shared.exists() else []), MODELS / model]
    content = b"".join(part.read_bytes() for part in parts)
    assert f"sha256 {hashlib.sha256(content).hexdigest()}" in section(model)


@pytest.mark.parametrize("model", PROVED)
def test_each_query_has_the_outcome_that_it_expects(model: str) -> None:
    asked = re.findall(
        r"\(\* ([A-Z]{2}-\d+) expect (true|false)", (MODELS / model).read_text(encoding="utf-8")
    )
    assert asked
    assert re.findall(r"^([A-Z]{2}-\d+) (true|false):", section(model), re.MULTILINE) == asked
