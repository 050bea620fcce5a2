"""Names that Pulumi makes none up for. Imports no SDK, for other programs ask here what to grant on."""

import hashlib
from typing import Final

_SAMPLING_RULE_LENGTH: Final = 32  # https://docs.aws.amazon.com/xray/latest/api/API_SamplingRule.html
_DIGEST_LENGTH: Final = 6


def sampling_rule_name(project: str, stack: str) -> str:
    """The stack's X-Ray sampling rule: `<project>-<stack>`, and if that is too long for AWS its beginning and
    a digest of all of it, for a rule's name is unique in an account and region."""
    name = f"{project}-{stack}"
    if len(name) <= _SAMPLING_RULE_LENGTH:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST_LENGTH]
    return f"{name[: _SAMPLING_RULE_LENGTH - _DIGEST_LENGTH - 1]}-{digest}"
