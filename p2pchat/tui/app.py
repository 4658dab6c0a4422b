"""The terminal app's shell: terminal, clock, client and state, wired together (interface.md).

One task draws and reads keys, one carries out calls, one follows notifications; the state is
changed in ``dispatch`` only, between two awaits. Nothing here blocks the loop: Argon2id and the
store have their own threads.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import signal
from collections.abc import Callable, Iterator
from datetime import tzinfo
from typing import Final, assert_never

from prompt_toolkit.application import Application
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.clipboard import ClipboardData, InMemoryClipboard
from prompt_toolkit.document import Document
from prompt_toolkit.input import Input
from prompt_toolkit.output import Output

from p2pchat.crypto.secret import Secret
from p2pchat.errors import LockedError, P2PChatError, UsageError
from p2pchat.rpc.client import Client, SocketClient
from p2pchat.rpc.idle import IdleWatch
from p2pchat.rpc.protocol import RpcError
from p2pchat.tui import effects as e
from p2pchat.tui import hits, layout, surface
from p2pchat.tui.actions import Action, opening, person
from p2pchat.tui.effects import Effect
from p2pchat.tui.host import Host, Needed
from p2pchat.tui.keys import Controls, bindings
from p2pchat.tui.model import reduce
from p2pchat.tui.navigation import sentence
from p2pchat.tui.panel_state import SearchPanel
from p2pchat.tui.runner import Runner
from p2pchat.tui.state import AppState, Setup, Step
from p2pchat.tui.style import STYLE
from p2pchat.tui.view import names

ESCAPE_S: Final = 0.05
"""After this long, Esc was pressed by itself and does not begin a terminal's sequence."""
ALT_S: Final = 0.3
"""So long Esc may be followed by a key by hand, as if Alt were held."""
REDRAW_S: Final = 0.02
"""A burst of messages is drawn at most fifty times a second."""
LEAVING_SIGNALS: Final = (signal.SIGTERM, signal.SIGHUP)
GC_THRESHOLD: Final = 50_000
"""Young objects before a collection; the default of 700 collects in the middle of key presses."""

_Order = e.CreateProfile | e.OpenProfile | e.LockProfile


