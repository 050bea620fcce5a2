"""`python -m ops orders`."""

from __future__ import annotations

import json

import boto3
import pytest

from functions.shared import clock
from functions.shared.persistence.order_items import list_shard_of
from local.memory.backend import MemoryBackend
from local.memory.faults import Failing, refusal
from local.memory.functions import ENVIRONMENT, invoke_task
from tests.ops.conftest import Ops, product_of

YES = {command: ["--yes"] for command in ("cancel", "retry", "release")}


@pytest.fixture
def broken_queue(backend: MemoryBackend) -> None:
    """SQS accepts no message."""
    backend.cloud.hook = Failing(refusal("InternalError"), "SendMessage")


@pytest.fixture
def broken_bus(backend: MemoryBackend) -> None:
    """The event bus accepts no event."""
    backend.cloud.hook = Failing(refusal("InternalError"), "PutEvents")


@pytest.fixture
def no_aws(backend: MemoryBackend) -> None:
    """Every call of AWS fails the test."""
    backend.cloud.hook = Failing(lambda call, _request: AssertionError(call))


# --- show -------------------------------------------------------------------------------------------------


def start_execution(order_id: str, attempt: int) -> None:
    execution = {"orderId": order_id, "attempt": attempt, "correlationId": "c"}
    boto3.client("stepfunctions").start_execution(
        stateMachineArn=ENVIRONMENT["STATE_MACHINE_ARN"],
        name=f"{order_id}-{attempt}",
        input=json.dumps(execution),
    )


def test_an_order_is_shown_with_its_status_reservation_history_and_execution(
    backend: MemoryBackend, ops: Ops
) -> None:
    order_id = backend.create_validated_order({backend.create_product(stock=10, price=1999): 2})
    shipment = backend.reserve(order_id)
    invoke_task("update_order_status", order_id, status="FULFILLED", fulfillment=shipment)
    result = ops("orders", "show", order_id)
    assert result.code == 0
    for fact in (
        f"Order {order_id}",
        "Status FULFILLED",
        "2 x Lamp",
        "Total 3998 EUR (in minor units)",
        "Reservation shipped",
        "Shipments 1",
        "Lamp 2 0 2 0 0",
        f"Execution NOT STARTED ({order_id}-1)",
    ):
        assert fact in result.out
    history = result.out.split("why")[1]
    assert history.index("PENDING") < history.index("VALIDATED") < history.index("FULFILLED")


def test_an_open_order_is_shown_with_the_time_at_which_it_is_due(backend: MemoryBackend, ops: Ops) -> None:
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    result = ops("orders", "show", order_id)
    assert f"Due {backend.stored_order(order_id)['dueAt']}" in result.out
    assert "Reservation none" in result.out


def test_an_order_whose_attempts_are_used_up_is_shown_with_its_last_execution(
    backend: MemoryBackend, ops: Ops
) -> None:
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    start_execution(order_id, attempt=3)
    backend.set_order(order_id, attempt=4, status="FAILED")
    assert ops("orders", "show", order_id, "--json").json["execution"]["name"] == f"{order_id}-3"
    backend.set_order(order_id, status="PENDING")
    assert ops("orders", "show", order_id, "--json").json["execution"]["name"] == f"{order_id}-4"


