"""The example project beside the main one on the embedded AWS: one API, two deployments, two stages."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from local.program import PROJECT_ROOT, ProgramRun
from local.stack import RunningStack
from tests.e2e.conftest import Api


@pytest.fixture(scope="module")
def billing(stack: RunningStack) -> ProgramRun:
    return stack.deploy(PROJECT_ROOT / "examples" / "billing")


def bill(billing: ProgramRun, user: str, key: str) -> requests.Response:
    headers = {"x-api-key": key} if key else {}
    url = f"{billing.outputs.values['billingUrl']}/billing/{user}"
    return requests.get(url, headers=headers, timeout=30)


def test_a_users_bill_holds_the_fulfilled_orders(api: Api, billing: ProgramRun) -> None:
    user, lamp = api.user(), api.product(stock=3, price=1999)
    for quantity in (1, 2):
        assert api.final(api.order(user, {lamp: quantity}))["status"] == "FULFILLED"
    assert api.final(api.order(user, {lamp: 1}))["status"] == "REJECTED"
    answer = bill(billing, user, api.paid_key)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"userId": user, "orders": 2, "totals": {"EUR": 3 * 1999}}


def test_nobody_asks_without_one_of_orderflows_keys(api: Api, billing: ProgramRun) -> None:
    assert bill(billing, "u", "").status_code == 403
    assert bill(billing, "u", "not-a-key").status_code == 403
    assert bill(billing, "u", api.free_key).status_code == 200


def test_the_main_project_goes_on_as_before(api: Api, billing: ProgramRun, stack: RunningStack) -> None:
    assert api.request("GET", "/", key="").json()["status"] == "ok"
    assert api.request("GET", f"/users/{api.user()}").status_code == 200
    apis: Any = stack.client("apigateway")
    stages = apis.get_stages(restApiId=stack.outputs["apiId"])["item"]
    deployments = {item["stageName"]: item["deploymentId"] for item in stages}
    assert set(deployments) == {"v1", "billing"}
    assert len(set(deployments.values())) == 2
    own = set(stack.outputs["usagePlanIds"].values())
    others = [plan for plan in apis.get_usage_plans()["items"] if plan["id"] not in own]
    assert [plan["apiStages"][0]["stage"] for plan in others] == ["billing"]
