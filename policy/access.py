"""Who may do what: policies without wildcards, roles that one service assumes, callers that are named."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pulumi
from pulumi_policy import Policy, ResourceValidationArgs

from policy.exceptions import TRUSTED_SERVICES, WILDCARD_RESOURCES
from policy.resources import (
    KMS_KEY,
    PERMISSION,
    PROJECT,
    ROLE,
    ROLE_POLICY_ATTACHMENT,
    many,
    statements,
)
from policy.rule import resource_rule

# Where policy documents stand: type to property. Roles have theirs besides, see `_documents`.
POLICY_DOCUMENTS: Final = {
    "aws:apigateway/restApiPolicy:RestApiPolicy": "policy",
    "aws:cloudwatch/eventBusPolicy:EventBusPolicy": "policy",
    "aws:cloudwatch/logResourcePolicy:LogResourcePolicy": "policyDocument",
    "aws:dynamodb/resourcePolicy:ResourcePolicy": "policy",
    "aws:iam/policy:Policy": "policy",
    "aws:iam/rolePolicy:RolePolicy": "policy",
    KMS_KEY: "policy",
    "aws:secretsmanager/secretPolicy:SecretPolicy": "policy",
    "aws:sns/topic:Topic": "policy",
    "aws:sns/topicPolicy:TopicPolicy": "policy",
    "aws:sqs/queue:Queue": "policy",
    "aws:sqs/queuePolicy:QueuePolicy": "policy",
}

_AWS_MANAGED: Final = re.compile(r"arn:aws[a-z-]*:iam::aws:policy/.*")
# API Gateway's ARN of a request: the API, its stage, and whatever methods and paths below.
_STAGE_OF_API: Final = re.compile(r"arn:[^*]+:execute-api:[^*/]+(/[^*/]+)+(/\*)?")
_ACCOUNT_ROOT: Final = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:root")


def no_wildcard_actions(args: ResourceValidationArgs) -> Iterator[str]:
    """No `*` in an allowed action, no allowing by exclusion, none of AWS's own policies (full of `*`)."""
    for statement in _allowed(args):
        if "NotAction" in statement:
            yield "allows everything but some actions (NotAction): name the actions instead"
        if _is_key_administration(args, statement):
            continue
        for action in many(statement.get("Action")):
            if "*" in action:
                yield f"allows {action}: name the actions that the code calls"
    for arn in _attached(args):
        if _AWS_MANAGED.fullmatch(arn):
            yield f"attaches {arn}, which AWS keeps broad and may widen: grant the actions themselves"


def no_wildcard_resources(args: ResourceValidationArgs) -> Iterator[str]:
    """No `*` in a resource, but for what stands in the table of exceptions."""
    if args.resource_type == KMS_KEY:
        return  # in a key's own policy "*" means this key
    for statement in _allowed(args):
        if "NotResource" in statement:
            yield "allows everything but some resources (NotResource): name the resources instead"
        for resource in many(statement.get("Resource")):
            for action in many(statement.get("Action")):
                if "*" in resource and not is_excepted(action, resource):
                    yield (
                        f"allows {action} on {resource}: name the resource, or give the reason in "
                        "policy/exceptions.py"
                    )


def is_excepted(action: str, resource: str) -> bool:
    """Whether the table of exceptions lets this action have this wildcard."""
    return any(
        action in row.actions and row.resource.fullmatch(resource) is not None for row in WILDCARD_RESOURCES
    )


def roles_trust_one_service(args: ResourceValidationArgs) -> Iterator[str]:
    """A role is assumed by exactly one service, under the conditions that AWS documents for it."""
    if args.resource_type != ROLE:
        return
    trusts = statements(args.props["assumeRolePolicy"])
    if len(trusts) != 1:
        yield f"has a trust policy of {len(trusts)} statements: a role is for one service"
        return
    (trust,) = trusts
    principal = trust.get("Principal")
    services = many(principal.get("Service")) if isinstance(principal, Mapping) else []
    if not isinstance(principal, Mapping) or set(principal) != {"Service"} or len(services) != 1:
        yield "is not trusted by exactly one service"
        return
    if trust.get("Effect") != "Allow" or many(trust.get("Action")) != ["sts:AssumeRole"]:
        yield "has a trust policy that allows something other than sts:AssumeRole"
    yield from _trust_problems(services[0], trust)


def _trust_problems(service: str, trust: Mapping[str, Any]) -> Iterator[str]:
    known = TRUSTED_SERVICES.get(service)
    if known is None:
        yield f"trusts {service}, for which policy/exceptions.py does not say how (TRUSTED_SERVICES)"
    elif known.source_arn is not None:
        accounts = condition_values(trust, "aws:SourceAccount")
        if not accounts or not all(re.fullmatch("[0-9]{12}", account) for account in accounts):
            yield f"trusts {service} for any account: add the condition aws:SourceAccount"
        arns = condition_values(trust, "aws:SourceArn")
        if not arns or not all(known.source_arn.fullmatch(arn) for arn in arns):
            yield (
                f"trusts {service} for other resources too: aws:SourceArn must match "
                f"{known.source_arn.pattern}, but is {', '.join(arns) or 'missing'} ({known.reason})"
            )


