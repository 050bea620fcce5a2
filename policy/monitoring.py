"""An alarm is worth something when it reaches somebody who knows what to do."""

import re
from collections.abc import Iterator
from typing import Final

import pulumi
from pulumi_policy import Policy, PolicyResource, ResourceValidationArgs

from policy.resources import (
    COMPOSITE_ALARM,
    METRIC_ALARM,
    PROJECT,
    TOPIC,
    TOPIC_SUBSCRIPTION,
    linked,
    of_type,
)
from policy.rule import resource_rule, stack_rule

# A web address, or a page of this repository with the section in it.
RUNBOOK: Final = re.compile(r"https://\S+|docs/[\w./-]+\.md#[\w-]+")


def alarms_lead_to_somebody(args: ResourceValidationArgs) -> Iterator[str]:
    """Every alarm does something, and its description says where it is written what to do."""
    if args.resource_type not in (METRIC_ALARM, COMPOSITE_ALARM):
        return
    # Only their number: what they are is not known before the topic exists.
    if len(args.props.get("alarmActions") or []) == 0:
        yield "tells nobody: set alarmActions"
    if args.props.get("actionsEnabled") is False:
        yield "has its actions switched off"
    if not RUNBOOK.search(args.props.get("alarmDescription") or ""):
        yield "does not say what to do: link its runbook in alarmDescription"


def alarm_topics_have_a_subscriber(stack: list[PolicyResource]) -> Iterator[tuple[PolicyResource, str]]:
    """Where the configuration names somebody to be told, a topic that alarms are sent to passes them on."""
    if not pulumi.Config(PROJECT).get("alarmEmail"):
        return
    subscriptions = of_type(stack, TOPIC_SUBSCRIPTION)
    heard = {topic.urn for item in subscriptions for topic in linked(item, "topic", TOPIC, stack)}
    alarms = of_type(stack, METRIC_ALARM, COMPOSITE_ALARM)
    told = {topic.urn: topic for item in alarms for topic in linked(item, "alarmActions", TOPIC, stack)}
    for urn, topic in told.items():
        if urn not in heard:
            yield topic, "has no subscriber, but the configuration names one for alarms (alarmEmail)"


RULES: Final[tuple[Policy, ...]] = (
    resource_rule(
        "alarms-lead-to-somebody",
        "Every alarm has an action and a link to its runbook.",
        alarms_lead_to_somebody,
    ),
    stack_rule(
        "alarm-topics-have-a-subscriber",
        "The alarms reach somebody where the stack's configuration names an address.",
        alarm_topics_have_a_subscriber,
    ),
)
