"""The demo shows what it says, in time, and nothing of it stays behind."""

import asyncio
import json
import os
import re
import signal
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from p2pchat.cli import demo, demo_steps
from p2pchat.cli.demo_peer import PeerProcess
from p2pchat.cli.demo_steps import STEPS, Stage, Step
from p2pchat.crypto.secret import Secret
from p2pchat.errors import P2PChatError
from tests.support.cli_world import TIMEOUT_S, Profile, command

NAMES = [step.name for step in STEPS]


def run_demo(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command("demo", *arguments),
        env={**os.environ, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def test_each_step_holds_and_is_told_to_programs(tmp_path: Path) -> None:
    result = run_demo(tmp_path, "--json")
    assert (result.returncode, result.stderr) == (0, "")
    *steps, last = [json.loads(line) for line in result.stdout.splitlines()]
    assert [step["step"] for step in steps] == NAMES
    for step in steps:
        assert set(step) == {"step", "ok", "detail", "ms"}
        assert step["ok"] is True
        assert step["detail"]
    assert set(last) == {"ok", "total_ms"}
    assert last["ok"] is True
    assert last["total_ms"] < 10_000
    assert list(tmp_path.iterdir()) == []


def test_people_are_told_in_plain_words(tmp_path: Path) -> None:
    result = run_demo(tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert len(re.findall("^✓ ", result.stdout, re.MULTILINE)) == len(STEPS)
    assert "✗" not in result.stdout
    assert "Not shown here" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert list(tmp_path.iterdir()) == []
    # What it says about the keys is true of the handshake that it made.
    assert ("classical keys" in result.stdout) != ("hybrid keys" in result.stdout)


async def _false_claim(stage: Stage) -> str:
    raise demo_steps.DidNotHoldError("the moon is not made of cheese")


def _instead(name: str, act: Callable[[Stage], Awaitable[str]]) -> tuple[Step, ...]:
    return tuple(replace(step, act=act) if step.name == name else step for step in STEPS)


@pytest.mark.parametrize("as_json", [True, False])
def test_a_step_that_does_not_hold_is_named_and_ends_it(
    as_json: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(demo, "STEPS", _instead("handshake", _false_claim))
    assert demo.run_demo(as_json=as_json) == 1
    out, err = capsys.readouterr()
    assert "cheese" in out
    if as_json:
        *steps, last = [json.loads(line) for line in out.splitlines()]
        assert [(step["step"], step["ok"]) for step in steps] == [
            *((name, True) for name in NAMES[:3]),
            ("handshake", False),
        ]
        assert last["ok"] is False
    else:
        assert "p2pchat: the demo's step 'handshake' did not hold: the moon" in err
        assert "Shown:" not in out
    assert list(tmp_path.iterdir()) == []


async def _never(stage: Stage) -> str:
    await asyncio.Event().wait()
    return ""


def test_a_step_that_does_not_come_to_its_end_is_given_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "STEP_S", 0.05)
    monkeypatch.setattr(demo, "STEPS", (replace(STEPS[0], act=_never),))
    assert demo.run_demo(as_json=True) == 1
    assert "did not happen" in capsys.readouterr().out


async def test_the_steps_see_what_is_wrong(tmp_path: Path) -> None:
    """Each assertion can fail: here the world is changed behind the demo's back."""
    stage = Stage(tmp_path)
    steps = {step.name: step.act for step in STEPS}
    try:
        for name in ("identities", "start", "contacts", "handshake", "safety_number", "chat"):
            await steps[name](stage)
        # One message too many.
        extra = {"contact": stage.bob.name, "text": "not of the play"}
        sent = await stage.alice.running.call("message.send", extra)
        await demo_steps._delivered(stage.alice, stage.bob.name, sent)
        await steps["kill"](stage)
        await steps["queue"](stage)
        with pytest.raises(demo_steps.DidNotHoldError, match="messages"):
            await steps["return"](stage)
        # Somebody wrote down a secret.
        leak = stage.alice.profile / "notes"
        leak.write_bytes(b"..." + stage.alice.secrets_on_disk[0])
        leak.chmod(0o600)
        with pytest.raises(demo_steps.DidNotHoldError, match="notes"):
            await steps["at_rest"](stage)
        leak.write_bytes(b"harmless")
        leak.chmod(0o644)
        with pytest.raises(demo_steps.DidNotHoldError, match="others may read"):
            await steps["at_rest"](stage)
        # The contact has become somebody else.
        stage.bob.peer_id = stage.alice.peer_id
        with pytest.raises(demo_steps.DidNotHoldError, match="another identity"):
            await steps["handshake"](stage)
        # A program that does not end as it should.
        await stage.alice.running.kill()
        with pytest.raises(demo_steps.DidNotHoldError, match="ended with -9"):
            await steps["end"](stage)
    finally:
        await stage.clear()


def test_sigterm_in_the_middle_tidies_up(tmp_path: Path) -> None:
    process = subprocess.Popen(
        command("demo", "--json"),
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["step"] == "identities"
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, err) == (128 + signal.SIGTERM, "")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)  # nobody of its session is left


async def test_a_node_that_does_not_start_says_why(tmp_path: Path) -> None:
    profile = Profile.quick(tmp_path, "Alice")
    with pytest.raises(P2PChatError, match="passphrase is wrong"):
        await PeerProcess.start(profile.path, Secret(b"wrong"))
