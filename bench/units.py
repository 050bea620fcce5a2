"""`python -m bench units`: counts what an order costs, in memory and on the embedded AWS; `docs/cost.md`."""

from __future__ import annotations

from typing import Any

from bench.billing import Units, add
from bench.costs import BUDGETS, DOCUMENT, document, per_million
from bench.embedded import measure_all_paths_embedded
from bench.order_paths import BATCH, measure_all_paths
from bench.report import console, table, write
from bench.samples import PROJECT_ROOT


def units() -> bool:
    """Count every path twice; answers whether both counts agree and every budget holds."""
    paths = {path.name: path for path in measure_all_paths()}
    embedded = measure_all_paths_embedded()
    rows: list[list[str]] = []
    result: dict[str, Any] = {}
    agree = True
    for name, path in paths.items():
        called: Units = {}
        for call in path.calls:
            add(called, call.units)
        seen = embedded[name]
        same = called == seen.units and path.transitions == seen.transitions
        agree = agree and same
        costs = {kind: per_million(path.units(kind, batch=BATCH)) for kind in BUDGETS}
        result[name] = {
            "units": {kind: path.units(kind, batch=BATCH) for kind in BUDGETS},
            "usdPerMillion": costs,
            "embedded": {**seen.units, "transitions": seen.transitions},
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
                "[green]the same" if same else f"[red]{seen.units}, {seen.transitions} transitions",
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
    happy = result["fulfilled"]["usdPerMillion"]
    held = all(happy[kind] <= limit for kind, limit in BUDGETS.items())
    console.print(
        "; ".join(
            f"{kind}: {happy[kind]:.2f} of {limit:.2f} USD per million fulfilled orders"
            for kind, limit in BUDGETS.items()
        )
    )
    return agree and held
