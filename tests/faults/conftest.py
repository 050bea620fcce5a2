"""The crash, interleaving and property tests run without logs, and count their cases."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

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
