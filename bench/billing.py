"""What AWS bills for a call, by its documented rules: write and read units, queue requests, events.

Consumed capacity as an emulator reports it is not used: it is computed here from what a call asked for and
from the items that it touched.

Sources (2026-11-22):
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

Item = Mapping[str, Any]
Units = dict[str, float]
"""Amounts by what is billed: `writeUnits`, `readUnits`, `queueRequests`, `events`, ..."""

_WRITE_UNIT = 1024
_READ_UNIT = 4096
_QUEUE_REQUEST = 64 * 1024
_EVENT = 64 * 1024


def value_size(value: Mapping[str, Any]) -> int:
    """The bytes of one attribute's value."""
    ((kind, content),) = value.items()
    if kind == "S":
        return len(str(content).encode())
    if kind == "N":
        digits = content.lstrip("-").replace(".", "").strip("0")
        return ceil(len(digits) / 2) + 1 + int(content.startswith("-"))
    if kind == "M":
        return 3 + sum(len(name.encode()) + value_size(inner) + 1 for name, inner in content.items())
    if kind == "L":
        return 3 + sum(value_size(inner) + 1 for inner in content)
    if kind in {"BOOL", "NULL"}:
        return 1
    raise ValueError(f"the size of DynamoDB's type {kind} is not known here")


def item_size(item: Item) -> int:
    """The bytes of an item, for reads and writes."""
    return sum(len(name.encode()) + value_size(value) for name, value in item.items())


def read_units(size: int, *, consistent: bool) -> float:
    """What reading so many bytes costs; nothing found costs as much as the smallest item."""
    return max(ceil(size / _READ_UNIT), 1) * (1.0 if consistent else 0.5)


def write_units(before: Item | None, after: Item | None) -> int:
    """What a write to the table itself costs: the larger of the two images counts."""
    size = max(item_size(before or {}), item_size(after or {}))
    return max(ceil(size / _WRITE_UNIT), 1)


def add(total: Units, more: Mapping[str, float]) -> None:
    """Add amounts to a total."""
    for what, amount in more.items():
        total[what] = total.get(what, 0) + amount


@dataclass(frozen=True, kw_only=True)
class Index:
    """A global secondary index that holds the keys only."""

    name: str
    keys: tuple[str, ...]  # its own and the table's


@dataclass(frozen=True, kw_only=True)
class TableSchema:
    """What decides the cost of a write: the key and the indexes."""

    key: str
    indexes: tuple[Index, ...]

    @staticmethod
    def of(schema: Mapping[str, Any]) -> TableSchema:
        """From parameters of CreateTable. Raises ValueError for an index that holds more than keys."""
        key = schema["KeySchema"][0]["AttributeName"]
        indexes = []
        for index in schema.get("GlobalSecondaryIndexes", ()):
            if index["Projection"]["ProjectionType"] != "KEYS_ONLY":
                raise ValueError(f"the cost of the index {index['IndexName']} is not known here")
            own = [part["AttributeName"] for part in index["KeySchema"]]
            indexes.append(Index(name=index["IndexName"], keys=(*own, key)))
        return TableSchema(key=key, indexes=tuple(indexes))

    def index_writes(self, before: Item | None, after: Item | None) -> dict[str, int]:
        """Write units per index: an entry that comes or goes costs one write, one that moves costs two."""
        return {
            index.name: sum(
                write_units(None, entry)
                for entry in _changed(_entry(index, before or {}), _entry(index, after or {}))
            )
            for index in self.indexes
        }


def _entry(index: Index, item: Item) -> Item | None:
    if not all(key in item for key in index.keys):
        return None
    return {key: item[key] for key in index.keys}


def _changed(before: Item | None, after: Item | None) -> list[Item]:
    return [] if before == after else [entry for entry in (before, after) if entry is not None]


@dataclass(frozen=True, kw_only=True)
class BilledCall:
    """One call to AWS, and what is billed for it."""

    service: str
    operation: str
    detail: str  # the table or index, or the error
    units: Units


Peek = Callable[[str, str], Item | None]
"""Looks up an item by table and key, unbilled."""


