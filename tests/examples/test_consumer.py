"""The consumer of events: duplicates, reordering, additions, and its permissions."""

from __future__ import annotations

import importlib
import itertools
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from functions.shared.domain.orders import OrderStatus
from functions.shared.events import EVENT_TYPES
from local.engine.input_check import check_inputs
from local.engine.program import PROJECT_ROOT, ProgramRun, run_program
from local.engine.recorder import Recorder
from local.engine.stacks import declare_test_stack
from policy.rules import RULES
from tests.policy.evaluation import config_of, evaluate, recorded

ROOT = PROJECT_ROOT / "examples" / "consumer"
HISTORY = [("VALIDATED", "2026-01-31T08:00:01.000Z"), ("FULFILLED", "2026-01-31T08:00:02.000Z")]


class Table:
    """A table that applies the one conditional write of the consumer, by the stored values only."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Any]] = {}
        self.is_down = False

    def update_item(self, **request: Any) -> None:
        if self.is_down:
            raise ClientError({"Error": {"Code": "ThrottlingException"}}, "UpdateItem")
        assert request["ConditionExpression"] == "attribute_not_exists(occurredAt) OR occurredAt < :at"
        order_id, values = request["Key"]["orderId"]["S"], request["ExpressionAttributeValues"]
        stored = self.items.get(order_id)
        if stored and not stored["occurredAt"] < values[":at"]["S"]:
            raise ClientError({"Error": {"Code": "ConditionalCheckFailedException"}}, "UpdateItem")
        self.items[order_id] = {"status": values[":status"]["S"], "occurredAt": values[":at"]["S"]}


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Table:
    monkeypatch.setenv("STATUSES_TABLE", "statuses")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    handler = importlib.import_module("examples.consumer.order_board.handler")
    table = Table()
    monkeypatch.setattr(handler, "_dynamodb", table)
    return table


def deliver(*details: dict[str, Any]) -> list[str]:
    """Delivers the events in one batch. Returns the failed ones."""
    handler = importlib.import_module("examples.consumer.order_board.handler")
    records = [
        {"messageId": str(number), "body": json.dumps({"source": "orderflow.orders", "detail": detail})}
        for number, detail in enumerate(details)
    ]
    answer = handler.lambda_handler({"Records": records}, None)
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def detail(status: str, at: str, **more: Any) -> dict[str, Any]:
    return {"version": 1, "orderId": "o-1", "status": status, "occurredAt": at, **more}


@pytest.mark.parametrize("order", list(itertools.permutations([0, 1, 0, 1])))
def test_in_every_order_and_with_repeats_the_last_status_is_stored(
    table: Table, order: tuple[int, ...]
) -> None:
    assert deliver(*(detail(*HISTORY[number]) for number in order)) == []
    assert table.items["o-1"]["status"] == "FULFILLED"


def test_an_added_field_and_an_added_status_are_stored(table: Table) -> None:
    assert deliver(detail("AT_THE_DOOR", HISTORY[0][1], addedLater=1)) == []
    assert table.items["o-1"]["status"] == "AT_THE_DOOR"


def test_only_the_failed_events_of_a_batch_are_delivered_again(table: Table) -> None:
    assert deliver(detail(*HISTORY[0]) | {"version": 2}, detail(*HISTORY[1])) == ["0"]
    assert table.items["o-1"]["status"] == "FULFILLED"
    table.is_down = True
    assert deliver(detail(*HISTORY[1])) == ["0"]


def consumer() -> ProgramRun:
    """Runs the project with the outputs of orderflow's stack dev."""
    references = {"orderflow/dev": declare_test_stack("dev").outputs}
    config = {"orderflowStack": "organization/orderflow/dev"}
    return run_program("dev", Recorder(), root=ROOT, config=config, stack_references=references)


def test_the_project_follows_the_rules_of_the_policy_pack() -> None:
    assert check_inputs(consumer().resources) == []
    found = evaluate(RULES, recorded(consumer()), config_of(consumer()))
    # Orderflow itself declares no rules of EventBridge.
    assert {violation.rule for violation in found} <= {"types-are-covered"}


def test_the_rule_receives_documented_events_of_moves() -> None:
    (rule,) = consumer().of_type("aws:cloudwatch/eventRule:EventRule")
    pattern = json.loads(rule.inputs["eventPattern"])
    moves = {kind.name for kind in EVENT_TYPES if kind.status not in {None, OrderStatus.PENDING}}
    assert set(pattern["detail-type"]) <= moves
    assert rule.inputs["eventBusName"] == declare_test_stack("dev").outputs.values["eventBusName"]
