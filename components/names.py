"""Physical names that the program sets, and the limits of those that Pulumi generates.

Imports no SDK, because the bootstrap project imports it too.
"""

import hashlib
from collections.abc import Iterable
from typing import Final

_SAMPLING_RULE_LENGTH: Final = 32  # https://docs.aws.amazon.com/xray/latest/api/API_SamplingRule.html
_DIGEST_LENGTH: Final = 6
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
_ROLE_LENGTH: Final = 64


def sampling_rule_name(project: str, stack: str) -> str:
    """Returns the name of the stack's X-Ray sampling rule: `<project>-<stack>`.

    A name that is too long for AWS becomes its beginning and a digest of the whole. Rule names are unique in
    an account and region.
    """
    name = f"{project}-{stack}"
    if len(name) <= _SAMPLING_RULE_LENGTH:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST_LENGTH]
    return f"{name[: _SAMPLING_RULE_LENGTH - _DIGEST_LENGTH - 1]}-{digest}"


def log_group_name(place: str, project: str, stack: str, name: str) -> str:
    """Returns the name of a log group under AWS's own `place` (`lambda`, `vendedlogs/states`).

    It has slashes, so a pattern for one stack's groups does not match a stack whose name starts with the same
    letters.
    """
    return f"/aws/{place}/{project}/{stack}/{name}"


def longest_stack_name(project: str, functions: Iterable[str]) -> int:
    """Returns the largest length of a stack's name.

    Auto-naming (Pulumi.yaml) puts it and six digits into the name of each function's role. No other kind of
    resource has a shorter limit.
    """
    return _ROLE_LENGTH - max(len(f"{project}-{function}-role--123456") for function in functions)
