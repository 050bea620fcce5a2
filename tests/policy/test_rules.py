"""Each rule finds the stack that breaks it, and no other rule finds that stack.

`test_stacks` evaluates the unchanged stacks. Here one property is broken at a time, and small stacks have
what the program does not declare.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from pulumi_policy import PolicyResource

from local.engine.program import UNKNOWN
from local.engine.stacks import declare_test_stack
from policy.resources import (
    ALIAS,
    API_DOMAIN,
    API_INTEGRATION,
    API_KEY,
    API_METHOD,
    API_RESOURCE,
    API_STAGE,
    COMPOSITE_ALARM,
    EVENT_SOURCE_MAPPING,
    FUNCTION,
    KMS_KEY,
    LOG_GROUP,
    METRIC_ALARM,
    PERMISSION,
    POLICY,
    QUEUE,
    QUEUE_POLICY,
    REDRIVE_POLICY,
    REST_API,
    ROLE,
    ROLE_POLICY,
    ROLE_POLICY_ATTACHMENT,
    SCHEDULE,
    STACK,
    STATE_MACHINE,
    TABLE,
    TOPIC,
    TOPIC_SUBSCRIPTION,
    WEB_ACL_ASSOCIATION,
)
from policy.rules import RULES
from tests.policy.evaluation import config_of, evaluate, recorded, recording, resource, rule

ACCOUNT = "123456789012"
LAMBDA = "lambda.amazonaws.com"
SCHEDULER = "scheduler.amazonaws.com"
MACHINE = f"arn:aws:states:eu-west-1:{ACCOUNT}:stateMachine:flow"
SECRET_VERSION = "aws:secretsmanager/secretVersion:SecretVersion"


def document(*statements: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: object, on: object, **more: object) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": on, **more}


def trust(service: object, condition: object = None, **more: object) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}, **more}
    return statement | ({"Condition": condition} if condition else {})


def messages(name: str, *resources: PolicyResource, config: Mapping[str, str] | None = None) -> list[str]:
    return [violation.message for violation in evaluate([rule(name)], resources, config)]


# --- One broken property of the whole stack ---------------------------------------------------------------

BROKEN: list[tuple[str, str, str, dict[str, Any]]] = [
    (
        "no-wildcard-actions",
        ROLE_POLICY,
        "users_api-reads-users",
        {"policy": document(allow("dynamodb:*", "arn:aws:dynamodb:eu-west-1:1:table/users"))},
    ),
    (
        "no-wildcard-resources",
        ROLE_POLICY,
        "users_api-reads-users",
        {"policy": document(allow("dynamodb:GetItem", "arn:aws:dynamodb:eu-west-1:1:table/*"))},
    ),
    (
        "roles-trust-one-service",
        ROLE,
        "order_fulfillment-role",
        {"assumeRolePolicy": document(trust("states.amazonaws.com"))},
    ),
    (
        "roles-use-listed-actions",
        ROLE_POLICY,
        "users_api-reads-users",
        {"policy": document(allow("iam:PutRolePolicy", f"arn:aws:iam::{ACCOUNT}:role/x"))},
    ),
    (
        "attached-policies-are-declared",
        ROLE,
        "orders_api-role",
        {"managedPolicyArns": [f"arn:aws:iam::{ACCOUNT}:policy/administrator"]},
    ),
    (
        "accounts-are-the-stacks-own",
        PERMISSION,
        "orderflow-invokes-orders_api",
        {"sourceArn": "arn:aws:execute-api:eu-west-1:999999999999:abc123/v1/*"},
    ),
    (
        "one-role-each",
        FUNCTION,
        "orders_api",
        {"role": f"arn:aws:iam::{ACCOUNT}:role/elsewhere"},
    ),
    ("roles-are-bounded-as-configured", ROLE, "orders_api-role", {"permissionsBoundary": None}),
    ("callers-are-named", PERMISSION, "orderflow-invokes-orders_api", {"sourceArn": None}),
    ("functions-log-to-a-declared-group", FUNCTION, "orders_api", {"loggingConfig": {"logFormat": "JSON"}}),
    ("log-groups-expire", LOG_GROUP, "orders_api-logs", {"retentionInDays": 0}),
    ("log-groups-expire", LOG_GROUP, "orders_api-logs", {"retentionInDays": 60}),
    ("http-functions-answer-in-time", FUNCTION, "orders_api", {"timeout": 29}),
    ("queues-have-dead-letters", QUEUE, "orders", {"redrivePolicy": None}),
    ("visibility-covers-the-consumer", QUEUE, "orders", {"visibilityTimeoutSeconds": 59}),
    ("encrypted-at-rest", QUEUE, "orders", {"sqsManagedSseEnabled": False}),
    ("encrypted-at-rest", TABLE, "orders", {"serverSideEncryption": {"enabled": False}}),
    ("tables-are-protected-as-configured", TABLE, "orders", {"pointInTimeRecovery": {"enabled": False}}),
    ("tables-are-protected-as-configured", TABLE, "orders", {"deletionProtectionEnabled": False}),
    ("methods-require-a-key", API_METHOD, "orderflow-get-users", {"apiKeyRequired": False}),
    ("methods-require-a-key", API_METHOD, "orderflow-post-orders-orderId-cancel", {"apiKeyRequired": False}),
    (
        "tables-are-protected-as-configured",
        TABLE,
        "orders",
        {"pointInTimeRecovery": {"enabled": True, "recoveryPeriodInDays": 34}},
    ),
    ("topics-use-a-declared-key", TOPIC, "orderflow-alarms", {"kmsMasterKeyId": "alias/other"}),
    ("encrypted-in-transit", QUEUE_POLICY, "orders-dead-letters-tls-only", {"policy": document()}),
    ("encrypted-in-transit", API_DOMAIN, "orderflow", {"securityPolicy": "TLS_1_0"}),
    (
        "methods-reach-functions-of-the-stack",
        API_INTEGRATION,
        "orderflow-options-users",
        {"type": "AWS_PROXY", "uri": "arn:elsewhere"},
    ),
    ("apis-declare-their-methods", REST_API, "orderflow", {"body": "{}"}),
    ("stages-are-filtered-as-configured", WEB_ACL_ASSOCIATION, "orderflow", {"resourceArn": "arn"}),
    ("alarm-topics-have-a-subscriber", TOPIC_SUBSCRIPTION, "orderflow-alarms-by-email", {"topic": "arn"}),
    (
        "subscribers-are-configured",
        TOPIC_SUBSCRIPTION,
        "orderflow-alarms-by-email",
        {"endpoint": "other@example.com"},
    ),
    ("tags-present", QUEUE, "orders", {"tags": {"project": "orderflow"}}),
    (
        "no-secret-in-a-property",
        FUNCTION,
        "orders_api",
        {"environment": {"variables": {"FULFILLMENT_SECRET": "hunter22"}}},
    ),
]


def broken(type_: str, name: str, changes: Mapping[str, Any]) -> Iterator[PolicyResource]:
    """Yields the resources of a whole stack, one of them changed and without the changed references."""
    hits = 0
    for item in recorded(recording("prod", everything=True)):
        if (item.resource_type, item.name) == (type_, name):
            hits += 1
            changed = resource(type_, name, {**item.props, **changes}, protect=item.opts.protect)
            item.props = changed.props
            for key in changes:
                item.property_dependencies.pop(key, None)
        yield item
    assert hits == 1


@pytest.mark.parametrize(
    ("name", "type_", "what", "changes"), BROKEN, ids=[f"{row[0]}: {row[2]}" for row in BROKEN]
)
def test_a_broken_stack_is_found_by_its_rule_only(
    name: str, type_: str, what: str, changes: dict[str, Any]
) -> None:
    config = config_of(recording("prod", everything=True))
    found = evaluate(RULES, list(broken(type_, what, changes)), config)
    assert {violation.rule for violation in found} == {name}


def test_every_rule_has_a_broken_stack() -> None:
    assert {candidate.name for candidate in RULES} == {row[0] for row in BROKEN} | {
        "alarms-have-action-and-runbook",
        "no-secret-in-the-open",
        "types-are-covered",
    }


def test_a_rule_says_which_resource_breaks_it() -> None:
    found = messages("encrypted-at-rest", resource(QUEUE, "orders", {}))
    assert found == ["orders is not encrypted: set sqsManagedSseEnabled or kmsMasterKeyId."]


def test_values_unknown_in_a_preview_are_not_reported() -> None:
    samples = [
        resource(ROLE_POLICY, "p", {"policy": UNKNOWN}),
        resource(ROLE, "r", {"assumeRolePolicy": UNKNOWN}),
        resource(
            FUNCTION, "f", {"role": UNKNOWN, "loggingConfig": {"logGroup": UNKNOWN}, "timeout": UNKNOWN}
        ),
        resource(PERMISSION, "q", {"principal": "apigateway.amazonaws.com", "sourceArn": UNKNOWN}),
    ]
    names = (
        "no-wildcard-actions",
        "no-wildcard-resources",
        "roles-trust-one-service",
        "callers-are-named",
        "one-role-each",
        "functions-log-to-a-declared-group",
        "http-functions-answer-in-time",
    )
    assert [message for name in names for message in messages(name, *samples)] == []


# --- Policies ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        allow("*", "arn:aws:sqs:eu-west-1:1:q"),
        allow("dynamodb:Get*", "arn:aws:dynamodb:eu-west-1:1:table/t"),
        allow(["sqs:SendMessage", "sqs:*"], "arn:aws:sqs:eu-west-1:1:q"),
        allow("sqs:Send?essage", "arn:aws:sqs:eu-west-1:1:q"),
        {"Effect": "Allow", "NotAction": "iam:*", "Resource": "arn:aws:sqs:eu-west-1:1:q"},
    ],
)
def test_a_broad_action_is_found_wherever_it_stands(statement: dict[str, Any]) -> None:
    for type_, props in (
        (ROLE_POLICY, {"policy": document(statement)}),
        ("aws:iam/policy:Policy", {"policy": document(statement)}),
        ("aws:sqs/queuePolicy:QueuePolicy", {"policy": document(statement)}),
        ("aws:sns/topicPolicy:TopicPolicy", {"policy": document(statement)}),
        (ROLE, {"inlinePolicies": [{"name": "x", "policy": document(statement)}]}),
        ("aws:iam/userPolicy:UserPolicy", {"policy": json.loads(document(statement))}),
        ("aws:iam/groupPolicy:GroupPolicy", {"policy": document(statement)}),
        ("aws:s3/bucketPolicy:BucketPolicy", {"policy": document(statement)}),
        ("aws:apigateway/restApi:RestApi", {"policy": document(statement)}),
        ("aws:ecr/repositoryPolicy:RepositoryPolicy", {"policy": document(statement)}),
        ("aws:cloudwatch/logDestinationPolicy:LogDestinationPolicy", {"accessPolicy": document(statement)}),
        ("aws:kms/keyPolicy:KeyPolicy", {"policy": document(statement)}),
    ):
        assert len(messages("no-wildcard-actions", resource(type_, "p", props))) == 1, type_


def test_other_documents_are_not_read_as_policy_documents() -> None:
    for text in ("", "null", "[]", "{", '{"Statement": ["*"]}', '{"rules": [{"Action": "*"}]}'):
        sample = resource("aws:ecr/lifecyclePolicy:LifecyclePolicy", "p", {"policy": text})
        assert {violation.rule for violation in evaluate(RULES, [sample])} == {"types-are-covered"}


def test_a_statement_that_denies_may_be_broad() -> None:
    refusal = {"Effect": "Deny", "Principal": "*", "Action": "sqs:*", "Resource": "*"}
    sample = resource("aws:sqs/queuePolicy:QueuePolicy", "p", {"policy": document(refusal)})
    for name in ("no-wildcard-actions", "no-wildcard-resources", "callers-are-named"):
        assert messages(name, sample) == []


def test_aws_managed_policies_are_not_attached() -> None:
    arn = "arn:aws:iam::aws:policy/AdministratorAccess"
    for type_, props in (
        (ROLE_POLICY_ATTACHMENT, {"policyArn": arn}),
        (ROLE, {"managedPolicyArns": [arn]}),
        ("aws:iam/policyAttachment:PolicyAttachment", {"policyArn": arn}),
        ("aws:iam/userPolicyAttachment:UserPolicyAttachment", {"policyArn": arn}),
        ("aws:iam/groupPolicyAttachment:GroupPolicyAttachment", {"policyArn": arn}),
        ("aws:iam/rolePolicyAttachmentsExclusive:RolePolicyAttachmentsExclusive", {"policyArns": [arn]}),
    ):
        assert len(messages("no-wildcard-actions", resource(type_, "a", props))) == 1, type_
    assert messages("no-wildcard-actions", resource(ROLE, "r", {"permissionsBoundary": arn})) == []
    own = resource(ROLE_POLICY_ATTACHMENT, "a", {"policyArn": f"arn:aws:iam::{ACCOUNT}:policy/own"})
    assert messages("no-wildcard-actions", own) == []


def test_a_managed_policy_is_declared_in_the_stack() -> None:
    arns = [f"arn:aws:iam::{ACCOUNT}:policy/{name}" for name in ("own", "administrator")]
    declared, unknown = (resource(POLICY, "own", {"arn": arn}) for arn in (arns[0], UNKNOWN))
    for samples, problems in (
        ([resource(ROLE_POLICY_ATTACHMENT, "a", {"policyArn": arns[0]})], 0),
        ([resource(ROLE_POLICY_ATTACHMENT, "a", {"policyArn": arns[1]})], 1),
        ([resource(ROLE_POLICY_ATTACHMENT, "a", {"policyArn": UNKNOWN})], 0),
        ([resource(ROLE_POLICY_ATTACHMENT, "a", {"policyArn": arns[1]}, refers={"policyArn": unknown})], 0),
        ([resource(ROLE, "r", {"managedPolicyArns": arns[:1]})], 0),
        ([resource(ROLE, "r", {"managedPolicyArns": arns[1:]})], 1),
        ([resource(ROLE, "r", {"managedPolicyArns": arns})], 1),
        ([resource(ROLE, "r", {"permissionsBoundary": arns[1]})], 0),
    ):
        assert len(messages("attached-policies-are-declared", declared, *samples)) == problems


@pytest.mark.parametrize(
    ("action", "problems"),
    [
        ("dynamodb:GetItem", 0),
        (["sqs:SendMessage", "events:PutEvents"], 0),
        ("iam:PutRolePolicy", 1),
        (["iam:CreateRole", "iam:AttachRolePolicy", "iam:PassRole"], 3),
        ("sts:AssumeRole", 1),
        ("lambda:UpdateFunctionCode", 1),
        ("kms:PutKeyPolicy", 1),
        ("dynamodb:DeleteTable", 1),
        ("s3:GetObject", 1),
        ("InvokeFunction", 1),
    ],
)
def test_a_role_may_do_what_is_listed_only(action: object, problems: int) -> None:
    statement = allow(action, f"arn:aws:iam::{ACCOUNT}:role/x")
    for type_, props in (
        (ROLE_POLICY, {"policy": document(statement)}),
        (POLICY, {"policy": document(statement)}),
        (ROLE, {"inlinePolicies": [{"name": "x", "policy": document(statement)}]}),
    ):
        assert len(messages("roles-use-listed-actions", resource(type_, "p", props))) == problems


@pytest.mark.parametrize(
    ("action", "on", "problems"),
    [
        ("xray:PutTraceSegments", "*", 0),
        ("dynamodb:GetItem", "*", 1),
        (["xray:PutTraceSegments", "s3:GetObject"], "*", 1),
        ("logs:PutLogEvents", f"arn:aws:logs:eu-west-1:{ACCOUNT}:log-group:/aws/lambda/f:*", 0),
        ("logs:PutLogEvents", f"arn:aws:logs:eu-west-1:{ACCOUNT}:log-group:*:*", 1),
        ("logs:PutLogEvents", "*", 1),
        ("logs:PutLogEvents", f"arn:aws:logs:eu-west-1:{ACCOUNT}:log-group:??????:*", 1),
        ("s3:GetObject", "arn:aws:s3:::???????", 1),
        ("sqs:SendMessage", f"arn:aws:sqs:eu-west-1:{ACCOUNT}:orders", 0),
    ],
)
def test_a_wildcard_resource_needs_its_exception(action: object, on: str, problems: int) -> None:
    sample = resource(ROLE_POLICY, "p", {"policy": document(allow(action, on))})
    assert len(messages("no-wildcard-resources", sample)) == problems


def test_allowing_by_exclusion_of_resources_is_refused() -> None:
    statement = {"Effect": "Allow", "Action": "sqs:SendMessage", "NotResource": "arn:aws:sqs:eu-west-1:1:q"}
    assert (
        len(messages("no-wildcard-resources", resource(ROLE_POLICY, "p", {"policy": document(statement)})))
        == 1
    )


def test_the_policy_of_a_key_lets_its_account_administer_it_and_one_service_use_it() -> None:
    administer = allow("kms:*", "*", Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:root"})
    condition = {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
    use = allow(
        ["kms:Decrypt", "kms:GenerateDataKey"],
        "*",
        Principal={"Service": "cloudwatch.amazonaws.com"},
        Condition=condition,
    )
    good = resource(KMS_KEY, "key", {"policy": document(administer, use)})
    bad = resource(
        KMS_KEY, "key", {"policy": document(allow("kms:*", "*", Principal={"Service": "sns.amazonaws.com"}))}
    )
    for name in ("no-wildcard-actions", "no-wildcard-resources", "callers-are-named"):
        assert messages(name, good) == []
    assert len(messages("no-wildcard-actions", bad)) == 1
    assert len(messages("callers-are-named", bad)) == 1


# --- Roles and callers ------------------------------------------------------------------------------------

OF_ACCOUNT = {"StringEquals": {"aws:SourceAccount": ACCOUNT}}


OTHER_ACCOUNT = "999999999999"


def from_source(arn: str, operator: str = "ArnLike", accounts: object = ACCOUNT) -> dict[str, Any]:
    return {operator: {"aws:SourceArn": arn, "AWS:SourceAccount": accounts}}


GROUP = f"arn:aws:scheduler:eu-west-1:{ACCOUNT}:schedule-group/orderflow"


@pytest.mark.parametrize(
    ("statements", "problems"),
    [
        ([trust(LAMBDA)], 0),
        ([trust([LAMBDA, "edgelambda.amazonaws.com"])], 1),
        ([trust(LAMBDA), trust("states.amazonaws.com", from_source(MACHINE))], 1),
        ([{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": "*"}], 1),
        ([trust(LAMBDA) | {"Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}}], 1),
        ([trust(LAMBDA, Action=["sts:AssumeRole", "sts:TagSession"])], 1),
        ([trust("ec2.amazonaws.com")], 1),
        ([trust("pipes.amazonaws.com", OF_ACCOUNT)], 1),
        ([trust("events.amazonaws.com", OF_ACCOUNT)], 1),
        ([trust("apigateway.amazonaws.com")], 1),
        ([trust("states.amazonaws.com", from_source(f"{MACHINE}*"))], 0),
        ([trust("states.amazonaws.com", from_source(MACHINE, "StringEqualsIfExists"))], 2),
        ([trust("states.amazonaws.com", from_source(MACHINE.replace("flow", "*")))], 1),
        ([trust("states.amazonaws.com", OF_ACCOUNT)], 1),
        ([trust("states.amazonaws.com", {"ArnLike": {"aws:SourceArn": MACHINE}})], 1),
        ([trust("states.amazonaws.com", from_source(MACHINE, accounts=[ACCOUNT, OTHER_ACCOUNT]))], 1),
        ([trust("states.amazonaws.com", from_source(MACHINE, accounts=OTHER_ACCOUNT))], 1),
        ([trust("states.amazonaws.com", from_source(MACHINE.replace("flow", "????")))], 1),
        ([trust(SCHEDULER, from_source(GROUP, "StringEquals"))], 0),
        ([trust(SCHEDULER, from_source(GROUP.replace("schedule-group", "schedule")))], 1),
        ([trust(SCHEDULER, from_source(GROUP.replace("orderflow", "*")))], 1),
    ],
)
def test_a_role_is_trusted_as_aws_documents_it(statements: list[dict[str, Any]], problems: int) -> None:
    sample = resource(ROLE, "r", {"assumeRolePolicy": document(*statements)})
    assert len(messages("roles-trust-one-service", sample)) == problems


API = f"arn:aws:execute-api:eu-west-1:{ACCOUNT}:abc123"


@pytest.mark.parametrize(
    ("principal", "source", "account", "problems"),
    [
        ("apigateway.amazonaws.com", f"{API}/v1/*", None, 0),
        ("apigateway.amazonaws.com", f"{API}/v1/POST/orders", None, 0),
        ("apigateway.amazonaws.com", f"{API}/*", None, 1),
        ("apigateway.amazonaws.com", f"{API}/*/*", None, 1),
        ("apigateway.amazonaws.com", f"{API}/??/*", None, 1),
        ("apigateway.amazonaws.com", "*", None, 1),
        ("events.amazonaws.com", f"arn:aws:events:eu-west-1:{ACCOUNT}:rule/orderflow/shipped", None, 0),
        ("events.amazonaws.com", f"arn:aws:events:eu-west-1:{ACCOUNT}:rule/*", None, 1),
        ("events.amazonaws.com", f"arn:aws:events:eu-west-1:{ACCOUNT}:rule/orderflow/s?ipped", None, 1),
        ("s3.amazonaws.com", "arn:aws:s3:::bucket", None, 1),
        ("s3.amazonaws.com", "arn:aws:s3:::bucket", ACCOUNT, 0),
        ("s3.amazonaws.com", None, ACCOUNT, 1),
        ("*", f"{API}/v1/*", None, 1),
    ],
)
def test_a_lambda_permission_names_its_caller(
    principal: str, source: str | None, account: str | None, problems: int
) -> None:
    props = {"principal": principal, "sourceArn": source, "sourceAccount": account}
    assert len(messages("callers-are-named", resource(PERMISSION, "p", props))) == problems


def test_a_layer_is_not_public() -> None:
    type_ = "aws:lambda/layerVersionPermission:LayerVersionPermission"
    assert messages("callers-are-named", resource(type_, "p", {"principal": ACCOUNT})) == []
    assert len(messages("callers-are-named", resource(type_, "p", {"principal": "*"}))) == 1


BUCKET = {"aws:SourceArn": "arn:aws:s3:::bucket"}


@pytest.mark.parametrize(
    ("principal", "condition", "problems"),
    [
        ("*", OF_ACCOUNT, 1),
        ({"AWS": "*"}, None, 1),
        ({"AWS": ["*", f"arn:aws:iam::{ACCOUNT}:root"]}, None, 1),
        ({"Federated": "*"}, None, 1),
        ({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, None, 0),
        ({"Service": "events.amazonaws.com"}, None, 1),
        ({"Service": "events.amazonaws.com"}, OF_ACCOUNT, 0),
        ({"Service": "sns.amazonaws.com"}, {"StringLike": {"aws:SourceAccount": "*"}}, 1),
        ({"Service": "sns.amazonaws.com"}, {"StringLike": {"aws:SourceAccount": [ACCOUNT, "*"]}}, 1),
        ({"Service": "sns.amazonaws.com"}, {"ArnLike": {"aws:SourceArn": "arn:aws:sns:*:*:*"}}, 1),
        ({"Service": "sns.amazonaws.com"}, {"ArnLike": {"aws:SourceArn": "*"}}, 1),
        ({"Service": "sns.amazonaws.com"}, {"ArnLike": {"aws:SourceArn": f"arn:aws:sns:*:{ACCOUNT}:*"}}, 0),
        ({"Service": "s3.amazonaws.com"}, {"ArnLike": BUCKET}, 1),
        ({"Service": "s3.amazonaws.com"}, {"ArnLike": BUCKET, **OF_ACCOUNT}, 0),
    ],
)
def test_a_resource_policy_names_its_callers(principal: object, condition: object, problems: int) -> None:
    statement = allow("sqs:SendMessage", "arn:aws:sqs:eu-west-1:1:q", Principal=principal)
    if condition:
        statement["Condition"] = condition
    sample = resource("aws:sqs/queuePolicy:QueuePolicy", "p", {"policy": document(statement)})
    assert len(messages("callers-are-named", sample)) == problems


def test_callers_are_not_named_by_exclusion() -> None:
    others = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    statement = allow("sqs:SendMessage", "arn:aws:sqs:eu-west-1:1:q", NotPrincipal=others)
    sample = resource("aws:sqs/queuePolicy:QueuePolicy", "p", {"policy": document(statement)})
    assert len(messages("callers-are-named", sample)) == 1


SUBSCRIBED = f"arn:aws:sns:eu-west-1:{ACCOUNT}:alarms"
QUEUE_OF_OTHER = f"arn:aws:sqs:eu-west-1:{OTHER_ACCOUNT}:q"


@pytest.mark.parametrize(
    ("type_", "props"),
    [
        (TOPIC_SUBSCRIPTION, {"topic": SUBSCRIBED, "endpoint": QUEUE_OF_OTHER}),
        (PERMISSION, {"principal": OTHER_ACCOUNT}),
        (PERMISSION, {"principal": f"arn:aws:iam::{OTHER_ACCOUNT}:root"}),
        (PERMISSION, {"principal": "s3.amazonaws.com", "sourceAccount": OTHER_ACCOUNT}),
        (ROLE, {"assumeRolePolicy": document(trust(SCHEDULER, from_source(GROUP, accounts=OTHER_ACCOUNT)))}),
        (ROLE_POLICY, {"policy": document(allow("sqs:SendMessage", QUEUE_OF_OTHER))}),
        (QUEUE_POLICY, {"policy": document(allow("sqs:SendMessage", "*", Principal={"AWS": OTHER_ACCOUNT}))}),
        (FUNCTION, {"layers": [f"arn:aws:lambda:eu-west-1:{OTHER_ACCOUNT}:layer:telemetry:1"]}),
        (ALIAS, {"functionName": f"arn:aws:lambda:eu-west-1:{OTHER_ACCOUNT}:function:f"}),
        (FUNCTION, {"imageUri": f"{OTHER_ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/image"}),
        (METRIC_ALARM, {"alarmActions": [SUBSCRIBED.replace(ACCOUNT, OTHER_ACCOUNT)]}),
    ],
)
def test_no_other_account_gets_access(type_: str, props: dict[str, Any]) -> None:
    stack = [
        resource(TOPIC, "alarms", {"arn": SUBSCRIBED}),
        resource(QUEUE, "orders", {"arn": f"arn:aws:sqs:eu-west-1:{ACCOUNT}:orders"}),
        resource(FUNCTION, "f", {"arn": f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:f"}),
    ]
    assert messages("accounts-are-the-stacks-own", *stack) == []
    assert messages("accounts-are-the-stacks-own", *stack, resource(type_, "sample", props)) == [
        f"sample names the account {OTHER_ACCOUNT}, but the stack is in {ACCOUNT}: name that, or give the "
        "reason in policy/exceptions.py (OTHER_ACCOUNTS)."
    ]
    own = json.loads(json.dumps(props).replace(OTHER_ACCOUNT, ACCOUNT))
    assert messages("accounts-are-the-stacks-own", *stack, resource(type_, "sample", own)) == []


def test_two_functions_do_not_share_a_role() -> None:
    trusting = {"assumeRolePolicy": document(trust(LAMBDA))}
    role = resource(ROLE, "shared", {"arn": "arn:aws:iam::1:role/shared", **trusting})
    other = resource(ROLE, "own", {"arn": "arn:aws:iam::1:role/own", "assumeRolePolicy": UNKNOWN})
    first = resource(FUNCTION, "first", refers={"role": role})
    second = resource(FUNCTION, "second", {"role": "arn:aws:iam::1:role/shared"})
    machine = resource(STATE_MACHINE, "machine", refers={"roleArn": other})
    assert messages("one-role-each", role, other, first, machine) == []
    assert messages("one-role-each", role, other, first, second, machine) == [
        "shared is shared by first, second: give each its own role."
    ]


def test_a_role_has_a_user_of_the_service_that_it_trusts() -> None:
    role = resource(ROLE, "role", {"arn": "arn:role", "assumeRolePolicy": document(trust(SCHEDULER))})
    function = resource(FUNCTION, "f", refers={"role": role})
    schedule = resource(SCHEDULE, "s", {"target": {"roleArn": "arn:role"}})
    assert messages("one-role-each", role, schedule) == []
    assert messages("one-role-each", role, function) == [
        "role trusts scheduler.amazonaws.com, but is the role of f: trust lambda.amazonaws.com."
    ]
    assert len(messages("one-role-each", role)) == 1


def test_a_function_does_not_run_under_a_role_from_elsewhere() -> None:
    sample = resource(FUNCTION, "f", {"role": "arn:aws:iam::1:role/elsewhere"})
    assert len(messages("one-role-each", sample)) == 1


# --- Queues and functions ---------------------------------------------------------------------------------


def queue_pair(**own: Any) -> tuple[PolicyResource, PolicyResource]:
    dead = resource(QUEUE, "dead", {"messageRetentionSeconds": 1_209_600})
    redrive = json.dumps({"deadLetterTargetArn": "arn", "maxReceiveCount": 5})
    queue = resource(QUEUE, "queue", {"redrivePolicy": redrive, **own}, refers={"redrivePolicy": dead})
    return queue, dead


def test_dead_letters_are_reached_and_outlive_the_queue() -> None:
    assert messages("queues-have-dead-letters", *queue_pair()) == []
    longer = queue_pair(messageRetentionSeconds=1_209_600)
    assert len(messages("queues-have-dead-letters", *longer)) == 1
    never = queue_pair(redrivePolicy=json.dumps({"deadLetterTargetArn": "arn", "maxReceiveCount": 0}))
    assert len(messages("queues-have-dead-letters", *never)) == 1


def test_a_redrive_policy_may_be_a_resource_of_its_own() -> None:
    queue = resource(QUEUE, "queue", {"url": "https://queue", "redrivePolicy": ""})
    dead = resource(QUEUE, "dead", {"arn": "arn:dead", "messageRetentionSeconds": 1_209_600})
    for count, problems in ((5, 0), (0, 1)):
        redrive = json.dumps({"deadLetterTargetArn": "arn:dead", "maxReceiveCount": count})
        written = {"queueUrl": "https://queue", "redrivePolicy": redrive}
        for policy in (
            resource(REDRIVE_POLICY, "redrive", written),
            resource(REDRIVE_POLICY, "redrive", written, refers={"queueUrl": queue, "redrivePolicy": dead}),
        ):
            assert len(messages("queues-have-dead-letters", queue, dead, policy)) == problems


@pytest.mark.parametrize("absent", [None, "", "null", "{}", "not JSON"])
def test_a_redrive_policy_that_names_no_queue_is_none(absent: str | None) -> None:
    queue = resource(QUEUE, "queue", {"redrivePolicy": absent, "name": "", "url": ""})
    assert messages("queues-have-dead-letters", queue) == [
        "queue has no dead-letter queue: set redrivePolicy, or messages that keep failing are lost."
    ]


def test_two_queues_are_not_each_others_dead_letters() -> None:
    def with_target(name: str, target: str) -> PolicyResource:
        redrive = json.dumps({"deadLetterTargetArn": f"arn:{target}", "maxReceiveCount": 5})
        return resource(QUEUE, name, {"arn": f"arn:{name}", "redrivePolicy": redrive})

    assert messages("queues-have-dead-letters", with_target("a", "b"), with_target("b", "a")) != []
    assert messages("queues-have-dead-letters", with_target("a", "a")) != []


def test_a_queue_is_not_mistaken_for_one_whose_name_begins_alike() -> None:
    dead = resource(QUEUE, "dead", {"arn": "arn:orders-dead", "messageRetentionSeconds": 1_209_600})
    redrive = json.dumps({"deadLetterTargetArn": "arn:orders-dead", "maxReceiveCount": 5})
    queue = resource(QUEUE, "orders", {"arn": "arn:orders", "redrivePolicy": redrive})
    assert messages("queues-have-dead-letters", queue, dead) == []


@pytest.mark.parametrize(
    ("visibility", "window", "problems"), [(60, 0, 0), (60, 1, 1), (59, 0, 1), (None, 0, 1)]
)
def test_the_batching_window_counts_towards_the_visibility(
    visibility: int | None, window: int, problems: int
) -> None:
    queue = resource(QUEUE, "queue", {"visibilityTimeoutSeconds": visibility} if visibility else {})
    function = resource(FUNCTION, "consumer", {"timeout": 10})
    mapping = resource(
        EVENT_SOURCE_MAPPING,
        "feeds",
        {"maximumBatchingWindowInSeconds": window},
        refers={"eventSourceArn": queue, "functionName": function},
    )
    assert len(messages("visibility-covers-the-consumer", queue, function, mapping)) == problems


def test_a_function_is_found_behind_its_alias() -> None:
    function = resource(FUNCTION, "consumer", {"timeout": 29, "arn": "arn:f"})
    alias = resource(ALIAS, "live", {"arn": "arn:f:live"}, refers={"functionName": function})
    queue = resource(QUEUE, "queue", {"visibilityTimeoutSeconds": 30})
    for props, refers in (({}, {"functionName": alias}), ({"functionName": "arn:f:live"}, {})):
        mapping = resource(EVENT_SOURCE_MAPPING, "m", props, refers={"eventSourceArn": queue, **refers})
        assert len(messages("visibility-covers-the-consumer", queue, function, alias, mapping)) == 1
    integration = resource(API_INTEGRATION, "i", refers={"uri": alias})
    assert len(messages("http-functions-answer-in-time", function, alias, integration)) == 1


PLAIN_HTTP = {"Bool": {"aws:SecureTransport": "false"}}


def deny(**changes: object) -> dict[str, Any]:
    refusal = {"Effect": "Deny", "Principal": "*", "Action": "sqs:*", "Resource": "arn:queue"}
    return {**refusal, "Condition": PLAIN_HTTP, **changes}


@pytest.mark.parametrize(
    ("statement", "problems"),
    [
        (deny(), 0),
        (deny(Principal={"AWS": "*"}, Action=["sqs:*"], Resource=["*"]), 0),
        (deny(Condition={"Bool": {"AWS:SecureTransport": ["false"]}}), 0),
        (deny(Effect="Allow"), 1),
        (deny(Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:root"}), 1),
        (deny(Action="sqs:SendMessage"), 1),
        (deny(Resource="arn:other"), 1),
        (deny(Condition=None), 1),
        (deny(Condition={"Bool": {"aws:SecureTransport": "true"}}), 1),
        (deny(Condition={**PLAIN_HTTP, "StringEquals": {"aws:SourceAccount": ACCOUNT}}), 1),
    ],
)
def test_a_queue_rejects_plain_http_from_every_caller(statement: dict[str, Any], problems: int) -> None:
    queue = resource(QUEUE, "queue", {"arn": "arn:queue"})
    policy = resource(QUEUE_POLICY, "p", {"policy": document(statement)}, refers={"queueUrl": queue})
    assert len(messages("encrypted-in-transit", queue, policy)) == problems


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_the_configuration_cannot_turn_tls_off(stack: str) -> None:
    run = declare_test_stack(stack, requireTls=False)
    found = evaluate(RULES, recorded(run), config_of(run))
    assert [violation.rule for violation in found] == ["encrypted-in-transit"] * 2


# --- The API ----------------------------------------------------------------------------------------------


def test_an_open_method_is_checked_when_its_path_and_verb_are_known() -> None:
    api = resource(REST_API, "api", {"rootResourceId": "root"})
    for verb, part, problems in (
        ("GET", "docs", 0),
        ("GET", "users", 1),
        ("HEAD", "docs", 0),
        ("HEAD", "users", 1),
        (UNKNOWN, "users", 0),
        ("GET", UNKNOWN, 0),
    ):
        path = resource(API_RESOURCE, "path", {"pathPart": part}, refers={"parentId": api})
        method = resource(API_METHOD, "method", {"httpMethod": verb}, refers={"resourceId": path})
        assert len(messages("methods-require-a-key", api, path, method)) == problems
    method = resource(API_METHOD, "method", {"httpMethod": "GET", "resourceId": UNKNOWN})
    assert messages("methods-require-a-key", api, method) == []


def integration_of(verb: Any, kind: Any, uri: Any = None, **props: Any) -> PolicyResource:
    return resource(API_INTEGRATION, "i", {"httpMethod": verb, "type": kind, "uri": uri, **props})


INVOKE = "arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions"


@pytest.mark.parametrize(
    ("integration", "problems"),
    [
        (integration_of("OPTIONS", "MOCK"), 0),
        (integration_of("OPTIONS", "AWS_PROXY", f"{INVOKE}/arn:f/invocations"), 1),
        (integration_of("OPTIONS", "HTTP_PROXY", "https://example.com"), 1),
        (integration_of("OPTIONS", UNKNOWN), 0),
        (integration_of("GET", "AWS_PROXY", f"{INVOKE}/arn:f/invocations"), 0),
        (integration_of("GET", "AWS_PROXY", UNKNOWN), 0),
        (integration_of("GET", "AWS_PROXY", f"{INVOKE}/arn:other/invocations"), 1),
        (integration_of("GET", "AWS_PROXY", f"{INVOKE}/arn:${{stageVariables.f}}/invocations"), 1),
        (integration_of("GET", "AWS_PROXY", f"{INVOKE}/arn:f/invocations", credentials="arn:role"), 1),
        (integration_of("GET", "HTTP_PROXY", "https://example.com"), 1),
        (integration_of("GET", "HTTP", "https://example.com"), 1),
        (integration_of("GET", "AWS", "arn:aws:apigateway:eu-west-1:dynamodb:action/Scan"), 1),
        (integration_of("ANY", "MOCK"), 1),
    ],
)
def test_a_method_reaches_a_function_of_the_stack_and_a_preflight_nothing(
    integration: PolicyResource, problems: int
) -> None:
    function = resource(FUNCTION, "f", {"arn": "arn:f"})
    assert len(messages("methods-reach-functions-of-the-stack", function, integration)) == problems


@pytest.mark.parametrize(
    ("props", "problems"),
    [
        ({}, 0),
        ({"body": ""}, 0),
        ({"body": json.dumps({"openapi": "3.0.1"})}, 1),
        ({"apiKeySource": "HEADER"}, 0),
        ({"apiKeySource": "AUTHORIZER"}, 1),
    ],
)
def test_an_api_declares_its_methods(props: dict[str, Any], problems: int) -> None:
    assert len(messages("apis-declare-their-methods", resource(REST_API, "api", props))) == problems


def test_a_stage_has_a_web_acl_where_the_configuration_requires_one() -> None:
    stage, other = (resource(API_STAGE, name, {"arn": f"arn:{name}"}) for name in ("v1", "v2"))
    acl = resource(WEB_ACL_ASSOCIATION, "acl", {"resourceArn": "arn:v1"})
    required = {"orderflow:firewall": "true"}
    assert messages("stages-are-filtered-as-configured", stage, acl, config=required) == []
    assert len(messages("stages-are-filtered-as-configured", stage, other, acl, config=required)) == 1
    assert messages("stages-are-filtered-as-configured", stage, other, config={}) == []


# --- Types ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_", "covered"),
    [
        (QUEUE, True),
        ("orderflow:messaging:Queue", True),
        ("pulumi:pulumi:StackReference", True),
        ("pulumi:providers:aws", True),
        ("aws:lambda/functionUrl:FunctionUrl", False),
        ("aws:apigatewayv2/api:Api", False),
        ("aws:apigatewayv2/route:Route", False),
        ("aws:apigateway/restApiPut:RestApiPut", False),
        ("aws:appsync/graphQLApi:GraphQLApi", False),
        ("aws:lb/targetGroupAttachment:TargetGroupAttachment", False),
        ("aws:pipes/pipe:Pipe", False),
        ("aws:cloudformation/stack:Stack", False),
        ("aws:iam/user:User", False),
        ("aws:iam/accessKey:AccessKey", False),
        ("aws:iam/groupPolicy:GroupPolicy", False),
        ("aws:cloudwatch/eventPermission:EventPermission", False),
        ("aws-native:apigatewayv2:Api", False),
        ("pulumi-python:dynamic:Resource", False),
    ],
)
def test_a_type_that_no_rule_covers_is_refused(type_: str, covered: bool) -> None:
    assert len(messages("types-are-covered", resource(type_, "sample"))) == (0 if covered else 1)


# --- Logs -------------------------------------------------------------------------------------------------


def test_a_function_without_a_named_log_group_needs_the_one_that_lambda_would_make() -> None:
    function = resource(FUNCTION, "f", {"name": "f-dev"})
    group = resource(LOG_GROUP, "g", {"name": "/aws/lambda/f-dev"})
    assert messages("functions-log-to-a-declared-group", function, group) == []
    assert len(messages("functions-log-to-a-declared-group", function)) == 1


# --- Topics, alarms, secrets, tables ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "problems"), [(None, 1), ("alias/aws/sns", 1), ("arn:aws:kms:eu-west-1:1:key/2", 0)]
)
def test_a_topic_is_encrypted_with_a_key_that_alarms_may_use(key: str | None, problems: int) -> None:
    sample = resource(TOPIC, "alarms", {"kmsMasterKeyId": key} if key else {})
    assert len(messages("encrypted-at-rest", sample)) == problems


def alarm_topic(*encrypting: dict[str, Any], **key: object) -> list[PolicyResource]:
    """A topic of alarms, with a key whose policy has these statements."""
    of_topic = resource(KMS_KEY, "key", {"arn": "arn:key", "policy": document(*encrypting), **key})
    topic = resource(TOPIC, "alarms", {"kmsMasterKeyId": UNKNOWN}, refers={"kmsMasterKeyId": of_topic})
    alarm = resource(METRIC_ALARM, "alarm", {"alarmActions": [UNKNOWN]}, refers={"alarmActions": topic})
    return [of_topic, topic, alarm]


def test_a_topic_uses_a_key_of_the_stack_that_cloudwatch_may_use() -> None:
    cloudwatch = {"Service": "cloudwatch.amazonaws.com"}
    use = allow(["kms:Decrypt", "kms:GenerateDataKey"], "*", Principal=cloudwatch)
    assert messages("topics-use-a-declared-key", *alarm_topic(use)) == []
    assert messages("topics-use-a-declared-key", *alarm_topic(use, policy=UNKNOWN)) == []
    for broken_key in (
        alarm_topic(),
        alarm_topic(use, isEnabled=False),
        alarm_topic({**use, "Action": "kms:Decrypt"}),
        alarm_topic({**use, "Effect": "Deny"}),
        alarm_topic({**use, "Principal": {"Service": "sns.amazonaws.com"}}),
    ):
        assert len(messages("topics-use-a-declared-key", *broken_key)) == 1
    for key in (
        "alias/other",
        f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/2",
        f"arn:aws:kms:eu-west-1:{ACCOUNT}:x",
    ):
        topic = resource(TOPIC, "alarms", {"kmsMasterKeyId": key})
        assert len(messages("topics-use-a-declared-key", topic)) == 1


@pytest.mark.parametrize(
    ("props", "problems"),
    [
        ({"alarmActions": ["arn"], "alarmDescription": "Look: docs/operations.md#dead-letters"}, 0),
        ({"alarmActions": ["arn"], "alarmDescription": "https://wiki.example.com/orderflow"}, 0),
        ({"alarmDescription": "docs/operations.md#dead-letters"}, 1),
        ({"alarmActions": [], "alarmDescription": "docs/operations.md#dead-letters"}, 1),
        ({"alarmActions": ["arn"], "alarmDescription": "Something is wrong"}, 1),
        ({"alarmActions": ["arn"]}, 1),
        ({"alarmActions": ["arn"], "alarmDescription": "docs/a.md#b", "actionsEnabled": False}, 1),
        ({}, 2),
    ],
)
def test_an_alarm_has_an_action_and_a_runbook(props: dict[str, Any], problems: int) -> None:
    for type_ in (METRIC_ALARM, COMPOSITE_ALARM):
        assert len(messages("alarms-have-action-and-runbook", resource(type_, "alarm", props))) == problems


def test_a_topic_that_carries_alarms_has_a_subscriber_where_the_configuration_names_one() -> None:
    topic = resource(TOPIC, "alarms", {"arn": "arn:alarms"})
    other = resource(TOPIC, "other", {"arn": "arn:other"})
    by_link = resource(METRIC_ALARM, "alarm", {"alarmActions": [UNKNOWN]}, refers={"alarmActions": topic})
    by_arn = resource(COMPOSITE_ALARM, "alarm", {"alarmActions": ["arn:alarms"]})
    subscription = resource(TOPIC_SUBSCRIPTION, "mail", {"protocol": "email"}, refers={"topic": topic})
    asked = {"orderflow:alarmEmail": "oncall@example.com"}
    for alarm in (by_link, by_arn):
        stack = (topic, other, alarm)
        assert len(messages("alarm-topics-have-a-subscriber", *stack, config=asked)) == 1
        assert messages("alarm-topics-have-a-subscriber", *stack, subscription, config=asked) == []
        assert messages("alarm-topics-have-a-subscriber", *stack, config={}) == []


@pytest.mark.parametrize(
    ("protocol", "endpoint", "problems"),
    [
        ("email", "oncall@example.com", 0),
        ("email", "other@example.com", 1),
        ("email", "", 1),
        ("email", UNKNOWN, 0),
        ("sqs", "arn:queue", 0),
        ("lambda", "arn:function", 0),
        ("lambda", "arn:queue", 1),
        ("sqs", f"arn:aws:sqs:eu-west-1:{OTHER_ACCOUNT}:queue", 1),
        ("firehose", f"arn:aws:firehose:eu-west-1:{ACCOUNT}:deliverystream/x", 1),
        ("https", "https://example.com/alarms", 1),
        ("http", "http://example.com/alarms", 1),
        ("sms", "+15550100", 1),
    ],
)
def test_a_topic_sends_to_configured_subscribers_only(protocol: str, endpoint: Any, problems: int) -> None:
    stack = [
        resource(QUEUE, "queue", {"arn": "arn:queue"}),
        resource(FUNCTION, "function", {"arn": "arn:function"}),
        resource(TOPIC_SUBSCRIPTION, "s", {"protocol": protocol, "endpoint": endpoint}),
    ]
    config = {"orderflow:alarmEmail": "oncall@example.com"}
    assert len(messages("subscribers-are-configured", *stack, config=config)) == problems


JWT_PART = "eyJhbGciOiJIUzI1NiJ9"


def secrets_found(*resources: PolicyResource) -> list[str]:
    """The messages of both rules about secrets."""
    names = ("no-secret-in-a-property", "no-secret-in-the-open")
    return [message for name in names for message in messages(name, *resources)]


@pytest.mark.parametrize(
    ("type_", "props", "problems"),
    [
        (STATE_MACHINE, {"definition": '{"Parameters": {"x": "ghp_' + 36 * "a" + '"}}'}, 1),
        (API_STAGE, {"variables": {"partnerToken": "x"}}, 1),
        (API_INTEGRATION, {"requestParameters": {"header": f"'Bearer {16 * 'a'}'"}}, 1),
        (SCHEDULE, {"target": {"input": "https://user:hunter2@example.com"}}, 1),
        (SECRET_VERSION, {"secretString": "https://user:hunter2@example.com"}, 0),
        (TABLE, {"hashKey": "token"}, 0),
    ],
)
def test_no_property_holds_a_secret(type_: str, props: dict[str, Any], problems: int) -> None:
    assert len(secrets_found(resource(type_, "sample", props))) == problems


@pytest.mark.parametrize(
    ("name", "value", "problems"),
    [
        ("FULFILLMENT_SECRET_ARN", "arn:aws:secretsmanager:eu-west-1:1:secret:x", 0),
        ("TOKEN_TABLE", "tokens", 0),
        ("LOG_LEVEL", "INFO", 0),
        ("IDEMPOTENCY_KEY", "orderId", 0),
        ("PARTITION_KEY", "userId", 0),
        ("API_KEY_IDS", "k1,k2", 0),
        ("SECRET_NAMES", "signing", 0),
        ("FULFILLMENT_URL", "https://ships.example.com/a@b:c", 0),
        ("DATABASE_PASSWORD", "x", 1),
        ("DB_PWD", "x", 1),
        ("HMAC_KEY", "x", 1),
        ("ENCRYPTION_KEY", "x", 1),
        ("ACCESS_KEY", "x", 1),
        ("STRIPE_KEY", "x", 1),
        ("apiKey", "x", 1),
        ("FULFILLMENT_URL", "https://user:hunter2@ships.example.com", 1),
        ("NOTHING", "AKIAIOSFODNN7EXAMPLE", 1),
        ("NOTHING", "-----BEGIN PRIVATE KEY-----", 1),
        ("NOTHING", "prefix s3cr3t-value suffix", 1),
        ("GITHUB_PAT", "x", 1),
        ("SESSION_JWT", "x", 1),
        ("PARTNER_AUTH", "x", 1),
        ("DATABASE_DSN", "x", 1),
        ("JWT_ISSUER", "https://example.com", 0),
        ("NOTHING", f"{JWT_PART}.{JWT_PART}.signature", 1),
        ("NOTHING", "github_pat_" + 22 * "a", 1),
        ("NOTHING", "xoxb-1234567890-abcdef", 1),
        ("NOTHING", "sk_live_" + 24 * "a", 1),
        ("NOTHING", "https://hooks.slack.com/services/T00/B00/x", 1),
        ("NOTHING", "Bearer abcdefghijklmnop", 1),
        ("NOTHING", "wJalrXUtnFEMI7K7MDENG+bPxRfiCYEXAMPLEKEY", 1),
        ("NOTHING", "d41d8cd98f00b204e9800998ecf8427e", 1),
        ("SERVICE_VERSION", "ca22d5b7d0b4", 0),
        ("ORDERS_TABLE", "orderflow-orders-EU-Prod-2026-64c35a", 0),
        ("SECRET_ARN", "arn:aws:secretsmanager:eu-west-1:1:secret:FulfillmentSigningKey2026-Ab3dEf", 0),
        ("FULFILLMENT_URL", "https://ships.example.com/CreateShipmentRequestV2", 0),
    ],
)
def test_an_environment_variable_holds_no_secret(name: str, value: str, problems: int) -> None:
    function = resource(FUNCTION, "f", {"environment": {"variables": {name: value}}})
    secret = resource(SECRET_VERSION, "s", {"secretString": "s3cr3t-value"})
    assert len(secrets_found(function, secret)) == problems


@pytest.mark.parametrize(
    ("type_", "props", "problems"),
    [
        (SECRET_VERSION, {"secretString": "s3cr3t-value"}, 1),
        (SECRET_VERSION, {"secretString": json.dumps({"hmac": "s3cr3t-value"})}, 1),
        (SECRET_VERSION, {"secretString": json.dumps({"username": "s3cr3t-value"})}, 0),
        (SECRET_VERSION, {"secretBinary": base64.b64encode(b"s3cr3t-value").decode()}, 1),
        ("aws:ssm/parameter:Parameter", {"type": "SecureString", "value": "s3cr3t-value"}, 1),
        ("aws:ssm/parameter:Parameter", {"type": "String", "value": "s3cr3t-value"}, 0),
    ],
)
def test_the_value_of_a_secret_of_the_stack_is_found(
    type_: str, props: dict[str, Any], problems: int
) -> None:
    function = resource(FUNCTION, "f", {"environment": {"variables": {"NOTHING": "s3cr3t-value"}}})
    assert len(secrets_found(function, resource(type_, "s", props))) == problems


def test_no_export_holds_the_value_of_a_key() -> None:
    key = resource(API_KEY, "paid", {"id": "k1", "value": "value-of-the-key"})
    good = resource(STACK, "prod", {"apiKeyIds": {"paid": "k1"}})
    bad = resource(STACK, "prod", {"list": [{"paid": "value-of-the-key"}]})
    assert messages("no-secret-in-the-open", key, good) == []
    assert messages("no-secret-in-the-open", key, bad) == [
        "prod exports a secret as list: export its id or ARN instead."
    ]


@pytest.mark.parametrize(
    ("exports", "problems"),
    [
        ({"dbPassword": "hunter22"}, 1),
        ({"database": {"password": "hunter22", "token": "t"}}, 1),
        ({"apiKeys": {"paid": "hunter22"}}, 1),
        ({"apiKeyIds": {"paid": "k1"}, "tableNames": {"tokens": "tokens-prod"}, "secretArn": "arn:s"}, 0),
        ({"dbPassword": UNKNOWN, "list": [UNKNOWN, {"token": UNKNOWN}]}, 0),
    ],
)
def test_an_export_with_the_name_of_a_secret_is_refused(exports: dict[str, Any], problems: int) -> None:
    assert len(messages("no-secret-in-the-open", resource(STACK, "prod", exports))) == problems


def test_a_table_is_protected_only_where_the_configuration_asks() -> None:
    table = resource(TABLE, "t", {})
    names = ("pointInTimeRecovery", "deletionProtection", "protectData")
    for name in names:
        asked = {f"orderflow:{other}": str(other == name).lower() for other in names}
        found = messages("tables-are-protected-as-configured", table, config=asked)
        assert len(found) == 1, name
        assert messages("tables-are-protected-as-configured", table, config={}) == []
    good = resource(
        TABLE,
        "t",
        {"pointInTimeRecovery": {"enabled": True}, "deletionProtectionEnabled": True},
        protect=True,
    )
    everything = {f"orderflow:{name}": "true" for name in names}
    assert messages("tables-are-protected-as-configured", good, config=everything) == []


@pytest.mark.parametrize(
    ("configured", "days", "problems"),
    [("35", None, 0), ("35", 35, 0), ("35", 34, 1), ("7", 7, 0), ("7", 6, 1), ("7", 35, 0), (None, 34, 1)],
)
def test_a_table_can_be_restored_as_far_back_as_configured(
    configured: str | None, days: int | None, problems: int
) -> None:
    config = {"orderflow:pointInTimeRecovery": "true"}
    if configured:
        config["orderflow:recoveryDays"] = configured
    recovery = {"enabled": True} | ({"recoveryPeriodInDays": days} if days else {})
    table = resource(TABLE, "t", {"pointInTimeRecovery": recovery})
    assert len(messages("tables-are-protected-as-configured", table, config=config)) == problems


def test_a_role_is_bounded_only_where_the_configuration_asks() -> None:
    boundary, other = (f"arn:aws:iam::{ACCOUNT}:policy/{name}" for name in ("boundary", "other"))
    asked = {"orderflow:permissionsBoundaryArn": boundary}
    for found, problems in ((boundary, 0), (other, 1), (None, 1)):
        role = resource(ROLE, "r", {"permissionsBoundary": found})
        assert len(messages("roles-are-bounded-as-configured", role, config=asked)) == problems
        assert messages("roles-are-bounded-as-configured", role, config={}) == []
