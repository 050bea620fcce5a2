"""The EventBridge bus for order events."""

import pulumi
import pulumi_aws as aws

from components.iam import Grant


class EventBus(pulumi.ComponentResource):
    """A custom bus. Its rules are declared by the projects that receive the events."""

    name: pulumi.Output[str]
    arn: pulumi.Output[str]

    def __init__(self, name: str, *, description: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("orderflow:messaging:EventBus", name, None, opts)
        self._name = name
        bus = aws.cloudwatch.EventBus(name, description=description, opts=pulumi.ResourceOptions(parent=self))
        self.name = bus.name
        self.arn = bus.arn
        self.register_outputs({"name": self.name, "arn": self.arn})

    def grant_put(self) -> Grant:
        """Returns the permission to put events on this bus."""
        return Grant(
            purpose=f"puts-events-on-{self._name}", actions=["events:PutEvents"], resources=[self.arn]
        )
