"""The roles of the workflows: who may assume them, and which actions on which resources they allow."""

from __future__ import annotations

import fnmatch
import json
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from local.engine.program import PROJECT_ROOT, ProgramError, ProgramRun, Resource, run_program
from local.engine.provider_account import Stored
from local.engine.recorder import ACCOUNT_ID, REGION, Recorder
from local.engine.stack_config import ConfigError
from local.memory.permissions import grants_of_role
from policy.resources import ROLE, ROLE_POLICY, ROLE_POLICY_ATTACHMENT, many, statements
from tests.policy.evaluation import recording

HERE = f"{REGION}:{ACCOUNT_ID}"
IAM = f"arn:aws:iam::{ACCOUNT_ID}"

POLICY = "aws:iam/policy:Policy"
PROVIDER = "aws:iam/openIdConnectProvider:OpenIdConnectProvider"
KEY = f"arn:aws:kms:{HERE}:key/1111"
SECRET = f"arn:aws:secretsmanager:{HERE}:secret:signing-AbCdEf"
REPOSITORY = "acme@17/orders@4711"
NEEDED = {"repository": REPOSITORY, "stateBucket": "acme-state", "secretsKeyArn": KEY}
DOMAIN = {"domainName": "api.example.com", "hostedZoneId": "Z123456"}
# Replaces the values in the stack's file.
CONFIG = {**NEEDED, "oidcProviderArn": "", "fulfillmentSecretArn": "", "apiId": ""}
CONFIG |= dict.fromkeys(DOMAIN, "")
BOUNDARY = f"{IAM}:policy/orderflow-boundary-{{stack}}"
ISSUER = "token.actions.githubusercontent.com"

each_stack = pytest.mark.parametrize("stack", ["dev", "prod"])


@cache
def bootstrap(stack: str, **config: str | None) -> ProgramRun:
    """Runs the program for a stack. `config` overrides its values; None removes one."""
    return run_program(
        stack, Recorder(region=REGION), root=PROJECT_ROOT / "bootstrap", config={**CONFIG, **config}
    )


def allowed(run: ProgramRun, role: str, effect: str = "Allow") -> list[dict[str, Any]]:
    """Returns the statements of a role with this effect, from its inline and attached policies."""
    name = run.get(ROLE, role).outputs["name"]
    attached = {
        item.inputs["policyArn"]
        for item in run.of_type(ROLE_POLICY_ATTACHMENT)
        if item.inputs["role"] == name
    }
    documents = [item.inputs["policy"] for item in run.of_type(ROLE_POLICY) if item.inputs["role"] == name]
    documents += [item.inputs["policy"] for item in run.of_type(POLICY) if item.outputs["arn"] in attached]
    assert len(documents) >= 2
    found = (dict(statement) for document in documents for statement in statements(document))
    return [statement for statement in found if statement["Effect"] == effect]


def covers(allowing: list[dict[str, Any]], action: str, resource: str) -> bool:
    """Whether one of the statements allows this, if its conditions are met."""
    return any(
        any(fnmatch.fnmatchcase(action, pattern) for pattern in many(statement["Action"]))
        and any(fnmatch.fnmatchcase(resource, pattern) for pattern in many(statement["Resource"]))
        for statement in allowing
    )


def may(run: ProgramRun, role: str, action: str, resource: str) -> bool:
    """Whether a role may do this, if the conditions are met."""
    return covers(allowed(run, role), action, resource)


def allows(run: ProgramRun, role: str, action: str, resource: str, context: dict[str, Any]) -> bool:
    """Whether a role may do this in a request with this context, as IAM evaluates it."""

    def applies(effect: str) -> bool:
        statements = [
            item for item in allowed(run, role, effect) if meets(item.get("Condition", {}), context)
        ]
        return covers(statements, action, resource)

    return applies("Allow") and not applies("Deny")


def meets(conditions: dict[str, dict[str, Any]], context: dict[str, Any]) -> bool:
    """Whether a request meets all conditions.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
    """
    return all(
        OPERATORS[operator](context.get(key), many(expected))
        for operator, tests in conditions.items()
        for key, expected in tests.items()
    )


