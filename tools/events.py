"""Makes the documents of the order events from `functions/shared/events.py`.

`python -m tools.events` writes a JSON Schema per event (docs/events/), the AsyncAPI document
(docs/asyncapi.json) and the table of docs/events.md. With `--check` it fails when one is stale.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from functions.shared.domain.moves import sources_of
from functions.shared.domain.orders import OrderStatus
from functions.shared.events import EVENT_TYPES, SOURCE, VERSION, EventType
from local.environment import project_version
from tools.openapi import sentence, tidy

ROOT: Final = Path(__file__).resolve().parents[1]
FOLDER: Final = ROOT / "docs" / "events"
PAGE: Final = ROOT / "docs" / "events.md"
ASYNCAPI: Final = ROOT / "docs" / "asyncapi.json"
_TABLE: Final = re.compile(
    r"(?<=<!-- table: python -m tools.events -->\n).*?(?=<!-- end of the table -->)", re.DOTALL
)

_DESCRIPTION: Final = """\
The events of orders on the stack's EventBridge bus (output `eventBusName`). Each is delivered at least once,
in no guaranteed order. A repeat has the same `eventId`. Within a `version`, fields and values may be added:
ignore what you do not know. `docs/events.md` has the guarantees.
"""


def schema_of(kind: EventType) -> dict[str, Any]:
    """Returns the JSON Schema of an event's detail."""
    (schema,), parts = msgspec.json.schema_components([kind.detail], ref_template="#/$defs/{name}")
    detail = tidy(_inlined(parts.pop(schema["$ref"].rpartition("/")[2]), parts))
    fields = detail["properties"]
    fields["version"] = {"const": VERSION, "description": "The version of this schema."}
    if kind.status:
        fields |= _of_move(kind, kind.status, fields)
    for field in fields.values():
        if "enum" in field:  # a later release may add values
            field["x-extensible-enum"] = field.pop("enum")
            field["type"] = "string"
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:orderflow:event:{kind.name}:v{VERSION}",
        "title": kind.name,
        "description": f"{sentence(kind.meaning)}.",
        "type": "object",
        "properties": fields,
        "required": list(fields),
    }


