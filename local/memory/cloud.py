"""The AWS services that the functions call, in memory, with a hook around every try of every call."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from types import SimpleNamespace
from typing import Any, NamedTuple
from urllib.parse import SplitResult
from uuid import uuid4

from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError
from botocore.retries.standard import RetryContext, StandardRetryConditions

from functions.shared.domain.errors import FulfillmentUnavailable
from local.engine.stacks import table_schemas
from local.memory import state_machine as machine
from local.memory.event_schemas import check_event
from local.memory.functions import running_function
from local.memory.iam import Iam
from local.memory.queues import Queue
from local.memory.store import Store, client_error
from local.partners.fulfillment import Behavior, FulfillmentPartner

FULFILLMENT = "fulfillment"
"""The service name of a request to the fulfillment system, which is not an AWS call."""


class Killed(BaseException):
    """The process ended: out of memory, a timeout, or a failed machine. No function catches it."""


class ServiceCall(NamedTuple):
    """The service and the operation of a call, by botocore's names."""

    service: str
    operation: str


class Hook:
    """Runs around every try of every call. An exception that it raises replaces the response."""

    is_concurrent = False  # whether several actors call at once

    def before(self, call: ServiceCall, request: Mapping[str, Any]) -> None:
        """Runs before the request takes effect."""

    def after(self, call: ServiceCall, request: Mapping[str, Any], answer: Any) -> None:
        """Runs after the request took effect, and before the response arrives."""

    def refused(self, call: ServiceCall, request: Mapping[str, Any], error: ClientError) -> None:
        """Runs instead of `after` when the service returns an error."""


@dataclass
class Execution:
    """An execution of the state machine, and the next call of its task."""

    name: str
    steps: Generator[machine.Invoke, machine.Ok | machine.Failure, machine.End]
    next: machine.Invoke | None = None
    end: machine.End | None = None

    @property
    def status(self) -> str:
        """The status that DescribeExecution returns."""
        return self.end.status if self.end else "RUNNING"

    def proceed(self, answer: machine.Ok | machine.Failure | None) -> None:
        """Runs to the next call or to the end. `answer` is the result of the last call."""
        try:
            self.next = next(self.steps) if answer is None else self.steps.send(answer)
        except StopIteration as stop:
            self.next, self.end = None, stop.value


