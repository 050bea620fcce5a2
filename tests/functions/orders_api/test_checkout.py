"""A checkout makes one order of a basket, however often it is repeated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from local.memory.backend import MemoryBackend
from local.memory.cloud import Hook, Killed, ServiceCall
from local.memory.faults import FAULTS, BeforeFirst, Failing, refusal
from local.memory.functions import HttpAnswer

DAY = 24 * 60  # minutes


class KilledAfter(Hook):
    """Ends the function when the first call of an operation has taken effect."""

    def __init__(self, operation: str) -> None:
        self._operation = operation

    def after(self, call: ServiceCall, request: Mapping[str, Any], answer: Any) -> None:
        if call.operation == self._operation:
            raise Killed


def lines(answer: HttpAnswer) -> dict[str, int]:
    return {line["productId"]: line["quantity"] for line in answer.body["items"]}


def basket(backend: MemoryBackend, user: str) -> HttpAnswer:
    return backend.api.get(f"/users/{user}/basket")


@pytest.fixture
def user(backend: MemoryBackend) -> str:
    return backend.create_user()


@pytest.fixture
def lamp(backend: MemoryBackend, user: str) -> str:
    """A product of 19.99 EUR with 10 in stock, two pieces of which are in the user's basket."""
    product = backend.create_product(price=1999, stock=10)
    backend.fill_basket(user, {product: 2})
    return product


def test_a_checkout_places_the_order_of_the_basket_and_empties_it(
    backend: MemoryBackend, user: str, lamp: str
) -> None:
    desk = backend.create_product(price=100)
    before = backend.fill_basket(user, {desk: 1})
    answer = backend.check_out(user)
    order_id = answer.body["orderId"]
    assert (answer.status, answer.body["status"]) == (201, "PENDING")
    assert answer.headers["location"] == f"/v1/orders/{order_id}"
    assert list(lines(answer).items()) == [(lamp, 2), (desk, 1)]
    assert backend.api.get(f"/orders/{order_id}").body == answer.body
    assert backend.take_messages() == [{"orderId": order_id, "attempt": 1, "correlationId": "request-1"}]
    after = basket(backend, user)
    assert (after.body["items"], after.headers["etag"]) == ([], '"3"')
    assert after.body["basketId"] != before.body["basketId"]


def test_an_order_by_checkout_and_one_by_post_orders_are_stored_and_end_alike(
    backend: MemoryBackend, user: str, lamp: str
) -> None:
    content: dict[str, Any] = {
        "expectedTotal": {"amount": 3998, "currency": "EUR"},
        "reference": "WEB-7341",
        "metadata": {"channel": "shop"},
        "deliverTo": {"name": "Ada", "lines": ["12 Square"], "city": "London", "country": "GB"},
    }
    by_checkout = backend.check_out(user, content).body["orderId"]
    by_post = backend.api.post(
        "/orders", {"userId": user, "items": [{"productId": lamp, "quantity": 2}], **content}
    ).body["orderId"]

    def without_ids_and_times(order: dict[str, Any]) -> dict[str, Any]:
        kept = {
            "userId",
            "items",
            "status",
            "attempt",
            "total",
            "currency",
            "shipments",
            "reservation",
            *content,
        }
        return {name: value for name, value in order.items() if name in kept and name != "shipments"}

    stored = [backend.stored_order(order_id) for order_id in (by_checkout, by_post)]
    assert stored[0].keys() == stored[1].keys()
    assert without_ids_and_times(stored[0]) == without_ids_and_times(stored[1])
    backend.run_until_idle()
    assert (backend.status(by_checkout), backend.status(by_post)) == ("FULFILLED", "FULFILLED")
    assert backend.stock(lamp) == 6


# --- repeats ----------------------------------------------------------------------------------------------


def test_a_repeat_returns_the_same_order_as_it_is_now_for_24_hours(
    backend: MemoryBackend, user: str, lamp: str
) -> None:
    first = backend.check_out(user)
    backend.run_until_idle()
    backend.wait(DAY - 15)
    repeat = backend.check_out(user)
    assert (repeat.status, repeat.body["status"]) == (200, "FULFILLED")
    assert repeat.headers["location"] == first.headers["location"]
    backend.wait(16)
    late = backend.check_out(user)
    assert (late.status, late.body["code"]) == (409, "basket_empty")
    assert backend.count("orders") == 1


def test_a_repeat_with_other_fields_returns_the_first_order_unchanged(
    backend: MemoryBackend, user: str, lamp: str
) -> None:
    backend.check_out(user, {"reference": "first"})
    repeat = backend.check_out(
        user, {"reference": "second", "expectedTotal": {"amount": 1, "currency": "EUR"}}
    )
    assert (repeat.status, repeat.body["reference"]) == (200, "first")


