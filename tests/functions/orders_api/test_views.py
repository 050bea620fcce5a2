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