OPERATORS: dict[str, Callable[[Any, list[Any]], bool]] = {
    "StringEquals": lambda value, expected: value in expected,
    "StringEqualsIfExists": lambda value, expected: value is None or value in expected,
    "ForAllValues:StringEquals": lambda value, expected: set(value or ()) <= set(expected),
    "ArnLike": lambda value, expected: value is not None and fnmatch.fnmatchcase(value, expected[0]),
    "Null": lambda value, expected: (value is None) == (expected == ["true"]),
}


def tagged(project: str, stack: str) -> dict[str, str]:
    """The context of a request to a resource with these tags."""
    return {"aws:ResourceTag/project": project, "aws:ResourceTag/stack": stack}


def asking_for(project: str, stack: str) -> dict[str, str]:
    """The context of a request that sets these tags."""
    return {"aws:RequestTag/project": project, "aws:RequestTag/stack": stack}


# --- Trust ----------------------------------------------------------------------------------------------


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
    run = bootstrap("prod", oidcProviderArn=arn)
    assert run.of_type(PROVIDER) == []
    (statement,) = statements(run.get(ROLE, "deploy").inputs["assumeRolePolicy"])
    assert statement["Principal"] == {"Federated": arn}


@pytest.mark.parametrize("key", sorted(NEEDED))
def test_a_missing_value_stops_the_program(key: str) -> None:
    with pytest.raises((ProgramError, ConfigError), match=key):
        bootstrap("dev", **{key: None})


@pytest.mark.parametrize("repository", ["acme", "acme@17/orders", "acme/*", "repo:acme/orders", "a/b:ref"])
def test_a_repository_that_no_token_has_stops_the_program(repository: str) -> None:
    with pytest.raises(ProgramError, match="repository must be owner@id/name@id"):
        bootstrap("dev", repository=repository)


def test_an_older_repository_is_named_without_ids() -> None:
    run = bootstrap("dev", repository="acme/orders")
    (statement,) = statements(run.get(ROLE, "deploy").inputs["assumeRolePolicy"])
    assert statement["Condition"]["StringEquals"][f"{ISSUER}:sub"] == ["repo:acme/orders:environment:dev"]


def test_the_exports_are_what_the_repository_variables_need() -> None:
    outputs = bootstrap("dev").outputs.values
    assert outputs["previewRoleArn"] == f"{IAM}:role/orderflow-preview-dev"
    assert outputs["permissionsBoundaryArn"] == BOUNDARY.format(stack="dev")
    assert outputs["deployRoleArn"] == f"{IAM}:role/orderflow-deploy-dev"


# --- Permissions ----------------------------------------------------------------------------------------

TAGGING = "TagResource UntagResource"
GATEWAY = ("apigateway", "POST PATCH DELETE", "GET")

