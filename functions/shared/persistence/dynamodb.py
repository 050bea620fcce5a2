"""DynamoDB's wire format and expressions, as far as they are needed here.

boto3 has a serializer, but its import costs more than the rest of a cold start's own code. Only strings,
whole numbers, booleans, bytes, lists and maps are stored.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec
from botocore.exceptions import ClientError

from functions.shared import clock
from functions.shared.domain.errors import StoreContention

# Seconds. Another writer's transaction holds an item for milliseconds.
_CONFLICT_PAUSE = 0.05

# Reasons of a cancelled transaction that are transient.
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
_TRANSIENT = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})

AttributeValue = dict[str, Any]
Item = dict[str, AttributeValue]


def to_value(value: object) -> AttributeValue:
    """Returns one value in DynamoDB's typed JSON. Raises `TypeError` for a type that is never stored."""
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, bytes):
        return {"B": value}
    if isinstance(value, int):
        return {"N": str(value)}
    if isinstance(value, dict):
        return {"M": to_item(value)}
    if isinstance(value, list | tuple):
        return {"L": [to_value(element) for element in value]}
    raise TypeError(f"DynamoDB cannot store a {type(value).__name__} here")


def to_item(attributes: Mapping[str, object]) -> Item:
    """Returns an item in DynamoDB's typed JSON."""
    return {name: to_value(value) for name, value in attributes.items()}


def struct_to_item(record: msgspec.Struct) -> Item:
    """Returns a struct of the domain as an item, without fields at their default (None)."""
    return to_item(msgspec.to_builtins(record))


def from_value(value: AttributeValue) -> Any:
    """Returns the plain value of one attribute."""
    ((kind, content),) = value.items()
    if kind == "N":
        return int(content)
    if kind == "M":
        return from_item(content)
    if kind == "L":
        return [from_value(element) for element in content]
    return content


def from_item(item: Item) -> dict[str, Any]:
    """Returns the plain attributes of an item."""
    return {name: from_value(value) for name, value in item.items()}


class UpdateExpression:
    """Builds one UpdateItem.

    Names and values are placeholders, because many attribute names here (status, items, total) are reserved
    words of DynamoDB.
    """

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._values: dict[str, AttributeValue] = {}
        self._sets: list[str] = []
        self._removes: list[str] = []
        self._conditions: list[str] = []
        self._assigned: dict[tuple[str, ...], str] = {}  # path -> placeholder of its new value
        self._keys: dict[str, str] = {}  # key of a map -> placeholder

    def name(self, path: str) -> str:
        """Returns the placeholder of an attribute, or of a path into a map (`reservation.state`)."""
        parts = path.split(".")
        for part in parts:
            self._names[f"#{part}"] = part
        return ".".join(f"#{part}" for part in parts)

    def entry(self, path: str, key: str) -> str:
        """Returns the placeholder of an entry of a map. Its key may have any characters."""
        placeholder = self._keys.setdefault(key, f"#k{len(self._keys)}")
        self._names[placeholder] = key
        return f"{self.name(path)}.{placeholder}"

    def value(self, value: object) -> str:
        """Returns the placeholder of a value."""
        typed = to_value(value)
        for placeholder, known in self._values.items():
            if known == typed:
                return placeholder
        placeholder = f":v{len(self._values)}"
        self._values[placeholder] = typed
        return placeholder

    def set(self, path: str, value: object) -> UpdateExpression:
        """Sets an attribute to a value."""
        placeholder = self._assigned[tuple(path.split("."))] = self.value(value)
        self._sets.append(f"{self.name(path)} = {placeholder}")
        return self

    def set_entry(self, path: str, key: str, value: object) -> UpdateExpression:
        """Sets an entry of an existing map."""
        placeholder = self._assigned[(*path.split("."), key)] = self.value(value)
        self._sets.append(f"{self.entry(path, key)} = {placeholder}")
        return self

    def set_new_entry(self, path: str, key: str, source: str) -> UpdateExpression:
        """Sets an entry of an existing map to another attribute's value, unless the map has the key."""
        entry = self.entry(path, key)
        self._sets.append(f"{entry} = if_not_exists({entry}, {self.name(source)})")
        return self

    def remove_entry(self, path: str, key: str) -> UpdateExpression:
        """Removes an entry of a map."""
        self._removes.append(self.entry(path, key))
        return self

    def set_default(self, path: str, value: object) -> UpdateExpression:
        """Sets an attribute that does not exist yet."""
        name = self.name(path)
        self._sets.append(f"{name} = if_not_exists({name}, {self.value(value)})")
        return self

    def append(self, path: str, element: object) -> UpdateExpression:
        """Appends one element to a list."""
        name = self.name(path)
        self._sets.append(f"{name} = list_append({name}, {self.value([element])})")
        return self

    def add(self, path: str, amount: int) -> UpdateExpression:
        """Adds a (possibly negative) amount to an existing number."""
        name = self.name(path)
        self._sets.append(f"{name} = {name} {'+' if amount >= 0 else '-'} {self.value(abs(amount))}")
        return self

    def count(self, path: str) -> UpdateExpression:
        """Increments a number by one, from zero if it does not exist. A second call changes nothing."""
        name = self.name(path)
        counting = f"{name} = if_not_exists({name}, {self.value(0)}) + {self.value(1)}"
        if counting not in self._sets:
            self._sets.append(counting)
        return self

    def remove(self, *paths: str) -> UpdateExpression:
        """Removes attributes."""
        self._removes.extend(self.name(path) for path in paths)
        return self

    def require(self, condition: str) -> UpdateExpression:
        """Adds a condition, written with placeholders from `name` and `value`."""
        self._conditions.append(condition)
        return self

    def require_exists(self, path: str) -> UpdateExpression:
        """Requires that an attribute exists."""
        return self.require(f"attribute_exists({self.name(path)})")

    def require_absent(self, path: str) -> UpdateExpression:
        """Requires that an attribute does not exist."""
        return self.require(f"attribute_not_exists({self.name(path)})")

    def require_equal(self, path: str, value: object) -> UpdateExpression:
        """Requires that an attribute has this value."""
        return self.require(f"{self.name(path)} = {self.value(value)}")

    def require_one_of(self, path: str, values: Sequence[object]) -> UpdateExpression:
        """Requires that an attribute has one of these values."""
        return self.require(f"{self.name(path)} IN ({', '.join(self.value(value) for value in values)})")

    def require_version(self, versions: Collection[int]) -> UpdateExpression:
        """Requires that the attribute `version` has one of these values. No value means that none matches."""
        if versions:
            return self.require_one_of("version", sorted(versions))
        return self.require(f"{self.name('version')} < {self.value(0)}")

    def is_shown_by(self, item: Item) -> bool:
        """Returns whether an item has every value that this update sets."""
        return all(_at(item, parts) == self._values[new] for parts, new in self._assigned.items())

    def parameters(self) -> dict[str, Any]:
        """Returns the parameters of UpdateItem, and of an Update in TransactWriteItems."""
        update = []
        if self._sets:
            update.append("SET " + ", ".join(self._sets))
        if self._removes:
            update.append("REMOVE " + ", ".join(self._removes))
        parameters: dict[str, Any] = {"UpdateExpression": " ".join(update)}
        if self._conditions:
            parameters["ConditionExpression"] = " AND ".join(f"({part})" for part in self._conditions)
        if self._names:
            parameters["ExpressionAttributeNames"] = self._names
        if self._values:
            parameters["ExpressionAttributeValues"] = self._values
        return parameters


