"""Run the models with an installed ProVerif and write results.txt.

    python tests/model/run.py [MODEL.pv ...]

Each query of a model stands behind a comment that names it and the outcome that is
expected: ``(* XX-1 expect true: ... *)``. The prover answers in the order of the file.
A model that is not named keeps the results that it has.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
LIBRARY = HERE / "primitives.pvl"
RESULTS = HERE / "results.txt"
QUERY = re.compile(r"\(\* ([A-Z]{2}-\d+) expect (true|false|not proved)[:.]")
OUTCOME = re.compile(
    r"^Query (.*?) (is true|is false|cannot be proved)\.", re.MULTILINE | re.DOTALL
)
WORDS = {"is true": "true", "is false": "false", "cannot be proved": "not proved"}
TIMEOUT_S = 900


def digest(model: Path) -> str:
    """Return the hash that ties results to a model and the library that it uses."""
    return hashlib.sha256(LIBRARY.read_bytes() + model.read_bytes()).hexdigest()


def prove(model: Path) -> list[str]:
    """Return the lines of one model's section, or exit if an outcome is not as expected."""
    version = subprocess.run(["proverif", "-help"], capture_output=True, text=True, check=False)
    run = subprocess.run(
        ["proverif", "-lib", str(LIBRARY), str(model)],
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    expected = QUERY.findall(model.read_text(encoding="utf-8"))
    summary = run.stdout.split("Verification summary:")[-1]
    outcomes = [(" ".join(text.split()), WORDS[word]) for text, word in OUTCOME.findall(summary)]
    if len(outcomes) != len(expected):
        sys.exit(
            f"{model.name}: {len(expected)} queries, {len(outcomes)} answers\n{run.stdout[-2000:]}"
        )
    lines = [
        f"== {model.name}",
        f"sha256 {digest(model)}",
        version.stdout.split(". ")[0],
    ]
    for (name, wanted), (text, outcome) in zip(expected, outcomes, strict=True):
        if outcome != wanted:
            sys.exit(f"{model.name} {name}: {outcome}, expected {wanted}\n{text}")
        lines.append(f"{name} {outcome}: {text}")
    return lines


def main() -> None:
    """Prove the models that the command line names, or all."""
    wanted = {Path(name).name for name in sys.argv[1:]}
    sections: dict[str, str] = {}
    if RESULTS.exists():
        for section in RESULTS.read_text(encoding="utf-8").split("== ")[1:]:
            sections[section.split("\n", 1)[0]] = "== " + section.rstrip()
    for model in sorted(HERE.glob("*.pv")):
        if not wanted or model.name in wanted:
            sections[model.name] = "\n".join(prove(model))
            RESULTS.write_text(
                "\n\n".join(sections[name] for name in sorted(sections)) + "\n", encoding="utf-8"
            )


if __name__ == "__main__":
    main()
