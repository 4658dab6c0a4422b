"""The app on a terminal of a test: keys by a pipe, bytes kept raw and drawn by pyte."""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
from collections.abc import AsyncIterator, Callable
from datetime import UTC

import pyte
from prompt_toolkit.application import create_app_session
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import PipeInput, create_pipe_input

from p2pchat.tui.app import TerminalApp
from p2pchat.tui.host import Host, Needed
from p2pchat.tui.surface import GridOutput
from tests.tui.dataset import NOON, DataSet, ScriptedHost

TURNS = 2000
"""Turns of the loop of 10 ms each before a test gives up."""


class _Wire(io.StringIO):
    """Standard output: keeps all that is written."""

    @property
    def encoding(self) -> str:  # type: ignore[override]  # StringIO's is None
        return "utf-8"

    def isatty(self) -> bool:
        return True


class Terminal:
    """A running app and its screen."""

    def __init__(self, app: TerminalApp, keys: PipeInput, wire: _Wire, size: Size) -> None:
        self.app = app
        self.ended = False
        self._keys = keys
        self._wire = wire
        self._screen = pyte.Screen(size.columns, size.rows)
        self._stream = pyte.Stream(self._screen)
        self._drawn = 0

    @property
    def raw(self) -> str:
        """All that was sent to the terminal."""
        return self._wire.getvalue()

    def rows(self) -> list[str]:
        """The screen as an emulator shows it."""
        raw = self.raw
        self._stream.feed(raw[self._drawn :])
        self._drawn = len(raw)
        return [row.rstrip() for row in self._screen.display]

    def column(self, index: int) -> str:
        """The signs in one column, from top to bottom."""
        rows = range(len(self.rows()))
        return "".join(self._screen.buffer[row][index].data for row in rows)

    def text(self) -> str:
        """The screen as one text."""
        return "\n".join(self.rows())

    def prose(self) -> str:
        """The words right of the sidebar, without line breaks and repeated spaces."""
        return " ".join(" ".join(re.split("[│┼]", row)[-1] for row in self.rows()).split())

    def press(self, keys: str) -> None:
        """Type."""
        self._keys.send_text(keys)

    async def paste(self, text: str) -> None:
        """Paste, bracketed as terminals do; on a thread, since a pipe holds 64 KiB at a time."""
        await asyncio.to_thread(self._keys.send_text, f"\x1b[200~{text}\x1b[201~")

    async def shows(self, *parts: str) -> str:
        """Wait until all parts stand on the screen, lines broken or not; returns it."""
        for _ in range(TURNS):
            text, prose = self.text(), self.prose()
            missing = [part for part in parts if part not in text and part not in prose]
            if not missing:
                return text
            await asyncio.sleep(0.01)
        raise AssertionError(f"{missing} not on the screen:\n{self.text()}")

    async def lacks(self, part: str) -> str:
        """Wait until a part is gone from the screen; returns it."""
        for _ in range(TURNS):
            if part not in self.text():
                return self.text()
            await asyncio.sleep(0.01)
        raise AssertionError(f"{part!r} still on the screen:\n{self.text()}")

    async def until_ended(self) -> None:
        """Wait until the app has left by itself."""
        for _ in range(TURNS):
            if self.ended:
                return
            await asyncio.sleep(0.01)
        raise AssertionError("the app goes on:\n" + self.text())


@contextlib.asynccontextmanager
async def terminal(
    host: Host | DataSet,
    columns: int = 80,
    rows: int = 24,
    *,
    lock_after_s: float | None = None,
    now_ms: Callable[[], int] = lambda: NOON,
) -> AsyncIterator[Terminal]:
    """Run the app until the block ends."""
    if isinstance(host, DataSet):
        host = ScriptedHost(host, Needed.NOTHING)
    size = Size(rows=rows, columns=columns)
    wire = _Wire()
    with create_pipe_input() as keys:
        output = GridOutput(wire, lambda: size, term="xterm-256color", enable_cpr=False)
        app = TerminalApp(
            host,
            now_ms=now_ms,
            lock_after_s=lock_after_s,
            zone=UTC,
            terminal_input=keys,
            output=output,
        )
        shown = Terminal(app, keys, wire, size)

        async def run() -> None:
            with create_app_session(keys, output):  # two apps in one process know each their own
                await app.run()
            shown.ended = True

        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(run())
            try:
                yield shown
            finally:
                running.cancel()