# Type to its service, the actions that create, change and delete it, and the actions that read it.
NEEDS: dict[str, tuple[str, str, str]] = {
    "aws:apigateway/apiKey:ApiKey": GATEWAY,
    "aws:apigateway/basePathMapping:BasePathMapping": GATEWAY,
    "aws:apigateway/deployment:Deployment": GATEWAY,
    "aws:apigateway/domainName:DomainName": GATEWAY,
    "aws:apigateway/integration:Integration": ("apigateway", "PUT PATCH DELETE", "GET"),
    "aws:apigateway/integrationResponse:IntegrationResponse": ("apigateway", "PUT DELETE", "GET"),
    "aws:apigateway/method:Method": ("apigateway", "PUT PATCH DELETE", "GET"),
    "aws:apigateway/model:Model": GATEWAY,
    "aws:apigateway/methodResponse:MethodResponse": ("apigateway", "PUT PATCH DELETE", "GET"),
    "aws:apigateway/methodSettings:MethodSettings": ("apigateway", "PATCH", "GET"),
    "aws:apigateway/resource:Resource": GATEWAY,
    "aws:apigateway/response:Response": ("apigateway", "PUT DELETE", "GET"),
    "aws:apigateway/restApi:RestApi": GATEWAY,
    "aws:apigateway/stage:Stage": GATEWAY,
    "aws:apigateway/usagePlan:UsagePlan": GATEWAY,
    "aws:apigateway/usagePlanKey:UsagePlanKey": ("apigateway", "POST DELETE", "GET"),
    "aws:cloudwatch/dashboard:Dashboard": ("cloudwatch", "PutDashboard DeleteDashboards", "GetDashboard"),
    "aws:cloudwatch/eventBus:EventBus": (
        "events",
        f"CreateEventBus UpdateEventBus DeleteEventBus {TAGGING}",
        "DescribeEventBus ListTagsForResource",
    ),
    "aws:cloudwatch/eventRule:EventRule": (
        "events",
        f"PutRule DeleteRule {TAGGING}",
        "DescribeRule ListTagsForResource",
    ),
    "aws:cloudwatch/eventTarget:EventTarget": ("events", "PutTargets RemoveTargets", "ListTargetsByRule"),
    "aws:cloudwatch/logGroup:LogGroup": (
        "logs",
        f"CreateLogGroup DeleteLogGroup PutRetentionPolicy DeleteRetentionPolicy {TAGGING}",
        "DescribeLogGroups ListTagsForResource",
    ),
    "aws:cloudwatch/metricAlarm:MetricAlarm": (
        "cloudwatch",
        f"PutMetricAlarm DeleteAlarms {TAGGING}",
        "DescribeAlarms ListTagsForResource",
    ),
    "aws:dynamodb/table:Table": (
        "dynamodb",
        f"CreateTable UpdateTable DeleteTable UpdateContinuousBackups UpdateTimeToLive {TAGGING}",
        "DescribeTable DescribeContinuousBackups DescribeTimeToLive ListTagsOfResource",
    ),
    "aws:iam/role:Role": (
        "iam",
        "CreateRole DeleteRole UpdateRole UpdateAssumeRolePolicy PutRolePermissionsBoundary TagRole "
        "UntagRole",
        "GetRole ListRolePolicies ListAttachedRolePolicies ListInstanceProfilesForRole",
    ),
    "aws:iam/rolePolicy:RolePolicy": ("iam", "PutRolePolicy DeleteRolePolicy", "GetRolePolicy"),
    "aws:kms/key:Key": (
        "kms",
        f"CreateKey PutKeyPolicy EnableKeyRotation UpdateKeyDescription ScheduleKeyDeletion {TAGGING}",
        "DescribeKey GetKeyPolicy GetKeyRotationStatus ListResourceTags",
    ),
    "aws:lambda/alias:Alias": ("lambda", "CreateAlias UpdateAlias DeleteAlias", "GetAlias"),
    "aws:lambda/eventSourceMapping:EventSourceMapping": (
        "lambda",
        f"CreateEventSourceMapping UpdateEventSourceMapping DeleteEventSourceMapping {TAGGING}",
        "GetEventSourceMapping ListTags",
    ),
    "aws:lambda/function:Function": (
        "lambda",
        "CreateFunction DeleteFunction UpdateFunctionCode UpdateFunctionConfiguration "
        f"PutFunctionConcurrency DeleteFunctionConcurrency PublishVersion {TAGGING}",
        "GetFunction GetFunctionCodeSigningConfig ListVersionsByFunction ListTags",
    ),
    "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig": (
        "lambda",
        "PutFunctionEventInvokeConfig UpdateFunctionEventInvokeConfig DeleteFunctionEventInvokeConfig",
        "GetFunctionEventInvokeConfig",
    ),
    "aws:lambda/layerVersion:LayerVersion": (
        "lambda",
        "PublishLayerVersion DeleteLayerVersion",
        "GetLayerVersion",
    ),
    "aws:lambda/permission:Permission": ("lambda", "AddPermission RemovePermission", "GetPolicy"),
    "aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig": (
        "lambda",
        "PutProvisionedConcurrencyConfig DeleteProvisionedConcurrencyConfig",
        "GetProvisionedConcurrencyConfig",
    ),
    "aws:route53/record:Record": (
        "route53",
        "ChangeResourceRecordSets",
        "GetHostedZone ListResourceRecordSets",
    ),
    "aws:scheduler/schedule:Schedule": (
        "scheduler",
        "CreateSchedule UpdateSchedule DeleteSchedule",
        "GetSchedule",
    ),
    "aws:scheduler/scheduleGroup:ScheduleGroup": (
        "scheduler",
        f"CreateScheduleGroup DeleteScheduleGroup {TAGGING}",
        "GetScheduleGroup ListTagsForResource",
    ),
    "aws:sfn/stateMachine:StateMachine": (
        "states",
        f"CreateStateMachine UpdateStateMachine DeleteStateMachine {TAGGING}",
        "DescribeStateMachine ListStateMachineVersions ListTagsForResource ValidateStateMachineDefinition",
    ),
    "aws:sns/topic:Topic": (
        "sns",
        f"CreateTopic DeleteTopic SetTopicAttributes {TAGGING}",
        "GetTopicAttributes ListTagsForResource",
    ),
    "aws:sns/topicPolicy:TopicPolicy": ("sns", "SetTopicAttributes", "GetTopicAttributes"),
    "aws:sns/topicSubscription:TopicSubscription": (
        "sns",
        "Subscribe Unsubscribe SetSubscriptionAttributes",
        "GetSubscriptionAttributes ListSubscriptionsByTopic",
    ),
    "aws:sqs/queue:Queue": (
        "sqs",
        "CreateQueue DeleteQueue SetQueueAttributes TagQueue UntagQueue",
        "GetQueueAttributes GetQueueUrl ListQueueTags",
    ),
    "aws:sqs/queuePolicy:QueuePolicy": ("sqs", "SetQueueAttributes", "GetQueueAttributes"),
    "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy": ("sqs", "SetQueueAttributes", "GetQueueAttributes"),
    "aws:wafv2/webAcl:WebAcl": (
        "wafv2",
        f"CreateWebACL UpdateWebACL DeleteWebACL AssociateWebACL {TAGGING}",
        "GetWebACL ListTagsForResource",
    ),
    "aws:wafv2/webAclAssociation:WebAclAssociation": (
        "wafv2",
        "AssociateWebACL DisassociateWebACL",
        "GetWebACLForResource",
    ),
    "aws:xray/samplingRule:SamplingRule": (
        "xray",
        f"CreateSamplingRule UpdateSamplingRule DeleteSamplingRule {TAGGING}",
        "GetSamplingRules ListTagsForResource",
    ),
}


