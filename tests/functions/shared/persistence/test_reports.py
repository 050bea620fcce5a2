"""Writing reports: an order and its stock change together, once, and only as they were decided."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec
import pytest
from botocore.exceptions import ClientError

from functions.shared import aws
from functions.shared.domain.errors import NotFound, StoreContention
from functions.shared.domain.orders import Order
from functions.shared.domain.shipping import (
    Recorded,
    RefusalReport,
    ShipmentReport,
    record_refusal,
    record_shipment,
)
from functions.shared.persistence.order_items import list_shard_of
from functions.shared.persistence.reports import Reports, _difference
from local.memory.backend import MemoryBackend
from local.memory.cloud import Hook, Killed, ServiceCall
from local.memory.faults import FAULTS, Failing, FaultAt, refusal
from local.memory.store import client_error

AT = "2026-06-02T00:00:00.000Z"
DUE_AT = "2026-06-04T00:00:00.000Z"

Decide = Callable[[Order], Recorded]


@pytest.fixture
def reports(backend: MemoryBackend) -> Reports:
    """The reports in the tables of a stack with two products in stock."""
    backend.add_products(p1=5, p2=3)
    return Reports(aws.client("dynamodb"), "orders", "products")


@pytest.fixture
def order_id(backend: MemoryBackend, reports: Reports) -> str:
    """An order of three p1 and one p2 that a fulfillment system has."""
    order_id = backend.create_validated_order({"p1": 3, "p2": 1})
    backend.reserve(order_id)
    held = {"state": "HELD", "attempt": 1, "handedOverTo": "partner.example"}
    backend.set_order(order_id, reservation=held)
    return order_id


def ship(shipment_id: str, **pieces: int) -> Decide:
    report = msgspec.convert({"lines": _lines(pieces), "shippedAt": "2026-06-01T00:00:00Z"}, ShipmentReport)
    return partial(record_shipment, shipment_id=shipment_id, report=report, at=AT)


def refuse(refusal_id: str, **pieces: int) -> Decide:
    report = msgspec.convert({"lines": _lines(pieces), "reason": "broken"}, RefusalReport)
    return partial(record_refusal, refusal_id=refusal_id, report=report, at=AT)


def _lines(pieces: Mapping[str, int]) -> list[dict[str, object]]:
    return [{"productId": product_id, "quantity": count} for product_id, count in pieces.items()]


class Meanwhile(Hook):
    """Runs something once, or each time, before a write of an order takes effect."""

    def __init__(self, act: Callable[[], object], *, times: int = 1) -> None:
        self._act = act
        self._left = times
        self._is_acting = False

    def before(self, call: ServiceCall, request: Mapping[str, Any]) -> None:
        """Runs the other writer."""
        is_write = call.operation in {"UpdateItem", "TransactWriteItems"}
        if is_write and self._left and not self._is_acting:
            self._left -= 1
            self._is_acting = True
            self._act()
            self._is_acting = False


def test_a_report_enters_the_order_in_the_open_index_until_its_events_are_sent(
    backend: MemoryBackend, reports: Reports, order_id: str
) -> None:
    recorded = reports.record(order_id, ship("s-1", p1=1), due_at=DUE_AT)
    assert recorded.is_changed
    assert recorded.order == backend.order(order_id)
    assert (recorded.order.due_at, recorded.order.open_shard) == (DUE_AT, order_id[-1])
    assert recorded.order.unsent == ["shipment/s-1", "status/2"]


def test_a_repeat_writes_nothing(backend: MemoryBackend, reports: Reports, order_id: str) -> None:
    reports.record(order_id, ship("s-1", p1=1), due_at=DUE_AT)
    calls = FaultAt()
    with backend.hooked(calls):
        recorded = reports.record(order_id, ship("s-1", p1=1), due_at=DUE_AT)
    assert [call.operation for call in calls.calls] == ["GetItem"]
    assert (recorded.is_new, recorded.is_changed) == (False, False)


def test_an_update_has_only_what_changed(backend: MemoryBackend, order_id: str) -> None:
    before = msgspec.structs.replace(backend.order(order_id), status_reason="x")
    after = msgspec.structs.replace(
        before, status_reason=None, updated_at=AT, due_at=DUE_AT, open_shard="x", revision=9
    )
    parameters = _difference(before, after).parameters()
    names = parameters["ExpressionAttributeNames"]
    expression = re.sub(r"#\w+", lambda name: names[name[0]], parameters["UpdateExpression"])
    assert re.sub(r":\w+", ":", expression) == "SET updatedAt = : REMOVE statusReason"


def test_a_refusal_postpones_when_a_silent_fulfillment_system_is_asked(
    backend: MemoryBackend, reports: Reports, order_id: str
) -> None:
    quiet = "2026-06-08T00:00:00.000Z"
    backend.set_order(order_id, status="IN_FULFILLMENT", dueAt=DUE_AT)
    assert reports.record(order_id, refuse("r-1", p1=1), due_at=AT).order.due_at == DUE_AT
    recorded = reports.record(order_id, refuse("r-2", p1=1), due_at=AT, quiet_due_at=quiet)
    assert (recorded.order.due_at, recorded.order.unsent) == (quiet, [])
    backend.set_order(order_id, cancelRequestedAt=AT)  # whose answer is due at once
    recorded = reports.record(order_id, refuse("r-3", p1=1), due_at=AT, quiet_due_at=DUE_AT)
    assert recorded.order.due_at == quiet


def test_an_error_of_the_write_is_raised(backend: MemoryBackend, reports: Reports, order_id: str) -> None:
    denied = Failing(refusal("AccessDeniedException"), "UpdateItem")
    with backend.hooked(denied), pytest.raises(ClientError, match="AccessDenied"):
        reports.record(order_id, ship("s-1", p1=1), due_at=DUE_AT)


def test_a_report_on_an_unknown_order_is_not_found(reports: Reports) -> None:
    with pytest.raises(NotFound):
        reports.record("o-9", ship("s-1", p1=1), due_at=DUE_AT)


def test_an_order_and_its_stock_change_together(
    backend: MemoryBackend, reports: Reports, order_id: str
) -> None:
    reports.record(order_id, refuse("r-1", p1=2), due_at=DUE_AT)
    assert backend.stock("p1") == 4
    calls = FaultAt()
    with backend.hooked(calls):
        reports.record(order_id, refuse("r-2", p2=1), due_at=DUE_AT)
    assert [call.operation for call in calls.calls] == ["GetItem", "TransactWriteItems", "GetItem"]


@pytest.mark.parametrize(
    ("mine", "other"),
    [
        (ship("s-1", p1=1), ship("s-2", p1=2)),
        (ship("s-1", p1=1), refuse("r-1", p1=2)),
        (refuse("r-1", p1=2), ship("s-1", p1=1)),
        (refuse("r-1", p1=1), refuse("r-2", p1=2)),
    ],
    ids=["parcels", "a parcel and a refusal", "a refusal and a parcel", "refusals"],
)
def test_two_reports_at_once_both_count(
    backend: MemoryBackend, reports: Reports, order_id: str, mine: Decide, other: Decide
) -> None:
    with backend.hooked(Meanwhile(lambda: reports.record(order_id, other, due_at=DUE_AT))):
        reports.record(order_id, mine, due_at=DUE_AT)
    order = backend.order(order_id)
    assert len(order.shipments) + len(order.refusals) == 2
    left = sum((one.quantities or [])[0] for one in order.shipments)
    assert backend.stock("p1") == 2 + 3 - left


def test_the_same_report_twice_at_once_counts_once(
    backend: MemoryBackend, reports: Reports, order_id: str
) -> None:
    results = []
    first = refuse("r-1", p1=2)
    with backend.hooked(
        Meanwhile(lambda: results.append(reports.record(order_id, first, due_at=DUE_AT).is_new))
    ):
        results.append(reports.record(order_id, first, due_at=DUE_AT).is_new)
    assert results == [True, False]
    assert backend.stock("p1") == 4


def test_a_report_that_meets_another_each_time_ends_in_contention_and_changes_nothing(
    backend: MemoryBackend, reports: Reports, order_id: str
) -> None:
    numbers = iter(range(100))

    def write() -> None:
        backend.set_order(order_id, revision=100 + next(numbers))

    with backend.hooked(Meanwhile(write, times=100)), pytest.raises(StoreContention, match="same order"):
        reports.record(order_id, ship("s-1", p1=1), due_at=DUE_AT)
    assert next(numbers) == 5
    assert backend.order(order_id).shipments == []


@pytest.mark.parametrize("code", ["TransactionConflict", "ThrottlingError"])
def test_a_transaction_that_meets_another_ends_in_contention(
    backend: MemoryBackend, reports: Reports, order_id: str, code: str
) -> None:
    class Busy(Hook):
        def before(self, call: ServiceCall, request: Mapping[str, Any]) -> None:
            if call.operation == "TransactWriteItems":
                reasons = [{"Code": "None"}, {"Code": code}]
                raise client_error(
                    call.operation, "TransactionCanceledException", CancellationReasons=reasons
                )

    with backend.hooked(Busy()), pytest.raises(StoreContention):
        reports.record(order_id, refuse("r-1", p1=2), due_at=DUE_AT)
    assert (backend.stock("p1"), backend.order(order_id).refusals) == (2, [])


def test_a_deleted_product_is_skipped(backend: MemoryBackend, reports: Reports, order_id: str) -> None:
    backend.api.delete("/products/p1")
    recorded = reports.record(order_id, refuse("r-1", p1=2, p2=1), due_at=DUE_AT)
    assert recorded.order.refusals[0].quantities == [2, 1]
    assert backend.stock("p2") == 3
    assert backend.api.get("/products/p1").status == 404


def test_the_last_product_may_be_deleted_too(backend: MemoryBackend, reports: Reports, order_id: str) -> None:
    backend.api.delete("/products/p1")
    reports.record(order_id, refuse("r-1", p1=2), due_at=DUE_AT)
    assert backend.order(order_id).refusals[0].quantities == [2, 0]


def test_an_order_that_fails_enters_the_list_of_failed_orders(
    backend: MemoryBackend, reports: Reports, order_id: str
) -> None:
    reports.record(order_id, refuse("r-1", p1=3), due_at=DUE_AT)
    assert "failedShard" not in backend.stored_order(order_id)
    reports.record(order_id, refuse("r-2", p2=1), due_at=DUE_AT)
    assert backend.stored_order(order_id)["failedShard"] == list_shard_of(order_id)
    assert (backend.status(order_id), backend.stock("p1"), backend.stock("p2")) == ("FAILED", 5, 3)


def test_a_late_parcel_takes_from_the_stock_even_below_zero(
    backend: MemoryBackend, reports: Reports, order_id: str
) -> None:
    released = {"state": "RELEASED", "attempt": 1, "handedOverTo": "partner.example"}
    failed = {**backend.stored_order(order_id), "status": "FAILED", "reservation": released}
    backend.put("orders", {name: failed[name] for name in failed.keys() - {"openShard", "dueAt"}})
    recorded = reports.record(order_id, ship("s-1", p1=3), due_at=DUE_AT)
    assert recorded.is_unexpected
    assert (recorded.order.open_shard, recorded.order.due_at) == (order_id[-1], DUE_AT)
    assert backend.stock("p1") == -1
    again = reports.record(order_id, ship("s-1", p1=3), due_at=DUE_AT)
    assert (again.is_new, again.is_unexpected, backend.stock("p1")) == (False, False, -1)


@pytest.mark.parametrize("decide", [ship("s-1", p1=2), refuse("r-1", p1=2)], ids=["parcel", "refusal"])
def test_a_write_whose_answer_was_lost_counts_once(
    backend: MemoryBackend, reports: Reports, order_id: str, decide: Decide
) -> None:
    with backend.hooked(FaultAt(1, FAULTS["answer cut off once"])):
        recorded = reports.record(order_id, decide, due_at=DUE_AT)
    assert recorded.is_new
    order = backend.order(order_id)
    assert len(order.shipments) + len(order.refusals) == 1
    assert backend.stock("p1") == (4 if order.refusals else 2)


@pytest.mark.parametrize("decide", [ship("s-1", p1=2), refuse("r-1", p1=2)], ids=["parcel", "refusal"])
def test_a_report_that_was_cut_off_after_its_write_is_a_repeat_the_next_time(
    backend: MemoryBackend, reports: Reports, order_id: str, decide: Decide
) -> None:
    with backend.hooked(FaultAt(1, FAULTS["killed after"])), pytest.raises(Killed):
        reports.record(order_id, decide, due_at=DUE_AT)
    assert not reports.record(order_id, decide, due_at=DUE_AT).is_new
    order = backend.order(order_id)
    assert len(order.shipments) + len(order.refusals) == 1
    assert backend.stock("p1") == (4 if order.refusals else 2)
