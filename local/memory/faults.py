"""The ways in which one call can fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ReadTimeoutError

from local.memory.cloud import Call, Hook, Killed
from local.memory.store import client_error


def _conflict(call: Call, request: Mapping[str, Any]) -> Exception:
    if "TransactItems" not in request:
        return client_error(call.operation, "TransactionConflictException")
    reasons = [{"Code": "None"} for _ in request["TransactItems"]]
    reasons[-1] = {"Code": "TransactionConflict"}
    return client_error(call.operation, "TransactionCanceledException", CancellationReasons=reasons)


Fault = Callable[[Call, Mapping[str, Any]], BaseException]

BEFORE: dict[str, Fault] = {
    "killed before": lambda _call, _request: Killed(),
    "request lost": lambda _call, _request: ReadTimeoutError(endpoint_url="https://aws"),
    "throttled": lambda call, _request: client_error(call.operation, "ThrottlingException"),
}
AFTER: dict[str, Fault] = {
    "killed after": lambda _call, _request: Killed(),
    "answer lost": lambda _call, _request: ReadTimeoutError(endpoint_url="https://aws"),
}
CONFLICT: dict[str, Fault] = {"transaction conflict": _conflict}


class FaultAt(Hook):
    """Lets one call fail: the one with this number."""

    def __init__(self, number: int = -1, before: Fault | None = None, after: Fault | None = None) -> None:
        self.calls: list[Call] = []
        self._number = number
        self._before = before
        self._after = after

    def before(self, call: Call, request: Mapping[str, Any]) -> None:
        self.calls.append(call)
        if self._before and len(self.calls) - 1 == self._number:
            raise self._before(call, request)

    def after(self, call: Call, request: Mapping[str, Any], answer: object) -> None:
        if self._after and len(self.calls) - 1 == self._number:
            raise self._after(call, request)


class Outage(Hook):
    """Lets all calls of one service fail, from a call of any service on, for a number of calls."""

    def __init__(self, service: str, start: int, length: int, before: Fault | None, after: Fault | None):
        self._service = service
        self._left = length
        self._calls = -1
        self._start = start
        self._before = before
        self._after = after

    def _is_out(self, call: Call) -> bool:
        return call.service == self._service and self._calls >= self._start and self._left > 0

    def before(self, call: Call, request: Mapping[str, Any]) -> None:
        self._calls += 1
        if self._before and self._is_out(call):
            self._left -= 1
            raise self._before(call, request)

    def after(self, call: Call, request: Mapping[str, Any], answer: object) -> None:
        if self._after and self._is_out(call):
            self._left -= 1
            raise self._after(call, request)


def faults_of(call: Call) -> list[tuple[str, Fault | None, Fault | None]]:
    """What can go wrong with a call: the fault's name, and what happens before or after it."""
    kinds = {**BEFORE, **(CONFLICT if call.operation == "TransactWriteItems" else {})}
    if call.service == "warehouse":
        del kinds["throttled"]
    return [
        *((name, fault, None) for name, fault in kinds.items()),
        *((name, None, fault) for name, fault in AFTER.items()),
    ]
