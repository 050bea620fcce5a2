"""If a service accepts a call without an answer, the task ends with an error before Lambda ends it.

Real botocore calls a server that is silent. All other calls go to the memory cloud.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest
from botocore.client import BaseClient

from functions.shared import aws, deadline
from functions.shared.domain.errors import DependencyUnavailable
from local.engine.stacks import declare_test_stack
from local.memory.backend import MemoryBackend, installed
from local.memory.cloud import FULFILLMENT
from local.memory.faults import FaultAt
from local.memory.functions import LambdaContext
from tests.components.recorded import FUNCTION
from tests.crashes import actions

TASKS: dict[Callable[[MemoryBackend], actions.Action], str] = {
    actions.validate: "validate_order",
    actions.mark_validated: "update_order_status",
    actions.mark_failed: "update_order_status",
    actions.fulfill: "fulfill_order",
    actions.release: "release_order",
}
_call_over_http = BaseClient._make_api_call


@pytest.fixture
def silent_url() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("case", TASKS, ids=lambda case: case.__name__)
def test_a_task_ends_within_its_timeout_when_a_service_is_silent(
    case: Callable[[MemoryBackend], actions.Action], silent_url: str
) -> None:
    timeout = declare_test_stack().get(FUNCTION, TASKS[case]).inputs["timeout"]
    listing = FaultAt()
    with installed(MemoryBackend(uses_fulfillment_system=True)) as backend:
        action = case(backend)
        with backend.hooked(listing):
            action()
    services = [call.service for call in listing.calls if call.service != FULFILLMENT]
    for number in range(len(services)):
        with installed(MemoryBackend(uses_fulfillment_system=True)) as backend:
            action = case(backend)
            with _silent_from(number, silent_url), _lambda_with(timeout):
                start = time.monotonic()
                with pytest.raises(DependencyUnavailable):
                    action()
                took = time.monotonic() - start
        assert took < timeout - deadline.RESERVE / 2, listing.calls[number]


def test_a_call_is_not_sent_when_it_could_outlast_the_function(silent_url: str) -> None:
    client = _client("dynamodb", silent_url)
    deadline.start(LambdaContext(remaining_time_in_millis=int(1000 * aws.LONGEST_TRY)))
    start = time.monotonic()
    with pytest.raises(aws.OutOfTime):
        client.get_item(TableName="orders", Key={"orderId": {"S": "o-1"}})
    assert time.monotonic() - start < 0.5
    deadline.start(LambdaContext())


def _client(service: str, url: str) -> Any:
    aws._models.wanted.append(service)
    return aws._session.create_client(service, config=aws._CONFIG, endpoint_url=url)


def _lambda_with(timeout: int) -> Any:
    """The Lambda context of a function with this timeout, in seconds."""
    context = partial(LambdaContext, remaining_time_in_millis=1000 * timeout)
    return patch("local.memory.functions.LambdaContext", context)


def _silent_from(number: int, url: str) -> Any:
    """The call with this number and all later ones get no answer."""
    calls = iter(range(1000))
    in_memory = BaseClient._make_api_call

    def call(client: Any, operation: str, request: Mapping[str, Any]) -> Any:
        service = client.meta.service_model.service_name
        if next(calls) >= number:
            return _call_over_http(_client(service, url), operation, request)
        return in_memory(client, operation, request)

    return patch.object(BaseClient, "_make_api_call", call)
