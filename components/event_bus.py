"""The EventBridge bus for order events."""

import json
from typing import Final

import pulumi
import pulumi_aws as aws

from components.function import LambdaFunction
from components.iam import Grant

SOURCE: Final = "orderflow.orders"
"""The source of the functions' events."""


class EventBus(pulumi.ComponentResource):
    """A custom bus. Other projects declare the rules for the events that they receive."""

    name: pulumi.Output[str]
    arn: pulumi.Output[str]

    def __init__(self, name: str, *, description: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("orderflow:messaging:EventBus", name, None, opts)
        self._name = name
        bus = aws.cloudwatch.EventBus(name, description=description, opts=pulumi.ResourceOptions(parent=self))
        self.name = bus.name
        self.arn = bus.arn
        self.register_outputs({"name": self.name, "arn": self.arn})

    def invokes(self, function: LambdaFunction, event_type: str) -> None:
        """Invokes the function for each event of a type, within seconds.

        An event that the function cannot get within five minutes is dropped. So the function must also find
        the work without it.
        """
        child = pulumi.ResourceOptions(parent=self)
        rule = aws.cloudwatch.EventRule(
            f"{self._name}-{function.name}",
            description=f"Invokes {function.name} for each {event_type}",
            event_bus_name=self.name,
            event_pattern=json.dumps({"source": [SOURCE], "detail-type": [event_type]}),
            opts=child,
        )
        permission = aws.lambda_.Permission(
            f"{self._name}-bus-invokes-{function.name}",
            action="lambda:InvokeFunction",
            function=function.arn,
            principal="events.amazonaws.com",
            source_arn=rule.arn,
            opts=child,
        )
        aws.cloudwatch.EventTarget(
            f"{self._name}-{function.name}",
            rule=rule.name,
            event_bus_name=self.name,
            arn=function.arn,
            retry_policy=aws.cloudwatch.EventTargetRetryPolicyArgs(
                maximum_event_age_in_seconds=300, maximum_retry_attempts=5
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[permission]),
        )

    def grant_put(self) -> Grant:
        """Returns the permission to put events on this bus."""
        return Grant(
            purpose=f"puts-events-on-{self._name}", actions=["events:PutEvents"], resources=[self.arn]
        )
