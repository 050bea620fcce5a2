"""The reference JSONata in a separate process.

Imports the standard library only, because LocalStack's environment imports it too.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class JsonataError(Exception):
    """The expression is invalid, failed, or has no value."""


class JsonataProcess:
    """Evaluates expressions with the `jsonata` package in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            ["node", str(Path(__file__).with_name("evaluate.mjs")), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def evaluate(self, expression: str, bindings: Any = None) -> Any:
        """Returns the value of an expression. Raises JsonataError if it has none."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({"expression": expression, "bindings": bindings or {}}) + "\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        if "value" not in answer:
            raise JsonataError(answer)
        return answer["value"]
