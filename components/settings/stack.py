"""Reads all settings of a stack.

Pulumi.yaml holds the keys with their defaults and descriptions. The Pulumi CLI checks their types; the files
of this package check the limits of AWS and of the program. Components receive parts of `StackSettings` and
never read configuration themselves.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import pulumi

from components.names import longest_stack_name
from components.packaging import function_names
from components.settings import iam, tags
from components.settings.api import ApiSettings
from components.settings.custom_domain import CustomDomainSettings
from components.settings.firewall import has_firewall
from components.settings.fulfillment import FulfillmentSettings
from components.settings.functions import FunctionSettings
from components.settings.loader import ConfigSource, SettingsError, Values, given_keys
from components.settings.monitoring import MonitoringSettings
from components.settings.queue import QueueSettings
from components.settings.requeue import RequeueSettings
from components.settings.tables import TableSettings
from components.settings.warm_starts import WarmStartSettings
from components.settings.workflow import WorkflowSettings

NO_RECEIVER: Final = (
    "alarmEmail: is empty, but this stack protects its data. Use the address that receives its alarms, or "
    "none if it needs no e-mail."
)


@dataclass(frozen=True, kw_only=True)
class StackSettings:
    """Everything that differs between stacks."""

    functions: FunctionSettings
    tables: TableSettings
    queue: QueueSettings
    workflow: WorkflowSettings
    requeue: RequeueSettings
    api: ApiSettings
    monitoring: MonitoringSettings
    permissions_boundary_arn: str | None
    tags: Mapping[str, str]
    # Optional capabilities.
    custom_domain: CustomDomainSettings | None
    firewall: bool
    order_placed_event: bool
    fulfillment: FulfillmentSettings | None
    warm_starts: WarmStartSettings

    @classmethod
    def read(
        cls,
        config: ConfigSource,
        keys: Iterable[str] = (),
        *,
        functions: Collection[str] = (),
        region: str | None = None,
    ) -> "StackSettings":
        """Reads and checks every key; raises SettingsError for the first mistake.

        `keys` are those that the stack sets: an unknown one is a mistake. `functions` are the names of the
        functions. `region` is the stack's, if it is configured.
        """
        values = Values(config)
        function_settings = FunctionSettings.read(values, functions)
        requeue = RequeueSettings.read(values)
        settings = cls(
            functions=function_settings,
            tables=TableSettings.read(values),
            queue=QueueSettings.read(values, function_settings, requeue),
            workflow=WorkflowSettings.read(values),
            requeue=requeue,
            api=ApiSettings.read(values),
            monitoring=MonitoringSettings.read(values, requeue),
            permissions_boundary_arn=iam.permissions_boundary_arn(values),
            tags=tags.tags(values),
            custom_domain=CustomDomainSettings.read(values, region),
            firewall=has_firewall(values),
            order_placed_event=values.boolean("orderPlacedEvent"),
            fulfillment=FulfillmentSettings.read(values, region),
            warm_starts=WarmStartSettings.read(values, function_settings, functions),
        )
        values.refuse_unknown(keys)
        return settings

    @classmethod
    def load(cls) -> "StackSettings":
        """Reads the settings of the stack that Pulumi runs.

        Raises SettingsError as `read` does, and for a name of the stack that AWS does not accept. Also raises
        it for a stack that protects its data and whose alarms have no receiver. A preview only warns of that.
        """
        config, functions = pulumi.Config(), function_names()
        _check_stack_name(pulumi.get_stack(), longest_stack_name(config.name, functions))
        settings = cls.read(
            config,
            given_keys(config.name),
            functions=functions,
            region=pulumi.Config("aws").get("region"),
        )
        if settings.tables.protect and not settings.monitoring.is_receiver_decided:
            if not pulumi.runtime.is_dry_run():
                raise SettingsError(NO_RECEIVER)
            pulumi.log.warn(NO_RECEIVER)
        return settings


def _check_stack_name(stack: str, longest: int) -> None:
    if len(stack) > longest:
        raise SettingsError(
            f"The stack's name {stack} has {len(stack)} characters. Use at most {longest}: it is part of the "
            "names of roles, for which IAM accepts 64."
        )
    if not re.fullmatch(r"[A-Za-z0-9_-]+", stack):
        raise SettingsError(
            f"The stack's name {stack} is not allowed. Use letters, digits, - and _: it is part of the names "
            "of queues and functions."
        )
