"""Every error is explained in one sentence, with its exit code."""

from __future__ import annotations

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ProfileNotFound,
)

from functions.shared.domain.errors import NotFound, StoreContention, TooLateToCancel
from ops.problems import ExitCode, explain


def refused(code: str, message: str, operation: str = "GetItem") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (NotFound("there is no order x"), ExitCode.NO_ORDER, "There is no order x."),
        (
            TooLateToCancel("the order is FULFILLED already"),
            ExitCode.FAILED,
            "The order is FULFILLED already.",
        ),
        (StoreContention("the store is busy"), ExitCode.FAILED, "The store is busy. Try again."),
        (
            refused(
                "AccessDeniedException",
                "User: arn:aws:iam::1:user/eve is not authorized to perform: dynamodb:GetItem on resource: "
                "arn:aws:dynamodb:eu-central-1:1:table/orders because no identity-based policy allows the "
                "dynamodb:GetItem action",
            ),
            ExitCode.NOT_PERMITTED,
            "Not permitted: arn:aws:iam::1:user/eve needs dynamodb:GetItem on "
            "arn:aws:dynamodb:eu-central-1:1:table/orders.",
        ),
        (
            refused("AccessDenied", "Access to the resource is denied.", "ReceiveMessage"),
            ExitCode.NOT_PERMITTED,
            "Not permitted: your identity needs ReceiveMessage.",
        ),
        (
            refused("ExpiredTokenException", "The security token included in the request is expired"),
            ExitCode.NO_CREDENTIALS,
            "AWS does not accept the credentials (ExpiredTokenException): The security token included in the "
            "request is expired.",
        ),
        (
            NoCredentialsError(),
            ExitCode.NO_CREDENTIALS,
            "Unable to locate credentials. Set AWS_PROFILE, or log in with `aws sso login`.",
        ),
        (
            ProfileNotFound(profile="x"),
            ExitCode.NO_CREDENTIALS,
            "The config profile (x) could not be found. Set AWS_PROFILE, or log in with `aws sso login`.",
        ),
        (
            refused("ResourceNotFoundException", "Requested resource not found"),
            ExitCode.NO_STACK,
            "A resource of the stack's outputs does not exist (GetItem: Requested resource not found). Check "
            "the account of the credentials, and whether the outputs are up to date.",
        ),
        (
            refused("ThrottlingException", "Rate exceeded"),
            ExitCode.FAILED,
            "AWS refused GetItem (ThrottlingException): Rate exceeded.",
        ),
        (
            ParamValidationError(report="Invalid length for parameter TableName"),
            ExitCode.FAILED,
            "AWS did not answer: Parameter validation failed: Invalid length for parameter TableName.",
        ),
        (
            EndpointConnectionError(endpoint_url="https://sqs"),
            ExitCode.FAILED,
            'AWS did not answer: Could not connect to the endpoint URL: "https://sqs".',
        ),
    ],
)
def test_an_error_that_the_operator_can_correct_is_explained(
    error: Exception, code: ExitCode, sentence: str
) -> None:
    problem = explain(error)
    assert problem is not None
    assert (problem.code, problem.sentence) == (code, sentence)


def test_a_defect_of_the_program_is_not_explained() -> None:
    assert explain(KeyError("x")) is None
