"""Parameters that AWS would refuse are found before the emulator gets the call."""

from __future__ import annotations

from functools import cache
from typing import Any

import boto3
import pytest

from local.aws.parameter_check import check_parameters


@cache
def operation(service: str, name: str) -> Any:
    """Returns the model of an operation."""
    return boto3.client(service, region_name="us-east-1").meta.service_model.operation_model(name)


@pytest.mark.parametrize(
    ("service", "name", "parameters", "problem"),
    [
        (
            "wafv2",
            "CreateWebACL",
            {"Description": "AWS's rules"},
            'Description: "AWS\'s rules" does not match',
        ),
        (
            "wafv2",
            "CreateWebACL",
            {"Scope": "GLOBAL"},
            "Scope: 'GLOBAL' is not allowed, expected one of CLOUDFRONT, REGIONAL",
        ),
        ("lambda", "CreateFunction", {"Description": "x" * 257}, "Description: 257 characters, at most 256"),
        (
            "lambda",
            "CreateFunction",
            {"Timeout": 10, "MemorySize": 99_999},
            "MemorySize: 99999 is too high, at most",
        ),
        ("sqs", "CreateQueue", {"QueueName": "q", "tags": {"a": "b"}}, None),
        (
            "iam",
            "CreateRole",
            {"RoleName": "r", "Tags": [{"Key": "team", "Value": "a*b"}]},
            "Tags[0].Value: 'a*b' does not match",
        ),
        (
            "iam",
            "CreateRole",
            {"RoleName": "r", "Tags": [{"Key": "Équipe", "Value": "Ökonomie 7"}]},
            None,
        ),
        (
            "cloudwatch",
            "PutMetricAlarm",
            {"AlarmName": "a", "AlarmActions": ["arn:aws:sns:x"] * 6},
            "AlarmActions: 6 items, at most 5",
        ),
    ],
)
def test_a_parameter_that_the_model_forbids_is_named(
    service: str, name: str, parameters: dict[str, Any], problem: str | None
) -> None:
    problems = check_parameters(operation(service, name), parameters)
    if problem is None:
        assert problems == []
    else:
        assert len(problems) == 1
        assert problems[0].startswith(problem)
