"""Judges one module by the tests that cover it, with mutmut's mutants (see README.md beside this).

    uv run --locked python tests/mutation/judge.py p2pchat.session.ledger tests/unit/session

The tests are collected once, in one process. Each runs with nothing changed, which it has to pass,
and what it reaches is noted. Then a child is forked for each mutant: the tests that reach the
changed function run, the shortest first, until one fails. A change to the words of an error, and
the ``"big"`` that is ``to_bytes``' default, are set aside. What survives is printed as a diff.

Not for functions behind a cache, or called while tests are collected: their mutants seem to
survive.
"""

from __future__ import annotations

import ast
import difflib
import importlib.util
import os
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Final

import pytest
from _pytest.runner import runtestprotocol
from mutmut.mutation import trampoline
from mutmut.mutation.file_mutation import mutate_file_contents

PATIENCE: Final = 10
"""So many times as long as unchanged, and as many seconds, a mutant's tests may take."""
ORIGINAL: Final = "orig"


class Mutants(MetaPathFinder, Loader):
    """One module with all its mutants, imported in place of what is on the disk."""

    def __init__(self, module: str) -> None:
        self.module = module
        self._path = Path(*module.split(".")).with_suffix(".py")
        made = mutate_file_contents(str(self._path), self._path.read_text())
        self.names: Sequence[str] = made.mutant_names
        self._code = made.code
        self._functions = {
            node.name: node
            for node in ast.walk(ast.parse(made.code))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }

    def find_spec(
        self, fullname: str, path: object = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self.module:
            return None
        return importlib.util.spec_from_file_location(fullname, self._path, loader=self)

    def exec_module(self, module: ModuleType) -> None:
        code: CodeType = compile(self._code, str(self._path), "exec")
        exec(code, module.__dict__)  # noqa: S102  # our own source

    def says_other_words(self, name: str) -> bool:
        """Whether nothing differs but the words of an error, or a default that is written out."""
        return self._shape(name) == self._shape(_original(name))

    def diff(self, name: str) -> str:
        before, after = (
            ast.unparse(self._functions[one]).splitlines() for one in (_original(name), name)
        )
        return "\n".join(list(difflib.unified_diff(before[1:], after[1:], n=0, lineterm=""))[2:])

    def _shape(self, name: str) -> str:
        function = ast.parse(ast.unparse(self._functions[name])).body[0]
        assert isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        function.name = ""
        return ast.dump(_Wordless().visit(function))


class _Wordless(ast.NodeTransformer):
    """Takes away what is set aside."""

    def visit_Raise(self, node: ast.Raise) -> ast.AST:  # ast's name
        if isinstance(node.exc, ast.Call) and node.exc.args:
            node.exc.args[0] = ast.Constant("")
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:  # ast's name
        called = getattr(node.func, "attr", "")
        if called in ("to_bytes", "from_bytes") and len(node.args) == 1:
            node.args.append(ast.Constant("big"))
        if called == "_fail" and len(node.args) == 2:  # the code, and the words
            node.args[1] = ast.Constant("")
        for keyword in node.keywords:
            if keyword.arg == "reason":
                keyword.value = ast.Constant("")
        return self.generic_visit(node)


class Judge:
    """The part of pytest's run in which tests are run."""

    def __init__(self, mutants: Mutants, only: str) -> None:
        self._mutants = mutants
        self._only = only
        self._reached: dict[str, list[tuple[float, pytest.Item]]] = defaultdict(list)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        for item in session.items:
            self._note(item)
        if not self._survives(self._mutants.names[0], changed=False):
            raise pytest.UsageError("the tests fail though nothing is changed")
        counts: Counter[str] = Counter()
        for name in self._mutants.names:
            if self._only in name:
                verdict = self._verdict(name)
                counts[verdict] += 1
                if verdict not in ("killed", "words"):
                    _say(f"--- {name}: {verdict}\n{self._mutants.diff(name)}")
        run = counts.total() - counts["words"]
        _say(f"{self._mutants.module}: {run} run, {dict(counts)}")
        return True

    def _note(self, item: pytest.Item) -> None:
        """Run a test with nothing changed; note what it reaches and how long it takes."""
        reached: set[str] = set()
        _patch_recorder(reached)
        trampoline.set_mutant_under_test("stats")
        start = time.monotonic()
        passed = _passes(item)
        took = time.monotonic() - start
        trampoline.set_mutant_under_test("")
        if not passed:
            raise pytest.UsageError(f"{item.nodeid} fails though nothing is changed")
        for function in reached:
            self._reached[function].append((took, item))

    def _verdict(self, name: str) -> str:
        if self._mutants.says_other_words(name):
            return "words"
        if not self._tests(name):
            return "not reached"
        return "survived" if self._survives(name) else "killed"

    def _tests(self, name: str) -> list[tuple[float, pytest.Item]]:
        function = f"{self._mutants.module}.{name.rpartition('__mutmut_')[0]}"
        return sorted(self._reached[function], key=lambda test: test[0])

    def _survives(self, name: str, *, changed: bool = True) -> bool:
        tests = self._tests(name)
        child = os.fork()
        if child == 0:
            _keep_quiet()
            trampoline.set_mutant_under_test(f"{self._mutants.module}.{name}" if changed else "")
            os._exit(0 if all(_passes(item) for _, item in tests) else 1)
        patience_s = PATIENCE * (1 + sum(took for took, _ in tests))
        end = time.monotonic() + patience_s
        while time.monotonic() < end:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return status == 0
            time.sleep(0.002)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return False


def _passes(item: pytest.Item) -> bool:
    try:
        return not any(report.failed for report in runtestprotocol(item, nextitem=None, log=False))
    except BaseException:  # noqa: BLE001  # a mutant may break whatever it likes
        return False


def _patch_recorder(reached: set[str]) -> None:
    def record(function: str, caller: str | None = None) -> None:
        reached.add(function)

    vars(trampoline)["record_trampoline_hit"] = record


def _keep_quiet() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def _original(name: str) -> str:
    return f"{name.rpartition('_')[0]}_{ORIGINAL}"


def _say(text: str) -> None:
    sys.__stdout__.write(text + "\n")  # type: ignore[union-attr]  # a program has one
    sys.__stdout__.flush()  # type: ignore[union-attr]  # the same


def main(module: str, *tests: str) -> int:
    """Judge ``package.module``, or the one function or mutant after a colon."""
    module, _, only = module.partition(":")
    sys.path.insert(0, "")
    mutants = Mutants(module)
    sys.meta_path.insert(0, mutants)
    arguments = ["-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--capture=no", *tests]
    return int(pytest.main(arguments, plugins=[Judge(mutants, only)]))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
