"""Data is encrypted and protected as configured, everything is tagged, and no secret lies open."""

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import pulumi
from pulumi_policy import Policy, PolicyResource, ResourceValidationArgs

from policy.resources import (
    API_KEY,
    FUNCTION,
    PARAMETER,
    PROJECT,
    QUEUE,
    STACK,
    TABLE,
    TOPIC,
    as_object,
    get,
    of_type,
    texts,
)
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
    "aws:apigateway/usagePlanKey:UsagePlanKey": ("value",),
    "aws:iam/accessKey:AccessKey": ("secret",),
    "aws:secretsmanager/secretVersion:SecretVersion": ("secretString", "secretBinary"),
    PARAMETER: ("value",),
    "random:index/randomPassword:RandomPassword": ("result",),
}
# Shorter values match by chance.
_LEAST_SECRET: Final = 8
_SECRET_NAME: Final = re.compile(
    r"SECRET|PASSWORD|PASSWD|PASSPHRASE|TOKEN|CREDENTIAL|(API|PRIVATE|SIGNING)_?KEY|_(PASS|PWD)$|(^|_)KEYS?$"
)
# Where a secret is kept or whose it is is no secret, nor are the keys that things are found or sorted by.
_HARMLESS_NAME: Final = re.compile(
    r"(.*_)?((ARN|DBNAME|ENGINE|HOST|ID|NAME|PARAMETER|PATH|REGION|TABLE|UR[IL]|USER|USERNAME|VERSION)S?"
    r"|(CACHE|GROUP|HASH|IDEMPOTENCY|KMS|OBJECT|PARTITION|PRIMARY|PUBLIC|RANGE|ROUTING|S3|SORT|TAG)_KEYS?)"
)
_LOOKS_SECRET: Final = re.compile(
    r"(AKIA|ASIA)[0-9A-Z]{16}|-----BEGIN [A-Z ]*PRIVATE KEY|gh[opsu]_\w{36}|://[^/?#\s:@]*:[^/?#\s@]+@"
)


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
        if isinstance(encryption, Mapping) and not encryption.get("enabled"):
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
        for name in _open_secrets(get(function.props, "environment", "variables"), secrets):
            yield (
                function,
                f"has a secret in its environment variable {name}: give it the ARN of a secret in "
                "Secrets Manager instead",
            )
    for root in of_type(stack, STACK):
        for name in _open_secrets(root.props, secrets):
            yield root, f"exports a secret as {name}"


def _open_secrets(shown: Any, secrets: set[str]) -> list[str]:
    """The outermost names under which a secret stands, by its own name, its look, or its known value."""
    return sorted(
        {
            path[0]
            for path, text in texts(shown)
            if text
            and (
                _is_named_secret(path)
                or _LOOKS_SECRET.search(text)
                or any(secret in text for secret in secrets)
            )
        }
    )


def _is_named_secret(path: Sequence[str]) -> bool:
    names = [_in_capitals(name) for name in path]
    return any(map(_SECRET_NAME.search, names)) and not any(map(_HARMLESS_NAME.fullmatch, names))


def _in_capitals(name: str) -> str:
    """`DB_PASSWORD` for `dbPassword`, `db-password` and itself."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+", "_", name).upper()


def _secret_values(stack: Sequence[PolicyResource]) -> Iterator[str]:
    for resource in of_type(stack, *_SECRET_VALUES):
        if resource.resource_type == PARAMETER and get(resource.props, "type") != "SecureString":
            continue
        for key in _SECRET_VALUES[resource.resource_type]:
            for value in _readings(get(resource.props, key)):
                if len(value) >= _LEAST_SECRET:
                    yield value


def _readings(value: Any) -> Iterator[str]:
    """A secret text, the secrets within where it is JSON, and what it encodes where it is base64."""
    if isinstance(value, str) and value:
        yield value
        for path, text in texts(as_object(value)):
            if not any(_HARMLESS_NAME.fullmatch(_in_capitals(name)) for name in path):
                yield text
        with suppress(ValueError):
            yield from _readings(base64.b64decode(value, validate=True).decode())


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
