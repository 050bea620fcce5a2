"""All rules. A rule for one resource is checked before it is created, a rule for the stack at the end."""

from typing import Final

from pulumi_policy import Policy

from policy import access, api, functions, monitoring, open_secrets, protection, queues, resource_types

RULES: Final[tuple[Policy, ...]] = (
    *resource_types.RULES,
    *access.RULES,
    *functions.RULES,
    *api.RULES,
    *queues.RULES,
    *protection.RULES,
    *open_secrets.RULES,
    *monitoring.RULES,
)
