"""The roles of the workflows: who may assume them, and that they fit the program and nothing beside it."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from local.program import PROJECT_ROOT, ProgramError, ProgramRun, Resource, run_program
from local.recorder import ACCOUNT_ID, REGION, Recorder
from local.stack_config import ConfigError
from policy.resources import ROLE, ROLE_POLICY, ROLE_POLICY_ATTACHMENT, many, statements
from tests.policy.evaluation import recording
from tests.privileges import grants_of_role

HERE = f"{REGION}:{ACCOUNT_ID}"
IAM = f"arn:aws:iam::{ACCOUNT_ID}"

POLICY = "aws:iam/policy:Policy"
PROVIDER = "aws:iam/openIdConnectProvider:OpenIdConnectProvider"
KEY = f"arn:aws:kms:{HERE}:key/1111"
SECRET = f"arn:aws:secretsmanager:{HERE}:secret:signing-AbCdEf"
REPOSITORY = "acme@17/orders@4711"
NEEDED = {"repository": REPOSITORY, "stateBucket": "acme-state", "secretsKeyArn": KEY}
# Over whatever the stack's file says.
CONFIG = {**NEEDED, "oidcProviderArn": "", "fulfillmentSecretArn": ""}
BOUNDARY = f"{IAM}:policy/orderflow-boundary-{{stack}}"
ISSUER = "token.actions.githubusercontent.com"

each_stack = pytest.mark.parametrize("stack", ["dev", "prod"])


@cache
def bootstrap(stack: str) -> ProgramRun:
    return run_program(stack, Recorder(region=REGION), root=PROJECT_ROOT / "bootstrap", config=CONFIG)


def allowed(run: ProgramRun, role: str) -> list[dict[str, Any]]:
    """All statements of a role, those written into it and those attached."""
    name = run.get(ROLE, role).outputs["name"]
    attached = {
        item.inputs["policyArn"]
        for item in run.of_type(ROLE_POLICY_ATTACHMENT)
        if item.inputs["role"] == name
    }
    documents = [item.inputs["policy"] for item in run.of_type(ROLE_POLICY) if item.inputs["role"] == name]
    documents += [item.inputs["policy"] for item in run.of_type(POLICY) if item.outputs["arn"] in attached]
    assert len(documents) >= 2
    return [dict(statement) for document in documents for statement in statements(document)]


def covers(allowing: list[dict[str, Any]], action: str, resource: str) -> bool:
    """Whether one of the statements allows this, conditions apart."""
    return any(
        any(fnmatch.fnmatchcase(action, pattern) for pattern in many(statement["Action"]))
        and any(fnmatch.fnmatchcase(resource, pattern) for pattern in many(statement["Resource"]))
        for statement in allowing
    )


def may(run: ProgramRun, role: str, action: str, resource: str) -> bool:
    """Whether a role may do this, conditions apart."""
    return covers(allowed(run, role), action, resource)


# --- Who --------------------------------------------------------------------------------------------------


@each_stack
@pytest.mark.parametrize(
    ("role", "subjects"),
    [
        ("preview", [f"repo:{REPOSITORY}:pull_request", f"repo:{REPOSITORY}:ref:refs/heads/main"]),
        ("deploy", [f"repo:{REPOSITORY}:environment:{{stack}}"]),
    ],
)
def test_a_role_is_assumed_only_by_the_named_runs_of_the_repository(
    stack: str, role: str, subjects: list[str]
) -> None:
    run = bootstrap(stack)
    declared = run.get(ROLE, role)
    assert declared.inputs["name"] == f"orderflow-{role}-{stack}"
    assert declared.inputs["maxSessionDuration"] == 3600
    (statement,) = statements(declared.inputs["assumeRolePolicy"])
    assert statement == {
        "Effect": "Allow",
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Principal": {"Federated": run.get(PROVIDER, "github").outputs["arn"]},
        "Condition": {
            "StringEquals": {
                f"{ISSUER}:aud": "sts.amazonaws.com",
                f"{ISSUER}:sub": [subject.format(stack=stack) for subject in subjects],
            }
        },
    }


def test_an_account_that_has_the_provider_gets_no_second_one() -> None:
    arn = f"{IAM}:oidc-provider/{ISSUER}"
    config = {**CONFIG, "oidcProviderArn": arn}
    run = run_program("prod", Recorder(region=REGION), root=PROJECT_ROOT / "bootstrap", config=config)
    assert run.of_type(PROVIDER) == []
    (statement,) = statements(run.get(ROLE, "deploy").inputs["assumeRolePolicy"])
    assert statement["Principal"] == {"Federated": arn}


@pytest.mark.parametrize("key", sorted(NEEDED))
def test_what_is_not_configured_stops_the_program(key: str) -> None:
    config = {**CONFIG, key: None}  # whatever the stack's file says
    with pytest.raises((ProgramError, ConfigError), match=key):
        run_program("dev", Recorder(region=REGION), root=PROJECT_ROOT / "bootstrap", config=config)


@pytest.mark.parametrize("repository", ["acme", "acme@17/orders", "acme/*", "repo:acme/orders", "a/b:ref"])
def test_a_repository_that_no_token_could_name_stops_the_program(repository: str) -> None:
    config = {**CONFIG, "repository": repository}
    with pytest.raises(ProgramError, match="repository must be owner@id/name@id"):
        run_program("dev", Recorder(region=REGION), root=PROJECT_ROOT / "bootstrap", config=config)


def test_a_repository_of_old_is_named_without_ids() -> None:
    config = {**CONFIG, "repository": "acme/orders"}
    run = run_program("dev", Recorder(region=REGION), root=PROJECT_ROOT / "bootstrap", config=config)
    (statement,) = statements(run.get(ROLE, "deploy").inputs["assumeRolePolicy"])
    assert statement["Condition"]["StringEquals"][f"{ISSUER}:sub"] == ["repo:acme/orders:environment:dev"]


def test_the_exports_are_what_the_repository_variables_need() -> None:
    outputs = bootstrap("dev").outputs.values
    assert outputs["previewRoleArn"] == f"{IAM}:role/orderflow-preview-dev"
    assert outputs["permissionsBoundaryArn"] == BOUNDARY.format(stack="dev")
    assert outputs["deployRoleArn"] == f"{IAM}:role/orderflow-deploy-dev"


# --- What -------------------------------------------------------------------------------------------------

# What a type needs to be made and to be read. None: made and read with another resource's actions below.
NEEDS: dict[str, tuple[str, str] | None] = {
    "aws:apigateway/apiKey:ApiKey": ("apigateway:POST", "apigateway:GET"),
    "aws:apigateway/basePathMapping:BasePathMapping": None,
    "aws:apigateway/deployment:Deployment": None,
    "aws:apigateway/domainName:DomainName": ("apigateway:POST", "apigateway:GET"),
    "aws:apigateway/integration:Integration": None,
    "aws:apigateway/integrationResponse:IntegrationResponse": None,
    "aws:apigateway/method:Method": None,
    "aws:apigateway/methodResponse:MethodResponse": None,
    "aws:apigateway/methodSettings:MethodSettings": None,
    "aws:apigateway/resource:Resource": None,
    "aws:apigateway/response:Response": None,
    "aws:apigateway/restApi:RestApi": ("apigateway:POST", "apigateway:GET"),
    "aws:apigateway/stage:Stage": ("apigateway:POST", "apigateway:GET"),
    "aws:apigateway/usagePlan:UsagePlan": ("apigateway:POST", "apigateway:GET"),
    "aws:apigateway/usagePlanKey:UsagePlanKey": None,
    "aws:cloudwatch/compositeAlarm:CompositeAlarm": (
        "cloudwatch:PutCompositeAlarm",
        "cloudwatch:DescribeAlarms",
    ),
    "aws:cloudwatch/dashboard:Dashboard": ("cloudwatch:PutDashboard", "cloudwatch:GetDashboard"),
    "aws:cloudwatch/eventBus:EventBus": ("events:CreateEventBus", "events:DescribeEventBus"),
    "aws:cloudwatch/logGroup:LogGroup": ("logs:CreateLogGroup", "logs:ListTagsForResource"),
    "aws:cloudwatch/metricAlarm:MetricAlarm": ("cloudwatch:PutMetricAlarm", "cloudwatch:DescribeAlarms"),
    "aws:dynamodb/table:Table": ("dynamodb:CreateTable", "dynamodb:DescribeContinuousBackups"),
    "aws:iam/role:Role": ("iam:CreateRole", "iam:GetRole"),
    "aws:iam/rolePolicy:RolePolicy": None,
    "aws:kms/key:Key": ("kms:CreateKey", "kms:DescribeKey"),
    "aws:lambda/eventSourceMapping:EventSourceMapping": (
        "lambda:CreateEventSourceMapping",
        "lambda:GetEventSourceMapping",
    ),
    "aws:lambda/function:Function": ("lambda:CreateFunction", "lambda:GetFunction"),
    "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig": None,
    "aws:lambda/layerVersion:LayerVersion": ("lambda:PublishLayerVersion", "lambda:GetLayerVersion"),
    "aws:lambda/permission:Permission": None,
    "aws:route53/record:Record": None,
    "aws:scheduler/schedule:Schedule": ("scheduler:CreateSchedule", "scheduler:GetSchedule"),
    "aws:scheduler/scheduleGroup:ScheduleGroup": (
        "scheduler:CreateScheduleGroup",
        "scheduler:GetScheduleGroup",
    ),
    "aws:sfn/stateMachine:StateMachine": ("states:CreateStateMachine", "states:DescribeStateMachine"),
    "aws:sns/topic:Topic": ("sns:CreateTopic", "sns:GetTopicAttributes"),
    "aws:sns/topicPolicy:TopicPolicy": None,
    "aws:sns/topicSubscription:TopicSubscription": None,
    "aws:sqs/queue:Queue": ("sqs:CreateQueue", "sqs:GetQueueAttributes"),
    "aws:sqs/queuePolicy:QueuePolicy": None,
    "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy": None,
    "aws:wafv2/webAcl:WebAcl": ("wafv2:CreateWebACL", "wafv2:GetWebACL"),
    "aws:wafv2/webAclAssociation:WebAclAssociation": None,
    "aws:xray/samplingRule:SamplingRule": ("xray:CreateSamplingRule", "xray:GetSamplingRules"),
}


def arn_of(resource: Resource) -> str:
    """The ARN that AWS gives, where the recorder leaves a part of it out."""
    if resource.type == "aws:cloudwatch/dashboard:Dashboard":
        return f"arn:aws:cloudwatch::{ACCOUNT_ID}:dashboard/{resource.inputs['dashboardName']}"
    arn = str(resource.outputs["arn"])
    if resource.type == "aws:xray/samplingRule:SamplingRule":
        return f"arn:aws:xray:{HERE}:sampling-rule/{resource.inputs['ruleName']}"
    if resource.type == "aws:scheduler/schedule:Schedule":
        return arn.replace(":schedule/", f":schedule/{resource.inputs['groupName']}/")
    return arn


def made(run: ProgramRun) -> Iterator[tuple[Resource, str, str]]:
    """Every resource that has an ARN of its own, and what it takes to make and to read it."""
    for resource in run.resources:
        if resource.custom:
            assert resource.type in NEEDS, f"say in NEEDS what {resource.type} needs, and grant it"
            needs = NEEDS[resource.type]
            if needs is not None:
                yield resource, *needs


@each_stack
def test_the_deploy_role_may_make_and_read_all_that_the_program_declares(stack: str) -> None:
    run = bootstrap(stack)
    for resource, create, read in made(recording(stack, everything=True)):
        arn = arn_of(resource)
        assert may(run, "deploy", create, arn), f"{create} on {arn}"
        assert may(run, "deploy", read, arn), f"{read} on {arn}"
        assert may(run, "preview", read, arn), f"{read} on {arn}"
        assert not may(run, "preview", create, arn), f"{create} on {arn}"


@each_stack
def test_every_role_of_the_program_may_be_passed_to_what_runs_under_it_and_to_nothing_else(
    stack: str,
) -> None:
    run = bootstrap(stack)
    (passes,) = [item for item in allowed(run, "deploy") if item["Action"] == ["iam:PassRole"]]
    services = set(passes["Condition"]["StringEquals"]["iam:PassedToService"])
    for role in recording(stack, everything=True).of_type(ROLE):
        (trust,) = statements(role.inputs["assumeRolePolicy"])
        assert trust["Principal"]["Service"] in services
        assert may(run, "deploy", "iam:PassRole", role.outputs["arn"])


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("iam:PutRolePolicy", f"{IAM}:role/orderflow-deploy-dev"),
        ("iam:UpdateAssumeRolePolicy", f"{IAM}:role/orderflow-preview-dev"),
        ("iam:CreateRole", f"{IAM}:role/admin"),
        ("iam:AttachRolePolicy", f"{IAM}:role/orderflow-orders_api-role-dev-123456"),
        ("iam:CreateUser", f"{IAM}:user/somebody"),
        ("iam:PutRolePolicy", f"{IAM}:role/orderflow-orders_api-role-prod-123456"),
        (
            "dynamodb:DeleteTable",
            f"arn:aws:dynamodb:{HERE}:table/orderflow-orders-prod-123456",
        ),
        ("dynamodb:GetItem", f"arn:aws:dynamodb:{HERE}:table/orderflow-orders-dev-123456"),
        ("dynamodb:Scan", f"arn:aws:dynamodb:{HERE}:table/orderflow-orders-dev-123456"),
        ("sqs:ReceiveMessage", f"arn:aws:sqs:{HERE}:orderflow-orders-dev-123456"),
        (
            "lambda:InvokeFunction",
            f"arn:aws:lambda:{HERE}:function:orderflow-orders_api-dev-123456",
        ),
        ("logs:GetLogEvents", f"arn:aws:logs:{HERE}:log-group:/aws/lambda/orderflow/dev/a:x"),
        ("logs:DeleteLogGroup", f"arn:aws:logs:{HERE}:log-group:/aws/lambda/orderflow/dev-eu/a"),
        ("lambda:DeleteLayerVersion", f"arn:aws:lambda:{HERE}:layer:orderflow-dev-eu-dependencies:1"),
        ("sqs:DeleteQueue", f"arn:aws:sqs:{HERE}:orderflow-orders-dev-eu-123456"),
        ("s3:PutObject", "arn:aws:s3:::acme-state/.pulumi/stacks/orderflow/dev-eu.json"),
        ("s3:GetObject", "arn:aws:s3:::acme-state/.pulumi/stacks/orderflow/dev2.json"),
        ("s3:PutObject", "arn:aws:s3:::acme-state/.pulumi/history/orderflow/dev-eu/dev-eu-1.history.json"),
        ("secretsmanager:GetSecretValue", f"arn:aws:secretsmanager:{HERE}:secret:s"),
        (
            "iam:DeleteRolePermissionsBoundary",
            f"{IAM}:role/orderflow-orders_api-role-dev-123456",
        ),
        ("iam:CreatePolicyVersion", BOUNDARY.format(stack="dev")),
        ("iam:SetDefaultPolicyVersion", BOUNDARY.format(stack="dev")),
        ("iam:DeletePolicy", BOUNDARY.format(stack="dev")),
        ("s3:PutObject", "arn:aws:s3:::acme-state/.pulumi/stacks/orderflow/prod.json"),
        ("s3:PutObject", "arn:aws:s3:::acme-state/.pulumi/stacks/orderflow-bootstrap/dev.json"),
    ],
)
def test_the_roles_of_dev_can_do_no_such_thing(action: str, resource: str) -> None:
    for role in ("preview", "deploy"):
        assert not may(bootstrap("dev"), role, action, resource)


# --- The boundary -----------------------------------------------------------------------------------------


def bounds(stack: str) -> list[dict[str, Any]]:
    """The statements of the boundary of a stack's roles, with a fulfilment system outside."""
    config = {**CONFIG, "fulfillmentSecretArn": SECRET}
    run = run_program(stack, Recorder(region=REGION), root=PROJECT_ROOT / "bootstrap", config=config)
    return [dict(statement) for statement in statements(run.get(POLICY, "boundary").inputs["policy"])]


