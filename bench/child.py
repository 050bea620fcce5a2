"""Runs one handler in a fresh process and reports its cost. `bench/processes.py` starts it.

`python bench/child.py <package> <descriptor>` imports the package's handler, then reads commands from
standard input, one JSON document a line. `{"event": ..., "calls": n}` calls the handler n times. The child
then writes `{"cpu": [seconds, ...], "wall": [seconds, ...], "peak": bytes}` to the descriptor. It imports few
modules, because the measurement includes them.
"""

import json
import os
import sys
import time


class Context:
    """The context that Lambda passes to a handler: only the attributes that are used."""

    function_name = "bench"
    function_version = "$LATEST"
    memory_limit_in_mb = 256
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:bench"
    aws_request_id = "11111111-2222-3333-4444-555555555555"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        """Returns the milliseconds until the function's timeout."""
        return 60_000


def peak_bytes() -> int:
    """Returns the peak memory of this process. `ru_maxrss` would include the time before exec."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123  no import of pathlib
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    """Imports the handler and executes the commands."""
    answers = os.fdopen(int(sys.argv[2]), "w", encoding="utf-8")
    wall, cpu = time.perf_counter(), time.process_time()
    name = sys.argv[1] + ".handler"
    handler = __import__(name, fromlist=["lambda_handler"]).lambda_handler
    imported = {"wall": [time.perf_counter() - wall], "cpu": [time.process_time() - cpu]}
    print(json.dumps({**imported, "peak": peak_bytes()}), file=answers, flush=True)
    context = Context()
    for line in sys.stdin:
        command = json.loads(line)
        walls, cpus = [], []
        for _ in range(command["calls"]):
            wall, cpu = time.perf_counter(), time.process_time()
            answer = handler(command["event"], context)
            cpus.append(time.process_time() - cpu)
            walls.append(time.perf_counter() - wall)
        if isinstance(answer, dict) and answer.get("statusCode", 200) >= 400:
            sys.exit(f"{name} returned {answer}")
        print(json.dumps({"cpu": cpus, "wall": walls, "peak": peak_bytes()}), file=answers, flush=True)


if __name__ == "__main__":
    main()
