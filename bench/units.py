"""`python -m bench units`: counts what an order costs, in memory and on the embedded AWS; `docs/cost.md`."""

from __future__ import annotations

from typing import Any

from bench.billing import Units, add
from bench.costs import BUDGETS, DOCUMENT, document, per_million
from bench.embedded import live_all_embedded
from bench.lives import BATCH, live_all
from bench.report import console, table, write
from bench.samples import PROJECT_ROOT


def units() -> bool:
    """Count every life twice; answers whether both counts agree and every budget holds."""
    lives = {life.name: life for life in live_all()}
    embedded = live_all_embedded()
    rows: list[list[str]] = []
    result: dict[str, Any] = {}
    agree = True
    for name, life in lives.items():
        called: Units = {}
        for call in life.calls:
            add(called, call.units)
        seen = embedded[name]
        same = called == seen.units and life.transitions == seen.transitions
        agree = agree and same
        costs = {kind: per_million(life.units(kind, batch=BATCH)) for kind in BUDGETS}
        result[name] = {
            "units": {kind: life.units(kind, batch=BATCH) for kind in BUDGETS},
            "usdPerMillion": costs,
            "embedded": {**seen.units, "transitions": seen.transitions},
            "itemBytes": life.item_bytes,
            "logBytes": life.log_bytes,
        }
        rows.append(
            [
                name,
                f"{called['writeUnits']:g}",
                f"{called['readUnits']:g}",
                f"{called['events']:g}",
                f"{life.transitions}",
                "[green]the same" if same else f"[red]{seen.units}, {seen.transitions} transitions",
                *(f"{cost:.2f}" for cost in costs.values()),
            ]
        )
    table(
        "Units per order, and USD per million orders with full batches",
        ["life", "write units", "read units", "events", "transitions", "on the embedded AWS", *BUDGETS],
        rows,
    )
    DOCUMENT.write_text(document(), "utf-8")
    console.print(f"[dim]{DOCUMENT.relative_to(PROJECT_ROOT)}[/dim]")
    write("units", {"lives": result, "budgets": dict(BUDGETS)})
    happy = result["fulfilled"]["usdPerMillion"]
    held = all(happy[kind] <= limit for kind, limit in BUDGETS.items())
    console.print(
        "; ".join(
            f"{kind}: {happy[kind]:.2f} of {limit:.2f} USD per million fulfilled orders"
            for kind, limit in BUDGETS.items()
        )
    )
    return agree and held
