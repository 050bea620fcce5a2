"""Hooks of schemathesis that adapt requests to rules that a JSON Schema cannot express."""

from __future__ import annotations

import re
import uuid
from typing import Any

import schemathesis

_ID = re.compile(r"(?!\.+$)[A-Za-z0-9._-]{1,64}")
_KEY = re.compile(r"[!-~]{1,255}")


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Adapt a request to the rules of the API.

    - Whole numbers have no fraction: the API refuses 19.0, because a price of 19.00 may be meant.
    - Each product of an order has one line.
    - Each order has its own Idempotency-Key.
    """
    case.body = _whole(case.body)
    if isinstance(case.body, dict) and isinstance(case.body.get("items"), list):
        _make_products_distinct(case.body["items"])
    for name, value in (case.headers or {}).items():
        if name.lower() == "idempotency-key" and isinstance(value, str) and _KEY.fullmatch(value):
            case.headers[name] = str(uuid.uuid4())


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _whole(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_whole(element) for element in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _make_products_distinct(lines: list[Any]) -> None:
    seen: set[str] = set()
    for number, line in enumerate(lines):
        product = line.get("productId") if isinstance(line, dict) else None
        if not isinstance(product, str) or not _ID.fullmatch(product):
            continue
        if product in seen:
            line["productId"] = f"{product[:50]}-again-{number}"
        seen.add(line["productId"])
