"""``interop vectors``: write, print and check the files (protocol.md §15).

Checking makes every file again and compares it case by case; then every input that has to be
refused is given to our readers, which must refuse it with the error that the file names.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from p2pchat.errors import UsageError
from p2pchat.interop.vectors import (
    comparisons,
    conversation,
    handshakes,
    identities,
    negotiation,
    sessions,
    statements,
    transport,
)
from p2pchat.interop.vectors.form import VectorFile

FILE_MAX_BYTES: Final = 4 << 20
"""Ours are below 1 MiB; checked before a file is read."""

Say = Callable[[str], None]


def all_files() -> list[VectorFile]:
    """Make all vectors."""
    modules = (
        identities,
        comparisons,
        negotiation,
        handshakes,
        transport,
        conversation,
        sessions,
        statements,
    )
    return [file for module in modules for file in module.files()]


def run(check: str | None, write: str | None, *, show: bool, say: Say) -> int:
    """Write the files to a folder, print them, or check a folder's; without a folder, check ours.

    Returns:
        0, or 1 if anything differs.

    Raises:
        UsageError: A folder that is not there.
    """
    files = all_files()
    if show:
        say(json.dumps({file.name: file.content() for file in files}, indent=1))
        return 0
    if write is not None:
        folder = _folder(write)
        for file in files:
            (folder / file.name).write_text(file.text())
            say(f"wrote {folder / file.name}")
        return 0
    return _check(files, None if check is None else _folder(check), say)


def _folder(name: str) -> Path:
    folder = Path(name)
    if not folder.is_dir():
        raise UsageError(f"{name} is no folder")
    return folder


def _check(files: list[VectorFile], folder: Path | None, say: Say) -> int:
    passed = failed = 0
    for file in files:
        stored = file.content() if folder is None else _read(folder / file.name)
        for name, problem in check_file(file, stored):
            if problem:
                failed += 1
                say(f"FAILED {file.name}: {name}: {problem}")
            else:
                passed += 1
    say(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def _read(path: Path) -> dict[str, Any] | str:
    """Return a file's content, or what is wrong with it."""
    try:
        if path.stat().st_size > FILE_MAX_BYTES:
            return "it is too large"
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        return f"cannot be read: {error}"
    return content if isinstance(content, dict) else "it holds no object"


def check_file(file: VectorFile, stored: dict[str, Any] | str) -> Iterator[tuple[str, str]]:
    """Compare what is stored with what we make, and judge what has to be refused.

    Yields:
        A case's name and what is wrong with it, or nothing.
    """
    if isinstance(stored, str):
        yield "the file", stored
        return
    for part, ours in (("cases", file.cases), ("refused", file.refused)):
        theirs = stored.get(part)
        entries = theirs if isinstance(theirs, list) else []
        by_name = {entry.get("name"): entry for entry in entries if isinstance(entry, dict)}
        for entry in ours:
            yield entry["name"], _compare(entry, by_name.pop(entry["name"], None))
        for name in by_name:
            yield str(name), "is not one that we make"
    for entry in file.refused:
        error = file.judge(entry)
        if error != entry["error"]:
            yield entry["name"], f"our reader says {error or 'nothing'}, not {entry['error']}"


def _compare(ours: dict[str, Any], theirs: dict[str, Any] | None) -> str:
    if theirs is None:
        return "is missing"
    for key in ours.keys() | theirs.keys():
        if ours.get(key) != theirs.get(key):
            return f"{key} differs"
    return ""
