"""Computes what AWS bills for a call, by its documented rules: write and read units, queue requests, events.

The units are computed from the request and from the items that it reads or writes. The capacity that an
emulator reports is not used.

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
"""Billed amounts by unit: `writeUnits`, `readUnits`, `queueRequests`, `events`, ..."""

_WRITE_UNIT = 1024
_READ_UNIT = 4096
_QUEUE_REQUEST = 64 * 1024
_EVENT = 64 * 1024


def value_size(value: Mapping[str, Any]) -> int:
    """Returns the bytes of one attribute's value."""
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
    raise ValueError(f"the size of DynamoDB's type {kind} is not defined; add it to {__name__}")


def item_size(item: Item) -> int:
    """Returns the bytes of an item, for reads and writes."""
    return sum(len(name.encode()) + value_size(value) for name, value in item.items())


def read_units(size: int, *, consistent: bool) -> float:
    """Returns the units of a read of that many bytes. A missing item costs as much as the smallest one."""
    return max(ceil(size / _READ_UNIT), 1) * (1.0 if consistent else 0.5)


def write_units(before: Item | None, after: Item | None) -> int:
    """Returns the units of a write to the table without indexes. The larger image of the item counts."""
    size = max(item_size(before or {}), item_size(after or {}))
    return max(ceil(size / _WRITE_UNIT), 1)


def add(total: Units, more: Mapping[str, float]) -> None:
    """Adds amounts to a total."""
    for what, amount in more.items():
        total[what] = total.get(what, 0) + amount


@dataclass(frozen=True, kw_only=True)
class Index:
    """A global secondary index of keys only."""

    name: str
    keys: tuple[str, ...]  # the index's and the table's


@dataclass(frozen=True, kw_only=True)
class TableSchema:
    """The parts of a table that the cost of a write depends on."""

    key: str
    indexes: tuple[Index, ...]

    @staticmethod
    def of(schema: Mapping[str, Any]) -> TableSchema:
        """Returns the schema for parameters of CreateTable. Raises ValueError for other indexes."""
        key = schema["KeySchema"][0]["AttributeName"]
        indexes = []
        for index in schema.get("GlobalSecondaryIndexes", ()):
            if index["Projection"]["ProjectionType"] != "KEYS_ONLY":
                raise ValueError(f"the index {index['IndexName']} has more than keys, which is not supported")
            own = [part["AttributeName"] for part in index["KeySchema"]]
            indexes.append(Index(name=index["IndexName"], keys=(*own, key)))
        return TableSchema(key=key, indexes=tuple(indexes))

    def index_writes(self, before: Item | None, after: Item | None) -> dict[str, int]:
        """Returns the write units per index. An added or removed entry is one write, a moved one is two."""
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
    """One AWS call with its billed units."""

    service: str
    operation: str
    detail: str  # the table or index, or the error
    units: Units
    index_units: Units = field(default_factory=dict)  # the part of the write units for each `table.index`


Peek = Callable[[str, str], Item | None]
"""Returns an item by table and key, without being billed."""


@dataclass
class Ledger:
    """Records AWS calls with their billed units.

    Call `begin` before and `finish` after each call. `logical` converts a table's name to a key of `schemas`.
    """

    schemas: Mapping[str, TableSchema]
    peek: Peek
    logical: Callable[[str], str] = str
    calls: list[BilledCall] = field(default_factory=list)

    def begin(self, operation: str, request: Mapping[str, Any]) -> dict[tuple[str, str], Item | None]:
        """Returns the items that a write is about to change, by table and key."""
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
        """Records a call that succeeded, or failed with the code `error`."""
        units: Units = {}
        index_units: Units = {}
        details = []
        if before:
            for (table, key), image in before.items():
                details.append(self.logical(table))
                of_table, of_indexes = self._write(operation, table, image, self.peek(table, key))
                add(units, {"writeUnits": of_table + sum(of_indexes.values())})
                add(index_units, of_indexes)
        elif service == "dynamodb":
            amount, detail = self._read(operation, request, answer or {})
            details.append(detail)
            add(units, {"readUnits": amount})
        elif service in {"sqs", "stepfunctions", "events", "cloudwatch"}:
            add(units, _count_other(operation, request))
        else:
            raise ValueError(f"no price rule for {service} {operation}; add one to {__name__}")
        detail = ", ".join(dict.fromkeys(details)) + (f" ({error})" if error else "")
        self.calls.append(
            BilledCall(
                service=service, operation=operation, detail=detail, units=units, index_units=index_units
            )
        )

    def total(self) -> Units:
        """Returns the units of all calls."""
        total: Units = {}
        for call in self.calls:
            add(total, call.units)
        return total

    def _write(
        self, operation: str, table: str, before: Item | None, after: Item | None
    ) -> tuple[int, Units]:
        """Returns the units of the table, and those of each index that changes."""
        # A refused write costs as much as one that does not change the item. So does a write in a cancelled
        # transaction. An index is written after a change of the item, outside the transaction.
        factor = 2 if operation == "TransactWriteItems" else 1
        name = self.logical(table)
        of_indexes = self.schemas[name].index_writes(before, after)
        return factor * write_units(before, after), {
            f"{name}.{index}": float(units) for index, units in of_indexes.items() if units
        }

    def _read(
        self, operation: str, request: Mapping[str, Any], answer: Mapping[str, Any]
    ) -> tuple[float, str]:
        """Returns the units, and the names of the tables or the index."""
        consistent = bool(request.get("ConsistentRead"))
        if operation == "GetItem":
            size = item_size(answer.get("Item", {}))
            return read_units(size, consistent=consistent), self.logical(request["TableName"])
        if operation in {"Query", "Scan"}:
            size = sum(item_size(item) for item in answer.get("Items", ()))
            source = f"{self.logical(request['TableName'])}.{request.get('IndexName', '')}".rstrip(".")
            return read_units(size, consistent=consistent), source
        if operation != "BatchGetItem":
            raise ValueError(f"no price rule for dynamodb {operation}; add one to {__name__}")
        units = 0.0
        for table, requested in request["RequestItems"].items():
            found = answer.get("Responses", {}).get(table, [])
            sizes = [item_size(item) for item in found] + [0] * (len(requested["Keys"]) - len(found))
            consistent = bool(requested.get("ConsistentRead"))
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
    raise ValueError(f"no price rule for {operation}; add one to {__name__}")
