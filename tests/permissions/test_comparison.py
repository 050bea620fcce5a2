"""The comparison of a function's grants with its calls."""

from __future__ import annotations

from typing import Any

import pytest

from local.engine.recorder import ACCOUNT_ID, REGION
from local.memory.permissions import (
    AwsCall,
    Difference,
    Permission,
    Place,
    compare,
    permissions_for,
    with_variable_names,
)

PLACE = Place(region=REGION, account=ACCOUNT_ID)
TABLE = PLACE.arn("dynamodb", "table/orders")
OTHER = PLACE.arn("dynamodb", "table/other")
QUEUE_URL = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT_ID}/orders"
TRANSACTION = [
    {"Update": {"TableName": "orders"}},
    {"ConditionCheck": {"TableName": "orders"}},
    {"Put": {"TableName": "other"}},
]
EVENT = {"EventBusName": "orderflow"}

# Service, operation, parameters, and the actions and resources that IAM requires.
NEEDS: list[tuple[str, str, dict[str, Any], set[tuple[str, str]]]] = [
    ("dynamodb", "GetItem", {"TableName": "orders"}, {("dynamodb:GetItem", TABLE)}),
    ("dynamodb", "Query", {"TableName": "orders"}, {("dynamodb:Query", TABLE)}),
    (
        "dynamodb",
        "Query",
        {"TableName": "orders", "IndexName": "byUser"},
        {("dynamodb:Query", f"{TABLE}/index/byUser")},
    ),
    (
        "dynamodb",
        "BatchGetItem",
        {"RequestItems": {"orders": {}, "other": {}}},
        {("dynamodb:BatchGetItem", TABLE), ("dynamodb:BatchGetItem", OTHER)},
    ),
    (
        "dynamodb",
        "TransactWriteItems",
        {"TransactItems": TRANSACTION},
        {("dynamodb:UpdateItem", TABLE), ("dynamodb:ConditionCheckItem", TABLE), ("dynamodb:PutItem", OTHER)},
    ),
    (
        "sqs",
        "SendMessageBatch",
        {"QueueUrl": QUEUE_URL},
        {("sqs:SendMessage", PLACE.arn("sqs", "orders"))},
    ),
    (
        "events",
        "PutEvents",
        {"Entries": [EVENT, EVENT]},
        {("events:PutEvents", PLACE.arn("events", "event-bus/orderflow"))},
    ),
    ("stepfunctions", "StartExecution", {"stateMachineArn": "arn:m"}, {("states:StartExecution", "arn:m")}),
    ("cloudwatch", "GetMetricStatistics", {}, {("cloudwatch:GetMetricStatistics", "*")}),
    ("secretsmanager", "GetSecretValue", {"SecretId": "arn:s"}, {("secretsmanager:GetSecretValue", "arn:s")}),
]


@pytest.mark.parametrize(("service", "operation", "parameters", "needed"), NEEDS)
def test_a_call_needs_the_actions_that_iam_requires(
    service: str, operation: str, parameters: dict[str, Any], needed: set[tuple[str, str]]
) -> None:
    call = AwsCall(service=service, operation=operation, parameters=parameters)
    assert permissions_for([call], PLACE) == {Permission(*pair) for pair in needed}


@pytest.mark.parametrize(
    "call",
    [
        AwsCall(service="s3", operation="GetObject", parameters={"Bucket": "b"}),
        AwsCall(service="dynamodb", operation="DescribeTable", parameters={"TableName": "orders"}),
    ],
)
def test_an_unknown_call_is_an_error(call: AwsCall) -> None:
    with pytest.raises(LookupError, match=call.operation):
        permissions_for([call], PLACE)


def test_the_comparison_finds_unused_and_missing_grants() -> None:
    used, unused, missing = (Permission(f"dynamodb:{name}", TABLE) for name in ("GetItem", "Scan", "PutItem"))
    difference = compare([used, unused], [used, missing])
    assert difference.unused == {unused}
    assert difference.ungranted == {missing}
    assert compare([used], [used]) == Difference(unused=frozenset(), ungranted=frozenset())


def test_a_grant_on_an_index_does_not_cover_its_table() -> None:
    index, table = (Permission("dynamodb:Query", arn) for arn in (f"{TABLE}/index/byUser", TABLE))
    assert compare([index], [table]).ungranted == {table}


def test_a_grant_on_all_executions_of_a_machine_covers_one_of_them() -> None:
    executions = PLACE.arn("states", "execution:flow")
    grant = Permission("states:DescribeExecution", f"{executions}:*")
    one = Permission("states:DescribeExecution", f"{executions}:order-1")
    assert compare([grant], [one]) == Difference(unused=frozenset(), ungranted=frozenset())
    other = Permission("states:DescribeExecution", PLACE.arn("states", "execution:other:order-1"))
    assert compare([grant], [other]).ungranted == {other}


def test_resources_are_compared_by_the_variable_that_names_them() -> None:
    environment = {
        "ORDERS_TABLE": "orders",
        "ORDERS_QUEUE_URL": QUEUE_URL,
        "EVENT_BUS_NAME": "orderflow",
        "STATE_MACHINE_ARN": PLACE.arn("states", "stateMachine:flow"),
        "POWERTOOLS_SERVICE_NAME": "orders",
    }
    names = {
        TABLE: "ORDERS_TABLE",
        f"{TABLE}/index/byUser": "ORDERS_TABLE/index/byUser",
        f"{TABLE}-2": f"{TABLE}-2",
        PLACE.arn("sqs", "orders"): "ORDERS_QUEUE_URL",
        PLACE.arn("events", "event-bus/orderflow"): "EVENT_BUS_NAME",
        PLACE.arn("states", "stateMachine:flow"): "STATE_MACHINE_ARN",
        PLACE.arn("states", "execution:flow:*"): "executions of STATE_MACHINE_ARN:*",
        OTHER: OTHER,
        "*": "*",
    }
    for arn, name in names.items():
        assert with_variable_names([Permission("a:B", arn)], environment, PLACE) == {Permission("a:B", name)}
