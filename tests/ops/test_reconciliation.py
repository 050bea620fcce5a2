"""`python -m ops reconcile`."""

from __future__ import annotations

import pytest

from local.memory.backend import MemoryBackend
from local.memory.faults import Failing, refusal
from tests.ops.conftest import Ops


@pytest.fixture
def order_id(backend: MemoryBackend) -> str:
    """The id of an order with a message on the queue."""
    return backend.create_order(backend.create_user(), {backend.create_product(): 1})


def test_an_order_with_a_running_execution_is_not_listed(
    backend: MemoryBackend, ops: Ops, order_id: str
) -> None:
    backend.deliver_messages()
    backend.wait(2)
    found = ops("reconcile", "--json").json
    assert (found["orders"], found["executions"], found["more"]) == ([], [], False)


def test_an_order_that_waits_on_the_queue_is_listed_after_a_minute(
    backend: MemoryBackend, ops: Ops, order_id: str
) -> None:
    assert ops("reconcile", "--json").json["orders"] == []
    backend.wait(2)
    found = ops("reconcile", "--json").json
    assert [(one["orderId"], one["execution"]["status"]) for one in found["orders"]] == [
        (order_id, "NOT STARTED")
    ]
    assert found["waitingMessages"] == 1
    screen = ops("reconcile").out
    assert f"{order_id} PENDING 2 min 0 s NOT STARTED, attempt 1" in screen
    assert "1 open orders without a running execution; 0 running executions without" in screen


def test_an_order_whose_execution_was_stopped_is_listed(
    backend: MemoryBackend, ops: Ops, order_id: str
) -> None:
    backend.deliver_messages()
    backend.stop_executions()
    backend.wait(2)
    found = ops("reconcile", "--json").json
    assert [one["orderId"] for one in found["orders"]] == [order_id]
    assert found["waitingMessages"] == 0


def test_executions_of_orders_that_ended_moved_on_or_are_missing_are_listed(
    backend: MemoryBackend, ops: Ops, order_id: str
) -> None:
    product = backend.create_product()
    moved_on, missing = (backend.create_order(backend.create_user(), {product: 1}) for _ in range(2))
    backend.deliver_messages()
    ops("orders", "cancel", order_id, "--yes")
    backend.set_order(moved_on, attempt=2)
    del backend.cloud.store.tables["orders"].items[missing]
    assert [one["name"] for one in ops("reconcile", "--json").json["executions"]] == [f"{missing}-1"]
    backend.wait(2)
    found = ops("reconcile", "--json").json
    assert {one["name"]: one["order"] for one in found["executions"]} == {
        f"{order_id}-1": "CANCELLED in attempt 1",
        f"{moved_on}-1": "PENDING in attempt 2",
        f"{missing}-1": "there is no such order",
    }
    assert [one["orderId"] for one in found["orders"]] == [moved_on]
    assert f"{order_id}-1 CANCELLED in attempt 1" in ops("reconcile").out


def test_the_oldest_are_listed_up_to_the_limit(backend: MemoryBackend, ops: Ops, order_id: str) -> None:
    backend.wait(1)
    backend.create_order(backend.create_user(), {backend.create_product(): 1})
    backend.wait(2)
    found = ops("reconcile", "--limit", "1", "--json").json
    assert ([one["orderId"] for one in found["orders"]], found["more"]) == ([order_id], True)
    assert ops("reconcile", "--limit", "1").out.endswith("There are more than these 1; --limit shows more.")


def test_a_stack_with_express_executions_lists_orders_that_none_can_work_on(
    backend: MemoryBackend, ops: Ops, order_id: str
) -> None:
    backend.cloud.is_express = True
    backend.deliver_messages()
    backend.wait(4)
    assert ops("reconcile", "--json").json["orders"] == []
    backend.wait(2)
    (found,) = ops("reconcile", "--json").json["orders"]
    assert (found["orderId"], found["execution"]["status"]) == (order_id, "UNKNOWN")
    screen = ops("reconcile").out
    assert "1 open orders without a running execution; 0 messages wait on the queue." in screen
    assert "AWS keeps no list of EXPRESS executions" in screen


def test_a_missing_permission_ends_the_command(backend: MemoryBackend, ops: Ops) -> None:
    with backend.hooked(Failing(refusal("AccessDeniedException"), "ListExecutions")):
        assert ops("reconcile").code == 5
