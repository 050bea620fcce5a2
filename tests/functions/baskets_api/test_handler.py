"""Baskets over HTTP: read at today's prices, changed line by line, emptied."""

from __future__ import annotations

import pytest

from local.memory.backend import MemoryBackend
from local.memory.faults import BeforeFirst, CallRecorder, Failing, Lagging
from local.memory.functions import HttpAnswer
from local.memory.store import client_error


def basket_of(user_id: str) -> str:
    return f"/users/{user_id}/basket"


def quantities(answer: HttpAnswer) -> dict[str, int]:
    return {line["productId"]: line["quantity"] for line in answer.body["items"]}


def test_a_user_without_a_basket_has_an_empty_one(backend: MemoryBackend) -> None:
    answer = backend.api.get(basket_of(backend.create_user()))
    assert (answer.status, answer.headers["etag"]) == (200, '"0"')
    assert answer.body == {"items": [], "total": 0}
    assert backend.count("baskets") == 0


def test_a_basket_has_its_lines_in_the_order_in_which_they_were_put_in_at_todays_prices(
    backend: MemoryBackend,
) -> None:
    user = backend.create_user()
    products = [backend.create_product(price=price, stock=4) for price in (500, 20, 3)]
    put = backend.fill_basket(user, dict.fromkeys(products, 2))
    backend.fill_basket(user, {products[0]: 5})  # keeps its place
    backend.api.patch(f"/products/{products[1]}", {"price": 30})
    basket = backend.api.get(basket_of(user))
    assert basket.headers["etag"] == '"4"'
    assert basket.body == {
        "basketId": put.body["basketId"],
        "items": [
            {
                "productId": products[0],
                "quantity": 5,
                "available": 4,
                "title": "Lamp",
                "unitPrice": 500,
                "problem": "insufficient_stock",
            },
            {"productId": products[1], "quantity": 2, "available": 4, "title": "Lamp", "unitPrice": 30},
            {"productId": products[2], "quantity": 2, "available": 4, "title": "Lamp", "unitPrice": 3},
        ],
        "total": 2566,
        "currency": "EUR",
    }


def test_a_changed_line_is_answered_with_the_whole_basket_as_a_read_shows_it(backend: MemoryBackend) -> None:
    user, product = backend.create_user(), backend.create_product()
    backend.fill_basket(user, {backend.create_product(): 1})
    put = backend.api.put(f"{basket_of(user)}/items/{product}", {"quantity": 3})
    read = backend.api.get(basket_of(user))
    assert (put.status, put.body, put.headers["etag"]) == (200, read.body, read.headers["etag"])
    deleted = backend.api.delete(f"{basket_of(user)}/items/{product}")
    read = backend.api.get(basket_of(user))
    assert (deleted.status, deleted.body, deleted.headers["etag"]) == (200, read.body, read.headers["etag"])
    assert product not in quantities(read)


def test_a_basket_is_read_consistently_so_that_it_shows_the_last_change(backend: MemoryBackend) -> None:
    user = backend.create_user()
    recorder = CallRecorder()
    with backend.hooked(recorder):
        backend.api.get(basket_of(user))
    reads = [(call.parameters["TableName"], call.parameters["ConsistentRead"]) for call in recorder.calls]
    assert reads == [("users", False), ("baskets", True)]


def test_a_user_and_a_product_are_found_though_a_read_lags_behind(backend: MemoryBackend) -> None:
    user, product = backend.create_user(), backend.create_product()
    with backend.hooked(Lagging()):
        assert quantities(backend.fill_basket(user, {product: 1})) == {product: 1}


def test_a_product_that_is_removed_and_put_in_again_is_the_last_line(backend: MemoryBackend) -> None:
    user, first, second = backend.create_user(), backend.create_product(), backend.create_product()
    backend.fill_basket(user, {first: 1, second: 1})
    backend.api.delete(f"{basket_of(user)}/items/{first}")
    assert list(quantities(backend.fill_basket(user, {first: 1}))) == [second, first]


def test_a_cleared_basket_is_empty_and_keeps_its_id(backend: MemoryBackend) -> None:
    user, product = backend.create_user(), backend.create_product()
    basket_id = backend.fill_basket(user, {product: 1}).body["basketId"]
    assert backend.api.delete(basket_of(user)).status == 204
    assert backend.api.get(basket_of(user)).body == {"basketId": basket_id, "items": [], "total": 0}
    assert backend.fill_basket(user, {product: 2}).body["basketId"] == basket_id


def test_a_removal_that_finds_nothing_succeeds_and_writes_nothing(backend: MemoryBackend) -> None:
    user = backend.create_user()
    for path in (basket_of(user), f"{basket_of(user)}/items/none"):
        assert backend.api.delete(path).status in {200, 204}
    assert backend.count("baskets") == 0
    backend.fill_basket(user, {backend.create_product(): 1})
    assert backend.api.delete(f"{basket_of(user)}/items/none").headers["etag"] == '"1"'


