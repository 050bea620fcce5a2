"""Computes an order's cost from its counted units and the price table, for `docs/cost.md` and budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import yaml  # type: ignore[import-untyped]

from bench.billing import BilledCall, Units, add
from bench.metering import metered_backend
from bench.order_paths import BATCH, LAMBDA_GB, LAMBDA_SECONDS, RUN_SECONDS, OrderPath, measure_all_paths
from bench.prices import DATE, PRICES, REGION
from bench.report import markdown_table
from bench.requests import WITH_CATEGORY, WITH_REFERENCE, measure_requests, units_of
from bench.samples import PROJECT_ROOT
from local.engine.monitored import ALARM, named_metrics
from local.engine.stacks import declare_test_stack

DOCUMENT: Final = PROJECT_ROOT / "docs" / "cost.md"
BUDGETS: Final[Mapping[str, float]] = {"EXPRESS": 17.00, "STANDARD": 115.55}
"""USD per million fulfilled orders, with full batches and without telemetry."""

_MILLION: Final = 1e6
_MONTH: Final = 30 * 24 * 3600  # seconds
_RATES: Final = (1, 10, 1000)  # orders per second
_POLLERS: Final = 5  # Lambda's concurrent long polls of an idle queue, 20 s each

_COMPONENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "API Gateway": ("apiRequests",),
    "Lambda": ("invocations", "gbSeconds"),
    "SQS": ("queueRequests",),
    "DynamoDB writes": ("writeUnits",),
    "DynamoDB reads": ("readUnits",),
    "Step Functions": ("transitions", "expressRequests", "expressGbSeconds"),
    "EventBridge": ("events",),
}

_UNITS: Final[Mapping[str, str]] = {
    "apiRequests": "requests",
    "invocations": "invocations",
    "gbSeconds": "GB-s",
    "queueRequests": "requests",
    "writeUnits": "write units",
    "readUnits": "read units",
    "transitions": "transitions (STANDARD)",
    "expressRequests": "requests",
    "expressGbSeconds": "GB-s (EXPRESS)",
    "events": "events",
}

INDEXES: Final[Mapping[str, tuple[str, str]]] = {
    "orders.byUser": ("an order", "orders of a user"),
    "orders.byTime": ("an order", "orders of all users, by day"),
    "orders.open": ("an order", "requeue; PENDING, VALIDATED and IN_FULFILLMENT orders"),
    "orders.failed": ("an order that fails", "FAILED orders"),
    "orders.byReference": ("an order with a reference", "orders with a reference"),
    "products.byCategory": ("a product with a category", "products of a category"),
}
"""Index -> what it is written for, and what it answers."""


def per_million(units: Mapping[str, float]) -> float:
    """Returns the USD for a million orders at the first tier's prices."""
    return sum(amount * PRICES[what].of(1) * _MILLION for what, amount in units.items())


def per_month(units: Mapping[str, float], orders: float) -> float:
    """Returns the USD for that many orders in a month, with tiered prices."""
    return sum(PRICES[what].of(amount * orders) for what, amount in units.items())


def budget(workflow: str) -> float:
    """Returns the USD per million fulfilled orders that `BUDGETS` limits."""
    return per_million(measure_all_paths()[0].units(workflow, batch=BATCH))


def document() -> str:
    """Returns the text of `docs/cost.md`. Takes a few seconds."""
    paths = measure_all_paths()
    requests = measure_requests()
    fulfilled = paths[0]
    parts = [
        _introduction(fulfilled),
        _by_component(fulfilled),
        _by_path(paths),
        _calls(fulfilled),
        _indexes(paths, requests),
        _other_requests(requests),
        _by_rate(fulfilled),
        _telemetry(paths),
        _by_config(fulfilled),
        _price_table(),
    ]
    return "\n\n".join(parts) + "\n"


def _introduction(fulfilled: OrderPath) -> str:
    express, standard = (per_million(fulfilled.units(kind, batch=BATCH)) for kind in ("EXPRESS", "STANDARD"))
    return f"""\
# What an order costs

<!-- Written by `python -m bench units`; a test fails when it is stale. -->

A million fulfilled orders cost **{express:.2f} USD with EXPRESS and {standard:.2f} USD with STANDARD**
(`orderflow:workflowType`), without telemetry. `tests/bench/test_costs.py` checks the budgets:
{BUDGETS["EXPRESS"]:.2f} and {BUDGETS["STANDARD"]:.2f}.

All units are counted. Every AWS call on an order's path is recorded and converted to billed units by AWS's
documented rules (`bench/billing.py`: item sizes, indexes, transactions, consistency). The functions and the
state machine run on an in-memory DynamoDB, so this page is the same on every machine. `python -m bench units`
also runs the paths on the embedded AWS, and fails when the counts differ.

Assumptions:

- an order of two lines (its final item has {fulfilled.item_bytes} bytes), in queue batches of {BATCH},
- {LAMBDA_SECONDS * 1000:.0f} ms and {LAMBDA_GB * 1024:.0f} MB per Lambda invocation,
- {RUN_SECONDS * 1000:.0f} ms and 64 MB per EXPRESS execution, one transition per state with STANDARD,
- the list prices of {REGION} [below](#prices), without free tiers."""


