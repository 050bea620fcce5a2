"""LocalStack's interpreter takes every path of the state machine as ours does."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from local.engine.program import PROJECT_ROOT
from local.memory.state_machine import Coverage, definition
from tests.references.implementations import JSONATA, LOCALSTACK
from tests.statemachines.paths import INPUT, NOT_CAUGHT, PATHS, RESULTS, follow
from tests.statemachines.paths import Path as MachinePath

pytestmark = [LOCALSTACK.required, JSONATA.required]

# LocalStack's States.ALL matches these too.
COMPARED = [path for path in PATHS if not path.name.endswith(NOT_CAUGHT)]


def followed(path: MachinePath) -> dict[str, Any]:
    """How a path ends on our interpreter, and what it invokes."""
    invocations: list[Any] = []
    end = follow(path, Coverage(), lambda call: invocations.append([call.state, call.function, call.payload]))
    return {"end": [end.status, end.state, end.error, end.cause], "invocations": invocations}


def test_every_path_ends_alike_and_invokes_the_same() -> None:
    request = {
        "definition": definition(),
        "input": INPUT,
        "results": RESULTS,
        "paths": [dict(path.failures) for path in COMPARED],
    }
    script = Path(__file__).with_name("run_localstack.py")
    answer = subprocess.run(
        [LOCALSTACK.folder / "bin" / "python", script, JSONATA.folder],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT)},
    )
    assert answer.returncode == 0, answer.stderr
    theirs = dict(zip((path.name for path in COMPARED), json.loads(answer.stdout), strict=True))
    assert theirs == {path.name: followed(path) for path in COMPARED}