@dataclass
class MemoryCloud:
    """All services."""

    is_express: bool = False
    hook: Hook = field(default_factory=Hook)
    iam: Iam = field(default_factory=Iam)
    store: Store = field(default_factory=lambda: Store(table_schemas()))
    queue: Queue = field(default_factory=Queue)
    dead_letters: Queue = field(default_factory=Queue)
    events: list[Any] = field(default_factory=list)  # entries of PutEvents, with `Detail` decoded
    executions: list[Execution] = field(default_factory=list)
    coverage: machine.Coverage = field(default_factory=machine.Coverage)
    mapping: dict[str, Any] = field(default_factory=lambda: {"State": "Enabled", "Tags": {}})
    alarms: list[dict[str, Any]] = field(default_factory=list)  # as CloudWatch describes them
    logs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # log group -> its events
    partner: FulfillmentPartner = field(default_factory=lambda: FulfillmentPartner("s3cret"))
    oldest_message_ages: list[tuple[datetime, float]] = field(default_factory=list)  # time, seconds
    reservations: dict[str, list[Any]] = field(default_factory=dict)  # order -> all its reservations
    _done: set[str] = field(default_factory=set)  # tokens of transactions

    def call(self, client: Any, operation: str, request: Mapping[str, Any]) -> Any:
        """Calls an AWS API, with botocore's own retries. Returns the decoded response.

        Raises botocore's errors, and those of the hook.
        """
        model = client.meta.service_model
        call = ServiceCall(model.service_name, operation)
        known = model.operation_model(operation).input_shape.members
        assert request.keys() <= known.keys(), request  # botocore refuses others
        for action in request.get("TransactItems", ()):
            ((kind, write),) = action.items()
            assert write.keys() <= known["TransactItems"].member.members[kind].members.keys(), write
        if operation == "TransactWriteItems":  # botocore adds this token
            request = {"ClientRequestToken": str(uuid4()), **request}
        conditions = _retry_conditions(client.meta.config.retries.get("total_max_attempts", 5))
        tries = 0
        while True:
            tries += 1
            try:
                return self._answer(call, request)
            except (ClientError, BotoCoreError) as error:
                if isinstance(error, ClientError):
                    error.response.setdefault("ResponseMetadata", {})["RetryAttempts"] = tries - 1
                context = _retry_context(tries, model.operation_model(operation), error)
                if not conditions.is_retryable(context):
                    raise

    def _answer(self, call: ServiceCall, request: Mapping[str, Any]) -> Any:
        self.hook.before(call, request)
        try:
            self.iam.authorize(call.service, call.operation, request)
            if request.get("ClientRequestToken") in self._done:
                return {}  # a transaction that took effect before: the same request has the same result
            if call.service == "dynamodb":
                answer = self.store.call(call.operation, request)
            elif call.service == "sqs":
                is_dead = request["QueueUrl"].endswith("dead-letters")
                answer = (self.dead_letters if is_dead else self.queue).call(call.operation, request)
            else:
                answer = getattr(self, f"_{call.service}_{call.operation}")(request)
        except ClientError as error:
            self.hook.refused(call, request, error)
            raise
        if call.operation == "TransactWriteItems":
            self._done.add(request["ClientRequestToken"])
            self._record_reservation(request["TransactItems"][0])
        self.hook.after(call, request, answer)
        return answer

    def _record_reservation(self, action: Mapping[str, Any]) -> None:
        """Records the first action of a transaction, if it reserves or releases stock."""
        key = action.get("Update", {}).get("Key", {})
        if "orderId" not in key:
            return
        order_id = key["orderId"]["S"]
        reservation = self.store.tables["orders"].items[order_id]["reservation"]["M"]
        known = self.reservations.setdefault(order_id, [])
        state = reservation["state"]["S"]
        if not known or known[-1][0] != state:  # a report may change a part of the stock only
            known.append((state, int(reservation["attempt"]["N"])))

    def update_item(self, request: Mapping[str, Any]) -> machine.Ok | machine.Failure:
        """Sends the UpdateItem of a task, under the state machine's role. Returns the task's result."""
        token = running_function.set(machine.NAME)
        try:
            return machine.Ok(self._answer(ServiceCall("dynamodb", "UpdateItem"), dict(request)))
        except ClientError as error:
            return machine.Failure(f"DynamoDB.{error.response['Error']['Code']}", str(error))
        except (BotoCoreError, Killed) as error:
            return machine.Failure("DynamoDB.SdkClientException", str(error))
        finally:
            running_function.reset(token)

    def post(self, _url: SplitResult, body: bytes, headers: dict[str, str], _seconds: float) -> Any:
        """Sends a request of `FulfillmentClient`. Raises FulfillmentUnavailable without a response."""
        from functions.shared.fulfillment_client import Reply  # needs the functions' environment

        call = ServiceCall(FULFILLMENT, "POST")
        request = json.loads(body)
        try:
            self.hook.before(call, request)
            answer = self.partner.handle({name.lower(): value for name, value in headers.items()}, body)
            if answer.behavior in {Behavior.DROP_ANSWER, Behavior.DROP_REQUEST}:
                raise FulfillmentUnavailable("the fulfillment system did not answer")
            self.hook.after(call, request, answer)
        except (ReadTimeoutError, ClientError) as error:
            raise FulfillmentUnavailable("the fulfillment system did not answer") from error
        return Reply(answer.status, answer.body)

    def _events_PutEvents(self, request: Mapping[str, Any]) -> Any:  # noqa: N802
        entries = [{**entry, "Detail": json.loads(entry["Detail"])} for entry in request["Entries"]]
        for entry in entries:
            check_event(entry["DetailType"], entry["Detail"])
        self.events.extend(entries)
        return {"FailedEntryCount": 0, "Entries": []}

    def _secretsmanager_GetSecretValue(self, _request: Mapping[str, Any]) -> Any:  # noqa: N802
        return {"SecretString": self.partner.secret}

    def _cloudwatch_GetMetricStatistics(self, request: Mapping[str, Any]) -> Any:  # noqa: N802
        start, end = (datetime.fromisoformat(request[name]) for name in ("StartTime", "EndTime"))
        return {
            "Datapoints": [
                {"Timestamp": at, "Maximum": seconds}
                for at, seconds in self.oldest_message_ages
                if start <= at < end
            ]
        }

    def _cloudwatch_DescribeAlarms(self, request: Mapping[str, Any]) -> Any:  # noqa: N802
        prefix = request["AlarmNamePrefix"]
        return {"MetricAlarms": [alarm for alarm in self.alarms if alarm["AlarmName"].startswith(prefix)]}

    def _logs_DescribeLogGroups(self, request: Mapping[str, Any]) -> Any:  # noqa: N802
        prefix = request["logGroupNamePrefix"]
        return {"logGroups": [{"logGroupName": name} for name in self.logs if name.startswith(prefix)]}

    def _logs_FilterLogEvents(self, request: Mapping[str, Any]) -> Any:  # noqa: N802
        events = self.logs[request["logGroupName"]]
        return {"events": [event for event in events if event["timestamp"] >= request["startTime"]]}

    def _lambda_ListEventSourceMappings(self, request: Mapping[str, Any]) -> Any:  # noqa: N802
        is_own = request["EventSourceArn"] == "orders"
        mapping = {"UUID": "u-1", "EventSourceMappingArn": "arn-1", "State": self.mapping["State"]}
        return {"EventSourceMappings": [mapping] if is_own else []}

    def _lambda_UpdateEventSourceMapping(self, request: Mapping[str, Any]) -> Any:  # noqa: N802
        self.mapping["State"] = "Enabling" if request["Enabled"] else "Disabling"
        return {}

    def _lambda_ListTags(self, _request: Mapping[str, Any]) -> Any:  # noqa: N802
        return {"Tags": dict(self.mapping["Tags"])}

    def _lambda_TagResource(self, request: Mapping[str, Any]) -> Any:  # noqa: N802
        self.mapping["Tags"] |= request["Tags"]
        return {}

    def _lambda_UntagResource(self, request: Mapping[str, Any]) -> Any:  # noqa: N802
        for key in request["TagKeys"]:
            self.mapping["Tags"].pop(key, None)
        return {}

    def _stepfunctions_StartExecution(self, request: Mapping[str, Any]) -> Any:  # noqa: N802
        name = request["name"]
        if not self.is_express and self._execution(name) is not None:
            raise client_error("StartExecution", "ExecutionAlreadyExists")
        execution = Execution(name, machine.run(json.loads(request["input"]), self.coverage))
        execution.proceed(None)
        self.executions.append(execution)
        return {}

    def _stepfunctions_DescribeExecution(self, request: Mapping[str, Any]) -> Any:  # noqa: N802
        execution = self._execution(request["executionArn"].rsplit(":", 1)[1])
        if execution is None:
            raise client_error("DescribeExecution", "ExecutionDoesNotExist")
        return {"status": execution.status, "startDate": datetime(2026, 1, 1, tzinfo=UTC)}

    def _stepfunctions_DescribeStateMachine(self, _request: Mapping[str, Any]) -> Any:  # noqa: N802
        return {"type": "EXPRESS" if self.is_express else "STANDARD"}

    def _stepfunctions_ListExecutions(self, _request: Mapping[str, Any]) -> Any:  # noqa: N802
        if self.is_express:
            raise client_error("ListExecutions", "StateMachineTypeNotSupported")
        running = [execution for execution in self.executions if execution.status == "RUNNING"]
        return {"executions": [{"name": execution.name} for execution in running]}

    def _execution(self, name: str) -> Execution | None:
        return next((execution for execution in self.executions if execution.name == name), None)


@cache
def _retry_conditions(total_max_attempts: int) -> StandardRetryConditions:
    return StandardRetryConditions(max_attempts=total_max_attempts)


def _retry_context(tries: int, operation_model: Any, error: ClientError | BotoCoreError) -> RetryContext:
    answer: Any = getattr(error, "response", None)
    status = answer and answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
    return RetryContext(
        attempt_number=tries,
        operation_model=operation_model,
        parsed_response=answer,
        http_response=answer and SimpleNamespace(status_code=status, headers={}),
        caught_exception=None if answer else error,
        request_context={},
    )