def test_the_last_execution_is_shown_without_the_permission_to_describe_the_machine(
    backend: MemoryBackend, ops: Ops, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend.cloud.hook = Failing(refusal("AccessDeniedException"), "DescribeStateMachine")
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    start_execution(order_id, attempt=3)
    backend.set_order(order_id, attempt=4)
    result = ops("orders", "show", order_id)
    assert result.code == 0
    assert f"Execution UNKNOWN ({order_id}-4)" in result.out
    assert "states:DescribeStateMachine is not permitted" in result.out
    backend.set_order(order_id, status="FAILED")
    assert ops("orders", "show", order_id, "--json").json["execution"]["name"] == f"{order_id}-3"


def test_the_json_of_an_order_is_the_stored_order_with_its_execution(
    backend: MemoryBackend, ops: Ops
) -> None:
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    shown = ops("orders", "show", order_id, "--json").json
    execution = shown.pop("execution")
    assert shown.pop("balance")[0]["ordered"] == 1
    assert execution == {"name": f"{order_id}-1", "status": "NOT STARTED"}
    # The shard of the list by time is no part of the order.
    assert shown | {"timeShard": list_shard_of(order_id)} == backend.stored_order(order_id)


@pytest.mark.parametrize("command", ["show", "cancel", "retry", "release"])
def test_an_unknown_order_is_reported(ops: Ops, command: str) -> None:
    result = ops("orders", command, "nothing", *YES.get(command, ()))
    assert (result.code, result.err) == (4, "Error: There is no order nothing.")


@pytest.mark.parametrize("command", ["show", "cancel", "retry", "release"])
@pytest.mark.parametrize(
    ("order_id", "shown"),
    [("", "''"), ("a" * 3000, f"'{'a' * 64}'…"), ("a b", "'a b'"), ("\x1b[31m", r"'\x1b[31m'")],
    ids=["empty", "long", "blank", "control character"],
)
def test_an_invalid_id_is_reported_without_a_call(
    ops: Ops, no_aws: None, command: str, order_id: str, shown: str
) -> None:
    result = ops("orders", command, order_id, *YES.get(command, ()))
    assert result.code == 4
    assert result.err.startswith(f"Error: There is no order {shown}: ")


def test_control_characters_in_stored_texts_are_escaped(backend: MemoryBackend, ops: Ops) -> None:
    order_id = backend.create_validated_order({backend.create_product(stock=10): 2})
    (line,) = backend.stored_order(order_id)["items"]
    backend.set_order(
        order_id,
        status="FAILED",
        items=[{**line, "title": "Lamp\x1b[31m"}],
        statusReason="refused: \x9b2J",
        shipments=[{"shipmentId": "p\u202e1"}],
        history=[{"status": "FAILED", "at": clock.now(), "reason": "since\x1b]0;x\x07"}],
    )
    outputs = [
        ops("orders", "show", order_id).out,
        ops("orders", "show", order_id, "--json").out,
        ops("orders", "retry", order_id, typed="n\n").err,
    ]
    for text in (r"Lamp\u001b[31m", r"refused: \u009b2J", r"p\u202e1", r"since\u001b]0;x\u0007"):
        assert text in outputs[0]
        assert text in outputs[1]
    assert r"refused: \u009b2J" in outputs[2]
    assert not [char for char in "".join(outputs) if char in "\x1b\x9b\x07\u202e"]


# --- stalled ----------------------------------------------------------------------------------------------


def test_stalled_orders_are_listed_oldest_first_up_to_the_limit(backend: MemoryBackend, ops: Ops) -> None:
    user, product = backend.create_user(), backend.create_product()
    waiting = {}
    for minutes in (5, 20, 40, 30):
        waiting[minutes] = backend.create_order(user, {product: 1})
        backend.set_order(waiting[minutes], dueAt=clock.minutes_after(clock.now(), 10 - minutes))
    listed = [order["orderId"] for order in ops("orders", "stalled", "--json").json]
    assert listed == [waiting[40], waiting[30], waiting[20]]
    result = ops("orders", "stalled", "--limit", "1")
    assert waiting[40] in result.out
    assert waiting[30] not in result.out
    assert "There are more than these 1" in result.out
    result = ops("orders", "stalled", "--minutes", "60")
    assert (result.code, result.out) == (0, "No order waits for 60 minutes or more.")


@pytest.mark.usefixtures("broken_bus")
def test_a_cancelled_order_whose_event_is_not_published_is_reported_and_listed(
    backend: MemoryBackend, ops: Ops
) -> None:
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    result = ops("orders", "cancel", order_id, "--yes")
    assert result.code == 0
    assert "Its event is not published yet" in result.out
    backend.set_order(order_id, dueAt=clock.minutes_before(clock.now(), 1))
    assert "event not published" in ops("orders", "stalled").out


# --- cancel -----------------------------------------------------------------------------------------------


def test_a_cancel_publishes_an_event_and_names_the_operator(backend: MemoryBackend, ops: Ops) -> None:
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    result = ops("orders", "cancel", order_id, "--yes")
    assert (result.code, result.out) == (0, f"Order {order_id} is cancelled.")
    order = backend.stored_order(order_id)
    assert (order["status"], order["statusReason"]) == ("CANCELLED", "cancelled by an operator")
    assert [event["detail-type"] for event in backend.take_events()] == ["OrderCancelled"]


def test_a_second_cancel_changes_nothing_and_says_so(backend: MemoryBackend, ops: Ops) -> None:
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    ops("orders", "cancel", order_id, "--yes")
    before = backend.stored_order(order_id)
    result = ops("orders", "cancel", order_id, "--yes")
    assert (result.code, result.out) == (0, f"Order {order_id} was cancelled before; nothing changed.")
    assert backend.stored_order(order_id) == before


def test_a_cancel_that_comes_too_late_is_refused(backend: MemoryBackend, ops: Ops) -> None:
    order_id = backend.create_validated_order({backend.create_product(): 1})
    backend.reserve(order_id)
    result = ops("orders", "cancel", order_id, "--yes")
    assert (result.code, result.err) == (
        1,
        "Error: Its stock is reserved; only an order without a reservation can be cancelled.",
    )


# --- list -------------------------------------------------------------------------------------------------


def test_orders_are_listed_by_status_user_day_and_reference(
    backend: MemoryBackend, ops: Ops, failed_order: str
) -> None:
    body = {"userId": "u-9", "items": [{"productId": "p-1", "quantity": 1}], "reference": "PO-9"}
    pending = backend.api.post("/orders", body).body["orderId"]

    def listed(*options: str) -> list[str]:
        return [order["orderId"] for order in ops("orders", "list", *options, "--json").json]

    assert listed() == [pending, failed_order]
    assert listed("--status", "FAILED") == [failed_order]
    assert listed("--user", "u-9") == listed("--reference", "PO-9") == [pending]
    assert listed("--user", "u-9", "--reference", "PO-8") == []
    assert listed("--from", "2026-06-01", "--to", "2026-06-01") == [pending, failed_order]
    assert listed("--to", "2026-05-31") == []


def test_a_list_shows_the_reason_and_says_when_there_may_be_more(
    backend: MemoryBackend, ops: Ops, failed_order: str
) -> None:
    backend.create_order("u-9", {"p-1": 1})
    result = ops("orders", "list", "--limit", "1")
    assert failed_order not in result.out
    assert result.out.endswith("There may be more than these 1; --limit shows more.")
    failed = ops("orders", "list", "--status", "FAILED").out
    assert failed_order in failed
    assert "attempts_used_up: no end" in failed
    assert ops("orders", "list", "--status", "REJECTED").out == "There is no such order."


def test_more_orders_than_a_page_has_are_listed(backend: MemoryBackend, ops: Ops) -> None:
    placed = [backend.create_order("u-9", {"p-1": 1}) for _ in range(130)]
    shown = ops("orders", "list", "--limit", "120", "--json").json
    assert [order["orderId"] for order in shown] == placed[:-121:-1]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--from", "2026-06-02"), 1),
        (("--from", "2026-05-31", "--to", "2026-05-30"), 1),
        (("--from", "yesterday"), 2),
        (("--status", "SHIPPED"), 2),
        (("--limit", "0"), 2),
    ],
)
def test_a_wrong_option_of_the_list_is_refused(ops: Ops, options: tuple[str, ...], code: int) -> None:
    assert ops("orders", "list", *options).code == code


