"""Who may do what: policies without wildcards, roles that one service assumes, callers that are named."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pulumi
from pulumi_policy import Policy, ResourceValidationArgs

from policy.exceptions import TRUSTED_SERVICES, WILDCARD_RESOURCES
from policy.resources import PERMISSION, PROJECT, ROLE, as_object, many, statements, within
from policy.rule import resource_rule

# IAM's wildcards, any text and any one character:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
_WILDCARD: Final = re.compile(r"[*?]")
_ACCOUNT: Final = re.compile(r"[0-9]{12}")
# A trust has a rule of its own, and a boundary gives no permission.
_GRANTS_NOTHING: Final = frozenset({"assumeRolePolicy", "permissionsBoundary"})
_AWS_MANAGED: Final = re.compile(r"arn:aws[a-z-]*:iam::aws:policy/.*")
# API Gateway's ARN of a request: the API, its stage, and whatever methods and paths below.
_STAGE_OF_API: Final = re.compile(r"arn:[^*?]+:execute-api:[^*?/]+(/[^*?/]+)+(/\*)?")
_ACCOUNT_ROOT: Final = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:root")


def no_wildcard_actions(args: ResourceValidationArgs) -> Iterator[str]:
    """No wildcard in allowed actions, no allowing by exclusion, none of AWS's own policies (full of them)."""
    for statement in _allowed(args):
        if "NotAction" in statement:
            yield "allows everything but some actions (NotAction): name the actions instead"
        if _is_key_administration(args, statement):
            continue
        for action in _names(statement.get("Action")):
            if _WILDCARD.search(action):
                yield f"allows {action}: name the actions that the code calls"
    for value in _granting(args):
        if isinstance(value, str) and _AWS_MANAGED.fullmatch(value):
            yield f"attaches {value}, which AWS keeps broad and may widen: grant the actions themselves"


def no_wildcard_resources(args: ResourceValidationArgs) -> Iterator[str]:
    """No wildcard in a resource, but for what stands in the table of exceptions."""
    if _is_of_a_key(args):
        return  # in a key's own policy "*" means this key
    for statement in _allowed(args):
        if "NotResource" in statement:
            yield "allows everything but some resources (NotResource): name the resources instead"
        for resource in _names(statement.get("Resource")):
            for action in _names(statement.get("Action")):
                if _WILDCARD.search(resource) and not is_excepted(action, resource):
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
    trusts = statements(args.props.get("assumeRolePolicy"))
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
        accounts = set(condition_values(trust, "aws:SourceAccount"))
        if len(accounts) != 1 or not all(_ACCOUNT.fullmatch(account) for account in accounts):
            yield f"trusts {service} for any account: let the condition aws:SourceAccount name one"
        arns = condition_values(trust, "aws:SourceArn")
        if not arns or not all(known.source_arn.fullmatch(arn) for arn in arns):
            yield (
                f"trusts {service} for other resources too: aws:SourceArn must match "
                f"{known.source_arn.pattern}, but is {', '.join(arns) or 'missing'} ({known.reason})"
            )
        elif len(accounts) == 1 and {account_of(arn) for arn in arns} != accounts:
            yield f"trusts {service} for an aws:SourceArn of another account than aws:SourceAccount"


def condition_values(statement: Mapping[str, Any], key: str) -> list[str]:
    """The values that a condition demands of a key; operators that let a missing key pass do not count."""
    values: list[str] = []
    for operator, tests in as_object(statement.get("Condition")).items():
        if operator in ("StringEquals", "StringLike", "ArnEquals", "ArnLike"):
            for name, wanted in as_object(tests).items():
                if name.lower() == key.lower():
                    values += _names(wanted)
    return values


def roles_are_bounded_as_configured(args: ResourceValidationArgs) -> Iterator[str]:
    """Every role is held in the permissions boundary that the stack's configuration names."""
    boundary = pulumi.Config(PROJECT).get("permissionsBoundaryArn")
    if args.resource_type == ROLE and boundary:
        found = args.props.get("permissionsBoundary")
        if found != boundary:
            yield f"has {found or 'no permissions boundary'}, but the configuration asks for {boundary}"


def callers_are_named(args: ResourceValidationArgs) -> Iterator[str]:
    """What lets others in says who: not everybody, and of a service only one resource or account."""
    for statement in _allowed(args):
        if "NotPrincipal" in statement:
            yield "lets in everybody but some (NotPrincipal): name the callers instead"
        principal = statement.get("Principal")
        by_kind = principal if isinstance(principal, Mapping) else {"": principal}
        if any(_WILDCARD.search(name) for names in by_kind.values() for name in _names(names)):
            yield "lets everybody in (Principal *)"
        services = _names(by_kind.get("Service"))
        if services and not _is_narrowed(statement):
            yield (
                f"lets {', '.join(services)} in for anybody: let aws:SourceArn or aws:SourceAccount "
                "name an account"
            )
    if not _is_of_aws(args):
        return
    if args.props.get("principal") == "*":
        yield "lets everybody in (principal *)"
    elif args.resource_type == PERMISSION:
        source, account = (str(args.props.get(key) or "") for key in ("sourceArn", "sourceAccount"))
        if not _is_one_source(source) or not (account_of(source) or _ACCOUNT.fullmatch(account)):
            yield (
                f"lets {args.props.get('principal')} invoke the function on behalf of "
                f"{source or 'nothing'}: name one resource, and its account if its ARN does not"
            )


def _is_narrowed(statement: Mapping[str, Any]) -> bool:
    """Whether a statement lets a service in on behalf of named accounts only.

    The ARNs of some services, such as S3's, name no account; then only aws:SourceAccount can.
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
    """The account that an ARN names, "" where it names none or leaves it open."""
    account = [*arn.split(":"), *[""] * 5][4]
    return account if _ACCOUNT.fullmatch(account) else ""


def _names(value: object) -> list[str]:
    return [str(name) for name in many(value)]


def _is_of_aws(args: ResourceValidationArgs) -> bool:
    return args.resource_type.startswith("aws:")


def _is_of_a_key(args: ResourceValidationArgs) -> bool:
    return args.resource_type.startswith("aws:kms/")


def _granting(args: ResourceValidationArgs) -> Iterator[Any]:
    """All that stands in a resource of AWS and may give permissions, under whatever name, however deep."""
    if _is_of_aws(args):
        for path, value in within(args.props):
            if _GRANTS_NOTHING.isdisjoint(path):
                yield value


def _allowed(args: ResourceValidationArgs) -> Iterator[Mapping[str, Any]]:
    """All statements that allow something; a refusal cannot be too broad."""
    for value in _granting(args):
        for statement in statements(value):
            if statement.get("Effect") == "Allow":
                yield statement


def _is_key_administration(args: ResourceValidationArgs, statement: Mapping[str, Any]) -> bool:
    """AWS's own first statement of a key's policy: without it nobody could ever change the key again."""
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
