"""A day as a person types it, in the person's own time zone."""

from __future__ import annotations

from datetime import datetime, timedelta

from p2pchat.errors import UsageError


def day_span_ms(text: str) -> tuple[int, int]:
    """Return when the day ``YYYY-MM-DD`` begins and when the next one does, in Unix milliseconds.

    Raises:
        UsageError: That is no day.
    """
    try:
        day = datetime.strptime(text.strip(), "%Y-%m-%d")  # local on purpose
        # Not 24 hours later: some days have 23 or 25.
        return _ms(day), _ms(day + timedelta(days=1))
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"{text[:40]!r} is not a day; write it as 2026-01-31") from None


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
