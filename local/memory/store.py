"""DynamoDB in memory: the calls and expressions that the functions use, a hundred times faster than moto.

`test_store.py` compares it with moto and with DynamoDB Local, by AWS. `faults.py` adds transaction conflicts
and throttling.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import combinations, islice
from operator import itemgetter
from typing import Any, NamedTuple, NoReturn

from botocore import xform_name
from botocore.exceptions import ClientError

Item = dict[str, Any]
Expression = tuple[Any, ...]

_TOKENS = re.compile(r"\s*(<>|<=|>=|[=<>(),.+-]|[#:]?\w+)")


def client_error(operation: str, code: str, **extra: Any) -> Exception:
    """Returns the error that botocore raises for an error response of AWS."""
    answer = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": 400}, **extra}
    error: Exception = ClientError(answer, operation)
    return error


class _Parser:
    """A recursive descent parser of DynamoDB's condition and update expressions."""

    def __init__(self, text: str) -> None:
        self._tokens = _TOKENS.findall(text)
        self._at = 0

    def peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def take(self, expected: str | None = None) -> str:
        token = self.peek()
        assert expected is None or token == expected, (expected, token, self._tokens)
        self._at += 1
        return token

    def condition(self) -> Expression:
        left = self._conjunction()
        while self.peek() == "OR":
            self.take()
            left = ("or", left, self._conjunction())
        return left

    def _conjunction(self) -> Expression:
        left = self._primary()
        while self.peek() == "AND":
            self.take()
            left = ("and", left, self._primary())
        return left

    def _primary(self) -> Expression:
        if self.peek() == "(":
            self.take()
            inner = self.condition()
            self.take(")")
            return inner
        if self.peek() in {"attribute_exists", "attribute_not_exists"}:
            return self._call()
        left = self.operand()
        operator = self.take()
        if operator == "IN":
            self.take("(")
            return ("in", left, tuple(self._list()))
        if operator == "BETWEEN":
            lowest = self.operand()
            self.take("AND")
            return ("and", (">=", left, lowest), ("<=", left, self.operand()))
        return (operator, left, self.operand())

    def _list(self) -> list[Expression]:
        elements = [self.operand()]
        while self.take() == ",":
            elements.append(self.operand())
        return elements

    def _call(self) -> Expression:
        function = self.take()
        self.take("(")
        return (function, *self._list())

    def operand(self) -> Expression:
        left = self._term()
        while self.peek() in {"+", "-"}:
            left = (self.take(), left, self._term())
        return left

    def _term(self) -> Expression:
        if self.peek() in {"list_append", "if_not_exists", "size"}:
            return self._call()
        if self.peek().startswith(":"):
            return ("value", self.take())
        return ("path", *self.path())

    def path(self) -> tuple[str, ...]:
        parts = [self.take()]
        while self.peek() == ".":
            self.take()
            parts.append(self.take())
        return tuple(parts)

    def update(self) -> tuple[list[tuple[tuple[str, ...], Expression]], list[tuple[str, ...]]]:
        sets, removes = [], []
        while self.peek():
            section = self.take()
            while True:
                path = self.path()
                if section == "SET":
                    self.take("=")
                    sets.append((path, self.operand()))
                else:
                    assert section == "REMOVE", section
                    removes.append(path)
                if self.peek() != ",":
                    break
                self.take()
        return sets, removes


@cache
def _condition(text: str) -> Expression:
    return _Parser(text).condition()


@cache
def _update(text: str) -> Any:
    return _Parser(text).update()


