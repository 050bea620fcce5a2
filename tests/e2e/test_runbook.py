"""The runbook's commands of the AWS CLI on the embedded AWS, with botocore instead of the CLI.

tests/e2e/test_ops.py runs its commands of `python -m ops`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import jmespath  # type: ignore[import-untyped]
import pytest
from botocore import xform_name
from botocore.model import Shape

from functions.shared import clock
from local.stack import RunningStack
from tests.documents.shell import words
from tests.ops.test_runbook import RUNBOOK, aws_commands

# The embedded AWS has no usage of keys, and no quotas of Step Functions.
_NOT_EMBEDDED = ("apigateway get-usage ", "apigateway update-usage ", "service-quotas ")
_COMMANDS = [command for command in aws_commands(RUNBOOK) if not command.startswith(_NOT_EMBEDDED)]


@pytest.fixture
def values(stack: RunningStack) -> Iterator[dict[str, str]]:
    """What the commands use: the variables of the shell, and by option what a pipe appends."""
    acm, keys = stack.client("acm"), stack.client("apigateway")
    certificate = acm.request_certificate(DomainName="api.example.com")["CertificateArn"]
    key, table = stack.outputs["apiKeyIds"]["free"], stack.outputs["tableNames"]["orders"]
    yield {
        "KEY_ID": key,
        "TABLE": table,
        "FUNCTION": "orders_api",
        "NAME": stack.functions["orders_api"],
        "LAST_GOOD": clock.now(),
        "certificate-arn": certificate,
    }
    acm.delete_certificate(CertificateArn=certificate)
    keys.update_api_key(apiKey=key, patchOperations=[{"op": "replace", "path": "/enabled", "value": "true"}])


def run(stack: RunningStack, command: str, values: Mapping[str, str]) -> Any:
    """Run a command as the CLI does. Returns what its query selects."""
    command = re.sub(r"\$([A-Z_]+)", lambda found: values[found[1]], command)
    service, verb, *rest = words(command.replace("-prod-", f"-{stack.stack}-"))
    client = stack.client(service)
    waiter = rest.pop(0).replace("-", "_") if verb == "wait" else None
    method = xform_name({"table_exists": "describe-table"}[waiter] if waiter else verb).replace("-", "_")
    shapes = client.meta.service_model.operation_model(
        client.meta.method_to_api_mapping[method]
    ).input_shape.members
    members = {xform_name(member, "-"): member for member in shapes}
    parameters, query = {}, "@"
    for option, value in zip(rest, [*rest[1:], ""], strict=True):
        name = option.removeprefix("--")
        if option == "--query":
            query = value
        elif option.startswith("--") and name in members:
            member = members[name]
            parameters[member] = _value(shapes[member], value or values.get(name, ""))
    if waiter:
        client.get_waiter(waiter).wait(**parameters)
        return True
    return jmespath.search(query, getattr(client, method)(**parameters))


def _value(shape: Shape, text: str) -> object:
    """Read an option's value as the CLI does: a flag, or its shorthand for a list of structures."""
    if shape.type_name == "boolean":
        return True
    if shape.type_name == "list":
        return [dict(pair.split("=") for pair in text.split(","))]
    return text


def test_every_command_of_the_aws_cli_runs(stack: RunningStack, values: dict[str, str]) -> None:
    for command in _COMMANDS:
        assert run(stack, command, values), command
    keys = stack.client("apigateway")
    assert keys.get_api_key(apiKey=values["KEY_ID"])["enabled"]  # the last command of the restore
    stack.client("dynamodb").delete_table(TableName=f"{values['TABLE']}-restored")
