"""Fixtures of all tests. After a run, prints the numbers of cases and the coverage of the exhaustive tests.

A test records a number under `cases: <heading>`, or a line under `coverage: <heading>`. Numbers are summed
over all tests and workers.
"""

from __future__ import annotations

import logging
import math
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import pytest

from functions.shared import deadline
from local.environment import RUNS_FOLDER, bypass_proxies_for_loopback
from local.memory.functions import ENVIRONMENT

# A shell that starts this run in the background ignores SIGINT. All child processes would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Tests use neither the profile nor the proxies of the shell.
for _name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
    os.environ.pop(_name, None)
bypass_proxies_for_loopback()

# The functions' modules and boto3 read these once, at their first use.
for _name, _value in ENVIRONMENT.items():
    if _name.startswith(("AWS_", "POWERTOOLS_")):
        os.environ.setdefault(_name, _value)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the option that has AWS's own DynamoDB judge every test that runs on a backend in memory."""
    parser.addoption(
        "--dynamodb-local",
        action="store_true",
        help="fail when DynamoDB Local answers a call otherwise than the store in memory",
    )


@pytest.fixture(scope="session", autouse=True)
def _compared_store(request: pytest.FixtureRequest) -> Iterator[None]:
    if not request.config.getoption("--dynamodb-local"):
        yield
        return
    from tests.references.dynamodb_local import ComparedStore
    from tests.references.implementations import DYNAMODB

    if not DYNAMODB.is_installed():
        pytest.skip("DynamoDB Local is not installed: run `make implementations`")
    with patch("local.memory.cloud.Store", ComparedStore):
        yield


@pytest.fixture(scope="session", autouse=True)
def _shared_runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Lets all processes of this test run use each other's runs of the program."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    (folder / "runs").mkdir(exist_ok=True)
    with patch.dict(os.environ, {RUNS_FOLDER: str(folder / "runs")}):
        yield


@pytest.fixture(autouse=True)
def _without_deadline() -> Iterator[None]:
    """Starts without the deadline of an invocation in an earlier test, which may have passed."""
    with patch.object(deadline, "_ends_at", math.inf):
        yield


@pytest.fixture
def without_logs() -> Iterator[None]:
    """Disables logging. Thousands of cases would write hundreds of thousands of lines."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def count_cases(record_property: Callable[[str, object], None]) -> Callable[[str, int], None]:
    """Returns a function that adds to the number of cases of a heading."""
    return lambda heading, cases: record_property(f"cases: {heading}", cases)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the recorded numbers and lines."""
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
