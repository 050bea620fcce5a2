"""Runs one handler in a fresh process and reports what it costs. Started by `bench/processes.py`.

`python bench/child.py <package> <descriptor>`: imports the package's handler, then reads commands from
standard input, one JSON document a line: `{"event": ..., "calls": n}` calls the handler n times and answers
`{"cpu": [seconds, ...], "wall": [seconds, ...], "peak": bytes}` on the descriptor. Imports as little as it
can, for all of it counts.
"""

import json
import os
import sys
import time


class Context:
    """What AWS hands to a handler beside the event, as far as it is used."""

    function_name = "bench"
    function_version = "$LATEST"
    memory_limit_in_mb = 256
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:bench"
    aws_request_id = "11111111-2222-3333-4444-555555555555"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        """Milliseconds until the function's timeout."""
        return 60_000


def peak_bytes() -> int:
    """Most memory that this process ever held. `ru_maxrss` would count what it was before exec, too."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123  pathlib would count
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    """See the module."""
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
            sys.exit(f"{name} answered {answer}")
        print(json.dumps({"cpu": cpus, "wall": walls, "peak": peak_bytes()}), file=answers, flush=True)


if __name__ == "__main__":
    main()
