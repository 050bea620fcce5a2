"""The time, as all records and responses have it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta


def now() -> str:
    """Returns the present time: UTC, ISO 8601, milliseconds, `Z` (`2026-01-31T08:00:00.000Z`)."""
    return _write(datetime.now(UTC))


def minutes_before(at: str, minutes: int) -> str:
    """Returns the time that many minutes before `at`, in the same format."""
    return minutes_after(at, -minutes)


def minutes_after(at: str, minutes: int) -> str:
    """Returns the time that many minutes after `at`, in the same format."""
    return _write(datetime.fromisoformat(at) + timedelta(minutes=minutes))


def seconds_between(start: str, end: str) -> float:
    """Returns the seconds from one time to another."""
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def epoch(at: str) -> int:
    """Returns a time in whole seconds since 1970, as DynamoDB's time to live needs it."""
    return int(datetime.fromisoformat(at).timestamp())


def pause(seconds: float) -> None:
    """Waits before the next try of a call."""
    time.sleep(seconds)


def _write(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
