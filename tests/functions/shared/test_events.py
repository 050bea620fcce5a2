"""Order events on the bus."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from functions.shared.domain.errors import DependencyUnavailable
from functions.shared.domain.moves import recent_changes
from functions.shared.domain.orders import HistoryEntry, OrderStatus
from functions.shared.events import EventBus
from local.memory.backend import MemoryBackend
from tests.functions.shared.domain.samples import order


class Bus:
    """An EventBridge client that returns this response."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.entries: list[dict[str, str]] = []
        self._answer = answer

    def put_events(self, Entries: list[dict[str, str]]) -> dict[str, Any]:  # noqa: N803
        self.entries += Entries
        return self._answer


def announce(answer: dict[str, Any]) -> Bus:
    bus = Bus(answer)
    rejected = order(OrderStatus.REJECTED)
    changes = [change for change in recent_changes(rejected) if change.status is OrderStatus.REJECTED]
    EventBus(lambda: bus, "orderflow").announce(rejected, changes)
    return bus


def test_an_event_names_its_bus_source_and_type() -> None:
    (entry,) = announce({"FailedEntryCount": 0, "Entries": []}).entries
    assert entry["EventBusName"] == "orderflow"
    assert entry["Source"] == "orderflow.orders"
    assert entry["DetailType"] == "OrderRejected"


def test_an_event_that_the_bus_refuses_is_an_error_with_its_code() -> None:
    refused = {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "ThrottlingException"}, {"EventId": "1"}]}
    with pytest.raises(DependencyUnavailable, match="ThrottlingException"):
        announce(refused)


def announced(*, announces_placed: bool, statuses: tuple[OrderStatus, ...]) -> list[str]:
    """Returns the types of the events for an order with this history."""
    bus = Bus({"FailedEntryCount": 0, "Entries": []})
    history = [HistoryEntry(status, "2026-01-01T00:00:00.000Z", "why") for status in statuses]
    moved = replace(order(statuses[-1]), history=history)
    EventBus(lambda: bus, "orderflow", announces_placed=announces_placed).announce(
        moved, recent_changes(moved)
    )
    return [entry["DetailType"] for entry in bus.entries]


def test_a_placement_is_announced_with_the_next_event_if_the_stack_says_so() -> None:
    statuses = (OrderStatus.PENDING, OrderStatus.VALIDATED)
    assert announced(announces_placed=True, statuses=statuses) == ["OrderPlaced", "OrderValidated"]
    assert announced(announces_placed=False, statuses=statuses) == ["OrderValidated"]


def test_a_retry_is_no_placement() -> None:
    statuses = (OrderStatus.PENDING, OrderStatus.FAILED, OrderStatus.PENDING, OrderStatus.CANCELLED)
    assert announced(announces_placed=True, statuses=statuses) == ["OrderCancelled"]


def test_without_an_event_the_bus_is_not_called() -> None:
    assert announced(announces_placed=False, statuses=(OrderStatus.PENDING,)) == []


def test_a_rejection_has_its_code_and_another_event_has_none() -> None:
    (entry,) = announce({"FailedEntryCount": 0, "Entries": []}).entries
    assert json.loads(entry["Detail"])["rejectionCode"] is None  # the sample's reason has no code


def test_the_stack_in_memory_publishes_a_placement_on_request(
    backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    from functions.update_order_status import handler

    monkeypatch.setattr(handler._lifecycle._events, "_announces_placed", True)
    backend.create_validated_order({backend.create_product(): 1})
    events = backend.take_events()
    assert [event["detail-type"] for event in events] == ["OrderPlaced", "OrderValidated"]
    assert events[0]["detail"]["previousStatus"] is None
