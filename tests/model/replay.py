"""Runs the real functions call by call: what one does next follows from its event and the answers so far.

`advance` runs a handler again with the recorded answers, up to the first call that has none. So an invocation
is a value that a state of the model can hold, and each one is run once only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple
from unittest.mock import patch

from botocore.exceptions import ClientError, ReadTimeoutError

from functions.shared.domain.errors import FulfillmentUnavailable
from functions.shared.persistence.dynamodb import to_item
from functions.shared.persistence.open_index import shard_of
from local.memory.backend import MemoryBackend, installed, ops_target
from local.memory.cloud import FULFILLMENT, MemoryCloud
from local.memory.functions import invoke
from local.memory.state_machine import UPDATE_ITEM, Failure, Ok

AT = "2026-06-01T00:00:00.000Z"
"""The time in the model, which stands still: every order that is open is due."""


class Call(NamedTuple):
    """A call of a function to a service."""

    service: str
    operation: str
    request: str  # JSON


class Answer(NamedTuple):
    """What a function gets for a call: a response, an error of the service, or nothing in time."""

    kind: Literal["response", "error", "lost"]
    body: str = ""  # JSON


LOST = Answer("lost")


class Invocation(NamedTuple):
    """An invocation of a function, or a run of an operator's command, with the answers so far."""

    function: str
    event: str  # JSON
    answers: tuple[Answer, ...] = ()


class _Paused(BaseException):
    """The next call has no answer yet. No function catches it."""


class Functions:
    """The functions, connected to recorded answers. Use it within `connected`."""

    def __init__(self, backend: MemoryBackend, order_id: str) -> None:
        self._backend = backend
        self._order_id = order_id
        self._catalog = backend.cloud.store
        self._answers: list[Answer] = []
        self._next: Call | None = None
        self._known: dict[Invocation, Call | Ok | Failure] = {}

    def advance(self, invocation: Invocation) -> Call | Ok | Failure:
        """Returns the next call of an invocation, or how it ended."""
        if invocation not in self._known:
            self._known[invocation] = self._run(invocation)
        return self._known[invocation]

    def _run(self, invocation: Invocation) -> Call | Ok | Failure:
        self._answers = list(reversed(invocation.answers))
        event = json.loads(invocation.event)
        try:
            if invocation.function == UPDATE_ITEM:
                return self._update_item(invocation.event)
            result = self._start(invocation.function, event)
        except _Paused:
            assert self._next is not None
            return self._next
        except Exception as error:  # noqa: BLE001  as Lambda does
            return Failure.of(error)
        return Ok(result)

    def _update_item(self, request: str) -> Ok | Failure:
        """Ends a task of the state machine that is no function."""
        answer = self._answer(Call("dynamodb", "UpdateItem", request))
        if answer.kind == "response":
            return Ok(json.loads(answer.body))
        code = "SdkClientException" if answer.kind == "lost" else json.loads(answer.body)["Error"]["Code"]
        return Failure(f"DynamoDB.{code}")

    def _start(self, function: str, event: Any) -> Any:
        if function == "cancel":
            return self._backend.api.post(f"/orders/{self._order_id}/cancel").status
        if function == "report":
            answer = self._backend.report(event["route"], event["body"])
            return answer.status if answer else None
        if function == "retry":
            from ops import orders

            orders.retry(ops_target(), self._order_id)
            return None
        return invoke(function, event)

    def call(self, client: Any, operation: str, request: Mapping[str, Any]) -> Any:
        """Answers a call of botocore's clients. Raises botocore's errors."""
        service = client.meta.service_model.service_name
        constant = self._constant(service, operation, request)
        if constant is not None:
            return constant
        answer = self._answer(Call(service, operation, json.dumps(request, sort_keys=True)))
        if answer.kind == "lost":
            raise ReadTimeoutError(endpoint_url="https://aws")
        body = json.loads(answer.body)
        if answer.kind == "error":
            raise ClientError(body, operation)
        return body

    def post(self, _url: object, body: bytes, _headers: object, _seconds: float) -> Any:
        """Answers a request to the fulfillment system. Raises FulfillmentUnavailable without an answer."""
        from functions.shared.fulfillment_client import Reply

        answer = self._answer(Call(FULFILLMENT, "POST", body.decode()))
        if answer.kind == "lost":
            raise FulfillmentUnavailable("the fulfillment system did not answer")
        status, document = json.loads(answer.body)
        return Reply(status, json.dumps(document).encode())

    def _answer(self, call: Call) -> Answer:
        if not self._answers:
            self._next = call
            raise _Paused
        return self._answers.pop()

    def _constant(self, service: str, operation: str, request: Mapping[str, Any]) -> Any:
        """Returns the answer to a call that no other call can change, or None."""
        if service == "secretsmanager":
            return {"SecretString": self._backend.cloud.partner.secret}
        if service == "cloudwatch":
            return {"Datapoints": []}
        if operation == "Query" and request.get("IndexName") == "open":
            shard = request["ExpressionAttributeValues"][":shard"]
            return None if shard == to_item({"shard": shard_of(self._order_id)})["shard"] else {"Items": []}
        if operation == "BatchGetItem" or request.get("TableName") == "users":
            return self._catalog.call(operation, request)
        return None


@contextmanager
def connected(backend: MemoryBackend, order_id: str, *, max_attempts: int) -> Iterator[Functions]:
    """Connects the functions in this process to recorded answers, on a stack like the backend."""
    functions = Functions(backend, order_id)
    with (
        patch.object(MemoryCloud, "call", lambda _cloud, *call: functions.call(*call)),
        patch.object(backend.cloud, "post", functions.post),
        patch.object(backend, "tick", lambda: AT),
        installed(backend),
    ):
        from functions.requeue_stalled_orders import handler

        with patch.object(handler, "_max_attempts", max_attempts):
            yield functions
