"""The runbook's table of permissions has what the commands use, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from functions.shared.persistence.open_index import shard_of
from local.memory.backend import MemoryBackend
from local.memory.cloud import Hook, ServiceCall
from local.memory.queues import Message
from ops.stacks import PROJECT_ROOT
from tests.ops.conftest import Ops
from tests.ops.test_shipping import announce, ship

RUNBOOK = (PROJECT_ROOT / "docs" / "operations.md").read_text("utf-8")
# https://docs.aws.amazon.com/service-authorization/latest/reference/
_ACTIONS = {
    "SendMessageBatch": "SendMessage",
    "DeleteMessageBatch": "DeleteMessage",
    "ChangeMessageVisibilityBatch": "ChangeMessageVisibility",
    "TransactWriteItems": "UpdateItem",
}
# Only a failed execution has a history that is read: tests/ops/test_executions.py.
_NOT_IN_MEMORY = {"states:GetExecutionHistory"}


class _Recorder(Hook):
    """Records the IAM action of every call."""

    def __init__(self) -> None:
        self.actions: set[str] = set()

    def before(self, call: ServiceCall, _request: Mapping[str, Any]) -> None:
        service = {"stepfunctions": "states"}.get(call.service, call.service)
        self.actions.add(f"{service}:{_ACTIONS.get(call.operation, call.operation)}")


def documented() -> set[str]:
    """The actions of the table."""
    table = RUNBOOK.partition("An operator needs these permissions")[2].partition("\nLogs have")[0]
    return set(re.findall(r"`([a-z]+:[A-Z]\w+)`", table))


@pytest.fixture
def order_ids(backend: MemoryBackend, failed_order: str) -> dict[str, str]:
    """The ids of an open, a failed, and a partly shipped order with a return."""
    shipped = backend.create_validated_order({backend.create_product(stock=10): 4})
    backend.reserve(shipped)
    reservation = {**backend.stored_order(shipped)["reservation"], "handedOverTo": "partner/orders"}
    backend.set_order(
        shipped,
        status="IN_FULFILLMENT",
        reservation=reservation,
        openShard=shard_of(shipped),
        dueAt="2026-07",
    )
    ship(backend, shipped, 3)
    announce(backend, shipped, 1)
    waiting = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    return {"open": waiting, "failed": failed_order, "shipped": shipped}


def test_the_documented_permissions_are_those_of_the_commands(
    backend: MemoryBackend, ops: Ops, order_ids: dict[str, str], named_stack: None
) -> None:
    for _ in range(3):
        backend.cloud.dead_letters.append(Message("no JSON"))
    backend.cloud.logs["/aws/lambda/orderflow/test/orders_api"] = []
    backend.wait(30)
    recorder = _Recorder()
    with backend.hooked(recorder):
        first, second, _ = (letter["messageId"] for letter in ops("dlq", "list", "--json").json)
        for command in (
            "overview",
            "reconcile",
            "logs",
            f"orders show {order_ids['failed']}",
            "orders list",
            "orders stalled",
            "orders overdue --hours 0",
            f"orders requeue {order_ids['open']} --yes",
            f"orders cancel {order_ids['open']} --yes",
            f"orders release {order_ids['failed']} --yes",
            f"orders retry {order_ids['failed']} --yes",
            f"orders receive {order_ids['shipped']} R-1 --restock --yes",
            "queue pause --reason test --yes",
            "overview",
            "queue resume --yes",
            f"dlq show {first}",
            f"dlq delete {first} --yes",
            f"dlq redrive {second} --all --yes",
            "dlq redrive --all --yes",
            "events replay --from 2026-06-01 --yes",
        ):
            assert ops(*command.split()).code == 0, command
    assert recorder.actions == documented() - _NOT_IN_MEMORY
