"""The example project on the same API: its resources and its function."""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest
from moto import mock_aws

from local.engine.input_check import check_inputs
from local.engine.program import PROJECT_ROOT, ProgramRun, run_program
from local.engine.recorder import ACCOUNT_ID, REGION, Recorder
from local.engine.stacks import declare_test_stack, table_schemas
from local.memory.permissions import Permission, permissions_in
from policy.rules import RULES
from tests.components.recorded import ROLE_POLICY
from tests.policy.evaluation import config_of, evaluate, recorded

ROOT = PROJECT_ROOT / "examples" / "billing"


# --- Resources ---


def run_project(root: Path) -> ProgramRun:
    """Runs the project in a folder with the outputs of orderflow's stack dev."""
    config = {"orderflowStack": "organization/orderflow/dev", "clients": ["free", "paid"]}
    references = {"orderflow/dev": declare_test_stack("dev").outputs}
    return run_program("dev", Recorder(), root=root, config=config, stack_references=references)


@cache
def billing() -> ProgramRun:
    return run_project(ROOT)


def orderflow(name: str) -> Any:
    return declare_test_stack("dev").outputs.values[name]


def one(kind: str) -> Any:
    (found,) = billing().of_type(kind)
    return found


def test_the_inputs_match_the_types_of_the_sdk() -> None:
    assert check_inputs(billing().resources) == []
    assert billing().messages == ()


def test_the_project_follows_the_rules_of_the_policy_pack() -> None:
    assert evaluate(RULES, recorded(billing()), config_of(billing())) == []


def test_the_project_declares_no_resource_of_orderflow() -> None:
    def identities(run: ProgramRun) -> set[tuple[str, str]]:
        return {(resource.type, resource.id) for resource in run.resources if resource.custom}

    # The membership of a key in a plan has the id of the key. The plans differ.
    shared = identities(billing()) & identities(declare_test_stack("dev"))
    assert {kind for kind, _ in shared} <= {"aws:apigateway/usagePlanKey:UsagePlanKey"}
    assert not billing().of_type("aws:apigateway/restApi:RestApi")
    assert not billing().of_type("aws:apigateway/response:Response")


def test_its_resources_are_under_the_exported_root() -> None:
    resources = billing().of_type("aws:apigateway/resource:Resource")
    parents = {resource.name: resource.inputs["parentId"] for resource in resources}
    ids = {resource.name: resource.id for resource in resources}
    assert parents == {"billing": orderflow("apiRootResourceId"), "user": ids["billing"]}
    assert not [path for path in orderflow("apiResourceIds") if path.startswith("/billing")]
    assert {resource.inputs["restApi"] for resource in resources} == {orderflow("apiId")}


def test_its_route_requires_a_key_in_every_stage() -> None:
    assert one("aws:apigateway/method:Method").inputs["apiKeyRequired"] is True


def test_its_function_may_be_called_from_its_own_stage_and_route_only() -> None:
    assert one("aws:lambda/permission:Permission").inputs["sourceArn"] == (
        f"arn:aws:execute-api:{REGION}:{ACCOUNT_ID}:{orderflow('apiId')}/billing/GET/billing/*"
    )
    assert one("aws:apigateway/stage:Stage").inputs["stageName"] == "billing" != orderflow("apiStage")


def test_its_function_may_only_read_orders_by_user() -> None:
    (policy,) = billing().of_type(ROLE_POLICY)
    table = f"arn:aws:dynamodb:{REGION}:{ACCOUNT_ID}:table/{orderflow('tableNames')['orders']}"
    logs = one("aws:cloudwatch/logGroup:LogGroup").outputs["arn"]
    assert set(permissions_in(policy)) == {
        Permission("dynamodb:Query", f"{table}/index/byUser"),
        Permission("dynamodb:BatchGetItem", table),
        Permission("logs:CreateLogStream", f"{logs}:*"),
        Permission("logs:PutLogEvents", f"{logs}:*"),
    }


def test_its_deployment_depends_on_its_route_and_changes_with_its_contents() -> None:
    deployment = one("aws:apigateway/deployment:Deployment")
    for kind in (
        "apigateway/method:Method",
        "apigateway/integration:Integration",
        "lambda/permission:Permission",
    ):
        assert one(f"aws:{kind}").urn in deployment.dependencies
    assert len(deployment.inputs["triggers"]["contents"]) == 64


@pytest.mark.parametrize(
    ("line", "edited", "declared_in", "expected"),
    [
        ('METHOD = "GET"', 'METHOD = "POST"', "method:Method", ("httpMethod", "POST")),
        ('"{userId}"', '"{user}"', "resource:Resource", ("pathPart", "{user}")),
        ("KEY_REQUIRED = True", "KEY_REQUIRED = False", "method:Method", ("apiKeyRequired", False)),
    ],
)
def test_an_edited_route_is_declared_and_deployed_again(
    line: str, edited: str, declared_in: str, expected: tuple[str, object], tmp_path: Path
) -> None:
    root = tmp_path / "billing"
    shutil.copytree(ROOT, root)
    program = root / "__main__.py"
    text = program.read_text("utf-8")
    assert text.count(line) == 1
    program.write_text(text.replace(line, edited), encoding="utf-8")
    run = run_project(root)
    key, value = expected
    assert value in [found.inputs[key] for found in run.of_type(f"aws:apigateway/{declared_in}")]
    (deployment,) = run.of_type("aws:apigateway/deployment:Deployment")
    before = one("aws:apigateway/deployment:Deployment").inputs["triggers"]
    assert deployment.inputs["triggers"] != before


