"""The bench runner, with benchmarks that take no time."""

from __future__ import annotations

import gc
import importlib
import itertools
import json
from collections.abc import Callable
from types import ModuleType

import pytest

from tests.bench import __main__ as command
from tests.bench import runner
from tests.bench.runner import Result


@pytest.fixture(autouse=True)
def _no_real_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A collection before each run takes seconds in a process that has run a whole suite."""
    monkeypatch.setattr(gc, "collect", lambda: 0)


class Scene:
    """Work that says when it ran, and a clock that only work moves."""

    def __init__(self) -> None:
        self.entries: list[str] = []
        self._now = 0.0

    def clock(self) -> float:
        return self._now

    def factory(self, name: str, *seconds: float) -> Callable[[], Callable[[], None]]:
        """Work that takes ``seconds`` by turns."""
        takes = itertools.cycle(seconds or (1.0,))

        def make() -> Callable[[], None]:
            self.entries.append(f"make {name}")
            return work

        def work() -> None:
            self.entries.append(name)
            self._now += next(takes)

        return make


def module(**attributes: object) -> ModuleType:
    made = ModuleType("fake")
    for name, value in attributes.items():
        setattr(made, name, value)
    return made


def compared(scene: Scene, *takes: float, **attributes: object) -> ModuleType:
    return module(NAME="fake", UNIT="us", ours=scene.factory("ours", *takes), **attributes)


def run(bench: ModuleType, scene: Scene, *, pairs: int = 3, min_run_s: float = 0.0) -> list[Result]:
    return list(runner.run_module(bench, pairs=pairs, min_run_s=min_run_s, clock=scene.clock))


def test_one_result_for_each_peer() -> None:
    scene = Scene()
    peers = {"first": scene.factory("1", 2.0), "second": scene.factory("2", 4.0)}
    assert run(compared(scene, PEERS=peers), scene) == [
        Result("fake", 1e6, 2e6, "first", "us", 0.5),
        Result("fake", 1e6, 4e6, "second", "us", 0.25),
    ]


def test_single_peer_form_and_operations() -> None:
    scene = Scene()
    bench = compared(scene, 3.0, PEER_NAME="only", peer=scene.factory("peer", 1.5), OPERATIONS=100)
    assert run(bench, scene) == [Result("fake", 3e4, 1.5e4, "only", "us", 2.0)]


def test_runs_alternate() -> None:
    scene = Scene()
    run(compared(scene, PEER_NAME="only", peer=scene.factory("peer")), scene, pairs=4)
    assert scene.entries[:2] == ["make ours", "make peer"]
    assert scene.entries[-8:] == ["ours", "peer"] * 4


def test_a_run_lasts_long_enough() -> None:
    scene = Scene()
    bench = compared(scene, 0.5, PEER_NAME="only", peer=scene.factory("peer", 2.0))
    (result,) = run(bench, scene, pairs=1, min_run_s=2.0)
    assert scene.entries[-5:] == ["ours"] * 4 + ["peer"]
    assert result.ratio == 0.25


def test_figures_are_medians() -> None:
    """Warm-up and calibration take the first two of each; then 7, 1, 2."""
    scene = Scene()
    takes = (100.0, 100.0, 7.0, 1.0, 2.0)
    bench = compared(scene, *takes, PEER_NAME="only", peer=scene.factory("peer", 4.0))
    (result,) = run(bench, scene, pairs=3)
    assert result.ours == 2e6
    assert result.ratio == 0.5


def test_self_measured_form() -> None:
    fields = {
        "name": "flow",
        "ours": 5000.0,
        "peer": None,
        "peer_name": None,
        "unit": "messages/s",
        "ratio": None,
    }
    assert run(module(NAME="flow", run=lambda: [fields]), Scene()) == [Result(**fields)]  # type: ignore[arg-type]  # mixed values on purpose: it is what JSON gives


def test_result_without_a_field_is_an_error() -> None:
    with pytest.raises(TypeError):
        run(module(NAME="flow", run=lambda: [{"name": "flow"}]), Scene())


def test_select() -> None:
    first, second = module(NAME="first"), module(NAME="second")
    assert runner.select([first, second], []) == [first, second]
    assert runner.select([first, second], ["second"]) == [second]
    with pytest.raises(LookupError, match="'third'; there are first, second"):
        runner.select([first, second], ["first", "third"])


RESULT = Result("flow", 12.34567, 20.0, "other", "us", 0.6172835)


def test_json_has_the_promised_keys() -> None:
    assert json.loads(runner.as_json(RESULT)) == {
        "name": "flow",
        "ours": 12.3457,
        "peer": 20.0,
        "peer_name": "other",
        "unit": "us",
        "ratio": 0.6173,
    }
    assert "\n" not in runner.as_json(RESULT)


def test_rows_stand_under_their_heading() -> None:
    row = runner.as_row(RESULT)
    assert row.split() == ["flow", "12.3", "20.0", "us", "0.62", "other"]
    alone = runner.as_row(Result("flow", 1.0, None, None, "us", None))
    assert alone.split() == ["flow", "1.0", "-", "us", "-", "-"]
    assert row.index("other") == alone.rindex("-") == runner.HEADING.index("against")


class TestCommand:
    @pytest.fixture(autouse=True)
    def fakes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        fields = {"ours": 1.0, "peer": 2.0, "peer_name": "p", "unit": "us", "ratio": 0.5}

        def without_peer() -> object:
            raise ModuleNotFoundError("No module named 'peer'", name="peer")

        fakes = {
            "tests.bench.a": module(NAME="a", run=lambda: [{"name": "a", **fields}]),
            "tests.bench.b": module(NAME="b", run=lambda: [{"name": "b", **fields}]),
            "tests.bench.c": module(NAME="c", run=without_peer),
        }
        monkeypatch.setattr(command, "MODULES", ("a", "b", "c"))
        monkeypatch.setattr(importlib, "import_module", fakes.__getitem__)

    def test_json_is_one_object_a_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert command.main(["b", "a", "--json"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [json.loads(line)["name"] for line in lines] == ["b", "a"]

    def test_table(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert command.main(["a"]) == 0
        heading, row = capsys.readouterr().out.splitlines()
        assert heading == runner.HEADING
        assert row.startswith("a ")

    def test_unknown_name(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert command.main(["nothing", "--json"]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err == "tests.bench: no benchmark is called 'nothing'; there are a, b, c\n"

    def test_peer_not_installed(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert command.main(["c", "--json"]) == 1
        assert "--group bench" in capsys.readouterr().err


def test_real_benchmarks_have_the_promised_names() -> None:
    names = {importlib.import_module(f"tests.bench.{name}").NAME for name in command.MODULES}
    assert {"ratchet-burst", "ratchet-pingpong", "handshake-xx"} <= names
