"""What the Pulumi program declares, for the tests: each stack is run once per process, under the recorder."""

from __future__ import annotations

from functools import cache
from typing import Any

from local.program import ProgramRun, run_program
from local.recorder import Recorder


@cache
def declared(stack: str = "dev", *, preview: bool = False, **config: Any) -> ProgramRun:
    """All that the program declares for a stack; `config` overrides values of its configuration."""
    return run_program(stack, Recorder(), preview=preview, config=config)


def declared_tables() -> dict[str, dict[str, Any]]:
    """The key schema of each table by its logical name, as parameters of DynamoDB's CreateTable."""
    return {table.name: _schema(table.inputs) for table in declared().of_type("aws:dynamodb/table:Table")}


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
