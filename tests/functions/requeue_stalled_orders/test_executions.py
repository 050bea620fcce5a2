"""Whether the execution of a stalled order still runs."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator

import pytest
from botocore.stub import Stubber

from local.memory.functions import ENVIRONMENT, World
from tests.functions.requeue_stalled_orders.stalled import requeue, stalled_order


@pytest.fixture
def executions(world: World) -> Iterator[Callable[[str, str], None]]:
    """Makes Step Functions answer the status of one execution, and nothing of others."""
    from functions.requeue_stalled_orders import handler

    client = handler._is_running.__self__._client  # type: ignore[union-attr]
    arn = ENVIRONMENT["STATE_MACHINE_ARN"].replace("stateMachine", "execution")
    with Stubber(client) as stub:

        def tell(name: str, status: str) -> None:
            execution = {"executionArn": f"{arn}:{name}", "stateMachineArn": ENVIRONMENT["STATE_MACHINE_ARN"]}
            start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
            stub.add_response(
                "describe_execution",
                {**execution, "status": status, "startDate": start},
                {"executionArn": f"{arn}:{name}"},
            )

        yield tell
        stub.assert_no_pending_responses()


def test_an_order_whose_execution_ended_is_sent_again(
    world: World, executions: Callable[[str, str], None]
) -> None:
    order_id = stalled_order(world)
    executions(f"{order_id}-1", "TIMED_OUT")
    assert requeue() == {"requeued": 1, "complete": True}


def test_an_order_whose_execution_still_runs_is_left_alone(
    world: World, executions: Callable[[str, str], None]
) -> None:
    order_id = stalled_order(world)
    executions(f"{order_id}-1", "RUNNING")
    before = world.stored_order(order_id)
    assert requeue() == {"running": 1, "complete": True}
    assert world.stored_order(order_id) == before
    assert world.messages() == []


def test_of_express_executions_nothing_is_asked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from functions.requeue_stalled_orders import handler
    from functions.requeue_stalled_orders.signs_of_life import never_running

    monkeypatch.setattr(handler, "_is_running", never_running)
    order_id = stalled_order(world)
    assert requeue() == {"requeued": 1, "complete": True}
    assert [message["orderId"] for message in world.messages()] == [order_id]
