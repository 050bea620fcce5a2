"""Errors as one sentence for the operator, with an exit code."""

from __future__ import annotations

import re
from enum import IntEnum
from typing import NamedTuple

from botocore import exceptions as botocore
from botocore.exceptions import BotoCoreError, ClientError

from functions.shared.domain.errors import DependencyUnavailable, DomainError, NotFound, StoreContention
from ops.orders import NotQueued, Refused
from ops.stacks import NoStack


class ExitCode(IntEnum):
    """The exit codes of all commands. docs/operations.md describes them."""

    DONE = 0
    FAILED = 1
    WRONG_USAGE = 2
    NO_STACK = 3
    NO_ORDER = 4
    NOT_PERMITTED = 5
    NO_CREDENTIALS = 6
    INTERRUPTED = 130


class Problem(NamedTuple):
    """An exit code, and the sentence for the operator."""

    code: ExitCode
    sentence: str


_CREDENTIALS = (
    botocore.NoCredentialsError,
    botocore.PartialCredentialsError,
    botocore.CredentialRetrievalError,
    botocore.ProfileNotFound,
    botocore.SSOError,
    botocore.TokenRetrievalError,
    botocore.UnauthorizedSSOTokenError,
)
_BAD_CREDENTIALS = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "AuthorizationError"})
_GONE = frozenset(
    {
        "AWS.SimpleQueueService.NonExistentQueue",
        "QueueDoesNotExist",
        "ResourceNotFoundException",
        "StateMachineDoesNotExist",
    }
)
# IAM's message: "User: <who> is not authorized to perform: <action> on resource: <arn> because ..."
_WHO = re.compile(r"User: (\S+)")
_ACTION = re.compile(r"perform: ([\w-]+:\w+)")
_RESOURCE = re.compile(r"on resource: (\S+)")


def explain(error: Exception) -> Problem | None:
    """Return the problem that an error describes, or None for a defect of the program."""
    if isinstance(error, NoStack):
        return Problem(ExitCode.NO_STACK, str(error))
    if isinstance(error, NotFound):
        return Problem(ExitCode.NO_ORDER, _sentence(str(error)))
    if isinstance(error, Refused | NotQueued):
        return Problem(ExitCode.FAILED, str(error))
    if isinstance(error, StoreContention | DependencyUnavailable):
        return Problem(ExitCode.FAILED, f"{_sentence(str(error))} Try again.")
    if isinstance(error, DomainError):
        return Problem(ExitCode.FAILED, _sentence(str(error)))
    if isinstance(error, _CREDENTIALS):
        return Problem(
            ExitCode.NO_CREDENTIALS,
            f"{_sentence(str(error))} Set AWS_PROFILE, or log in with `aws sso login`.",
        )
    if isinstance(error, ClientError):
        return _explain_refusal(error)
    if isinstance(error, BotoCoreError):
        return Problem(ExitCode.FAILED, f"AWS did not answer: {_sentence(str(error))}")
    return None


def _explain_refusal(error: ClientError) -> Problem:
    code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    if code in _BAD_CREDENTIALS:
        return Problem(
            ExitCode.NO_CREDENTIALS, f"AWS does not accept the credentials ({code}): {_sentence(message)}"
        )
    if code in _DENIED:
        return Problem(ExitCode.NOT_PERMITTED, _missing_permission(error.operation_name, message))
    if code in _GONE:
        return Problem(
            ExitCode.NO_STACK,
            f"A resource of the stack's outputs does not exist ({error.operation_name}: {message}). "
            "Check the account of the credentials, and whether the outputs are up to date.",
        )
    return Problem(ExitCode.FAILED, f"AWS refused {error.operation_name} ({code}): {_sentence(message)}")


def _missing_permission(operation: str, message: str) -> str:
    who, action, resource = (pattern.search(message) for pattern in (_WHO, _ACTION, _RESOURCE))
    wanted = action[1] if action else operation
    return (
        f"Not permitted: {who[1] if who else 'your identity'} needs {wanted}"
        f"{f' on {resource[1]}' if resource else ''}."
    )


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '?', '!')) else '.'}"
