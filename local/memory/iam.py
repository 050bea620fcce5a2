"""IAM in memory: allows a function only the calls that the program grants its role."""

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
    compare,
    grants_by_variable,
    grants_of_role,
    permissions_for,
    with_variable_names,
)
from local.memory.state_machine import NAME
from local.memory.store import client_error
from policy.resources import FUNCTION

SECRET_ARN = f"arn:aws:secretsmanager:{DECLARED_REGION}:{DECLARED_ACCOUNT}:secret:signing-AbCdEf"
FULFILLMENT_SYSTEM: Mapping[str, Any] = {
    "fulfillmentUrl": "https://ship.example.com",
    "fulfillmentSecretArn": SECRET_ARN,
}
"""The configuration keys of a stack with a fulfillment system."""

Grants = Mapping[str, frozenset[Permission]]
"""Permissions by caller: a function, or the state machine.

Resources have the names of variables (`with_variable_names`).
"""

_PLACE = Place(region=REGION, account=ACCOUNT)
_ENVIRONMENT = {**ENVIRONMENT, "FULFILLMENT_SECRET_ARN": SECRET_ARN}


@cache
def grants(stack: str = "dev", **config: Any) -> Grants:
    """Returns what a stack grants the code of each function, and the state machine's own calls.

    `config` overrides the stack's configuration.
    """
    run = declare_test_stack(stack, **config)
    place = Place(region=DECLARED_REGION, account=DECLARED_ACCOUNT)
    machine = {grant for grant in grants_of_role(run, f"{NAME}-role") if grant.action.startswith("dynamodb:")}
    tables = run.get(FUNCTION, "update_order_status").inputs["environment"]["variables"]
    return {
        **grants_by_variable(run, place),
        NAME: frozenset(with_variable_names(machine, tables, place)),
    }


@cache
def _with_variable_name(permission: Permission) -> Permission:
    (renamed,) = with_variable_names([permission], _ENVIRONMENT, _PLACE)
    return renamed


def _needed(call: AwsCall) -> frozenset[Permission]:
    return frozenset(map(_with_variable_name, permissions_for([call], _PLACE)))


@cache
def _needed_for_table(operation: str, table: str, index: str | None) -> frozenset[Permission]:
    parameters = {"TableName": table, "IndexName": index}
    return _needed(AwsCall(service="dynamodb", operation=operation, parameters=parameters))


@cache
def _is_granted(granted: frozenset[Permission], needed: Permission) -> bool:
    return not compare(granted, [needed]).ungranted


@dataclass
class Iam:
    """Authorizes calls, and records which permissions each caller has used or lacked."""

    granted: Grants = field(default_factory=dict)
    used: set[tuple[str, Permission]] = field(default_factory=set)  # caller, permission
    denied: set[tuple[str, Permission]] = field(default_factory=set)  # caller, permission

    def authorize(self, service: str, operation: str, request: Mapping[str, Any]) -> None:
        """Raises AccessDeniedException, as AWS does, if the caller lacks the permission.

        Other callers (a test, an operator) may make every call.
        """
        function = running_function.get()
        if function is None:
            return
        if "TableName" in request:
            needed = _needed_for_table(operation, request["TableName"], request.get("IndexName"))
        else:
            needed = _needed(AwsCall(service=service, operation=operation, parameters=request))
        for permission in needed:
            self.used.add((function, permission))
            if not _is_granted(self.granted[function], permission):
                self.denied.add((function, permission))
                raise client_error(operation, "AccessDeniedException")
