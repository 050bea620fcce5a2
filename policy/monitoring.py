"""Rules for alarms: each has an action and a runbook, and topics have the configured subscribers only."""

import re
from collections.abc import Iterator
from typing import Final

import pulumi
from pulumi_policy import Policy, PolicyResource, ResourceValidationArgs

from policy.resources import (
    COMPOSITE_ALARM,
    METRIC_ALARM,
    PROJECT,
    QUEUE,
    TOPIC,
    TOPIC_SUBSCRIPTION,
    UNKNOWN,
    functions_behind,
    get,
    linked,
    of_type,
)
from policy.rule import resource_rule, stack_rule

# A URL, or a page of this repository with its section.
RUNBOOK: Final = re.compile(r"https://\S+|docs/[\w./-]+\.md#[\w-]+")


def alarms_have_action_and_runbook(args: ResourceValidationArgs) -> Iterator[str]:
    """Checks that every alarm has an action, and a description with a link to its runbook."""
    if args.resource_type not in (METRIC_ALARM, COMPOSITE_ALARM):
        return
    # Counts only: the ARNs of the actions are unknown before the topic exists.
    if len(args.props.get("alarmActions") or []) == 0:
        yield "has no action: set alarmActions"
    if args.props.get("actionsEnabled") is False:
        yield "has its actions disabled: set actionsEnabled"
    if not RUNBOOK.search(args.props.get("alarmDescription") or ""):
        yield "has no runbook: link it in alarmDescription"


def alarm_topics_have_a_subscriber(stack: list[PolicyResource]) -> Iterator[tuple[PolicyResource, str]]:
    """Checks that the topics of alarms have a subscriber if the configuration names one."""
    if pulumi.Config(PROJECT).get("alarmEmail") in {None, "", "none"}:
        return
    subscriptions = of_type(stack, TOPIC_SUBSCRIPTION)
    subscribed = {topic.urn for item in subscriptions for topic in linked(item, "topic", TOPIC, stack)}
    alarms = of_type(stack, METRIC_ALARM, COMPOSITE_ALARM)
    topics = {topic.urn: topic for item in alarms for topic in linked(item, "alarmActions", TOPIC, stack)}
    for urn, topic in topics.items():
        if urn not in subscribed:
            yield topic, "has no subscriber: the configuration names one for alarms (alarmEmail)"


def subscribers_are_configured(stack: list[PolicyResource]) -> Iterator[tuple[PolicyResource, str]]:
    """Checks that topics send only to the configured address, or to queues and functions of this stack."""
    email = pulumi.Config(PROJECT).get("alarmEmail")
    for item in of_type(stack, TOPIC_SUBSCRIPTION):
        protocol, endpoint = get(item.props, "protocol"), get(item.props, "endpoint")
        if (
            UNKNOWN not in (protocol, endpoint)
            and not (protocol == "email" and endpoint and endpoint == email)
            and not (protocol == "sqs" and linked(item, "endpoint", QUEUE, stack))
            and not (protocol == "lambda" and functions_behind(item, "endpoint", stack))
        ):
            yield (
                item,
                f"sends messages to {endpoint} ({protocol}). Use the address in alarmEmail, or a queue or "
                "function of this stack",
            )


RULES: Final[tuple[Policy, ...]] = (
    resource_rule(
        "alarms-have-action-and-runbook",
        "Every alarm has an action and a link to its runbook.",
        alarms_have_action_and_runbook,
    ),
    stack_rule(
        "alarm-topics-have-a-subscriber",
        "Topics of alarms have a subscriber if the stack's configuration names an address.",
        alarm_topics_have_a_subscriber,
    ),
    stack_rule(
        "subscribers-are-configured",
        "Topics send to the configured address, or to queues and functions of this stack.",
        subscribers_are_configured,
    ),
)
