"""The cloud in memory repeats a failed call exactly as botocore does over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
)

from local.memory.cloud import MemoryCloud
from local.memory.faults import Failing
from local.memory.store import client_error

CONFIG = Config(retries={"mode": "standard", "total_max_attempts": 3}, region_name="eu-central-1")
URL = "https://aws"

ERRORS = [
    *(error(endpoint_url=URL) for error in (ReadTimeoutError, ConnectTimeoutError, EndpointConnectionError)),
    ConnectionClosedError(endpoint_url=URL),
]
# Code and HTTP status of answers, of which botocore repeats some.
ANSWERS = [
    ("ThrottlingException", 400),
    ("ProvisionedThroughputExceededException", 400),
    ("RequestLimitExceeded", 400),
    ("TransactionInProgressException", 400),
    ("TransactionConflictException", 400),
    ("ConditionalCheckFailedException", 400),
    ("ValidationException", 400),
    ("AccessDeniedException", 400),
    ("InternalServerError", 500),
    ("ServiceUnavailable", 503),
]


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client whose retries do not wait."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _seconds: None)
    return boto3.client(
        "dynamodb", config=CONFIG, aws_access_key_id="testing", aws_secret_access_key="testing"
    )


class Raw:
    """The body of an HTTP answer."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self) -> Iterator[bytes]:
        """The body in one part."""
        yield self._body


def tries_over_http(client: Any, send: Callable[[], AWSResponse]) -> int:
    tries: list[int] = []

    def hook(**_: object) -> AWSResponse:
        tries.append(1)
        return send()

    client.meta.events.register("before-send.dynamodb.GetItem", hook)
    with pytest.raises((ClientError, BotoCoreError)):
        client.get_item(TableName="orders", Key={"orderId": {"S": "o-1"}})
    return len(tries)


def tries_in_memory(client: Any, error: Exception) -> int:
    cloud = MemoryCloud(hook=(hook := Failing(error)))
    with pytest.raises((ClientError, BotoCoreError)):
        cloud.call(client, "GetItem", {"TableName": "orders", "Key": {"orderId": {"S": "o-1"}}})
    return hook.tries


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_lost_connection_is_repeated_as_often_as_over_http(client: Any, error: Exception) -> None:
    def send() -> AWSResponse:
        raise error

    assert tries_in_memory(client, error) == tries_over_http(client, send) == 3


@pytest.mark.parametrize(("code", "status"), ANSWERS)
def test_an_error_of_the_service_is_repeated_as_often_as_over_http(
    client: Any, code: str, status: int
) -> None:
    body = json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "x"}).encode()
    error = client_error("GetItem", code, ResponseMetadata={"HTTPStatusCode": status})
    over_http = tries_over_http(client, lambda: AWSResponse(URL, status, {}, Raw(body)))
    assert tries_in_memory(client, error) == over_http
    assert over_http in {1, 3}