@each_stack
def test_the_boundary_lets_every_role_of_the_program_do_all_that_it_is_granted(stack: str) -> None:
    within = bounds(stack)
    for everything in (False, True):
        run = recording(stack, everything=everything)
        for role in run.of_type(ROLE):
            for grant in grants_of_role(run, role.name):
                assert covers(within, grant.action, grant.resource), f"{role.name}: {grant}"


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("iam:PutRolePolicy", f"{IAM}:role/orderflow-orders_api-role-dev-123456"),
        ("iam:PassRole", f"{IAM}:role/orderflow-orders_api-role-dev-123456"),
        ("sts:AssumeRole", f"{IAM}:role/admin"),
        ("dynamodb:DeleteTable", f"arn:aws:dynamodb:{HERE}:table/orderflow-orders-dev-123456"),
        ("dynamodb:GetItem", f"arn:aws:dynamodb:{HERE}:table/orderflow-orders-prod-123456"),
        (
            "lambda:UpdateFunctionCode",
            f"arn:aws:lambda:{HERE}:function:orderflow-f-dev-123456",
        ),
        ("lambda:InvokeFunction", f"arn:aws:lambda:{HERE}:function:orderflow-f-prod-123456"),
        ("secretsmanager:GetSecretValue", f"arn:aws:secretsmanager:{HERE}:secret:other"),
        ("s3:GetObject", "arn:aws:s3:::acme-state/.pulumi/stacks/orderflow/dev.json"),
        ("kms:Decrypt", KEY),
    ],
)
def test_no_role_of_dev_reaches_beyond_the_boundary(action: str, resource: str) -> None:
    assert not covers(bounds("dev"), action, resource)


