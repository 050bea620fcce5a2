"""IAM of the in-memory cloud: a function may call what the program grants its role, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from local.engine.recorder import ACCOUNT_ID as DECLARED_ACCOUNT
from local.engine.recorder import REGION as DECLARED_REGION
from local.engine.stacks import declare_test_stack
from local.memory.functions import ACCOUNT, ENVIRONMENT, REGION, running_function
from local.memory.permissions import (
    AwsCall,
    Permission,
    Place,
    as_told,
    compare,
    grants_as_told,
    permissions_for,
)
from local.memory.store import client_error

SECRET_ARN = f"arn:aws:secretsmanager:{DECLARED_REGION}:{DECLARED_ACCOUNT}:secret:signing-AbCdEf"
FULFILLMENT_SYSTEM = {"fulfillmentUrl": "https://warehouse.example.com", "fulfillmentSecretArn": SECRET_ARN}
"""The configuration keys of a stack with a fulfillment system."""

Grants = Mapping[str, frozenset[Permission]]
"""What is granted, by function; resources are called by the variables that tell of them (`as_told`)."""

_HERE = Place(region=REGION, account=ACCOUNT)
_TOLD = {**ENVIRONMENT, "FULFILLMENT_SECRET_ARN": SECRET_ARN}


@cache
def grants(stack: str = "dev", **config: Any) -> Grants:
    """What the program grants the code of each function, in a stack; `config` overrides its configuration."""
    return grants_as_told(
        declare_test_stack(stack, **config), Place(region=DECLARED_REGION, account=DECLARED_ACCOUNT)
    )


@cache
def _told(permission: Permission) -> Permission:
    (told,) = as_told([permission], _TOLD, _HERE)
    return told


@cache
def _is_granted(granted: frozenset[Permission], needed: Permission) -> bool:
    return not compare(granted, [needed]).ungranted


@dataclass
class Iam:
    """Who may do what, who did what, and who was denied what."""

    granted: Grants = field(default_factory=dict)
    used: set[tuple[str, Permission]] = field(default_factory=set)
    denied: set[tuple[str, Permission]] = field(default_factory=set)

    def authorize(self, service: str, operation: str, request: Mapping[str, Any]) -> None:
        """Raise AccessDeniedException, as AWS does, if the function that calls may not. Who is no function
        (a test, an operator) may do anything."""
        function = running_function.get()
        if function is None:
            return
        call = AwsCall(service=service, operation=operation, parameters=request)
        for permission in map(_told, permissions_for([call], _HERE)):
            self.used.add((function, permission))
            if not _is_granted(self.granted[function], permission):
                self.denied.add((function, permission))
                raise client_error(operation, "AccessDeniedException")