@dataclass
class Ledger:
    """Writes down every call to AWS with what it costs.

    `begin` before and `finish` after each call; tables are named as in `schemas`, or by a name that
    `logical` turns into one of those.
    """

    schemas: Mapping[str, TableSchema]
    peek: Peek
    logical: Callable[[str], str] = str
    calls: list[BilledCall] = field(default_factory=list)

    def begin(self, operation: str, request: Mapping[str, Any]) -> dict[tuple[str, str], Item | None]:
        """The items that a write is about to touch, as they are."""
        targets = {}
        for write in _writes(operation, request):
            table = write["TableName"]
            key = (write.get("Item") or write["Key"])[self.schemas[self.logical(table)].key]["S"]
            targets[table, key] = self.peek(table, key)
        return targets

    def finish(
        self,
        service: str,
        operation: str,
        request: Mapping[str, Any],
        answer: Mapping[str, Any] | None,
        before: Mapping[tuple[str, str], Item | None],
        error: str = "",
    ) -> None:
        """Write down a call that was answered, or refused with `error`."""
        units: Units = {}
        details = []
        if before:
            for (table, key), image in before.items():
                details.append(self.logical(table))
                add(units, {"writeUnits": self._write(operation, table, image, self.peek(table, key))})
        elif service == "dynamodb":
            amount, detail = self._read(operation, request, answer or {})
            details.append(detail)
            add(units, {"readUnits": amount})
        elif service in {"sqs", "stepfunctions", "events", "cloudwatch"}:
            add(units, _count_other(operation, request))
        else:
            raise ValueError(f"what {service} bills for {operation} is not known here")
        detail = ", ".join(dict.fromkeys(details)) + (f" ({error})" if error else "")
        self.calls.append(BilledCall(service=service, operation=operation, detail=detail, units=units))

    def total(self) -> Units:
        """What all calls cost together."""
        total: Units = {}
        for call in self.calls:
            add(total, call.units)
        return total

    def _write(self, operation: str, table: str, before: Item | None, after: Item | None) -> int:
        # A refused write costs as much as one that leaves the item as it is; so does one in a transaction
        # that another one cancelled. An index is written when the item changed, outside the transaction.
        factor = 2 if operation == "TransactWriteItems" else 1
        schema = self.schemas[self.logical(table)]
        return factor * write_units(before, after) + sum(schema.index_writes(before, after).values())

    def _read(
        self, operation: str, request: Mapping[str, Any], answer: Mapping[str, Any]
    ) -> tuple[float, str]:
        """Units, and what was read."""
        consistent = bool(request.get("ConsistentRead"))
        if operation == "GetItem":
            size = item_size(answer.get("Item", {}))
            return read_units(size, consistent=consistent), self.logical(request["TableName"])
        if operation in {"Query", "Scan"}:
            size = sum(item_size(item) for item in answer.get("Items", ()))
            source = f"{self.logical(request['TableName'])}.{request.get('IndexName', '')}".rstrip(".")
            return read_units(size, consistent=consistent), source
        if operation != "BatchGetItem":
            raise ValueError(f"what DynamoDB bills for {operation} is not known here")
        units = 0.0
        for table, wanted in request["RequestItems"].items():
            found = answer.get("Responses", {}).get(table, [])
            sizes = [item_size(item) for item in found] + [0] * (len(wanted["Keys"]) - len(found))
            consistent = bool(wanted.get("ConsistentRead"))
            units += sum(read_units(size, consistent=consistent) for size in sizes)
        return units, ", ".join(self.logical(table) for table in request["RequestItems"])


def _writes(operation: str, request: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    if operation in {"PutItem", "UpdateItem", "DeleteItem"}:
        return [request]
    if operation == "TransactWriteItems":
        return [next(iter(action.values())) for action in request["TransactItems"]]
    return []


def _count_other(operation: str, request: Mapping[str, Any]) -> Units:
    if operation == "SendMessage":
        return {"queueRequests": ceil(len(request["MessageBody"].encode()) / _QUEUE_REQUEST)}
    if operation == "SendMessageBatch":
        size = sum(len(entry["MessageBody"].encode()) for entry in request["Entries"])
        return {"queueRequests": ceil(size / _QUEUE_REQUEST)}
    if operation == "PutEvents":
        sizes = [
            sum(len(entry[part].encode()) for part in ("Source", "DetailType", "Detail"))
            for entry in request["Entries"]
        ]
        return {"events": sum(ceil(size / _EVENT) for size in sizes)}
    if operation == "GetMetricStatistics":
        return {"metricRequests": 1}
    if operation in {"StartExecution", "DescribeExecution"}:
        return {}  # the execution is billed, not the call
    raise ValueError(f"what AWS bills for {operation} is not known here")
