"""DynamoDB's wire format, update expressions, and repeated writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from functions.shared.persistence.dynamodb import (
    UpdateExpression,
    from_item,
    own_first_try,
    to_item,
    to_value,
    write,
)
from local.memory.backend import MemoryBackend
from local.memory.store import client_error


def test_an_item_has_the_same_attributes_after_a_round_trip() -> None:
    plain = {"s": "text", "n": -7, "b": True, "l": [1, "a", {"x": False}], "m": {"inner": {"deep": 2}}}
    assert from_item(to_item(plain)) == plain
    assert to_item(plain)["b"] == {"BOOL": True}  # a bool is an int in Python


@pytest.mark.parametrize("value", [1.5, None, object()])
def test_a_type_that_is_never_stored_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match=type(value).__name__):
        to_value(value)


def test_names_and_values_are_placeholders() -> None:
    update = UpdateExpression().set("status", "PAID").set("reservation.state", "HELD").remove("total")
    update.require_equal("status", "PENDING").require_exists("items").require_absent("reservation.system")
    parameters = update.parameters()
    assert parameters["UpdateExpression"] == "SET #status = :v0, #reservation.#state = :v1 REMOVE #total"
    assert parameters["ConditionExpression"] == (
        "(#status = :v2) AND (attribute_exists(#items)) AND (attribute_not_exists(#reservation.#system))"
    )
    assert parameters["ExpressionAttributeValues"] == {
        ":v0": {"S": "PAID"},
        ":v1": {"S": "HELD"},
        ":v2": {"S": "PENDING"},
    }


def test_keys_of_a_map_are_placeholders_so_they_may_have_any_characters() -> None:
    update = UpdateExpression().set_entry("lines", "a.b", 1).set_new_entry("added", "a.b", "version")
    update.remove_entry("lines", "-").require(f"attribute_exists({update.entry('lines', 'a.b')})")
    parameters = update.parameters()
    assert parameters["UpdateExpression"] == (
        "SET #lines.#k0 = :v0, #added.#k0 = if_not_exists(#added.#k0, #version) REMOVE #lines.#k1"
    )
    assert parameters["ConditionExpression"] == "(attribute_exists(#lines.#k0))"
    assert parameters["ExpressionAttributeNames"].items() >= {"#k0": "a.b", "#k1": "-"}.items()
    assert update.is_shown_by(to_item({"lines": {"a.b": 1}}))
    assert not update.is_shown_by(to_item({"lines": {"a": {"b": 1}}}))


def refused(item: dict[str, Any], tries: int) -> ClientError:
    error: Any = client_error("UpdateItem", "ConditionalCheckFailedException", Item=to_item(item))
    error.response["ResponseMetadata"]["RetryAttempts"] = tries - 1
    found: ClientError = error
    return found


@pytest.mark.parametrize(
    ("item", "tries", "is_own"),
    [
        ({"status": "PAID", "at": "now", "reservation": {"state": "HELD"}}, 2, True),
        ({"status": "PAID", "at": "now", "reservation": {"state": "HELD"}}, 1, False),
        ({"status": "PAID", "at": "earlier", "reservation": {"state": "HELD"}}, 2, False),
        ({"status": "PAID", "at": "now", "reservation": {"state": "RELEASED"}}, 2, False),
        ({"status": "PAID", "at": "now"}, 2, False),
    ],
)
def test_a_refused_repeat_is_the_own_write_if_the_item_has_all_its_values(
    item: dict[str, Any], tries: int, is_own: bool
) -> None:
    update = UpdateExpression().set("status", "PAID").set("at", "now").set("reservation.state", "HELD")
    assert (own_first_try(refused(item, tries), update) is not None) is is_own


def failing(code: str, times: int) -> Callable[..., str]:
    left = iter(range(times))

    def operation(**_parameters: object) -> str:
        if next(left, None) is not None:
            raise client_error("UpdateItem", code)
        return "written"

    return operation


def test_a_write_that_meets_a_transaction_is_repeated_once(backend: MemoryBackend) -> None:
    assert write(failing("TransactionConflictException", 1)) == "written"
    assert len(backend.paused) == 1
    with pytest.raises(ClientError, match="TransactionConflictException"):
        write(failing("TransactionConflictException", 2))
    with pytest.raises(ClientError, match="AccessDenied"):
        write(failing("AccessDenied", 1))
    assert len(backend.paused) == 2
