"""The AWS stub answers every call of the measured handlers, so that they succeed."""

from __future__ import annotations

import pytest

from bench.processes import child, environment
from bench.samples import EVENTS
from bench.stub import aws_stub


@pytest.mark.parametrize("package", ["bench.plain", "functions.orders_api", "functions.order_consumer"])
def test_a_measured_handler_succeeds(package: str) -> None:
    with aws_stub() as endpoint, child(package, environment(endpoint)) as process:
        calls = process.call(EVENTS[package], 2)

    assert len(calls.cpu) == 2
    assert calls.peak > 1e6
