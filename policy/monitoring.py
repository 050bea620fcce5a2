"""An alarm is worth something when it reaches somebody who knows what to do."""

import re
from collections.abc import Iterator
from typing import Final

from pulumi_policy import Policy, ResourceValidationArgs

from policy.resources import COMPOSITE_ALARM, METRIC_ALARM
from policy.rule import resource_rule

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


RULES: Final[tuple[Policy, ...]] = (
    resource_rule(
        "alarms-lead-to-somebody",
        "Every alarm has an action and a link to its runbook.",
        alarms_lead_to_somebody,
    ),
)
