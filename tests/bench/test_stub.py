"""The AWS stub answers every call of the measured handlers, so that they succeed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench.processes import child, environment
from bench.samples import EVENTS
from bench.stub import aws_stub, count_calls


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with aws_stub() as url:
        yield url


@pytest.mark.parametrize("package", EVENTS)
def test_a_measured_handler_succeeds(package: str, endpoint: str) -> None:
    with child(package, environment(endpoint)) as process:
        calls = process.call(EVENTS[package], 2)

    assert len(calls.cpu) == 2
    assert calls.peak > 1e6


def test_the_calls_of_a_handler_are_counted(endpoint: str) -> None:
    before = count_calls(endpoint)
    with child("functions.orders_api", environment(endpoint)) as process:
        process.call(EVENTS["functions.orders_api"], 3)

    assert count_calls(endpoint) - before == 3 * 2  # an order and its message
