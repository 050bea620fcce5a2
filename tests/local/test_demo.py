"""The demonstration: what it prints of an order, and when an order is as expected."""

from __future__ import annotations

from typing import Any

import pytest

from local.demo import Case, progress_of

ORDER: dict[str, Any] = {
    "orderId": "o-1",
    "createdAt": "2026-01-01T00:00:00.000Z",
    "status": "DELIVERED",
    "history": [
        {"status": "PENDING", "at": "2026-01-01T00:00:00.000Z"},
        {"status": "VALIDATED", "at": "2026-01-01T00:00:00.700Z"},
        {"status": "IN_FULFILLMENT", "at": "2026-01-01T00:00:00.900Z"},
        {"status": "FULFILLED", "at": "2026-01-01T00:00:02.500Z"},
        {"status": "DELIVERED", "at": "2026-01-01T00:00:03.700Z"},
    ],
    "shipments": [
        {
            "shipmentId": "parcel-1",
            "shippedAt": "2026-01-01T00:00:01.700Z",
            "deliveredAt": "2026-01-01T00:00:02.900Z",
        },
        {"shipmentId": "parcel-[red]", "shippedAt": "2026-01-01T00:00:02.500Z"},
    ],
    "returns": [{"returnId": "return-1", "status": "RECEIVED", "at": "2026-01-01T00:00:04.500Z"}],
}


def test_an_order_that_ships_over_time_has_a_line_per_parcel_and_return() -> None:
    assert progress_of(ORDER) == [
        "PENDING → VALIDATED 700",
        "→ IN_FULFILLMENT 900",
        "parcel-1 shipped 1700, delivered 2900",
        r"parcel-\[red] shipped 2500",
        "→ [green]FULFILLED[/] 2500 → [green]DELIVERED[/] 3700",
        "return-1 received 4500",
    ]


def test_an_order_that_ships_at_once_has_one_line() -> None:
    history = [ORDER["history"][0], {"status": "FULFILLED", "at": "2026-01-01T00:00:00.919Z"}]
    assert progress_of({**ORDER, "history": history}) == ["PENDING → [green]FULFILLED[/] 919"]


@pytest.mark.parametrize(
    ("status", "returns", "is_final", "is_as_expected"),
    [
        ("IN_FULFILLMENT", 0, False, False),
        ("FULFILLED", 0, False, False),
        ("DELIVERED", 0, False, False),
        ("DELIVERED", 1, True, True),
        ("FAILED", 0, True, False),
        ("CANCELLED", 0, True, False),
    ],
)
def test_an_order_that_comes_back_is_final_after_its_return(
    status: str, returns: int, is_final: bool, is_as_expected: bool
) -> None:
    order = {"status": status, "returns": ORDER["returns"] * returns}
    case = Case("comes back", "DELIVERED", "", order, expected_returns=1)
    assert (case.is_final, case.is_as_expected) == (is_final, is_as_expected)
