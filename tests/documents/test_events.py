"""The events of every scenario match `docs/events.md`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator, FormatChecker

from functions.shared.domain.moves import sources_of
from functions.shared.domain.orders import OrderStatus
from local.memory.backend import installed
from local.memory.scenarios import SCENARIOS, Scenario

pytestmark = pytest.mark.usefixtures("without_logs")

PAGE = (Path(__file__).parents[2] / "docs" / "events.md").read_text("utf-8")
PATTERN, SCHEMA, EXAMPLE = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL))
VALIDATOR = Draft202012Validator(SCHEMA, format_checker=FormatChecker())


def is_valid(detail: Any) -> bool:
    return bool(VALIDATOR.is_valid(detail))


def test_the_schema_is_valid_and_the_example_matches_it() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert is_valid(EXAMPLE)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_every_event_of_every_scenario_matches_the_schema_and_the_table(scenario: Scenario) -> None:
    backend = scenario.new_backend()
    with installed(backend):
        scenario.play(backend)
    for event in backend.take_events():
        VALIDATOR.validate(event["detail"])
        assert f"| `{event['detail-type']}` | `{event['detail']['status']}` |" in PAGE


def test_the_schema_has_the_fields_of_the_code_and_no_others() -> None:
    from functions.shared.events import SOURCE, VERSION, OrderEvent

    fields = {field.encode_name for field in msgspec.structs.fields(OrderEvent)}
    assert set(SCHEMA["properties"]) == set(SCHEMA["required"]) == fields
    assert SCHEMA["properties"]["version"]["const"] == VERSION
    assert PATTERN["source"] == [SOURCE]


def test_the_table_lists_every_type_with_the_statuses_it_can_come_from() -> None:
    from functions.shared.events import DETAIL_TYPES

    rows = re.findall(r"^\| `(Order\w+)` \| `(\w+)` \| (.*?) \|", PAGE, re.MULTILINE)
    assert rows == [
        (kind, status.value, ", ".join(f"`{source.value}`" for source in sources_of(status)))
        for status, kind in DETAIL_TYPES.items()
    ]
    assert SCHEMA["properties"]["status"]["enum"] == [status.value for status in DETAIL_TYPES]
    assert set(OrderStatus) - set(DETAIL_TYPES) == {OrderStatus.PENDING}


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"eventId": "1"},
        {"status": "PENDING"},
        {"previousStatus": None},
        {"occurredAt": "2026-01-31T08:00:00Z"},
        {"reason": None},
        {"status": "FULFILLED"},
    ],
)
def test_the_schema_rejects_an_invalid_event(change: dict[str, Any]) -> None:
    assert not is_valid(EXAMPLE | change)
