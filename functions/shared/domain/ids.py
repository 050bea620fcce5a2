"""Ids of orders, users, products and events: their format, and how they are made from names."""

from __future__ import annotations

import uuid
from typing import Annotated

import msgspec

# Not only dots: clients and proxies remove the segments `.` and `..` from a path.
# In Python `$` also matches before a line break at the end; `(?!\n)` excludes that.
Identifier = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=64,
        pattern=r"^\.*[A-Za-z0-9_-][A-Za-z0-9._-]*(?!\n)$",
        description="an id (letters, digits, dots, - and _, not only dots)",
    ),
]

# Makes ids out of names (RFC 9562, UUID version 5): the same name always has the same id.
_NAMESPACE = uuid.UUID("5b0c5b5e-6f5c-4d0e-9c39-0f9f5c1a7d11")


def order_id_for(client: str, user_id: str, idempotency_key: str) -> str:
    """Returns the id of the order that a client places for a user under an idempotency key.

    `client` is the id of its API key. Neither that nor a user's id has a slash (see `Identifier`), so the
    keys of two clients or users never make the same id.
    """
    return str(uuid.uuid5(_NAMESPACE, f"order/{client}/{user_id}/{idempotency_key}"))


def basket_order_id(basket_id: str) -> str:
    """Returns the id of the order that a basket becomes."""
    return str(uuid.uuid5(_NAMESPACE, f"basket/{basket_id}/order"))


def next_basket_id(basket_id: str) -> str:
    """Returns the id of the basket that follows one which became an order."""
    return str(uuid.uuid5(_NAMESPACE, f"basket/{basket_id}/next"))


def event_id_for(order_id: str, fact: int | str) -> str:
    """Returns the id of the event for a fact about an order: the same at every publication.

    A fact is the number of a move, or a name such as `shipment/S-1`.
    """
    return str(uuid.uuid5(_NAMESPACE, f"event/{order_id}/{fact}"))
