"""Times have one format, and can be compared as texts."""

from __future__ import annotations

import re

import pytest

from functions.shared import clock


def test_now_is_utc_with_milliseconds() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", clock.now())


@pytest.mark.parametrize(
    ("at", "minutes", "before"),
    [
        ("2026-01-31T08:00:00.000Z", 10, "2026-01-31T07:50:00.000Z"),
        ("2026-03-01T00:04:59.999Z", 5, "2026-02-28T23:59:59.999Z"),
    ],
)
def test_minutes_before_a_time_has_the_same_format(at: str, minutes: int, before: str) -> None:
    assert clock.minutes_before(at, minutes) == before


def test_seconds_between_two_times_include_milliseconds() -> None:
    assert clock.seconds_between("2026-01-31T08:00:00.000Z", "2026-01-31T08:01:00.250Z") == 60.25


def test_the_seconds_since_1970_have_no_fraction() -> None:
    assert clock.epoch("1970-01-02T00:00:01.999Z") == 24 * 60 * 60 + 1
