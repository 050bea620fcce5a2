"""The largest records that the contract allows, and the limits of DynamoDB and Lambda."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from functions.shared.domain.orders import Refusal, Return, ReturnStatus, Shipment
from functions.shared.domain.shipping import MAX_ORDER_BYTES, MAX_REPORTS
from functions.shared.persistence.dynamodb import struct_to_item, to_item
from functions.shared.persistence.order_items import list_shard_of
from functions.shared.persistence.pages import MAX_LIMIT
from local.engine.program import PROJECT_ROOT
from local.memory.backend import MemoryBackend
from tests.functions.shared.domain.samples import AT
from tests.functions.shared.domain.test_shipping import item_bytes, largest_order

CONTRACT = json.loads((PROJECT_ROOT / "docs" / "openapi.json").read_text("utf-8"))
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
ITEM_BYTES = 400 * 1024
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
ANSWER_BYTES = 6 * 1024 * 1024
# A character of four bytes in UTF-8, and of twelve in the JSON of Lambda's answer.
WIDE = "\U0001f4e6"
# Texts that may have only some characters.
NARROW = {
    "email": f"{WIDE * 252}@{WIDE}",
    "currency": "EUR",
    "country": "DE",
    "postalCode": "1" * 16,
    "phone": f"+{'1' * 31}",
}


def largest(schema: dict[str, Any], name: str = "") -> Any:
    """Returns a value of a schema with the most and longest content."""
    if "$ref" in schema:
        return largest(CONTRACT["components"]["schemas"][schema["$ref"].rpartition("/")[2]], name)
    for alternative in schema.get("anyOf", ()):
        return largest(alternative, name)
    kind = schema["type"] if isinstance(schema["type"], str) else schema["type"][0]
    if kind == "object" and "properties" in schema:
        return {key: largest(value, key) for key, value in schema["properties"].items()}
    if kind == "object":
        names = schema["propertyNames"]["maxLength"]
        value = largest(schema["additionalProperties"])
        return {WIDE * (names - 2) + f"{number:02}": value for number in range(schema["maxProperties"])}
    if kind == "array":
        elements = [largest(schema["items"]) for _ in range(schema["maxItems"])]
        for number, element in enumerate(elements):
            if isinstance(element, dict) and "productId" in element:
                element["productId"] = f"{number:064}"
        return elements
    if kind == "string":
        text = NARROW.get(name) or WIDE * schema["maxLength"]
        return text if re.search(schema.get("pattern", ""), text) else "x" * schema["maxLength"]
    return schema.get("maximum") if kind == "integer" else False


def answer_bytes(body: Any) -> int:
    """Returns the bytes of Lambda's answer, in the longer of the two ways in which its runtimes write it."""
    return len(json.dumps({"body": text(body)}))


def text(body: Any) -> str:
    """Returns a body with four bytes per character, of which more fit into a request."""
    return json.dumps(body, ensure_ascii=False)


def request_of(path: str, method: str) -> dict[str, Any]:
    schema = CONTRACT["paths"][path][method]["requestBody"]["content"]["application/json"]["schema"]
    body: dict[str, Any] = largest(schema)
    return body


@pytest.mark.parametrize("path", ["/users", "/products"])
def test_a_page_of_the_largest_records_fits_into_the_answer_of_a_function(
    backend: MemoryBackend, path: str
) -> None:
    body = request_of(f"{path}/{{{path[1:-1]}Id}}", "put")
    answer = backend.api.put(f"{path}/{'r' * 64}", body, headers={"Idempotency-Key": "k" * 64})
    assert answer.status == 201, answer
    page = backend.api.get(path).body
    assert answer_bytes(page) * MAX_LIMIT < ANSWER_BYTES


def test_the_largest_item_of_each_table_fits(backend: MemoryBackend) -> None:
    key = {"Idempotency-Key": "k" * 64}
    user, order = "u" * 64, request_of("/orders", "post")
    del order["expectedTotal"]  # the prices are others
    assert backend.api.put(f"/users/{user}", request_of("/users/{userId}", "put")).status == 201
    product = request_of("/products/{productId}", "put")
    for line in order["items"]:
        assert backend.api.put(f"/products/{line['productId']}", product).status == 201
        backend.fill_basket(user, {line["productId"]: 1000})
    batch = {"items": [{"productId": line["productId"], **product} for line in order["items"][:6]]}
    assert backend.api.post("/products/batch", text(batch), headers=key).status == 207
    answer = backend.api.post("/orders", text(order | {"userId": user}), headers=key)
    assert answer.status == 201, answer
    backend.run_until_idle()
    for name, table in backend.cloud.store.tables.items():
        assert table.items, name
        limit = 100_000 if name == "orders" else ITEM_BYTES
        assert max(map(item_bytes, table.items.values())) < limit, name


def order_with_most_reports() -> Any:
    """An order that is small as an item. Each of its 150 reports names all its products."""
    order = largest_order()
    pieces = [1] * len(order.items)
    return replace(
        order,
        items=[replace(line, title="Lamp") for line in order.items],
        metadata={},
        shipments=[Shipment(shipment_id=f"s-{n}", quantities=pieces) for n in range(MAX_REPORTS)],
        refusals=[
            Refusal(refusal_id=f"r-{n}", quantities=pieces, reason="out", attempt=1)
            for n in range(MAX_REPORTS)
        ],
        returns=[
            Return(
                return_id=f"t-{n}", quantities=pieces, restocked=pieces, at=AT, status=ReturnStatus.RECEIVED
            )
            for n in range(MAX_REPORTS)
        ],
    )


@pytest.mark.parametrize("path", ["/orders", "/users/u-1/orders"])
@pytest.mark.parametrize("make", [largest_order, order_with_most_reports])
def test_each_page_of_the_largest_orders_fits_and_together_they_have_all(
    backend: MemoryBackend, path: str, make: Any
) -> None:
    order = make()
    assert len(msgspec.json.encode(order)) <= MAX_ORDER_BYTES
    placed = set()
    for number in range(MAX_LIMIT):
        one = replace(order, order_id=f"o-{number}", user_id="u-1")
        item = struct_to_item(one) | to_item({"timeShard": list_shard_of(one.order_id)})
        backend.cloud.store.tables["orders"].items[one.order_id] = item
        placed.add(one.order_id)
    assert answer_bytes(backend.api.get("/orders/o-1").body) < ANSWER_BYTES
    seen: list[str] = []
    token: dict[str, str] = {}
    while len(seen) < len(placed):
        page = backend.api.get(path, query={"limit": str(MAX_LIMIT)} | token).body
        assert page["items"]
        assert answer_bytes(page) < ANSWER_BYTES
        seen += [one["orderId"] for one in page["items"]]
        token = {"nextToken": page["nextToken"]} if "nextToken" in page else {}
    assert token == {}
    assert sorted(seen) == sorted(placed)