class _Evaluation(NamedTuple):
    """Evaluates expressions on one item."""

    item: Item
    names: Mapping[str, str]
    values: Mapping[str, Any]

    def holds(self, expression: Expression) -> bool:
        operator, *parts = expression
        if operator == "and":
            return all(self.holds(part) for part in parts)
        if operator == "or":
            return any(self.holds(part) for part in parts)
        left = self.value(parts[0])
        if operator == "attribute_exists":
            return left is not None
        if operator == "attribute_not_exists":
            return left is None
        if operator == "in":
            return left in [self.value(part) for part in parts[1]]
        return _compare(operator, left, self.value(parts[1]))

    def value(self, expression: Expression) -> Any:
        operator, *parts = expression
        if operator == "value":
            return self.values[parts[0]]
        if operator == "path":
            return self._at(parts)
        if operator == "size":
            return self._size(self.value(parts[0]))
        left, right = (self.value(part) for part in parts)
        if operator == "if_not_exists":
            return right if left is None else left
        if left is None or right is None:
            _raise_refusal("ValidationException")
        if operator == "list_append":
            return {"L": [*left["L"], *right["L"]]}
        amount = int(right["N"]) if operator == "+" else -int(right["N"])
        return {"N": str(int(left["N"]) + amount)}

    @staticmethod
    def _size(value: Any) -> Any:
        return None if value is None else {"N": str(len(next(iter(value.values()))))}

    def path(self, parts: Sequence[str]) -> list[str]:
        return [self.names[part] if part.startswith("#") else part for part in parts]

    def _at(self, parts: Sequence[str]) -> Any:
        first, *rest = self.path(parts)
        value = self.item.get(first)
        for name in rest:
            value = value["M"].get(name) if value is not None else None
        return value


def _compare(operator: str, left: Any, right: Any) -> bool:
    if operator == "=":
        return bool(left == right)
    if operator == "<>":
        return bool(left != right)
    if left is None or left.keys() != right.keys():
        return False
    ((kind, one),), ((_, other),) = left.items(), right.items()
    if kind == "N":
        one, other = int(one), int(other)
    return bool({"<": one < other, ">": one > other, "<=": one <= other, ">=": one >= other}[operator])


class _Refusal(Exception):
    """A write that DynamoDB refuses."""

    def __init__(self, code: str, item: Item | None) -> None:
        super().__init__(code)
        self.code = code
        self.item = item


def _raise_refusal(code: str, item: Item | None = None) -> NoReturn:
    raise _Refusal(code, item)


