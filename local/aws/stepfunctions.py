"""Step Functions state machines. The emulator does not enforce the machine's role."""

from typing import Final

from local.aws.core import OWN, Created, Creation, Field, Kind, nested, not_emulated, tag_list, without_empty


def _create_machine(call: Creation) -> Created:
    name = call.name()
    answer = call.client("stepfunctions").create_state_machine(name=name, **without_empty(call.params))
    arn = answer["stateMachineArn"]
    return arn, {
        "name": name,
        "arn": arn,
        "status": "ACTIVE",
        "creationDate": answer["creationDate"].isoformat(),
    }


def _destinations(arn: str) -> list[dict[str, dict[str, str]]]:
    return [{"cloudWatchLogsLogGroup": {"logGroupArn": arn}}]


KINDS: Final = (
    Kind(
        resource_type="aws:sfn/stateMachine:StateMachine",
        inputs={
            "name": OWN,
            "definition": "definition",
            "roleArn": "roleArn",
            "type": "type",
            "tags": tag_list("tags", "key", "value"),
            # Stored. The emulator writes no execution logs.
            "loggingConfiguration": nested(
                "loggingConfiguration",
                {
                    "level": "level",
                    "includeExecutionData": "includeExecutionData",
                    "logDestination": Field(to="destinations", convert=_destinations),
                },
            ),
            "tracingConfiguration": not_emulated("the emulator has no X-Ray"),
            "encryptionConfiguration": not_emulated("the emulator keeps executions in memory"),
        },
        outputs=("arn", "name"),
        create=_create_machine,
    ),
)
