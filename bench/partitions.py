"""Simulates the writes of new orders to each partition of the orders table's indexes.

The items come from `OrderRepository.create` and the keys from the program. Each value of an index's hash key
has a partition of its own. DynamoDB cannot divide it further, because entries that are sorted by time all go
to its end. A partition takes 1,000 write units a second and refuses the rest. AWS may allow bursts beyond
that, and does not promise them. A refused write to an index refuses the write to the table.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/gsi-throttling.html
"""

from __future__ import annotations

import random
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from bench.report import table, write
from functions.shared.domain.orders import NewOrder, NewOrderLine, new_order
from functions.shared.persistence.orders import OrderRepository
from local.engine.stacks import table_schemas

LIMIT: Final = 1000  # write units a second of one partition
RATES: Final = (1000, 5000)  # orders a second
UNSHARDED: Final = "one partition per day"
_SECONDS: Final = 10
_USERS: Final = 100_000
_START: Final = datetime(2026, 1, 31, 8, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Load:
    """The writes to the busiest partition of an index in its busiest second, and the refused share of all."""

    partitions: int
    peak: int
    refused: float


def partitions() -> bool:
    """Simulates the rates. Returns whether no index of the program refuses a write."""
    loads = {rate: simulate(rate) for rate in RATES}
    rows = [
        [
            index,
            *(
                text
                for of_rate in loads.values()
                for text in (
                    f"{of_rate[index].partitions:,}",
                    f"{of_rate[index].peak:,}",
                    f"{of_rate[index].refused:.1%}",
                )
            ),
        ]
        for index in loads[RATES[0]]
    ]
    table(
        f"Writes of new orders to the indexes of orders: simulated, {_SECONDS} s each",
        ["index", *(f"{rate:,}/s: {what}" for rate in RATES for what in ("partitions", "peak", "refused"))],
        rows,
        f"Peak: writes to one partition in one second, of {LIMIT:,} that it takes. The last row is no index "
        "of the program.",
    )
    write(
        "partitions",
        {str(rate): {name: vars(load) for name, load in of.items()} for rate, of in loads.items()},
    )
    return not any(
        load.refused for of_rate in loads.values() for name, load in of_rate.items() if name != UNSHARDED
    )


def simulate(rate: int, seconds: int = _SECONDS) -> dict[str, Load]:
    """Returns the load of each index that new orders write, and of an index with a partition per day."""
    hash_keys: dict[str, Any] = {
        index["IndexName"]: index["KeySchema"][0]["AttributeName"]
        for index in table_schemas()["orders"]["GlobalSecondaryIndexes"]
    }
    writes: dict[str, Counter[tuple[int, str]]] = {}
    for second, item in _new_items(rate, seconds):
        for index, hash_key in hash_keys.items():
            if hash_key in item:
                writes.setdefault(index, Counter())[second, item[hash_key]["S"]] += 1
        writes.setdefault(UNSHARDED, Counter())[second, item["createdAt"]["S"][:10]] += 1
    return {index: _load(list(counts.items())) for index, counts in writes.items()}


def _load(counts: Sequence[tuple[tuple[int, str], int]]) -> Load:
    return Load(
        partitions=len({partition for (_, partition), _ in counts}),
        peak=max(count for _, count in counts),
        refused=sum(max(count - LIMIT, 0) for _, count in counts) / sum(count for _, count in counts),
    )


class _Recorder:
    """The client of a table, which keeps the last stored item."""

    item: Mapping[str, Any] = {}

    def put_item(self, *, Item: Mapping[str, Any], **_: object) -> None:  # noqa: N803
        self.item = Item


def _new_items(rate: int, seconds: int) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yields the items of orders that arrive at random times, with the second of each."""
    chance = random.Random(rate)  # noqa: S311
    recorder = _Recorder()
    orders = OrderRepository(recorder, "orders")
    at = 0.0
    while (at := at + chance.expovariate(rate)) < seconds:
        moment = _START + timedelta(seconds=at)
        order = new_order(
            NewOrder(user_id=f"u-{chance.randrange(_USERS)}", items=[NewOrderLine("p-1", 1)]),
            order_id=str(uuid.UUID(int=chance.getrandbits(128), version=4)),
            at=moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            due_at=moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            with_fingerprint=False,
        )
        orders.create(order)
        yield int(at), recorder.item
