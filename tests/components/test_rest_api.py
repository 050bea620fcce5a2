"""The API: routes, keys, preflights, gateway errors, plans, and the deployments of its stage."""

import json
from pathlib import Path

import pytest

from local.engine.monitored import named_metrics
from local.engine.program import UNKNOWN, ProgramRun
from local.engine.stacks import declare_test_stack
from tests.components.recorded import (
    DEPLOYMENT,
    FUNCTION,
    LOG_GROUP,
    METHOD,
    RESOURCE,
    STACKS,
    depends_on,
    recorded_program,
)

OPEN = {"GET /", "GET /openapi.json", "GET /docs"}
ROUTES = {
    "service_api": OPEN,
    "users_api": {
        "POST /users",
        "GET /users",
        "GET /users/{userId}",
        "PUT /users/{userId}",
        "PATCH /users/{userId}",
        "DELETE /users/{userId}",
    },
    "products_api": {
        "POST /products",
        "GET /products",
        "GET /products/{productId}",
        "PUT /products/{productId}",
        "PATCH /products/{productId}",
        "DELETE /products/{productId}",
        "POST /products/{productId}/stock",
        "POST /products/batch",
        "POST /quotes",
    },
    "baskets_api": {
        "GET /users/{userId}/basket",
        "DELETE /users/{userId}/basket",
        "PUT /users/{userId}/basket/items/{productId}",
        "DELETE /users/{userId}/basket/items/{productId}",
    },
    "orders_api": {
        "GET /users/{userId}/orders",
        "POST /users/{userId}/basket/checkout",
        "GET /orders",
        "POST /orders",
        "GET /orders/{orderId}",
        "POST /orders/{orderId}/cancel",
    },
    # With a fulfillment system there are two more: see test_fulfillment.py.
    "reports_api": {"PUT /orders/{orderId}/returns/{returnId}"},
}
INTEGRATION = "aws:apigateway/integration:Integration"
INTEGRATION_RESPONSE = "aws:apigateway/integrationResponse:IntegrationResponse"
METHOD_RESPONSE = "aws:apigateway/methodResponse:MethodResponse"
MODEL = "aws:apigateway/model:Model"
each_stack = pytest.mark.parametrize("stack", STACKS)


def paths(run: ProgramRun) -> dict[str, str]:
    """Returns the path of each resource id."""
    (api,) = run.of_type("aws:apigateway/restApi:RestApi")
    return {api.outputs["rootResourceId"]: "/"} | {
        resource.id: resource.outputs["path"] for resource in run.of_type(RESOURCE)
    }


def methods(run: ProgramRun) -> dict[str, bool]:
    """Returns for each route, such as "GET /users", whether it requires a key."""
    at = paths(run)
    return {
        f"{method.inputs['httpMethod']} {at[method.inputs['resourceId']]}": method.inputs["apiKeyRequired"]
        for method in run.of_type(METHOD)
    }


def with_head(routes: set[str]) -> set[str]:
    """Returns the routes, with one for HEAD beside each for GET."""
    return routes | {route.replace("GET", "HEAD") for route in routes if route.startswith("GET ")}


@each_stack
def test_every_route_is_answered_by_its_function(stack: str) -> None:
    run = declare_test_stack(stack)
    at = paths(run)
    found: dict[str, set[str]] = {}
    for integration in run.of_type(INTEGRATION):
        if integration.inputs["type"] == "AWS_PROXY":
            assert integration.inputs["integrationHttpMethod"] == "POST"
            route = f"{integration.inputs['httpMethod']} {at[integration.inputs['resourceId']]}"
            found.setdefault(integration.inputs["uri"], set()).add(route)
    assert found == {
        run.get(FUNCTION, name).outputs["invokeArn"]: with_head(routes) for name, routes in ROUTES.items()
    }


@each_stack
def test_every_method_requires_a_key_except_open_routes_and_preflights(stack: str) -> None:
    without_key = {route for route, needs_key in methods(declare_test_stack(stack)).items() if not needs_key}
    assert {route for route in without_key if not route.startswith("OPTIONS")} == with_head(OPEN)


