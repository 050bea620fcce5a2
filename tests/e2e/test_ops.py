"""The operator's commands on a whole stack with real failures."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from functions.shared import clock
from functions.shared.domain.moves import Move
from functions.shared.domain.orders import NewOrder, NewOrderLine, Order, OrderStatus, new_order
from local.aws.emulator import SECRET_ACCESS_KEY
from local.stack import RunningStack
from ops.cli import app
from ops.stacks import PROJECT_ROOT, OperatedStack, on_aws
from tests.documents.shell import words
from tests.documents.test_operator_commands import operator_commands
from tests.e2e.conftest import Api, store_stalled_order, wait_for

Ops = Callable[..., "subprocess.CompletedProcess[str]"]

_NO_CREDENTIALS = {
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}


@pytest.fixture
def ops(stack: RunningStack, tmp_path: Path) -> Ops:
    """Runs `python -m ops` as on AWS: the stack's outputs from a file, credentials from the environment."""
    file = tmp_path / "outputs.json"
    file.write_text(json.dumps(dict(stack.outputs)))
    root = {
        "AWS_ACCESS_KEY_ID": stack.endpoint.access_key_id,
        "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
    }

    def run(
        *arguments: str, credentials: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return subprocess.run(
            [sys.executable, "-m", "ops", *arguments, "--stack", "local", "--outputs", str(file)],
            cwd=PROJECT_ROOT,
            env=kept
            | _NO_CREDENTIALS
            | {"AWS_ENDPOINT_URL": stack.endpoint.url}
            | dict(root if credentials is None else credentials),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


@pytest.fixture
def target(stack: RunningStack) -> OperatedStack:
    """The stack, as a target of the commands."""
    aws = on_aws("the stack", stack.outputs)
    return OperatedStack(aws.name, aws.outputs, stack.client)


@pytest.fixture
def broken_fulfillment(stack: RunningStack) -> Iterator[None]:
    """Denies `fulfill_order` its calls to DynamoDB, as a wrong deployment would."""
    client, iam = stack.client("lambda"), stack.client("iam")
    function = client.get_function_configuration(FunctionName=stack.functions["fulfill_order"])
    role = function["Role"].rpartition("/")[2]
    statement = {"Effect": "Deny", "Action": "dynamodb:*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_role_policy(RoleName=role, PolicyName="broken", PolicyDocument=document)
    yield
    iam.delete_role_policy(RoleName=role, PolicyName="broken")


def show_order(ops: Ops, order_id: str) -> Any:
    return json.loads(ops("orders", "show", order_id, "--json").stdout)


def store_order(target: OperatedStack, user_id: str, quantities: Mapping[str, int]) -> Order:
    """Stores a new order without a message in the queue."""
    lines = [NewOrderLine(product_id=product, quantity=quantity) for product, quantity in quantities.items()]
    new = NewOrder(user_id=user_id, items=lines)
    order = new_order(
        new, order_id=str(uuid.uuid4()), at=clock.now(), due_at=clock.now(), with_fingerprint=False
    )
    target.orders.create(order)
    return order


def test_a_fulfilled_order_is_shown_with_its_execution(api: Api, ops: Ops) -> None:
    order_id = api.place_order(api.create_user(), {api.create_product(): 1})
    api.wait_until_final(order_id)
    order = wait_for(
        lambda: show_order(ops, order_id), lambda order: order["execution"]["status"] != "RUNNING"
    )
    assert order["execution"]["status"] == "SUCCEEDED"
    assert order["execution"]["name"] == f"{order_id}-1"
    assert "FULFILLED" in ops("orders", "show", order_id).stdout


@pytest.mark.usefixtures("broken_fulfillment")
def test_an_unfinished_order_names_its_failed_state_and_can_be_cancelled(api: Api, ops: Ops) -> None:
    order_id = api.place_order(api.create_user(), {api.create_product(): 1})
    order = wait_for(
        lambda: show_order(ops, order_id),
        lambda order: order["execution"]["status"] not in {"NOT STARTED", "RUNNING"},
        seconds=60,
    )
    assert order["status"] == "VALIDATED"
    assert order["execution"]["status"] == "FAILED"
    assert order["execution"]["failedState"] == "FulfillOrder"
    waiting = ops("orders", "stalled", "--minutes", "0", "--limit", "1000", "--json")
    assert order_id in {order["orderId"] for order in json.loads(waiting.stdout)}
    assert ops("orders", "cancel", order_id, "--yes").returncode == 0
    assert show_order(ops, order_id)["status"] == "CANCELLED"


def test_a_failed_order_that_is_retried_is_fulfilled(api: Api, ops: Ops, target: OperatedStack) -> None:
    product = api.create_product(stock=5)
    order = store_order(target, api.create_user(), {product: 2})
    order_id = order.order_id
    reason = "attempts_used_up: 3 attempts came to no end"
    target.lifecycle.make_final_move(
        Move(order_id=order_id, to=OrderStatus.FAILED, at=clock.now(), attempt=1, reason=reason)
    )
    assert ops("orders", "retry", order_id, "--yes").returncode == 0
    final = api.wait_until_final(order_id)
    assert [entry["status"] for entry in final["history"]][-3:] == ["PENDING", "VALIDATED", "FULFILLED"]
    assert api.stock(product) == 3
    again = ops("orders", "retry", order_id, "--yes")
    assert again.returncode == 1
    assert "only a FAILED order can be retried" in again.stderr


def test_dead_letters_that_can_be_retried_are_redriven_and_the_others_stay(
    api: Api, ops: Ops, target: OperatedStack, stack: RunningStack
) -> None:
    order = store_order(target, api.create_user(), {api.create_product(): 1})
    dead = stack.outputs["deadLetterQueueUrl"]
    body = json.dumps({"orderId": order.order_id, "attempt": 1, "correlationId": "c"})
    for text in (body, "not an order"):
        stack.client("sqs").send_message(QueueUrl=dead, MessageBody=text)
    letters = json.loads(ops("dlq", "list", "--json").stdout)
    verdicts = {letter["body"]: letter["verdict"] for letter in letters}
    assert verdicts[body] == "can be retried"
    assert verdicts["not an order"] == "malformed"
    assert ops("dlq", "redrive", "--yes").returncode == 0
    assert api.wait_until_final(order.order_id)["status"] == "FULFILLED"
    left = {letter["body"] for letter in json.loads(ops("dlq", "list", "--json").stdout)}
    assert "not an order" in left
    assert body not in left
    stack.client("sqs").purge_queue(QueueUrl=dead)


def test_an_order_that_nothing_works_on_is_found(api: Api, ops: Ops, stack: RunningStack) -> None:
    order_id = str(uuid.uuid4())
    store_stalled_order(stack, order_id, api.create_user(), api.create_product())
    found = json.loads(ops("reconcile", "--limit", "1000", "--json").stdout)
    orders = {order["orderId"]: order["execution"]["status"] for order in found["orders"]}
    assert orders[order_id] == "NOT STARTED"
    assert ops("orders", "cancel", order_id, "--yes").returncode == 0
    assert order_id not in ops("reconcile", "--limit", "1000").stdout


def test_the_events_of_an_order_are_sent_again_to_the_subscribers(
    api: Api, ops: Ops, stack: RunningStack
) -> None:
    started = clock.now()
    order_id = api.place_order(api.create_user(), {api.create_product(): 1})
    api.wait_until_final(order_id)
    planned = json.loads(ops("events", "replay", "--from", started, "--dry-run", "--json").stdout)
    # Orders of other tests may end meanwhile.
    own = [event["detail"] for event in planned["events"] if event["detail"]["orderId"] == order_id]
    assert [detail["status"] for detail in own] == ["VALIDATED", "FULFILLED"]
    wanted = {detail["eventId"] for detail in own}
    sqs, events, bus = stack.client("sqs"), stack.client("events"), stack.outputs["eventBusName"]
    url = sqs.create_queue(QueueName="replayed")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="replayed", EventBusName=bus, EventPattern='{"source": ["orderflow.orders"]}')
    events.put_targets(Rule="replayed", EventBusName=bus, Targets=[{"Id": "1", "Arn": arn}])
    assert ops("events", "replay", "--from", started, "--yes").returncode == 0
    received: set[str] = set()

    def receive() -> set[str]:
        for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            received.add(json.loads(message["Body"])["detail"]["eventId"])
        return received

    assert wait_for(receive, lambda ids: ids >= wanted)
    events.remove_targets(Rule="replayed", EventBusName=bus, Ids=["1"])


def test_a_paused_queue_keeps_orders_until_it_is_resumed(api: Api, ops: Ops, stack: RunningStack) -> None:
    cloudwatch = stack.client("cloudwatch")
    alarms = cloudwatch.get_paginator("describe_alarms").paginate(AlarmNamePrefix="orderflow-api_5xx-")
    (name,) = [alarm["AlarmName"] for page in alarms for alarm in page["MetricAlarms"]]
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a test")
    user, product = api.create_user(), api.create_product()
    assert ops("queue", "pause", "--reason", "a test", "--yes").returncode == 0
    try:
        order_id = api.place_order(user, {product: 1})
        overview = json.loads(ops("overview", "--json").stdout)
        assert overview["delivery"].items() >= {"isPaused": True, "reason": "a test"}.items()
        assert "api_5xx" in {alarm["name"] for alarm in overview["alarms"]["raised"]}
        assert api.request("GET", f"/orders/{order_id}").json()["status"] == "PENDING"
    finally:
        assert ops("queue", "resume", "--yes").returncode == 0
    assert api.wait_until_final(order_id)["status"] == "FULFILLED"
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="a test")
    overview = json.loads(ops("overview", "--json").stdout)
    assert overview["delivery"] == {"isPaused": False}
    assert {count["status"] for count in overview["ended"] if count["orders"]} >= {"FULFILLED"}


_RUNBOOK = (PROJECT_ROOT / "docs" / "operations.md").read_text("utf-8")
_ORDER = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\$?ORDER_ID")
_MESSAGE = re.compile(r"\$?MESSAGE_ID")
_LINES = list(
    dict.fromkeys(
        shlex.join(_MESSAGE.sub("MESSAGE_ID", _ORDER.sub("ORDER_ID", word)) for word in words(line))
        for line in operator_commands(_RUNBOOK)
        if "--stack" in line
    )
)
_CHANGES = {
    *("cancel", "requeue", "retry", "release", "receive", "pause", "resume", "delete", "redrive", "replay")
}


@pytest.fixture
def example(api: Api, target: OperatedStack, stack: RunningStack) -> Callable[[str], str]:
    """Makes what the command of a line works on, and returns its id."""

    def make(line: str) -> str:
        user, product = api.create_user(), api.create_product(stock=5)
        if "MESSAGE_ID" in line:
            order = store_order(target, user, {product: 1})
            body = json.dumps({"orderId": order.order_id, "attempt": 1, "correlationId": "c"})
            dead = stack.outputs["deadLetterQueueUrl"]
            return str(stack.client("sqs").send_message(QueueUrl=dead, MessageBody=body)["MessageId"])
        if "receive" in line:
            order_id = api.place_order(user, {product: 2})
            api.wait_until_final(order_id)
            back = {"status": "REQUESTED", "lines": [{"productId": product, "quantity": 1}]}
            assert api.request("PUT", f"/orders/{order_id}/returns/R-1", back).status_code == 201
            return order_id
        order = store_order(target, user, {product: 2})
        if {"retry", "release"} & set(line.split()):
            target.lifecycle.make_final_move(
                Move(
                    order_id=order.order_id, to=OrderStatus.FAILED, at=clock.now(), attempt=1, reason="no end"
                )
            )
        return order.order_id

    return make


@pytest.mark.parametrize("line", _LINES)
def test_every_command_of_the_runbook_runs(
    line: str, example: Callable[[str], str], target: OperatedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.cli.find_stack", lambda *_: target)
    found = example(line)
    arguments = [re.sub("ORDER_ID|MESSAGE_ID", found, word) for word in shlex.split(line)]
    if _CHANGES & set(arguments) and not {"--yes", "--dry-run"} & set(arguments):
        arguments.append("--yes")
    result = CliRunner().invoke(app, arguments)
    if "pause" in arguments:
        target.delivery.resume()
    assert result.exit_code == 0, result.output


def test_a_missing_permission_is_named(ops: Ops, stack: RunningStack) -> None:
    iam, sts = stack.client("iam"), stack.client("sts")
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}],
    }
    role = iam.create_role(RoleName="visitor", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    session = sts.assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]
    result = ops(
        *("orders", "show", "any"),
        credentials={
            "AWS_ACCESS_KEY_ID": session["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": session["SecretAccessKey"],
            "AWS_SESSION_TOKEN": session["SessionToken"],
        },
    )
    assert result.returncode == 5
    # AWS also names the resource. The emulator does not.
    assert result.stderr.startswith("Error: Not permitted: ")
    assert "/visitor/session needs dynamodb:GetItem" in result.stderr


def test_missing_credentials_are_reported_in_one_sentence(ops: Ops) -> None:
    result = ops("orders", "show", "any", credentials={})
    assert result.returncode == 6
    assert result.stderr.startswith("Error: Unable to locate credentials.")
    assert len(result.stderr.splitlines()) == 1


def test_outputs_of_a_deleted_stack_are_reported(ops: Ops, stack: RunningStack, tmp_path: Path) -> None:
    tables = {**stack.outputs["tableNames"], "orders": "orders-gone"}
    (tmp_path / "outputs.json").write_text(json.dumps({**stack.outputs, "tableNames": tables}))
    result = ops("orders", "show", "any")
    assert result.returncode == 3
    assert "whether the outputs are up to date" in result.stderr
