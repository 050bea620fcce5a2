"""Every path of the state machine is the same in `local/memory` and on LocalStack's interpreter."""

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
    """Returns the end and the invocations of a path on the interpreter of `local/memory`."""
    invocations: list[Any] = []
    end = follow(path, Coverage(), lambda call: invocations.append([call.state, call.function, call.payload]))
    return {"end": [end.status, end.state, end.error, end.cause], "invocations": invocations}


def test_every_path_has_the_same_end_and_invocations() -> None:
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
