"""Everything that the rules let through although it looks like what they refuse, and why.

A line here is a decision. The tests fail for one that no stack needs any more.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class WildcardResource:
    """Actions that may be allowed on a resource with a wildcard in it. `resource` has to match all of it."""

    actions: frozenset[str]
    resource: re.Pattern[str]
    reason: str


WILDCARD_RESOURCES: Final = (
    WildcardResource(
        actions=frozenset({"xray:PutTelemetryRecords", "xray:PutTraceSegments"}),
        resource=re.compile(r"\*"),
        reason="Traces belong to the account: X-Ray has no resource that a policy could name for them.",
    ),
    WildcardResource(
        actions=frozenset({"xray:GetSamplingRules", "xray:GetSamplingTargets"}),
        resource=re.compile(r"\*"),
        reason="Sampling rules are read for the whole account: X-Ray offers nothing narrower.",
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
        reason="A state machine logs over log deliveries, which have no ARN: AWS documents exactly this.",
    ),
    WildcardResource(
        actions=frozenset({"logs:CreateLogStream", "logs:PutLogEvents"}),
        resource=re.compile(r"arn:aws[a-z-]*:logs:[a-z0-9-]+:[0-9]{12}:log-group:[^*?:]+:\*"),
        reason="Lambda names the streams itself; all streams of one log group is the narrowest there is.",
    ),
    WildcardResource(
        actions=frozenset({"states:DescribeExecution"}),
        resource=re.compile(r"arn:aws[a-z-]*:states:[a-z0-9-]+:[0-9]{12}:execution:[^*?:]+:\*"),
        reason="An execution is named when it starts; all of one state machine is the narrowest there is.",
    ),
    WildcardResource(
        actions=frozenset({"cloudwatch:GetMetricStatistics"}),
        resource=re.compile(r"\*"),
        reason="CloudWatch's metrics have no ARN: whoever reads one may read all.",
    ),
)

# Method and path to the reason why no API key is asked for. Every OPTIONS is open besides: browsers send no
# key with a preflight, and no Lambda runs for it.
OPEN_METHODS: Final[Mapping[tuple[str, str], str]] = {
    ("GET", "/"): "Health: monitors have no key, and the answer holds no data of anybody.",
    ("GET", "/openapi.json"): "The contract is public.",
    ("GET", "/docs"): "The page that renders the public contract.",
}


@dataclass(frozen=True, kw_only=True)
class TrustedService:
    """How a role may trust a service: what `aws:SourceArn` has to match, None where AWS documents none."""

    source_arn: re.Pattern[str] | None
    reason: str


TRUSTED_SERVICES: Final[Mapping[str, TrustedService]] = {
    "lambda.amazonaws.com": TrustedService(
        source_arn=None,
        reason="Lambda assumes a role only for functions of the role's own account, and iam:PassRole decides "
        "who may give a function a role; AWS documents no source condition for it.",
    ),
    "states.amazonaws.com": TrustedService(
        # The name may end in *: the machine cannot exist before its role, nor its full ARN be known.
        source_arn=re.compile(r"arn:aws[a-z-]*:states:[a-z0-9-]+:[0-9]{12}:stateMachine:[^*?]+\*?"),
        reason="https://docs.aws.amazon.com/step-functions/latest/dg/procedure-create-iam-role.html",
    ),
    "scheduler.amazonaws.com": TrustedService(
        source_arn=re.compile(r"arn:aws[a-z-]*:scheduler:[a-z0-9-]+:[0-9]{12}:schedule-group/[^*?/]+"),
        reason="AWS asks for the schedule's group here, never the schedule: "
        "https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html",
    ),
}
