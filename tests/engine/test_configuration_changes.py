"""What a change of each configuration key creates, updates and replaces in a stack that has only defaults."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from local.engine.program import PROJECT_ROOT
from local.engine.provider_account import Stored
from local.engine.stacks import EVERYTHING
from tests.engine.workspace import NEVER_REPLACED, Changes, Deployed

Row = tuple[dict[str, Any], set[str]]
_FREE = {"quotaPerDay": 5, "burst": 5, "rate": 5}
_PAID = {"quotaPerDay": 5000, "burst": 200, "rate": 100}
_GOLD = {"quotaPerDay": 100, "burst": 10, "rate": 2.5}
_FULFILLMENT = {key: EVERYTHING[key] for key in ("fulfillmentUrl", "fulfillmentSecretArn")}
_PROVISIONED = {"tableBillingMode": "PROVISIONED", "tableReadCapacity": 5, "tableWriteCapacity": 5}
_EVERYTHING_TAGGED = {
    "update 1 EventBus: tags",
    "update 1 EventSourceMapping: tags",
    "update 1 Key: tags",
    "update 1 RestApi: tags",
    "update 1 SamplingRule: tags",
    "update 1 ScheduleGroup: tags",
    "update 1 Stage: tags",
    "update 1 StateMachine: tags",
    "update 1 Topic: tags",
    "update all Function: tags",
    "update all LogGroup: tags",
    "update all Role: tags",
    "update all ApiKey: tags",
    "update all Queue: tags",
    "update all UsagePlan: tags",
    "update all Table: tags",
    "update all MetricAlarm: tags",
}

# What is set, and what `pulumi up` does then: to how many resources of a type, and to which of their inputs.
CHANGES: list[Row] = [
    ({"accessLogs": True}, {"create 1 LogGroup", "update 1 Stage: accessLogSettings"}),
    ({"alarmEmail": "oncall@example.com"}, {"create 1 TopicSubscription"}),
    ({"alarmErrorPercent": 5}, {"update 13 MetricAlarm: alarmDescription, threshold"}),
    (
        {"alarmLatencyMs": 2000},
        {"update 1 Dashboard: dashboardBody", "update 1 MetricAlarm: alarmDescription, threshold"},
    ),
    (
        {"alarmQueueSeconds": 120},
        {"update 1 Dashboard: dashboardBody", "update 1 MetricAlarm: alarmDescription, threshold"},
    ),
    ({"apiTimeoutSeconds": 20}, {"update 6 Function: timeout"}),
    ({"basketDays": 7}, {"update 1 Function: environment"}),
    ({"consumerMaxConcurrency": 20}, {"update 1 EventSourceMapping: scalingConfig"}),
    (
        {"consumerBatchWindowSeconds": 20},
        {
            "update 1 EventSourceMapping: maximumBatchingWindowInSeconds",
            "update 1 Queue: visibilityTimeoutSeconds",
        },
    ),
    (
        {"consumerTimeoutSeconds": 20},
        {"update 1 Function: timeout", "update 1 Queue: visibilityTimeoutSeconds"},
    ),
    (
        {"corsOrigins": ["https://shop.example.com"]},
        {
            "replace 1 Deployment",
            "update 1 Stage: deployment",
            "update all IntegrationResponse: responseParameters",
            "update all MethodResponse: responseParameters",
            "update all Response: responseParameters",
            "update 6 Function: environment",
        },
    ),
    (
        {"customDomain": EVERYTHING["customDomain"]},
        {
            "create 1 BasePathMapping",
            "create 1 DomainName",
            "create 1 MetricAlarm",  # the certificate's expiry
            "create 1 Record",
            "update 1 Dashboard: dashboardBody",
        },
    ),
    ({"defaultCurrency": "USD"}, {"update 1 Function: environment"}),
    ({"deletionProtection": True}, {"update all Table: deletionProtectionEnabled"}),
    ({"firewall": True}, {"create 1 WebAcl", "create 1 WebAclAssociation"}),
    ({"fulfillmentAllowHttp": True}, set()),  # until fulfillmentUrl is plain HTTP
    ({"fulfillmentOverdueHours": 24}, set()),  # without fulfillmentUrl
    (
        _FULFILLMENT,
        {
            "create 1 EventRule",
            "create 1 EventTarget",
            "create 1 Permission",
            "create 2 IntegrationResponse",  # two routes with their preflights
            "create 2 MethodResponse",
            "create 2 MetricAlarm",
            "create 4 Integration",
            "create 4 Method",
            "create 4 Resource",
            "create 4 RolePolicy",
            "replace 1 Deployment",
            "replace 1 Model",  # and with it what names it: see components/api_responses.py
            "replace all Integration",
            "replace all IntegrationResponse",
            "replace all Method",
            "replace all MethodResponse",
            "replace all Response",
            "update 1 Dashboard: dashboardBody",
            "update 1 Stage: deployment",
            "update 3 Function: environment",
        },
    ),
    ({"functionMemoryMb": 512}, {"update 1 Dashboard: dashboardBody", "update all Function: memorySize"}),
    ({"logLevel": "WARNING"}, {"update all Function: environment"}),
    ({"logRetentionDays": 30}, {"update all LogGroup: retentionInDays"}),
    ({"maxAttempts": 5}, {"update 1 Function: environment"}),
    ({"orderPlacedEvent": True}, {"update 4 Function: environment"}),
    (
        {"permissionsBoundaryArn": EVERYTHING["permissionsBoundaryArn"]},
        {"update all Role: permissionsBoundary"},
    ),
    ({"pointInTimeRecovery": True}, {"update all Table: pointInTimeRecovery"}),
    ({"protectData": True, "alarmEmail": "none"}, set()),  # Pulumi's own, in the state
    (
        {"provisionedConcurrency": {"service_api": 2}},
        {
            "create 1 Alias",
            "create 1 ProvisionedConcurrencyConfig",
            "replace 1 Deployment",
            "replace 1 Permission",  # on the alias
            "update 1 Function: publish",
            "update 1 Stage: deployment",
            "update 6 Integration: uri",
        },
    ),
    ({"recoveryDays": 7}, set()),  # without pointInTimeRecovery
    ({"requireTls": False}, {"delete all QueuePolicy"}),
    ({"reservedConcurrency": {"orders_api": 20}}, {"update 1 Function: reservedConcurrentExecutions"}),
    (
        {"runbookUrl": "https://wiki.example.com/orders"},
        {"update 1 Dashboard: dashboardBody", "update all MetricAlarm: alarmDescription"},
    ),
    (
        {"snapStart": ["service_api"]},
        {
            "create 1 Alias",
            "replace 1 Deployment",
            "replace 1 Permission",  # on the alias
            "update 1 Function: publish, snapStart",
            "update 1 Stage: deployment",
            "update 6 Integration: uri",
        },
    ),
    ({"stalledAfterMinutes": 20}, {"update 2 Function: environment"}),
    ({"systemLogLevel": "DEBUG"}, {"update all Function: loggingConfig"}),
    (
        _PROVISIONED,
        {
            "update 2 Table: billingMode, globalSecondaryIndexes, readCapacity, writeCapacity",
            "update 4 Table: billingMode, readCapacity, writeCapacity",
        },
    ),
    ({"tags": {"team": "orders"}}, _EVERYTHING_TAGGED),
    ({"tracingPercent": 0}, {"update 1 SamplingRule: fixedRate, reservoirSize"}),
    (
        {"usagePlans": {"free": _FREE, "gold": _GOLD, "paid": _PAID}},
        {
            "create 1 ApiKey",
            "create 1 UsagePlan",
            "create 1 UsagePlanKey",
            "update 1 MethodSettings: settings",
        },
    ),
    (
        {"usagePlans": {"free": _FREE}},
        {
            "delete 1 ApiKey",
            "delete 1 UsagePlan",
            "delete 1 UsagePlanKey",
            "update 1 MethodSettings: settings",
        },
    ),
    (
        {"usagePlans": {"free": _GOLD, "paid": _PAID}},
        {
            "update 1 MethodSettings: settings",
            "update 1 UsagePlan: description, quotaSettings, throttleSettings",
        },
    ),
    ({"workflowLogLevel": "ALL"}, {"update 1 StateMachine: loggingConfiguration"}),
    (
        {"workflowType": "EXPRESS"},
        {
            "delete 1 RolePolicy",
            "replace 1 StateMachine",
            "update 1 Dashboard: dashboardBody",
            "update 1 RolePolicy: policy",
            "update 2 Function: environment",
            "update 3 MetricAlarm: dimensions",
        },
    ),
]


def summary(changes: Changes, resources: Sequence[Stored]) -> set[str]:
    """The changes in the form of the table; `all` are at least two."""
    found: Counter[tuple[str, str, str]] = Counter()
    for operation in ("created", "replaced", "deleted"):
        for token, _ in getattr(changes, operation):
            found[operation.removesuffix("d"), kind(token), ""] += 1
    for (token, _), inputs in changes.updated.items():
        found["update", kind(token), f": {', '.join(sorted(inputs))}"] += 1
    existing = Counter(kind(resource.type) for resource in resources)
    return {
        f"{operation} {'all' if number == existing[name] > 1 else number} {name}{inputs}"
        for (operation, name, inputs), number in found.items()
    }


def kind(token: str) -> str:
    return token.rpartition(":")[2]


def test_every_key_is_in_the_table() -> None:
    declared = yaml.safe_load((PROJECT_ROOT / "Pulumi.yaml").read_text("utf-8"))["config"]
    assert {key for values, _ in CHANGES for key in values} == set(declared) - {"pulumi:autonaming"}


def kinds(expected: Iterable[str]) -> set[str]:
    """The types of the lines of a row."""
    return {line.split()[2].rstrip(":") for line in expected}


def rounds() -> list[list[Row]]:
    """Rows that one `pulumi up` tries together: no two concern one key, or resources of one type."""
    made: list[list[Row]] = []
    for values, expected in CHANGES:
        for others in made:
            if not any(values.keys() & other or kinds(expected) & kinds(lines) for other, lines in others):
                others.append((values, expected))
                break
        else:
            made.append([(values, expected)])
    return made


@pytest.mark.parametrize("rows", rounds(), ids=lambda rows: ", ".join(key for row in rows for key in row[0]))
def test_a_change_of_configuration_does_what_is_expected(
    rows: list[Row], deployed: Deployed, tmp_path: Path
) -> None:
    workspace = deployed.copy("defaults", tmp_path / "defaults")
    before = workspace.resources()
    workspace.set_configuration({key: value for values, _ in rows for key, value in values.items()})
    with workspace.changes() as changes:
        workspace.up()
    assert summary(changes(), before) == {line for _, expected in rows for line in expected}
    assert not NEVER_REPLACED & {token for token, _ in changes().replaced | changes().deleted}
