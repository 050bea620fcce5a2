"""What a fulfillment system answers: everything in one parcel, a part, nothing yet, or a contradiction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from functions.shared import clock
from functions.shared.domain.shipping import RefusalReport, ShipmentReport, Word
from local.memory.backend import MemoryBackend, installed
from local.memory.faults import CallRecorder
from local.memory.functions import invoke_task

Answers = Callable[..., Any]


@pytest.fixture
def backend() -> Iterator[MemoryBackend]:
    backend = MemoryBackend(uses_fulfillment_system=True)
    with installed(backend):
        backend.add_products(p1=5, p2=3)
        yield backend


@pytest.fixture
def order_id(backend: MemoryBackend) -> str:
    return backend.create_validated_order({"p1": 3, "p2": 1})


@pytest.fixture
def fulfill(backend: MemoryBackend, order_id: str, monkeypatch: pytest.MonkeyPatch) -> Answers:
    """Runs FulfillOrder, which the fulfillment system answers with these words. Returns the last result.

    After each result but the last one, it runs MarkFulfilled.
    """
    from functions.fulfill_order import handler

    def run(*words: Word) -> Any:
        result: Any = None
        for word in words:
            if result:
                invoke_task("update_order_status", order_id, status=result["status"], fulfillment=result)
            monkeypatch.setattr(handler._fulfillment_system, "ship", lambda *_, word=word, **__: word)
            result = backend.reserve(order_id)
        return result

    return run


def parcel(shipment_id: str, *, delivered: bool = False, **pieces: int) -> tuple[str, ShipmentReport]:
    times = {"shippedAt": "2026-01-02T08:00:00Z"}
    if delivered:
        times["deliveredAt"] = "2026-01-03T08:00:00Z"
    return shipment_id, msgspec.convert({"lines": _lines(pieces), **times}, ShipmentReport)


def refusal(refusal_id: str, **pieces: int) -> tuple[str, RefusalReport]:
    return refusal_id, msgspec.convert({"lines": _lines(pieces), "reason": "broken"}, RefusalReport)


def _lines(pieces: dict[str, int]) -> list[dict[str, object]]:
    return [{"productId": product, "quantity": count} for product, count in pieces.items()]


PART = Word(shipments=[parcel("s-1", p1=1)])
REFUSED_PART = Word(refusals=[refusal("r-1", p1=1)])


def due_at(backend: MemoryBackend, order_id: str) -> str:
    """48 hours after the last change of the order."""
    return clock.minutes_after(backend.order(order_id).updated_at, 48 * 60)


def test_an_order_that_ships_later_is_in_fulfillment_after_one_write(
    backend: MemoryBackend, order_id: str, fulfill: Answers
) -> None:
    recorder = CallRecorder()
    with backend.hooked(recorder):
        result = fulfill(Word())
    assert result == {"status": "IN_FULFILLMENT", "dueAt": due_at(backend, order_id)}
    writes = [call.operation for call in recorder.calls if call.operation != "GetSecretValue"]
    assert writes == ["TransactWriteItems"]


def test_everything_in_one_parcel_is_stored_with_the_move(
    backend: MemoryBackend, order_id: str, fulfill: Answers
) -> None:
    assert fulfill(Word(whole="w")) == {"status": "FULFILLED", "shipment": {"shipmentId": "w"}}
    assert backend.order(order_id).shipments == []


@pytest.mark.parametrize(
    ("words", "status", "stored", "shipments", "refusals"),
    [
        ([PART], "IN_FULFILLMENT", "IN_FULFILLMENT", 1, 0),
        ([REFUSED_PART], "IN_FULFILLMENT", "IN_FULFILLMENT", 0, 1),
        (
            [REFUSED_PART, Word(refusals=[*REFUSED_PART.refusals, refusal("r-2", p1=1)])],
            *("IN_FULFILLMENT", "IN_FULFILLMENT", 0, 2),
        ),
        ([Word(whole="w", refusals=[refusal("r-1", p2=1)])], "FULFILLED", "FULFILLED", 1, 1),
        ([Word(whole="w", shipments=PART.shipments)], "FULFILLED", "FULFILLED", 2, 0),
        ([PART, Word(whole="w")], "FULFILLED", "FULFILLED", 2, 0),
        ([REFUSED_PART, Word(whole="w")], "FULFILLED", "FULFILLED", 1, 1),
        ([Word(shipments=[parcel("s-1", delivered=True, p1=3, p2=1)])], "FULFILLED", "DELIVERED", 1, 0),
        ([Word(refusals=[refusal("r-1", p1=3, p2=1)])], "FAILED", "FAILED", 0, 1),
    ],
    ids=[
        *("a parcel", "a refusal", "two refusals", "the rest and a refusal", "a parcel and the rest"),
        *("a parcel, then the rest", "a refusal, then the rest", "all delivered", "all refused"),
    ],
)
def test_parcels_and_refusals_are_stored_at_once(
    backend: MemoryBackend,
    order_id: str,
    fulfill: Answers,
    words: list[Word],
    status: str,
    stored: str,
    shipments: int,
    refusals: int,
) -> None:
    result = fulfill(*words)
    order = backend.order(order_id)
    due = due_at(backend, order_id)
    assert result == {"status": status, "dueAt": due}
    assert (order.status.value, len(order.shipments), len(order.refusals)) == (stored, shipments, refusals)
    assert order.due_at == due


def test_a_report_that_contradicts_the_order_is_logged(
    backend: MemoryBackend, fulfill: Answers, log_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    result = fulfill(Word(shipments=[parcel("s-1", p1=9)], refusals=REFUSED_PART.refusals))
    assert result["status"] == "IN_FULFILLMENT"
    errors = [line["reason"] for line in log_lines() if line["level"] == "ERROR"]
    assert errors == ["9 of product p1 are more than was ordered: 3"]
