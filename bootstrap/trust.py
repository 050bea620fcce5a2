"""The trust of the roles: some runs of the workflows of one repository may assume them."""

import json
import re
from collections.abc import Sequence
from typing import Final

import pulumi

ISSUER: Final = "token.actions.githubusercontent.com"

_REPOSITORY: Final = re.compile(r"[\w.-]+@[0-9]+/[\w.-]+@[0-9]+|[\w.-]+/[\w.-]+")


def checked_repository(repository: str) -> str:
    """Returns the repository as GitHub's tokens name it: `owner@id/name@id`.

    The ids protect an abandoned name. A repository from before 2026-07-15 may have `owner/name` only. Raises
    RunError for any other text, which no token has.
    """
    if not _REPOSITORY.fullmatch(repository):
        raise pulumi.RunError(
            f"repository: {repository} is not allowed. repository must be owner@id/name@id, or owner/name if "
            "the repository's tokens have no ids."
        )
    return repository


def trust_policy(provider_arn: str, subjects: Sequence[str]) -> str:
    """Returns a trust policy for GitHub's tokens for AWS with exactly these subjects.

    A subject is `repo:<repository>:` and `pull_request`, `ref:<ref>` or `environment:<name>`. A job that
    names an environment has that subject for every event. The whole subject is compared, without a pattern.
    https://docs.github.com/en/actions/reference/security/oidc
    """
    statement = {
        "Effect": "Allow",
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Principal": {"Federated": provider_arn},
        "Condition": {
            "StringEquals": {
                f"{ISSUER}:aud": "sts.amazonaws.com",
                f"{ISSUER}:sub": list(subjects),
            }
        },
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
