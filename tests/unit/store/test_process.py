"""A process with secrets leaves no core file and lets no other program of the user look inside."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from p2pchat.store.process import protect_process

_LOOK = """
import ctypes, resource
from p2pchat.store.process import protect_process
protect_process()
print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_no_core_file_and_no_tracing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LOOK], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "(0, 0) 0\n"


def test_a_system_that_refuses_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("not allowed")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    monkeypatch.setattr(sys, "platform", "freebsd14")
    protect_process()