def arn_of(resource: Resource | Stored) -> str:
    """Returns the ARN that AWS checks: that of the resource, or of the one that it is a part of."""
    kind, inputs, outputs = resource.type, resource.inputs, resource.outputs
    if kind.startswith("aws:apigateway/"):
        api = inputs.get("restApi") or inputs.get("restApiId") or resource.id
        below = {
            "apiKey": "apikeys/x",
            "basePathMapping": f"domainnames/{inputs.get('domainName')}/basepathmappings",
            "domainName": f"domainnames/{inputs.get('domainName')}",
            "model": f"restapis/{api}/models",
            "usagePlan": "usageplans/x",
            "usagePlanKey": "usageplans/x/keys",
        }
        place = below.get(kind.split("/")[1].split(":")[0], f"restapis/{api}/resources/y")
        return f"arn:aws:apigateway:{REGION}::/{place}"
    special: dict[str, Callable[[], Any]] = {
        "aws:cloudwatch/dashboard:Dashboard": lambda: (
            f"arn:aws:cloudwatch::{ACCOUNT_ID}:dashboard/{inputs['dashboardName']}"
        ),
        "aws:cloudwatch/eventRule:EventRule": lambda: _rule(inputs["eventBusName"], outputs["name"]),
        "aws:cloudwatch/eventTarget:EventTarget": lambda: _rule(inputs["eventBusName"], inputs["rule"]),
        "aws:iam/rolePolicy:RolePolicy": lambda: f"{IAM}:role/{inputs['role']}",
        "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig": lambda: inputs["functionName"],
        "aws:lambda/permission:Permission": lambda: ":".join(
            filter(None, (inputs["function"], inputs.get("qualifier")))
        ),
        "aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig": lambda: (
            f"arn:aws:lambda:{HERE}:function:{inputs['functionName']}:{inputs['qualifier']}"
        ),
        "aws:route53/record:Record": lambda: f"arn:aws:route53:::hostedzone/{inputs['zoneId']}",
        "aws:scheduler/schedule:Schedule": lambda: outputs["arn"].replace(
            ":schedule/", f":schedule/{inputs['groupName']}/"
        ),
        "aws:sns/topicPolicy:TopicPolicy": lambda: inputs["arn"],
        "aws:sns/topicSubscription:TopicSubscription": lambda: inputs["topic"],
        "aws:sqs/queuePolicy:QueuePolicy": lambda: _queue(inputs["queueUrl"]),
        "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy": lambda: _queue(inputs["queueUrl"]),
        "aws:wafv2/webAclAssociation:WebAclAssociation": lambda: inputs["resourceArn"],
        "aws:xray/samplingRule:SamplingRule": lambda: (
            f"arn:aws:xray:{HERE}:sampling-rule/{inputs['ruleName']}"
        ),
    }
    return str(special[kind]() if kind in special else outputs["arn"])