@each_stack
def test_every_path_answers_a_preflight_that_names_its_methods(stack: str) -> None:
    run = declare_test_stack(stack)
    at = paths(run)
    named = {
        at[response.inputs["resourceId"]]: response.inputs["responseParameters"][
            "method.response.header.Access-Control-Allow-Methods"
        ]
        for response in run.of_type("aws:apigateway/integrationResponse:IntegrationResponse")
    }
    assert set(named) == {route.split()[1] for route in methods(run)}
    for path, value in named.items():
        expected = {route.split()[0] for route in methods(run) if route.split()[1] == path}
        assert set(value.strip("'").split(",")) == expected
        assert "OPTIONS" in expected


@each_stack
def test_every_mapped_header_is_declared_by_its_method(stack: str) -> None:
    run = declare_test_stack(stack)
    of_method = {
        response.inputs["resourceId"]: set(response.inputs["responseParameters"])
        for response in run.of_type("aws:apigateway/methodResponse:MethodResponse")
    }
    for response in run.of_type("aws:apigateway/integrationResponse:IntegrationResponse"):
        assert set(response.inputs["responseParameters"]) == of_method[response.inputs["resourceId"]]


@each_stack
def test_gateway_errors_are_problem_documents_that_allowed_origins_can_read(stack: str) -> None:
    responses = {
        response.inputs["responseType"]: response.inputs
        for response in declare_test_stack(stack).of_type("aws:apigateway/response:Response")
    }
    assert {"DEFAULT_4XX", "DEFAULT_5XX", "INVALID_API_KEY", "THROTTLED", "QUOTA_EXCEEDED"} <= set(responses)
    assert responses["MISSING_AUTHENTICATION_TOKEN"]["statusCode"] == "404"
    for response in responses.values():
        headers = response["responseParameters"]
        assert headers["gatewayresponse.header.Content-Type"] == "'application/problem+json'"
        assert headers["gatewayresponse.header.Access-Control-Allow-Origin"] == "'*'"
        document = json.loads(response["responseTemplates"]["application/json"])
        assert str(document["status"]) == response["statusCode"]


@each_stack
def test_a_function_may_be_called_from_the_stage_of_this_api_only(stack: str) -> None:
    run = declare_test_stack(stack)
    (api,) = run.of_type("aws:apigateway/restApi:RestApi")
    permissions = run.of_type("aws:lambda/permission:Permission")
    assert {permission.inputs["function"] for permission in permissions} == {
        run.get(FUNCTION, name).outputs["arn"] for name in ROUTES
    }
    for permission in permissions:
        assert permission.inputs["principal"] == "apigateway.amazonaws.com"
        assert permission.inputs["sourceArn"] == f"{api.outputs['executionArn']}/v1/*"


@each_stack
def test_a_deployment_depends_on_all_contents_of_its_snapshot(stack: str) -> None:
    run = declare_test_stack(stack)
    (deployment,) = run.of_type(DEPLOYMENT)
    for kind in (
        "method:Method",
        "integration:Integration",
        "methodResponse:MethodResponse",
        "response:Response",
    ):
        for resource in run.of_type(f"aws:apigateway/{kind}"):
            assert depends_on(run, deployment, resource), resource.name
    for response in run.of_type("aws:apigateway/integrationResponse:IntegrationResponse"):
        assert depends_on(run, deployment, response)


@each_stack
def test_no_request_arrives_before_its_function_has_its_permissions(stack: str) -> None:
    run = declare_test_stack(stack)
    (deployment,) = run.of_type(DEPLOYMENT)
    for permission in run.of_type("aws:lambda/permission:Permission"):
        assert depends_on(run, deployment, permission)
    for policy in run.of_type("aws:iam/rolePolicy:RolePolicy"):
        if policy.name.split("-")[0] in ROUTES:
            assert depends_on(run, deployment, policy), policy.name


