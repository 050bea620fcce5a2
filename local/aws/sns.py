"""SNS topics and subscriptions."""

from typing import Final

from local.aws.core import OWN, Created, Creation, Kind, not_emulated, tag_list, text, without_empty


def _create_topic(call: Creation) -> Created:
    name = call.name()
    params = dict(call.params)
    tags = params.pop("Tags", [])
    arn = call.client("sns").create_topic(Name=name, Attributes=params, Tags=tags)["TopicArn"]
    return arn, {"name": name, "arn": arn, "owner": call.cloud.endpoint.account_id}


def _subscribe(call: Creation) -> Created:
    inputs = call.inputs
    arn = call.client("sns").subscribe(
        TopicArn=inputs["topic"],
        Protocol=inputs["protocol"],
        Endpoint=inputs["endpoint"],
        Attributes=without_empty(call.params),
        ReturnSubscriptionArn=True,
    )["SubscriptionArn"]
    return arn, {"arn": arn}


def _set_policy(call: Creation) -> Created:
    arn = call.inputs["arn"]
    call.client("sns").set_topic_attributes(
        TopicArn=arn, AttributeName="Policy", AttributeValue=call.inputs["policy"]
    )
    return arn, {}


KINDS: Final = (
    Kind(
        resource_type="aws:sns/topic:Topic",
        inputs={
            "name": OWN,
            "displayName": "DisplayName",
            "policy": "Policy",
            "deliveryPolicy": "DeliveryPolicy",
            "fifoTopic": text("FifoTopic"),
            "contentBasedDeduplication": text("ContentBasedDeduplication"),
            "tags": tag_list(),
            "kmsMasterKeyId": not_emulated("the emulator keeps messages in memory"),
            "signatureVersion": not_emulated("the emulator signs no deliveries"),
            "tracingConfig": not_emulated("the emulator has no X-Ray"),
        },
        outputs=("arn", "name"),
        create=_create_topic,
    ),
    Kind(
        resource_type="aws:sns/topicPolicy:TopicPolicy",
        inputs={"arn": OWN, "policy": OWN},
        create=_set_policy,
    ),
    Kind(
        # The emulator sends no e-mail: an e-mail subscription stays unconfirmed.
        resource_type="aws:sns/topicSubscription:TopicSubscription",
        inputs={
            "topic": OWN,
            "protocol": OWN,
            "endpoint": OWN,
            "filterPolicy": "FilterPolicy",
            "filterPolicyScope": "FilterPolicyScope",
            "rawMessageDelivery": text("RawMessageDelivery"),
            "redrivePolicy": "RedrivePolicy",
            "confirmationTimeoutInMinutes": OWN,  # used only by the provider
            "endpointAutoConfirms": OWN,  # used only by the provider
        },
        outputs=("arn",),
        create=_subscribe,
    ),
)
