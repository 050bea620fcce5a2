"""Rules for the protection of data: encryption, recovery and tags."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pulumi
from pulumi_policy import Policy, PolicyResource, ResourceValidationArgs

from policy.exceptions import PLAIN_HTTP_STACKS
from policy.resource_types import TAGGED
from policy.resources import (
    API_DOMAIN,
    COMPOSITE_ALARM,
    KMS_KEY,
    METRIC_ALARM,
    PROJECT,
    QUEUE,
    QUEUE_POLICY,
    TABLE,
    TOPIC,
    UNKNOWN,
    as_object,
    get,
    linked,
    many,
    of_type,
    stack_name,
    statements,
)
from policy.rule import resource_rule, stack_rule

_CLOUDWATCH: Final = "cloudwatch.amazonaws.com"
_ENCRYPTS: Final = frozenset({"kms:Decrypt", "kms:GenerateDataKey"})
_MODERN_TLS: Final = re.compile(r"TLS_1_2|SecurityPolicy_TLS(12|13)_")
# DynamoDB's default, and its maximum.
_RECOVERY_DAYS: Final = 35

REQUIRED_TAGS: Final = ("project", "stack")


def encrypted_at_rest(args: ResourceValidationArgs) -> Iterator[str]:
    """Checks that queues and topics are encrypted. DynamoDB always encrypts; a table must not opt out."""
    if args.resource_type == QUEUE:
        if not (args.props.get("sqsManagedSseEnabled") or args.props.get("kmsMasterKeyId")):
            yield "is not encrypted: set sqsManagedSseEnabled or kmsMasterKeyId"
    elif args.resource_type == TOPIC:
        key = args.props.get("kmsMasterKeyId")
        if not key:
            yield "is not encrypted: set kmsMasterKeyId"
        elif key.endswith("alias/aws/sns"):
            yield "uses AWS's key for SNS, which CloudWatch may not use: use a KMS key of this stack"
    elif args.resource_type == TABLE:
        encryption = args.props.get("serverSideEncryption")
        if isinstance(encryption, Mapping) and not encryption.get("enabled"):
            yield "turns its own key off: delete serverSideEncryption, or set enabled"


def topics_use_a_declared_key(stack: list[PolicyResource]) -> Iterator[tuple[PolicyResource, str]]:
    """Checks that a topic's KMS key is declared here, and that CloudWatch may use it for alarms.

    CloudWatch cannot publish to a topic whose key it may not use:
    https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
    """
    alarms = of_type(stack, METRIC_ALARM, COMPOSITE_ALARM)
    of_alarms = {topic.urn for alarm in alarms for topic in linked(alarm, "alarmActions", TOPIC, stack)}
    for topic in of_type(stack, TOPIC):
        found = get(topic.props, "kmsMasterKeyId")
        keys = linked(topic, "kmsMasterKeyId", KMS_KEY, stack)
        if found and found is not UNKNOWN and not keys:
            yield (
                topic,
                f"uses the key {found}, which this stack does not declare: use the ARN of its KMS key",
            )
        for key in keys:
            if get(key.props, "isEnabled") is False:
                yield key, f"is disabled, but encrypts {topic.name}: set isEnabled"
            policy = get(key.props, "policy")
            if topic.urn in of_alarms and policy is not UNKNOWN and not _lets_cloudwatch_encrypt(policy):
                yield (
                    key,
                    f"encrypts the alarms of {topic.name}, but its policy does not let {_CLOUDWATCH} use it: "
                    f"allow {' and '.join(sorted(_ENCRYPTS))}",
                )


def _lets_cloudwatch_encrypt(policy: object) -> bool:
    allowed = {
        str(action)
        for statement in statements(policy)
        if statement.get("Effect") == "Allow"
        and _CLOUDWATCH in many(as_object(statement.get("Principal")).get("Service"))
        for action in many(statement.get("Action"))
    }
    return allowed >= _ENCRYPTS


def encrypted_in_transit(stack: list[PolicyResource]) -> Iterator[tuple[PolicyResource, str]]:
    """Checks that queues reject plain HTTP and that a domain name rejects old versions of TLS.

    The configuration cannot turn this off (requireTls), except for the stacks in the table of exceptions.
    """
    policies: dict[str, list[Any]] = defaultdict(list)
    for policy in of_type(stack, QUEUE_POLICY):
        for queue in linked(policy, "queueUrl", QUEUE, stack):
            policies[queue.urn].append(get(policy.props, "policy"))
    for queue in of_type(stack, QUEUE):
        found = policies[queue.urn]
        arn = get(queue.props, "arn")
        if (
            stack_name(queue) not in PLAIN_HTTP_STACKS
            and UNKNOWN not in found
            and not any(
                _rejects_plain_http(statement, arn) for text in found for statement in statements(text)
            )
        ):
            yield (
                queue,
                "accepts plain HTTP: declare a QueuePolicy that denies sqs:* to everyone where "
                "aws:SecureTransport is false (requireTls)",
            )
    for domain in of_type(stack, API_DOMAIN):
        version = get(domain.props, "securityPolicy")
        if version is not UNKNOWN and not _MODERN_TLS.match(str(version)):
            yield domain, f"has the security policy {version}: set TLS_1_2 or a later one"


def _rejects_plain_http(statement: Mapping[str, Any], queue_arn: object) -> bool:
    """Whether a statement denies all calls over plain HTTP, to every caller."""
    principal = statement.get("Principal")
    callers = many(principal.get("AWS")) if isinstance(principal, Mapping) else many(principal)
    condition = as_object(statement.get("Condition"))
    tests = {key.lower(): many(value) for key, value in as_object(condition.get("Bool")).items()}
    return (
        statement.get("Effect") == "Deny"
        and callers == ["*"]
        and many(statement.get("Action")) == ["sqs:*"]
        and (queue_arn is UNKNOWN or many(statement.get("Resource")) in (["*"], [queue_arn]))
        and set(condition) == {"Bool"}
        and tests in ({"aws:securetransport": ["false"]}, {"aws:securetransport": [False]})
    )


def tables_are_protected_as_configured(args: ResourceValidationArgs) -> Iterator[str]:
    """Checks that each table has the recovery and the protection that the configuration requires."""
    if args.resource_type != TABLE:
        return
    config = pulumi.Config(PROJECT)
    recovery = args.props.get("pointInTimeRecovery")
    if config.get_bool("pointInTimeRecovery"):
        days = (
            recovery and recovery.get("enabled") and (recovery.get("recoveryPeriodInDays") or _RECOVERY_DAYS)
        )
        wanted = config.get_int("recoveryDays") or _RECOVERY_DAYS
        if not days:
            yield "has no point-in-time recovery: the configuration requires it (pointInTimeRecovery)"
        elif days < wanted:
            yield (
                f"can be restored {days:g} days back: the configuration requires {wanted} (recoveryDays), "
                "set recoveryPeriodInDays"
            )
    if config.get_bool("deletionProtection") and not args.props.get("deletionProtectionEnabled"):
        yield "has no deletion protection: the configuration requires it (deletionProtection)"
    if config.get_bool("protectData") and not args.opts.protect:
        yield "is not protected from deletion by Pulumi: the configuration requires it (protectData)"


def tags_present(args: ResourceValidationArgs) -> Iterator[str]:
    """Checks that everything that takes tags names its project and its stack."""
    if args.resource_type in TAGGED:
        tags = args.props.get("tags") or {}
        missing = [tag for tag in REQUIRED_TAGS if not tags.get(tag)]
        if missing:
            yield f"has no tag {' and no tag '.join(missing)}: set tags"


RULES: Final[tuple[Policy, ...]] = (
    resource_rule(
        "encrypted-at-rest",
        "Tables, queues and topics are encrypted at rest.",
        encrypted_at_rest,
    ),
    stack_rule(
        "topics-use-a-declared-key",
        "Topics are encrypted with a key of this stack, which CloudWatch may use for alarms.",
        topics_use_a_declared_key,
    ),
    stack_rule(
        "encrypted-in-transit",
        "Queues reject plain HTTP, and domain names reject old versions of TLS.",
        encrypted_in_transit,
    ),
    resource_rule(
        "tables-are-protected-as-configured",
        "Tables have the recovery and the protection that the stack's configuration requires.",
        tables_are_protected_as_configured,
    ),
    resource_rule(
        "tags-present",
        "Everything that takes tags is tagged with its project and its stack.",
        tags_present,
    ),
)
