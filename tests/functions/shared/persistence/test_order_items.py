"""Conditional writes of one order: what they require, return and raise."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError
from msgspec.structs import replace

from functions.shared import aws
from functions.shared.persistence.dynamodb import UpdateExpression
from functions.shared.persistence.order_items import OrderItems
from local.memory.backend import MemoryBackend
from local.memory.faults import FAULTS, Failing, FaultAt, refusal
from tests.functions.shared.domain.samples import AT, LATER, order


@pytest.fixture
def items(backend: MemoryBackend) -> OrderItems:
    backend.put("orders", replace(order(), due_at=AT))
    return OrderItems(aws.client("dynamodb"), "orders")


def postponing() -> UpdateExpression:
    return UpdateExpression().set("dueAt", LATER).require_equal("dueAt", AT)


def test_a_write_whose_answer_was_lost_returns_the_order(backend: MemoryBackend, items: OrderItems) -> None:
    with backend.hooked(FaultAt(0, FAULTS["answer cut off once"])):
        written = items.update("o-1", postponing())
    assert written == items.get("o-1")
    assert (written.due_at, written.revision) == (LATER, 1)


def test_an_error_of_the_store_is_no_refusal(backend: MemoryBackend, items: OrderItems) -> None:
    for write in (items.update, items.update_if, items.update_or_superseded):
        with (
            backend.hooked(Failing(refusal("AccessDeniedException"), "UpdateItem")),
            pytest.raises(ClientError, match="AccessDenied"),
        ):
            write("o-1", postponing())
