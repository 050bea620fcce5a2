"""`python -m bench report`: writes the last results of all benches into `docs/performance.md`.

The text below the marker is written by hand and is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from bench.costs import BUDGETS
from bench.flow import steps
from bench.memory import BUDGET, WAIT, prices
from bench.package import FUNCTION_KB, LAYER_MB
from bench.program import DEPLOYED, RECORDED
from bench.report import Limit, console, markdown_table, read
from bench.samples import PROJECT_ROOT
from bench.speed import COLD, FIRST, PEAK, SUBJECT, WARM

DOCUMENT: Final = PROJECT_ROOT / "docs" / "performance.md"
MARKER: Final = "<!-- The text below is written by hand; `bench report` keeps it. -->"

Result = Mapping[str, Any]


def report() -> bool:
    """Writes the page. A bench without results gets a section with its command."""
    sections = [_introduction()]
    for name, write in _SECTIONS.items():
        result = read(name)
        missing = f"## {name}\n\nNot measured yet: `python -m bench {name}`."
        sections.append(missing if result is None else f"{write(result)}\n\n{_how(name, result)}")
    try:
        by_hand = DOCUMENT.read_text("utf-8").partition(MARKER)[2]
    except FileNotFoundError:
        by_hand = "\n"
    DOCUMENT.write_text("\n\n".join(sections) + f"\n\n{MARKER}{by_hand}", "utf-8")
    console.print(f"[dim]{DOCUMENT.relative_to(PROJECT_ROOT)}[/dim]")
    return True


def _introduction() -> str:
    results = {name: read(name) or {} for name in ("cold", "first", "warm", "package", "units")}
    ratios = {name: results[name].get("ratios", {}).get(SUBJECT, {}) for name in ("cold", "first", "warm")}
    costs = results["units"].get("paths", {}).get("fulfilled", {}).get("usdPerMillion", {})
    goals: Sequence[tuple[str, Limit, float | None, str]] = [
        ("cold: import in a fresh process, wall", COLD, ratios["cold"].get("wall"), "of plain"),
        ("the same, user CPU", COLD, ratios["cold"].get("user"), "of plain"),
        ("first call after the import, CPU", FIRST, ratios["first"].get("cpu"), "of plain"),
        ("warm call, CPU", WARM, ratios["warm"].get("cpu"), "of plain"),
        ("peak memory after the first call", PEAK, ratios["first"].get("peak"), "of plain"),
        ("layer, arm64, zipped", LAYER_MB, results["package"].get("layerMb"), "MB"),
        *(
            (f"a million fulfilled orders, {kind}", Limit(must=limit), costs.get(kind), "USD")
            for kind, limit in BUDGETS.items()
        ),
    ]
    rows = [
        [
            what,
            f"{limit.must:g}",
            "" if limit.aim is None else f"{limit.aim:g}",
            "?" if value is None else f"**{value:.2f}**",
            unit,
        ]
        for what, limit, value, unit in goals
    ]
    return (
        "# Performance\n\n"
        "<!-- Written by `python -m bench report` from the last results of the benches. -->\n\n"
        "Ratios are relative to the plain handler, `bench/plain/handler.py`: the same AWS calls with `json` "
        "and `boto3.client`, no framework, no validation. Both are measured in one interleaved run, in fresh "
        "processes of `.venv`'s interpreter. A stub in a separate process replaces AWS. For "
        "`POST /orders`:\n\n"
        + markdown_table(["what", "limit", "target", "measured", ""], rows)
        + "\n\n`make bench` repeats all measurements."
    )


def _how(name: str, result: Result) -> str:
    on = result["machine"]
    machine = f"{on['cpus']} CPUs ({on['processor']}), {on['system']}, Python {on['python']}, {on['date']}"
    return f"`python -m bench {name}`; {machine}."


def _seconds(figure: Mapping[str, float], scale: float = 1000, digits: int = 0) -> str:
    return (
        f"{figure['median'] * scale:.{digits}f} "
        f"({figure['low'] * scale:.{digits}f} to {figure['high'] * scale:.{digits}f})"
    )


def _cold(result: Result) -> str:
    rows = [
        [
            f"`{name}`",
            *(_seconds(figures[kind]) for kind in ("wall", "user")),
            *(f"{result['ratios'][name][kind]:.2f}" for kind in ("wall", "user")),
        ]
        for name, figures in result["seconds"].items()
    ]
    return (
        "## Cold start\n\nA fresh process imports the handler and ends: ms, median (middle half).\n\n"
        + markdown_table(["handler", "wall", "user CPU", "wall ratio", "user CPU ratio"], rows)
        + "\n\n*Sources only* and *with bytecode* are imports from a read-only folder, as on Lambda. They "
        "have what archive and layer have without and with a Python of Lambda's version. Their ratios are "
        "relative to the plain handler, whose archive has sources only. The runtime's botocore is assumed "
        "to be compiled."
    )


def _first(result: Result) -> str:
    rows = [
        [
            f"`{name}`",
            _seconds(figures["cpu"], digits=1),
            _seconds(figures["importAndFirst"]),
            f"{figures['peak']['median'] / 1e6:.1f}",
            *(f"{result['ratios'][name][kind]:.2f}" for kind in ("cpu", "importAndFirst", "peak")),
        ]
        for name, figures in result["seconds"].items()
    ]
    heads = ["handler", "first call, ms", "import and first call, ms", "peak, MB", "ratio of first"]
    return (
        "## First call, and memory\n\nCPU, median (middle half). *Import and first call* includes work "
        "that an import defers. Ratios are relative to the plain handler with its two AWS calls; other "
        "functions make different calls.\n\n" + markdown_table([*heads, "of both", "of peak"], rows)
    )


def _warm(result: Result) -> str:
    rows = [
        [
            f"`{name}`",
            _seconds(figures["cpu"], digits=2),
            f"{result['ratios'].get(name, {'cpu': 1})['cpu']:.2f}",
        ]
        for name, figures in result["seconds"].items()
    ]
    return (
        "## Warm call\n\nCPU of POST /orders, ms. 5 pairs of processes, in each the median of 300 calls "
        "after 30, in alternating blocks. The ratio is the median of those of neighboring blocks.\n\n"
        + markdown_table(["handler", "CPU", "ratio"], rows)
    )


def _package(result: Result) -> str:
    rows = [["layer (arm64)", "", f"{result['layerMb']:.2f} MB", f"{LAYER_MB.must:g} MB"]]
    rows += [
        [f"`{name}`", f"{size:.1f} KB", f"{result['archiveKb'][name]:.1f} KB", f"{FUNCTION_KB.must:g} KB"]
        for name, size in result["functionKb"].items()
    ]
    heads = ["what", "code and data", "with bytecode, as uploaded", "code and data at most"]
    return "## Package\n\nZipped.\n\n" + markdown_table(heads, rows)


def _units(result: Result) -> str:
    rows = [
        [name, *(f"{path['usdPerMillion'][kind]:.2f}" for kind in BUDGETS)]
        for name, path in result["paths"].items()
    ]
    return (
        "## Cost\n\nUSD per million orders, full batches, without telemetry. Details: [cost.md](cost.md)."
        "\n\n" + markdown_table(["path", *BUDGETS], rows)
    )


def _growth(result: Result) -> str:
    rows = [
        [
            name,
            ", ".join(f"{amount:g} {what}" for what, amount in units[0].items()),
            "flat" if all(one == units[0] for one in units) else "**grows**",
            *(f"{seconds * 1000:.2f}" for seconds in result["cpuSeconds"][name]),
        ]
        for name, units in result["units"].items()
    ]
    return (
        "## Growth\n\nBilled units, and the function's CPU in ms, by the number of orders, users and "
        "products. The functions run on the in-memory DynamoDB, which tests compare with moto. Its own time "
        "grows and is subtracted.\n\n"
        + markdown_table(["operation", "units", "over all", *(f"{size:,}" for size in result["sizes"])], rows)
    )


def _program(result: Result) -> str:
    rows = [
        ["`__main__.py` under the recorder", *_both(result["recorded"]), f"{RECORDED.must:g}"],
        ["emulator, whole stack, and its end", *_both(result["deployed"]), f"{DEPLOYED.must:g}"],
    ]
    return (
        "## The program\n\nFresh processes with warm bytecode, s, median (middle half) of 5.\n\n"
        + markdown_table(["what", "wall", "CPU", "at most (wall)"], rows)
    )


def _both(figures: Mapping[str, Mapping[str, float]]) -> list[str]:
    return [_seconds(figures[kind], 1, 2) for kind in ("wall", "cpu")]


def _memory(result: Result) -> str:
    columns, rows = prices(result["functions"])
    return (
        "## Memory\n\nFor each size of `functionMemoryMb`: ms until a new environment has answered its first "
        "call; USD for the duration of a million warm calls, arm64. Lambda gives CPU in proportion to the "
        f"memory, one vCPU at 1,769 MB. Each AWS call is assumed to take {WAIT * 1e3:.0f} ms. "
        f"*Cheapest*: the cheapest size whose first call takes at most {BUDGET:g} s. The default of "
        "`functionMemoryMb` is the largest of these, and a test compares them. Requests and AWS calls are "
        "not included; [cost.md](cost.md) has them. Lambda's processors are others. *An order*: all calls of "
        "a fulfilled order, and a first call of each of its functions.\n\n" + markdown_table(columns, rows)
    )


def _flow(result: Result) -> str:
    columns, rows = steps(result["milliseconds"])
    return (
        "## Through the flow\n\nOne order at a time on the warm embedded AWS, ms, median (middle half). A "
        "negative time: the execution started before the client had the response.\n\n"
        + markdown_table(columns, rows)
    )


def _burst(result: Result) -> str:
    rows = [
        [
            f"{one['orders']:,}",
            f"{one['ordersPerSecond']:.1f}",
            f"{one['p50']:.1f}",
            f"{one['p99']:.1f}",
            f"{one['peakBytes'] / 1e9:.2f}",
            str(one["requeued"]),
            "; ".join(one["faults"]) or "all final, none lost or twice, stock exact",
        ]
        for one in result["bursts"]
    ]
    return (
        "## Bursts\n\nOrders of two lines from 8 clients at once, on the embedded AWS. p50 and p99: from "
        "POST to FULFILLED. Peak: memory of the emulator and all workers. Requeued: orders whose execution "
        "failed because functions were throttled too often (limits in `Pulumi.local.yaml`).\n\n"
        + markdown_table(["orders", "orders/s", "p50, s", "p99, s", "peak, GB", "requeued", "outcome"], rows)
    )


def _api(result: Result) -> str:
    rows = [
        [
            one["request"],
            str(one["clients"]),
            f"{one['perSecond']:.0f}",
            f"{one['p50'] * 1e3:.1f}",
            f"{one['p99'] * 1e3:.1f}",
            str(one["failed"]),
        ]
        for one in result["measurements"]
    ]
    return (
        "## The API\n\nOn the embedded AWS, 8 s each after a warm-up. POST /orders shares the machine with "
        "the workflows that it starts. `python -m bench.api --url` measures a stack on AWS.\n\n"
        + markdown_table(["request", "clients", "requests/s", "p50, ms", "p99, ms", "failed"], rows)
    )


_SECTIONS: Final[Mapping[str, Callable[[Result], str]]] = {
    "cold": _cold,
    "first": _first,
    "warm": _warm,
    "memory": _memory,
    "package": _package,
    "units": _units,
    "growth": _growth,
    "program": _program,
    "flow": _flow,
    "burst": _burst,
    "api": _api,
}
