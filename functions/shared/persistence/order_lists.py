"""Lists of orders, newest first: which index answers a query, and how its shards become one list.

A page reads keys from one index by Query, and the orders by BatchGetItem. An index with shards has an entry
per order in one of them, so that its writes spread over DynamoDB's partitions. A page merges the shards by
time. It reads at most `MAX_EXAMINED` orders, however few of them match.

| query | index | its time |
|---|---|---|
| of a user | `byUser` | `createdAt` |
| with a reference | `byReference`, sparse | `createdAt` |
| PENDING or VALIDATED | `open`, sharded and sparse | `dueAt` |
| IN_FULFILLMENT | `open` | `dueAt` |
| FAILED | `failed`, sharded and sparse | `createdAt` |
| all others | `byTime`, sharded | `createdAt` |
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from math import ceil
from typing import Any, NamedTuple

import msgspec

from functions.shared import clock
from functions.shared.domain.errors import InvalidInput
from functions.shared.domain.orders import OPEN_STATUSES, Order, OrderStatus
from functions.shared.persistence.dynamodb import Item
from functions.shared.persistence.open_index import OPEN_SHARDS
from functions.shared.persistence.order_items import LIST_SHARDS, order_from
from functions.shared.persistence.pages import Page, Position, decode_position, encode_position
from functions.shared.persistence.records import batch_get

# Orders that one page reads at most. A page with fewer matches than its limit is not the last.
MAX_EXAMINED = 500
# Bytes of a page. An order with 150 reports takes 760,000 of them. Lambda's answer is at most 6 MB of JSON,
# with the page as a string. There a character of 4 bytes may take 12.
MAX_PAGE_BYTES = 1_800_000

_MAX_BATCH = 100  # keys of one BatchGetItem
# Entries of a shard that one Query reads. They fit into one read unit, 4 KB.
_CHUNK = 40
# Minutes.
_MARGIN = 60
# Before and after every time.
_FIRST, _LAST = "0", "9"


class OrderQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What a list contains: the orders of one user or of all users, with one reference or any.

    `placed_from` and `placed_before` bound `createdAt`.
    """

    user_id: str | None = None
    reference: str | None = None
    status: OrderStatus | None = None
    placed_from: str | None = None
    placed_before: str | None = None

    @property
    def fingerprint(self) -> str:
        """Hash of the query. Distinguishes its tokens from those of other queries."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:16]

    def matches(self, order: Order) -> bool:
        """Returns whether the list contains an order of its index."""
        return (
            self.status in (None, order.status)
            and self.reference in (None, order.reference)
            and (self.placed_from or _FIRST) <= order.created_at < (self.placed_before or _LAST)
        )


def placed_between(first: date | None, last: date | None, *, today: str) -> dict[str, str]:
    """Returns the bounds of a query from a first to a last day in UTC, both included; None is no bound.

    Raises `InvalidInput` for a day after `today`, and for a first after the last one.
    """
    for name, day in (("from", first), ("to", last)):
        if day is not None and day.isoformat() > today:
            raise InvalidInput(f"{day} is in the future: expected a day up to {today} (UTC)", name)
    if first is not None and last is not None and first > last:
        raise InvalidInput(f"{first} is after to: expected a day up to {last}", "from")
    bounds = {} if first is None else {"placed_from": first.isoformat()}
    if last is not None:
        bounds["placed_before"] = (last + timedelta(days=1)).isoformat()
    return bounds


class _Source(NamedTuple):
    """The partitions of an index that hold all orders of a query, and between which times."""

    index_name: str
    hash_key: str
    partitions: tuple[str, ...]
    range_key: str = "createdAt"
    first: str = _FIRST
    last: str = _LAST


class _Entry(NamedTuple):
    at: str
    order_id: str
    partition: int


def find_orders(client: Any, table: str, ids: Sequence[str], *, consistent: bool = False) -> dict[str, Order]:
    """Returns up to 100 orders by their ids. One that does not exist is left out. Raises as `batch_get`."""
    return {
        item["orderId"]["S"]: order_from(item, item["orderId"]["S"])
        for item in batch_get(client, table, "orderId", ids, consistent=consistent)
    }


class OrderLists:
    """The orders table, by its indexes."""

    def __init__(self, client: Any, table: str, *, stalled_after_minutes: int) -> None:
        self._client = client
        self._table = table
        # A lower value in the configuration does not change the orders that are stored.
        self._due_within = stalled_after_minutes + _MARGIN

    def page(
        self,
        query: OrderQuery,
        limit: int,
        token: str | None,
        *,
        size_of: Callable[[Order], int] | None = None,
    ) -> Page[Order]:
        """Returns one page of the orders of a query, newest first. Raises `InvalidPageToken`.

        With `size_of`, the bytes of an order, a page ends before it exceeds `MAX_PAGE_BYTES`.

        An order that is placed while a client reads the pages may be missing. Every other order is on one
        page, and on no second one. In the index `open` an order that is dispatched again moves to the front.
        """
        source = _source_of(query, clock.minutes_after(clock.now(), self._due_within))
        position = decode_position(
            query.fingerprint, token, len(source.partitions), source.first, source.last
        )
        entries = _MergedEntries(self._client, self._table, source, position)
        batch: deque[_Entry] = deque()
        found: list[Order] = []
        examined = size = 0
        while len(found) < limit and examined < MAX_EXAMINED and entries.has_more:
            # As many as probably contain the orders that are still missing.
            wanted = ceil((limit - len(found)) * (examined + 1) / (len(found) + 1))
            batch = entries.take(min(wanted, _MAX_BATCH, MAX_EXAMINED - examined))
            examined += len(batch)
            orders = find_orders(self._client, self._table, [entry.order_id for entry in batch])
            while batch and len(found) < limit:
                entry = batch[0]
                order = orders.get(entry.order_id)
                if order is not None and query.matches(order):
                    size += size_of(order) if size_of else 0
                    if found and size > MAX_PAGE_BYTES:
                        return Page(items=found, next_token=encode_position(query.fingerprint, position))
                    found.append(order)
                position = _after(position, batch.popleft())
        has_more = bool(batch) or entries.has_more
        return Page(
            items=found, next_token=encode_position(query.fingerprint, position if has_more else None)
        )


class _MergedEntries:
    """The entries of all partitions of a source after a position, newest first."""

    def __init__(self, client: Any, table: str, source: _Source, position: Position | None) -> None:
        self._client = client
        self._table = table
        self._source = source
        self._last = source.last
        self._waiting: list[deque[_Entry]] = [deque() for _ in source.partitions]
        # Where the next Query of each partition starts. None: it has no more entries.
        self._starts: list[Item | None] = [{} for _ in source.partitions]
        if position is not None:
            self._last = position.at
            for number, order_id in position.shown.items():
                self._starts[number] = self._key(_Entry(position.at, order_id, number))

    @property
    def has_more(self) -> bool:
        """Whether another entry may follow. A Query that ends with a full page does not say."""
        return any(self._waiting) or any(start is not None for start in self._starts)

    def take(self, count: int) -> deque[_Entry]:
        """Returns the next entries, fewer only at the end."""
        taken: deque[_Entry] = deque()
        while len(taken) < count:
            for number, entries in enumerate(self._waiting):
                if not entries and self._starts[number] is not None:
                    self._query(number, count)
            newest = max(filter(None, self._waiting), key=lambda entries: entries[0].at, default=None)
            if newest is None:
                break
            taken.append(newest.popleft())
        return taken

    def _query(self, number: int, count: int) -> None:
        source, start = self._source, self._starts[number]
        answer = self._client.query(
            TableName=self._table,
            IndexName=source.index_name,
            KeyConditionExpression="#hash = :partition AND #range BETWEEN :first AND :last",
            ExpressionAttributeNames={"#hash": source.hash_key, "#range": source.range_key},
            ExpressionAttributeValues={
                ":partition": {"S": source.partitions[number]},
                ":first": {"S": source.first},
                ":last": {"S": self._last},
            },
            ScanIndexForward=False,
            Limit=count if len(source.partitions) == 1 else min(count, _CHUNK),
            **({"ExclusiveStartKey": start} if start else {}),
        )
        self._waiting[number].extend(
            _Entry(item[source.range_key]["S"], item["orderId"]["S"], number) for item in answer["Items"]
        )
        self._starts[number] = answer.get("LastEvaluatedKey")

    def _key(self, entry: _Entry) -> Item:
        return {
            self._source.hash_key: {"S": self._source.partitions[entry.partition]},
            self._source.range_key: {"S": entry.at},
            "orderId": {"S": entry.order_id},
        }


def _source_of(query: OrderQuery, workflow_due_by: str) -> _Source:
    between = {"first": query.placed_from or _FIRST, "last": query.placed_before or _LAST}
    if query.user_id is not None:
        return _Source("byUser", "userId", (query.user_id,), **between)
    if query.reference is not None:
        return _Source("byReference", "reference", (query.reference,), **between)
    if query.status in OPEN_STATUSES:
        # Orders that wait for something else than the workflow are due later. There may be very many.
        return _Source("open", "openShard", OPEN_SHARDS, range_key="dueAt", last=workflow_due_by)
    if query.status is OrderStatus.IN_FULFILLMENT:
        return _Source("open", "openShard", OPEN_SHARDS, range_key="dueAt")
    if query.status is OrderStatus.FAILED:
        return _Source("failed", "failedShard", LIST_SHARDS, **between)
    return _Source("byTime", "timeShard", LIST_SHARDS, **between)


def _after(position: Position | None, entry: _Entry) -> Position:
    """Returns the position after an entry: its time, and what each partition has shown of that time.

    DynamoDB does not define the order of entries with equal times, so each partition continues after its own
    last entry. Of other times every partition has shown all or nothing.
    """
    shown = position.shown if position is not None and position.at == entry.at else {}
    return Position(entry.at, {**shown, entry.partition: entry.order_id})
