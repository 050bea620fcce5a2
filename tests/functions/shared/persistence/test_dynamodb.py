"""DynamoDB's wire format, update expressions, and repeated writes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from functions.shared.domain.errors import StoreContention
from functions.shared.persistence.dynamodb import (
    UpdateExpression,
    cancellation_reasons,
    from_item,
    from_value,
    is_condition_failure,
    item_before,
    own_first_try,
    raise_if_transient,
    to_item,
    to_value,
    was_refused,
    was_repeated,
    write,
)
from local.memory.backend import MemoryBackend
from local.memory.store import client_error


def test_an_item_has_the_same_attributes_after_a_round_trip() -> None:
    plain = {
        "s": "text",
        "n": -7,
        "b": True,
        "raw": b"\0",
        "l": [1, "a", {"x": False}],
        "m": {"inner": {"deep": 2}},
    }
    assert from_item(to_item(plain)) == plain
    assert to_item(plain)["b"] == {"BOOL": True}  # a bool is an int in Python
    assert to_item(plain)["raw"] == {"B": b"\0"}


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


@pytest.mark.parametrize(
    ("update", "expression", "values"),
    [
        (UpdateExpression().set_default("a", 5), "SET #a = if_not_exists(#a, :v0)", [5]),
        (UpdateExpression().append("a", "x"), "SET #a = list_append(#a, :v0)", [["x"]]),
        (UpdateExpression().add("a", 3), "SET #a = #a + :v0", [3]),
        (UpdateExpression().add("a", 0), "SET #a = #a + :v0", [0]),
        (UpdateExpression().add("a", -3), "SET #a = #a - :v0", [3]),
        (UpdateExpression().count("a"), "SET #a = if_not_exists(#a, :v0) + :v1", [0, 1]),
        (UpdateExpression().count("a").count("a"), "SET #a = if_not_exists(#a, :v0) + :v1", [0, 1]),
        (UpdateExpression().set("a", 1).set("b", 1).set("c", 2), "SET #a = :v0, #b = :v0, #c = :v1", [1, 2]),
        (UpdateExpression().remove("a", "b.c").remove("d"), "REMOVE #a, #b.#c, #d", []),
    ],
)
def test_an_update_has_its_expression_and_its_values(
    update: UpdateExpression, expression: str, values: list[object]
) -> None:
    parameters = update.parameters()
    assert parameters.pop("UpdateExpression") == expression
    names = {name: name[1:] for name in re.findall(r"#\w", expression)}
    assert parameters.pop("ExpressionAttributeNames") == names
    found = parameters.pop("ExpressionAttributeValues", {})
    assert found == {f":v{number}": to_value(value) for number, value in enumerate(values)}
    assert parameters == {}


@pytest.mark.parametrize(
    ("update", "condition"),
    [
        (UpdateExpression().require_one_of("a", ["x", "y"]), "(#a IN (:v0, :v1))"),
        (UpdateExpression().require_version({2, 1}), "(#version IN (:v0, :v1))"),
        (UpdateExpression().require_version(set()), "(#version < :v0)"),
        (UpdateExpression().require("x").require("y"), "(x) AND (y)"),
    ],
)
def test_a_condition_has_its_expression(update: UpdateExpression, condition: str) -> None:
    parameters = update.parameters()
    assert (parameters["UpdateExpression"], parameters["ConditionExpression"]) == ("", condition)
    values = [from_value(value) for value in parameters.get("ExpressionAttributeValues", {}).values()]
    assert values == {"#a": ["x", "y"], "#v": [1, 2] if "IN" in condition else [0]}.get(condition[1:3], [])
    assert ("ExpressionAttributeNames" in parameters) is ("#" in condition)


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
    nested = UpdateExpression().set_entry("outer.lines", "k", 1)
    assert nested.parameters()["UpdateExpression"] == "SET #outer.#lines.#k0 = :v0"
    assert nested.is_shown_by(to_item({"outer": {"lines": {"k": 1}}}))
    assert not nested.is_shown_by({})


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
    assert backend.paused == [0.05]
    with pytest.raises(ClientError, match="TransactionConflictException"):
        write(failing("TransactionConflictException", 2))
    with pytest.raises(ClientError, match="AccessDenied"):
        write(failing("AccessDenied", 1))
    assert len(backend.paused) == 2


def cancelled(*codes: str) -> Any:
    reasons = [{"Code": code} for code in codes]
    return client_error("TransactWriteItems", "TransactionCanceledException", CancellationReasons=reasons)


def test_a_cancelled_transaction_has_a_reason_per_action() -> None:
    error = cancelled("None", "ConditionalCheckFailed")
    reasons = cancellation_reasons(error)
    assert [was_refused(reason) for reason in reasons] == [False, True]
    raise_if_transient(reasons, error)
    for code in ("TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"):
        with pytest.raises(StoreContention) as raised:
            raise_if_transient(cancellation_reasons(cancelled("None", code)), error)
        assert raised.value.__cause__ is error


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("TransactionInProgressException", StoreContention),
        ("TransactionConflictException", StoreContention),
        ("AccessDeniedException", ClientError),
    ],
)
def test_a_transaction_that_was_not_cancelled_raises(code: str, expected: type[Exception]) -> None:
    with pytest.raises(expected):
        cancellation_reasons(client_error("TransactWriteItems", code))


def test_another_error_than_a_refusal_is_no_own_first_try() -> None:
    error = refused({"at": "now"}, tries=2)
    update = UpdateExpression().set("at", "now")
    assert own_first_try(error, update) == to_item({"at": "now"})
    error.response["Error"]["Code"] = "AccessDeniedException"
    assert (is_condition_failure(error), own_first_try(error, update)) == (False, None)


def test_a_refusal_without_an_item_or_without_a_response_is_no_own_first_try() -> None:
    error: Any = client_error("UpdateItem", "ConditionalCheckFailedException")
    update = UpdateExpression().set("at", "now")
    assert (item_before(error), was_repeated(error), own_first_try(error, update)) == (None, False, None)
    error.response["ResponseMetadata"]["RetryAttempts"] = 1
    assert (was_repeated(error), own_first_try(error, update)) == (True, None)
    del error.response["ResponseMetadata"]
    error.response["Item"] = {}
    assert (item_before(error), was_repeated(error)) == (None, False)
