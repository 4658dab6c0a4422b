"""Run the models with an installed ProVerif and write results.txt.

    python tests/model/run.py [MODEL.pv ...]

Each query of a model stands behind a comment that names it and the outcome that is
expected: ``(* XX-1 expect true: ... *)``. The prover answers in the order of the file.
A model that is not named keeps the results that it has.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE / "results.txt"
QUERY = re.compile(r"\(\* ([A-Z]{2}-\d+) expect (true|false|not proved)[:.]")
OUTCOME = re.compile(
    r"^Query (.*?) (is true|is false|cannot be proved)\.", re.MULTILINE | re.DOTALL
)
WORDS = {"is true": "true", "is false": "false", "cannot be proved": "not proved"}
TIMEOUT_S = 900


def parts(model: Path) -> list[Path]:
    """Return what makes up a model: the primitives, its exchange if it shares one, itself.

    The models ``ikhfs_*.pv`` share ``ikhfs.pvl``.
    """
    shared = HERE / f"{model.stem.split('_')[0]}.pvl"
    return [HERE / "primitives.pvl", *([shared] if shared.exists() else []), model]


def digest(model: Path) -> str:
    """Return the hash that ties results to a model and the libraries that it uses."""
    return hashlib.sha256(b"".join(part.read_bytes() for part in parts(model))).hexdigest()


def prove(model: Path) -> list[str]:
    """Return the lines of one model's section, or exit if an outcome is not as expected."""
    version = subprocess.run(["proverif", "-help"], capture_output=True, text=True, check=False)
    *libraries, itself = map(str, parts(model))
    try:
        run = subprocess.run(
            ["proverif", *(word for library in libraries for word in ("-lib", library)), itself],
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        sys.exit(f"{model.name}: no result within {TIMEOUT_S} s")
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
    if shutil.which("proverif") is None:
        sys.exit("There is no proverif on the path; install ProVerif 2.05 and try again.")
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
