"""The requeue skips orders whose execution still runs."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from functions.requeue_stalled_orders.executions import Executions
from functions.shared import aws
from functions.shared.order_queue import OrderMessage
from local.memory.backend import OUTPUTS, MemoryBackend
from local.memory.faults import Failing, refusal
from local.memory.state_machine import End
from tests.functions.requeue_stalled_orders.stalled import requeue, stalled_order, start_execution


def test_an_order_whose_execution_ended_is_requeued(backend: MemoryBackend) -> None:
    execution = start_execution(backend, stalled_order(backend))
    execution.end = End("TIMED_OUT", "ValidateOrder")
    assert requeue() == {"requeued": 1, "complete": True}


def test_an_order_whose_execution_still_runs_is_skipped(backend: MemoryBackend) -> None:
    order_id = stalled_order(backend)
    start_execution(backend, order_id)
    before = backend.stored_order(order_id)
    assert requeue() == {"running": 1, "complete": True}
    assert backend.stored_order(order_id) == before
    assert backend.take_messages() == []


def test_an_execution_that_cannot_be_described_is_an_error(backend: MemoryBackend) -> None:
    executions = Executions(aws.client("stepfunctions"), str(OUTPUTS["stateMachineArn"]))
    with (
        backend.hooked(Failing(refusal("AccessDeniedException"), "DescribeExecution")),
        pytest.raises(ClientError, match="AccessDenied"),
    ):
        executions.is_running(OrderMessage("o-1", 1, "cid-1"))


def test_express_executions_are_not_described(
    backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    from functions.requeue_stalled_orders import handler
    from functions.requeue_stalled_orders.executions import never_running

    monkeypatch.setattr(handler, "_is_running", never_running)
    order_id = stalled_order(backend)
    assert requeue() == {"requeued": 1, "complete": True}
    assert [message["orderId"] for message in backend.take_messages()] == [order_id]