class TerminalApp:
    """One run of the app.

    Args:
        host: Makes and opens the profile.
        passphrase: Given beforehand; None asks.
        now_ms: Wall clock.
        lock_after_s: Lock after so long without a key press, if this process holds the profile;
            None never does.
        zone: Of the times shown; None is the system's.
        terminal_input: Where keys come from; None is the real terminal.
        output: Where it is drawn; None is the real terminal.
    """

    def __init__(
        self,
        host: Host,
        *,
        passphrase: Secret | None = None,
        now_ms: Callable[[], int],
        lock_after_s: float | None = None,
        zone: tzinfo | None = None,
        terminal_input: Input | None = None,
        output: Output | None = None,
    ) -> None:
        self._host = host
        self._given = passphrase
        self._now_ms = now_ms
        self._zone = zone
        self._client: Client | None = None
        self._failure: P2PChatError | None = None
        self._background: list[asyncio.Task[None]] = []
        self._orders: asyncio.Queue[_Order] = asyncio.Queue()
        self._idle = None if lock_after_s is None else IdleWatch(lock_after_s, now_ms)
        self.state = AppState()
        self._runner = Runner(self.dispatch, now_ms)
        self._composer = layout.new_composer(
            lambda: [each.name for each in self.state.contacts],
            lambda buffer: self.dispatch(person.DraftChanged(buffer.text)),
        )
        self._entry = Buffer(multiline=False)
        self.screen = layout.build(lambda: self.state, self._composer, self._entry, zone, now_ms)
        controls = Controls(self.dispatch, lambda: self.state, now_ms, self._scroll)
        self._application: Application[None] = Application(
            layout=self.screen.layout,
            key_bindings=bindings(controls, self._composer, self._entry),
            style=STYLE,
            full_screen=True,
            mouse_support=False,
            min_redraw_interval=REDRAW_S,
            input=terminal_input,
            output=output,
        )
        self._application.ttimeoutlen = ESCAPE_S
        self._application.timeoutlen = ALT_S
        if self._idle is not None:
            idle = self._idle
            self._application.key_processor.before_key_press += lambda _: idle.touch()

    async def run(self) -> None:
        """Show the app until the person leaves; the client is closed afterwards.

        Raises:
            P2PChatError: The profile cannot be used; the screen is given back first.
        """
        await self._begin()
        threshold = gc.get_threshold()
        try:
            async with asyncio.TaskGroup() as tasks:
                worker = tasks.create_task(self._work(tasks))
                self._background = [worker]
                with self._signals(), contextlib.suppress(EOFError):  # the terminal may go first
                    await self._application.run_async(pre_run=self._settle)
                for task in self._background:
                    task.cancel()
        finally:
            gc.unfreeze()
            gc.set_threshold(*threshold)
            if self._client is not None:
                await self._client.close()
        if self._failure is not None:
            raise self._failure

    def dispatch(self, action: Action) -> None:
        """Change the state, and begin what follows from it."""
        self.state, effects = reduce(self.state, action)
        for effect in effects:
            self._carry_out(effect)
        self._settle()
        self._application.invalidate()

    async def _begin(self) -> None:
        """Choose the first screen."""
        match await self._host.needed():
            case Needed.PROFILE:
                step, first_run = Step.NAME, True
            case Needed.PASSPHRASE if self._given is None:
                step, first_run = Step.UNLOCK, False
            case Needed.PASSPHRASE | Needed.NOTHING:
                step, first_run = Step.OPENING, False
                self._orders.put_nowait(e.OpenProfile(self._given))
        self.state = AppState(setup=Setup(step, first_run, passphrase=self._given))

    async def _work(self, tasks: asyncio.TaskGroup) -> None:
        """Make, open, lock and unlock the profile as ordered, until it cannot be used."""
        while self._failure is None:
            order = await self._orders.get()
            if isinstance(order, e.LockProfile):
                await self._lock()
            elif self._client is not None:
                await self._unlock(self._client, order.passphrase)
            else:
                await self._enter(order, tasks)
            del order  # with the passphrase in it, before the next one is waited for

    async def _enter(
        self, order: e.CreateProfile | e.OpenProfile, tasks: asyncio.TaskGroup
    ) -> None:
        """Open the profile for the first time."""
        try:
            if isinstance(order, e.CreateProfile):
                await self._host.create(order.name, order.passphrase)
            client = self._client = await self._host.open(order.passphrase)
        except (LockedError, UsageError) as error:
            self.dispatch(opening.SetupFailed(sentence(str(error))))
            return
        except P2PChatError as error:
            self._failure = error
            self._leave()
            return
        finally:
            self._given = None
        stream = client.notifications()  # before any question is asked
        self._opened()
        self._background.append(tasks.create_task(self._runner.follow(client, stream)))
        self._background.append(tasks.create_task(self._runner.run_calls(client)))
        # Another process that holds the profile locks it by its own settings.
        if self._idle is not None and not isinstance(client, SocketClient):
            self._idle.touch()
            self._background.append(tasks.create_task(self._idle.run(self._lock_idle)))

    def _opened(self) -> None:
        self.dispatch(opening.ProfileOpened())
        # What lives now lives long: the collector need not look at it at each key press.
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD)

    async def _lock(self) -> None:
        """Have the keys forgotten; the screen is blank already."""
        gc.unfreeze()  # or what is let go of in circles would stay
        if self._client is not None:
            try:
                await self._client.call("node.lock")
            except RpcError as error:
                self.dispatch(opening.SetupFailed(f"⚠ Not locked: {sentence(error.message)}"))

    async def _unlock(self, client: Client, passphrase: Secret | None) -> None:
        params = {}
        if passphrase is not None:
            params["passphrase"] = base64.b64encode(passphrase.reveal()).decode()
        try:
            await client.call("node.unlock", params)
        except RpcError as error:
            self.dispatch(opening.SetupFailed(sentence(error.message)))
        else:
            self._opened()

    async def _lock_idle(self) -> None:
        self.dispatch(person.LockWanted())

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case e.Call():
                self._runner.order(effect)
            case e.SetComposer(text):
                # Reset, so that undoing never brings one contact's text to another.
                if self._composer.text != text:
                    self._composer.reset(Document(text, len(text)))
            case e.ClearEntry():
                self._entry.reset()
                self._application.clipboard.set_data(ClipboardData())  # may hold a passphrase
            case e.ForgetAll():
                self._forget()
            case e.CreateProfile() | e.OpenProfile() | e.LockProfile():
                self._orders.put_nowait(effect)
            case e.Leave():
                self._leave()
            case _ as unreachable:
                assert_never(unreachable)

    def _forget(self) -> None:
        """Empty what may hold words of the chat; the terminal is drawn anew."""
        self._runner.forget()
        self._composer.reset()
        self._entry.reset()
        self._application.clipboard = InMemoryClipboard()  # and its ring
        self.screen.history.forget()
        surface.forget()
        if self._application.is_running:
            self._application.renderer.clear()

    def _leave(self) -> None:
        future = self._application.future
        if future is not None and not future.done():
            self._application.exit()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Leave in good order when asked from outside; SIGINT is a key press (see ``keys``)."""
        loop = asyncio.get_running_loop()
        for number in LEAVING_SIGNALS:
            loop.add_signal_handler(number, self._leave)
        try:
            yield
        finally:
            for number in LEAVING_SIGNALS:
                loop.remove_signal_handler(number)

    def _settle(self) -> None:
        """Give the input to the field that is on the screen."""
        in_setup = self.state.setup is not None
        wanted = self.screen.entry_window if in_setup else self.screen.composer_window
        if self.screen.layout.current_window is not wanted:
            self.screen.layout.focus(wanted)

    def _scroll(self, pages: int) -> None:
        """Scroll by the size that the body was last drawn with."""
        columns, rows = self.screen.body.size
        by = pages * layout.page(rows)
        if isinstance(self.state.panel, SearchPanel):
            self.dispatch(person.MessageChosen(-pages * hits.page(rows)))
            return
        if self.state.panel is not None:
            last = max(0, layout.panel_length(self.state, columns, self._zone) - rows)
            first = max(0, min(last, min(self.state.panel_scroll, last) - by))
            self.dispatch(person.PanelScrolled(first))
            return
        anchor, top = self.screen.history.scroll(
            self.state.shown, names(self.state), columns, rows, by
        )
        self.dispatch(person.HistoryScrolled(anchor, at_top=top))