def _by_component(fulfilled: OrderPath) -> str:
    rows = []
    both = {kind: fulfilled.units(kind, batch=BATCH) for kind in ("EXPRESS", "STANDARD")}
    for component, kinds in _COMPONENTS.items():
        costs = [
            per_million({what: units[what] for what in kinds if what in units}) for units in both.values()
        ]
        amounts = ", ".join(
            f"{_number(amount)} {_UNITS[what]}"
            for what in kinds
            if (amount := both["EXPRESS"].get(what) or both["STANDARD"].get(what))
        )
        rows.append([component, amounts, *(f"{cost:.2f}" for cost in costs)])
    rows.append(["**all**", "", *(f"**{per_million(units):.2f}**" for units in both.values())])
    return "## By component\n\nUSD per million fulfilled orders, full batches.\n\n" + markdown_table(
        ["component", "per order", "EXPRESS", "STANDARD"], rows
    )


def _by_path(paths: Sequence[OrderPath]) -> str:
    rows = []
    for path in paths:
        units = path.units("STANDARD", batch=BATCH)
        rows.append(
            [
                path.name,
                f"{path.item_bytes}",
                *(_number(units.get(what, 0)) for what in ("writeUnits", "readUnits", "queueRequests")),
                *(_number(units.get(what, 0)) for what in ("events", "invocations", "transitions")),
                *(f"{per_million(path.units(kind, batch=BATCH)):.2f}" for kind in ("EXPRESS", "STANDARD")),
            ]
        )
    heads = [
        "path",
        "bytes",
        "write units",
        "read units",
        "queue requests",
        "events",
        "invocations",
        "transitions",
    ]
    return (
        "## By the order's path\n\nUnits per order with full batches, and USD per million orders. "
        "`python -m bench units` counts all again. A write is billed per started KB of the order's item.\n\n"
        + markdown_table([*heads, "EXPRESS", "STANDARD"], rows)
        + "\n\nBatches of one message instead of ten add "
        + f"{_batch_of_one(paths[0]):.2f} USD per million orders."
    )


def _batch_of_one(path: OrderPath) -> float:
    return per_million(path.units("EXPRESS", batch=1)) - per_million(path.units("EXPRESS", batch=BATCH))


def _calls(fulfilled: OrderPath) -> str:
    rows = [
        [f"{call.service} {call.operation}", call.detail, _units_text(call.units)] for call in fulfilled.calls
    ]
    return "## Calls of a fulfilled order\n\n" + markdown_table(["call", "on", "billed"], rows)


def _units_text(units: Mapping[str, float]) -> str:
    billed = ", ".join(f"{_number(amount)} {_UNITS[what]}" for what, amount in units.items())
    return billed or "part of the execution"


def _indexes(paths: Sequence[OrderPath], requests: Mapping[str, Sequence[BilledCall]]) -> str:
    failed = next(path for path in paths if path.end == "FAILED")
    measured: Mapping[str, Sequence[BilledCall]] = {
        "an order": paths[0].calls,
        "an order that fails": failed.calls,
        "an order with a reference": requests[WITH_REFERENCE],
        "a product with a category": requests[WITH_CATEGORY],
    }
    rows = []
    for index, (record, answers) in INDEXES.items():
        written = sum(call.index_units.get(index, 0) for call in measured[record])
        cost = per_million({"writeUnits": written})
        rows.append([f"`{index}`", answers, record, _number(written), f"{cost:.3f}"])
    of_orders = per_million({"writeUnits": sum(sum(call.index_units.values()) for call in paths[0].calls)})
    return (
        "## Indexes\n\nWrite units for the entries of one record, and USD per million such records. "
        "Without the index a record costs that much less. "
        f"All indexes of a fulfilled order cost {of_orders:.2f}, which is part of the sums above. "
        "An entry is written or removed for one unit, and moved for two.\n\n"
        + markdown_table(["index", "answers", "written for", "write units", "USD per million"], rows)
    )