@each_stack
def test_the_first_request_of_each_second_and_some_others_are_traced(stack: str) -> None:
    run = declare_test_stack(stack)
    (rule,) = run.of_type("aws:xray/samplingRule:SamplingRule")
    assert rule.inputs["resourceArn"] == run.of_type("aws:apigateway/stage:Stage")[0].outputs["arn"]
    assert rule.inputs["fixedRate"] == {"dev": 0.05, "prod": 0.01}[stack]
    assert rule.inputs["reservoirSize"] == 1
    assert rule.inputs["ruleName"] == f"orderflow-{stack}"


@each_stack
def test_the_stage_is_traced_and_limited_to_the_sum_of_the_plans(stack: str) -> None:
    run = declare_test_stack(stack)
    (stage,) = run.of_type("aws:apigateway/stage:Stage")
    assert stage.inputs["stageName"] == "v1"
    assert stage.inputs["xrayTracingEnabled"] is True
    (settings,) = run.of_type("aws:apigateway/methodSettings:MethodSettings")
    assert settings.inputs["methodPath"] == "*/*"
    limits = settings.inputs["settings"]
    assert (limits["throttlingBurstLimit"], limits["throttlingRateLimit"]) == (205, 105)


@each_stack
def test_metrics_per_method_are_disabled_and_unused(stack: str) -> None:
    run = declare_test_stack(stack)
    (settings,) = run.of_type("aws:apigateway/methodSettings:MethodSettings")
    assert settings.inputs["settings"]["metricsEnabled"] is False
    named = {metric.dimensions for metric in named_metrics(run) if metric.namespace == "AWS/ApiGateway"}
    assert named == {frozenset({"ApiName", "Stage"})}


@each_stack
def test_each_plan_limits_its_own_key_on_this_stage(stack: str) -> None:
    run = declare_test_stack(stack)
    (api,) = run.of_type("aws:apigateway/restApi:RestApi")
    plans = {plan.name: plan.inputs for plan in run.of_type("aws:apigateway/usagePlan:UsagePlan")}
    assert plans["free"]["quotaSettings"] == {"limit": 5, "period": "DAY"}
    assert plans["free"]["throttleSettings"] == {"burstLimit": 5, "rateLimit": 5}
    assert plans["paid"]["quotaSettings"] == {"limit": 5000, "period": "DAY"}
    assert plans["paid"]["throttleSettings"] == {"burstLimit": 200, "rateLimit": 100}
    assert all(plan["apiStages"] == [{"apiId": api.id, "stage": "v1"}] for plan in plans.values())
    for link in run.of_type("aws:apigateway/usagePlanKey:UsagePlanKey"):
        assert link.inputs["keyId"] == run.get("aws:apigateway/apiKey:ApiKey", link.name).id
        assert link.inputs["usagePlanId"] == run.get("aws:apigateway/usagePlan:UsagePlan", link.name).id


def test_aws_generates_the_keys_and_their_values_are_secret() -> None:
    for key in declare_test_stack("prod").of_type("aws:apigateway/apiKey:ApiKey"):
        assert "value" not in key.inputs
        assert "value" in key.additional_secret_outputs


def test_the_stage_logs_its_requests_only_if_configured_and_without_the_key() -> None:
    (stage,) = declare_test_stack("prod").of_type("aws:apigateway/stage:Stage")
    assert "accessLogSettings" not in stage.inputs
    run = declare_test_stack(accessLogs=True, logRetentionDays=30)
    (stage,) = run.of_type("aws:apigateway/stage:Stage")
    group = run.get(LOG_GROUP, "orderflow-access-logs")
    assert group.inputs["retentionInDays"] == 30
    assert stage.inputs["accessLogSettings"]["destinationArn"] == group.outputs["arn"]
    line = json.loads(stage.inputs["accessLogSettings"]["format"])
    assert line["requestId"] == "$context.requestId"
    assert "$context.identity.apiKey" not in line.values()


# --- Deployments of the stage ---


def trigger(run: ProgramRun) -> str:
    (deployment,) = run.of_type(DEPLOYMENT)
    return str(deployment.inputs["triggers"]["contents"])


