"""Order events on the bus."""

from __future__ import annotations

from typing import Any

import pytest

from functions.shared.domain.errors import DependencyUnavailable
from functions.shared.domain.moves import recent_changes
from functions.shared.domain.orders import OrderStatus
from functions.shared.events import EventBus
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
