"""Rules for permissions: which actions on which resources, and who may assume a role or call."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import pulumi
from pulumi_policy import Policy, PolicyResource, ResourceValidationArgs

from policy.exceptions import OTHER_ACCOUNTS, ROLE_ACTIONS, TRUSTED_SERVICES, WILDCARD_RESOURCES
from policy.resources import (
    ALIAS,
    API_INTEGRATION,
    API_STAGE,
    COMPOSITE_ALARM,
    EVENT_SOURCE_MAPPING,
    EVENT_TARGET,
    FUNCTION,
    KMS_KEY,
    METRIC_ALARM,
    PERMISSION,
    POLICY,
    PROJECT,
    QUEUE,
    QUEUE_POLICY,
    REST_API,
    ROLE,
    ROLE_POLICY,
    ROLE_POLICY_ATTACHMENT,
    SCHEDULE,
    STATE_MACHINE,
    TOPIC,
    TOPIC_POLICY,
    TOPIC_SUBSCRIPTION,
    as_object,
    get,
    many,
    of_type,
    statements,
    texts,
    within,
)
from policy.rule import resource_rule, stack_rule

# IAM's wildcards, for any text and for one character:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
_WILDCARD: Final = re.compile(r"[*?]")
_ACCOUNT: Final = re.compile(r"[0-9]{12}")
# A trust policy has its own rule, and a boundary gives no permission.
_GRANTS_NOTHING: Final = frozenset({"assumeRolePolicy", "permissionsBoundary"})
_AWS_MANAGED: Final = re.compile(r"arn:aws[a-z-]*:iam::aws:policy/.*")
# API Gateway's ARN of a request: the API, its stage, and any methods and paths below.
_STAGE_OF_API: Final = re.compile(r"arn:[^*?]+:execute-api:[^*?/]+(/[^*?/]+)+(/\*)?")
# An account in an ARN or URL, as a whole text, or as a value in a policy document.
_NAMED_ACCOUNT: Final = re.compile(r'(?:^|[:/"])([0-9]{12})(?=$|[:/"]|\.dkr\.)')
# Properties that give or use access, by type.
_NAMES_ACCOUNTS: Final[Mapping[str, Sequence[str]]] = {
    ROLE: ("assumeRolePolicy", "permissionsBoundary", "managedPolicyArns", "inlinePolicies"),
    ROLE_POLICY: ("policy",),
    ROLE_POLICY_ATTACHMENT: ("policyArn",),
    POLICY: ("policy", "arn"),
    PERMISSION: ("principal", "sourceAccount", "sourceArn"),
    ALIAS: ("arn", "functionName"),
    FUNCTION: ("arn", "role", "layers", "imageUri", "deadLetterConfig", "kmsKeyArn"),
    EVENT_SOURCE_MAPPING: ("eventSourceArn", "destinationConfig"),
    EVENT_TARGET: ("arn", "roleArn", "deadLetterConfig", "eventBusName"),
    SCHEDULE: ("target",),
    STATE_MACHINE: ("arn", "roleArn", "definition"),
    QUEUE: ("arn", "policy", "redrivePolicy", "kmsMasterKeyId"),
    QUEUE_POLICY: ("policy",),
    TOPIC: ("arn", "policy", "kmsMasterKeyId"),
    TOPIC_POLICY: ("policy",),
    TOPIC_SUBSCRIPTION: ("topic", "endpoint"),
    KMS_KEY: ("policy",),
    METRIC_ALARM: ("alarmActions", "okActions", "insufficientDataActions"),
    COMPOSITE_ALARM: ("alarmActions", "okActions", "insufficientDataActions"),
    REST_API: ("policy",),
    API_INTEGRATION: ("uri", "credentials"),
    API_STAGE: ("accessLogSettings",),
}
# Properties of a role or an attachment that hold ARNs of managed policies.
_ATTACHES: Final = ("policyArn", "managedPolicyArns")
_ACCOUNT_ROOT: Final = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:root")


def no_wildcard_actions(args: ResourceValidationArgs) -> Iterator[str]:
    """Checks that allowed actions have no wildcard. AWS managed policies are full of them."""
    for statement in _allowed(args):
        if "NotAction" in statement:
            yield "allows all actions but some (NotAction): name the actions instead"
        if _is_key_administration(args, statement):
            continue
        for action in _names(statement.get("Action")):
            if _WILDCARD.search(action):
                yield f"allows {action}: name the actions that the code calls"
    for value in _granting(args):
        if isinstance(value, str) and _AWS_MANAGED.fullmatch(value):
            yield f"attaches {value}, which is broad and which AWS may widen: name the actions instead"


def no_wildcard_resources(args: ResourceValidationArgs) -> Iterator[str]:
    """Checks that resources have no wildcard, except for the table of exceptions."""
    if _is_of_a_key(args):
        return  # in the policy of a key "*" means this key
    for statement in _allowed(args):
        if "NotResource" in statement:
            yield "allows all resources but some (NotResource): name the resources instead"
        for resource in _names(statement.get("Resource")):
            for action in _names(statement.get("Action")):
                if _WILDCARD.search(resource) and not is_excepted(action, resource):
                    yield (
                        f"allows {action} on {resource}: name the resource, or give the reason in "
                        "policy/exceptions.py (WILDCARD_RESOURCES)"
                    )


def is_excepted(action: str, resource: str) -> bool:
    """Whether the table of exceptions allows this action with this wildcard."""
    return any(
        action in row.actions and row.resource.fullmatch(resource) is not None for row in WILDCARD_RESOURCES
    )


def roles_use_listed_actions(args: ResourceValidationArgs) -> Iterator[str]:
    """Checks that roles may only do what the table lists, which includes no administration."""
    if not args.resource_type.startswith("aws:iam/"):
        return
    for statement in _allowed(args):
        for action in _names(statement.get("Action")):
            service, _, name = action.partition(":")
            if not _WILDCARD.search(action) and name not in ROLE_ACTIONS.get(service, "").split():
                yield (
                    f"allows {action}: use an action of policy/exceptions.py (ROLE_ACTIONS), or add one that "
                    "gives no control over the account"
                )


def attached_policies_are_declared(stack: list[PolicyResource]) -> Iterator[tuple[PolicyResource, str]]:
    """Checks that managed policies are declared in this stack, where the other rules check them."""
    arns = {get(policy.props, "arn") for policy in of_type(stack, POLICY)}
    for resource in of_type(stack, ROLE, ROLE_POLICY_ATTACHMENT):
        for key in _ATTACHES:
            of_stack = of_type(resource.property_dependencies.get(key, []), POLICY)
            if any(not isinstance(get(policy.props, "arn"), str) for policy in of_stack):
                continue  # a preview compares nothing with an unknown ARN
            for _, arn in texts(get(resource.props, key)):
                if arn and arn not in arns:
                    yield resource, f"attaches {arn}: attach policies of this stack only"


def roles_trust_one_service(args: ResourceValidationArgs) -> Iterator[str]:
    """Checks that one service may assume a role, under the conditions that AWS documents."""
    if args.resource_type != ROLE:
        return
    trusts = statements(args.props.get("assumeRolePolicy"))
    if len(trusts) != 1:
        yield f"has a trust policy of {len(trusts)} statements: use one, for one service"
        return
    (trust,) = trusts
    principal = trust.get("Principal")
    services = many(principal.get("Service")) if isinstance(principal, Mapping) else []
    if not isinstance(principal, Mapping) or set(principal) != {"Service"} or len(services) != 1:
        yield "has another trust than one service: set Principal to one Service"
        return
    if trust.get("Effect") != "Allow" or many(trust.get("Action")) != ["sts:AssumeRole"]:
        yield "has a trust policy for other actions: allow sts:AssumeRole only"
    yield from _trust_problems(services[0], trust)


def _trust_problems(service: str, trust: Mapping[str, Any]) -> Iterator[str]:
    known = TRUSTED_SERVICES.get(service)
    if known is None:
        yield (
            f"trusts {service}: use one of {', '.join(sorted(TRUSTED_SERVICES))}, or add it to "
            "policy/exceptions.py (TRUSTED_SERVICES)"
        )
    elif known.source_arn is not None:
        accounts = set(condition_values(trust, "aws:SourceAccount"))
        if len(accounts) != 1 or not all(_ACCOUNT.fullmatch(account) for account in accounts):
            yield f"trusts {service} for any account: name one in the condition aws:SourceAccount"
        arns = condition_values(trust, "aws:SourceArn")
        if not arns or not all(known.source_arn.fullmatch(arn) for arn in arns):
            yield (
                f"trusts {service} for {', '.join(arns) or 'any resource'}: aws:SourceArn must match "
                f"{known.source_arn.pattern} ({known.reason})"
            )
        elif len(accounts) == 1 and {account_of(arn) for arn in arns} != accounts:
            yield f"trusts {service} for two accounts: name the same in aws:SourceArn and aws:SourceAccount"


def condition_values(statement: Mapping[str, Any], key: str) -> list[str]:
    """Returns the values that a condition requires of a key. Skips operators that accept a missing key."""
    values: list[str] = []
    for operator, tests in as_object(statement.get("Condition")).items():
        if operator in ("StringEquals", "StringLike", "ArnEquals", "ArnLike"):
            for name, wanted in as_object(tests).items():
                if name.lower() == key.lower():
                    values += _names(wanted)
    return values


def roles_are_bounded_as_configured(args: ResourceValidationArgs) -> Iterator[str]:
    """Checks that every role has the permissions boundary in the stack's configuration."""
    boundary = pulumi.Config(PROJECT).get("permissionsBoundaryArn")
    if args.resource_type == ROLE and boundary:
        found = args.props.get("permissionsBoundary")
        if found != boundary:
            yield (
                f"has the permissions boundary {found or 'none'}: the configuration requires {boundary} "
                "(permissionsBoundaryArn)"
            )