# --- retry ------------------------------------------------------------------------------------------------


def test_a_retry_makes_a_failed_order_pending_in_its_next_attempt_and_queues_it(
    backend: MemoryBackend, ops: Ops, failed_order: str
) -> None:
    result = ops("orders", "retry", failed_order, "--yes", "--json")
    assert result.code == 0
    assert result.json["changed"]
    order = backend.stored_order(failed_order)
    assert result.json["order"] | {"timeShard": list_shard_of(failed_order)} == order
    assert (order["status"], order["attempt"]) == ("PENDING", 4)
    assert order["openShard"]
    assert "statusReason" not in order
    (message,) = backend.take_messages()
    assert (message["orderId"], message["attempt"]) == (failed_order, 4)
    assert message["correlationId"].startswith("operator-")


def test_a_second_retry_only_sends_the_message_again_and_says_so(
    backend: MemoryBackend, ops: Ops, failed_order: str
) -> None:
    ops("orders", "retry", failed_order, "--yes")
    before = backend.stored_order(failed_order)
    result = ops("orders", "retry", failed_order, "--yes")
    assert result.code == 0
    assert result.out == f"Order {failed_order} is PENDING in attempt 4 already; its message was sent again."
    assert backend.stored_order(failed_order) == before
    assert [message["attempt"] for message in backend.take_messages()] == [4, 4]


