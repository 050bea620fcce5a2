"""Names that Pulumi makes none up for, and what fits into those that it does.

Imports no SDK, for other programs ask here what to grant on.
"""

import hashlib
from collections.abc import Iterable
from typing import Final

_SAMPLING_RULE_LENGTH: Final = 32  # https://docs.aws.amazon.com/xray/latest/api/API_SamplingRule.html
_DIGEST_LENGTH: Final = 6
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
_ROLE_LENGTH: Final = 64


def sampling_rule_name(project: str, stack: str) -> str:
    """The stack's X-Ray sampling rule: `<project>-<stack>`, and if that is too long for AWS its beginning and
    a digest of all of it, for a rule's name is unique in an account and region."""
    name = f"{project}-{stack}"
    if len(name) <= _SAMPLING_RULE_LENGTH:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST_LENGTH]
    return f"{name[: _SAMPLING_RULE_LENGTH - _DIGEST_LENGTH - 1]}-{digest}"


def log_group_name(place: str, project: str, stack: str, name: str) -> str:
    """The log group of a part of the stack under AWS's own `place` (`lambda`, `vendedlogs/states`). Slashes,
    so that no pattern for a stack's groups covers those of one whose name begins alike."""
    return f"/aws/{place}/{project}/{stack}/{name}"


def longest_stack_name(project: str, functions: Iterable[str]) -> int:
    """How many characters a stack's name may have, so that auto-naming (Pulumi.yaml) fits it and six digits
    into the name of each function's role; no other kind of resource has less room."""
    return _ROLE_LENGTH - max(len(f"{project}-{function}-role--123456") for function in functions)
