"""A function that EventBridge Scheduler invokes periodically."""

import pulumi
import pulumi_aws as aws

from components import iam
from components.function import LambdaFunction


class Schedule(pulumi.ComponentResource):
    """Invokes the function every so many minutes.

    A failed run is not repeated, and leaves no dead letter: it has no data, and the next run does the same
    work. Monitoring covers failed and missing runs.
    """

    every_minutes: int

    def __init__(
        self,
        name: str,
        *,
        function: LambdaFunction,
        every_minutes: int,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("orderflow:schedule:Schedule", name, None, opts)
        self.every_minutes = every_minutes
        child = pulumi.ResourceOptions(parent=self)
        # Its own group, because the role can only be bound to a group (below).
        group = aws.scheduler.ScheduleGroup(name, opts=child)
        role = aws.iam.Role(
            f"{name}-role",
            description=f"Permissions of the schedule {name}",
            # Against the confused deputy. AWS requires the ARN of the group here, not of the schedule:
            # https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html
            assume_role_policy=iam.trust(
                "scheduler.amazonaws.com",
                {
                    "StringEquals": {
                        "aws:SourceAccount": aws.get_caller_identity_output().account_id,
                        "aws:SourceArn": group.arn,
                    }
                },
            ),
            opts=child,
        )
        invokes = aws.iam.RolePolicy(
            f"{name}-invokes-{function.name}",
            role=role.name,
            policy=iam.policy(iam.allow(["lambda:InvokeFunction"], [function.arn])),
            opts=child,
        )
        # By default Lambda repeats a failed invocation twice, or runs it hours late.
        aws.lambda_.FunctionEventInvokeConfig(
            name,
            function_name=function.arn,
            maximum_retry_attempts=0,
            maximum_event_age_in_seconds=60 * every_minutes,
            opts=child,
        )
        aws.scheduler.Schedule(
            name,
            description=f"Invokes {function.name}",
            group_name=group.name,
            schedule_expression=f"rate({every_minutes} minute{'s' if every_minutes > 1 else ''})",
            flexible_time_window=aws.scheduler.ScheduleFlexibleTimeWindowArgs(mode="OFF"),
            target=aws.scheduler.ScheduleTargetArgs(
                arn=function.arn,
                role_arn=role.arn,
                # Until the next run is due.
                retry_policy=aws.scheduler.ScheduleTargetRetryPolicyArgs(
                    maximum_event_age_in_seconds=60 * every_minutes, maximum_retry_attempts=5
                ),
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[invokes]),
        )
        self.register_outputs({})