def test_a_retry_of_a_validated_order_changes_nothing(backend: MemoryBackend, ops: Ops) -> None:
    order_id = backend.create_validated_order({backend.create_product(): 1})
    backend.take_messages()
    result = ops("orders", "retry", order_id, "--yes")
    assert (result.code, result.out) == (
        0,
        f"Order {order_id} is VALIDATED in attempt 1 already; nothing changed.",
    )
    assert backend.take_messages() == []


def test_a_retry_of_a_final_order_is_refused(backend: MemoryBackend, ops: Ops) -> None:
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    ops("orders", "cancel", order_id, "--yes")
    result = ops("orders", "retry", order_id, "--yes")
    assert (result.code, result.err) == (
        1,
        f"Error: Order {order_id} is CANCELLED; only a FAILED order can be retried.",
    )


def test_the_question_of_a_retry_gives_the_status_of_the_order(
    backend: MemoryBackend, ops: Ops, failed_order: str
) -> None:
    result = ops("orders", "retry", failed_order, typed="n\n")
    assert result.code == 1
    assert (
        f"Order {failed_order} is FAILED (attempts_used_up: no end) in attempt 3. Retry it on" in result.err
    )
    assert backend.stored_order(failed_order)["status"] == "FAILED"
    assert ops("orders", "retry", failed_order, typed="y\n").code == 0
    assert backend.stored_order(failed_order)["status"] == "PENDING"


@pytest.mark.usefixtures("broken_queue")
def test_a_retry_that_the_queue_did_not_accept_says_what_to_do(
    backend: MemoryBackend, ops: Ops, failed_order: str
) -> None:
    result = ops("orders", "retry", failed_order, "--yes")
    assert result.code == 1
    assert "is PENDING in attempt 4, but the orders queue did not accept its message" in result.err
    assert "Run the command again" in result.err
    assert backend.stored_order(failed_order)["dueAt"]  # the requeue finds it


# --- release ----------------------------------------------------------------------------------------------


def test_a_release_returns_the_stock_and_the_order_stays_failed(
    backend: MemoryBackend, ops: Ops, failed_order: str
) -> None:
    product = product_of(backend, failed_order)
    assert backend.stock(product) == 8
    result = ops("orders", "release", failed_order, "--yes")
    assert (result.code, result.out) == (
        0,
        f"The reservation of order {failed_order} (2 pieces) is released.",
    )
    assert backend.stock(product) == 10
    assert backend.stored_order(failed_order)["status"] == "FAILED"


