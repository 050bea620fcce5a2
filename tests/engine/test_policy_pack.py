"""The pack under the real Pulumi CLI; skipped where none is on PATH.

One preview of a program that breaks every rule is enough: the CLI reports all violations together.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from policy.rules import RULES
from tests.engine.workspace import STACKS, Output, Workspace, require_cli


@pytest.fixture(autouse=True, scope="module")
def cli() -> None:
    require_cli()


# Appended to the program.
BROKEN = """
import json

import pulumi_aws as aws

IAM = "arn:aws:iam::123456789012"


def document(**statement):
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})


def inline(name, action, resource):
    aws.iam.RolePolicy(name, role="role", policy=document(Action=action, Resource=resource))


inline("actions", "dynamodb:*", "arn:aws:dynamodb:eu-west-1:123456789012:table/x")
inline("resources", "dynamodb:GetItem", "arn:aws:dynamodb:eu-west-1:123456789012:table/*")
inline("administrator", "iam:PutRolePolicy", f"{IAM}:role/x")
aws.iam.RolePolicyAttachment("attachment", role="role", policy_arn=f"{IAM}:policy/administrator")
pipes = document(Action="sts:AssumeRole", Principal={"Service": "pipes.amazonaws.com"})
aws.iam.Role("pipes", assume_role_policy=pipes)
for name, principal in (("everyone", "*"), ("other", "999999999999")):
    aws.lambda_.Permission(
        name, action="lambda:InvokeFunction", function=users_api.arn, principal=principal
    )
aws.lambda_.FunctionUrl("url", function_name=users_api.arn, authorization_type="AWS_IAM")
slow_function = aws.lambda_.Function(
    "function",
    name="function",
    timeout=29,
    runtime="python3.13",
    handler="x",
    code=pulumi.AssetArchive({"x": pulumi.StringAsset("x")}),
    role=f"{IAM}:role/x",
    environment={"variables": {"PARTNER_TOKEN": "x"}},
)
aws.cloudwatch.LogGroup("logs")
aws.apigateway.RestApi("imported", body="{}")
aws.apigateway.Integration(
    "proxy",
    rest_api=api.id,
    resource_id=api.root_resource_id,
    http_method="OPTIONS",
    type="HTTP_PROXY",
    integration_http_method="GET",
    uri="https://example.com",
)
aws.apigateway.Integration(
    "slow",
    rest_api=api.id,
    resource_id=api.root_resource_id,
    http_method="PUT",
    type="AWS_PROXY",
    integration_http_method="POST",
    uri=slow_function.invoke_arn,
)
aws.apigateway.Stage("unfiltered", rest_api=api.id, deployment="x", stage_name="unfiltered")
plain = aws.sqs.Queue("plain", sqs_managed_sse_enabled=False)
aws.lambda_.EventSourceMapping("slow", event_source_arn=plain.arn, function_name=users_api.arn)
topic = aws.sns.Topic("topic", kms_master_key_id="alias/other")
aws.sns.TopicSubscription("subscriber", topic="x", protocol="email", endpoint="x@example.com")
aws.cloudwatch.MetricAlarm(
    "alarm",
    comparison_operator="GreaterThanThreshold",
    evaluation_periods=1,
    alarm_actions=[topic.arn],
)
aws.dynamodb.Table(
    "table", hash_key="x", attributes=[{"name": "x", "type": "S"}], billing_mode="PAY_PER_REQUEST"
)
pulumi.export("password", "hunter22")
"""
# Text of the program, and what replaces it.
CHANGED = {
    '"project": pulumi.get_project(), ': "",
    "bound_every_role(settings.permissions_boundary_arn)": 'bound_every_role("arn:aws:iam::1:policy/x")',
    'api.route("POST", "/users", users_api)': 'api.route("POST", "/users", users_api, key_required=False)',
}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    made = Workspace.make(tmp_path_factory.mktemp("policy"))
    made.init("everything", STACKS["everything"])
    return made


def refused_by(preview: Output) -> set[str]:
    """The names of the rules that the CLI reports as broken."""
    return set(re.findall(r"\[mandatory\]\s+([a-z-]+)", preview.text))


def preview(workspace: Workspace) -> Output:
    return workspace.pulumi("preview", "--policy-pack", "policy", status=None)


def test_a_stack_with_every_part_passes(workspace: Workspace) -> None:
    printed = preview(workspace)
    assert (refused_by(printed), printed.status) == (set(), 0), printed.text


def test_every_rule_stops_a_preview(workspace: Workspace) -> None:
    program = workspace.project / "__main__.py"
    original = text = program.read_text("utf-8")
    for old, new in CHANGED.items():
        assert old in text
        text = text.replace(old, new)
    program.write_text(text + BROKEN, "utf-8")
    printed = preview(workspace)
    program.write_text(original, "utf-8")
    assert printed.status != 0
    assert refused_by(printed) == {rule.name for rule in RULES}, printed.text


def test_the_configuration_does_not_turn_tls_off(workspace: Workspace) -> None:
    workspace.pulumi("config", "set", "requireTls", "false")
    printed = preview(workspace)
    workspace.pulumi("config", "set", "requireTls", "true")
    assert printed.status != 0
    assert refused_by(printed) == {"encrypted-in-transit"}


def test_the_engine_passes_the_defaults_of_the_configuration(workspace: Workspace, tmp_path: Path) -> None:
    """recoveryDays is 35 by default, and a table below it is refused."""
    table = workspace.project / "components" / "table.py"
    original = table.read_text("utf-8")
    old = "recovery_period_in_days=settings.recovery_days"
    assert old in original
    table.write_text(original.replace(old, "recovery_period_in_days=34"), "utf-8")
    printed = preview(workspace)
    table.write_text(original, "utf-8")
    assert refused_by(printed) == {"tables-are-protected-as-configured"}
