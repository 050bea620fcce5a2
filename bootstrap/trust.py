"""Who may assume the roles: runs of one repository's workflows, and of those only some."""

import json
from collections.abc import Sequence
from typing import Final

ISSUER: Final = "token.actions.githubusercontent.com"


def github(provider_arn: str, subjects: Sequence[str]) -> str:
    """A trust policy for tokens of GitHub that are meant for AWS and are about exactly these subjects.

    A subject is `repo:<owner>/<name>:` and `pull_request`, `ref:<ref>` or `environment:<name>`; a job that
    names an environment has that one, whatever started it. Compared as a whole, never by a pattern.
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
