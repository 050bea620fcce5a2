"""Prints, at the end of the run, how many cases the exhaustive tests went through."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Thousands of cases write hundreds of thousands of log lines; nobody reads them here."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def count_cases(record_property: Callable[[str, object], None]) -> Callable[[str, int], None]:
    """Adds to the number of cases that is printed under a heading."""
    return lambda heading, cases: record_property(f"cases: {heading}", cases)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Sum the cases up over all tests and workers."""
    cases: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) == "call":
                for name, value in report.user_properties:
                    if name.startswith("cases: "):
                        cases[name.removeprefix("cases: ")] += value
    for heading, number in sorted(cases.items()):
        terminalreporter.write_line(f"{heading}: {number} cases")
