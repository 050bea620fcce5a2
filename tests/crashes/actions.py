"""What clients, the state machine, the schedule and operators do: one action each, with what it needs.

A function prepares a backend and returns the action.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from local.memory.backend import MemoryBackend
from local.memory.functions import invoke, invoke_task

Action = Callable[[], Any]


def post_user(backend: MemoryBackend) -> Action:
    return lambda: backend.api.post("/users", {"name": "Ada", "email": "ada@example.com"})


def put_user(backend: MemoryBackend) -> Action:
    return lambda: backend.api.put("/users/u-9", {"name": "Ada", "email": "ada@example.com"})


def put_user_if_new(backend: MemoryBackend) -> Action:
    return lambda: backend.api.put(
        "/users/u-9", {"name": "Ada", "email": "ada@example.com"}, headers={"If-None-Match": "*"}
    )


def patch_user(backend: MemoryBackend) -> Action:
    user = backend.create_user()
    return lambda: backend.api.patch(f"/users/{user}", {"name": "Grace"})


def patch_user_if_match(backend: MemoryBackend) -> Action:
    user = backend.create_user()
    return lambda: backend.api.patch(f"/users/{user}", {"name": "Grace"}, headers={"If-Match": '"1"'})


def delete_user(backend: MemoryBackend) -> Action:
    user = backend.create_user()
    return lambda: backend.api.delete(f"/users/{user}")


def delete_user_if_match(backend: MemoryBackend) -> Action:
    user = backend.create_user()
    return lambda: backend.api.delete(f"/users/{user}", headers={"If-Match": '"1"'})


def post_product(backend: MemoryBackend) -> Action:
    return lambda: backend.api.post("/products", {"title": "Lamp", "price": 100, "stock": 3})


def put_product(backend: MemoryBackend) -> Action:
    return lambda: backend.api.put("/products/p-9", {"title": "Lamp", "price": 100, "stock": 3})


def replace_product(backend: MemoryBackend) -> Action:
    product = backend.create_product()
    return lambda: backend.api.put(f"/products/{product}", {"title": "Desk", "price": 100, "stock": 3})


def replace_product_if_match(backend: MemoryBackend) -> Action:
    product = backend.create_product()
    return lambda: backend.api.put(
        f"/products/{product}", {"title": "Desk", "price": 100, "stock": 3}, headers={"If-Match": '"1"'}
    )


def change_stock(backend: MemoryBackend) -> Action:
    product = backend.create_product(stock=5)
    return lambda: backend.api.post(f"/products/{product}/stock", {"change": -3, "reason": "broken"})


def patch_product(backend: MemoryBackend) -> Action:
    product = backend.create_product()
    return lambda: backend.api.patch(f"/products/{product}", {"price": 5, "description": None})


def patch_stock(backend: MemoryBackend) -> Action:
    product = backend.create_product()
    return lambda: backend.api.patch(f"/products/{product}", {"stock": 9}, headers={"If-Match": '"1"'})


def delete_product(backend: MemoryBackend) -> Action:
    product = backend.create_product()
    return lambda: backend.api.delete(f"/products/{product}")


def post_order(backend: MemoryBackend) -> Action:
    order = {"userId": "ada", "items": [{"productId": "lamp", "quantity": 1}]}
    return lambda: backend.api.post("/orders", order)


def post_order_with_key(backend: MemoryBackend) -> Action:
    order = {"userId": "ada", "items": [{"productId": "lamp", "quantity": 1}]}
    return lambda: backend.api.post("/orders", order, headers={"Idempotency-Key": "k"})


def put_first_basket_item(backend: MemoryBackend) -> Action:
    path = f"/users/{backend.create_user()}/basket/items/{backend.create_product()}"
    return lambda: backend.api.put(path, {"quantity": 2})


def put_basket_item(backend: MemoryBackend) -> Action:
    user, product = backend.create_user(), backend.create_product()
    backend.fill_basket(user, {backend.create_product(): 1, product: 1})
    return lambda: backend.api.put(f"/users/{user}/basket/items/{product}", {"quantity": 2})


def put_basket_item_if_match(backend: MemoryBackend) -> Action:
    user, product = backend.create_user(), backend.create_product()
    backend.fill_basket(user, {product: 1})
    path = f"/users/{user}/basket/items/{product}"
    return lambda: backend.api.put(path, {"quantity": 2}, headers={"If-Match": '"1"'})


def put_item_into_expired_basket(backend: MemoryBackend) -> Action:
    user, product = backend.create_user(), backend.create_product()
    backend.fill_basket(user, {product: 1})
    backend.wait(31 * 24 * 60)
    return lambda: backend.api.put(f"/users/{user}/basket/items/{product}", {"quantity": 2})


def delete_basket_item(backend: MemoryBackend) -> Action:
    user, product = backend.create_user(), backend.create_product()
    backend.fill_basket(user, {backend.create_product(): 1, product: 1})
    path = f"/users/{user}/basket/items/{product}"
    return lambda: backend.api.delete(path, headers={"If-Match": '"2"'})


def clear_basket(backend: MemoryBackend) -> Action:
    user = backend.create_user()
    backend.fill_basket(user, {backend.create_product(): 1})
    return lambda: backend.api.delete(f"/users/{user}/basket", headers={"If-Match": '"1"'})


def check_out(backend: MemoryBackend) -> Action:
    user = backend.create_user()
    backend.fill_basket(user, {backend.create_product(): 1, backend.create_product(): 2})
    return lambda: backend.check_out(user, {"reference": "WEB-1"})


def check_out_if_match(backend: MemoryBackend) -> Action:
    user = backend.create_user()
    backend.fill_basket(user, {backend.create_product(): 1})
    return lambda: backend.check_out(user, headers={"If-Match": '"1"'})


def check_out_again(backend: MemoryBackend) -> Action:
    user = backend.create_user()
    backend.fill_basket(user, {backend.create_product(): 1})
    backend.check_out(user)
    backend.take_messages()
    return lambda: backend.check_out(user)


def cancel_order(backend: MemoryBackend) -> Action:
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    backend.take_messages()
    return lambda: backend.api.post(f"/orders/{order_id}/cancel")


def validate(backend: MemoryBackend) -> Action:
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    backend.take_messages()
    return lambda: invoke_task("validate_order", order_id)


def mark_validated(backend: MemoryBackend) -> Action:
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    backend.take_messages()
    pricing = invoke_task("validate_order", order_id)
    return lambda: invoke_task("update_order_status", order_id, status="VALIDATED", pricing=pricing)


def fulfill(backend: MemoryBackend) -> Action:
    order_id = backend.create_validated_order({backend.create_product(): 1})
    return lambda: backend.reserve(order_id)


def release(backend: MemoryBackend) -> Action:
    order_id = backend.create_validated_order({backend.create_product(): 1})
    backend.reserve(order_id)
    return lambda: invoke_task("release_order", order_id)


def mark_failed(backend: MemoryBackend) -> Action:
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    backend.take_messages()
    return lambda: invoke_task("update_order_status", order_id, status="FAILED", reason="broken")


def requeue(backend: MemoryBackend) -> Action:
    backend.create_order(backend.create_user(), {backend.create_product(): 1})
    backend.take_messages()
    backend.wait(30)
    return lambda: invoke("requeue_stalled_orders", {})


def give_up(backend: MemoryBackend) -> Action:
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    backend.take_messages()
    backend.set_order(order_id, attempt=3)
    backend.wait(30)
    return lambda: invoke("requeue_stalled_orders", {})


def retry(backend: MemoryBackend) -> Action:
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    backend.take_messages()
    invoke_task("update_order_status", order_id, status="FAILED", reason="broken")
    return lambda: backend.retry_order(order_id)
