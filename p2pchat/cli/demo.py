"""``demo``: two throw-away people do on this computer what the product is for.

Two real processes with real profiles in a temporary folder talk over real loopback sockets. Each
step is a function that asserts what it claims and returns one sentence about it; nothing is
printed as done that was not seen to be so. Only the passphrase hardening is weaker than in your
own profile, and the text says that.

Steps are in ``demo_steps``; this module runs, times and prints them, and tidies up.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import Final

from p2pchat.cli.demo_steps import STEPS, Stage, Step, summary
from p2pchat.errors import P2PChatError
from p2pchat.sanitize import clean_line

STEP_S: Final = 15.0
"""One step; on a slow machine a whole demo takes less."""
_COLUMNS: Final = 78
_TERMINATED: Final = 128 + signal.SIGTERM

_INTRODUCTION: Final = """\
Alice and Bob are two programs that this demo starts on your computer. Each
has an encrypted profile of its own; they talk over real network connections.
"""


def run_demo(*, as_json: bool) -> int:
    """Run all steps.

    Args:
        as_json: Print one object a step and a last one, instead of prose.

    Returns:
        0 if every step really held, else 1.
    """
    try:
        return asyncio.run(_run(as_json=as_json))
    except asyncio.CancelledError:
        return _TERMINATED  # by SIGTERM; everything was tidied up on the way


async def _run(*, as_json: bool) -> int:
    this = asyncio.current_task()
    if this is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    started = time.monotonic()
    ok = True
    if not as_json:
        print(_INTRODUCTION)
    with tempfile.TemporaryDirectory(prefix="p2pchat-demo-") as folder:
        stage = Stage(Path(folder))
        try:
            for step in STEPS:
                if not await _perform(step, stage, as_json=as_json):
                    ok = False
                    break
        finally:
            await stage.clear()
    if await asyncio.to_thread(Path(folder).exists):
        raise P2PChatError(f"the demo's folder {folder} could not be deleted; delete it")
    total_ms = round((time.monotonic() - started) * 1000)
    if as_json:
        print(json.dumps({"ok": ok, "total_ms": total_ms}), flush=True)
    elif ok:
        print()
        print(summary(stage))
        print(f"(That took {total_ms / 1000:.1f} s, and the temporary folder is deleted.)")
    return 0 if ok else 1


async def _perform(step: Step, stage: Stage, *, as_json: bool) -> bool:
    begun = time.monotonic()
    ok = False
    try:
        async with asyncio.timeout(STEP_S):
            detail = await step.act(stage)
        ok = True
    except TimeoutError:
        detail = f"it did not happen within {STEP_S:g} s"
    except (P2PChatError, OSError) as error:
        detail = clean_line(str(error), 500)
    if as_json:
        took_ms = round((time.monotonic() - begun) * 1000)
        result = {"step": step.name, "ok": ok, "detail": detail, "ms": took_ms}
        print(json.dumps(result), flush=True)
        return ok
    line = f"{'✓' if ok else '✗'} {step.title}: {detail}"
    print(textwrap.fill(line, _COLUMNS, subsequent_indent="  "), flush=True)
    if not ok:
        print(f"p2pchat: the demo's step '{step.name}' did not hold: {detail}", file=sys.stderr)
    return ok