@each_stack
def test_the_deploy_role_gives_rights_only_to_roles_in_the_boundary(stack: str) -> None:
    """The actions that IAM lets be tied to a boundary:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html"""
    bounded = {"StringEquals": {"iam:PermissionsBoundary": BOUNDARY.format(stack=stack)}}
    giving = {"iam:CreateRole", "iam:PutRolePolicy", "iam:PutRolePermissionsBoundary"}
    forbidden = {"iam:AttachRolePolicy", "iam:DeleteRolePermissionsBoundary"}
    for statement in allowed(bootstrap(stack), "deploy"):
        actions = set(many(statement["Action"]))
        assert not actions & forbidden
        if actions & giving:
            giving -= actions
            assert statement["Condition"] == bounded
    assert giving == set()


# --- The state, and the limits ----------------------------------------------------------------------------


def test_the_state_is_written_by_the_deploy_role_alone() -> None:
    run, state = bootstrap("dev"), "arn:aws:s3:::acme-state/.pulumi/stacks/orderflow/dev.json"
    lock = "arn:aws:s3:::acme-state/.pulumi/locks/organization/orderflow/dev/1.json"
    assert may(run, "preview", "s3:GetObject", state)
    assert not may(run, "preview", "s3:PutObject", state)
    kept = (f"{kind}/orderflow/dev/dev-1.json" for kind in ("history", "backups"))
    for place in (state, f"{state}.bak", lock, *(f"arn:aws:s3:::acme-state/.pulumi/{path}" for path in kept)):
        assert may(run, "deploy", "s3:PutObject", place)
    assert may(run, "deploy", "kms:Encrypt", KEY)
    assert not may(run, "preview", "kms:Encrypt", KEY)


def test_the_preview_role_changes_nothing() -> None:
    verbs = ("Get", "List", "Describe", "Decrypt", "GET", "Validate")
    for statement in allowed(bootstrap("dev"), "preview"):
        for action in statement["Action"]:
            assert action.partition(":")[2].startswith(verbs), action


def size(policy: Resource) -> int:
    return len(json.dumps(json.loads(policy.inputs["policy"]), separators=(",", ":")))


@each_stack
def test_the_policies_keep_to_the_limits_of_iam(stack: str) -> None:
    """A managed policy holds at most 6,144 characters, all inline policies of a role together 10,240."""
    run = bootstrap(stack)
    assert [policy.name for policy in run.of_type(POLICY) if size(policy) > 6_144] == []
    for role in ("preview", "deploy"):
        name = run.get(ROLE, role).outputs["name"]
        inline = [policy for policy in run.of_type(ROLE_POLICY) if policy.inputs["role"] == name]
        assert sum(map(size, inline)) <= 10_240
