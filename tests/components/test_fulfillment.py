"""The connection to a fulfillment system: one permission and its environment variables."""

from local.engine.recorder import ACCOUNT_ID, REGION
from local.engine.stacks import declare_test_stack
from local.memory.permissions import Permission, permissions_in
from tests.components.recorded import FUNCTION, ROLE, ROLE_POLICY, policies_of


def test_a_fulfillment_system_adds_the_permission_to_read_one_secret() -> None:
    secret = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT_ID}:secret:partner-AbCdEf"
    run = declare_test_stack(fulfillmentUrl="https://fulfillment.example/orders", fulfillmentSecretArn=secret)
    role = run.get(ROLE, "fulfill_order-role")
    policy = run.get(ROLE_POLICY, "fulfill_order-reads-signing-secret")
    assert set(permissions_in(policy)) == {Permission("secretsmanager:GetSecretValue", secret)}
    default = policies_of(declare_test_stack(), declare_test_stack().get(ROLE, "fulfill_order-role"))
    more = {found.name for found in policies_of(run, role)} - {found.name for found in default}
    assert more == {policy.name}
    variables = run.get(FUNCTION, "fulfill_order").inputs["environment"]["variables"]
    assert {key: value for key, value in variables.items() if key.startswith("FULFILLMENT_")} == {
        "FULFILLMENT_URL": "https://fulfillment.example/orders",
        "FULFILLMENT_SECRET_ARN": secret,
    }
