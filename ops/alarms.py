"""The alarms of a stack, as CloudWatch has them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec


class RaisedAlarm(msgspec.Struct, frozen=True, rename="camel"):
    """An alarm in the state ALARM. Its name is that of its section in the runbook."""

    name: str
    since: str


class AlarmCounts(msgspec.Struct, frozen=True, rename="camel"):
    """The alarms of a stack: their number, how many have no data yet, and those that are raised."""

    total: int
    without_data: int
    raised: list[RaisedAlarm]


def count_alarms(client: Any, project: str, stack: str) -> AlarmCounts:
    """Return the alarms of a stack, by the names that Pulumi gives them. Raises botocore's errors."""
    name = re.compile(rf"{re.escape(project)}-(?P<name>[^-]+)-{re.escape(stack)}-[0-9a-f]{{6}}")
    total = without_data = 0
    raised = []
    for alarm in _alarms(client, f"{project}-"):
        found = name.fullmatch(alarm["AlarmName"])
        if found is None:
            continue
        total += 1
        without_data += alarm["StateValue"] == "INSUFFICIENT_DATA"
        if alarm["StateValue"] == "ALARM":
            since = alarm.get("StateTransitionedTimestamp") or alarm["StateUpdatedTimestamp"]
            raised.append(RaisedAlarm(found["name"], since.isoformat(timespec="seconds")))
    return AlarmCounts(total, without_data, sorted(raised, key=lambda one: one.name))


def _alarms(client: Any, prefix: str) -> Iterator[dict[str, Any]]:
    pages = client.get_paginator("describe_alarms").paginate(
        AlarmNamePrefix=prefix, AlarmTypes=["MetricAlarm"]
    )
    for page in pages:
        yield from page["MetricAlarms"]