def test_a_product_that_was_deleted_stays_in_the_basket_as_a_line_with_a_problem(
    backend: MemoryBackend,
) -> None:
    user, product = backend.create_user(), backend.create_product()
    backend.fill_basket(user, {product: 1})
    backend.api.delete(f"/products/{product}")
    (line,) = backend.api.get(basket_of(user)).body["items"]
    assert (line["problem"], line["available"]) == ("unknown_product", 0)
    backend.api.delete(f"{basket_of(user)}/items/{product}")
    assert backend.api.get(basket_of(user)).body["items"] == []


# --- bad input --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quantity", [0, 1001, -1, 1.5, "1", None])
def test_a_quantity_out_of_range_is_a_422_that_names_it_and_changes_nothing(
    backend: MemoryBackend, quantity: object
) -> None:
    user, product = backend.create_user(), backend.create_product()
    answer = backend.api.put(f"{basket_of(user)}/items/{product}", {"quantity": quantity})
    assert (answer.status, answer.body["errors"][0]["field"]) == (422, "quantity")
    assert backend.count("baskets") == 0


def test_an_unknown_product_is_a_422_that_names_it_and_changes_nothing(backend: MemoryBackend) -> None:
    answer = backend.api.put(f"{basket_of(backend.create_user())}/items/ghost", {"quantity": 1})
    assert answer.status == 422
    assert answer.body["errors"] == [{"field": "productId", "message": "there is no product ghost"}]
    assert backend.count("baskets") == 0


def test_an_archived_product_is_a_422_that_names_it_and_changes_nothing(backend: MemoryBackend) -> None:
    product = backend.create_product(archived=True)
    answer = backend.api.put(f"{basket_of(backend.create_user())}/items/{product}", {"quantity": 1})
    assert (answer.status, answer.body["errors"][0]["field"]) == (422, "productId")
    assert backend.count("baskets") == 0


def test_a_product_that_was_archived_since_stays_in_the_basket_without_a_price(
    backend: MemoryBackend,
) -> None:
    user, lamp, desk = backend.create_user(), backend.create_product(price=7), backend.create_product()
    backend.fill_basket(user, {desk: 1, lamp: 2})
    backend.api.patch(f"/products/{desk}", {"archived": True})
    basket = backend.api.get(basket_of(user)).body
    assert basket["items"][0] == {
        "productId": desk,
        "quantity": 1,
        "available": 0,
        "title": "Lamp",
        "problem": "product_archived",
    }
    assert basket["total"] == 14


def test_a_line_too_many_is_a_422_and_the_50_others_can_still_change(backend: MemoryBackend) -> None:
    user = backend.create_user()
    products = [backend.create_product() for _ in range(51)]
    backend.fill_basket(user, dict.fromkeys(products[:50], 1))
    answer = backend.fill_basket(user, {products[50]: 1})
    assert (answer.status, answer.body["errors"][0]["field"]) == (422, "productId")
    changed = backend.fill_basket(user, {products[49]: 7})
    assert (changed.status, len(quantities(changed)), quantities(changed)[products[49]]) == (200, 50, 7)


def test_the_basket_of_an_unknown_user_is_a_404_on_every_route(backend: MemoryBackend) -> None:
    product = backend.create_product()
    for method, path in (
        ("GET", "/users/none/basket"),
        ("DELETE", "/users/none/basket"),
        ("PUT", f"/users/none/basket/items/{product}"),
        ("DELETE", f"/users/none/basket/items/{product}"),
    ):
        body = {"quantity": 1} if method == "PUT" else None
        answer = backend.api.request(method, path, body)
        assert (answer.status, answer.body["detail"]) == (404, "There is no user none."), method
    assert backend.count("baskets") == 0


# --- concurrent changes -----------------------------------------------------------------------------------


def test_changes_of_different_lines_at_the_same_time_are_both_kept(backend: MemoryBackend) -> None:
    user, one, other = backend.create_user(), backend.create_product(), backend.create_product()
    for overtaking in ({one: 1}, {one: 2}):  # the first puts, and the first changes
        with backend.hooked(BeforeFirst("UpdateItem", lambda: backend.fill_basket(user, overtaking))):  # noqa: B023
            answer = backend.fill_basket(user, {other: 3})
        assert quantities(answer) == {**overtaking, other: 3}


def test_a_change_of_a_line_in_the_same_millisecond_as_another_is_kept(backend: MemoryBackend) -> None:
    user, products = backend.create_user(), [backend.create_product() for _ in range(50)]
    backend.fill_basket(user, dict.fromkeys(products, 1))
    backend.cloud.hook.is_concurrent = True  # the clock stands still
    for quantity in (2, 3):
        answer = backend.fill_basket(user, {products[0]: quantity})
        assert (answer.status, quantities(answer)[products[0]]) == (200, quantity)


