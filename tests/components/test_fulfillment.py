"""The connection to a fulfillment system: one permission and its environment variables."""

from typing import Any

from local.engine.recorder import ACCOUNT_ID, REGION
from local.engine.stacks import declare_test_stack
from local.memory.permissions import Permission, permissions_in
from tests.components.recorded import FUNCTION, ROLE, ROLE_POLICY, policies_of
from tests.components.test_rest_api import methods

SYSTEM: dict[str, Any] = {
    "fulfillmentUrl": "https://fulfillment.example/orders",
    "fulfillmentSecretArn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT_ID}:secret:partner-AbCdEf",
}


def test_a_fulfillment_system_adds_the_permissions_to_read_one_secret_and_the_order() -> None:
    secret = SYSTEM["fulfillmentSecretArn"]
    run = declare_test_stack(**SYSTEM)
    role = run.get(ROLE, "fulfill_order-role")
    policy = run.get(ROLE_POLICY, "fulfill_order-reads-signing-secret")
    assert set(permissions_in(policy)) == {Permission("secretsmanager:GetSecretValue", secret)}
    default = policies_of(declare_test_stack(), declare_test_stack().get(ROLE, "fulfill_order-role"))
    more = {found.name for found in policies_of(run, role)} - {found.name for found in default}
    assert more == {policy.name, "fulfill_order-reads-orders"}
    variables = run.get(FUNCTION, "fulfill_order").inputs["environment"]["variables"]
    assert {key: value for key, value in variables.items() if key.startswith("FULFILLMENT_")} == {
        "FULFILLMENT_URL": "https://fulfillment.example/orders",
        "FULFILLMENT_SECRET_ARN": secret,
        "FULFILLMENT_OVERDUE_HOURS": "48",
    }


def test_only_a_stack_with_a_fulfillment_system_has_the_routes_of_its_reports() -> None:
    reports = {"PUT /orders/{orderId}/shipments/{shipmentId}", "PUT /orders/{orderId}/refusals/{refusalId}"}
    assert reports.isdisjoint(methods(declare_test_stack()))
    with_system = methods(declare_test_stack(**SYSTEM))
    assert {route for route, needs_key in with_system.items() if needs_key} >= reports