PROGRAM = """
from components.function import LambdaFunction
from components.layer import DependencyLayer
from components.rest_api import RestApi
from components.settings.api import ApiSettings, UsagePlan
from components.settings.functions import FunctionSettings

functions = FunctionSettings(
    memory_mb=128, log_level="INFO", system_log_level="WARN", log_retention_days=1, reserved_concurrency={{}}
)
layer = DependencyLayer("dependencies")
one = LambdaFunction("service_api", timeout=10, environment={{}}, layer=layer, settings=functions)
two = LambdaFunction("users_api", timeout=10, environment={{}}, layer=layer, settings=functions)
plans = {{"free": UsagePlan(quota_per_day=1, burst=1, rate=1.0)}}
settings = ApiSettings(usage_plans=plans, cors_origins=("*",), tracing_percent=5)
api = RestApi("shop", description="x", settings=settings)
{routes}
api.deploy()
"""
ROUTE = 'api.route("GET", "/items", one)'


def trigger_of(folder: Path, routes: str) -> str:
    folder.mkdir()
    return trigger(recorded_program(folder, PROGRAM.format(routes=routes)))


@pytest.mark.parametrize(
    "changed",
    [
        'api.route("POST", "/items", one)',
        'api.route("GET", "/things", one)',
        'api.route("GET", "/items", two)',
        'api.route("GET", "/items", one, key_required=False)',
        f'{ROUTE}\napi.route("DELETE", "/items", one)',
    ],
)
def test_a_changed_route_is_deployed(changed: str, tmp_path: Path) -> None:
    assert trigger_of(tmp_path / "before", ROUTE) != trigger_of(tmp_path / "after", changed)


def model_name(folder: Path, routes: str) -> str:
    """Returns the name of the model on which all contents of a deployment depend."""
    folder.mkdir()
    (model,) = recorded_program(folder, PROGRAM.format(routes=routes)).of_type(MODEL)
    return str(model.inputs["name"])


def test_the_contents_are_declared_again_only_when_a_route_is_added_or_removed(tmp_path: Path) -> None:
    before = model_name(tmp_path / "before", ROUTE)
    assert model_name(tmp_path / "same", ROUTE) == before
    assert model_name(tmp_path / "other", 'api.route("GET", "/items", two, key_required=False)') == before
    assert model_name(tmp_path / "method", f'{ROUTE}\napi.route("PUT", "/items", one)') != before
    assert model_name(tmp_path / "path", f'{ROUTE}\napi.route("GET", "/more", one)') != before
    assert model_name(tmp_path / "instead", 'api.route("GET", "/more", one)') != before


@each_stack
def test_all_contents_of_a_deployment_are_deleted_before_the_model_is_replaced(stack: str) -> None:
    """`tests/engine/test_removed_route.py` tests the same with Pulumi's engine."""
    run = declare_test_stack(stack)
    (model,) = run.of_type(MODEL)
    assert model.delete_before_replace
    for token in (METHOD, INTEGRATION, METHOD_RESPONSE, INTEGRATION_RESPONSE):
        for resource in run.of_type(token):
            assert resource.property_dependencies["restApi"] == (model.urn,), resource.name
    for response in run.of_type("aws:apigateway/response:Response"):
        assert response.property_dependencies["restApiId"] == (model.urn,)
    for resource in run.of_type(RESOURCE):
        assert not depends_on(run, resource, model), resource.name


def test_an_unchanged_api_is_not_deployed_again(tmp_path: Path) -> None:
    assert trigger_of(tmp_path / "before", ROUTE) == trigger_of(tmp_path / "after", ROUTE)
    assert trigger(declare_test_stack("dev")) == trigger(declare_test_stack("dev", functionMemoryMb=1024))


def test_changed_origins_are_deployed() -> None:
    assert trigger(declare_test_stack("dev")) != trigger(
        declare_test_stack("dev", corsOrigins=["https://shop.example.com"])
    )


def test_a_preview_of_a_new_stack_has_an_unknown_trigger() -> None:
    (deployment,) = declare_test_stack("dev", preview=True).of_type(DEPLOYMENT)
    assert deployment.inputs["triggers"] in (UNKNOWN, {"contents": UNKNOWN})