def test_two_requests_that_begin_a_basket_at_the_same_time_make_one(backend: MemoryBackend) -> None:
    user, one, other = backend.create_user(), backend.create_product(), backend.create_product()
    absent = Failing(
        lambda call, _: client_error(call.operation, "ConditionalCheckFailedException"), "UpdateItem", 1
    )
    with backend.hooked(absent):
        # The first write finds no basket. Before the second one, another request begins it.
        backend.fill_basket(user, {other: 3})
    with backend.hooked(Failing(absent._error, "UpdateItem", 1)):
        answer = backend.fill_basket(user, {one: 1})
    assert quantities(answer) == {other: 3, one: 1}
    assert answer.headers["etag"] == '"2"'


@pytest.mark.parametrize(
    ("if_match", "status"),
    [('"1"', 200), ("*", 200), ('"7", "1"', 200), ('"2"', 412), ('"0"', 412), ('"abc"', 412), ("1", 400)],
)
def test_every_change_applies_if_match(backend: MemoryBackend, if_match: str, status: int) -> None:
    for method, suffix in (("PUT", "/items/{}"), ("DELETE", "/items/{}"), ("DELETE", "")):
        user, product = backend.create_user(), backend.create_product()
        before = backend.fill_basket(user, {product: 1})
        path = basket_of(user) + suffix.format(product)
        body = {"quantity": 2} if method == "PUT" else None
        answer = backend.api.request(method, path, body, headers={"If-Match": if_match})
        assert answer.status == (204 if status == 200 and not suffix else status), method
        if status != 200:
            assert backend.api.get(basket_of(user)).body == before.body


@pytest.mark.parametrize(("if_match", "status"), [('"0"', 200), ('"1"', 412)])
def test_a_first_line_applies_if_match_to_the_version_of_the_missing_basket(
    backend: MemoryBackend, if_match: str, status: int
) -> None:
    user, product = backend.create_user(), backend.create_product()
    path = f"{basket_of(user)}/items/{product}"
    answer = backend.api.put(path, {"quantity": 1}, headers={"If-Match": if_match})
    assert answer.status == status
    for other in (path, basket_of(user)):
        assert backend.api.delete(other, headers={"If-Match": '"9"'}).status == 412


def test_a_basket_is_never_a_304_because_its_prices_change_without_its_version(
    backend: MemoryBackend,
) -> None:
    user, product = backend.create_user(), backend.create_product(price=100)
    etag = backend.fill_basket(user, {product: 1}).headers["etag"]
    backend.api.patch(f"/products/{product}", {"price": 200})
    answer = backend.api.get(basket_of(user), headers={"If-None-Match": etag})
    assert (answer.status, answer.headers["etag"], answer.body["total"]) == (200, etag, 200)


def test_a_change_that_is_always_overtaken_is_a_503(backend: MemoryBackend) -> None:
    user, product = backend.create_user(), backend.create_product()
    answer = backend.fill_basket(user, {product: 1})
    stored = dict(backend.cloud.store.tables["baskets"].items[user])
    overtaken = Failing(
        lambda call, _: client_error(call.operation, "ConditionalCheckFailedException", Item=stored),
        "UpdateItem",
    )
    with backend.hooked(overtaken):
        answer = backend.fill_basket(user, {product: 2})
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert overtaken.tries == 5


# --- expiry -----------------------------------------------------------------------------------------------


def test_a_basket_is_empty_30_days_after_its_last_change_even_if_its_item_remains(
    backend: MemoryBackend,
) -> None:
    user, product, other = backend.create_user(), backend.create_product(), backend.create_product()
    first = backend.fill_basket(user, {product: 1})
    backend.wait(29 * 24 * 60)
    backend.fill_basket(user, {product: 2})
    backend.wait(29 * 24 * 60)
    assert quantities(backend.api.get(basket_of(user))) == {product: 2}
    backend.wait(24 * 60 + 1)
    assert backend.api.get(basket_of(user)).body == {"items": [], "total": 0}
    assert backend.api.delete(f"{basket_of(user)}/items/{product}").body["items"] == []
    answer = backend.fill_basket(user, {other: 1})
    assert quantities(answer) == {other: 1}
    assert answer.body["basketId"] != first.body["basketId"]
    assert answer.headers["etag"] == '"3"'


def test_the_time_to_live_of_an_item_is_the_second_at_which_the_basket_is_empty(
    backend: MemoryBackend,
) -> None:
    user = backend.create_user()
    backend.fill_basket(user, {backend.create_product(): 1})
    item = backend.cloud.store.tables["baskets"].items[user]
    seconds = int(backend.now.timestamp()) + 30 * 24 * 60 * 60
    assert item["expiresAt"] == {"N": str(seconds)}