def _rule(bus: str, name: str) -> str:
    return f"arn:aws:events:{HERE}:rule/{bus}/{name}"


def _queue(url: str) -> str:
    return f"arn:aws:sqs:{HERE}:{url.rpartition('/')[2]}"


@each_stack
def test_the_deploy_role_may_do_all_that_the_program_needs_and_the_preview_role_may_read(stack: str) -> None:
    run = bootstrap(stack, **DOMAIN)
    declared = [item for item in recording(stack, everything=True).resources if item.custom]
    assert {item.type for item in declared} == set(NEEDS), (
        "add the actions of the type to NEEDS, and grant them"
    )
    for resource in declared:
        check_permissions(run, resource, stack)


def check_permissions(run: ProgramRun, resource: Resource | Stored, stack: str) -> None:
    """Checks that the deploy role may do all that a resource needs, and the preview role only read it."""
    arn, context = arn_of(resource), context_of(resource, stack)
    service, changes, reads = NEEDS[resource.type]
    for action in (f"{service}:{name}" for name in changes.split()):
        assert allows(run, "deploy", action, arn, context), f"{action} on {arn}"
        assert not may(run, "preview", action, arn), f"{action} on {arn}"
    for action in (f"{service}:{name}" for name in reads.split()):
        for role in ("deploy", "preview"):
            assert allows(run, role, action, arn, context), f"{action} on {arn}"


def context_of(resource: Resource | Stored, stack: str) -> dict[str, Any]:
    """The context of requests that change a resource as the program declares it."""
    inputs = resource.inputs
    # API Gateway's resources without tags inherit those of their API, usage plan or domain name.
    tags = inputs.get("tags") or {"project": "orderflow", "stack": stack}
    found = {
        **tagged(tags["project"], tags["stack"]),
        **asking_for(tags["project"], tags["stack"]),
        "lambda:FunctionArn": inputs.get("functionName"),
        "route53:ChangeResourceRecordSetsNormalizedRecordNames": [inputs.get("name")],
        "route53:ChangeResourceRecordSetsRecordTypes": [inputs.get("type")],
    }
    return found | {"iam:PermissionsBoundary": BOUNDARY.format(stack=stack)}


@each_stack
@pytest.mark.parametrize("role", ["deploy", "preview"])
def test_both_roles_may_read_the_quota_of_concurrent_executions(stack: str, role: str) -> None:
    run = bootstrap(stack)
    quota = f"arn:aws:servicequotas:{HERE}:lambda/L-B99A9384"
    assert allows(run, role, "servicequotas:GetServiceQuota", quota, {})
    assert not may(run, role, "servicequotas:RequestServiceQuotaIncrease", quota)


CREATED_AT = {
    "aws:apigateway/apiKey:ApiKey": "apikeys",
    "aws:apigateway/domainName:DomainName": "domainnames",
    "aws:apigateway/restApi:RestApi": "restapis",
    "aws:apigateway/usagePlan:UsagePlan": "usageplans",
}


@each_stack
def test_the_program_requests_the_tags_with_which_it_may_create(stack: str) -> None:
    run, program = bootstrap(stack, **DOMAIN), recording(stack, everything=True)
    for type_, collection in CREATED_AT.items():
        for resource in program.of_type(type_):
            tags = asking_for(resource.inputs["tags"]["project"], resource.inputs["tags"]["stack"])
            assert allows(run, "deploy", "apigateway:POST", gateway(collection), tags), resource.name
    (key,) = program.of_type("aws:kms/key:Key")
    tags = asking_for(key.inputs["tags"]["project"], key.inputs["tags"]["stack"])
    for action in ("CreateKey", "TagResource", "EnableKeyRotation"):
        assert allows(run, "deploy", f"kms:{action}", KEY_ARN, tags), action