class Index:
    """A global secondary index of keys: the sort keys and item keys of each partition, in order."""

    def __init__(self, hash_key: str, range_key: str) -> None:
        self.hash_key = hash_key
        self.range_key = range_key
        self._partitions: dict[str, list[tuple[str, str]]] = {}

    def add(self, key: str, item: Item) -> None:
        """Adds the entry of an item that has both keys."""
        if self.hash_key in item and self.range_key in item:
            insort(self._partitions.setdefault(item[self.hash_key]["S"], []), self._entry(key, item))

    def remove(self, key: str, item: Item) -> None:
        """Removes the entry of an item that has both keys."""
        if self.hash_key in item and self.range_key in item:
            partition = self._partitions[item[self.hash_key]["S"]]
            del partition[bisect_left(partition, self._entry(key, item))]

    def entries(self, partition: str, bounds: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        """Returns the entries of a partition whose sort key is within all bounds (`<`, `2026`)."""
        entries = self._partitions.get(partition, [])
        first, last = 0, len(entries)
        for operator, value in bounds:
            bisect = bisect_left if operator in {"<", ">="} else bisect_right
            limit = bisect(entries, value, key=itemgetter(0))
            first, last = (max(first, limit), last) if ">" in operator else (first, min(last, limit))
        return entries[first:last]

    def _entry(self, key: str, item: Item) -> tuple[str, str]:
        return item[self.range_key]["S"], key


class Items(dict[str, Item]):
    """The items of a table by key. Every change also changes the indexes."""

    def __init__(self, indexes: Sequence[Index]) -> None:
        super().__init__()
        self._indexes = indexes

    def __setitem__(self, key: str, item: Item) -> None:
        """Stores an item, and replaces its entries."""
        before = self.get(key, {})
        super().__setitem__(key, item)
        for index in self._indexes:
            index.remove(key, before)
            index.add(key, item)

    def __delitem__(self, key: str) -> None:
        """Deletes an item and its entries."""
        for index in self._indexes:
            index.remove(key, self[key])
        super().__delitem__(key)


class Table:
    """One table. Stored items are never changed in place, so readers need no copies."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.key = schema["KeySchema"][0]["AttributeName"]
        self.indexes = {
            index["IndexName"]: Index(*(key["AttributeName"] for key in index["KeySchema"]))
            for index in schema.get("GlobalSecondaryIndexes", ())
        }
        self.items = Items(list(self.indexes.values()))

    def changed(self, request: Mapping[str, Any]) -> tuple[str, Item]:
        """Returns the key of a write's item, and the item after the write. Raises `_Refusal`."""
        key = (request.get("Item") or request["Key"])[self.key]["S"]
        before = self.items.get(key)
        names, values = (
            request.get("ExpressionAttributeNames", {}),
            request.get("ExpressionAttributeValues", {}),
        )
        evaluation = _Evaluation(before or {}, names, values)
        condition, update = request.get("ConditionExpression"), request.get("UpdateExpression", "")
        _check_placeholders(request, condition, update)
        _check_overlaps(update, tuple(names.items()))
        if condition is not None and not evaluation.holds(_condition(condition)):
            returns_item = request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
            _raise_refusal("ConditionalCheckFailed", before if returns_item else None)
        if "Item" in request:
            return key, request["Item"]
        after = dict(before or request["Key"])
        sets, removes = _update(update)
        new = [(evaluation.path(path), evaluation.value(value)) for path, value in sets]
        for path, value in new:
            _put(after, path, value)
        for path in removes:
            _remove(after, evaluation.path(path))
        return key, after


def _check_placeholders(request: Mapping[str, Any], *expressions: str | None) -> None:
    """Checks that a request defines exactly the placeholders of its expressions. DynamoDB refuses others."""
    defined = (
        request.get("ExpressionAttributeNames", {}).keys()
        | request.get("ExpressionAttributeValues", {}).keys()
    )
    assert defined == _placeholders(expressions), request


@cache
def _check_overlaps(update: str, names: tuple[tuple[str, str], ...]) -> None:
    """Checks that an update changes no path twice, and none inside of another. DynamoDB refuses that."""
    sets, removes = _update(update)
    resolve = _Evaluation({}, dict(names), {}).path
    for one, other in combinations([resolve(path) for path in [*(path for path, _ in sets), *removes]], 2):
        shared = min(len(one), len(other))
        assert one[:shared] != other[:shared], f"paths overlap: {update}"


@cache
def _placeholders(expressions: tuple[str | None, ...]) -> frozenset[str]:
    tokens = (token for text in expressions if text for token in _TOKENS.findall(text))
    return frozenset(token for token in tokens if token[0] in "#:")


def _put(item: Item, path: Sequence[str], value: Any) -> None:
    first, *rest = path
    if not rest:
        item[first] = value
        return
    if first not in item:
        _raise_refusal("ValidationException")
    inner = dict(item[first]["M"])
    _put(inner, rest, value)
    item[first] = {"M": inner}


def _remove(item: Item, path: Sequence[str]) -> None:
    first, *rest = path
    if not rest:
        item.pop(first, None)
    elif first in item:
        inner = dict(item[first]["M"])
        _remove(inner, rest)
        item[first] = {"M": inner}


def _key_condition(
    text: str, index: Index, names: Mapping[str, str], values: Mapping[str, Any]
) -> tuple[str, list[tuple[str, str]]]:
    """Returns the partition of a query, and the bounds of its sort key."""
    partition, *bounds = [
        (operator, names.get(name, name), values[value]["S"])
        for operator, name, value in _comparisons(_condition(text))
    ]
    assert partition[:2] == ("=", index.hash_key), text
    assert all(name == index.range_key for _, name, _ in bounds), text
    return partition[2], [(operator, value) for operator, _, value in bounds]


def _comparisons(condition: Expression) -> Iterator[tuple[str, str, str]]:
    operator, left, right = condition
    if operator == "and":
        yield from _comparisons(left)
        yield from _comparisons(right)
    else:
        yield operator, left[1], right[1]


class Store:
    """All tables, and the calls that the functions make."""

    def __init__(self, schemas: Mapping[str, Any]) -> None:
        self.tables = {name: Table(schema) for name, schema in schemas.items()}

    def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the response to one call of DynamoDB's API. Raises ClientError."""
        assert None not in request.values(), request  # AWS reads null as an absent parameter
        handler: Callable[[Mapping[str, Any]], dict[str, Any]] = getattr(self, f"_{xform_name(operation)}")
        try:
            return handler(request)
        except _Refusal as refusal:
            code = refusal.code
            if code == "ConditionalCheckFailed":
                code = "ConditionalCheckFailedException"
            raise client_error(operation, code, **({"Item": refusal.item} if refusal.item else {})) from None

    def _put_item(self, request: Mapping[str, Any]) -> dict[str, Any]:
        table = self.tables[request["TableName"]]
        key, item = table.changed(request)
        table.items[key] = item
        return {}

    def _update_item(self, request: Mapping[str, Any]) -> dict[str, Any]:
        table = self.tables[request["TableName"]]
        key, item = table.changed(request)
        table.items[key] = item
        return {"Attributes": item} if request.get("ReturnValues") == "ALL_NEW" else {}

    def _delete_item(self, request: Mapping[str, Any]) -> dict[str, Any]:
        table = self.tables[request["TableName"]]
        key, _ = table.changed(request)
        if key in table.items:
            del table.items[key]
        return {}

    def _get_item(self, request: Mapping[str, Any]) -> dict[str, Any]:
        table = self.tables[request["TableName"]]
        item = table.items.get(request["Key"][table.key]["S"])
        return {} if item is None else {"Item": item}

    def _batch_get_item(self, request: Mapping[str, Any]) -> dict[str, Any]:
        responses = {}
        for name, wanted in request["RequestItems"].items():
            table = self.tables[name]
            found = (table.items.get(key[table.key]["S"]) for key in wanted["Keys"])
            responses[name] = [item for item in found if item is not None]
        return {"Responses": responses, "UnprocessedKeys": {}}

    def _scan(self, request: Mapping[str, Any]) -> dict[str, Any]:
        table = self.tables[request["TableName"]]
        keys = list(table.items)
        start = request.get("ExclusiveStartKey")
        first = keys.index(start[table.key]["S"]) + 1 if start else 0
        page = keys[first : first + request["Limit"]]
        # A full page names its last key, even if nothing follows.
        more = {"LastEvaluatedKey": {table.key: {"S": page[-1]}}} if len(page) == request["Limit"] else {}
        return {"Items": [table.items[key] for key in page], **more}

    def _query(self, request: Mapping[str, Any]) -> dict[str, Any]:
        table = self.tables[request["TableName"]]
        index = table.indexes[request["IndexName"]]
        values = request["ExpressionAttributeValues"]
        names = request.get("ExpressionAttributeNames", {})
        _check_placeholders(request, request["KeyConditionExpression"])
        partition, bounds = _key_condition(request["KeyConditionExpression"], index, names, values)
        entries = index.entries(partition, bounds)
        forward = request.get("ScanIndexForward", True)
        start = request.get("ExclusiveStartKey")
        if start:
            assert start.keys() == {index.hash_key, index.range_key, table.key}, start
            assert start[index.hash_key] == {"S": partition}, start
            passed = (start[index.range_key]["S"], start[table.key]["S"])
            entries = (
                entries[bisect_right(entries, passed) :]
                if forward
                else entries[: bisect_left(entries, passed)]
            )
        page = [
            {index.range_key: {"S": at}, table.key: {"S": key}, index.hash_key: {"S": partition}}
            for at, key in islice(entries if forward else reversed(entries), request["Limit"])
        ]
        # A full page names its last key, even if nothing follows.
        more = {"LastEvaluatedKey": page[-1]} if len(page) == request["Limit"] else {}
        return {"Items": page, **more}

    def _transact_write_items(self, request: Mapping[str, Any]) -> dict[str, Any]:
        reasons: list[dict[str, Any]] = []
        changes = []
        for action in request["TransactItems"]:
            ((kind, write),) = action.items()
            table = self.tables[write["TableName"]]
            try:
                changes.append((table, *table.changed(write), kind == "Delete"))
                reasons.append({"Code": "None"})
            except _Refusal as refusal:
                reasons.append({"Code": refusal.code, **({"Item": refusal.item} if refusal.item else {})})
        if any(reason["Code"] != "None" for reason in reasons):
            raise client_error(
                "TransactWriteItems", "TransactionCanceledException", CancellationReasons=reasons
            )
        for table, key, item, is_deleted in changes:
            if is_deleted:
                table.items.pop(key, None)
            else:
                table.items[key] = item
        return {}
