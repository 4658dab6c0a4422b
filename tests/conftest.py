"""What holds for the whole suite."""

from __future__ import annotations

import gc
import os

import pytest

_ORDINARY = "not slow"
_WORKERS_MAX = 4
"""Many tests run whole programs, which would starve one another on more."""


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Spread the whole ordinary suite over the processors; run what is named, or slow, in one.

    The slow tests measure times, and load the machine by themselves.
    """
    if config.option.file_or_dir or config.option.markexpr != _ORDINARY:
        return 0
    return min(_WORKERS_MAX, os.cpu_count() or 1)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Leave thousands of collected tests out of each garbage collection from now on."""
    del session
    gc.collect()
    gc.freeze()
