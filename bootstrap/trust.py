"""Who may assume the roles: runs of one repository's workflows, and of those only some."""

import json
import re
from collections.abc import Sequence
from typing import Final

import pulumi

ISSUER: Final = "token.actions.githubusercontent.com"

_REPOSITORY: Final = re.compile(r"[\w.-]+@[0-9]+/[\w.-]+@[0-9]+|[\w.-]+/[\w.-]+")


def checked_repository(repository: str) -> str:
    """The repository as GitHub's tokens name it: `owner@id/name@id`, whose ids nobody can take over together
    with an abandoned name; `owner/name` for one from before 2026-07-15 that does not use them. Raises
    RunError for anything else, which no token would ever match."""
    if not _REPOSITORY.fullmatch(repository):
        raise pulumi.RunError(
            "orderflow-bootstrap:repository must be owner@id/name@id (or owner/name for a repository whose "
            f"tokens have no ids), but is {repository}."
        )
    return repository


def github(provider_arn: str, subjects: Sequence[str]) -> str:
    """A trust policy for tokens of GitHub that are meant for AWS and are about exactly these subjects.

    A subject is `repo:<repository>:` and `pull_request`, `ref:<ref>` or `environment:<name>`; a job that
    names an environment has that one, whatever started it. Compared as a whole, never by a pattern.
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