# Actions on every resource, because AWS has no narrower one, with their conditions.
ON_EVERYTHING: dict[str, str | None] = {
    "servicequotas:GetAWSDefaultServiceQuota": None,
    "cloudwatch:DescribeAlarms": None,
    "kms:CreateKey": "asked",
    "kms:DescribeKey": None,
    "kms:GetKey*": None,
    "kms:ListAliases": None,
    "kms:ListResourceTags": None,
    "kms:PutKeyPolicy": "tagged",
    "kms:ScheduleKeyDeletion": "tagged",
    "kms:UntagResource": "tagged",
    "kms:UpdateKeyDescription": "tagged",
    "lambda:CreateEventSourceMapping": "function",
    "lambda:DeleteEventSourceMapping": "function",
    "lambda:GetEventSourceMapping": None,
    "lambda:ListTags": None,
    "lambda:UpdateEventSourceMapping": "function",
    "logs:CreateLogDelivery": None,
    "logs:DeleteLogDelivery": None,
    "logs:DescribeLogGroups": None,
    "logs:DescribeResourcePolicies": None,
    "logs:GetLogDelivery": None,
    "logs:ListLogDeliveries": None,
    "logs:PutResourcePolicy": None,
    "logs:UpdateLogDelivery": None,
    "states:ValidateStateMachineDefinition": None,
    "wafv2:GetWebACLForResource": None,
    "xray:GetSamplingRules": None,
}


@each_stack
def test_only_listed_actions_are_allowed_on_every_resource(stack: str) -> None:
    new_key = {"Null": {"aws:ResourceTag/project": "true", "kms:ResourceAliases": "true"}}
    conditions: dict[str | None, Any] = {
        None: None,
        "asked": {"StringEquals": asking_for("orderflow", stack)},
        "tagged": {"StringEquals": tagged("orderflow", stack)},
        "function": {
            "ArnLike": {"lambda:FunctionArn": f"arn:aws:lambda:{HERE}:function:orderflow-*-{stack}-??????"}
        },
    }
    of_new_keys = {"kms:TagResource": {**conditions["asked"], **new_key}, "kms:EnableKeyRotation": new_key}
    found: dict[str, list[Any]] = defaultdict(list)
    for statement in allowed(bootstrap(stack, **DOMAIN), "deploy"):
        if "*" in many(statement["Resource"]):
            for action in many(statement["Action"]):
                found[action].append(statement.get("Condition"))
    assert {action: found.pop(action) for action in of_new_keys} == {
        action: [condition, conditions["tagged"]] for action, condition in of_new_keys.items()
    }
    assert found == {action: [conditions[name]] for action, name in ON_EVERYTHING.items()}


KEY_ARN = f"arn:aws:kms:{HERE}:key/2222"
OURS, OTHERS = ("orderflow", "dev"), ("shop", "dev")


@pytest.mark.parametrize(
    ("context", "actions"),
    [
        (tagged(*OURS), "EnableKeyRotation PutKeyPolicy ScheduleKeyDeletion TagResource"),
        (tagged("orderflow", "prod"), ""),
        (tagged(*OTHERS), ""),
        ({"kms:ResourceAliases": ["alias/shop"]}, ""),
        # A key without tags and alias may be a new one of the stack.
        ({}, "EnableKeyRotation TagResource"),
    ],
)
def test_the_deploy_role_changes_the_keys_of_its_stack_only(context: dict[str, Any], actions: str) -> None:
    request = {**context, **asking_for(*OURS)}
    for action in ("EnableKeyRotation", "PutKeyPolicy", "ScheduleKeyDeletion", "TagResource"):
        expected = action in actions.split()
        assert allows(bootstrap("dev"), "deploy", f"kms:{action}", KEY_ARN, request) == expected, action


def test_a_key_is_created_with_the_tags_of_the_stack() -> None:
    for tags, created in ((OURS, True), (OTHERS, False), (("orderflow", "prod"), False)):
        assert allows(bootstrap("dev"), "deploy", "kms:CreateKey", "*", asking_for(*tags)) == created
        assert allows(bootstrap("dev"), "deploy", "kms:TagResource", KEY_ARN, asking_for(*tags)) == created
    assert not allows(bootstrap("dev"), "deploy", "kms:CreateKey", "*", {})


def gateway(path: str) -> str:
    return f"arn:aws:apigateway:{REGION}::/{path}"