def callers_are_named(args: ResourceValidationArgs) -> Iterator[str]:
    """Checks that resource policies name their callers, and of a service one resource or account."""
    for statement in _allowed(args):
        if "NotPrincipal" in statement:
            yield "allows all callers but some (NotPrincipal): name the callers instead"
        principal = statement.get("Principal")
        by_kind = principal if isinstance(principal, Mapping) else {"": principal}
        if any(_WILDCARD.search(name) for names in by_kind.values() for name in _names(names)):
            yield "allows every caller (Principal *): name the callers instead"
        services = _names(by_kind.get("Service"))
        if services and not _is_narrowed(statement):
            yield (
                f"allows {', '.join(services)} on behalf of any account: name one in aws:SourceArn or "
                "aws:SourceAccount"
            )
    if not _is_of_aws(args):
        return
    if args.props.get("principal") == "*":
        yield "allows every caller (principal *): name the caller instead"
    elif args.resource_type == PERMISSION:
        source, account = (str(args.props.get(key) or "") for key in ("sourceArn", "sourceAccount"))
        if not _is_one_source(source) or not (account_of(source) or _ACCOUNT.fullmatch(account)):
            yield (
                f"allows {args.props.get('principal')} on behalf of {source or 'any resource'}: name one "
                "resource in sourceArn, and its account in sourceAccount if its ARN has none"
            )


