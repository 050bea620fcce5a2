"""Runs every path of the state machine on the interpreter of the embedded AWS.

The paths are those of `tests/statemachines/paths.py`. One scripted function implements all tasks; the order's
id names its path. The task that DynamoDB implements cannot be scripted: its paths are those that a stored
order, or none, leads to.
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path as FilePath
from typing import Any
from unittest.mock import patch

import pytest

from components.workflow import fill_in
from functions.shared import clock
from local.aws import emulator
from local.aws.emulator import Endpoint, start_emulator
from local.engine.stacks import table_schemas
from local.memory.state_machine import FILE, FUNCTIONS
from tests.references.dynamodb_local import create_tables
from tests.statemachines.paths import INPUT, RESULTS, Path
from tests.statemachines.paths import PATHS as ALL_PATHS

RETURN = "ReturnToOpenIndex"
REFUSED = "DynamoDB.ConditionalCheckFailedException"
PATHS = [path for path in ALL_PATHS if path.failures.get(RETURN) in (None, [REFUSED])]

# Raises the errors of the path that the order's id names. Counts its calls in files, because several
# processes may run it.
SCRIPTED = """
import json, pathlib
FOLDER, PATHS, RESULTS = (pathlib.Path({folder!r}), json.loads({paths!r}), json.loads({results!r}))

def state_of(payload, function):
    if function == "update_order_status":
        return "Mark" + payload["status"].title()
    return function.title().replace("_", "")  # validate_order implements ValidateOrder

def handler(payload, context):
    state = state_of(payload, context.function_name)
    done = FOLDER / (payload["orderId"] + "." + state)
    turn = len(done.read_text()) if done.exists() else 0
    done.write_text("x" * (turn + 1))
    errors = PATHS[payload["orderId"]].get(state, [])
    if turn < len(errors):
        raise type(errors[turn], (Exception,), {{}})(errors[turn] + ": because")
    return RESULTS[state]
"""


@pytest.fixture(scope="module")
def scripted_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Endpoint, str, FilePath]]:
    """An emulator without waits, the state machine's ARN in it, and the folder of the counts."""
    folder = tmp_path_factory.mktemp("counts")
    environment = emulator._environment

    def without_waits(*arguments: Any) -> dict[str, str]:
        return {**environment(*arguments), "SFN_WAIT_SCALE": "0"}

    with patch.object(emulator, "_environment", without_waits), start_emulator() as running:
        endpoint = running.endpoint
        arns = {name: _deploy_script(endpoint, function, folder) for name, function in FUNCTIONS.items()}
        create_tables(endpoint.client("dynamodb"), {"orders": table_schemas()["orders"]})
        text = fill_in(FILE.read_text("utf-8"), {"partition": "aws", "ordersTable": "orders", **arns})
        machine = endpoint.client("stepfunctions").create_state_machine(
            name="order_fulfillment", definition=text, roleArn=_role(endpoint, "machine"), type="EXPRESS"
        )
        yield endpoint, machine["stateMachineArn"], folder


def _deploy_script(endpoint: Endpoint, function: str, folder: FilePath) -> str:
    """Deploys the script under a function's name. Returns its ARN."""
    code = SCRIPTED.format(
        folder=str(folder),
        paths=json.dumps({_order_id(path): path.failures for path in PATHS}),
        results=json.dumps(RESULTS),
    )
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as files:
        bootstrap = zipfile.ZipInfo("bootstrap")
        bootstrap.external_attr = 0o755 << 16
        files.writestr(bootstrap, f'#!/bin/sh\nexec "{sys.executable}" -m awslambdaric "$_HANDLER"\n')
        files.writestr("scripted.py", code)
    created = endpoint.client("lambda").create_function(
        FunctionName=function,
        Runtime="provided.al2023",
        Handler="scripted.handler",
        Role=_role(endpoint, function),
        Code={"ZipFile": archive.getvalue()},
        Timeout=10,
    )
    return str(created["FunctionArn"])


def _role(endpoint: Endpoint, name: str) -> str:
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    role = endpoint.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=trust)
    return str(role["Role"]["Arn"])


def _order_id(path: Path) -> str:
    return path.name.replace(".", "_")


def _check_path(endpoint: Endpoint, machine: str, folder: FilePath, path: Path) -> list[object]:
    """Runs a path. Returns the differences from its expected end and calls."""
    client = endpoint.client("stepfunctions")
    order_id = _order_id(path)
    orders = endpoint.client("dynamodb")
    if RETURN not in path.failures:
        item = {"orderId": {"S": order_id}, "attempt": {"N": "1"}, "status": {"S": "FULFILLED"}}
        orders.put_item(TableName="orders", Item=item)
    end = client.start_sync_execution(
        stateMachineArn=machine, name=order_id, input=json.dumps({**INPUT, "orderId": order_id})
    )
    history = client.get_execution_history(executionArn=end["executionArn"], maxResults=1000)["events"]
    entered = [
        event["stateEnteredEventDetails"]["name"] for event in history if "stateEnteredEventDetails" in event
    ]
    wrong: list[object] = []
    if (end["status"], entered[-1], end.get("error")) != path.end:
        wrong.append((path.name, end["status"], entered, end.get("error")))
    stored = orders.get_item(TableName="orders", Key={"orderId": {"S": order_id}}).get("Item", {})
    changed = [stored.get(name, {}).get("S", "") for name in ("openShard", "dueAt")]
    is_due = changed[0] == order_id[-1] and changed[1] <= clock.now()
    if is_due is not (RETURN in entered and RETURN not in path.failures):
        wrong.append((path.name, entered, changed))
    for state, errors in path.failures.items():
        if state == RETURN:
            continue
        times = len((folder / f"{order_id}.{state}").read_text())
        if path.name.startswith(state) and path.name.endswith("-once") and times != len(errors) + 1:
            wrong.append((path.name, state, times))
    return wrong


def test_every_path_ends_as_expected_on_the_embedded_aws(
    scripted_machine: tuple[Endpoint, str, FilePath], record_property: Callable[[str, object], None]
) -> None:
    with ThreadPoolExecutor(6) as threads:
        assert [
            wrong for found in threads.map(partial(_check_path, *scripted_machine), PATHS) for wrong in found
        ] == []
    record_property("coverage: the same on the embedded AWS", f"{len(PATHS)} of {len(PATHS)} paths")
