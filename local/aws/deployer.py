"""Creates the resources of a Pulumi program in the emulator.

Each service's module has a table of the supported resource types and input properties (see `local.aws.core`).
"""

import dataclasses
import importlib
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from local.aws import (
    apigateway,
    awslambda,
    cloudwatch,
    dynamodb,
    eventbridge,
    iam,
    kms,
    route53,
    scheduler,
    secretsmanager,
    sns,
    sqs,
    stepfunctions,
    wafv2,
    xray,
)
from local.aws.core import Cloud, DeployError, Kind, by_type
from local.aws.emulator import Endpoint
from local.engine.invokes import answer_invoke
from local.engine.program import Resource

__all__ = ("KINDS", "DeployError", "Deployer", "preload")

KINDS: Final[Mapping[str, Kind]] = by_type(
    kind
    for module in (
        apigateway,
        awslambda,
        cloudwatch,
        dynamodb,
        eventbridge,
        iam,
        kms,
        route53,
        scheduler,
        secretsmanager,
        sns,
        sqs,
        stepfunctions,
        wafv2,
        xray,
    )
    for kind in module.KINDS
)
_PROVIDER: Final = "pulumi:providers:aws"
_PROVIDER_INPUTS: Final = frozenset({"region", "defaultTags", "allowedAccountIds", "version"})
# Those that every deployment calls.
_SERVICES: Final = (
    "apigateway",
    "cloudwatch",
    "dynamodb",
    "events",
    "iam",
    "kms",
    "lambda",
    "logs",
    "scheduler",
    "sns",
    "sqs",
    "stepfunctions",
)


def preload(endpoint: Endpoint) -> None:
    """Loads the clients and modules that every deployment needs. Takes 0.3 s."""
    for service in _SERVICES:
        endpoint.client(service)
    importlib.import_module("pulumi_aws")


class Deployer:
    """The backend that creates a program's resources in a running emulator.

    `root` is the project's folder, where the relative paths of assets start. `default_tags` are those of
    `aws:defaultTags`. `secret`: see `Cloud`.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        root: Path,
        *,
        default_tags: Mapping[str, str] | None = None,
        secret: str | None = None,
    ) -> None:
        self._cloud = Cloud(endpoint=endpoint, root=root, secret=secret)
        self._default_tags: dict[str, dict[str, str]] = {"": dict(default_tags or {})}
        self._lock = threading.Lock()

    def create(self, resource: Resource) -> tuple[str, Mapping[str, Any]]:
        """Creates one resource. Raises DeployError when the tables or the emulator do not support it."""
        if resource.type == _PROVIDER:
            return self._create_provider(resource)
        kind = KINDS.get(resource.type)
        if kind is None:
            raise DeployError("the embedded AWS does not support this resource type")
        if resource.import_id:
            raise DeployError("the embedded AWS cannot import existing resources")
        try:
            return kind.deploy(self._cloud, self._tagged(kind, resource))
        except ClientError as error:
            details = error.response.get("Error", {})
            raise DeployError(f"{details.get('Code', 'Error')}: {details.get('Message', error)}") from error
        except BotoCoreError as error:
            raise DeployError(str(error)) from error

    def invoke(self, token: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """Returns the result of a provider function about the account, the region or policy documents."""
        return answer_invoke(
            token, args, account_id=self._cloud.endpoint.account_id, region=self._cloud.region
        )

    def _create_provider(self, resource: Resource) -> tuple[str, Mapping[str, Any]]:
        """Takes an explicit provider's default tags. Its region must be the emulator's."""
        unknown = sorted(set(resource.inputs) - _PROVIDER_INPUTS)
        if unknown:
            raise DeployError(f"the embedded AWS does not support the property `{unknown[0]}` of a provider")
        if resource.inputs.get("region", self._cloud.region) != self._cloud.region:
            raise DeployError(f"the embedded AWS has one region, {self._cloud.region}")
        # The SDK sends a provider's objects as JSON.
        tags = resource.inputs.get("defaultTags") or {}
        tags = json.loads(tags) if isinstance(tags, str) else tags
        with self._lock:
            self._default_tags[resource.urn] = dict(tags.get("tags") or {})
        return resource.physical_name, {}

    def _tagged(self, kind: Kind, resource: Resource) -> Resource:
        defaults = self._default_tags.get(resource.provider) or {}
        if "tags" not in kind.inputs or not defaults:
            return resource
        tags = {**defaults, **(resource.inputs.get("tags") or {})}
        return dataclasses.replace(resource, inputs={**resource.inputs, "tags": tags})