@pytest.mark.parametrize(
    "path", ["restapis/abc123", "restapis/abc123/stages/v1", "apikeys/k", "usageplans/u/keys"]
)
@pytest.mark.parametrize(
    ("context", "changed"),
    [(tagged(*OURS), True), ({}, True), (tagged(*OTHERS), False), (tagged("orderflow", "prod"), False)],
)
def test_an_api_with_the_tags_of_another_stack_is_out_of_reach(
    path: str, context: dict[str, Any], changed: bool
) -> None:
    for role, action in (("deploy", "PATCH"), ("deploy", "DELETE"), ("deploy", "GET"), ("preview", "GET")):
        assert allows(bootstrap("dev"), role, f"apigateway:{action}", gateway(path), context) == changed


@pytest.mark.parametrize("collection", ["restapis", "apikeys", "usageplans", "domainnames"])
def test_an_api_is_created_with_the_tags_of_the_stack(collection: str) -> None:
    run = bootstrap("dev", **DOMAIN)
    assert allows(run, "deploy", "apigateway:POST", gateway(collection), asking_for(*OURS))
    for context in ({}, asking_for(*OTHERS), tagged(*OURS)):
        assert not allows(run, "deploy", "apigateway:POST", gateway(collection), context)
    # It would list the values of all keys.
    assert not may(run, "preview", "apigateway:GET", gateway(collection))


@pytest.mark.parametrize(
    ("action", "path", "allowed_with_id"),
    [
        ("apigateway:PATCH", "restapis/abc123", True),
        ("apigateway:PUT", "restapis/abc123/gatewayresponses/THROTTLED", True),
        ("apigateway:GET", "restapis/abc123/resources", True),
        ("apigateway:SetWebACL", "restapis/abc123/stages/v1", True),
        ("wafv2:AssociateWebACL", "restapis/abc123/stages/v1", True),
        ("apigateway:PUT", "tags/arn%3Aaws%3Aapigateway%3Aeu-west-1%3A%3A%2Frestapis%2Fabc123", True),
        ("apigateway:PUT", "tags/arn%3Aaws%3Aapigateway%3Aeu-west-1%3A%3A%2Fapikeys%2Fk", True),
        ("apigateway:POST", "usageplans", True),
        ("apigateway:POST", "restapis", False),
        ("apigateway:PATCH", "restapis/abc1234", False),
        ("apigateway:DELETE", "restapis/other", False),
        ("apigateway:GET", "restapis/other/stages/v1", False),
        ("apigateway:SetWebACL", "restapis/other/stages/v1", False),
        ("wafv2:AssociateWebACL", "restapis/other/stages/v1", False),
        ("apigateway:PUT", "tags/arn%3Aaws%3Aapigateway%3Aeu-west-1%3A%3A%2Frestapis%2Fother", False),
    ],
)
def test_with_its_id_no_other_api_is_in_reach(action: str, path: str, allowed_with_id: bool) -> None:
    context = {**tagged(*OURS), **asking_for(*OURS)}
    assert allows(bootstrap("dev"), "deploy", action, gateway(path), context)
    with_id = bootstrap("dev", apiId="abc123")
    assert allows(with_id, "deploy", action, gateway(path), context) == allowed_with_id


def records(*names: str, types: str = "A") -> dict[str, Any]:
    """The context of a change of records with these names."""
    return {
        "route53:ChangeResourceRecordSetsNormalizedRecordNames": names,
        "route53:ChangeResourceRecordSetsRecordTypes": [types],
    }


def test_only_the_record_of_the_domain_is_changed() -> None:
    zone, other = ("arn:aws:route53:::hostedzone/Z123456", "arn:aws:route53:::hostedzone/Z999999")
    change, own = "route53:ChangeResourceRecordSets", records("api.example.com")
    run = bootstrap("dev", **DOMAIN)
    assert allows(run, "deploy", change, zone, own)
    assert not allows(run, "deploy", change, other, own)
    assert not allows(run, "deploy", change, zone, records("api.example.com", "www.example.com"))
    assert not allows(run, "deploy", change, zone, records("api.example.com", types="MX"))
    assert not may(run, "preview", "route53:ListResourceRecordSets", other)


