"""Clients for AWS, made once per service and process.

These are low-level clients of botocore. boto3's resources are not used here, and importing them costs a cold
start. Further settings make a start and a call cheaper, by documented means of botocore.
`python -m bench cold first warm` measures them.
"""

from __future__ import annotations

# The first connection looks up this codec, which compiles tables. An environment may as well do it before
# its first request.
import encodings.idna  # noqa: F401
import gzip
import os
import random
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import msgspec
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.loaders import JSONFileLoader, Loader

from functions.shared import deadline

_CONNECT_SECONDS = 1
_READ_SECONDS = 1
# The longest that one try of a call takes. A call has two, and up to a second between them. So after a call
# that got no answer, a task of 6 s has the time for one more call.
LONGEST_TRY = _CONNECT_SECONDS + _READ_SECONDS

_CONFIG = Config(
    connect_timeout=_CONNECT_SECONDS,
    read_timeout=_READ_SECONDS,
    # `total_max_attempts` counts the first try.
    retries={"mode": "standard", "total_max_attempts": 2},
    # The tests run every call, and AWS checks the parameters again.
    parameter_validation=False,
    # botocore builds its own again at every call.
    user_agent=f"orderflow botocore/{botocore.__version__}",
)

# Errors after which a retry may succeed. Other 4xx (access denied, a bad parameter) need a repair.
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


class OutOfTime(BotoCoreError):  # type: ignore[misc]  # botocore has no types
    """A try was not made, because it could have taken longer than the invocation may."""

    fmt = "the function's timeout leaves no time for this call"


def _check_time(**_: Any) -> None:
    """Runs before each try of each call. botocore does not repeat a call that fails with OutOfTime."""
    if deadline.seconds_left() < LONGEST_TRY:
        raise OutOfTime


class _ModelFiles(JSONFileLoader):  # type: ignore[misc]  # botocore has no types
    """Reads botocore's files: two megabytes of JSON per client, several times as fast as `json`."""

    def load_file(self, file_path: str) -> Any:
        """Returns the content of a file, named without its suffix, or None."""
        plain = Path(f"{file_path}.json")
        if plain.is_file():
            return msgspec.json.decode(plain.read_bytes())
        packed = Path(f"{file_path}.json.gz")
        if packed.is_file():
            return msgspec.json.decode(gzip.decompress(packed.read_bytes()))
        return None


class _Models(Loader):  # type: ignore[misc]
    """Finds botocore's models without first listing the folders of all its 400 services."""

    def __init__(self) -> None:
        super().__init__(file_loader=_ModelFiles())
        self.wanted: list[str] = []

    def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002  botocore's signature
        """Returns the services of which a client was made."""
        return self.wanted


_models = _Models()
_session = botocore.session.get_session()
_session.register_component("data_loader", _models)
_session.register("before-send", _check_time)

if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
    # Environments of one snapshot would all pause equally long before they repeat a call.
    # https://docs.aws.amazon.com/lambda/latest/dg/snapstart-runtime-hooks-python.html
    from snapshot_restore_py import register_after_restore  # part of Lambda's runtime

    register_after_restore(random.seed)


@cache
def client(service: str) -> Any:
    """Returns the client of an AWS service, by its name in botocore ("dynamodb").

    Region and endpoint come from the environment.
    """
    _models.wanted.append(service)
    return _session.create_client(service, config=_CONFIG)


def is_transient(error: Exception) -> bool:
    """Returns whether a failed call may succeed later: no response, a server error, or throttling."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status >= 500 or error.response["Error"]["Code"] in _PASSING_CODES
    return isinstance(error, BotoCoreError)
