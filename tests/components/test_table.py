"""The tables: keys, indexes, protection and billing."""

from typing import Any

import pytest

from local.engine.stacks import declare_test_stack
from tests.components.recorded import STACKS, TABLE

KEYS = {
    "users": "userId",
    "products": "productId",
    "orders": "orderId",
    "baskets": "userId",
    "emails": "emailKey",
    "requests": "requestId",
}


def indexes(table: dict[str, Any]) -> dict[str, list[tuple[str, str]]]:
    return {
        index["name"]: [(part["attributeName"], part["keyType"]) for part in index["keySchemas"]]
        for index in table.get("globalSecondaryIndexes", [])
    }


@pytest.mark.parametrize("stack", STACKS)
def test_each_table_has_its_key_and_indexes(stack: str) -> None:
    tables = {table.name: table.inputs for table in declare_test_stack(stack).of_type(TABLE)}
    assert {name: table["hashKey"] for name, table in tables.items()} == KEYS
    assert {name: indexes(table) for name, table in tables.items()} == {
        "users": {},
        "products": {"byCategory": [("category", "HASH"), ("productId", "RANGE")]},
        "orders": {
            "byUser": [("userId", "HASH"), ("createdAt", "RANGE")],
            "open": [("openShard", "HASH"), ("dueAt", "RANGE")],
            "byTime": [("timeShard", "HASH"), ("createdAt", "RANGE")],
            "failed": [("failedShard", "HASH"), ("createdAt", "RANGE")],
            "byReference": [("reference", "HASH"), ("createdAt", "RANGE")],
        },
        "baskets": {},
        "emails": {},
        "requests": {},
    }


@pytest.mark.parametrize("stack", STACKS)
def test_only_baskets_expire(stack: str) -> None:
    expiring = {
        table.name: table.inputs["ttl"]
        for table in declare_test_stack(stack).of_type(TABLE)
        if "ttl" in table.inputs
    }
    expires = {"attributeName": "expiresAt", "enabled": True}
    assert expiring == {"baskets": expires, "requests": expires}


@pytest.mark.parametrize("stack", STACKS)
def test_a_table_declares_exactly_the_attributes_of_its_keys_as_strings(stack: str) -> None:
    for table in declare_test_stack(stack).of_type(TABLE):
        used = {table.inputs["hashKey"]} | {
            part for keys in indexes(table.inputs).values() for part, _ in keys
        }
        attributes = [(attribute["name"], attribute["type"]) for attribute in table.inputs["attributes"]]
        assert sorted(attributes) == sorted((name, "S") for name in used)


@pytest.mark.parametrize("stack", STACKS)
def test_indexes_hold_only_keys_so_changes_of_status_and_stock_write_no_index(stack: str) -> None:
    for table in declare_test_stack(stack).of_type(TABLE):
        for index in table.inputs.get("globalSecondaryIndexes", []):
            assert index["projectionType"] == "KEYS_ONLY"


@pytest.mark.parametrize(("stack", "protected"), [("dev", False), ("prod", True)])
def test_data_is_protected_if_configured(stack: str, protected: bool) -> None:
    for table in declare_test_stack(stack).of_type(TABLE):
        recovery = {"enabled": True, "recoveryPeriodInDays": 35} if protected else {"enabled": False}
        assert table.inputs["pointInTimeRecovery"] == recovery
        assert table.inputs["deletionProtectionEnabled"] is protected
        assert table.protect is protected
        assert table.retain_on_delete is protected


def test_tables_billed_per_request_declare_no_capacity() -> None:
    for table in declare_test_stack("prod").of_type(TABLE):
        assert table.inputs["billingMode"] == "PAY_PER_REQUEST"
        assert "readCapacity" not in table.inputs


def test_provisioned_capacity_applies_to_tables_and_indexes() -> None:
    run = declare_test_stack(tableBillingMode="PROVISIONED", tableReadCapacity=4, tableWriteCapacity=2)
    for table in run.of_type(TABLE):
        for part in (table.inputs, *table.inputs.get("globalSecondaryIndexes", [])):
            assert (part["readCapacity"], part["writeCapacity"]) == (4, 2)