def condition_values(statement: Mapping[str, Any], key: str) -> list[str]:
    """The values that a condition demands of a key; operators that let a missing key pass do not count."""
    values: list[str] = []
    for operator, tests in (statement.get("Condition") or {}).items():
        if operator in ("StringEquals", "StringLike", "ArnEquals", "ArnLike"):
            for name, wanted in tests.items():
                if name.lower() == key.lower():
                    values += many(wanted)
    return values


def roles_are_bounded_as_configured(args: ResourceValidationArgs) -> Iterator[str]:
    """Every role is held in the permissions boundary that the stack's configuration names."""
    boundary = pulumi.Config(PROJECT).get("permissionsBoundaryArn")
    if args.resource_type == ROLE and boundary:
        found = args.props.get("permissionsBoundary")
        if found != boundary:
            yield f"has {found or 'no permissions boundary'}, but the configuration asks for {boundary}"


def callers_are_named(args: ResourceValidationArgs) -> Iterator[str]:
    """What lets others in says who: no `*` as principal, and of a service only one resource or account."""
    if args.resource_type == PERMISSION:
        source = args.props.get("sourceArn") or "nothing"
        if args.props.get("principal") == "*":
            yield "lets everybody invoke the function"
        elif not _is_narrow(source):
            yield f"lets {args.props.get('principal')} invoke the function on behalf of {source}: narrow it"
        return
    for statement in _allowed(args):
        principal = statement.get("Principal")
        if principal == "*" or (isinstance(principal, Mapping) and "*" in many(principal.get("AWS"))):
            yield "lets everybody in (Principal *)"
        services = many(principal.get("Service")) if isinstance(principal, Mapping) else []
        narrowed = condition_values(statement, "aws:SourceArn") + condition_values(
            statement, "aws:SourceAccount"
        )
        if services and not narrowed:
            yield f"lets {', '.join(services)} in for anybody: add aws:SourceArn or aws:SourceAccount"


def _is_narrow(source_arn: str) -> bool:
    if ":execute-api:" in source_arn:
        return _STAGE_OF_API.fullmatch(source_arn) is not None
    return source_arn.startswith("arn:") and "*" not in source_arn


def _documents(args: ResourceValidationArgs) -> Iterator[object]:
    key = POLICY_DOCUMENTS.get(args.resource_type)
    if key is not None:
        yield args.props.get(key)
    if args.resource_type == ROLE:
        for inline in many(args.props.get("inlinePolicies")):
            yield inline.get("policy")


def _allowed(args: ResourceValidationArgs) -> Iterator[Mapping[str, Any]]:
    """All statements that allow something; a refusal cannot be too broad."""
    for document in _documents(args):
        for statement in statements(document):
            if statement.get("Effect") == "Allow":
                yield statement


def _attached(args: ResourceValidationArgs) -> list[str]:
    if args.resource_type == ROLE_POLICY_ATTACHMENT:
        return many(args.props.get("policyArn"))
    return many(args.props.get("managedPolicyArns")) if args.resource_type == ROLE else []


def _is_key_administration(args: ResourceValidationArgs, statement: Mapping[str, Any]) -> bool:
    """AWS's own first statement of a key's policy: without it nobody could ever change the key again."""
    principal = statement.get("Principal")
    owners = many(principal.get("AWS")) if isinstance(principal, Mapping) else []
    return (
        args.resource_type == KMS_KEY
        and many(statement.get("Action")) == ["kms:*"]
        and len(owners) == 1
        and _ACCOUNT_ROOT.fullmatch(owners[0]) is not None
    )


RULES: Final[tuple[Policy, ...]] = (
    resource_rule(
        "no-wildcard-actions",
        "Policies allow named actions only.",
        no_wildcard_actions,
    ),
    resource_rule(
        "no-wildcard-resources",
        "Policies allow actions on named resources only, but for the documented exceptions.",
        no_wildcard_resources,
    ),
    resource_rule(
        "roles-trust-one-service",
        "A role is trusted by one service, with the confused-deputy conditions AWS documents.",
        roles_trust_one_service,
    ),
    resource_rule(
        "roles-are-bounded-as-configured",
        "Roles have the permissions boundary that the stack's configuration names.",
        roles_are_bounded_as_configured,
    ),
    resource_rule(
        "callers-are-named",
        "Resource policies and Lambda permissions name who may call, and on whose behalf.",
        callers_are_named,
    ),
)
