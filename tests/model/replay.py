"""Runs the real functions call by call: what one does next follows from its event and the answers so far.

`advance` runs a handler again with the recorded answers, up to the first call that has none. So an invocation
is a value that a state of the model can hold, and each one is run once only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, Literal, NamedTuple
from unittest.mock import patch
from urllib.parse import SplitResult, urlsplit

from botocore.exceptions import ClientError, ReadTimeoutError

from functions.shared import clock
from functions.shared.domain.errors import FulfillmentUnavailable
from functions.shared.persistence.dynamodb import to_item
from functions.shared.persistence.open_index import shard_of
from local.memory.backend import MemoryBackend, installed, ops_target
from local.memory.cloud import FULFILLMENT, MemoryCloud
from local.memory.functions import invoke
from local.memory.iam import SECRET_ARN
from local.memory.state_machine import UPDATE_ITEM, Failure, Ok

KEY = "key"
"""The `Idempotency-Key` of the client's request."""

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
    """An invocation of a function, or what a client or an operator does, with the answers so far."""

    function: str
    event: str  # JSON
    system: str = ""  # the fulfillment system that the function is configured with
    answers: tuple[Answer, ...] = ()
    is_repeated: bool = False  # whether botocore sent the next call before


class _Paused(BaseException):
    """The next call has no answer yet. No function catches it."""


class Functions:
    """The functions, connected to recorded answers. Use it within `connected`."""

    def __init__(self, backend: MemoryBackend, order_id: str, *, is_catalog_fixed: bool) -> None:
        self._backend = backend
        self._order_id = order_id
        self._is_catalog_fixed = is_catalog_fixed
        self._catalog = backend.cloud.store
        self._answers: list[Answer] = []
        self._next: Call | None = None
        self._known: dict[Invocation, Call | Ok | Failure] = {}

    def advance(self, invocation: Invocation) -> Call | Ok | Failure:
        """Returns the next call of an invocation, or how it ended."""
        invocation = invocation._replace(is_repeated=False)
        if invocation not in self._known:
            self._known[invocation] = self._run(invocation)
        return self._known[invocation]

    def _run(self, invocation: Invocation) -> Call | Ok | Failure:
        self._answers = list(reversed(invocation.answers))
        event = json.loads(invocation.event)
        try:
            if invocation.function == UPDATE_ITEM:
                return self._update_item(invocation.event)
            with _configured(invocation.system, self.post):
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
        from ops import orders

        api = self._backend.api
        if function == "place":
            answer = api.post("/orders", event["body"], headers={"Idempotency-Key": KEY})
            return {"status": answer.status, "order": answer.body.get("status")}
        if function == "cancel":
            return api.post(f"/orders/{self._order_id}/cancel").status
        if function == "report":
            reported = self._backend.report(event["route"], event["body"])
            return reported.status if reported else None
        if function == "archive":
            return api.patch(f"/products/{event['product']}", {"archived": True}).status
        if function == "restock":
            return self._restock(f"/products/{event['product']}", event["ifMatch"])
        if function in {"retry", "release"}:
            getattr(orders, function)(ops_target(), self._order_id)
            return None
        return invoke(function, event)

    def _restock(self, path: str, if_match: str | None) -> int:
        """Adds a piece to the stock that was read. `if_match` is a header, or None for the version read."""
        read = self._backend.api.get(path)
        if read.status != HTTPStatus.OK:
            return read.status
        new = {name: read.body[name] for name in ("title", "price", "currency")}
        headers = {"If-Match": if_match or read.headers["etag"]}
        new["stock"] = read.body["stock"] + 1
        return self._backend.api.put(path, new, headers=headers).status

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

    def post(self, url: SplitResult, body: bytes, _headers: object, _seconds: float) -> Any:
        """Answers a request to the fulfillment system. Raises FulfillmentUnavailable without an answer."""
        from functions.shared.fulfillment_client import Reply

        answer = self._answer(Call(FULFILLMENT, f"POST to {url.netloc}", body.decode()))
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
        is_fixed = operation == "BatchGetItem" and self._is_catalog_fixed
        if is_fixed or request.get("TableName") == "users":
            return self._catalog.call(operation, request)
        return None


@contextmanager
def _configured(system: str, transport: Any) -> Iterator[None]:
    """Configures the functions with a fulfillment system, or with none."""
    from functions.fulfill_order import handler as fulfilling
    from functions.requeue_stalled_orders import handler as requeueing
    from functions.shared import aws
    from functions.shared.fulfillment_client import FulfillmentClient
    from functions.shared.signatures import SigningSecret

    before = fulfilling._fulfillment_system, requeueing._fulfillment_system
    secret = SigningSecret(lambda: aws.client("secretsmanager"), SECRET_ARN)
    client = FulfillmentClient(urlsplit(f"https://{system}"), secret, transport) if system else None
    fulfilling._fulfillment_system = requeueing._fulfillment_system = client
    try:
        yield
    finally:
        fulfilling._fulfillment_system, requeueing._fulfillment_system = before


@contextmanager
def connected(
    backend: MemoryBackend, order_id: str, *, max_attempts: int, is_catalog_fixed: bool
) -> Iterator[Functions]:
    """Connects the functions in this process to recorded answers, on a stack like the backend."""
    functions = Functions(backend, order_id, is_catalog_fixed=is_catalog_fixed)
    with (
        patch.object(MemoryCloud, "call", lambda _cloud, *call: functions.call(*call)),
        patch.object(backend, "tick", lambda: AT),
        patch.object(clock, "minutes_after", lambda at, _minutes: at),
        installed(backend),
    ):
        from functions.requeue_stalled_orders import handler

        with patch.object(handler, "_max_attempts", max_attempts):
            yield functions
