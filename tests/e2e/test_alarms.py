"""An alarm notifies the subscribers of the topic and names its runbook."""

from __future__ import annotations

import json
from typing import Any

from local.stack import RunningStack
from tests.e2e.conftest import wait_for


def test_an_alarm_notifies_the_subscribers_and_names_its_runbook(stack: RunningStack) -> None:
    cloudwatch, sns, sqs = (stack.client(name) for name in ("cloudwatch", "sns", "sqs"))
    alarms = [
        alarm
        for page in cloudwatch.get_paginator("describe_alarms").paginate()
        for alarm in page["MetricAlarms"]
        if alarm["AlarmName"].startswith("orderflow-dead_letters-")
    ]
    assert len(alarms) == 1
    (topic,) = alarms[0]["AlarmActions"]
    url = sqs.create_queue(QueueName="on-call")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    allow = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
    policy = {"Version": "2012-10-17", "Statement": [allow | {"Resource": arn}]}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)

    cloudwatch.set_alarm_state(AlarmName=alarms[0]["AlarmName"], StateValue="ALARM", StateReason="a test")

    def receive() -> list[Any]:
        return list(sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages", []))

    (message,) = wait_for(receive, bool, seconds=10)
    notification = json.loads(json.loads(message["Body"])["Message"])
    assert (notification["AlarmName"], notification["NewStateValue"]) == (alarms[0]["AlarmName"], "ALARM")
    assert "docs/operations.md#dead_letters" in notification["AlarmDescription"]
