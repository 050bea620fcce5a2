"""Runs the Pulumi program and records its resources, once per process and configuration.

Processes that have the same folder in RUNS_FOLDER run each configuration once.

`declare_test_stack` uses the tests' own configuration, `declare_repository_stack` that of the repository.
Operators change Pulumi.dev.yaml and Pulumi.prod.yaml. A test of the effect of a value therefore sets that
value. A test of a repository stack must pass for every configuration.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml  # type: ignore[import-untyped]

from local.engine.program import PROJECT_ROOT, ProgramRun, run_program
from local.engine.recorder import ACCOUNT_ID, REGION, Recorder
from local.engine.stack_config import load_stack_config
from local.environment import RUNS_FOLDER

# dev: all logs and no protection. prod: protected data and few logs.
CONFIGURATIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    "dev": {"logLevel": "DEBUG", "systemLogLevel": "INFO", "workflowLogLevel": "ALL"},
    "prod": {
        "logRetentionDays": 90,
        "pointInTimeRecovery": True,
        "deletionProtection": True,
        "protectData": True,
        "alarmEmail": "none",
        "corsOrigins": ["https://shop.example.com", "https://backoffice.example.com"],
        "functionMemoryMb": 512,
        "consumerMaxConcurrency": 50,
        "tracingPercent": 1,
    },
}

# All optional parts, and the values that `prod` above does not have.
EVERYTHING: Final[Mapping[str, Any]] = {
    **CONFIGURATIONS["prod"],
    "accessLogs": True,
    "alarmEmail": "oncall@example.com",
    "customDomain": {
        "name": "api.example.com",
        "certificateArn": f"arn:aws:acm:{REGION}:{ACCOUNT_ID}:certificate/1111",
        "zoneId": "Z123456",
    },
    "firewall": True,
    "fulfillmentUrl": "https://fulfillment.example.com/shipments",
    "fulfillmentSecretArn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT_ID}:secret:signing-AbCdEf",
    "permissionsBoundaryArn": f"arn:aws:iam::{ACCOUNT_ID}:policy/orderflow-boundary",
    "provisionedConcurrency": {"products_api": 2},
    "reservedConcurrency": {"orders_api": 20, "order_consumer": 50},
    "runbookUrl": "https://wiki.example.com/orders",
    "snapStart": ["orders_api"],
    "tableBillingMode": "PROVISIONED",
    "tableReadCapacity": 5,
    "tableWriteCapacity": 5,
    "tags": {"team": "orders"},
    "usagePlans": {"partner": {"quotaPerDay": 100, "burst": 10, "rate": 2.5}},
    "workflowType": "EXPRESS",
}


def declare_test_stack(stack: str = "dev", *, preview: bool = False, **config: Any) -> ProgramRun:
    """Returns the resources of a stack with the tests' configuration, in which `config` overrides values."""
    return _run(stack, preview, json.dumps(configuration(stack, **config)))


def declare_repository_stack(stack: str, *, preview: bool = False) -> ProgramRun:
    """Returns the resources of a stack with the configuration in the repository.

    An update requires a value for `alarmEmail` that a deployer adds to the file.
    """
    is_missing = stack in CONFIGURATIONS and "orderflow:alarmEmail" not in _values_in_file(stack)
    return _run(stack, preview, json.dumps({"alarmEmail": "none"} if is_missing and not preview else {}))


def configuration(stack: str, **config: Any) -> dict[str, Any]:
    """Returns the overrides that replace all values of a stack's file by the tests' (None removes one).

    For stacks without a configuration here (`local`), only the region and `config` are replaced.
    """
    own = CONFIGURATIONS.get(stack)
    cleared = {} if own is None else dict.fromkeys(_values_in_file(stack))
    return {**cleared, "aws:region": REGION, **(own or {}), **config}


def _values_in_file(stack: str) -> Mapping[str, Any]:
    content = yaml.safe_load((PROJECT_ROOT / f"Pulumi.{stack}.yaml").read_text("utf-8"))
    values: Mapping[str, Any] = content.get("config") or {}
    return values


@cache
def _run(stack: str, preview: bool, config: str) -> ProgramRun:
    folder = os.environ.get(RUNS_FOLDER)
    if not folder:
        return _record(stack, preview, config)
    # The root is part of it: a test runs the tests of a changed copy of the project.
    key = hashlib.sha256(repr((str(PROJECT_ROOT), stack, preview, config)).encode()).hexdigest()
    file = Path(folder, f"{key}.pickle")
    if file.exists():
        found: ProgramRun = pickle.loads(file.read_bytes())  # noqa: S301  written by this code
        return found
    run = _record(stack, preview, config)
    unfinished = file.with_suffix(f".{os.getpid()}")
    unfinished.write_bytes(pickle.dumps(run))
    unfinished.rename(file)
    return run


def _record(stack: str, preview: bool, config: str) -> ProgramRun:
    overrides = json.loads(config)
    region = load_stack_config(PROJECT_ROOT, stack, overrides).values.get("aws:region", REGION)
    return run_program(stack, Recorder(region=region), preview=preview, config=overrides)


@cache
def table_schemas() -> dict[str, dict[str, Any]]:
    """Returns the key schema of each table by its logical name, as parameters of DynamoDB's CreateTable."""
    return {
        table.name: _schema(table.inputs)
        for table in declare_test_stack().of_type("aws:dynamodb/table:Table")
    }


def _schema(inputs: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = {
        "KeySchema": [{"AttributeName": inputs["hashKey"], "KeyType": "HASH"}],
        "AttributeDefinitions": [
            {"AttributeName": attribute["name"], "AttributeType": attribute["type"]}
            for attribute in inputs["attributes"]
        ],
    }
    if inputs.get("globalSecondaryIndexes"):
        schema["GlobalSecondaryIndexes"] = [
            {
                "IndexName": index["name"],
                "KeySchema": [
                    {"AttributeName": key["attributeName"], "KeyType": key["keyType"]}
                    for key in index["keySchemas"]
                ],
                "Projection": {"ProjectionType": index["projectionType"]},
            }
            for index in inputs["globalSecondaryIndexes"]
        ]
    return schema
