"""The backend in memory with a meter for billed calls, logs, metrics and CPU time.

A whole order takes milliseconds, so a bench can run a hundred thousand of them.
"""

from __future__ import annotations

import io
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from botocore.exceptions import ClientError

from bench.billing import Item, Ledger, TableSchema
from local.engine.stacks import table_schemas
from local.memory import functions
from local.memory.backend import MemoryBackend, installed
from local.memory.cloud import FULFILLMENT, Hook, ServiceCall
from local.memory.state_machine import Coverage

_LOG_EVENT_OVERHEAD = 26  # bytes that CloudWatch adds to the size of each log event

# A secret is read at a cold start, not for an order. AWS does not bill calls of the fulfillment system.
_NOT_METERED = frozenset({"secretsmanager", FULFILLMENT})


@dataclass
class Telemetry:
    """The size of the log lines, and the metrics in them."""

    log_bytes: int = 0
    metrics: set[tuple[str, ...]] = field(default_factory=set)  # name and dimensions

    def read(self, function: str, lines: str) -> None:
        """Adds the log lines of a function, with the metrics in them."""
        for line in lines.splitlines():
            content = json.loads(line)
            # All functions share one service name here. On AWS each has its own.
            own_name = len(function) - len(content["service"])
            content["service"] = function
            self.log_bytes += len(line.encode()) + own_name + _LOG_EVENT_OVERHEAD
            for directive in content.get("_aws", {}).get("CloudWatchMetrics", ()):
                for dimensions in directive["Dimensions"]:
                    values = tuple(f"{name}={content[name]}" for name in sorted(dimensions))
                    self.metrics |= {(metric["Name"], *values) for metric in directive["Metrics"]}


@dataclass
class MeteredBackend(Hook):
    """A backend in memory with the counts since the last `reset`."""

    backend: MemoryBackend
    ledger: Ledger
    telemetry: Telemetry = field(default_factory=Telemetry)
    invocations: Counter[str] = field(default_factory=Counter)
    seconds_invoked: float = 0.0  # CPU, including that of the services in memory
    seconds_in_services: float = 0.0
    _log: io.StringIO = field(default_factory=io.StringIO)
    _call_began: float = 0.0
    _touched: Mapping[tuple[str, str], Item | None] = field(default_factory=dict)

    @property
    def transitions(self) -> int:
        """The state transitions of one execution. Each state counts once, so only one may have run."""
        return len(self.backend.cloud.coverage.states)

    def reset(self) -> None:
        """Sets all counts to zero."""
        self.ledger.calls.clear()
        self.invocations.clear()
        self.telemetry = Telemetry()
        self.backend.cloud.coverage = Coverage()
        self.seconds_invoked = self.seconds_in_services = 0.0

    def request(self, method: str, path: str, body: object = None, **query: str) -> Any:
        """Sends a request and returns the decoded body. Raises RuntimeError for an error."""
        answer = self.backend.api.request(method, path, body, query=query or None)
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path} returned {answer}")
        return answer.body

    def metered(self, function: str, handler: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        """Returns a handler that also counts the invocations, CPU time and log lines."""

        def handle(event: Any, context: Any) -> Any:
            self.invocations[function] += 1
            start = time.process_time()
            try:
                with redirect_stdout(self._log):
                    return handler(event, context)
            finally:
                self.seconds_invoked += time.process_time() - start
                self.telemetry.read(function, self._log.getvalue())
                self._log.seek(0)
                self._log.truncate()

        return handle

    def before(self, call: ServiceCall, request: Mapping[str, Any]) -> None:
        """Notes the time and the items before the call."""
        self._call_began = time.process_time()
        if call.service not in _NOT_METERED:
            self._touched = self.ledger.begin(call.operation, request)

    def after(self, call: ServiceCall, request: Mapping[str, Any], answer: Any) -> None:
        """Records a call that succeeded."""
        self._finish(call, request, answer, "")

    def refused(self, call: ServiceCall, request: Mapping[str, Any], error: ClientError) -> None:
        """Records a call that the service refused."""
        self._finish(call, request, None, error.response["Error"]["Code"])

    def _finish(self, call: ServiceCall, request: Mapping[str, Any], answer: Any, error: str) -> None:
        if call.service not in _NOT_METERED:
            self.ledger.finish(call.service, call.operation, request, answer, self._touched, error)
        self.seconds_in_services += time.process_time() - self._call_began


@contextmanager
def metered_backend(
    log_level: str = "INFO", *, uses_fulfillment_system: bool = False
) -> Iterator[MeteredBackend]:
    """Yields an empty backend with a meter. The functions in this process use it until the end."""
    backend = MemoryBackend(uses_fulfillment_system=uses_fulfillment_system)
    tables = backend.cloud.store.tables

    def peek(table: str, key: str) -> Item | None:
        return tables[table].items.get(key)

    schemas = {name: TableSchema.of(schema) for name, schema in table_schemas().items()}
    meter = MeteredBackend(backend, Ledger(schemas=schemas, peek=peek))
    backend.cloud.hook = meter
    handler_of = functions.handler_of
    with installed(backend):
        from functions.shared.observability import logger

        level = logger.log_level
        logger.setLevel(log_level)
        try:
            with (
                patch.object(logger.registered_handler, "stream", meter._log),
                patch.object(functions, "handler_of", lambda name: meter.metered(name, handler_of(name))),
            ):
                yield meter
        finally:
            logger.setLevel(level)
