"""Lists of orders over several indexes and shards."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import boto3
import pytest

from functions.shared.domain.orders import UNFINISHED_STATUSES, HistoryEntry, Order, OrderLine, OrderStatus
from functions.shared.persistence.dynamodb import struct_to_item, to_item
from functions.shared.persistence.open_index import shard_of
from functions.shared.persistence.order_items import LIST_SHARDS, list_shard_of
from functions.shared.persistence.order_lists import OrderLists, OrderQuery
from local.memory.backend import START, MemoryBackend
from local.memory.faults import CallRecorder
from local.memory.functions import invoke_task

Page = dict[str, Any]


def place(backend: MemoryBackend, number: int, at: str, status: str = "FULFILLED", user: str = "u-1") -> str:
    """Stores an order as `OrderRepository` does, and returns its id."""
    order = Order(
        order_id=f"o-{number:06}",
        user_id=user,
        items=[OrderLine(product_id="p-1", quantity=1)],
        status=OrderStatus(status),
        reference="PO-1",
        history=[HistoryEntry(status=OrderStatus.PENDING, at=at)],
        attempt=1,
        created_at=at,
        updated_at=at,
    )
    keys = {"timeShard": list_shard_of(order.order_id)}
    if status == "FAILED":
        keys["failedShard"] = list_shard_of(order.order_id)
    if order.status in UNFINISHED_STATUSES:
        keys |= {"openShard": shard_of(order.order_id), "dueAt": at}
    backend.cloud.store.tables["orders"].items[order.order_id] = struct_to_item(order) | to_item(keys)
    return order.order_id


def text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def pages(backend: MemoryBackend, path: str, **query: str) -> Iterator[Page]:
    """Yields all pages of a list."""
    token: dict[str, str] = {}
    while True:
        answer = backend.api.get(path, query=query | token)
        assert answer.status == 200, answer
        assert len(answer.body["items"]) <= int(query.get("limit", 20))
        yield answer.body
        if "nextToken" not in answer.body:
            return
        token = {"nextToken": answer.body["nextToken"]}


def ids(page: Page) -> list[str]:
    return [order["orderId"] for order in page["items"]]


def numbers_read(recorder: CallRecorder) -> list[int]:
    """Returns how many orders each BatchGetItem read. None of them is a consistent read."""
    requests = [
        call.parameters["RequestItems"]["orders"]
        for call in recorder.calls
        if call.operation == "BatchGetItem"
    ]
    assert {request["ConsistentRead"] for request in requests} == {False}
    return [len(request["Keys"]) for request in requests]


def order_lists() -> OrderLists:
    return OrderLists(boto3.client("dynamodb"), "orders", stalled_after_minutes=10)


def all_ids(backend: MemoryBackend, path: str, **query: str) -> list[str]:
    return [order_id for page in pages(backend, path, **query) for order_id in ids(page)]


@pytest.mark.many_orders
def test_10000_orders_over_40_days_are_each_on_one_page_of_7_while_200_more_are_placed(
    backend: MemoryBackend,
) -> None:
    placed = {}
    for number in range(10_000):
        # 250 a day. Every fifth has the same time as the one before, often in another shard.
        at = text(START - timedelta(days=40) + timedelta(minutes=5.76) * (number - (number % 5 == 4)))
        placed[place(backend, number, at)] = at
    arriving = iter(range(200))
    seen: list[str] = []
    times: list[str] = []
    for number, page in enumerate(pages(backend, "/orders", limit="7")):
        seen += ids(page)
        times += [order["createdAt"] for order in page["items"]]
        if number % 7 == 0 and next(arriving, None) is not None:
            backend.create_order("u-2", {"p-1": 1})
    assert next(arriving, None) is None
    assert backend.count("orders") == 10_200
    assert [count for count in Counter(seen).values() if count > 1] == []
    assert set(seen) == set(placed)
    assert times == sorted(placed.values(), reverse=True)


@pytest.mark.parametrize("limit", ["1", "7", "100"])
def test_orders_of_one_millisecond_in_all_shards_are_each_on_one_page(
    backend: MemoryBackend, limit: str
) -> None:
    placed = [place(backend, number, text(START)) for number in range(150)]
    before = [place(backend, number, text(START - timedelta(days=1))) for number in range(150, 155)]
    assert {list_shard_of(order) for order in placed} == set(LIST_SHARDS)
    seen = all_ids(backend, "/orders", limit=limit)
    assert sorted(seen[:150]) == placed
    assert sorted(seen[150:]) == before


def test_an_order_placed_between_two_pages_is_on_no_later_page(backend: MemoryBackend) -> None:
    """Its shard may have shown nothing yet, so nothing but the time excludes it."""
    old = [place(backend, number, text(START - timedelta(hours=number + 1))) for number in range(20)]
    first, *_ = pages(backend, "/orders", limit="1")
    for number in range(100, 140):
        place(backend, number, text(START))
    rest = backend.api.get("/orders", query={"limit": "100", "nextToken": first["nextToken"]}).body
    assert ids(first) + ids(rest) == old


@pytest.mark.parametrize("path", ["/orders", "/users/u-1/orders"])
@pytest.mark.parametrize("status", [*OrderStatus])
def test_a_status_lists_exactly_its_orders_newest_first(
    backend: MemoryBackend, path: str, status: OrderStatus
) -> None:
    placed = {
        place(backend, number, text(START - timedelta(minutes=number)), one): one
        for number, one in enumerate([*OrderStatus] * 30)
    }
    expected = [order for order, one in placed.items() if one == status]
    assert all_ids(backend, path, status=status, limit="7") == expected


def test_a_page_that_has_read_the_last_order_and_not_shown_it_has_a_next_page(
    backend: MemoryBackend,
) -> None:
    placed = [
        place(backend, number, text(START - timedelta(minutes=number)), status)
        for number, status in enumerate(3 * ["FULFILLED"] + 3 * ["REJECTED"])
    ]
    assert all_ids(backend, "/orders", status="REJECTED", limit="1") == placed[3:]


def test_days_and_a_status_hold_together(backend: MemoryBackend) -> None:
    for status in OrderStatus:
        numbers = range(1000, 1004)
        placed = [
            place(backend, number, text(START - timedelta(days=number - 1000)), status) for number in numbers
        ]
        query = {"from": "2026-05-30", "to": "2026-05-31", "status": status.value}
        assert all_ids(backend, "/orders", **query) == placed[1:3]


def test_a_reference_lists_its_orders_of_all_users_and_only_those(backend: MemoryBackend) -> None:
    body = {"items": [{"productId": "p-1", "quantity": 1}]}
    placed = [
        backend.api.post("/orders", {**body, "userId": user, "reference": reference}).body["orderId"]
        for user, reference in (("u-1", "PO 1/ä"), ("u-2", "PO 1/ä"), ("u-1", "PO 2"))
    ]
    assert all_ids(backend, "/orders", reference="PO 1/ä", limit="1") == placed[1::-1]
    assert all_ids(backend, "/orders", reference="PO 1/ä", status="FAILED") == []
    assert all_ids(backend, "/orders", reference="PO") == []
    without = backend.create_order("u-1", {"p-1": 1})
    assert "reference" not in backend.stored_order(without)


def test_the_list_of_a_status_of_the_workflow_reads_no_order_that_is_due_after_it(
    backend: MemoryBackend,
) -> None:
    pending = place(backend, 0, text(START), "PENDING")
    latest, *later = [place(backend, number, text(START), "PENDING") for number in range(1, 5)]
    # Ten minutes of the configuration, and an hour in which it may have been higher.
    backend.set_order(latest, dueAt=text(START + timedelta(minutes=70)))
    for order_id in later:
        backend.set_order(order_id, dueAt=text(START + timedelta(minutes=70, seconds=30)))
    recorder = CallRecorder()
    with backend.hooked(recorder):
        assert all_ids(backend, "/orders", status="PENDING") == [latest, pending]
    assert numbers_read(recorder) == [2]


def test_a_failed_order_is_listed_until_it_is_retried(backend: MemoryBackend) -> None:
    order_id = backend.create_order("u-1", {"p-1": 1})
    assert all_ids(backend, "/orders", status="FAILED") == []
    assert all_ids(backend, "/orders", status="PENDING") == [order_id]
    invoke_task("update_order_status", order_id, status="FAILED", reason="broken")
    assert all_ids(backend, "/orders", status="FAILED") == [order_id]
    assert all_ids(backend, "/orders", status="PENDING") == []
    backend.retry_order(order_id)
    assert all_ids(backend, "/orders", status="FAILED") == []
    assert all_ids(backend, "/orders", status="PENDING") == [order_id]


def test_an_order_that_never_failed_has_no_entry_in_the_index_of_failed_orders(
    backend: MemoryBackend,
) -> None:
    backend.add_products(p1=1)
    order_id = backend.place_order("key", p1=1)
    backend.run_until_idle()
    assert backend.status(order_id) == "FULFILLED"
    assert "failedShard" not in backend.stored_order(order_id)
    assert backend.stored_order(order_id)["timeShard"] == list_shard_of(order_id)


def test_a_page_of_a_rare_status_reads_a_bounded_number_of_orders(backend: MemoryBackend) -> None:
    for number in range(1500):
        place(backend, number, text(START - timedelta(minutes=number)))
    rare = place(backend, 9999, text(START - timedelta(days=300)), "REJECTED")
    recorder = CallRecorder()
    with backend.hooked(recorder):
        found = [ids(page) for page in pages(backend, "/orders", status="REJECTED")]
    assert found == [[], [], [], [rare]]
    assert numbers_read(recorder) == [*3 * [20, 100, 100, 100, 100, 80], 1]
    limits = {call.parameters["Limit"] for call in recorder.calls if call.operation == "Query"}
    assert limits == {20, 40}


def test_a_page_reads_as_many_orders_as_probably_contain_those_that_are_missing(
    backend: MemoryBackend,
) -> None:
    for number in range(14):
        status = "FULFILLED" if number in range(1, 13, 2) else "FAILED"
        place(backend, number, text(START - timedelta(minutes=number)), status)
    recorder = CallRecorder()
    with backend.hooked(recorder):
        answer = backend.api.get("/users/u-1/orders", query={"status": "FAILED", "limit": "7"})
    assert len(answer.body["items"]) == 7
    assert numbers_read(recorder) == [7, 5, 2]


@pytest.mark.parametrize(
    "query",
    [{}, {"user_id": "u-1"}, {"reference": "PO-1"}, {"status": OrderStatus.FAILED}],
    ids=["all", "user", "reference", "failed"],
)
def test_days_read_only_their_orders(backend: MemoryBackend, query: dict[str, Any]) -> None:
    placed = [place(backend, day, text(START - timedelta(days=day)), "FAILED") for day in range(4)]
    recorder = CallRecorder()
    days = OrderQuery(**query, placed_from="2026-05-30", placed_before="2026-06-01")
    with backend.hooked(recorder):
        page = order_lists().page(days, 20, None)
    assert [order.order_id for order in page.items] == placed[1:3]
    assert numbers_read(recorder) == [2]


def test_a_list_starts_at_its_first_time_and_ends_before_its_last(backend: MemoryBackend) -> None:
    times = [text(START - timedelta(minutes=number)) for number in range(4)]
    placed = [place(backend, number, at) for number, at in enumerate(times)]
    page = order_lists().page(OrderQuery(placed_from=times[2], placed_before=times[0]), 20, None)
    assert [order.order_id for order in page.items] == placed[1:3]


def test_a_page_ends_before_an_order_that_makes_it_too_large(
    backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = [900_000, 900_000, 900_000, 900_001, 2_000_000, 600_000, 600_000, 600_000, 1]
    placed = {
        place(backend, number, text(START - timedelta(minutes=number))): size
        for number, size in enumerate(sizes)
    }
    found, token, is_last = [], None, False
    while not is_last:
        page = order_lists().page(OrderQuery(), 4, token, size_of=lambda order: placed[order.order_id])
        found.append([placed[order.order_id] for order in page.items])
        token, is_last = page.next_token, page.next_token is None
    assert found == [sizes[:2], sizes[2:3], sizes[3:4], sizes[4:5], sizes[5:8], sizes[8:]]
    monkeypatch.setattr("functions.shared.persistence.order_lists.MAX_PAGE_BYTES", 0)
    assert [order.order_id for order in order_lists().page(OrderQuery(), 20, None).items] == [*placed]


def test_a_list_is_read_by_query_and_never_by_scan_or_filter(backend: MemoryBackend) -> None:
    for number, status in enumerate([*OrderStatus] * 10):
        place(backend, number, text(START - timedelta(minutes=number)), status)
    recorder = CallRecorder()
    with backend.hooked(recorder):
        for status in (None, *OrderStatus):
            for path in ("/orders", "/users/u-1/orders"):
                all_ids(backend, path, **({"status": status} if status else {}))
    assert {call.operation for call in recorder.calls} == {"Query", "BatchGetItem"}
    assert not any("FilterExpression" in call.parameters for call in recorder.calls)


QUERIES: list[tuple[str, dict[str, str]]] = [
    ("/orders", {}),
    ("/orders", {"status": "FULFILLED"}),
    ("/orders", {"from": "2026-05-01"}),
    ("/orders", {"reference": "PO-1"}),
    ("/orders", {"to": "2026-06-01"}),
    ("/users/u-1/orders", {}),
    ("/users/u-1/orders", {"status": "FULFILLED"}),
    ("/users/u-2/orders", {}),
]


@pytest.mark.parametrize("issued_by", range(len(QUERIES)))
def test_a_token_of_another_query_is_refused(backend: MemoryBackend, issued_by: int) -> None:
    for number, user in enumerate(["u-1", "u-2"] * 5):
        place(backend, number, text(START), user=user)
    path, query = QUERIES[issued_by]
    token = backend.api.get(path, query={**query, "limit": "1"}).body["nextToken"]
    for number, (other, parameters) in enumerate(QUERIES):
        answer = backend.api.get(other, query={**parameters, "nextToken": token, "limit": "2"})
        expected = (200, None) if number == issued_by else (400, "invalid_page_token")
        assert (answer.status, answer.body.get("code")) == expected


def _changed(token: str, change: Callable[[dict[str, Any]], object]) -> str:
    content = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    change(content)
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "change",
    [
        lambda token: token["after"].update(at="2025"),  # before `from`
        lambda token: token["after"].update(at="2026-06-03"),  # after `to`
        lambda token: token["after"].update(at="2026-05-31\n"),
        lambda token: token["after"].update(at=1),
        lambda token: token["after"].update(shown={"8": "o-1"}),
        lambda token: token["after"].update(shown={"-1": "o-1"}),
        lambda token: token["after"].update(shown={"0": ""}),
        lambda token: token["after"].update(shown={"0": "o/1"}),
        lambda token: token["after"].update(shown={"x": "o-1"}),
        lambda token: token.update(list="other"),
        lambda token: token.pop("after"),
        lambda token: token.update(key={"orderId": "o-1"}),
    ],
)
def test_a_token_that_no_list_issues_is_refused(
    backend: MemoryBackend, change: Callable[[dict[str, Any]], object]
) -> None:
    for number in range(3):
        place(backend, number, text(START))
    query = {"from": "2026-05-01", "to": "2026-06-01", "limit": "1"}
    token = backend.api.get("/orders", query=query).body["nextToken"]
    assert (
        backend.api.get("/orders", query={**query, "nextToken": _changed(token, lambda _: None)}).status
        == 200
    )
    answer = backend.api.get("/orders", query={**query, "nextToken": _changed(token, change)})
    assert (answer.status, answer.body["code"]) == (400, "invalid_page_token")
