"""DynamoDB's wire format and expressions, as little of them as we need.

boto3 has a serializer, but importing boto3 costs more than the rest of a cold start's own code; what is
stored here is strings, whole numbers, booleans, lists and maps, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from botocore.exceptions import ClientError

from functions.shared import clock

# Seconds. Another writer's transaction holds an item for milliseconds.
_CONFLICT_PAUSE = 0.05

AttributeValue = dict[str, Any]
Item = dict[str, AttributeValue]


def to_value(value: object) -> AttributeValue:
    """One value in DynamoDB's typed JSON. Raises `TypeError` for a type that is never stored."""
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, int):
        return {"N": str(value)}
    if isinstance(value, Mapping):
        return {"M": to_item(value)}
    if isinstance(value, Sequence):
        return {"L": [to_value(element) for element in value]}
    raise TypeError(f"DynamoDB cannot store a {type(value).__name__} here")


def to_item(attributes: Mapping[str, object]) -> Item:
    """A whole item in DynamoDB's typed JSON."""
    return {name: to_value(value) for name, value in attributes.items()}


def struct_to_item(record: msgspec.Struct) -> Item:
    """A struct of the domain as an item; fields at their default (None) are left out."""
    return to_item(msgspec.to_builtins(record))


def from_value(value: AttributeValue) -> Any:
    """The plain value of one attribute."""
    ((kind, content),) = value.items()
    if kind == "N":
        return int(content)
    if kind == "M":
        return from_item(content)
    if kind == "L":
        return [from_value(element) for element in content]
    return content


def from_item(item: Item) -> dict[str, Any]:
    """The plain attributes of an item."""
    return {name: from_value(value) for name, value in item.items()}


class UpdateExpression:
    """Builds one UpdateItem: every name and value goes in through a placeholder, for many of our attribute
    names (status, items, total) are reserved words of DynamoDB."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._values: dict[str, AttributeValue] = {}
        self._sets: list[str] = []
        self._removes: list[str] = []
        self._conditions: list[str] = []
        self._assigned: dict[str, AttributeValue] = {}

    def name(self, path: str) -> str:
        """The placeholder of an attribute, or of a path into a map (`reservation.state`)."""
        parts = path.split(".")
        for part in parts:
            self._names[f"#{part}"] = part
        return ".".join(f"#{part}" for part in parts)

    def value(self, value: object) -> str:
        """The placeholder of a value."""
        typed = to_value(value)
        for placeholder, known in self._values.items():
            if known == typed:
                return placeholder
        placeholder = f":v{len(self._values)}"
        self._values[placeholder] = typed
        return placeholder

    def set(self, path: str, value: object) -> UpdateExpression:
        """Sets an attribute to a value."""
        self._sets.append(f"{self.name(path)} = {self.value(value)}")
        self._assigned[path] = to_value(value)
        return self

    def append(self, path: str, element: object) -> UpdateExpression:
        """Append one element to a list."""
        name = self.name(path)
        self._sets.append(f"{name} = list_append({name}, {self.value([element])})")
        return self

    def add(self, path: str, amount: int) -> UpdateExpression:
        """Add a (possibly negative) amount to a number that is there."""
        name = self.name(path)
        self._sets.append(f"{name} = {name} {'+' if amount >= 0 else '-'} {self.value(abs(amount))}")
        return self

    def count(self, path: str) -> UpdateExpression:
        """Count a number up by one, from zero if it is not there."""
        name = self.name(path)
        self._sets.append(f"{name} = if_not_exists({name}, {self.value(0)}) + {self.value(1)}")
        return self

    def remove(self, *paths: str) -> UpdateExpression:
        """Remove attributes."""
        self._removes.extend(self.name(path) for path in paths)
        return self

    def require(self, condition: str) -> UpdateExpression:
        """Add a condition, written with placeholders from `name` and `value`."""
        self._conditions.append(condition)
        return self

    def require_exists(self, path: str) -> UpdateExpression:
        """Require that an attribute is there."""
        return self.require(f"attribute_exists({self.name(path)})")

    def require_absent(self, path: str) -> UpdateExpression:
        """Requires that an attribute does not exist."""
        return self.require(f"attribute_not_exists({self.name(path)})")

    def require_equal(self, path: str, value: object) -> UpdateExpression:
        """Require that an attribute has this value."""
        return self.require(f"{self.name(path)} = {self.value(value)}")

    def require_one_of(self, path: str, values: Sequence[object]) -> UpdateExpression:
        """Require that an attribute has one of these values."""
        return self.require(f"{self.name(path)} IN ({', '.join(self.value(value) for value in values)})")

    def is_shown_by(self, item: Item) -> bool:
        """Returns whether an item has every value that this update sets."""
        return all(_at(item, path) == value for path, value in self._assigned.items())

    def parameters(self) -> dict[str, Any]:
        """The parameters of UpdateItem, and of an Update in TransactWriteItems, that this makes."""
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


def _at(item: Item, path: str) -> AttributeValue | None:
    *maps, name = path.split(".")
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
    """Whether a single write was refused by its own condition."""
    return bool(error.response["Error"]["Code"] == "ConditionalCheckFailedException")


def item_before(error: ClientError) -> Item | None:
    """The item as the refused write found it, if there was one (ReturnValuesOnConditionCheckFailure)."""
    item: Item | None = error.response.get("Item")
    return item or None


def was_repeated(error: ClientError) -> bool:
    """Returns whether botocore sent the request more than once.

    A refused repeat may have met its own first try, whose answer was lost.
    https://docs.aws.amazon.com/botocore/latest/reference/response.html
    """
    return bool(error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0))


def own_first_try(error: ClientError, update: UpdateExpression) -> Item | None:
    """Returns the item as the first try of this refused update left it, or None if that changed nothing.

    The update must set a value that no other writer sets, such as its time. Another writer in the same
    millisecond is only taken for this one if it set all the same values.
    """
    if not (is_condition_failure(error) and was_repeated(error)):
        return None
    item = item_before(error)
    return item if item is not None and update.is_shown_by(item) else None
