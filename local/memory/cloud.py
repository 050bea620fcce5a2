"""The AWS around the functions, in memory, with a hook before and after every call for the faults."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import SplitResult

from botocore.exceptions import ClientError, ReadTimeoutError

from functions.shared.domain.errors import FulfillmentUnavailable
from local.engine.stacks import table_schemas
from local.memory import state_machine as machine
from local.memory.iam import Iam
from local.memory.store import Store, client_error
from local.partners.fulfillment import Behavior, FulfillmentPartner


class Killed(BaseException):
    """The process is gone: out of memory, timed out, its machine lost. Nothing can catch that."""


class Call(NamedTuple):
    """One call of a function to the world outside it."""

    service: str
    operation: str


class Hook:
    """Sees every call; what it raises, the caller gets."""

    is_concurrent = False  # whether several actors call at once

    def before(self, call: Call, request: Mapping[str, Any]) -> None:
        """The call was not made yet."""

    def after(self, call: Call, request: Mapping[str, Any], answer: object) -> None:
        """The call took effect; its answer is under way."""

    def refused(self, call: Call, error: Exception) -> None:
        """The service answers with an error."""


@dataclass
class Message:
    """A message on the orders queue."""

    body: str
    receives: int = 0


@dataclass
class Execution:
    """An execution of the state machine, and where it stands."""

    name: str
    steps: Generator[machine.Invoke, machine.Ok | machine.Failure, machine.End]
    next: machine.Invoke | None = None
    end: machine.End | None = None

    @property
    def status(self) -> str:
        """As DescribeExecution tells it."""
        return self.end.status if self.end else "RUNNING"

    def tell(self, answer: machine.Ok | machine.Failure | None) -> None:
        """Tell the machine how its last invocation went, and let it go on to the next."""
        try:
            self.next = next(self.steps) if answer is None else self.steps.send(answer)
        except StopIteration as stop:
            self.next, self.end = None, stop.value


@dataclass
class Cloud:
    """All services; `call` answers as botocore's clients do."""

    is_express: bool = False
    hook: Hook = field(default_factory=Hook)
    iam: Iam = field(default_factory=Iam)
    store: Store = field(default_factory=lambda: Store(table_schemas()))
    queue: deque[Message] = field(default_factory=deque)
    dead_letters: list[Message] = field(default_factory=list)
    events: list[Any] = field(default_factory=list)
    executions: list[Execution] = field(default_factory=list)
    coverage: machine.Coverage = field(default_factory=machine.Coverage)
    warehouse: FulfillmentPartner = field(default_factory=lambda: FulfillmentPartner("s3cret"))
    oldest_message_seconds: float = 0.0
    reservations: dict[str, list[Any]] = field(default_factory=dict)  # all that each order ever had

    def call(self, service: str, operation: str, request: Mapping[str, Any]) -> Any:
        """Make one call of an AWS API, with whatever the hook does to it. Raises botocore's errors."""
        call = Call(service, operation)
        self.hook.before(call, request)
        try:
            self.iam.authorize(service, operation, request)
            if service == "dynamodb":
                answer = self.store.call(operation, request)
            else:
                answer = getattr(self, f"_{service}_{operation}")(request)
        except ClientError as error:
            self.hook.refused(call, error)
            raise
        if operation == "TransactWriteItems":
            self._note_reservation(request["TransactItems"][0]["Update"]["Key"]["orderId"]["S"])
        self.hook.after(call, request, answer)
        return answer

    def _note_reservation(self, order_id: str) -> None:
        reservation = self.store.tables["orders"].items[order_id]["reservation"]["M"]
        self.reservations.setdefault(order_id, []).append(
            (reservation["state"]["S"], int(reservation["attempt"]["N"]))
        )

    def post(self, _url: SplitResult, body: bytes, headers: dict[str, str], _seconds: float) -> Any:
        """The transport to the warehouse."""
        from functions.fulfill_order.client import Reply  # it needs the functions' environment

        call = Call("warehouse", "POST")
        request = json.loads(body)
        try:
            self.hook.before(call, request)
            answer = self.warehouse.handle({name.lower(): value for name, value in headers.items()}, body)
            if answer.behavior in {Behavior.DROP_ANSWER, Behavior.DROP_REQUEST}:
                raise FulfillmentUnavailable("the fulfillment system did not answer")
            self.hook.after(call, request, answer)
        except (ReadTimeoutError, ClientError) as error:
            raise FulfillmentUnavailable("the fulfillment system did not answer") from error
        return Reply(answer.status, answer.body)

    def _sqs_SendMessage(self, request: Mapping[str, Any]) -> Any:  # noqa: N802
        self.queue.append(Message(request["MessageBody"]))
        return {}

    def _sqs_SendMessageBatch(self, request: Mapping[str, Any]) -> Any:  # noqa: N802
        self.queue.extend(Message(entry["MessageBody"]) for entry in request["Entries"])
        return {"Successful": [{"Id": entry["Id"]} for entry in request["Entries"]]}

    def _events_PutEvents(self, request: Mapping[str, Any]) -> Any:  # noqa: N802
        self.events.extend(
            {"type": entry["DetailType"], **json.loads(entry["Detail"])} for entry in request["Entries"]
        )
        return {"FailedEntryCount": 0, "Entries": []}

    def _secretsmanager_GetSecretValue(self, _request: Mapping[str, Any]) -> Any:  # noqa: N802
        return {"SecretString": self.warehouse.secret}

    def _cloudwatch_GetMetricStatistics(self, _request: Mapping[str, Any]) -> Any:  # noqa: N802
        return {"Datapoints": [{"Timestamp": 0, "Maximum": self.oldest_message_seconds}]}

    def _stepfunctions_StartExecution(self, request: Mapping[str, Any]) -> Any:  # noqa: N802
        name = request["name"]
        if not self.is_express and self._execution(name) is not None:
            raise client_error("StartExecution", "ExecutionAlreadyExists")
        steps = machine.run(json.loads(request["input"]), self.coverage)
        execution = Execution(name, steps)
        execution.tell(None)
        self.executions.append(execution)
        return {}

    def _stepfunctions_DescribeExecution(self, request: Mapping[str, Any]) -> Any:  # noqa: N802
        execution = self._execution(request["executionArn"].rsplit(":", 1)[1])
        if execution is None:
            raise client_error("DescribeExecution", "ExecutionDoesNotExist")
        return {"status": execution.status}

    def _execution(self, name: str) -> Execution | None:
        return next((execution for execution in self.executions if execution.name == name), None)