def test_a_repeat_with_if_match_returns_its_order_although_the_basket_has_new_products(
    backend: MemoryBackend, user: str, lamp: str
) -> None:
    etag = basket(backend, user).headers["etag"]
    first = backend.check_out(user, headers={"If-Match": etag})
    backend.fill_basket(user, {lamp: 1})
    repeat = backend.check_out(user, headers={"If-Match": etag})
    assert (repeat.status, repeat.body["orderId"]) == (200, first.body["orderId"])
    assert lines(basket(backend, user)) == {lamp: 1}


def test_products_put_in_after_a_checkout_become_a_second_order(
    backend: MemoryBackend, user: str, lamp: str
) -> None:
    first = backend.check_out(user)
    backend.fill_basket(user, {lamp: 1})
    second = backend.check_out(user)
    assert second.status == 201
    assert second.body["orderId"] != first.body["orderId"]
    assert lines(second) == {lamp: 1}
    assert backend.check_out(user).body["orderId"] == second.body["orderId"]


def test_a_basket_that_was_cleared_since_returns_its_last_order(
    backend: MemoryBackend, user: str, lamp: str
) -> None:
    first = backend.check_out(user)
    backend.fill_basket(user, {lamp: 1})
    backend.api.delete(f"/users/{user}/basket")
    backend.wait(DAY - 1)
    repeat = backend.check_out(user)
    assert (repeat.status, repeat.body["orderId"]) == (200, first.body["orderId"])


def test_a_repeat_queues_an_order_whose_message_was_lost(
    backend: MemoryBackend, user: str, lamp: str
) -> None:
    with backend.hooked(Failing(refusal("ServiceUnavailable"), "SendMessage")):
        first = backend.check_out(user)
    assert (first.status, backend.take_messages()) == (201, [])
    assert backend.check_out(user).status == 200
    assert [message["orderId"] for message in backend.take_messages()] == [first.body["orderId"]]


def test_an_order_whose_message_was_lost_is_queued_without_a_repeat_too(
    backend: MemoryBackend, user: str, lamp: str
) -> None:
    with backend.hooked(Failing(refusal("ServiceUnavailable"), "SendMessage")):
        order_id = backend.check_out(user).body["orderId"]
    backend.run_until_idle()
    assert (backend.status(order_id), backend.stock(lamp)) == ("FULFILLED", 8)


def test_two_checkouts_at_the_same_time_make_one_order(backend: MemoryBackend, user: str, lamp: str) -> None:
    answers: list[HttpAnswer] = []
    with backend.hooked(BeforeFirst("TransactWriteItems", lambda: answers.append(backend.check_out(user)))):
        answers.append(backend.check_out(user))
    assert [answer.status for answer in answers] == [201, 200]
    assert answers[0].body["orderId"] == answers[1].body["orderId"]
    assert backend.count("orders") == 1


def test_a_line_that_is_put_in_during_a_checkout_is_ordered_or_stays(
    backend: MemoryBackend, user: str, lamp: str
) -> None:
    desk = backend.create_product(price=1)
    with backend.hooked(BeforeFirst("TransactWriteItems", lambda: backend.fill_basket(user, {desk: 1}))):
        answer = backend.check_out(user)
    assert lines(answer) == {lamp: 2, desk: 1}
    assert basket(backend, user).body["items"] == []


def test_a_line_that_is_put_in_during_a_checkout_with_if_match_refuses_it(
    backend: MemoryBackend, user: str, lamp: str
) -> None:
    desk = backend.create_product(price=1)
    with backend.hooked(BeforeFirst("TransactWriteItems", lambda: backend.fill_basket(user, {desk: 1}))):
        answer = backend.check_out(user, headers={"If-Match": '"1"'})
    assert (answer.status, answer.body["code"]) == (412, "version_mismatch")
    assert lines(basket(backend, user)) == {lamp: 2, desk: 1}
    assert backend.count("orders") == 0


@pytest.mark.parametrize(("conflicts", "status"), [(1, 201), (2, 201), (3, 503)])
def test_a_checkout_that_meets_another_transaction_tries_again_twice(
    backend: MemoryBackend, user: str, lamp: str, conflicts: int, status: int
) -> None:
    conflict = FAULTS["transaction conflict"].before
    assert conflict is not None
    with backend.hooked(Failing(conflict, "TransactWriteItems", conflicts)):
        assert backend.check_out(user).status == status
    assert backend.paused == [0.05, 0.1, 0.2][:conflicts]
    assert backend.count("orders") == (status == 201)


