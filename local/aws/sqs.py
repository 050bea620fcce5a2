"""SQS queues and the policies attached to them."""

from typing import Final

from local.aws.core import OWN, Created, Creation, Kind, not_emulated, text


def _create_queue(call: Creation) -> Created:
    name = call.name() + (".fifo" if call.inputs.get("fifoQueue") and not call.inputs.get("name") else "")
    url = call.client("sqs").create_queue(
        QueueName=name, Attributes=call.params, tags=dict(call.inputs.get("tags") or {})
    )["QueueUrl"]
    return url, {"name": name, "url": url, "arn": call.cloud.arn("sqs", name)}


def _set_attributes(call: Creation) -> Created:
    url = call.inputs["queueUrl"]
    call.client("sqs").set_queue_attributes(QueueUrl=url, Attributes=call.params)
    return url, {}


KINDS: Final = (
    Kind(
        resource_type="aws:sqs/queue:Queue",
        inputs={
            "name": OWN,
            "tags": OWN,
            "visibilityTimeoutSeconds": text("VisibilityTimeout"),
            "messageRetentionSeconds": text("MessageRetentionPeriod"),
            "receiveWaitTimeSeconds": text("ReceiveMessageWaitTimeSeconds"),
            "delaySeconds": text("DelaySeconds"),
            "maxMessageSize": text("MaximumMessageSize"),
            "redrivePolicy": "RedrivePolicy",
            "redriveAllowPolicy": "RedriveAllowPolicy",
            "policy": "Policy",
            "fifoQueue": text("FifoQueue"),
            "contentBasedDeduplication": text("ContentBasedDeduplication"),
            "sqsManagedSseEnabled": not_emulated("the emulator keeps messages in memory"),
            "kmsMasterKeyId": not_emulated("the emulator keeps messages in memory"),
            "kmsDataKeyReusePeriodSeconds": not_emulated("the emulator keeps messages in memory"),
        },
        outputs=("arn", "url", "name"),
        create=_create_queue,
    ),
    Kind(
        resource_type="aws:sqs/redrivePolicy:RedrivePolicy",
        inputs={"queueUrl": OWN, "redrivePolicy": "RedrivePolicy"},
        create=_set_attributes,
    ),
    Kind(
        resource_type="aws:sqs/redriveAllowPolicy:RedriveAllowPolicy",
        inputs={"queueUrl": OWN, "redriveAllowPolicy": "RedriveAllowPolicy"},
        create=_set_attributes,
    ),
    Kind(
        # Stored. The emulator does not enforce queue policies.
        resource_type="aws:sqs/queuePolicy:QueuePolicy",
        inputs={"queueUrl": OWN, "policy": "Policy"},
        create=_set_attributes,
    ),
)
