"""`python -m ops orders`: looking into orders, and setting them right."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest

from functions.shared import clock
from local.memory.backend import MemoryBackend
from local.memory.faults import Failing, refusal
from local.memory.functions import ENVIRONMENT, invoke_task
from tests.ops.conftest import Ops, product_of


def states(order: dict[str, Any]) -> list[str]:
    return [entry["status"] for entry in order["history"]]


@pytest.fixture
def broken_queue(backend: MemoryBackend) -> None:
    """An SQS that takes no message."""
    backend.cloud.hook = Failing(refusal("InternalError"), "SendMessage")


@pytest.fixture
def broken_bus(backend: MemoryBackend) -> None:
    """An event bus that takes no event."""
    backend.cloud.hook = Failing(refusal("InternalError"), "PutEvents")


@pytest.fixture
def no_aws(backend: MemoryBackend) -> None:
    """An AWS of which every call fails the test."""
    backend.cloud.hook = Failing(lambda call, _request: AssertionError(call))


# --- show -------------------------------------------------------------------------------------------------


def start_execution(order_id: str, attempt: int) -> None:
    execution = {"orderId": order_id, "attempt": attempt, "correlationId": "c"}
    boto3.client("stepfunctions").start_execution(
        stateMachineArn=ENVIRONMENT["STATE_MACHINE_ARN"],
        name=f"{order_id}-{attempt}",
        input=json.dumps(execution),
    )


def test_an_order_is_shown_with_its_state_goods_history_and_execution(
    backend: MemoryBackend, ops: Ops
) -> None:
    order_id = backend.create_validated_order({backend.create_product(stock=10, price=1999): 2})
    shipment = backend.reserve(order_id)
    invoke_task("update_order_status", order_id, status="FULFILLED", shipment=shipment)
    said = ops("orders", "show", order_id)
    assert said.code == 0
    for fact in (
        f"Order {order_id}",
        "Status FULFILLED",
        "2 x Lamp",
        "Total 3998 EUR (in minor units)",
        "Goods shipped",
        f"Shipment shipment-{order_id}",
        f"Execution NOT STARTED ({order_id}-1)",
    ):
        assert fact in said.out
    history = said.out.split("why")[1]
    assert history.index("PENDING") < history.index("VALIDATED") < history.index("FULFILLED")


def test_an_open_order_is_shown_with_the_time_it_waits(backend: MemoryBackend, ops: Ops) -> None:
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    backend.set_order(order_id, openSince=clock.minutes_before(clock.now(), 125))
    said = ops("orders", "show", order_id)
    assert "(2 h 5 min)" in said.out
    assert "Goods not taken" in said.out


def test_of_an_order_that_was_given_up_the_last_execution_is_shown(backend: MemoryBackend, ops: Ops) -> None:
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    start_execution(order_id, attempt=3)
    backend.set_order(order_id, attempt=4, status="FAILED")
    assert ops("orders", "show", order_id, "--json").json["execution"]["name"] == f"{order_id}-3"
    backend.set_order(order_id, status="PENDING")
    assert ops("orders", "show", order_id, "--json").json["execution"]["name"] == f"{order_id}-4"


def test_so_it_is_when_the_machine_may_not_be_looked_at(
    backend: MemoryBackend, ops: Ops, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend.cloud.hook = Failing(refusal("AccessDeniedException"), "DescribeStateMachine")
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    start_execution(order_id, attempt=3)
    backend.set_order(order_id, attempt=4)
    said = ops("orders", "show", order_id)
    assert said.code == 0
    assert f"Execution UNKNOWN ({order_id}-4)" in said.out
    assert "states:DescribeStateMachine is not permitted" in said.out
    backend.set_order(order_id, status="FAILED")
    assert ops("orders", "show", order_id, "--json").json["execution"]["name"] == f"{order_id}-3"


def test_an_order_as_json_is_the_stored_one_with_its_execution(backend: MemoryBackend, ops: Ops) -> None:
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    shown = ops("orders", "show", order_id, "--json").json
    execution = shown.pop("execution")
    assert execution == {"name": f"{order_id}-1", "status": "NOT STARTED"}
    assert shown == backend.stored_order(order_id)


@pytest.mark.parametrize("command", ["show", "cancel", "retry", "release"])
def test_an_unknown_order_is_told_so(ops: Ops, command: str) -> None:
    said = ops("orders", command, "nothing")
    assert (said.code, said.err) == (4, "Error: There is no order nothing.")


@pytest.mark.parametrize("command", ["show", "cancel", "retry", "release"])
@pytest.mark.parametrize(
    ("order_id", "shown"),
    [("", "''"), ("a" * 3000, f"'{'a' * 64}'…"), ("a b", "'a b'"), ("\x1b[31m", r"'\x1b[31m'")],
    ids=["empty", "long", "blank", "control character"],
)
def test_what_can_be_no_id_is_no_order_and_aws_is_not_asked(
    ops: Ops, no_aws: None, command: str, order_id: str, shown: str
) -> None:
    said = ops("orders", command, order_id)
    assert said.code == 4
    assert said.err.startswith(f"Error: There is no order {shown}: ")


def test_what_others_wrote_gives_the_terminal_no_commands(backend: MemoryBackend, ops: Ops) -> None:
    order_id = backend.create_validated_order({backend.create_product(stock=10): 2})
    (line,) = backend.stored_order(order_id)["items"]
    backend.set_order(
        order_id,
        status="FAILED",
        items=[{**line, "title": "Lamp\x1b[31m"}],
        statusReason="refused: \x9b2J",
        shipment={"shipmentId": "p\u202e1"},
        history=[{"status": "FAILED", "at": clock.now(), "reason": "since\x1b]0;x\x07"}],
    )
    told = [
        ops("orders", "show", order_id).out,
        ops("orders", "show", order_id, "--json").out,
        ops("orders", "retry", order_id, typed="n\n").err,
    ]
    for text in (r"Lamp\u001b[31m", r"refused: \u009b2J", r"p\u202e1", r"since\u001b]0;x\u0007"):
        assert text in told[0]
        assert text in told[1]
    assert r"refused: \u009b2J" in told[2]
    assert not [char for char in "".join(told) if char in "\x1b\x9b\x07\u202e"]


# --- stalled ----------------------------------------------------------------------------------------------


def test_stalled_orders_are_listed_the_oldest_first_and_up_to_the_limit(
    backend: MemoryBackend, ops: Ops
) -> None:
    user, product = backend.create_user(), backend.create_product()
    waiting = {}
    for minutes in (5, 20, 40, 30):
        waiting[minutes] = backend.create_order(user, {product: 1})
        backend.set_order(waiting[minutes], openSince=clock.minutes_before(clock.now(), minutes))
    listed = [order["orderId"] for order in ops("orders", "stalled", "--json").json]
    assert listed == [waiting[40], waiting[30], waiting[20]]
    said = ops("orders", "stalled", "--limit", "1")
    assert waiting[40] in said.out
    assert waiting[30] not in said.out
    assert "There are more than these 1" in said.out
    said = ops("orders", "stalled", "--minutes", "60")
    assert (said.code, said.out) == (0, "No order waits for 60 minutes or more.")


@pytest.mark.usefixtures("broken_bus")
def test_a_cancelled_order_whose_event_is_not_out_is_told_so_and_listed(
    backend: MemoryBackend, ops: Ops
) -> None:
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    said = ops("orders", "cancel", order_id)
    assert said.code == 0
    assert "Its event is not out yet" in said.out
    backend.set_order(order_id, openSince=clock.minutes_before(clock.now(), 11))
    assert "event not sent" in ops("orders", "stalled").out


# --- cancel -----------------------------------------------------------------------------------------------


def test_a_cancel_is_announced_and_says_who_did_it(backend: MemoryBackend, ops: Ops) -> None:
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    said = ops("orders", "cancel", order_id)
    assert (said.code, said.out) == (0, f"Order {order_id} is cancelled.")
    order = backend.stored_order(order_id)
    assert (order["status"], order["statusReason"]) == ("CANCELLED", "cancelled by an operator")
    assert [event["detail-type"] for event in backend.take_events()] == ["OrderCancelled"]


def test_a_second_cancel_changes_nothing_and_says_so(backend: MemoryBackend, ops: Ops) -> None:
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    ops("orders", "cancel", order_id)
    before = backend.stored_order(order_id)
    said = ops("orders", "cancel", order_id)
    assert (said.code, said.out) == (0, f"Order {order_id} was cancelled before; nothing changed.")
    assert backend.stored_order(order_id) == before


def test_a_cancel_that_comes_too_late_is_refused(backend: MemoryBackend, ops: Ops) -> None:
    order_id = backend.create_validated_order({backend.create_product(): 1})
    backend.reserve(order_id)
    said = ops("orders", "cancel", order_id)
    assert (said.code, said.err) == (1, "Error: The goods are reserved and on their way.")


# --- retry ------------------------------------------------------------------------------------------------


def test_a_retry_makes_a_failed_order_pending_in_its_next_attempt_and_queues_it(
    backend: MemoryBackend, ops: Ops, failed_order: str
) -> None:
    said = ops("orders", "retry", failed_order, "--yes", "--json")
    assert said.code == 0
    assert said.json["changed"]
    order = backend.stored_order(failed_order)
    assert said.json["order"] == order
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
    said = ops("orders", "retry", failed_order, "--yes")
    assert said.code == 0
    assert said.out == f"Order {failed_order} is PENDING in attempt 4 already; its message was sent again."
    assert backend.stored_order(failed_order) == before
    assert [message["attempt"] for message in backend.take_messages()] == [4, 4]


def test_a_retry_of_an_order_on_its_way_changes_nothing(backend: MemoryBackend, ops: Ops) -> None:
    order_id = backend.create_validated_order({backend.create_product(): 1})
    backend.take_messages()
    said = ops("orders", "retry", order_id, "--yes")
    assert (said.code, said.out) == (
        0,
        f"Order {order_id} is VALIDATED in attempt 1 already; nothing changed.",
    )
    assert backend.take_messages() == []


def test_a_retry_of_a_final_order_is_refused(backend: MemoryBackend, ops: Ops) -> None:
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    ops("orders", "cancel", order_id)
    said = ops("orders", "retry", order_id, "--yes")
    assert (said.code, said.err) == (
        1,
        f"Error: Order {order_id} is CANCELLED; only a FAILED order can be retried.",
    )


def test_without_yes_a_retry_tells_how_the_order_stands_and_asks(
    backend: MemoryBackend, ops: Ops, failed_order: str
) -> None:
    said = ops("orders", "retry", failed_order, typed="n\n")
    assert said.code == 1
    assert f"Order {failed_order} is FAILED (attempts_used_up: no end) in attempt 3. Retry it on" in said.err
    assert backend.stored_order(failed_order)["status"] == "FAILED"
    assert ops("orders", "retry", failed_order, typed="y\n").code == 0
    assert backend.stored_order(failed_order)["status"] == "PENDING"


@pytest.mark.usefixtures("broken_queue")
def test_a_retry_that_the_queue_did_not_take_says_what_to_do(
    backend: MemoryBackend, ops: Ops, failed_order: str
) -> None:
    said = ops("orders", "retry", failed_order, "--yes")
    assert said.code == 1
    assert "is PENDING in attempt 4, but the queue did not take its message" in said.err
    assert "run the command again" in said.err
    assert backend.stored_order(failed_order)["openSince"]  # so that the requeue finds it


# --- release ----------------------------------------------------------------------------------------------


def test_a_release_puts_the_goods_back_and_leaves_the_order_failed(
    backend: MemoryBackend, ops: Ops, failed_order: str
) -> None:
    product = product_of(backend, failed_order)
    assert backend.stock(product) == 8
    said = ops("orders", "release", failed_order, "--yes")
    assert (said.code, said.out) == (
        0,
        f"The goods of order {failed_order} (2 pieces) are back on the shelf.",
    )
    assert backend.stock(product) == 10
    assert backend.stored_order(failed_order)["status"] == "FAILED"


def test_a_second_release_puts_back_nothing_and_says_so(
    backend: MemoryBackend, ops: Ops, failed_order: str
) -> None:
    ops("orders", "release", failed_order, "--yes")
    said = ops("orders", "release", failed_order, "--yes")
    assert (said.code, said.out) == (0, f"Order {failed_order} holds no goods; nothing changed.")
    assert backend.stock(product_of(backend, failed_order)) == 10


def test_a_released_order_that_is_retried_takes_its_goods_anew(
    backend: MemoryBackend, ops: Ops, failed_order: str
) -> None:
    ops("orders", "release", failed_order, "--yes")
    ops("orders", "retry", failed_order, "--yes")
    invoke_task("update_order_status", failed_order, 4, status="VALIDATED")
    backend.reserve(failed_order, 4)
    assert backend.stock(product_of(backend, failed_order)) == 8


def test_the_goods_of_an_order_on_its_way_are_not_released(backend: MemoryBackend, ops: Ops) -> None:
    order_id = backend.create_validated_order({backend.create_product(stock=10): 2})
    backend.reserve(order_id)
    said = ops("orders", "release", order_id, "--yes")
    assert (said.code, said.err) == (
        1,
        f"Error: Order {order_id} is VALIDATED; only a FAILED order's goods are put back by hand.",
    )
    assert backend.stock(product_of(backend, order_id)) == 8


def test_without_yes_a_release_asks_whether_it_is_certain(
    backend: MemoryBackend, ops: Ops, failed_order: str
) -> None:
    said = ops("orders", "release", failed_order, typed="n\n")
    assert said.code == 1
    assert "Is it certain that its goods were not and will not be shipped?" in said.err
    assert backend.stock(product_of(backend, failed_order)) == 8
