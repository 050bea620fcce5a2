"""IAM policy documents."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

# X-Ray has no narrower resource than "*" for these actions.
XRAY_WRITE: dict[str, Any] = {
    "Effect": "Allow",
    "Action": ["xray:PutTelemetryRecords", "xray:PutTraceSegments"],
    "Resource": "*",
}


@dataclass(frozen=True, kw_only=True)
class Grant:
    """Permission for a function or the workflow: exactly `actions` on exactly `resources`.

    `purpose` names the policy after its owner, as in `orders_api-reads-orders`. `condition` is IAM's.
    """

    purpose: str
    actions: Sequence[str]
    resources: Sequence[pulumi.Input[str]]
    condition: Mapping[str, Any] | None = None

    def policy(self) -> pulumi.Output[str]:
        """Returns the policy document that grants this and nothing else."""
        condition = {"Condition": self.condition} if self.condition else {}
        return policy(allow(self.actions, self.resources) | condition)


Grants = Sequence[Grant]


def policy(*statements: Mapping[str, Any]) -> pulumi.Output[str]:
    """Returns a policy document of these statements as JSON. Their values may be outputs."""
    return pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": list(statements)}, sort_keys=True)


def allow(actions: Sequence[str], resources: Sequence[pulumi.Input[str]]) -> dict[str, Any]:
    """Returns a statement that allows exactly these actions on exactly these resources."""
    return {"Effect": "Allow", "Action": sorted(actions), "Resource": list(resources)}


def trust(service: str, condition: Mapping[str, Any] | None = None) -> pulumi.Output[str]:
    """Returns the trust policy of a role that only `service` may assume."""
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}}
    return policy(statement | ({"Condition": condition} if condition else {}))


def bound_every_role(boundary_arn: str | None) -> None:
    """Gives every role declared after this a permissions boundary: the ARN of a managed policy, or None.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html
    """
    if boundary_arn is None:
        return

    def bound(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        if args.type_ != "aws:iam/role:Role":
            return None
        return pulumi.ResourceTransformationResult(
            {**args.props, "permissions_boundary": boundary_arn}, args.opts
        )

    pulumi.runtime.register_stack_transformation(bound)
