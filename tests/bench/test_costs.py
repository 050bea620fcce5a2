"""An order stays within its budget, and `docs/cost.md` is up to date."""

from __future__ import annotations

from collections import Counter

import pytest

from bench.billing import Units, add
from bench.costs import BUDGETS, DOCUMENT, INDEXES, alarm_metrics, budget, custom_metrics, document
from bench.order_paths import BATCH, OrderPath, measure_all_paths
from local.engine.monitored import ALARM
from local.engine.stacks import declare_test_stack, table_schemas
from local.memory.state_machine import FUNCTIONS


@pytest.fixture(scope="module")
def fulfilled() -> OrderPath:
    return measure_all_paths()[0]


@pytest.mark.parametrize("workflow", sorted(BUDGETS))
def test_a_million_orders_stay_within_the_budget(workflow: str) -> None:
    assert budget(workflow) <= BUDGETS[workflow]


def test_the_budgeted_order_is_stored_in_less_than_a_kilobyte(fulfilled: OrderPath) -> None:
    assert fulfilled.item_bytes < 1024


def test_a_fulfilled_order_takes_four_transitions_and_reads_only_to_validate(
    fulfilled: OrderPath,
) -> None:
    assert fulfilled.transitions == 4
    operations = [call.operation for call in fulfilled.calls]
    assert operations == [
        "PutItem",
        "SendMessage",
        "StartExecution",
        *("GetItem", "GetItem", "BatchGetItem"),  # ValidateOrder: the order, the user, the products
        *("UpdateItem", "PutEvents"),
        "TransactWriteItems",
        *("UpdateItem", "PutEvents"),
    ]


def test_every_index_has_its_price_and_only_three_are_written_for_every_order(fulfilled: OrderPath) -> None:
    declared = {
        f"{table}.{index['IndexName']}"
        for table, schema in table_schemas().items()
        for index in schema.get("GlobalSecondaryIndexes", ())
    }
    written: Units = {}
    for call in fulfilled.calls:
        add(written, call.index_units)

    assert set(INDEXES) == declared
    assert written == {"orders.byUser": 1, "orders.byTime": 1, "orders.open": 2}


def test_the_messages_of_a_full_batch_share_its_cost(fulfilled: OrderPath) -> None:
    alone, shared = (fulfilled.units("EXPRESS", batch=batch) for batch in (1, 10))

    assert alone["queueRequests"] == 3
    assert shared["queueRequests"] == pytest.approx(1.2)
    assert alone["invocations"] == 6
    assert shared["invocations"] == pytest.approx(5.1)


def test_every_custom_metric_is_counted_once_for_each_function_or_reason() -> None:
    """`tests/observability/test_metrics.py` checks that the functions emit no other metric."""
    assert custom_metrics(measure_all_paths()) == {
        *((name, "orders_api") for name in ("OrdersPlaced", "OrdersCancelled")),
        *((name, "update_order_status") for name in ("OrdersFulfilled", "TimeToFulfill", "OrdersFailed")),
        ("OrdersFulfilled", "reports_api"),
        *(("OrdersRejected", reason) for reason in ("unknown_product", "insufficient_stock")),
        *(
            (name, "requeue_stalled_orders")
            for name in ("OrdersStalled", "OrdersRequeued", "AttemptsExhausted")
        ),
        *(("TaskOutcomes", task) for task in FUNCTIONS.values()),
    }


def test_an_alarm_is_billed_per_metric() -> None:
    of_alarms = alarm_metrics()

    assert of_alarms["dead_letters"] == 1
    assert of_alarms["api_5xx"] == 2  # errors and requests
    assert of_alarms["validate_order_errors"] == 3  # errors, outcomes and invocations
    assert of_alarms["orders_throttles"] == 1  # a query
    assert set(of_alarms) == {alarm.name for alarm in declare_test_stack("prod").of_type(ALARM)}


def test_the_page_of_costs_is_up_to_date() -> None:
    assert DOCUMENT.read_text("utf-8") == document(), "stale: run `python -m bench units`"


def test_an_address_costs_nothing_while_the_order_is_smaller_than_a_kilobyte() -> None:
    plain, with_address, larger = measure_all_paths()[:3]

    assert with_address.item_bytes < 1024 < larger.item_bytes
    assert with_address.units("EXPRESS", batch=BATCH) == plain.units("EXPRESS", batch=BATCH)
    assert larger.units("EXPRESS", batch=BATCH)["writeUnits"] == 13 + 5  # each write of it


def test_an_order_in_two_parcels_adds_only_its_reports(fulfilled: OrderPath) -> None:
    (parcels,) = [path for path in measure_all_paths() if path.end == "DELIVERED"]

    assert parcels.transitions == fulfilled.transitions
    assert parcels.requests == 5  # the order; each parcel shipped, and delivered
    assert Counter(parcels.invocations) - Counter(fulfilled.invocations) == {"reports_api": 4}
