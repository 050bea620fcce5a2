"""Sums a user's fulfilled orders, a limited number of orders per call."""

from __future__ import annotations

import base64
import binascii
import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

# The maximum number of keys of one BatchGetItem.
PAGE_SIZE: Final = 100
# Pages per response. Ten take less than a second.
MAX_PAGES: Final = 10

_BATCH_TRIES: Final = 5
_INDEX: Final = "byUser"


class InvalidToken(ValueError):
    """The token is not one of this API."""


class StoreBusy(Exception):
    """DynamoDB left keys unread in all tries."""


@dataclass(frozen=True, kw_only=True)
class Spend:
    """The number of fulfilled orders, and their sums by currency in minor units (1999 is 19.99).

    A `next_token` means that older orders are not included.
    """

    orders: int
    totals: dict[str, int]
    next_token: str | None


def spend_of(client: Any, table: str, user_id: str, token: str | None = None) -> Spend:
    """Sums up to `MAX_PAGES` pages of a user's orders, from the newest one or from the token's position.

    The index is eventually consistent: an order of the last second may be missing. Raises `InvalidToken` and
    `StoreBusy`.
    """
    start = _start(user_id, token)
    orders = 0
    totals: Counter[str] = Counter()
    for _ in range(MAX_PAGES):
        page = client.query(
            TableName=table,
            IndexName=_INDEX,
            KeyConditionExpression="userId = :user",
            ExpressionAttributeValues={":user": {"S": user_id}},
            ScanIndexForward=False,
            Limit=PAGE_SIZE,
            **({"ExclusiveStartKey": start} if start else {}),
        )
        for order in _read(client, table, [item["orderId"] for item in page["Items"]]):
            if order["status"]["S"] == "FULFILLED":
                orders += 1
                totals[order["currency"]["S"]] += int(order["total"]["N"])
        start = page.get("LastEvaluatedKey")
        if not start:
            break
    return Spend(orders=orders, totals=dict(totals), next_token=_token(start))


def _read(client: Any, table: str, ids: list[Any]) -> Iterator[Any]:
    """Yields the orders with these ids, unsorted. Repeats the call for keys that DynamoDB left unread."""
    keys = [{"orderId": order_id} for order_id in ids]
    for attempt in range(_BATCH_TRIES):
        if not keys:
            return
        if attempt:
            time.sleep(random.uniform(0, 0.05 * 2**attempt))  # noqa: S311  no secret: it spreads the load
        answer = client.batch_get_item(
            RequestItems={
                table: {
                    "Keys": keys,
                    "ProjectionExpression": "#status, #total, currency",
                    "ExpressionAttributeNames": {"#status": "status", "#total": "total"},
                }
            }
        )
        yield from answer["Responses"].get(table, [])
        keys = answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys", [])
    if keys:
        raise StoreBusy(f"{len(keys)} orders could not be read")


def _token(start: Any) -> str | None:
    """Returns the position of the next page as a token. The user is in the request's path instead."""
    if not start:
        return None
    place = json.dumps([start["orderId"]["S"], start["createdAt"]["S"]])
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def _start(user_id: str, token: str | None) -> Any:
    if token is None:
        return None
    try:
        place = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (binascii.Error, ValueError) as error:
        raise InvalidToken from error
    match place:
        case [str(order_id), str(created_at)] if order_id and created_at:
            return {
                "userId": {"S": user_id},
                "orderId": {"S": order_id},
                "createdAt": {"S": created_at},
            }
    raise InvalidToken
