"""Log lines hold what is listed, and nothing of a peer's or of an exception's text."""

import io
import json
import logging

import pytest

from p2pchat.cli.logs import JsonFormatter


@pytest.fixture
def log() -> tuple[logging.Logger, io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("p2pchat.test")
    logger.handlers[:] = [handler]
    logger.propagate = False
    return logger, stream


def test_a_line_is_json_with_the_listed_fields(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = log
    logger.warning("link with %s broke", "bob\x1b[31m\nnext", extra={"text": "a private message"})
    (line,) = stream.getvalue().splitlines()
    fields = json.loads(line)
    assert set(fields) == {"time", "level", "module", "message"}
    assert fields["level"] == "warning"
    assert "\x1b" not in fields["message"]
    assert "private" not in line


def test_an_exception_is_told_by_kind_and_place_only(
    log: tuple[logging.Logger, io.StringIO],
) -> None:
    logger, stream = log
    secret = "canary-of-a-message"
    try:
        raise ValueError(secret)
    except ValueError:
        logger.exception("message.send failed")
    fields = json.loads(stream.getvalue())
    assert fields["error"] == "ValueError"
    assert "test_logs.py:" in fields["places"]
    assert secret not in stream.getvalue()
