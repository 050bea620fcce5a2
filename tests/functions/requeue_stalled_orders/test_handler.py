"""The metrics and log lines of a run of the requeue, and its environment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from functions.shared.order_queue import OrderMessage
from local.memory.backend import MemoryBackend
from local.memory.faults import Failing
from local.memory.iam import SECRET_ARN
from tests.functions.imports import import_again
from tests.functions.requeue_stalled_orders.stalled import measured, requeue, stalled_order, start_execution

METRICS = ("OrdersStalled", "OrdersRequeued", "AttemptsExhausted")


def test_a_run_counts_stalled_requeued_and_exhausted_orders(
    backend: MemoryBackend, capsys: pytest.CaptureFixture[str]
) -> None:
    stalled_order(backend)
    stalled_order(backend, attempt=3)
    stalled_order(backend, items="nonsense")
    capsys.readouterr()
    requeue()
    assert measured(capsys, *METRICS) == (3, 1, 1)


def test_a_run_without_stalled_orders_counts_zero(
    backend: MemoryBackend, capsys: pytest.CaptureFixture[str]
) -> None:
    requeue()
    assert measured(capsys, *METRICS) == (0, 0, 0)


def test_a_run_that_is_skipped_because_of_a_backlog_counts_zero(
    backend: MemoryBackend, capsys: pytest.CaptureFixture[str]
) -> None:
    stalled_order(backend)
    backend.measure_oldest_message(3600, minutes_ago=1)
    capsys.readouterr()
    assert requeue() == {"skipped": True}
    assert measured(capsys, *METRICS) == (0, 0, 0)


def test_a_run_that_fails_counts_what_it_did_before(
    backend: MemoryBackend, capsys: pytest.CaptureFixture[str]
) -> None:
    stalled_order(backend)
    stalled_order(backend, attempt=3)
    capsys.readouterr()
    unreachable = Failing(EndpointConnectionError(endpoint_url="https://sqs"), "SendMessageBatch")
    with backend.hooked(unreachable), pytest.raises(EndpointConnectionError):
        requeue()
    assert measured(capsys, *METRICS) == (1, 0, 1)


def test_the_log_lines_of_a_run_have_no_keys_of_an_earlier_run(
    backend: MemoryBackend, log_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    from functions.shared.observability import logger

    logger.append_keys(order_id="o-earlier")
    requeue()
    assert [line for line in log_lines() if "order_id" in line] == []


def test_a_standard_workflow_describes_its_executions(
    backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = stalled_order(backend)
    start_execution(backend, order_id)
    monkeypatch.setenv("WORKFLOW_TYPE", "STANDARD")
    is_running = import_again("functions.requeue_stalled_orders.handler")._is_running
    assert is_running(OrderMessage(order_id, 1, "cid-1"))
    assert not is_running(OrderMessage(order_id, 2, "cid-1"))


def test_the_environment_configures_the_workflow_and_the_fulfillment_system(
    backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    from functions.requeue_stalled_orders.executions import never_running

    monkeypatch.setenv("WORKFLOW_TYPE", "EXPRESS")
    handler = import_again("functions.requeue_stalled_orders.handler")
    assert handler._is_running is never_running
    assert (handler._fulfillment_system, handler._overdue_hours) == (None, 0)
    monkeypatch.setenv("FULFILLMENT_URL", "https://partner.example.com/orders")
    monkeypatch.setenv("FULFILLMENT_SECRET_ARN", SECRET_ARN)
    monkeypatch.setenv("FULFILLMENT_OVERDUE_HOURS", "48")
    handler = import_again("functions.requeue_stalled_orders.handler")
    assert (handler._fulfillment_system.name, handler._overdue_hours) == ("partner.example.com/orders", 48)
