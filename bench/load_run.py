"""`python -m bench load`: runs `bench/load.py` against an embedded AWS of its own."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from typing import Final

from bench.report import RESULTS, table, write
from bench.samples import PROJECT_ROOT
from local.stack import running_stack

_USERS: Final = 10
_SECONDS: Final = 30


def load(users: int = _USERS, seconds: int = _SECONDS) -> bool:
    """Put load on a fresh stack; answers whether no request failed."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    prefix = RESULTS / "load"
    with running_stack() as stack:
        result = subprocess.run(
            [
                *(sys.executable, "-m", "locust", "--locustfile", str(PROJECT_ROOT / "bench" / "load.py")),
                *("--headless", "--only-summary", "--loglevel", "WARNING", "--host", stack.api_url),
                *("--users", str(users), "--spawn-rate", str(max(users // 5, 1))),
                *("--run-time", f"{seconds}s", "--stop-timeout", "10", "--csv", str(prefix)),
            ],
            env={**os.environ, "API_KEY": stack.api_keys["paid"]},
            cwd=PROJECT_ROOT,
            check=False,
            capture_output=True,
            text=True,
        )
    if result.returncode not in {0, 1}:  # 1: some requests failed
        raise RuntimeError(f"locust ended with {result.returncode}: {result.stderr.strip()[-500:]}")
    with prefix.with_name("load_stats.csv").open(encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines) if int(row["Request Count"])]
    columns = ("Request Count", "Failure Count", "50%", "95%", "99%")
    table(
        f"Load: {users} users for {seconds} s on the embedded AWS, ms",
        ["request", "count", "errors", "p50", "p95", "p99"],
        [[f"{row['Type']} {row['Name']}".strip(), *(row[column] for column in columns)] for row in rows],
    )
    print(result.stdout[result.stdout.rfind("\nErrors by status") :] if result.returncode else "No errors")
    write("load", {"users": users, "seconds": seconds, "requests": rows})
    return result.returncode == 0
