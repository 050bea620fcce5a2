"""`python -m bench units`: counts an order's billed units in memory and on the embedded AWS."""

from __future__ import annotations

from typing import Any

from bench.billing import Units, add
from bench.costs import BUDGETS, DOCUMENT, document, per_million
from bench.embedded import measure_all_paths_embedded
from bench.order_paths import BATCH, measure_all_paths
from bench.report import console, table, write
from bench.samples import PROJECT_ROOT


def units() -> bool:
    """Counts every path twice and writes docs/cost.md. Returns whether counts agree and budgets hold."""
    paths = {path.name: path for path in measure_all_paths()}
    embedded = measure_all_paths_embedded()
    rows: list[list[str]] = []
    result: dict[str, Any] = {}
    agree = True
    for name, path in paths.items():
        called: Units = {}
        for call in path.calls:
            add(called, call.units)
        used = embedded[name]
        same = called == used.units and path.transitions == used.transitions
        agree = agree and same
        costs = {kind: per_million(path.units(kind, batch=BATCH)) for kind in BUDGETS}
        result[name] = {
            "units": {kind: path.units(kind, batch=BATCH) for kind in BUDGETS},
            "usdPerMillion": costs,
            "embedded": {**used.units, "transitions": used.transitions},
            "itemBytes": path.item_bytes,
            "logBytes": path.log_bytes,
        }
        rows.append(
            [
                name,
                f"{called['writeUnits']:g}",
                f"{called['readUnits']:g}",
                f"{called['events']:g}",
                f"{path.transitions}",
                "[green]the same" if same else f"[red]{used.units}, {used.transitions} transitions",
                *(f"{cost:.2f}" for cost in costs.values()),
            ]
        )
    table(
        "Units per order, and USD per million orders with full batches",
        ["path", "write units", "read units", "events", "transitions", "on the embedded AWS", *BUDGETS],
        rows,
    )
    DOCUMENT.write_text(document(), "utf-8")
    console.print(f"[dim]{DOCUMENT.relative_to(PROJECT_ROOT)}[/dim]")
    write("units", {"paths": result, "budgets": dict(BUDGETS)})
    fulfilled = result["fulfilled"]["usdPerMillion"]
    held = all(fulfilled[kind] <= limit for kind, limit in BUDGETS.items())
    console.print(
        "; ".join(
            f"{kind}: {fulfilled[kind]:.2f} of {limit:.2f} USD per million fulfilled orders"
            for kind, limit in BUDGETS.items()
        )
    )
    return agree and held
