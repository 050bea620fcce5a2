"""The receiver answers each call as the API's domain decides it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest

from functions.shared.domain.errors import InvalidInput, ReportRefused
from functions.shared.domain.orders import (
    HistoryEntry,
    Order,
    OrderLine,
    OrderStatus,
    Reservation,
    ReservationState,
)
from functions.shared.domain.shipping import (
    Recorded,
    RefusalReport,
    ReturnReport,
    ShipmentReport,
    record_refusal,
    record_return,
    record_shipment,
)
from local.partners.calls import sign_call
from local.partners.receiver import CallReceiver
from local.partners.shipping import Kind

ORDERED = {"lamp": 3, "desk": 1}
AT = "2026-01-05T00:00:00.000Z"
RULES: Mapping[Kind, tuple[Any, Callable[..., Recorded]]] = {
    "shipments": (ShipmentReport, record_shipment),
    "refusals": (RefusalReport, record_refusal),
    "returns": (ReturnReport, record_return),
}


def new_order() -> Order:
    return Order(
        order_id="o-1",
        user_id="u-1",
        items=[OrderLine(product_id=product, quantity=pieces) for product, pieces in ORDERED.items()],
        status=OrderStatus.IN_FULFILLMENT,
        history=[HistoryEntry(status=OrderStatus.IN_FULFILLMENT, at=AT)],
        attempt=1,
        created_at=AT,
        updated_at=AT,
        reservation=Reservation(state=ReservationState.HELD, attempt=1, handed_over_to="partner"),
    )


def random_lines(chance: random.Random, kind: Kind) -> list[dict[str, Any]]:
    products = [product for product in ORDERED if chance.random() < 0.7]
    products += ["unknown"] if chance.random() < 0.05 else []
    products += ["lamp"] if chance.random() < 0.05 else []
    lines: list[dict[str, Any]] = [
        {"productId": product, "quantity": chance.choice([1, 1, 1, 2, 3, 4, 0])} for product in products
    ]
    for line in lines if kind == "returns" else ():
        if chance.random() < 0.5:
            line["restock"] = chance.random() < 0.7
    return lines


def random_body(chance: random.Random, kind: Kind) -> dict[str, Any]:
    body: dict[str, Any] = {"lines": random_lines(chance, kind)}
    choices: Mapping[Kind, Mapping[str, list[str]]] = {
        "shipments": {
            "shippedAt": ["2026-01-01T00:00:00Z"] * 6
            + ["2026-01-01T00:00:00.000Z", "2026-01-02T00:00:00Z", ""],
            "deliveredAt": ["2026-01-03T00:00:00Z"] * 4 + ["2025-01-01T00:00:00Z", "2026-01-04T00:00:00Z"],
            "carrier": ["DHL", "UPS", "x" * 65, ""],
            "trackingUrl": ["https://example.com/1"] * 3 + ["http://example.com", "https://", "ftp"],
        },
        "refusals": {"reason": ["no"] * 5 + ["other", "x" * 201, ""]},
        "returns": {"status": ["RECEIVED"], "reason": ["no", "other"]},
    }
    for name, values in choices[kind].items():
        if name in {"shippedAt", "status"} or kind == "refusals" or chance.random() < 0.4:
            body[name] = chance.choice(values)
    if chance.random() < 0.02:
        body["weight"] = 1
    if chance.random() < 0.02:
        del body[chance.choice(list(body))]
    return body


def random_change(chance: random.Random, kind: Kind, body: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a later report of the same fact: unchanged, with an addition, or with something taken back."""
    changes: list[dict[str, Any]] = [{}, {"reason": "other"}, {"lines": list(reversed(body["lines"]))}]
    if kind == "shipments":
        changes += [{"deliveredAt": "2026-01-03T00:00:00Z"}, {"carrier": "DHL"}]
    changed = {**body, **chance.choice(changes)}
    if kind == "shipments":
        changed.pop("reason", None)
        if chance.random() < 0.2:
            changed.pop(chance.choice(["deliveredAt", "carrier"]), None)
    return changed


def decide(order: Order, kind: Kind, fact_id: str, body: bytes) -> tuple[int, Order]:
    """Returns the status that the domain's decision leads to, and the order after it."""
    report, record = RULES[kind]
    try:
        recorded = record(order, fact_id, msgspec.json.decode(body, type=report), at=AT)
    except (msgspec.ValidationError, InvalidInput):
        return 422, order
    except ReportRefused:
        return 409, order
    return 201 if recorded.is_new else 200, recorded.order


@pytest.mark.parametrize("seed", range(20))
def test_any_sequence_of_calls_gets_the_same_answers_from_both(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    for _ in range(100):
        receiver, order = CallReceiver("s3cret", "key", now=lambda: 1767225600.0), new_order()
        receiver.orders[order.order_id] = ORDERED
        accepted: dict[tuple[Kind, str], dict[str, Any]] = {}
        calls: list[object] = []
        for _ in range(8):
            kind: Kind = chance.choice(["shipments", "shipments", "refusals", "returns"])
            fact_id = chance.choice("ab")
            content = random_body(chance, kind)
            if (kind, fact_id) in accepted and chance.random() < 0.6:
                content = random_change(chance, kind, accepted[kind, fact_id])
            body = json.dumps(content).encode()
            route = f"/orders/o-1/{kind}/{fact_id}"
            headers = {
                "x-api-key": "key",
                "x-orderflow-timestamp": "1767225600",
                "x-orderflow-signature": sign_call("s3cret", "1767225600", route, body),
            }
            status, _ = receiver.handle(route, headers, body)
            expected, order = decide(order, kind, fact_id, body)
            calls.append((kind, fact_id, content, status))
            if order.status is OrderStatus.FAILED:
                break  # all is refused and released: the receiver has no reservations
            assert status == expected, calls
            if status < 300:
                accepted[kind, fact_id] = content
