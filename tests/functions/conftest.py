"""The functions run here against moto, with the tables as the Pulumi program declares them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import boto3
import pytest
from moto import mock_aws

from local.engine.stacks import table_schemas
from local.memory.functions import ACCOUNT, ENVIRONMENT, REGION, ApiClient, World


@cache
def client(service: str) -> Any:
    """A client of moto's AWS; making one takes longer than most tests."""
    return boto3.client(service)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """An empty stack: tables, queue and bus, and a queue that subscribes to all events."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        dynamodb, sqs = client("dynamodb"), client("sqs")
        for name, schema in table_schemas().items():
            dynamodb.create_table(TableName=name, BillingMode="PAY_PER_REQUEST", **schema)
        sqs.create_queue(QueueName="orders")
        yield World(ApiClient(), dynamodb, sqs, _subscribe_to_events(sqs))


@pytest.fixture
def log_lines(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[dict[str, Any]]]:
    """Reads the log lines that the functions wrote since the fixture was made."""
    from functions.shared.observability import logger

    stream = io.StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", stream)
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def _subscribe_to_events(sqs: Any) -> str:
    events = client("events")
    events.create_event_bus(Name="orderflow")
    url = str(sqs.create_queue(QueueName="events")["QueueUrl"])
    events.put_rule(
        Name="all", EventBusName="orderflow", EventPattern=json.dumps({"source": ["orderflow.orders"]})
    )
    events.put_targets(
        Rule="all",
        EventBusName="orderflow",
        Targets=[{"Id": "queue", "Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:events"}],
    )
    return url