def test_its_plan_limits_the_exported_keys_on_its_own_stage() -> None:
    plan = one("aws:apigateway/usagePlan:UsagePlan")
    assert plan.inputs["apiStages"] == [{"apiId": orderflow("apiId"), "stage": "billing"}]
    assert plan.id not in orderflow("usagePlanIds").values()
    members = billing().of_type("aws:apigateway/usagePlanKey:UsagePlanKey")
    assert {member.name: member.inputs["keyId"] for member in members} == orderflow("apiKeyIds")
    assert {member.inputs["usagePlanId"] for member in members} == {plan.id}


# --- Function ---


@pytest.fixture
def orders(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty orders table, as orderflow declares it."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": REGION,
        "ORDERS_TABLE": "orders",
    }.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        table = boto3.resource("dynamodb").create_table(
            TableName="orders", BillingMode="PAY_PER_REQUEST", **table_schemas()["orders"]
        )
        yield table


@pytest.fixture
def spend(orders: Any) -> ModuleType:
    return importlib.import_module("examples.billing.spend_api.spend")


def put(orders: Any, count: int, *, status: str = "FULFILLED", user: str = "u-1", **fields: object) -> None:
    """Store orders of a user, 10 EUR each."""
    with orders.batch_writer() as batch:
        for number in range(count):
            batch.put_item(
                Item={
                    "orderId": f"{user}-{status}-{number}-{fields.get('currency', 'EUR')}",
                    "userId": user,
                    "createdAt": f"2026-01-01T00:00:00.{number:03}Z",
                    "status": status,
                    "total": 1000,
                    "currency": "EUR",
                    **fields,
                }
            )


def get_bill(user: str = "u-1", **query: str) -> tuple[int, Any]:
    handler = importlib.import_module("examples.billing.spend_api.handler")
    answer = handler.lambda_handler(
        {
            "pathParameters": {"userId": user},
            "queryStringParameters": query or None,
            "requestContext": {"requestId": "request-1"},
        },
        None,
    )
    return answer["statusCode"], json.loads(answer["body"])


def test_only_fulfilled_orders_of_this_user_count_and_currencies_are_not_mixed(orders: Any) -> None:
    put(orders, 3)
    put(orders, 2, currency="USD", total=250)
    put(orders, 4, status="REJECTED")
    with orders.batch_writer() as batch:  # a pending order has no total yet
        batch.put_item(Item={"orderId": "p", "userId": "u-1", "createdAt": "2026-01-02", "status": "PENDING"})
    put(orders, 5, user="u-2")
    assert get_bill() == (200, {"userId": "u-1", "orders": 5, "totals": {"EUR": 3000, "USD": 500}})


def test_a_user_without_orders_has_an_empty_bill(orders: Any) -> None:
    assert get_bill("unknown") == (200, {"userId": "unknown", "orders": 0, "totals": {}})


def test_many_orders_are_summed_over_several_answers(
    orders: Any, monkeypatch: pytest.MonkeyPatch, spend: ModuleType
) -> None:
    monkeypatch.setattr(spend, "PAGE_SIZE", 10)
    monkeypatch.setattr(spend, "MAX_PAGES", 2)
    put(orders, 45)
    answers = [get_bill()[1]]
    while token := answers[-1].get("nextToken"):
        answers.append(get_bill(nextToken=token)[1])
    assert [answer["orders"] for answer in answers] == [20, 20, 5]
    assert sum(answer["totals"]["EUR"] for answer in answers) == 45_000


def test_a_token_applies_only_to_orders_of_the_user_in_the_path(
    orders: Any, monkeypatch: pytest.MonkeyPatch, spend: ModuleType
) -> None:
    monkeypatch.setattr(spend, "PAGE_SIZE", 1)
    monkeypatch.setattr(spend, "MAX_PAGES", 1)
    put(orders, 3)
    token = get_bill()[1]["nextToken"]
    assert get_bill("u-2", nextToken=token) == (200, {"userId": "u-2", "orders": 0, "totals": {}})


@pytest.mark.parametrize("token", ["x", "bm90IGpzb24", "WzFd", "W10", "é"])
def test_an_invalid_token_is_refused(orders: Any, token: str) -> None:
    status, problem = get_bill(nextToken=token)
    assert (status, problem["code"], problem["requestId"]) == (422, "invalid_input", "request-1")


def test_an_id_that_no_user_can_have_is_a_404(orders: Any) -> None:
    assert get_bill("a/b")[0] == 404


class Client:
    """Leaves the last key of the first `times` batches unprocessed."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.asked: list[int] = []

    def query(self, **_: object) -> Any:
        return {"Items": [{"orderId": {"S": str(number)}} for number in range(3)]}

    def batch_get_item(self, *, RequestItems: Any) -> Any:  # noqa: N803  boto3's name
        keys = RequestItems["orders"]["Keys"]
        self.asked.append(len(keys))
        left = keys[-1:] if len(self.asked) <= self.times else []
        order = {"status": {"S": "FULFILLED"}, "total": {"N": "1"}, "currency": {"S": "EUR"}}
        return {
            "Responses": {"orders": [order] * (len(keys) - len(left))},
            "UnprocessedKeys": {"orders": {"Keys": left}} if left else {},
        }


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch, spend: ModuleType) -> None:
    monkeypatch.setattr(spend.time, "sleep", lambda _: None)


@pytest.mark.usefixtures("no_waiting")
def test_unprocessed_keys_are_read_again(spend: ModuleType) -> None:
    client = Client(times=2)
    assert spend.spend_of(client, "orders", "u-1").totals == {"EUR": 3}
    assert client.asked == [3, 1, 1]


@pytest.mark.usefixtures("no_waiting")
def test_keys_that_stay_unprocessed_are_an_error(spend: ModuleType) -> None:
    with pytest.raises(spend.StoreBusy):
        spend.spend_of(Client(times=100), "orders", "u-1")
