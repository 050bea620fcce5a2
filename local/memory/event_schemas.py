"""Checks every event on a bus of a test against the documented schemas (`docs/events/`)."""

from __future__ import annotations

import json
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

_FOLDER = Path(__file__).parents[2] / "docs" / "events"


def check_event(detail_type: str, detail: Any) -> None:
    """Raises AssertionError if no schema is documented for the event, and ValidationError if it has mistakes.

    The detail of an event may have a field that its version of the schema does not: an addition.
    """
    _check(detail_type, json.dumps(detail))


@lru_cache(maxsize=10_000)  # most tests publish the same events many times
def _check(detail_type: str, text: str) -> None:
    detail = json.loads(text)
    path = _FOLDER / f"{detail_type}.v{detail['version']}.json"
    assert path.is_file(), f"{detail_type} is not documented: run python -m tools.events"
    validator = _validator(path)
    if not validator.is_valid(detail):
        validator.validate(detail)
    for name, field in _fields(path).items():
        values = field.get("x-extensible-enum")
        assert values is None or detail[name] in values, (
            f"{detail_type}.{name}: {detail[name]} is not documented"
        )


@cache
def _fields(path: Path) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(path.read_text("utf-8"))["properties"]
    return fields


@cache
def _validator(path: Path) -> Draft202012Validator:
    return Draft202012Validator(json.loads(path.read_text("utf-8")), format_checker=FormatChecker())
