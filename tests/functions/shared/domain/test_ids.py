"""Ids of orders and events."""

from __future__ import annotations

import msgspec
import pytest

from functions.shared.domain.ids import (
    Identifier,
    basket_order_id,
    event_id_for,
    next_basket_id,
    order_id_for,
)
from functions.shared.domain.moves import last_change_to
from functions.shared.domain.orders import OrderStatus
from tests.functions.shared.domain.samples import order


def test_the_same_client_user_and_key_always_make_the_same_order_id() -> None:
    assert order_id_for("c-1", "u-1", "key") == order_id_for("c-1", "u-1", "key")


@pytest.mark.parametrize(
    ("client", "user", "key"),
    [
        *(("c-2", "u-1", "key"), ("c-1", "u-2", "key"), ("c-1", "u-1", "other")),
        *(("c-1", "u", "1/key"), ("c-1/u-1", "key", "")),
    ],
)
def test_another_client_user_or_key_makes_another_order_id(client: str, user: str, key: str) -> None:
    assert order_id_for(client, user, key) != order_id_for("c-1", "u-1", "key")


def test_an_event_has_the_same_id_in_each_repeat_and_other_events_have_other_ids() -> None:
    fulfilled = order(OrderStatus.VALIDATED, OrderStatus.FULFILLED)
    changes = [last_change_to(fulfilled, status) for status in (OrderStatus.VALIDATED, OrderStatus.FULFILLED)]
    ids = [event_id_for("o-1", change.number) for change in changes if change is not None]
    assert ids == [event_id_for("o-1", change.number) for change in changes if change is not None]
    assert len({*ids, *(event_id_for("o-2", change.number) for change in changes if change is not None)}) == 4


def test_ids_are_the_same_in_every_version() -> None:
    """A newer version may answer a repeated request, or publish an event again."""
    assert order_id_for("c-1", "u-1", "key") == "d204c8a3-665c-5140-9f3a-774f87ef1040"
    assert event_id_for("o-1", 2) == "67dcbb67-4c56-5592-9b46-2790db6a4893"
    assert basket_order_id("b-1") == "350ed686-cbff-5478-b1cd-2c98f1f189a9"
    assert next_basket_id("b-1") == "9602384f-d583-5e2e-9b7f-443f7b785a14"


@pytest.mark.parametrize("value", ["a", "A-b_9", "x" * 64, "a.b", ".a", "a.", "..a", "..-", "SKU-4.2"])
def test_an_identifier_may_be(value: str) -> None:
    assert msgspec.convert(value, Identifier) == value


@pytest.mark.parametrize(
    "value", ["", "x" * 65, "a b", "a/b", "ä", "a\n", "\na", " a", ".", "..", "...", "." * 64, "a.\n"]
)
def test_an_identifier_may_not_be(value: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(value, Identifier)