def test_without_a_domain_no_zone_and_no_domain_name_is_in_reach() -> None:
    run = bootstrap("dev")
    for role in ("preview", "deploy"):
        services = {action.split(":")[0] for item in allowed(run, role) for action in many(item["Action"])}
        assert not services & {"acm", "route53"}
        for path in ("domainnames", "domainnames/shop.example.com"):
            for verb in ("GET", "POST", "DELETE"):
                assert not may(run, role, f"apigateway:{verb}", gateway(path))
    assert not may(run, "deploy", "iam:CreateServiceLinkedRole", f"{IAM}:role/aws-service-role/x")
    with_domain = bootstrap("dev", **DOMAIN)
    assert may(
        with_domain, "deploy", "apigateway:POST", gateway("domainnames/api.example.com/basepathmappings")
    )
    assert not may(with_domain, "deploy", "apigateway:PATCH", gateway("domainnames/shop.example.com"))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"apiId": "*"}, r"apiId: \* is not allowed"),
        ({"domainName": "*.example.com", "hostedZoneId": "Z1"}, r"domainName: \*.example.com is not allowed"),
        ({"domainName": "api.example.com", "hostedZoneId": "*"}, r"hostedZoneId: \* is not allowed"),
        ({"domainName": "api.example.com"}, "hostedZoneId: is empty"),
        ({"hostedZoneId": "Z123456"}, "domainName: is empty"),
    ],
)
def test_a_bad_id_or_domain_stops_the_program(config: dict[str, str], message: str) -> None:
    with pytest.raises(ProgramError, match=message):
        bootstrap("dev", **config)


def test_the_key_of_the_state_cannot_be_changed() -> None:
    for action in ("kms:PutKeyPolicy", "kms:ScheduleKeyDeletion", "kms:TagResource"):
        denied = [
            statement
            for statement in allowed(bootstrap("dev"), "deploy", effect="Deny")
            if action in statement["Action"] and statement["Resource"] == [KEY]
        ]
        assert denied, action


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
        ("iam:CreateUser", f"{IAM}:user/x"),
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
def test_the_roles_of_dev_may_not(action: str, resource: str) -> None:
    for role in ("preview", "deploy"):
        assert not may(bootstrap("dev"), role, action, resource)


# --- The boundary -----------------------------------------------------------------------------------------


def bounds(stack: str) -> list[dict[str, Any]]:
    """Returns the statements of the boundary of a stack's roles, with a fulfillment system."""
    run = bootstrap(stack, fulfillmentSecretArn=SECRET)
    return [dict(statement) for statement in statements(run.get(POLICY, "boundary").inputs["policy"])]


@each_stack
def test_the_boundary_includes_all_grants_of_the_program(stack: str) -> None:
    within = bounds(stack)
    for everything in (False, True):
        run = recording(stack, everything=everything)
        for role in run.of_type(ROLE):
            for grant in grants_of_role(run, role.name):
                assert covers(within, grant.action, grant.resource), f"{role.name}: {grant}"


def test_the_boundary_reaches_no_further_than_the_roles_together() -> None:
    runs = [recording("dev", everything=everything) for everything in (False, True)]
    grants = {grant for run in runs for role in run.of_type(ROLE) for grant in grants_of_role(run, role.name)}
    within = bounds("dev")
    everywhere = [statement for statement in within if "*" in many(statement["Resource"])]
    for statements_of, granted in (
        (within, grants),
        (everywhere, {grant for grant in grants if grant.resource == "*"}),
    ):
        actions = {action for statement in statements_of for action in many(statement["Action"])}
        assert actions == {grant.action for grant in granted}


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
def test_the_deploy_role_gives_permissions_only_to_roles_with_the_boundary(stack: str) -> None:
    """These actions support the condition key for boundaries:

    https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html
    """
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
    tags = state.replace(".json", ".pulumi-tags")
    assert may(run, "preview", "s3:GetObject", tags)
    assert not may(run, "preview", "s3:PutObject", tags)
    for place in (
        state,
        f"{state}.bak",
        tags,
        lock,
        *(f"arn:aws:s3:::acme-state/.pulumi/{path}" for path in kept),
    ):
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
def test_the_policies_are_within_the_limits_of_iam(stack: str) -> None:
    """A managed policy may have 6,144 characters, all inline policies of a role together 10,240."""
    run = bootstrap(stack, **DOMAIN, apiId="abc123")
    assert [policy.name for policy in run.of_type(POLICY) if size(policy) > 6_144] == []
    for role in ("preview", "deploy"):
        name = run.get(ROLE, role).outputs["name"]
        inline = [policy for policy in run.of_type(ROLE_POLICY) if policy.inputs["role"] == name]
        assert sum(map(size, inline)) <= 10_240
