"""Rules for queues: they have dead-letter queues, and hide a message until its consumer has finished."""

import re
from collections.abc import Iterator
from typing import Any, Final

from pulumi_policy import Policy, PolicyResource

from policy.resources import (
    EVENT_SOURCE_MAPPING,
    QUEUE,
    REDRIVE_POLICY,
    UNKNOWN,
    as_object,
    functions_behind,
    get,
    linked,
    number,
    of_type,
)
from policy.rule import stack_rule

# AWS recommends six: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
_VISIBILITY_PER_TIMEOUT: Final = 6
# The providers' defaults, in seconds.
_DEFAULT_VISIBILITY: Final = 30
_DEFAULT_TIMEOUT: Final = 3
_DEFAULT_RETENTION: Final = 345_600


def queues_have_dead_letters(stack: list[PolicyResource]) -> Iterator[tuple[PolicyResource, str]]:
    """Checks that every queue has a dead-letter queue in this stack, which keeps messages longer.

    A dead-letter queue needs none. If it has one, the same check applies, which rules out a circle: of two
    queues, only one can keep messages longer.
    """
    redrives = list(_redrives(stack))
    dead_letters = {target.urn for _, _, targets in redrives for target in targets}
    served = {queue.urn for queue, policy, targets in redrives if targets or policy is UNKNOWN}
    for queue in of_type(stack, QUEUE):
        if queue.urn not in dead_letters | served:
            yield queue, "has no dead-letter queue: set redrivePolicy, or messages that keep failing are lost"
    for queue, policy, targets in redrives:
        count = str(as_object(policy).get("maxReceiveCount"))
        if targets and policy is not UNKNOWN and not re.fullmatch("[1-9][0-9]*", count):
            yield queue, f"has the maxReceiveCount {count} in its redrivePolicy: set at least 1"
        for target in targets:
            own = number(queue.props, "messageRetentionSeconds", _DEFAULT_RETENTION)
            kept = number(target.props, "messageRetentionSeconds", _DEFAULT_RETENTION)
            # A message keeps its age when it moves.
            if own is not None and kept is not None and kept <= own:
                yield (
                    target,
                    f"keeps messages for {kept:g} s: set messageRetentionSeconds above the {own:g} s of "
                    f"{queue.name}",
                )


def _redrives(stack: list[PolicyResource]) -> Iterator[tuple[PolicyResource, Any, list[PolicyResource]]]:
    """Yields each queue with its redrive policy and the dead-letter queues that the policy names."""
    for source in of_type(stack, QUEUE, REDRIVE_POLICY):
        policy = get(source.props, "redrivePolicy")
        targets = linked(source, "redrivePolicy", QUEUE, stack)
        if policy and source.resource_type == QUEUE:
            yield source, policy, targets
        elif policy:
            for queue in linked(source, "queueUrl", QUEUE, stack):
                yield queue, policy, targets


def visibility_covers_the_consumer(stack: list[PolicyResource]) -> Iterator[tuple[PolicyResource, str]]:
    """Checks that a message stays hidden while a throttled or slow consumer still retries it."""
    for mapping in of_type(stack, EVENT_SOURCE_MAPPING):
        window = number(mapping.props, "maximumBatchingWindowInSeconds", 0)
        for queue in linked(mapping, "eventSourceArn", QUEUE, stack):
            visibility = number(queue.props, "visibilityTimeoutSeconds", _DEFAULT_VISIBILITY)
            for function in functions_behind(mapping, "functionName", stack):
                timeout = number(function.props, "timeout", _DEFAULT_TIMEOUT)
                if visibility is None or timeout is None or window is None:
                    continue
                least = _VISIBILITY_PER_TIMEOUT * timeout + window
                if visibility < least:
                    yield (
                        queue,
                        f"hides a message for {visibility:g} s, but {function.name} runs for {timeout:g} s: "
                        f"set visibilityTimeoutSeconds to at least {least:g}",
                    )


RULES: Final[tuple[Policy, ...]] = (
    stack_rule(
        "queues-have-dead-letters",
        "Every queue has a dead-letter queue that keeps messages longer than it does.",
        queues_have_dead_letters,
    ),
    stack_rule(
        "visibility-covers-the-consumer",
        "A queue hides messages for at least six times its consumer's timeout.",
        visibility_covers_the_consumer,
    ),
)