def _at(item: Item, parts: Sequence[str]) -> AttributeValue | None:
    *maps, name = parts
    for part in maps:
        item = item.get(part, {}).get("M", {})
    return item.get(name)


def write(operation: Callable[..., Any], **parameters: Any) -> Any:
    """Calls a write of one item, and once again if another writer's transaction held the item.

    botocore does not repeat a TransactionConflictException. Raises botocore's errors.
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html#transaction-conflict-handling
    """
    try:
        return operation(**parameters)
    except ClientError as error:
        if error.response["Error"]["Code"] != "TransactionConflictException":
            raise
    clock.pause(_CONFLICT_PAUSE)
    return operation(**parameters)


def is_condition_failure(error: ClientError) -> bool:
    """Returns whether the condition of a single write did not hold."""
    return bool(error.response["Error"]["Code"] == "ConditionalCheckFailedException")


def cancellation_reasons(error: ClientError) -> list[dict[str, Any]]:
    """Returns why a transaction was cancelled: one reason per action, in their order.

    Raises `StoreContention` when the transaction still runs or met another one, and all other errors.
    """
    code = error.response["Error"]["Code"]
    if code in {"TransactionInProgressException", "TransactionConflictException"}:
        raise StoreContention("the store is busy with this record") from error
    if code != "TransactionCanceledException":
        raise error
    reasons: list[dict[str, Any]] = error.response["CancellationReasons"]
    return reasons


def was_refused(reason: Mapping[str, Any]) -> bool:
    """Returns whether the condition of an action did not hold, by its reason from `cancellation_reasons`."""
    return bool(reason["Code"] == "ConditionalCheckFailed")


def raise_if_transient(reasons: Sequence[dict[str, Any]], error: ClientError) -> None:
    """Raises `StoreContention` if one of these reasons is transient."""
    if any(reason["Code"] in _TRANSIENT for reason in reasons):
        raise StoreContention("other writers hold the same records") from error


def item_before(error: ClientError) -> Item | None:
    """Returns the item as the refused write found it, or None (ReturnValuesOnConditionCheckFailure)."""
    item: Item | None = error.response.get("Item")
    return item or None


def was_repeated(error: ClientError) -> bool:
    """Returns whether botocore sent the request more than once.

    A refused repeat may have met its own first try, whose answer was lost.
    https://docs.aws.amazon.com/botocore/latest/reference/response.html
    """
    return bool(error.response.get("ResponseMetadata", {}).get("RetryAttempts"))


def own_first_try(error: ClientError, update: UpdateExpression) -> Item | None:
    """Returns the item as the first try of this refused update left it, or None if that changed nothing.

    The update must set a value that no other writer sets, such as its time. Another writer in the same
    millisecond is only taken for this one if it set all the same values.
    """
    if not (is_condition_failure(error) and was_repeated(error)):
        return None
    item = item_before(error)
    return item if item is not None and update.is_shown_by(item) else None