def _other_requests(requests: Mapping[str, Sequence[BilledCall]]) -> str:
    rows = []
    for name, calls in requests.items():
        units = units_of(calls)
        amounts = (_number(units.get(what, 0)) for what in ("writeUnits", "readUnits"))
        rows.append([name, *amounts, f"{per_million(units):.2f}"])
    request = {"apiRequests": 1, "invocations": 1, "gbSeconds": LAMBDA_SECONDS * LAMBDA_GB}
    return (
        "## Other requests\n\nDynamoDB's units per request, and USD per million requests. "
        f"API Gateway and Lambda add {per_million(request):.2f}.\n\n"
        + markdown_table(["request", "write units", "read units", "USD per million"], rows)
    )


def _by_rate(fulfilled: OrderPath) -> str:
    rows = []
    for rate in _RATES:
        # Without a batching window a batch holds the waiting messages; only a busy queue fills it.
        batch = BATCH if rate >= 100 else 1
        orders = float(rate * _MONTH)
        row = [f"{rate}", f"{orders / 1e6:.1f} million", str(batch)]
        for kind in ("EXPRESS", "STANDARD"):
            cost = per_month(fulfilled.units(kind, batch=batch), orders) + _fixed()
            row.append(f"{cost:,.2f}")
        row.append(f"{per_month(_telemetry_units(fulfilled, rate), orders):,.2f}")
        rows.append(row)
    return (
        "## By the rate\n\n"
        "USD per month of 30 days, with tiered prices and all orders fulfilled. "
        f"Without any order the stack costs {_fixed():.2f} USD a month: the requeue's schedule, and Lambda's "
        "polling of the empty queue. [Telemetry](#telemetry) has fixed costs too. "
        "Storage is not included: 0.25 USD per GB and month, about 1.1 GB per million orders "
        "with their index entries.\n\n"
        + markdown_table(
            ["orders per second", "orders per month", "batch", "EXPRESS", "STANDARD", "telemetry, extra"],
            rows,
        )
    )


def _fixed() -> float:
    """Returns the USD a month without any order."""
    runs = _MONTH / 60 / _requeue_minutes()
    with metered_backend() as meter:
        meter.backend.run_schedule()
        units = meter.ledger.total()
    add(units, {"invocations": 1, "gbSeconds": LAMBDA_SECONDS * LAMBDA_GB, "schedules": 1})
    return per_month(units, runs) + PRICES["queueRequests"].of(_POLLERS * _MONTH / 20)


def _requeue_minutes() -> int:
    (schedule,) = declare_test_stack("prod").of_type("aws:scheduler/schedule:Schedule")
    expression = str(schedule.inputs["scheduleExpression"])
    return int(expression.removeprefix("rate(").split()[0])


def _telemetry_units(path: OrderPath, rate: float) -> Units:
    # X-Ray traces the first request of each second and a share of the others.
    share = _config()["tracingPercent"]["default"] / 100
    return {"logBytes": path.log_bytes, "traces": min(1.0, (1 + share * (rate - 1)) / rate)}


def _telemetry(paths: Sequence[OrderPath]) -> str:
    log_levels = {level: measure_all_paths(level)[0] for level in ("WARNING", "INFO")}
    metrics, of_alarms = len(custom_metrics(paths)), alarm_metrics()
    alarms = sum(of_alarms.values())
    rows = [
        ["logs of a fulfilled order, INFO", f"{log_levels['INFO'].log_bytes / 1000:.1f} KB", _logs(paths[0])],
        [
            "the same at WARNING (only metrics)",
            f"{log_levels['WARNING'].log_bytes / 1000:.1f} KB",
            _logs(log_levels["WARNING"]),
        ],
    ]
    for rate in _RATES:
        share = _telemetry_units(paths[0], rate)["traces"]
        rows.append(
            [
                f"traces at {rate} orders per second",
                f"{share * 100:.1f} % of the orders",
                f"{share * PRICES['traces'].of(1e6):.2f}",
            ]
        )
    fixed = (
        PRICES["metrics"].of(metrics)
        + PRICES["alarms"].of(alarms)
        + PRICES["dashboards"].of(1)
        + PRICES["keys"].of(1)
    )
    return (
        "## Telemetry\n\nUSD per million fulfilled orders; AWS's own metrics are free.\n\n"
        + markdown_table(["what", "amount", "USD per million"], rows)
        + f"\n\nFixed costs of the stack `prod`: {fixed:.2f} USD a month.\n\n"
        f"- {metrics} custom metrics, with those of a fulfillment system's reports. AWS bills only the "
        "hours in which a metric is emitted, so they cost less. Each further reason of a "
        "rejection adds a metric.\n"
        f"- {alarms} metrics in {len(of_alarms)} alarms. An alarm over a table is a query and counted as one "
        "metric. AWS bills each operation that the table recently refused or failed, mostly none.\n"
        "- The dashboard, and the key that encrypts the alarms' messages."
    )


