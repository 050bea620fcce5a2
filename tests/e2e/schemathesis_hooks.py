"""Hooks of schemathesis that adapt requests to rules that a JSON Schema cannot express."""

from __future__ import annotations

import re
import uuid
from typing import Any

import schemathesis

_ID = re.compile(r"(?!\.+$)[A-Za-z0-9._-]{1,64}")
_KEY = re.compile(r"[!-~]{1,255}")
# White space that the pattern of an e-mail address allows.
_WIDE_SPACE = re.compile(r"[^\S\x00-\x20]")
_MAX_LINES = 50
_MAX_STOCK = 1_000_000_000
_MOST_CHANGED = 1000

_products_of_orders: dict[str, list[str]] = {}
_for_sale: set[str] = set()


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Adapt a request to the rules of the API.

    - Whole numbers have no fraction: the API refuses 19.0, because a price of 19.00 may be meant.
    - Each product of an order has one line.
    - A report on an order has its products, with one line each.
    - A client announces a return. Only a signature lets it report one that arrived.
    - A basket takes products that are for sale.
    - A change of stock leaves it below its limit.
    - White space at the ends of an e-mail address is trimmed, also what JSON Schema does not count as such.
    - Each order has its own Idempotency-Key.
    """
    case.body = _whole(case.body)
    if isinstance(case.body, dict):
        _adapt_body(case.body, case.path_parameters or {})
    if case.path.endswith("/basket/items/{productId}") and case.method == "PUT" and _for_sale:
        path = case.path_parameters
        if _is_id(path.get("productId")) and path["productId"] not in _for_sale:
            path["productId"] = min(_for_sale)
    for name, value in (case.headers or {}).items():
        if name.lower() == "idempotency-key" and isinstance(value, str) and _KEY.fullmatch(value):
            case.headers[name] = str(uuid.uuid4())


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    """Record the products of each order, and which products are for sale."""
    if case.method == "DELETE" and response.status_code == 204:
        _for_sale.discard(case.path_parameters.get("productId", ""))
    try:
        body = response.json()
    except ValueError:  # no JSON, or no body
        return
    if not isinstance(body, dict):
        return
    if "orderId" in body and "items" in body:
        _products_of_orders[body["orderId"]] = [line["productId"] for line in body["items"]]
    elif "productId" in body and "price" in body:
        if body.get("archived"):
            _for_sale.discard(body["productId"])
        else:
            _for_sale.add(body["productId"])
    elif response.status_code == 404:
        _for_sale.discard((case.path_parameters or {}).get("productId", ""))


def _adapt_body(body: dict[str, Any], path: dict[str, Any]) -> None:
    if isinstance(body.get("items"), list):
        _make_products_distinct(body["items"])
    products = _products_of_orders.get(path.get("orderId", ""))
    if products and _are_reported(body.get("lines")):
        body["lines"] = body["lines"][: len(products)]
        for line, product in zip(body["lines"], products, strict=False):
            line["productId"] = product
    if isinstance(body.get("email"), str):
        body["email"] = _WIDE_SPACE.sub("x", body["email"])
    if body.get("status") == "RECEIVED":
        body["status"] = "REQUESTED"
    if isinstance(body.get("change"), int) and _MOST_CHANGED < body["change"] <= _MAX_STOCK:
        body["change"] = _MOST_CHANGED


def _are_reported(lines: Any) -> bool:
    """Whether these are lines as the contract allows them. Requests that break it stay as they are."""
    return (
        isinstance(lines, list)
        and 1 <= len(lines) <= _MAX_LINES
        and all(isinstance(line, dict) and _is_id(line.get("productId")) for line in lines)
    )


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value) is not None


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
        if not _is_id(product):
            continue
        if product in seen:
            line["productId"] = f"{product[:50]}-again-{number}"
        seen.add(line["productId"])
