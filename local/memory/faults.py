"""Hooks that make calls fail, record calls, or run an action between calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from botocore.exceptions import ConnectionClosedError, ReadTimeoutError

from functions.shared.persistence.dynamodb import to_item
from local.memory.cloud import FULFILLMENT, Hook, Killed, ServiceCall
from local.memory.store import client_error


def _conflict(call: ServiceCall, request: Mapping[str, Any]) -> Exception:
    if "TransactItems" not in request:
        return client_error(call.operation, "TransactionConflictException")
    reasons = [{"Code": "None"} for _ in request["TransactItems"]]
    reasons[-1] = {"Code": "TransactionConflict"}
    return client_error(call.operation, "TransactionCanceledException", CancellationReasons=reasons)


Raise = Callable[[ServiceCall, Mapping[str, Any]], BaseException]


class Fault(NamedTuple):
    """A failure of a call, before or after the request takes effect."""

    before: Raise | None = None
    after: Raise | None = None
    is_repeated: bool = True  # at every retry by botocore, so that the caller gets the error


def _lost(_call: ServiceCall, _request: Mapping[str, Any]) -> BaseException:
    lost: BaseException = ReadTimeoutError(endpoint_url="https://aws")
    return lost


def _cut_off(_call: ServiceCall, _request: Mapping[str, Any]) -> BaseException:
    cut_off: BaseException = ConnectionClosedError(endpoint_url="https://aws")
    return cut_off


def _killed(_call: ServiceCall, _request: Mapping[str, Any]) -> BaseException:
    return Killed()


def _throttled(call: ServiceCall, _request: Mapping[str, Any]) -> BaseException:
    return client_error(call.operation, "ThrottlingException")


FAULTS: Mapping[str, Fault] = {
    "killed before": Fault(before=_killed),
    "request lost": Fault(before=_lost),
    "throttled": Fault(before=_throttled),
    "killed after": Fault(after=_killed),
    "answer lost": Fault(after=_lost),
    "answer cut off once": Fault(after=_cut_off, is_repeated=False),
    "transaction conflict": Fault(before=_conflict),
}


def faults_of(call: ServiceCall) -> list[str]:
    """Returns the names of the faults that a call can have."""
    impossible = set()
    if call.operation not in {"TransactWriteItems", "UpdateItem", "DeleteItem"}:
        impossible.add("transaction conflict")
    if call.service == FULFILLMENT:
        impossible |= {"throttled", "answer cut off once"}  # botocore does not retry these requests
    return [name for name in FAULTS if name not in impossible]


class FaultAt(Hook):
    """Makes the call with this number fail. Records all calls; a retry by botocore is not a new call."""

    def __init__(self, number: int = -1, fault: Fault | None = None) -> None:
        self.calls: list[ServiceCall] = []
        self._number = number
        self._fault = fault or Fault()
        self._request: Mapping[str, Any] | None = None
        self._tries = 0

    def before(self, call: ServiceCall, request: Mapping[str, Any]) -> None:
        """Records a call, and raises if it is to fail before it takes effect."""
        if request is not self._request:
            self._request, self._tries = request, 0
            self.calls.append(call)
        self._tries += 1
        self._raise(self._fault.before, call, request)

    def after(self, call: ServiceCall, request: Mapping[str, Any], answer: Any) -> None:
        """Raises if the call is to fail after it took effect."""
        self._raise(self._fault.after, call, request)

    def _raise(self, fault: Raise | None, call: ServiceCall, request: Mapping[str, Any]) -> None:
        is_hit = len(self.calls) - 1 == self._number and (self._fault.is_repeated or self._tries == 1)
        if fault is not None and is_hit:
            raise fault(call, request)


class Outage(Hook):
    """Makes `length` consecutive tries of calls fail, from number `start` on."""

    def __init__(self, service: str, start: int, length: int, fault: Fault) -> None:
        self._service = service
        self._left = length
        self._tries = -1
        self._start = start
        self._fault = fault

    def _is_out(self, call: ServiceCall) -> bool:
        return call.service == self._service and self._tries >= self._start and self._left > 0

    def before(self, call: ServiceCall, request: Mapping[str, Any]) -> None:
        """Counts a try, and raises if it is to fail before it takes effect."""
        self._tries += 1
        if self._fault.before and self._is_out(call):
            self._left -= 1
            raise self._fault.before(call, request)

    def after(self, call: ServiceCall, request: Mapping[str, Any], answer: Any) -> None:
        """Raises if the try is to fail after it took effect."""
        if self._fault.after and self._is_out(call):
            self._left -= 1
            raise self._fault.after(call, request)


class RecordedCall(NamedTuple):
    """A call with its response."""

    service: str
    operation: str
    parameters: Mapping[str, Any]
    answer: Any


class CallRecorder(Hook):
    """Records all calls that succeed."""

    def __init__(self) -> None:
        self.calls: list[RecordedCall] = []

    def after(self, call: ServiceCall, request: Mapping[str, Any], answer: Any) -> None:
        """Records a call."""
        self.calls.append(RecordedCall(*call, request, answer))


class BeforeFirst(Hook):
    """Runs an action just before the first call of an operation takes effect."""

    def __init__(self, operation: str, action: Callable[[], object]) -> None:
        self._operation = operation
        self._action: Callable[[], object] | None = action

    def before(self, call: ServiceCall, request: Mapping[str, Any]) -> None:
        """Runs the action at the first call."""
        if call.operation == self._operation and self._action is not None:
            action, self._action = self._action, None
            action()


class Lagging(Hook):
    """An eventually consistent read has the item as it was: in these attributes, or absent.

    Of several items that are read at once, all are absent.
    """

    def __init__(self, **attributes: object) -> None:
        self._attributes = to_item(attributes)

    def after(self, call: ServiceCall, request: Mapping[str, Any], answer: Any) -> None:
        """Changes the response to an eventually consistent read."""
        if call.operation == "GetItem" and not request.get("ConsistentRead"):
            item = answer.pop("Item", {})
            if self._attributes:
                answer["Item"] = item | self._attributes
        if call.operation == "BatchGetItem":
            for table, read in request["RequestItems"].items():
                if not read.get("ConsistentRead"):
                    answer["Responses"][table] = []


class Failing(Hook):
    """Makes calls fail with an error: all, those of one operation, or only the first `times` of them."""

    def __init__(self, error: BaseException | Raise, operation: str | None = None, times: int = -1) -> None:
        self.tries = 0  # of the operation, including successful ones
        self._error = error
        self._operation = operation
        self._left = times

    def before(self, call: ServiceCall, request: Mapping[str, Any]) -> None:
        """Counts a try, and raises the error."""
        if self._operation in {None, call.operation}:
            self.tries += 1
            if self._left != 0:
                self._left -= 1
                raise self._error if isinstance(self._error, BaseException) else self._error(call, request)


def refusal(code: str, message: str = "", status: int = 400) -> Raise:
    """Returns the fault in which a service responds with this error code."""
    return lambda call, _request: client_error(
        call.operation,
        code,
        Error={"Code": code, "Message": message or code},
        ResponseMetadata={"HTTPStatusCode": status},
    )