def custom_metrics(paths: Sequence[OrderPath]) -> set[tuple[str, str]]:
    """Returns name and function of each custom metric. For rejections: name and each reason in `paths`.

    The dashboard searches for some. Of those, the ones that `paths` emit count.
    """
    named = {
        (metric.name, function)
        for metric in named_metrics(declare_test_stack("prod"))
        if not metric.namespace.startswith("AWS/")
        for function in metric.values
    }
    # `reason` comes before `service`.
    emitted = {(name, values[0].partition("=")[2]) for path in paths for name, *values in path.metrics}
    return named | emitted


def alarm_metrics() -> dict[str, int]:
    """Returns the number of billed metrics of each alarm. A query counts as one."""
    return {
        alarm.name: sum("metric" in query for query in alarm.inputs.get("metricQueries", ())) or 1
        for alarm in declare_test_stack("prod").of_type(ALARM)
    }


def _logs(path: OrderPath) -> str:
    return f"{PRICES['logBytes'].of(path.log_bytes * 1e6):.2f}"


def _by_config(fulfilled: OrderPath) -> str:
    rows = []
    for key, declaration in _config().items():
        if ":" in key:
            continue
        effect = _effects(fulfilled).get(key)
        if effect is None:
            raise KeyError(f"bench/costs.py has no effect of the key {key} on the cost; add it to _effects")
        rows.append([f"`{key}`", _default(declaration), effect])
    return "## What each config value changes\n\nUSD per million fulfilled orders, unless noted.\n\n" + (
        markdown_table(["config value", "default", "effect on the cost"], rows)
    )


def _config() -> Mapping[str, Any]:
    """Returns the declarations of all config values."""
    declared_keys: Mapping[str, Any] = yaml.safe_load((PROJECT_ROOT / "Pulumi.yaml").read_text("utf-8"))[
        "config"
    ]
    return declared_keys


def _default(declaration: Mapping[str, Any]) -> str:
    default = declaration.get("default")
    if isinstance(default, dict):
        return ", ".join(default) or "none"
    if isinstance(default, list):
        return ", ".join(map(str, default)) or "none"
    return str(default).lower() if isinstance(default, bool) else str(default) or "none"


