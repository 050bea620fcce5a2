"""Data is encrypted and protected as configured, everything is tagged, and no secret lies open."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import pulumi
from pulumi_policy import Policy, PolicyResource, ResourceValidationArgs

from policy.resources import API_KEY, FUNCTION, PROJECT, QUEUE, STACK, TABLE, TOPIC, get, of_type
from policy.rule import resource_rule, stack_rule

REQUIRED_TAGS: Final = ("project", "stack")

# What takes tags, of the types that this project declares or is about to; a test compares it with the SDK.
TAGGABLE: Final = frozenset(
    {
        "aws:acm/certificate:Certificate",
        API_KEY,
        "aws:apigateway/domainName:DomainName",
        "aws:apigateway/restApi:RestApi",
        "aws:apigateway/stage:Stage",
        "aws:apigateway/usagePlan:UsagePlan",
        "aws:cloudwatch/compositeAlarm:CompositeAlarm",
        "aws:cloudwatch/eventBus:EventBus",
        "aws:cloudwatch/eventRule:EventRule",
        "aws:cloudwatch/logGroup:LogGroup",
        "aws:cloudwatch/metricAlarm:MetricAlarm",
        TABLE,
        "aws:iam/policy:Policy",
        "aws:iam/role:Role",
        "aws:kms/key:Key",
        "aws:lambda/eventSourceMapping:EventSourceMapping",
        FUNCTION,
        "aws:scheduler/scheduleGroup:ScheduleGroup",
        "aws:secretsmanager/secret:Secret",
        "aws:sfn/stateMachine:StateMachine",
        TOPIC,
        QUEUE,
        "aws:wafv2/webAcl:WebAcl",
        "aws:xray/samplingRule:SamplingRule",
    }
)

# Values that are secret wherever they turn up: type to properties.
_SECRET_VALUES: Final = {
    API_KEY: ("value",),
    "aws:iam/accessKey:AccessKey": ("secret",),
    "aws:secretsmanager/secretVersion:SecretVersion": ("secretString",),
    "random:index/randomPassword:RandomPassword": ("result",),
}
# Shorter values match by chance.
_LEAST_SECRET: Final = 8
_SECRET_NAME: Final = re.compile(
    r"(SECRET|PASSWORD|PASSWD|PASSPHRASE|TOKEN|CREDENTIAL|PRIVATE_?KEY|API_?KEY|SIGNING_?KEY)"
)
# Where a secret is kept is no secret.
_NAMES_A_PLACE: Final = re.compile(r".*_(ARN|ID|NAME|PARAMETER|PATH|TABLE|URL)")
_LOOKS_SECRET: Final = re.compile(r"(AKIA|ASIA)[0-9A-Z]{16}|-----BEGIN [A-Z ]*PRIVATE KEY|gh[opsu]_\w{36}")


def encrypted_at_rest(args: ResourceValidationArgs) -> Iterator[str]:
    """Queues and topics are told to encrypt; DynamoDB always does, and must not be told otherwise."""
    if args.resource_type == QUEUE:
        if not (args.props.get("sqsManagedSseEnabled") or args.props.get("kmsMasterKeyId")):
            yield "is not encrypted: set sqsManagedSseEnabled or kmsMasterKeyId"
    elif args.resource_type == TOPIC:
        key = args.props.get("kmsMasterKeyId")
        if not key:
            yield "is not encrypted: set kmsMasterKeyId"
        elif key.endswith("alias/aws/sns"):
            yield (
                "is encrypted with AWS's key for SNS, which CloudWatch may not use: alarms would be dropped "
                "without a word; use a key of your own whose policy lets cloudwatch.amazonaws.com in"
            )
    elif args.resource_type == TABLE:
        encryption = args.props.get("serverSideEncryption")
        if encryption is not None and not encryption.get("enabled"):
            yield "says that it wants no key of its own: leave serverSideEncryption out, or turn it on"


def tables_are_protected_as_configured(args: ResourceValidationArgs) -> Iterator[str]:
    """What the stack's configuration asks for its data, each table has."""
    if args.resource_type != TABLE:
        return
    config = pulumi.Config(PROJECT)
    recovery = args.props.get("pointInTimeRecovery")
    if config.get_bool("pointInTimeRecovery") and not (recovery and recovery.get("enabled")):
        yield "has no point-in-time recovery, which the configuration asks for"
    if config.get_bool("deletionProtection") and not args.props.get("deletionProtectionEnabled"):
        yield "has no deletion protection, which the configuration asks for"
    if config.get_bool("protectData") and not args.opts.protect:
        yield "is not protected from deletion by Pulumi, which the configuration asks for (protectData)"


def tags_present(args: ResourceValidationArgs) -> Iterator[str]:
    """Whatever costs money or holds data says which project and stack it belongs to."""
    if args.resource_type in TAGGABLE:
        tags = args.props.get("tags") or {}
        missing = [tag for tag in REQUIRED_TAGS if not tags.get(tag)]
        if missing:
            yield f"has no tag {' and no tag '.join(missing)}"


def no_secret_in_the_open(stack: list[PolicyResource]) -> Iterator[tuple[PolicyResource, str]]:
    """No secret in an environment variable or an export.

    The engine hands rules the exports with the mark of secrecy taken off, so a secret must not be exported at
    all: who needs an API key reads it from AWS.
    """
    secrets = set(_secret_values(stack))
    for function in of_type(stack, FUNCTION):
        variables = get(function.props, "environment", "variables") or {}
        for name in variables:
            value = get(variables, name)
            if isinstance(value, str) and value and _is_open_secret(name, value, secrets):
                yield (
                    function,
                    f"has a secret in its environment variable {name}: give it the ARN of a secret in "
                    "Secrets Manager instead",
                )
    for root in of_type(stack, STACK):
        for name in root.props:
            if any(_holds(text, secrets) for text in _texts(get(root.props, name))):
                yield root, f"exports a secret as {name}"


def _is_open_secret(name: str, value: str, secrets: set[str]) -> bool:
    named = _SECRET_NAME.search(name.upper()) and not _NAMES_A_PLACE.fullmatch(name.upper())
    return bool(named) or _holds(value, secrets)


def _holds(text: str, secrets: set[str]) -> bool:
    return _LOOKS_SECRET.search(text) is not None or any(secret in text for secret in secrets)


def _secret_values(stack: Sequence[PolicyResource]) -> Iterator[str]:
    for resource in of_type(stack, *_SECRET_VALUES):
        for key in _SECRET_VALUES[resource.resource_type]:
            value = get(resource.props, key)
            if isinstance(value, str) and len(value) >= _LEAST_SECRET:
                yield value


def _texts(value: Any) -> Iterator[str]:
    """All texts in an export, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Sequence):
        for position in range(len(value)):
            yield from _texts(value[position])
    elif hasattr(value, "keys"):
        for key in value:
            yield from _texts(get(value, key))


RULES: Final[tuple[Policy, ...]] = (
    resource_rule(
        "encrypted-at-rest",
        "Tables, queues and topics are encrypted at rest.",
        encrypted_at_rest,
    ),
    resource_rule(
        "tables-are-protected-as-configured",
        "Tables have the recovery and the protection that the stack's configuration asks for.",
        tables_are_protected_as_configured,
    ),
    resource_rule(
        "tags-present",
        "Everything that takes tags is tagged with its project and its stack.",
        tags_present,
    ),
    stack_rule(
        "no-secret-in-the-open",
        "No environment variable and no export holds a secret.",
        no_secret_in_the_open,
    ),
)
