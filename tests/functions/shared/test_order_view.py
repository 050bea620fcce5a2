"""The fields of an order that clients get."""

from __future__ import annotations

from local.memory.backend import MemoryBackend


def test_an_order_has_no_internal_fields(backend: MemoryBackend) -> None:
    order_id = backend.create_validated_order({backend.create_product(): 1})
    backend.reserve(order_id)
    body = backend.api.get(f"/orders/{order_id}").body
    assert set(body) == {
        "orderId",
        "userId",
        "items",
        "status",
        "history",
        "createdAt",
        "updatedAt",
        "total",
        "currency",
    }


def test_a_rejected_order_has_the_code_of_its_reason(backend: MemoryBackend) -> None:
    order_id = backend.create_order(backend.create_user(), {"p-none": 1})
    backend.run_workflow()
    body = backend.api.get(f"/orders/{order_id}").body
    assert (body["status"], body["rejectionCode"]) == ("REJECTED", "unknown_product")
    assert body["statusReason"] == "unknown_product: there is no product p-none"


def test_an_order_that_failed_has_no_code_of_a_rejection(backend: MemoryBackend) -> None:
    order_id = backend.create_order("u-1", {"p-1": 1})
    backend.set_order(order_id, status="FAILED", statusReason="unknown_product: not a rejection")
    assert "rejectionCode" not in backend.api.get(f"/orders/{order_id}").body
