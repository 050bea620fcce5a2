"""The example consumer receives the events of the stack."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local.engine.program import PROJECT_ROOT
from local.stack import RunningStack
from tests.e2e.conftest import Api, wait_for

ASYNCAPI = json.loads((PROJECT_ROOT / "docs" / "asyncapi.json").read_text("utf-8"))
VALIDATED = ASYNCAPI["components"]["messages"]["OrderValidated"]["examples"][0]["payload"]["detail"]


@pytest.fixture(scope="module")
def consumer(stack: RunningStack) -> Any:
    """The outputs of the project, deployed beside the stack."""
    return stack.deploy(PROJECT_ROOT / "examples" / "consumer").outputs.values


def test_the_consumer_has_the_last_status_of_each_order_also_after_repeats(
    api: Api, stack: RunningStack, consumer: Any
) -> None:
    user, lamp = api.create_user(), api.create_product(stock=1)
    orders = {api.place_order(user, {lamp: 1}): "FULFILLED", api.place_order(user, {lamp: 2}): "REJECTED"}

    def stored() -> dict[str, str]:
        items = stack.client("dynamodb").scan(TableName=consumer["statusesTable"])["Items"]
        return {item["orderId"]["S"]: item["status"]["S"] for item in items}

    wait_for(stored, lambda statuses: orders.items() <= statuses.items())
    # An older event of each order arrives again, and then that of a third order.
    bus = stack.outputs["eventBusName"]
    for order_id in orders:
        old = VALIDATED | {"orderId": order_id, "occurredAt": "2020-01-01T00:00:00.000Z"}
        entry = {"Source": "orderflow.orders", "DetailType": "OrderValidated", "Detail": json.dumps(old)}
        assert (
            stack.client("events").put_events(Entries=[entry | {"EventBusName": bus}])["FailedEntryCount"]
            == 0
        )
    third = api.place_order(user, {lamp: 3})
    wait_for(stored, lambda statuses: statuses.get(third) == "REJECTED")
    assert orders.items() <= stored().items()