def _of_move(kind: EventType, status: OrderStatus, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields of a move's event with the values that this move may have."""
    previous = [source.value for source in sources_of(status)]
    is_placed = status is OrderStatus.PENDING
    reason = {**fields["reason"], "type": "string" if kind.has_reason else ["string", "null"]}
    codes = fields["rejectionCode"] | {
        "type": "string",
        "description": "Why, for programs. A later release may add values.",
    }
    return {
        "status": {"const": status.value, "description": "The new status."},
        "previousStatus": {"const": None, "description": "None: the order is new."}
        if is_placed
        else {"enum": previous, "description": "The status before."},
        "reason": reason,
        "rejectionCode": codes
        if status is OrderStatus.REJECTED
        else {"type": "null", "description": "Only a rejection has a code."},
    }


def _inlined(schema: Any, parts: Mapping[str, Any]) -> Any:
    """Returns a schema with its references replaced, and `null` as a type."""
    if isinstance(schema, list):
        return [_inlined(part, parts) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(parts[schema["$ref"].rpartition("/")[2]], parts)
    options = [_inlined(option, parts) for option in schema.get("anyOf", ())]
    other = {name: _inlined(part, parts) for name, part in schema.items() if name != "anyOf"}
    found = other | next((option for option in options if option.get("type") != "null"), {})
    if "type" in found and any(option.get("type") == "null" for option in options):
        found["type"] = [found["type"], "null"]
    return found


def example_of(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a detail with the first value that each field allows."""
    return {name: _value_of(field) for name, field in schema["properties"].items()}


def _value_of(field: Mapping[str, Any]) -> Any:
    if "const" in field:
        return field["const"]
    kinds = field.get("type", "string")
    if "null" in kinds:
        return None
    for key in ("x-extensible-enum", "examples"):
        if key in field:
            return field[key][0]
    if kinds == "array":
        return [_value_of(field["items"])]
    if kinds == "object":
        return example_of(field)
    return {"string": "text", "integer": 1, "boolean": True}[kinds]


# --- the documents ------------------------------------------------------------------------------------------


def asyncapi() -> dict[str, Any]:
    """Returns the AsyncAPI 3 document."""
    names = [kind.name for kind in EVENT_TYPES]
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "orderflow events", "version": project_version(), "description": _DESCRIPTION},
        "defaultContentType": "application/json",
        "channels": {
            "orders": {
                "title": "The stack's EventBridge bus",
                "description": "Subscribe with an EventBridge rule for the source and detail-types.",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
            }
        },
        "operations": {
            "announce": {
                "action": "send",
                "summary": "The stack sends these; a consumer receives them.",
                "channel": {"$ref": "#/channels/orders"},
                "messages": [{"$ref": f"#/channels/orders/messages/{name}"} for name in names],
            }
        },
        "components": {
            "messages": {kind.name: _message(kind) for kind in EVENT_TYPES},
            "schemas": {kind.name: _without_names(schema_of(kind)) for kind in EVENT_TYPES},
        },
    }


def _message(kind: EventType) -> dict[str, Any]:
    envelope = {
        "version": {"const": "0"},
        "id": {"type": "string", "description": "EventBridge's own id. A repeat has another: use eventId."},
        "detail-type": {"const": kind.name},
        "source": {"const": SOURCE},
        "account": {"type": "string"},
        "time": {"type": "string", "format": "date-time", "description": "When the bus received it."},
        "region": {"type": "string"},
        "resources": {"type": "array", "items": {"type": "string"}},
        "detail": {"$ref": f"#/components/schemas/{kind.name}"},
    }
    example = {
        "version": "0",
        "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
        "detail-type": kind.name,
        "source": SOURCE,
        "account": "111122223333",
        "time": "2026-01-31T08:00:01Z",
        "region": "eu-central-1",
        "resources": [],
        "detail": example_of(schema_of(kind)),
    }
    return {
        "name": kind.name,
        "title": kind.name,
        "summary": f"{sentence(kind.meaning)}.",
        "payload": {
            "type": "object",
            "properties": envelope,
            "required": ["detail-type", "source", "detail"],
        },
        "examples": [{"name": kind.name, "payload": example}],
    }


def _without_names(schema: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if not key.startswith("$")}


def table() -> str:
    """Returns the table of docs/events.md."""
    rows = ["| detail-type | `status` | `previousStatus` | what happened |", "|---|---|---|---|"]
    for kind in EVENT_TYPES:
        schema = f"[`{kind.name}`](events/{kind.name}.v{VERSION}.json)"
        status = f"`{kind.status.value}`" if kind.status else ""
        is_placed = kind.status is OrderStatus.PENDING
        before = sources_of(kind.status) if kind.status and not is_placed else ()
        rows.append(
            f"| {schema} | {status} | {', '.join(f'`{one.value}`' for one in before)} | {kind.meaning} |"
        )
    return "\n".join(rows) + "\n"


def documents() -> Iterator[tuple[Path, str]]:
    """Yields each document with its text."""
    for kind in EVENT_TYPES:
        yield FOLDER / f"{kind.name}.v{VERSION}.json", _text(schema_of(kind))
    yield ASYNCAPI, _text(asyncapi())
    yield PAGE, _TABLE.sub(lambda _: table(), PAGE.read_text("utf-8"))


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def main(arguments: Iterable[str]) -> int:
    """Writes the documents; with `--check`, compares them instead. Returns the exit code."""
    if "--check" in arguments:
        stale = [path for path, text in documents() if not path.is_file() or path.read_text("utf-8") != text]
        for path in stale:
            print(f"{path.relative_to(ROOT)} is stale: run `python -m tools.events`.", file=sys.stderr)
        return 1 if stale else 0
    FOLDER.mkdir(exist_ok=True)
    for path, text in documents():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
