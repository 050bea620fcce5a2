"""EventBridge Scheduler."""

from typing import Final

from local.aws.core import OWN, Created, Creation, Field, Kind, nested, not_emulated, tag_list, without_empty


def _create_group(call: Creation) -> Created:
    name = call.name()
    answer = call.client("scheduler").create_schedule_group(Name=name, **without_empty(call.params))
    return name, {"name": name, "arn": answer["ScheduleGroupArn"]}


def _create_schedule(call: Creation) -> Created:
    name = call.name()
    answer = call.client("scheduler").create_schedule(Name=name, **without_empty(call.params))
    group = call.inputs.get("groupName", "default")
    return f"{group}/{name}", {"name": name, "arn": answer["ScheduleArn"]}


_TARGET: Final[dict[str, Field | str]] = {
    "arn": "Arn",
    "roleArn": "RoleArn",
    "input": "Input",
    "deadLetterConfig": nested("DeadLetterConfig", {"arn": "Arn"}),
    "retryPolicy": nested(
        "RetryPolicy",
        {
            "maximumEventAgeInSeconds": "MaximumEventAgeInSeconds",
            "maximumRetryAttempts": "MaximumRetryAttempts",
        },
    ),
    "sqsParameters": nested("SqsParameters", {"messageGroupId": "MessageGroupId"}),
}


KINDS: Final = (
    Kind(
        resource_type="aws:scheduler/scheduleGroup:ScheduleGroup",
        inputs={"name": OWN, "tags": tag_list()},
        outputs=("arn", "name"),
        create=_create_group,
    ),
    Kind(
        resource_type="aws:scheduler/schedule:Schedule",
        inputs={
            "name": OWN,
            "description": "Description",
            "groupName": "GroupName",
            "scheduleExpression": "ScheduleExpression",
            "scheduleExpressionTimezone": "ScheduleExpressionTimezone",
            "flexibleTimeWindow": nested(
                "FlexibleTimeWindow",
                {"mode": "Mode", "maximumWindowInMinutes": "MaximumWindowInMinutes"},
            ),
            "target": nested("Target", _TARGET),
            "state": "State",
            "actionAfterCompletion": "ActionAfterCompletion",
            "startDate": "StartDate",
            "endDate": "EndDate",
            "kmsKeyArn": not_emulated("the emulator keeps schedules in memory"),
        },
        outputs=("arn", "name"),
        create=_create_schedule,
    ),
)