@pytest.mark.parametrize("operation", ["TransactWriteItems", "SendMessage", "UpdateItem"])
def test_a_checkout_with_a_key_is_repeated_once_although_the_basket_has_new_products(
    backend: MemoryBackend, user: str, lamp: str, operation: str
) -> None:
    headers = {"Idempotency-Key": "k"}
    cut_off = KilledAfter(operation)
    with backend.hooked(cut_off):
        assert backend.send("POST", f"/users/{user}/basket/checkout", {}, headers=headers) is None
    (order_id,) = backend.orders()
    backend.fill_basket(user, {lamp: 1})
    for _ in range(2):
        repeat = backend.check_out(user, headers=headers)
        assert repeat.body["orderId"] == order_id
    assert lines(basket(backend, user)) == {lamp: 1}
    assert backend.check_out(user, headers={"Idempotency-Key": "another"}).status == 201
    assert backend.count("orders") == 2


# --- refusals: nothing changes ------------------------------------------------------------------------------


def test_a_checkout_at_another_total_is_a_409_with_the_new_quote(
    backend: MemoryBackend, user: str, lamp: str
) -> None:
    backend.api.patch(f"/products/{lamp}", {"price": 2299})
    answer = backend.check_out(user, {"expectedTotal": {"amount": 3998, "currency": "EUR"}})
    assert (answer.status, answer.body["code"]) == (409, "price_changed")
    assert answer.body["detail"] == "The total is 4598 EUR, not 3998 EUR (minor units)."
    assert answer.body["quote"] == {
        "items": [{"productId": lamp, "quantity": 2, "available": 10, "title": "Lamp", "unitPrice": 2299}],
        "total": 4598,
        "currency": "EUR",
    }
    accepted = backend.check_out(user, {"expectedTotal": {"amount": 4598, "currency": "EUR"}})
    assert accepted.status == 201


def test_a_checkout_with_too_little_in_stock_is_a_409_that_names_the_lines(
    backend: MemoryBackend, user: str, lamp: str
) -> None:
    desk = backend.create_product(price=100, stock=1)
    backend.fill_basket(user, {desk: 3})
    answer = backend.check_out(user)
    assert (answer.status, answer.body["code"]) == (409, "insufficient_stock")
    assert answer.body["detail"] == f"Too little is in stock: {desk} (3 wanted, 1 left)."
    assert [line.get("problem") for line in answer.body["quote"]["items"]] == [None, "insufficient_stock"]


@pytest.mark.parametrize("problem", ["unknown_product", "product_archived", "mixed_currencies"])
def test_a_checkout_with_a_product_that_cannot_be_ordered_is_a_409_that_names_it(
    backend: MemoryBackend, user: str, lamp: str, problem: str
) -> None:
    desk = backend.create_product(price=100, currency="USD" if problem == "mixed_currencies" else "EUR")
    backend.fill_basket(user, {desk: 1})
    if problem == "unknown_product":
        backend.api.delete(f"/products/{desk}")
    elif problem == "product_archived":
        backend.api.patch(f"/products/{desk}", {"archived": True})
    answer = backend.check_out(user)
    assert (answer.status, answer.body["code"]) == (409, "not_orderable")
    assert answer.body["detail"] == f"Remove what cannot be ordered: {desk} ({problem})."
    assert answer.body["quote"]["items"][1]["problem"] == problem


def test_a_refused_checkout_stores_no_order_and_leaves_the_basket_as_it_is(
    backend: MemoryBackend, user: str, lamp: str
) -> None:
    before = dict(backend.cloud.store.tables["baskets"].items)
    for body, if_match, status in (
        ({"expectedTotal": {"amount": 1, "currency": "EUR"}}, "*", 409),
        ({}, '"7"', 412),
        ({}, "7", 400),
        ({"expectedTotal": 1}, "*", 422),
        ({"items": []}, "*", 422),
        ("{", "*", 400),
    ):
        answer = backend.check_out(user, body or {}, headers={"If-Match": if_match})
        assert answer.status == status, body
    assert backend.cloud.store.tables["baskets"].items == before
    assert (backend.count("orders"), backend.take_messages()) == (0, [])


def test_an_empty_basket_is_a_409_and_an_unknown_user_a_404(backend: MemoryBackend, user: str) -> None:
    answer = backend.check_out(user)
    assert (answer.status, answer.body["code"]) == (409, "basket_empty")
    assert "quote" not in answer.body
    assert backend.check_out("none").status == 404


def test_an_expired_basket_is_a_409(backend: MemoryBackend, user: str, lamp: str) -> None:
    backend.wait(31 * DAY)
    assert backend.check_out(user).body["code"] == "basket_empty"


def test_stock_that_another_order_takes_after_the_checkout_rejects_the_order(
    backend: MemoryBackend, user: str, lamp: str
) -> None:
    order_id = backend.check_out(user).body["orderId"]
    version = backend.api.get(f"/products/{lamp}").headers["etag"]
    backend.api.patch(f"/products/{lamp}", {"stock": 1}, headers={"If-Match": version})
    backend.run_until_idle()
    assert backend.order(order_id).rejection_code == "insufficient_stock"