def _effects(fulfilled: OrderPath) -> Mapping[str, str]:
    standard, express = (fulfilled.units(kind, batch=BATCH) for kind in ("STANDARD", "EXPRESS"))
    invocations = express["invocations"]
    memory = PRICES["gbSeconds"].of(invocations * LAMBDA_SECONDS * 128 / 1024) * _MILLION
    log_line = PRICES["logBytes"].of(1000) * _MILLION
    provisioned = 0.00065 * _MONTH / 3600
    full_use = _MONTH / 1e6
    less = 1 - PRICES["gbSecondsOfProvisioned"].of(1) / PRICES["gbSeconds"].of(1)
    no_effect = "None."
    return {
        "logLevel": f"Logs at INFO cost {_logs(fulfilled)}; at WARNING only metrics remain (see Telemetry).",
        "systemLogLevel": f"INFO adds about 0.5 KB to each of {_number(invocations)} invocations: "
        f"{invocations * log_line / 2:.2f}.",
        "logRetentionDays": "Storage of logs, 0.03 USD per GB and month.",
        "accessLogs": f"About 0.4 KB per request: {0.4 * log_line:.2f}.",
        "workflowType": f"EXPRESS {per_million(express):.2f}, STANDARD {per_million(standard):.2f}. "
        "EXPRESS bills requests and duration, STANDARD 25 USD per million transitions.",
        "workflowLogLevel": f"ALL writes about 1 KB per state, 5 KB per execution: {5 * log_line:.2f}. "
        "ERROR writes nothing for an execution that succeeds.",
        "usagePlans": "None. Quota and rate limit the costs that one key can cause.",
        "corsOrigins": "A browser's preflight is a request: up to 3.50 for pages of other origins.",
        "customDomain": "0.50 USD a month for the zone.",
        "firewall": "8 USD a month, and 0.60.",
        "orderPlacedEvent": f"{PRICES['events'].of(1) * _MILLION:.2f}: one event more per order.",
        "apiTimeoutSeconds": "A call that hangs is billed for up to that long.",
        "defaultCurrency": no_effect,
        "basketDays": "Storage of baskets, 0.25 USD per GB and month. DynamoDB deletes them free of charge.",
        "consumerBatchWindowSeconds": f"Fuller batches: up to {_batch_of_one(fulfilled):.2f} less. Each "
        "order waits for up to that long.",
        "consumerMaxConcurrency": "A low value makes fuller batches: up to "
        f"{_batch_of_one(fulfilled):.2f} less.",
        "consumerTimeoutSeconds": "A batch that hangs is billed for up to that long.",
        "functionMemoryMb": f"{memory:.2f} for each 128 MB at {LAMBDA_SECONDS * 1000:.0f} ms per invocation. "
        "More memory means more CPU, which shortens invocations.",
        "reservedConcurrency": no_effect,
        "snapStart": f"{_monthly('snapshotGbSeconds'):.2f} USD a month for each version of a function at "
        f"256 MB, until it is deleted, and {PRICES['restoredGb'].of(0.25) * _MILLION:.2f} per million cold "
        "starts.",
        "provisionedConcurrency": f"{_monthly('provisionedGbSeconds'):.2f} USD a month for each environment "
        f"at 256 MB. Their duration is cheaper, by {less:.0%}.",
        "tableBillingMode": f"PROVISIONED costs {provisioned:.2f} USD a month per write unit per second. "
        f"On demand the same unit costs {PRICES['writeUnits'].of(1e6) * full_use:.2f} at constant use. "
        "PROVISIONED is cheaper above "
        f"{provisioned / (PRICES['writeUnits'].of(1e6) * full_use) * 100:.0f} % use.",
        "tableReadCapacity": f"With PROVISIONED {0.00013 * _MONTH / 3600:.2f} USD a month per unit, for each "
        "table and index.",
        "tableWriteCapacity": f"With PROVISIONED {provisioned:.2f} USD a month per unit, for each table and "
        "index.",
        "pointInTimeRecovery": "0.20 USD per GB and month of the tables.",
        "recoveryDays": no_effect,
        "deletionProtection": no_effect,
        "protectData": "Tables that remain after the stack is removed cost storage.",
        "stalledAfterMinutes": "A stalled order costs another attempt.",
        "maxAttempts": "Limits the cost of an order that keeps stalling; each attempt costs the same.",
        "fulfillmentUrl": "FulfillOrder waits for the response: "
        f"{PRICES['gbSeconds'].of(0.1 * LAMBDA_GB) * _MILLION:.2f} for each 100 ms at 128 MB. An EXPRESS "
        "execution takes longer by the same time. A request to cancel an order in fulfillment invokes the "
        "requeue.",
        "fulfillmentSecretArn": "0.40 USD a month, and 0.05 USD per 10,000 reads: one per cold start, and "
        "one every five minutes in each busy environment.",
        "fulfillmentOverdueHours": "An order that is silent for so long costs a request to the fulfillment "
        "system, and a write.",
        "fulfillmentAllowHttp": no_effect,
        "requireTls": no_effect,
        "permissionsBoundaryArn": no_effect,
        "tags": no_effect,
        "alarmEmail": "None: 1,000 mails a month are free.",
        "runbookUrl": no_effect,
        "alarmErrorPercent": no_effect,
        "alarmLatencyMs": no_effect,
        "alarmQueueSeconds": no_effect,
        "tracingPercent": f"{PRICES['traces'].of(1e4):.2f} per percent of the requests.",
    }


def _monthly(price: str) -> float:
    """Returns the USD a month for a function's memory of 256 MB."""
    return PRICES[price].of(0.25 * _MONTH)


def _price_table() -> str:
    rows = []
    for price in PRICES.values():
        tiers = "; ".join(
            f"{cost:.2f}" if round(cost, 2) == cost else f"{cost:.10f}".rstrip("0") for _, cost in price.tiers
        )
        rows.append([price.what, f"{tiers} per {price.unit}", price.source])
    return (
        f"## Prices\n\nUSD, {REGION}, list prices of {DATE} (`bench/prices.py`). Several prices are tiers by "
        "the month's amount. Check them at their source before you rely on them.\n\n"
        + markdown_table(["what", "price", "source"], rows)
    )


def _number(amount: float) -> str:
    return f"{amount:.4g}"
