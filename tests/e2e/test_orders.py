"""Orders through the whole stack: API, queue, workflow, tables and event bus."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import boto3
import botocore.exceptions
import pytest

from local.stack import RunningStack
from tests.e2e.conftest import FINAL, Api, run_schedule, store_stalled_order, wait_for


def states(order: dict[str, Any]) -> list[str]:
    return [entry["status"] for entry in order["history"]]


def test_an_order_is_fulfilled_at_the_prices_of_its_products(api: Api) -> None:
    product = api.create_product(stock=5, price=1999)
    order = api.wait_until_final(api.place_order(api.create_user(), {product: 2}))
    assert states(order) == ["PENDING", "VALIDATED", "FULFILLED"]
    assert (order["total"], order["currency"]) == (3998, "EUR")
    assert order["items"][0] | {"unitPrice": 1999, "title": "Lamp"} == order["items"][0]
    assert order["shipments"][0]["shipmentId"]
    assert api.stock(product) == 3


def test_an_order_beyond_the_stock_is_rejected_and_reserves_nothing(api: Api) -> None:
    plenty, scarce = api.create_product(stock=5), api.create_product(stock=1)
    order = api.wait_until_final(api.place_order(api.create_user(), {plenty: 1, scarce: 2}))
    assert states(order) == ["PENDING", "VALIDATED", "REJECTED"]
    assert order["statusReason"].startswith("insufficient_stock: ")
    assert (api.stock(plenty), api.stock(scarce)) == (5, 1)


@pytest.mark.parametrize("unknown", ["user", "product"])
def test_an_order_of_an_unknown_user_or_product_is_rejected(api: Api, unknown: str) -> None:
    user = "unknown" if unknown == "user" else api.create_user()
    product = "unknown" if unknown == "product" else api.create_product()
    order = api.wait_until_final(api.place_order(user, {product: 1}))
    assert states(order) == ["PENDING", "REJECTED"]
    assert order["statusReason"].startswith(f"unknown_{unknown}: ")


def test_an_order_that_was_cancelled_in_time_stays_cancelled(api: Api, stack: RunningStack) -> None:
    product = api.create_product(stock=5)
    order_id = api.place_order(api.create_user(), {product: 2})
    cancel = api.request("POST", f"/orders/{order_id}/cancel")
    assert cancel.status_code == 200, cancel.text
    execution = stack.outputs["stateMachineArn"].replace(":stateMachine:", ":execution:") + f":{order_id}-1"
    assert _wait_until_ended(stack, execution) == "SUCCEEDED"
    assert api.wait_until_final(order_id)["status"] == "CANCELLED"
    assert api.stock(product) == 5


def test_orders_are_found_by_status_day_and_reference_over_pages(api: Api) -> None:
    user, product = api.create_user(), api.create_product(stock=9)
    body = {"userId": user, "items": [{"productId": product, "quantity": 1}], "reference": f"PO of {user}"}
    placed = [api.create("/orders", body)["orderId"] for _ in range(5)]
    days = [api.wait_until_final(order)["createdAt"][:10] for order in placed]

    def found(path: str, **query: str) -> list[str]:
        token: dict[str, str] = {}
        orders = []
        while True:
            page = api.request("GET", f"{path}?{urlencode(query | token)}").json()
            orders += [order["orderId"] for order in page["items"]]
            if "nextToken" not in page:
                return orders
            token = {"nextToken": page["nextToken"]}

    assert found("/orders", reference=f"PO of {user}", limit="2") == placed[::-1]
    by_day = {"from": days[0], "to": days[-1], "status": "FULFILLED"}
    assert found(f"/users/{user}/orders", **by_day, limit="3") == placed[::-1]
    everything = found("/orders", limit="7", **by_day)
    assert [order for order in everything if order in placed] == placed[::-1]
    assert len(set(everything)) == len(everything)
    assert not set(found("/orders", status="PENDING")) & set(placed)
    assert not set(found("/orders", status="FAILED")) & set(placed)


def _wait_until_ended(stack: RunningStack, execution_arn: str) -> str:
    """Waits until an execution has ended. Returns its status."""
    client = stack.client("stepfunctions")

    def status() -> str:
        try:
            return str(client.describe_execution(executionArn=execution_arn)["status"])
        except client.exceptions.ExecutionDoesNotExist:
            return "NOT STARTED"

    return str(wait_for(status, lambda value: value not in {"NOT STARTED", "RUNNING"}))


def test_every_move_is_published_on_the_event_bus(api: Api, stack: RunningStack) -> None:
    user, product = api.create_user(), api.create_product()
    sqs, events = stack.client("sqs"), stack.client("events")
    name = f"subscriber-{user}"
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    bus = stack.outputs["eventBusName"]
    events.put_rule(
        Name=name, EventBusName=bus, EventPattern=json.dumps({"detail": {"userId": [user]}}), State="ENABLED"
    )
    events.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])
    order = api.wait_until_final(api.place_order(user, {product: 1}))
    seen: list[dict[str, Any]] = []

    def receive() -> list[dict[str, Any]]:
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        seen.extend(json.loads(message["Body"]) for message in messages)
        return seen

    wait_for(receive, lambda received: len(received) >= 2)
    assert [event["detail-type"] for event in seen] == ["OrderValidated", "OrderFulfilled"]
    assert [event["detail"]["occurredAt"] for event in seen] == [
        entry["at"] for entry in order["history"][1:]
    ]
    assert {event["detail"]["orderId"] for event in seen} == {order["orderId"]}


def test_a_malformed_message_becomes_a_dead_letter_and_delays_no_order(api: Api, stack: RunningStack) -> None:
    sqs = stack.client("sqs")
    queue, dead = stack.outputs["queueUrl"], stack.outputs["deadLetterQueueUrl"]
    visibility = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["VisibilityTimeout"])["Attributes"]
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "1"})
    try:
        sqs.send_message(QueueUrl=queue, MessageBody="not an order")
        assert (
            api.wait_until_final(api.place_order(api.create_user(), {api.create_product(): 1}))["status"]
            == "FULFILLED"
        )
        found = wait_for(
            lambda: sqs.receive_message(QueueUrl=dead, MaxNumberOfMessages=10).get("Messages", []),
            lambda messages: any(message["Body"] == "not an order" for message in messages),
        )
        assert found
    finally:
        sqs.set_queue_attributes(QueueUrl=queue, Attributes=visibility)


def test_an_order_whose_message_was_lost_is_requeued_under_the_role_of_the_requeue(
    api: Api, stack: RunningStack
) -> None:
    user, product = api.create_user(), api.create_product(stock=5)
    order_id = f"lost-{user}"
    store_stalled_order(stack, order_id, user, product)
    run_schedule(stack)
    assert api.wait_until_final(order_id)["status"] == "FULFILLED"
    assert api.stock(product) == 3


def test_a_burst_of_orders_ends_with_every_order_final_and_the_stock_exact(api: Api) -> None:
    user, product = api.create_user(), api.create_product(stock=25)
    with ThreadPoolExecutor(4) as clients:
        ids = list(clients.map(lambda _: api.place_order(user, {product: 1}), range(40)))
    assert len(set(ids)) == 40
    orders = [api.wait_until_final(order_id, seconds=60) for order_id in ids]
    ends = sorted(order["status"] for order in orders)
    assert ends == ["FULFILLED"] * 25 + ["REJECTED"] * 15
    assert api.stock(product) == 0
    listed = api.request("GET", f"/users/{user}/orders", params={"limit": 100}).json()["items"]
    assert sorted(order["orderId"] for order in listed) == sorted(ids)
    assert all(order["status"] in FINAL for order in listed)


def test_a_function_may_do_only_what_its_role_allows(stack: RunningStack) -> None:
    """The role of `users_api` allows to get users. It allows neither orders nor queries."""
    function = stack.functions["users_api"]
    role = stack.client("lambda").get_function_configuration(FunctionName=function)["Role"]
    session = stack.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    dynamodb = boto3.client(
        "dynamodb",
        endpoint_url=stack.endpoint.url,
        region_name=stack.endpoint.region,
        aws_access_key_id=session["AccessKeyId"],
        aws_secret_access_key=session["SecretAccessKey"],
        aws_session_token=session["SessionToken"],
    )
    tables = stack.outputs["tableNames"]
    dynamodb.get_item(TableName=tables["users"], Key={"userId": {"S": "x"}})
    with pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"):
        dynamodb.get_item(TableName=tables["orders"], Key={"orderId": {"S": "x"}})
    with pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"):
        dynamodb.query(
            TableName=tables["users"],
            KeyConditionExpression="userId = :u",
            ExpressionAttributeValues={":u": {"S": "x"}},
        )


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs Linux's /proc")
def test_the_emulator_listens_on_loopback_only(stack: RunningStack) -> None:
    listening = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            address, port = local.rsplit(":", 1)
            if state == "0A" and int(port, 16) == stack.endpoint.port:
                listening.add(address)
    assert listening == {"0100007F"}
