"""`python -m ops orders`: looking into orders, and setting them right."""

from __future__ import annotations

from typing import Any

import boto3
import botocore.client
import pytest
from botocore.exceptions import ClientError

from functions.shared import clock
from local.memory.functions import ENVIRONMENT, World, invoke_task
from tests.ops.conftest import Ops, product_of


def states(order: dict[str, Any]) -> list[str]:
    return [entry["status"] for entry in order["history"]]


@pytest.fixture
def broken_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """An SQS that takes no message."""
    _break(monkeypatch, "SendMessage")


@pytest.fixture
def broken_bus(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event bus that takes no event."""
    _break(monkeypatch, "PutEvents")


@pytest.fixture
def no_aws(monkeypatch: pytest.MonkeyPatch, ops: Ops) -> None:
    """An AWS that must not be asked, once the stack is there."""

    def make_api_call(self: Any, operation: str, parameters: Any) -> Any:
        raise AssertionError(operation)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", make_api_call)


def _break(monkeypatch: pytest.MonkeyPatch, broken: str, code: str = "InternalError") -> None:
    call = botocore.client.BaseClient._make_api_call

    def make_api_call(self: Any, operation: str, parameters: Any) -> Any:
        if operation == broken:
            raise ClientError({"Error": {"Code": code, "Message": "out of order"}}, operation)
        return call(self, operation, parameters)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", make_api_call)


# --- show -------------------------------------------------------------------------------------------------


def test_an_order_is_shown_with_its_state_goods_history_and_execution(world: World, ops: Ops) -> None:
    order_id = world.validated_order({world.product(stock=10, price=1999): 2})
    shipment = world.reserve(order_id)
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


def test_an_open_order_is_shown_with_the_time_it_waits(world: World, ops: Ops) -> None:
    order_id = world.order(world.user(), {world.product(): 1})
    world.set_order(order_id, openSince=clock.minutes_before(clock.now(), 125))
    said = ops("orders", "show", order_id)
    assert "(2 h 5 min)" in said.out
    assert "Goods not taken" in said.out


def test_of_an_order_that_was_given_up_the_last_execution_is_shown(world: World, ops: Ops) -> None:
    order_id = world.order(world.user(), {world.product(): 1})
    boto3.client("stepfunctions").start_execution(
        stateMachineArn=ENVIRONMENT["STATE_MACHINE_ARN"], name=f"{order_id}-3"
    )
    world.set_order(order_id, attempt=4, status="FAILED")
    assert ops("orders", "show", order_id, "--json").json["execution"]["name"] == f"{order_id}-3"
    world.set_order(order_id, status="PENDING")
    assert ops("orders", "show", order_id, "--json").json["execution"]["name"] == f"{order_id}-4"


def test_so_it_is_when_the_machine_may_not_be_looked_at(
    world: World, ops: Ops, monkeypatch: pytest.MonkeyPatch
) -> None:
    _break(monkeypatch, "DescribeStateMachine", "AccessDeniedException")
    order_id = world.order(world.user(), {world.product(): 1})
    boto3.client("stepfunctions").start_execution(
        stateMachineArn=ENVIRONMENT["STATE_MACHINE_ARN"], name=f"{order_id}-3"
    )
    world.set_order(order_id, attempt=4)
    said = ops("orders", "show", order_id)
    assert said.code == 0
    assert f"Execution UNKNOWN ({order_id}-4)" in said.out
    assert "states:DescribeStateMachine is not permitted" in said.out
    world.set_order(order_id, status="FAILED")
    assert ops("orders", "show", order_id, "--json").json["execution"]["name"] == f"{order_id}-3"


def test_an_order_as_json_is_the_stored_one_with_its_execution(world: World, ops: Ops) -> None:
    order_id = world.order(world.user(), {world.product(): 1})
    shown = ops("orders", "show", order_id, "--json").json
    execution = shown.pop("execution")
    assert execution == {"name": f"{order_id}-1", "status": "NOT STARTED"}
    assert shown == world.stored_order(order_id)


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


def test_what_others_wrote_gives_the_terminal_no_commands(world: World, ops: Ops) -> None:
    order_id = world.validated_order({world.product(stock=10): 2})
    (line,) = world.stored_order(order_id)["items"]
    world.set_order(
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


def test_stalled_orders_are_listed_the_oldest_first_and_up_to_the_limit(world: World, ops: Ops) -> None:
    user, product = world.user(), world.product()
    waiting = {}
    for minutes in (5, 20, 40, 30):
        waiting[minutes] = world.order(user, {product: 1})
        world.set_order(waiting[minutes], openSince=clock.minutes_before(clock.now(), minutes))
    listed = [order["orderId"] for order in ops("orders", "stalled", "--json").json]
    assert listed == [waiting[40], waiting[30], waiting[20]]
    said = ops("orders", "stalled", "--limit", "1")
    assert waiting[40] in said.out
    assert waiting[30] not in said.out
    assert "There are more than these 1" in said.out
    said = ops("orders", "stalled", "--minutes", "60")
    assert (said.code, said.out) == (0, "No order waits for 60 minutes or more.")


@pytest.mark.usefixtures("broken_bus")
def test_a_cancelled_order_whose_event_is_not_out_is_told_so_and_listed(world: World, ops: Ops) -> None:
    order_id = world.order(world.user(), {world.product(): 1})
    said = ops("orders", "cancel", order_id)
    assert said.code == 0
    assert "Its event is not out yet" in said.out
    world.set_order(order_id, openSince=clock.minutes_before(clock.now(), 11))
    assert "event not sent" in ops("orders", "stalled").out


# --- cancel -----------------------------------------------------------------------------------------------


def test_a_cancel_is_announced_and_says_who_did_it(world: World, ops: Ops) -> None:
    order_id = world.order(world.user(), {world.product(): 1})
    said = ops("orders", "cancel", order_id)
    assert (said.code, said.out) == (0, f"Order {order_id} is cancelled.")
    order = world.stored_order(order_id)
    assert (order["status"], order["statusReason"]) == ("CANCELLED", "cancelled by an operator")
    assert [event["detail-type"] for event in world.events()] == ["OrderCancelled"]


def test_a_second_cancel_changes_nothing_and_says_so(world: World, ops: Ops) -> None:
    order_id = world.order(world.user(), {world.product(): 1})
    ops("orders", "cancel", order_id)
    before = world.stored_order(order_id)
    said = ops("orders", "cancel", order_id)
    assert (said.code, said.out) == (0, f"Order {order_id} was cancelled before; nothing changed.")
    assert world.stored_order(order_id) == before


def test_a_cancel_that_comes_too_late_is_refused(world: World, ops: Ops) -> None:
    order_id = world.validated_order({world.product(): 1})
    world.reserve(order_id)
    said = ops("orders", "cancel", order_id)
    assert (said.code, said.err) == (1, "Error: The goods are reserved and on their way.")


# --- retry ------------------------------------------------------------------------------------------------


def test_a_retry_makes_a_failed_order_pending_in_its_next_attempt_and_queues_it(
    world: World, ops: Ops, failed_order: str
) -> None:
    said = ops("orders", "retry", failed_order, "--yes", "--json")
    assert said.code == 0
    assert said.json["changed"]
    order = world.stored_order(failed_order)
    assert said.json["order"] == order
    assert (order["status"], order["attempt"]) == ("PENDING", 4)
    assert order["openShard"]
    assert "statusReason" not in order
    (message,) = world.messages()
    assert (message["orderId"], message["attempt"]) == (failed_order, 4)
    assert message["correlationId"].startswith("operator-")


def test_a_second_retry_only_sends_the_message_again_and_says_so(
    world: World, ops: Ops, failed_order: str
) -> None:
    ops("orders", "retry", failed_order, "--yes")
    before = world.stored_order(failed_order)
    said = ops("orders", "retry", failed_order, "--yes")
    assert said.code == 0
    assert said.out == f"Order {failed_order} is PENDING in attempt 4 already; its message was sent again."
    assert world.stored_order(failed_order) == before
    assert [message["attempt"] for message in world.messages()] == [4, 4]


def test_a_retry_of_an_order_on_its_way_changes_nothing(world: World, ops: Ops) -> None:
    order_id = world.validated_order({world.product(): 1})
    world.messages()
    said = ops("orders", "retry", order_id, "--yes")
    assert (said.code, said.out) == (
        0,
        f"Order {order_id} is VALIDATED in attempt 1 already; nothing changed.",
    )
    assert world.messages() == []


def test_a_retry_of_a_final_order_is_refused(world: World, ops: Ops) -> None:
    order_id = world.order(world.user(), {world.product(): 1})
    ops("orders", "cancel", order_id)
    said = ops("orders", "retry", order_id, "--yes")
    assert (said.code, said.err) == (
        1,
        f"Error: Order {order_id} is CANCELLED; only a FAILED order can be retried.",
    )


def test_without_yes_a_retry_tells_how_the_order_stands_and_asks(
    world: World, ops: Ops, failed_order: str
) -> None:
    said = ops("orders", "retry", failed_order, typed="n\n")
    assert said.code == 1
    assert f"Order {failed_order} is FAILED (attempts_used_up: no end) in attempt 3. Retry it on" in said.err
    assert world.stored_order(failed_order)["status"] == "FAILED"
    assert ops("orders", "retry", failed_order, typed="y\n").code == 0
    assert world.stored_order(failed_order)["status"] == "PENDING"


@pytest.mark.usefixtures("broken_queue")
def test_a_retry_that_the_queue_did_not_take_says_what_to_do(
    world: World, ops: Ops, failed_order: str
) -> None:
    said = ops("orders", "retry", failed_order, "--yes")
    assert said.code == 1
    assert "is PENDING in attempt 4, but the queue did not take its message" in said.err
    assert "run the command again" in said.err
    assert world.stored_order(failed_order)["openSince"]  # so that the requeue finds it


# --- release ----------------------------------------------------------------------------------------------


def test_a_release_puts_the_goods_back_and_leaves_the_order_failed(
    world: World, ops: Ops, failed_order: str
) -> None:
    product = product_of(world, failed_order)
    assert world.stock(product) == 8
    said = ops("orders", "release", failed_order, "--yes")
    assert (said.code, said.out) == (
        0,
        f"The goods of order {failed_order} (2 pieces) are back on the shelf.",
    )
    assert world.stock(product) == 10
    assert world.stored_order(failed_order)["status"] == "FAILED"


def test_a_second_release_puts_back_nothing_and_says_so(world: World, ops: Ops, failed_order: str) -> None:
    ops("orders", "release", failed_order, "--yes")
    said = ops("orders", "release", failed_order, "--yes")
    assert (said.code, said.out) == (0, f"Order {failed_order} holds no goods; nothing changed.")
    assert world.stock(product_of(world, failed_order)) == 10


def test_a_released_order_that_is_retried_takes_its_goods_anew(
    world: World, ops: Ops, failed_order: str
) -> None:
    ops("orders", "release", failed_order, "--yes")
    ops("orders", "retry", failed_order, "--yes")
    invoke_task("update_order_status", failed_order, 4, status="VALIDATED")
    world.reserve(failed_order, 4)
    assert world.stock(product_of(world, failed_order)) == 8


def test_the_goods_of_an_order_on_its_way_are_not_released(world: World, ops: Ops) -> None:
    order_id = world.validated_order({world.product(stock=10): 2})
    world.reserve(order_id)
    said = ops("orders", "release", order_id, "--yes")
    assert (said.code, said.err) == (
        1,
        f"Error: Order {order_id} is VALIDATED; only a FAILED order's goods are put back by hand.",
    )
    assert world.stock(product_of(world, order_id)) == 8


def test_without_yes_a_release_asks_whether_it_is_certain(world: World, ops: Ops, failed_order: str) -> None:
    said = ops("orders", "release", failed_order, typed="n\n")
    assert said.code == 1
    assert "Is it certain that its goods were not and will not be shipped?" in said.err
    assert world.stock(product_of(world, failed_order)) == 8
