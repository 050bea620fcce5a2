"""The exceptions to the rules, each with its reason.

A line here is a decision. The tests fail for an exception that no stack needs.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class WildcardResource:
    """Actions that may be allowed on a resource with a wildcard. `resource` must match all of it."""

    actions: frozenset[str]
    resource: re.Pattern[str]
    reason: str


WILDCARD_RESOURCES: Final = (
    WildcardResource(
        actions=frozenset({"xray:PutTelemetryRecords", "xray:PutTraceSegments"}),
        resource=re.compile(r"\*"),
        reason="X-Ray has no resource for traces that a policy could name.",
    ),
    WildcardResource(
        actions=frozenset({"xray:GetSamplingRules", "xray:GetSamplingTargets"}),
        resource=re.compile(r"\*"),
        reason="X-Ray has no resource for reading sampling rules that a policy could name.",
    ),
    WildcardResource(
        actions=frozenset(
            {
                "logs:CreateLogDelivery",
                "logs:DeleteLogDelivery",
                "logs:DescribeLogGroups",
                "logs:DescribeResourcePolicies",
                "logs:GetLogDelivery",
                "logs:ListLogDeliveries",
                "logs:PutResourcePolicy",
                "logs:UpdateLogDelivery",
            }
        ),
        resource=re.compile(r"\*"),
        reason="A state machine logs through log deliveries, which have no ARN. AWS documents this policy: "
        "https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html",
    ),
    WildcardResource(
        actions=frozenset({"logs:CreateLogStream", "logs:PutLogEvents"}),
        resource=re.compile(r"arn:aws[a-z-]*:logs:[a-z0-9-]+:[0-9]{12}:log-group:[^*?:]+:\*"),
        reason="Lambda names the log streams. All streams of one log group is the narrowest resource.",
    ),
    WildcardResource(
        actions=frozenset({"states:DescribeExecution"}),
        resource=re.compile(r"arn:aws[a-z-]*:states:[a-z0-9-]+:[0-9]{12}:execution:[^*?:]+:\*"),
        reason="An execution is named when it starts. All of one state machine is the narrowest resource.",
    ),
    WildcardResource(
        actions=frozenset({"cloudwatch:GetMetricStatistics"}),
        resource=re.compile(r"\*"),
        reason="CloudWatch's metrics have no ARN.",
    ),
)

# What a function, state machine or schedule may do, by service. bootstrap/ has the same list as its boundary.
ROLE_ACTIONS: Final[Mapping[str, str]] = {
    "cloudwatch": "GetMetricStatistics",
    "dynamodb": "BatchGetItem DeleteItem GetItem PutItem Query Scan UpdateItem",
    "events": "PutEvents",
    "lambda": "InvokeFunction",
    "logs": "CreateLogDelivery CreateLogStream DeleteLogDelivery DescribeLogGroups DescribeResourcePolicies "
    "GetLogDelivery ListLogDeliveries PutLogEvents PutResourcePolicy UpdateLogDelivery",
    "secretsmanager": "GetSecretValue",
    "sqs": "DeleteMessage GetQueueAttributes ReceiveMessage SendMessage",
    "states": "DescribeExecution StartExecution",
    "xray": "GetSamplingRules GetSamplingTargets PutTelemetryRecords PutTraceSegments",
}

# Account to the reason why a stack in another account may name it.
OTHER_ACCOUNTS: Final[Mapping[str, str]] = {}

# Method and path to the reason why no API key is required. Preflights (OPTIONS) require none either: browsers
# send no key with them, and no function runs for them.
OPEN_METHODS: Final[Mapping[tuple[str, str], str]] = {
    ("GET", "/"): "Health: monitors have no key, and the response has no personal data.",
    ("GET", "/openapi.json"): "The contract is public.",
    ("GET", "/docs"): "The page that renders the public contract.",
}


@dataclass(frozen=True, kw_only=True)
class TrustedService:
    """How a role may trust a service: the pattern of `aws:SourceArn`, None if AWS documents none."""

    source_arn: re.Pattern[str] | None
    reason: str


TRUSTED_SERVICES: Final[Mapping[str, TrustedService]] = {
    "lambda.amazonaws.com": TrustedService(
        source_arn=None,
        reason="Lambda assumes a role only for functions of the role's account. iam:PassRole limits who may "
        "give a function a role. AWS documents no source condition.",
    ),
    "states.amazonaws.com": TrustedService(
        # The name may end in *: the state machine needs its role first, so its full ARN is unknown.
        source_arn=re.compile(r"arn:aws[a-z-]*:states:[a-z0-9-]+:[0-9]{12}:stateMachine:[^*?]+\*?"),
        reason="https://docs.aws.amazon.com/step-functions/latest/dg/procedure-create-iam-role.html",
    ),
    "scheduler.amazonaws.com": TrustedService(
        source_arn=re.compile(r"arn:aws[a-z-]*:scheduler:[a-z0-9-]+:[0-9]{12}:schedule-group/[^*?/]+"),
        reason="AWS requires the ARN of the schedule's group, not of the schedule: "
        "https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html",
    ),
}

# Stack to the reason why its queues may accept plain HTTP.
PLAIN_HTTP_STACKS: Final[Mapping[str, str]] = {
    "local": "The embedded AWS has no TLS; it listens on loopback only.",
}
