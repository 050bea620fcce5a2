"""EventBridge buses, rules and their targets."""

from typing import Final

from local.aws.core import OWN, Created, Creation, Kind, nested, not_emulated, tag_list, without_empty


def _create_bus(call: Creation) -> Created:
    name = call.name()
    answer = call.client("events").create_event_bus(Name=name, **without_empty(call.params))
    return name, {"name": name, "arn": answer["EventBusArn"]}


def _create_rule(call: Creation) -> Created:
    name = call.name()
    params = dict(call.params)
    if "isEnabled" in call.inputs and "State" not in params:
        params["State"] = "ENABLED" if call.inputs["isEnabled"] else "DISABLED"
    answer = call.client("events").put_rule(Name=name, **without_empty(params))
    bus = call.inputs.get("eventBusName", "default")
    return name if bus == "default" else f"{bus}/{name}", {"name": name, "arn": answer["RuleArn"]}


def _create_target(call: Creation) -> Created:
    target = call.params | {"Id": call.inputs.get("targetId") or call.resource.physical_name}
    rule, bus = call.inputs["rule"], call.inputs.get("eventBusName", "default")
    answer = call.client("events").put_targets(Rule=rule, EventBusName=bus, Targets=[target])
    if answer.get("FailedEntryCount"):
        raise ValueError(answer["FailedEntries"][0].get("ErrorMessage", "the target was refused"))
    return f"{bus}-{rule}-{target['Id']}", {"targetId": target["Id"]}


KINDS: Final = (
    Kind(
        resource_type="aws:cloudwatch/eventBus:EventBus",
        inputs={
            "name": OWN,
            "description": "Description",
            "tags": tag_list(),
            "deadLetterConfig": not_emulated("the emulator drops events that match no rule"),
            "kmsKeyIdentifier": not_emulated("the emulator keeps events in memory"),
            "logConfig": not_emulated("the emulator writes no bus logs"),
        },
        outputs=("arn", "name"),
        create=_create_bus,
    ),
    Kind(
        resource_type="aws:cloudwatch/eventRule:EventRule",
        inputs={
            "name": OWN,
            "description": "Description",
            "eventBusName": "EventBusName",
            "eventPattern": "EventPattern",
            "scheduleExpression": "ScheduleExpression",
            "state": "State",
            "isEnabled": OWN,
            "roleArn": "RoleArn",
            "tags": tag_list(),
            "forceDestroy": OWN,  # matters when it is deleted
        },
        outputs=("arn", "name"),
        create=_create_rule,
    ),
    Kind(
        resource_type="aws:cloudwatch/eventTarget:EventTarget",
        inputs={
            "targetId": OWN,
            "rule": OWN,
            "eventBusName": OWN,
            "arn": "Arn",
            "roleArn": "RoleArn",
            "input": "Input",
            "inputPath": "InputPath",
            "inputTransformer": nested(
                "InputTransformer", {"inputPaths": "InputPathsMap", "inputTemplate": "InputTemplate"}
            ),
            "sqsTarget": nested("SqsParameters", {"messageGroupId": "MessageGroupId"}),
            "deadLetterConfig": nested("DeadLetterConfig", {"arn": "Arn"}),
            "retryPolicy": nested(
                "RetryPolicy",
                {
                    "maximumEventAgeInSeconds": "MaximumEventAgeInSeconds",
                    "maximumRetryAttempts": "MaximumRetryAttempts",
                },
            ),
            "forceDestroy": OWN,  # matters when it is deleted
        },
        create=_create_target,
    ),
)
