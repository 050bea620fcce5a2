"""The events and their documents: schemas, examples, table and AsyncAPI document are those of the code."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator, FormatChecker, ValidationError

from functions.shared.domain.orders import OrderStatus
from functions.shared.events import EVENT_TYPES, SOURCE, VERSION, EventType
from local.memory.backend import installed
from local.memory.event_schemas import check_event
from local.memory.scenarios import SCENARIOS, Scenario

pytestmark = pytest.mark.usefixtures("without_logs")

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "events.md").read_text("utf-8")
PATTERN, EXAMPLE = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL))
ASYNCAPI = json.loads((ROOT / "docs" / "asyncapi.json").read_text("utf-8"))
each_event = pytest.mark.parametrize("kind", EVENT_TYPES, ids=lambda kind: kind.name)


def schema_of(kind: EventType) -> dict[str, Any]:
    text = (ROOT / "docs" / "events" / f"{kind.name}.v{VERSION}.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def test_the_documents_are_up_to_date() -> None:
    check = subprocess.run(
        [sys.executable, "-m", "tools.events", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert check.returncode == 0, check.stderr


@each_event
def test_every_event_has_a_valid_schema_and_an_example_that_matches_it_and_the_type(kind: EventType) -> None:
    schema = schema_of(kind)
    Draft202012Validator.check_schema(schema)
    payload = ASYNCAPI["components"]["messages"][kind.name]["examples"][0]["payload"]
    assert (payload["source"], payload["detail-type"]) == (SOURCE, kind.name)
    check_event(kind.name, payload["detail"])
    msgspec.convert(payload["detail"], kind.detail)
    fields = {field.encode_name for field in msgspec.structs.fields(kind.detail)}
    assert set(schema["properties"]) == set(schema["required"]) == fields


def test_no_schema_is_left_of_an_event_that_does_not_exist() -> None:
    files = {path.name for path in (ROOT / "docs" / "events").iterdir()}
    assert files == {f"{kind.name}.v{VERSION}.json" for kind in EVENT_TYPES}


def test_the_example_and_the_pattern_of_the_page_are_valid() -> None:
    check_event("OrderRejected", EXAMPLE)
    assert PATTERN["source"] == [SOURCE]
    assert set(PATTERN["detail-type"]) <= {kind.name for kind in EVENT_TYPES}


def test_every_status_but_in_fulfillment_has_one_event() -> None:
    statuses = [kind.status for kind in EVENT_TYPES if kind.status]
    assert sorted([*statuses, OrderStatus.IN_FULFILLMENT]) == sorted(OrderStatus)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_every_event_of_every_scenario_has_its_own_schema(scenario: Scenario) -> None:
    backend = scenario.new_backend()
    with installed(backend):
        scenario.play(backend)
    for event in backend.take_events():  # the bus has checked them
        (kind,) = (kind for kind in EVENT_TYPES if kind.name == event["detail-type"])
        assert event["detail"].get("status") == kind.status


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"eventId": "1"},
        {"status": "PENDING"},
        {"previousStatus": None},
        {"occurredAt": "2026-01-31T08:00:00Z"},
        {"reason": None},
        {"rejectionCode": "sold_out"},
        {"status": "FULFILLED"},
    ],
)
def test_an_invalid_event_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises((ValidationError, AssertionError)):
        check_event("OrderRejected", EXAMPLE | change)


def test_a_field_may_be_added_to_an_event() -> None:
    check_event("OrderRejected", EXAMPLE | {"addedLater": 1})


def test_the_formats_of_a_schema_are_checked() -> None:
    assert "uuid" in FormatChecker.checkers
