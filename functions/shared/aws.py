"""Clients for AWS, made once per service and process.

Low-level clients of botocore, without boto3: its resources are not used here, and importing them costs a
cold start.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

# A stuck call must end well inside the shortest function timeout (6 s), so that the function can still say
# what happened. Seconds; `total_max_attempts` counts the first one.
_CONFIG = Config(connect_timeout=1, read_timeout=2.5, retries={"mode": "standard", "total_max_attempts": 2})

# Refusals that pass by themselves. Other 4xx (access denied, a bad parameter) are ours to repair.
_PASSING_CODES = frozenset(
    {
        "InternalServerError",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "ServiceUnavailable",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionConflictException",
    }
)


@cache
def _session() -> Any:
    return botocore.session.get_session()


@cache
def client(service: str) -> Any:
    """The client of an AWS service, by its name in botocore ("dynamodb"). Region and endpoint come from the
    environment, as everywhere in Lambda."""
    return _session().create_client(service, config=_CONFIG)


def is_passing(error: Exception) -> bool:
    """Whether a failed call may well succeed a moment later: no answer, a server's error, or throttling."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status >= 500 or error.response["Error"]["Code"] in _PASSING_CODES
    return isinstance(error, BotoCoreError)