def _is_narrowed(statement: Mapping[str, Any]) -> bool:
    """Whether a statement allows a service on behalf of named accounts only.

    The ARNs of some services, such as S3, have no account. They need aws:SourceAccount.
    """
    accounts = condition_values(statement, "aws:SourceAccount")
    arns = condition_values(statement, "aws:SourceArn")
    by_account = bool(accounts) and all(_ACCOUNT.fullmatch(account) for account in accounts)
    return by_account or (bool(arns) and all(account_of(arn) for arn in arns))


def _is_one_source(arn: str) -> bool:
    if ":execute-api:" in arn:
        return _STAGE_OF_API.fullmatch(arn) is not None
    return arn.startswith("arn:") and not _WILDCARD.search(arn)


def account_of(arn: str) -> str:
    """Returns the account of an ARN, or "" if it has none or a wildcard."""
    account = [*arn.split(":"), *[""] * 5][4]
    return account if _ACCOUNT.fullmatch(account) else ""


def _names(value: object) -> list[str]:
    return [str(name) for name in many(value)]


def accounts_are_the_stacks_own(stack: list[PolicyResource]) -> Iterator[tuple[PolicyResource, str]]:
    """Checks that permissions, triggers and destinations name the stack's own account only.

    Rules do not receive the account. It is the one that the stack's resources name most.
    """
    named = [
        (resource, account)
        for resource in of_type(stack, *_NAMES_ACCOUNTS)
        for _, text in texts([get(resource.props, key) for key in _NAMES_ACCOUNTS[resource.resource_type]])
        for account in _NAMED_ACCOUNT.findall(text)
    ]
    own = Counter(account for _, account in named).most_common(1)
    for resource, account in dict.fromkeys(named):
        if account != own[0][0] and account not in OTHER_ACCOUNTS:
            yield (
                resource,
                f"names the account {account}, but the stack is in {own[0][0]}: name that, or give the "
                "reason in policy/exceptions.py (OTHER_ACCOUNTS)",
            )


def _is_of_aws(args: ResourceValidationArgs) -> bool:
    return args.resource_type.startswith("aws:")


def _is_of_a_key(args: ResourceValidationArgs) -> bool:
    return args.resource_type.startswith("aws:kms/")


def _granting(args: ResourceValidationArgs) -> Iterator[Any]:
    """Yields all values of an AWS resource that may give permissions, in every property."""
    if _is_of_aws(args):
        for path, value in within(args.props):
            if _GRANTS_NOTHING.isdisjoint(path):
                yield value


def _allowed(args: ResourceValidationArgs) -> Iterator[Mapping[str, Any]]:
    """Yields all statements with the effect Allow. A Deny may be broad."""
    for value in _granting(args):
        for statement in statements(value):
            if statement.get("Effect") == "Allow":
                yield statement


def _is_key_administration(args: ResourceValidationArgs, statement: Mapping[str, Any]) -> bool:
    """AWS's default first statement of a key's policy. Without it the key cannot be administered."""
    principal = statement.get("Principal")
    owners = many(principal.get("AWS")) if isinstance(principal, Mapping) else []
    return (
        _is_of_a_key(args)
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
        "Policies allow actions on named resources only, except for the documented exceptions.",
        no_wildcard_resources,
    ),
    resource_rule(
        "roles-use-listed-actions",
        "Roles may do only what the table of actions lists.",
        roles_use_listed_actions,
    ),
    stack_rule(
        "attached-policies-are-declared",
        "Roles have managed policies of this stack only.",
        attached_policies_are_declared,
    ),
    resource_rule(
        "roles-trust-one-service",
        "A role trusts one service, with the confused-deputy conditions that AWS documents.",
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
    stack_rule(
        "accounts-are-the-stacks-own",
        "Permissions, triggers and destinations name the account of the stack only.",
        accounts_are_the_stacks_own,
    ),
)
