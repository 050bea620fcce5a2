"""The example project and the main project on one API, each with its own stage and deployment."""

from __future__ import annotations

import ast
import os
import shlex
import subprocess
import sys
from typing import Any

import pytest
import requests

from local.engine.program import PROJECT_ROOT
from local.stack import RunningStack, record
from tests.e2e.conftest import Api

Outputs = dict[str, Any]


@pytest.fixture(scope="module")
def billing(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Outputs:
    """The outputs of the project, deployed with the command of its README."""
    readme = (PROJECT_ROOT / "examples" / "billing" / "README.md").read_text()
    (line,) = [line for line in readme.splitlines() if line.startswith("python -c ")]
    folder = tmp_path_factory.mktemp("state")
    record(stack, state_folder=folder)
    done = subprocess.run(
        [sys.executable, *shlex.split(line)[1:]],
        cwd=PROJECT_ROOT,
        env=os.environ | {"ORDERFLOW_STATE_FOLDER": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    outputs: Outputs = ast.literal_eval(done.stdout)
    return outputs


def get_bill(billing: Outputs, user: str, key: str) -> requests.Response:
    headers = {"x-api-key": key} if key else {}
    return requests.get(f"{billing['billingUrl']}/billing/{user}", headers=headers, timeout=30)


def test_a_users_bill_holds_the_fulfilled_orders(api: Api, billing: Outputs) -> None:
    user, lamp = api.create_user(), api.create_product(stock=3, price=1999)
    for quantity in (1, 2):
        assert api.wait_until_final(api.place_order(user, {lamp: quantity}))["status"] == "FULFILLED"
    assert api.wait_until_final(api.place_order(user, {lamp: 1}))["status"] == "REJECTED"
    answer = get_bill(billing, user, api.paid_key)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"userId": user, "orders": 2, "totals": {"EUR": 3 * 1999}}


def test_the_route_requires_a_key_of_the_main_project(api: Api, billing: Outputs) -> None:
    assert get_bill(billing, "u", "").status_code == 403
    assert get_bill(billing, "u", "not-a-key").status_code == 403
    assert get_bill(billing, "u", api.free_key).status_code == 200


def test_the_main_project_keeps_its_stage_and_plans(api: Api, billing: Outputs, stack: RunningStack) -> None:
    assert api.request("GET", "/", key="").json()["status"] == "ok"
    assert api.request("GET", f"/users/{api.create_user()}").status_code == 200
    apis: Any = stack.client("apigateway")
    stages = apis.get_stages(restApiId=stack.outputs["apiId"])["item"]
    deployments = {item["stageName"]: item["deploymentId"] for item in stages}
    assert set(deployments) == {"v1", "billing"}
    assert len(set(deployments.values())) == 2
    own = set(stack.outputs["usagePlanIds"].values())
    others = [plan for plan in apis.get_usage_plans()["items"] if plan["id"] not in own]
    assert [plan["apiStages"][0]["stage"] for plan in others] == ["billing"]
