"""Initializes a function, then handles one event in two processes, as two restored snapshots do.

`python -m tests.functions.snapshot_child PACKAGE EVENT` prints a JSON document per process.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import sys

from snapshot_restore_py import get_after_restore

from bench.child import Context


def main(package: str, event: str) -> None:
    handler = importlib.import_module(f"{package}.handler").lambda_handler
    state = random.getstate()
    reports = os.dup(1)
    os.dup2(2, 1)  # the handler's log
    for _ in range(2):
        pid = os.fork()
        if pid == 0:
            random.setstate(state)  # Python seeds again after a fork, but not after a snapshot
            for hook, args, kwargs in get_after_restore():
                hook(*args, **kwargs)
            response = handler(json.loads(event), Context())
            report = {"response": response, "pause": random.random()}  # noqa: S311  as botocore's
            os.write(reports, json.dumps(report).encode() + b"\n")
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0


if __name__ == "__main__":
    main(*sys.argv[1:])
