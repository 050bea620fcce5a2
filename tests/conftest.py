"""Prints, at the end of a run, what the exhaustive tests went through: how many cases, which coverage.

A test records a number under `cases: <heading>`, which are summed up over all tests and workers, or a line
under `coverage: <heading>`.
"""

from __future__ import annotations

import logging
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from local.environment import bypass_proxies_for_loopback
from local.memory.functions import ENVIRONMENT

# Ignored where a shell started this run in the background, and then in every process that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The shell's own profile and proxies are no concern of a test.
for _name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
    os.environ.pop(_name, None)
bypass_proxies_for_loopback()

# Read once, by whichever test first imports the functions' code or makes a client of AWS.
for _name, _value in ENVIRONMENT.items():
    if _name.startswith(("AWS_", "POWERTOOLS_")):
        os.environ.setdefault(_name, _value)


@pytest.fixture
def without_logs() -> Iterator[None]:
    """Switches off logging: thousands of cases would write hundreds of thousands of lines."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def count_cases(record_property: Callable[[str, object], None]) -> Callable[[str, int], None]:
    """Adds to the number of cases that is printed under a heading."""
    return lambda heading, cases: record_property(f"cases: {heading}", cases)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what was recorded."""
    cases: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) == "call":
                for name, value in report.user_properties:
                    kind, _, heading = name.partition(": ")
                    if kind == "cases":
                        cases[heading] += value
                    elif kind == "coverage":
                        terminalreporter.write_line(f"{heading}: {value}")
    for heading, number in sorted(cases.items()):
        terminalreporter.write_line(f"{heading}: {number} cases")