def test_a_second_release_changes_nothing_and_says_so(
    backend: MemoryBackend, ops: Ops, failed_order: str
) -> None:
    ops("orders", "release", failed_order, "--yes")
    result = ops("orders", "release", failed_order, "--yes")
    assert (result.code, result.out) == (0, f"Order {failed_order} holds no reservation; nothing changed.")
    assert backend.stock(product_of(backend, failed_order)) == 10


def test_a_released_order_that_is_retried_reserves_again(
    backend: MemoryBackend, ops: Ops, failed_order: str
) -> None:
    ops("orders", "release", failed_order, "--yes")
    ops("orders", "retry", failed_order, "--yes")
    invoke_task("update_order_status", failed_order, 4, status="VALIDATED")
    backend.reserve(failed_order, 4)
    assert backend.stock(product_of(backend, failed_order)) == 8


def test_the_reservation_of_a_validated_order_is_not_released(backend: MemoryBackend, ops: Ops) -> None:
    order_id = backend.create_validated_order({backend.create_product(stock=10): 2})
    backend.reserve(order_id)
    result = ops("orders", "release", order_id, "--yes")
    assert (result.code, result.err) == (
        1,
        f"Error: Order {order_id} is VALIDATED; only the reservation of a FAILED order can be released.",
    )
    assert backend.stock(product_of(backend, order_id)) == 8


def test_the_question_of_a_release_asks_whether_the_order_was_not_shipped(
    backend: MemoryBackend, ops: Ops, failed_order: str
) -> None:
    result = ops("orders", "release", failed_order, typed="n\n")
    assert result.code == 1
    assert "Is it certain that it was not shipped and never will be?" in result.err
    assert backend.stock(product_of(backend, failed_order)) == 8


def test_a_requeued_order_has_a_new_attempt_and_a_message(backend: MemoryBackend, ops: Ops) -> None:
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    backend.take_messages()
    result = ops("orders", "requeue", order_id, "--yes")
    assert result.out == f"Order {order_id} is PENDING in attempt 2, and on the queue."
    assert [message["attempt"] for message in backend.take_messages()] == [2]


def test_an_order_that_is_final_or_has_a_running_execution_is_not_requeued(
    backend: MemoryBackend, ops: Ops, failed_order: str
) -> None:
    assert "only an open order can be requeued" in ops("orders", "requeue", failed_order, "--yes").err
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    backend.deliver_messages()
    result = ops("orders", "requeue", order_id, "--yes")
    assert (result.code, "has a running execution" in result.err) == (1, True)
    assert backend.stored_order(order_id)["attempt"] == 1


def test_all_failed_orders_are_retried_after_one_question(
    backend: MemoryBackend, ops: Ops, failed_order: str
) -> None:
    planned = ops("orders", "retry", "--all-failed", "--dry-run")
    assert planned.out == f"Order {failed_order} would be retried. Would retry 1 FAILED orders."
    assert backend.status(failed_order) == "FAILED"
    refused = ops("orders", "retry", "--all-failed", typed="n\n")
    assert (refused.code, "1 orders are FAILED. Retry them on stack" in refused.err) == (1, True)
    assert ops("orders", "retry", "--all-failed", typed="y\n").code == 0
    assert backend.status(failed_order) == "PENDING"
    assert [message["orderId"] for message in backend.take_messages()] == [failed_order]
    again = ops("orders", "retry", "--all-failed", "--yes", "--json")
    assert again.json == {"dryRun": False, "orders": {}, "more": False}


@pytest.mark.parametrize("arguments", [[], ["o-1", "--all-failed"]], ids=["neither", "both"])
def test_a_retry_needs_an_order_or_all_failed(ops: Ops, arguments: list[str]) -> None:
    assert ops("orders", "retry", *arguments, "--yes").code == 2
