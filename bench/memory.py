"""The backend in memory: the real functions and the real state machine, and no AWS but a ledger.

botocore's clients are cut off right below their methods and answered by the in-memory DynamoDB that the
tests prove equal to moto's. So a whole order takes milliseconds, and a hundred thousand of them fit.
"""

from __future__ import annotations

import io
import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any
from unittest.mock import patch

from botocore.client import BaseClient
from botocore.exceptions import ClientError

from bench.billing import Item, Ledger, TableSchema
from bench.child import Context
from bench.samples import ENVIRONMENT, queue_batch, request
from local.engine.stacks import table_schemas
from local.memory import state_machine as machine
from local.memory.store import Store

_LOG_EVENT_OVERHEAD = 26  # bytes that CloudWatch adds to the size of each log event


class _Store(Store):
    """The tests' DynamoDB with the one call that only the lists of users and products make."""

    def _scan(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        table = self.tables[asked["TableName"]]
        keys = list(table.items)
        start = asked.get("ExclusiveStartKey")
        first = keys.index(start[table.key]["S"]) + 1 if start else 0
        page = keys[first : first + asked["Limit"]]
        more = {"LastEvaluatedKey": {table.key: {"S": page[-1]}}} if first + len(page) < len(keys) else {}
        return {"Items": [table.items[key] for key in page], **more}


@dataclass
class Telemetry:
    """What the functions write about themselves."""

    log_bytes: int = 0
    metrics: set[tuple[str, ...]] = field(default_factory=set)  # name and dimensions

    def read(self, function: str, lines: str) -> None:
        """Take in the log lines of a function, of which some are metrics."""
        for line in lines.splitlines():
            content = json.loads(line)
            # All functions run as one service here, each as its own in AWS.
            own_name = len(function) - len(content["service"])
            content["service"] = function
            self.log_bytes += len(line.encode()) + own_name + _LOG_EVENT_OVERHEAD
            for directive in content.get("_aws", {}).get("CloudWatchMetrics", ()):
                for dimensions in directive["Dimensions"]:
                    values = tuple(f"{name}={content[name]}" for name in sorted(dimensions))
                    self.metrics |= {(metric["Name"], *values) for metric in directive["Metrics"]}


@dataclass
class Backend:
    """The functions, the queue and the state machine, with everything they did."""

    store: Store
    ledger: Ledger
    telemetry: Telemetry = field(default_factory=Telemetry)
    messages: list[dict[str, Any]] = field(default_factory=list)
    invocations: Counter[str] = field(default_factory=Counter)
    transitions: int = 0
    executions: int = 0
    log: io.StringIO = field(default_factory=io.StringIO)
    seconds_invoked: float = 0.0  # CPU, with the store's
    seconds_in_store: float = 0.0
    refusing: bool = False
    """Whether the fulfillment system refuses: FulfillOrder reserves, and then raises FulfillmentRefused."""

    def invoke(self, function: str, event: Any) -> Any:
        """Invoke a function."""
        handler = import_module(f"functions.{function}.handler").lambda_handler
        self.invocations[function] += 1
        start = time.process_time()
        try:
            with redirect_stdout(self.log):
                return handler(event, Context())
        finally:
            self.seconds_invoked += time.process_time() - start
            self.telemetry.read(function, self.log.getvalue())
            self.log.seek(0)
            self.log.truncate()

    def forget(self) -> None:
        """Count from zero."""
        self.ledger.calls.clear()
        self.invocations.clear()
        self.telemetry = Telemetry()
        self.transitions = self.executions = 0
        self.seconds_invoked = self.seconds_in_store = 0.0

    def api(self, function: str, method: str, path: str, body: object = None, **query: str) -> Any:
        """Send a request; answers the decoded body. Raises RuntimeError for an error."""
        event = request(method, path, body)
        event["queryStringParameters"] = query or None
        answer = self.invoke(function, event)
        if answer["statusCode"] >= 400:
            raise RuntimeError(f"{method} {path} answered {answer}")
        return json.loads(answer["body"])

    def deliver(self) -> None:
        """Hand the waiting messages to the consumer, and run the executions that it starts to their end."""
        batch, self.messages = self.messages[:10], self.messages[10:]
        event = queue_batch(len(batch))
        for record, message in zip(event["Records"], batch, strict=True):
            record["body"] = message["MessageBody"]
        answer = self.invoke("order_consumer", event)
        if answer["batchItemFailures"]:
            raise RuntimeError(f"the consumer failed: {answer}")
        for message in batch:
            self.execute(json.loads(message["MessageBody"]))

    def execute(self, execution_input: Mapping[str, Any]) -> machine.End:
        """Run the state machine for one attempt of an order."""
        coverage = machine.Coverage()
        steps = machine.run(execution_input, coverage)
        self.executions += 1
        told: machine.Ok | machine.Failure | None = None
        try:
            while True:
                wanted = next(steps) if told is None else steps.send(told)
                told = self._task(wanted)
        except StopIteration as stop:
            self.transitions += len(coverage.states)
            end: machine.End = stop.value
            return end

    def _task(self, wanted: machine.Invoke) -> machine.Ok | machine.Failure:
        try:
            answer = machine.Ok(self.invoke(wanted.function, wanted.payload))
        except Exception as error:  # noqa: BLE001  as Step Functions sees it
            return machine.Failure.of(error)
        if self.refusing and wanted.function == "fulfill_order":
            return machine.Failure("FulfillmentRefused", json.dumps({"errorMessage": "refused: no"}))
        return answer

    def call(self, service: str, operation: str, parameters: Mapping[str, Any]) -> Any:
        """Answer one call to AWS. Raises ClientError."""
        start = time.process_time()
        before = self.ledger.begin(operation, parameters)
        answer, error = None, ""
        try:
            answer = self._answer(service, operation, parameters)
        except ClientError as refusal:
            error = refusal.response["Error"]["Code"]
            raise
        finally:
            self.ledger.finish(service, operation, parameters, answer, before, error)
            self.seconds_in_store += time.process_time() - start
        return answer

    def _answer(self, service: str, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        if service == "dynamodb":
            return self.store.call(operation, parameters)
        if operation == "SendMessage":
            self.messages.append(dict(parameters))
        elif operation == "SendMessageBatch":
            self.messages.extend(parameters["Entries"])
            return {"Successful": [{"Id": entry["Id"]} for entry in parameters["Entries"]]}
        elif operation == "DescribeExecution":
            return {"status": "FAILED"}
        return {"FailedEntryCount": 0, "Datapoints": []}


@contextmanager
def backend(log_level: str = "INFO") -> Iterator[Backend]:
    """An empty backend. The functions' clients answer from it until the end."""
    schemas = table_schemas()
    store = _Store(schemas)

    def peek(table: str, key: str) -> Item | None:
        return store.tables[table].items.get(key)

    ledger = Ledger(schemas={name: TableSchema.of(schema) for name, schema in schemas.items()}, peek=peek)
    made = Backend(store=store, ledger=ledger)

    def answer(client: Any, operation: str, parameters: Mapping[str, Any]) -> Any:
        return made.call(client.meta.service_model.service_name, operation, parameters)

    # The functions read it once per process: in a test run, what the other tests were told stays.
    environment = {name: os.environ.get(name, value) for name, value in ENVIRONMENT.items()}
    with patch.dict(os.environ, environment), patch.object(BaseClient, "_make_api_call", answer):
        from functions.shared.observability import logger

        level = logger.log_level
        logger.setLevel(log_level)
        try:
            with patch.object(logger.registered_handler, "stream", made.log):
                yield made
        finally:
            logger.setLevel(level)
