"""The metrics of a run of the requeue."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import EndpointConnectionError

from local.memory.backend import MemoryBackend
from local.memory.faults import Failing
from tests.functions.requeue_stalled_orders.stalled import requeue, stalled_order


def measured(capsys: pytest.CaptureFixture[str]) -> tuple[float, float, float]:
    """Returns a run's metrics: the numbers of stalled, requeued and exhausted orders."""
    (record,) = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    (stalled,), (requeued,), (exhausted,) = (
        record[name] for name in ("OrdersStalled", "OrdersRequeued", "AttemptsExhausted")
    )
    return stalled, requeued, exhausted


def test_a_run_counts_stalled_requeued_and_exhausted_orders(
    backend: MemoryBackend, capsys: pytest.CaptureFixture[str]
) -> None:
    stalled_order(backend)
    stalled_order(backend, attempt=3)
    capsys.readouterr()
    requeue()
    assert measured(capsys) == (2, 1, 1)


def test_a_run_without_stalled_orders_counts_zero(
    backend: MemoryBackend, capsys: pytest.CaptureFixture[str]
) -> None:
    requeue()
    assert measured(capsys) == (0, 0, 0)


def test_a_run_that_is_skipped_because_of_a_backlog_counts_zero(
    backend: MemoryBackend, capsys: pytest.CaptureFixture[str]
) -> None:
    stalled_order(backend)
    backend.measure_oldest_message(3600, minutes_ago=1)
    capsys.readouterr()
    assert requeue() == {"skipped": True}
    assert measured(capsys) == (0, 0, 0)


def test_a_run_that_fails_counts_what_it_did_before(
    backend: MemoryBackend, capsys: pytest.CaptureFixture[str]
) -> None:
    stalled_order(backend)
    stalled_order(backend, attempt=3)
    capsys.readouterr()
    unreachable = Failing(EndpointConnectionError(endpoint_url="https://sqs"), "SendMessageBatch")
    with backend.hooked(unreachable), pytest.raises(EndpointConnectionError):
        requeue()
    assert measured(capsys) == (1, 0, 1)
