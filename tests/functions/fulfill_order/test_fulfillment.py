"""`fulfill_order` without a fulfillment system reserves the stock and names a shipment."""

from __future__ import annotations

from local.memory.backend import MemoryBackend


def test_fulfillment_reserves_the_stock_and_names_the_shipment_after_the_order(
    backend: MemoryBackend,
) -> None:
    lamp, desk = backend.create_product(stock=5), backend.create_product(stock=3)
    order_id = backend.create_validated_order({lamp: 2, desk: 3})
    assert backend.reserve(order_id) == {
        "status": "FULFILLED",
        "shipment": {"shipmentId": f"shipment-{order_id}"},
        "inPlace": True,
    }
    assert (backend.stock(lamp), backend.stock(desk)) == (3, 0)
    assert backend.api.get(f"/products/{lamp}").body["version"] == 2


def test_fulfilling_twice_reserves_once_and_returns_the_same_shipment(backend: MemoryBackend) -> None:
    product = backend.create_product(stock=5)
    order_id = backend.create_validated_order({product: 2})
    assert backend.reserve(order_id) == backend.reserve(order_id)
    assert backend.stock(product) == 3
