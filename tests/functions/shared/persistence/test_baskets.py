"""What a basket's item has after each write. The routes of baskets test the rest."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from functions.shared import clock
from functions.shared.domain.ids import next_basket_id
from functions.shared.persistence.baskets import BasketRepository
from functions.shared.persistence.dynamodb import from_item
from local.memory.backend import MemoryBackend
from local.memory.faults import Failing, refusal
from local.memory.store import client_error

AT = "2026-06-01T08:00:00.000Z"
LATER = "2026-06-01T08:00:00.001Z"
CHANGE: dict[str, Any] = {"at": AT, "expires_at": clock.epoch(AT) + 60, "versions": None}
PUT_ORDER = {"TableName": "orders", "Item": {"orderId": {"S": "o-1"}}}


@pytest.fixture
def baskets(backend: MemoryBackend) -> BasketRepository:
    return BasketRepository(boto3.client("dynamodb"), "baskets")


def stored(backend: MemoryBackend) -> dict[str, Any]:
    return from_item(backend.cloud.store.tables["baskets"].items["u-1"])


def test_a_missing_basket_has_its_user(baskets: BasketRepository) -> None:
    assert baskets.find("u-1", at=AT).user_id == "u-1"
    assert baskets.remove_line("u-1", "p-1", **CHANGE).user_id == "u-1"


def test_a_line_is_removed_and_a_basket_cleared_in_the_millisecond_of_the_change_before(
    baskets: BasketRepository,
) -> None:
    baskets.put_line("u-1", "p-1", 1, **CHANGE)
    baskets.put_line("u-1", "p-2", 1, **CHANGE)
    assert [*baskets.remove_line("u-1", "p-1", **CHANGE).quantities] == ["p-2"]
    assert baskets.clear("u-1", **CHANGE).quantities == {}
    assert baskets.clear("u-1", **CHANGE | {"at": LATER}).version == 4  # nothing to change


def test_a_cleared_basket_has_the_order_of_the_new_lines(baskets: BasketRepository) -> None:
    for product in ("p-1", "p-2"):
        baskets.put_line("u-1", product, 1, **CHANGE)
    baskets.clear("u-1", **CHANGE)
    for product in ("p-2", "p-1"):
        baskets.put_line("u-1", product, 1, **CHANGE)
    assert [line.product_id for line in baskets.find("u-1", at=AT).lines] == ["p-2", "p-1"]


def test_a_checkout_stores_the_next_basket_until_a_repeat_is_no_longer_possible(
    backend: MemoryBackend, baskets: BasketRepository
) -> None:
    basket = baskets.put_line("u-1", "p-1", 1, **CHANGE)
    assert stored(backend)["updatedAt"] == AT
    assert baskets.check_out(basket, "o-1", PUT_ORDER, at=LATER)
    known_until = clock.epoch(LATER) + 24 * 60 * 60
    assert stored(backend) == {
        "userId": "u-1",
        "basketId": next_basket_id(basket.basket_id or ""),
        "version": 2,
        "quantities": {},
        "added": {},
        "lastOrder": {"orderId": "o-1", "version": 1, "knownUntil": known_until},
        "updatedAt": LATER,
        "expiresAt": known_until,
    }
    next_day = CHANGE | {"at": "2026-06-02T08:00:01.000Z", "expires_at": known_until + 60}
    assert baskets.put_line("u-1", "p-1", 1, **next_day).last_order is None
    assert "lastOrder" not in stored(backend)


def test_a_basket_that_was_deleted_since_it_was_read_is_not_checked_out(
    backend: MemoryBackend, baskets: BasketRepository
) -> None:
    basket = baskets.put_line("u-1", "p-1", 1, **CHANGE)
    del backend.cloud.store.tables["baskets"].items["u-1"]
    another = baskets.put_line("u-1", "p-2", 1, **CHANGE)
    assert another.version == basket.version
    assert not baskets.check_out(basket, "o-1", PUT_ORDER, at=AT)
    assert backend.count("orders") == 0


def test_an_error_of_dynamodb_is_raised(backend: MemoryBackend, baskets: BasketRepository) -> None:
    basket = baskets.put_line("u-1", "p-1", 1, **CHANGE)
    failing = Failing(refusal("AccessDeniedException"), "UpdateItem")
    with backend.hooked(failing), pytest.raises(ClientError, match="AccessDenied"):
        baskets.clear("u-1", **CHANGE)
    too_large = {"CancellationReasons": [{"Code": "ValidationError"}, {"Code": "None"}]}
    failing = Failing(
        lambda call, _: client_error(call.operation, "TransactionCanceledException", **too_large),
        "TransactWriteItems",
    )
    with backend.hooked(failing), pytest.raises(ClientError, match="TransactionCanceled"):
        baskets.check_out(basket, "o-1", PUT_ORDER, at=AT)
