"""The permissions boundary of the stack's roles."""

import re
from typing import Final

from components.settings.loader import Values

_POLICY_ARN: Final = re.compile(r"(arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/[\w+=,.@/-]+)?")


def permissions_boundary_arn(values: Values) -> str | None:
    """Returns the ARN of the managed policy that bounds every role, or None."""
    expected = "the ARN of an IAM policy, or an empty text"
    return values.matching("permissionsBoundaryArn", _POLICY_ARN, expected) or None
