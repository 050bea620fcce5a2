"""The routes of reports: what the fulfillment system and clients get, and what each mistake is called."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from local.memory.backend import MemoryBackend, installed
from local.memory.cloud import Hook, ServiceCall
from local.memory.functions import HttpAnswer
from local.partners.calls import sign_call
from local.partners.shipping import ShippingPlan
from tests.statemachines.paths import return_to_open_index

SHIPPED_AT = "2026-01-02T08:00:00Z"
DELIVERED_AT = "2026-01-03T08:00:00Z"


def lines(**pieces: int) -> list[dict[str, object]]:
    return [{"productId": product, "quantity": count} for product, count in pieces.items()]


def parcel(**fields: Any) -> dict[str, Any]:
    return {"lines": lines(p1=2), "shippedAt": SHIPPED_AT, **fields}


def report(backend: MemoryBackend, route: str, body: object) -> HttpAnswer:
    answer = backend.report(route, body)
    assert answer is not None
    return answer


def stored(backend: MemoryBackend) -> Any:
    """Everything that a report may change."""
    tables = {name: dict(table.items) for name, table in backend.cloud.store.tables.items()}
    return json.dumps(tables, sort_keys=True), list(backend.cloud.events)


# --- the answers ------------------------------------------------------------------------------------------


def test_a_parcel_is_answered_with_the_order_201_first_and_200_after_that(
    backend: MemoryBackend, order_id: str
) -> None:
    route = f"/orders/{order_id}/shipments/S-1"
    first = report(backend, route, parcel(carrier="DHL"))
    assert first.status == 201
    assert first.body["shipments"] == [
        {
            "shipmentId": "S-1",
            "lines": lines(p1=2),
            "carrier": "DHL",
            "shippedAt": "2026-01-02T08:00:00.000Z",
        }
    ]
    again = report(backend, route, parcel(carrier="DHL"))
    assert (again.status, again.body) == (200, first.body)
    added = report(backend, route, parcel(carrier="DHL", trackingNumber="4711"))
    assert (added.status, added.body["shipments"][0]["trackingNumber"]) == (200, "4711")
    assert backend.api.get(f"/orders/{order_id}").body == added.body


def test_parcels_refusals_and_deliveries_end_in_a_delivered_order_with_an_event_each(
    backend: MemoryBackend, order_id: str
) -> None:
    for kind, id_, body in (
        ("shipments", "S-1", parcel()),
        ("refusals", "R-1", {"lines": lines(p2=1), "reason": "broken"}),
        ("shipments", "S-2", parcel(lines=lines(p1=1), deliveredAt=DELIVERED_AT)),
        ("shipments", "S-1", parcel(deliveredAt=DELIVERED_AT)),
    ):
        answer = report(backend, f"/orders/{order_id}/{kind}/{id_}", body)
    assert answer.body["status"] == "DELIVERED"
    assert answer.body["refusals"] == [{"refusalId": "R-1", "lines": lines(p2=1), "reason": "broken"}]
    assert (backend.stock("p1"), backend.stock("p2")) == (2, 3)
    names = [event["detail-type"] for event in backend.take_events()]
    assert sorted(names) == ["OrderDelivered", "OrderFulfilled", "OrderShipped", "OrderShipped"]
    assert "openShard" not in backend.stored_order(order_id)


def test_a_client_announces_a_return_and_the_fulfillment_system_receives_it(
    backend: MemoryBackend, order_id: str
) -> None:
    report(backend, f"/orders/{order_id}/shipments/S-1", parcel())
    backend.take_events()
    route = f"/orders/{order_id}/returns/T-1"
    announced = backend.api.put(route, {"status": "REQUESTED", "lines": lines(p1=1), "reason": "too large"})
    assert announced.status == 201
    assert (backend.stock("p1"), backend.take_events()) == (2, [])
    back = {"status": "RECEIVED", "lines": [{"productId": "p1", "quantity": 1, "restock": True}]}
    for _ in range(2):
        received = report(backend, route, back)
        assert received.status == 200
        assert received.body["returns"][0]["status"] == "RECEIVED"
    assert backend.stock("p1") == 3
    assert [event["detail-type"] for event in backend.take_events()] == ["OrderReturned"]


def test_a_parcel_of_an_order_that_was_given_up_is_accepted_and_may_leave_a_stock_below_zero(
    backend: MemoryBackend, order_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    released = {"state": "RELEASED", "attempt": 1, "handedOverTo": "fulfillment"}
    backend.set_order(order_id, status="FAILED", reservation=released)
    product = backend.api.get("/products/p1")
    backend.api.patch("/products/p1", {"stock": 1}, headers={"If-Match": product.headers["etag"]})
    capsys.readouterr()
    answer = report(backend, f"/orders/{order_id}/shipments/S-1", parcel())
    assert (answer.status, answer.body["status"]) == (201, "FAILED")
    assert "UnexpectedShipments" in capsys.readouterr().out
    assert backend.api.get("/products/p1").body["stock"] == -1
    assert backend.api.post("/products/p1/stock", {"change": 3}).body["stock"] == 2


def test_a_parcel_without_its_event_is_repeated_and_its_event_is_sent(
    backend: MemoryBackend, order_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    route = f"/orders/{order_id}/shipments/S-1"
    with monkeypatch.context() as broken:
        refused = {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "ThrottlingException"}]}
        broken.setattr(backend.cloud, "_events_PutEvents", lambda _request: refused)
        assert report(backend, route, parcel()).status == 201
    assert backend.order(order_id).unsent == ["shipment/S-1"]
    assert report(backend, route, parcel()).status == 200
    assert [event["detail-type"] for event in backend.take_events()] == ["OrderShipped"]
    assert backend.order(order_id).unsent == []


@pytest.mark.parametrize("restock", [False, True], ids=["one item", "a transaction"])
@pytest.mark.parametrize("when", ["before the report", "during the report"])
def test_a_report_does_not_hide_a_move_that_owes_its_event(
    backend: MemoryBackend, when: str, restock: bool
) -> None:
    backend.cloud.partner.shipping = ShippingPlan()  # it ships at once
    order_id = backend.place_order("k", p1=1)
    backend.run_workflow()
    backend.take_events()

    class Returning(Hook):
        """MarkFulfilled has failed: the workflow returns the order to the index after the report's write."""

        def after(self, call: ServiceCall, request: Mapping[str, Any], answer: Any) -> None:
            if call.operation in {"UpdateItem", "TransactWriteItems"}:
                backend.cloud.hook = Hook()
                backend.cloud.update_item(return_to_open_index(order_id, 1))

    if when == "before the report":
        backend.cloud.update_item(return_to_open_index(order_id, 1))
    else:
        backend.cloud.hook = Returning()
    back = {"status": "RECEIVED", "lines": [{"productId": "p1", "quantity": 1, "restock": restock}]}
    assert report(backend, f"/orders/{order_id}/returns/T-1", back).status == 201
    published = {event["detail-type"] for event in backend.take_events()}
    assert "OrderReturned" in published
    backend.wait(11)
    backend.run_schedule()
    published |= {event["detail-type"] for event in backend.take_events()}
    assert "OrderFulfilled" in published
    assert "openShard" not in backend.stored_order(order_id)


# --- bad input: a problem that says so, and nothing changes -----------------------------------------------

BAD_INPUT: Mapping[str, tuple[str, Any, int, str, str]] = {
    "unknown line": (
        "shipments/S-9",
        parcel(lines=lines(p3=1)),
        422,
        "lines[0].productId",
        "product of this",
    ),
    "a product twice": (
        "shipments/S-9",
        parcel(lines=lines(p1=1) * 2),
        422,
        "lines[1].productId",
        "one line per product",
    ),
    "more than was ordered": (
        "shipments/S-9",
        parcel(lines=lines(p1=2)),
        409,
        "",
        "more than was ordered: 3",
    ),
    "less than nothing": (
        "shipments/S-9",
        parcel(lines=lines(p1=-1)),
        422,
        "lines[0].quantity",
        "from 1 to 1000",
    ),
    "nothing": ("shipments/S-9", parcel(lines=[]), 422, "lines", "1"),
    "an http tracking URL": (
        "shipments/S-9",
        parcel(lines=lines(p1=1), trackingUrl="http://t.example/1"),
        422,
        "trackingUrl",
        "https URL",
    ),
    "a script as tracking URL": (
        "shipments/S-9",
        parcel(lines=lines(p1=1), trackingUrl="javascript:alert(1)"),
        422,
        "trackingUrl",
        "https URL",
    ),
    "a delivery that is taken back": ("shipments/S-1", parcel(), 409, "", "was delivered at"),
    "another content": ("shipments/S-1", parcel(lines=lines(p1=1)), 409, "", "with other lines before"),
    "delivered before shipped": (
        "shipments/S-9",
        parcel(lines=lines(p1=1), deliveredAt="2026-01-01T08:00:00Z"),
        422,
        "deliveredAt",
        "after shippedAt",
    ),
    "no time of shipping": ("shipments/S-9", {"lines": lines(p1=1)}, 422, "shippedAt", "missing"),
    "a time without a zone": (
        "shipments/S-9",
        parcel(lines=lines(p1=1), shippedAt="2026-01-02T08:00:00"),
        422,
        "shippedAt",
        "time such as",
    ),
    "an unknown field": ("shipments/S-9", parcel(lines=lines(p1=1), weight=3), 422, "weight", "unknown"),
    "a refusal of too much": (
        "refusals/R-1",
        {"lines": lines(p1=2), "reason": "broken"},
        409,
        "",
        "more than was ordered: 3",
    ),
    "a refusal without a reason": ("refusals/R-1", {"lines": lines(p1=1)}, 422, "reason", "missing"),
    "a return of what never shipped": (
        "returns/T-1",
        {"status": "RECEIVED", "lines": lines(p2=1)},
        409,
        "",
        "more than was shipped: 0",
    ),
    "a return of too much": (
        "returns/T-1",
        {"status": "REQUESTED", "lines": lines(p1=3)},
        409,
        "",
        "more than was shipped: 2",
    ),
    "a return of an unknown status": (
        "returns/T-1",
        {"status": "LOST", "lines": lines(p1=1)},
        422,
        "status",
        "REQUESTED",
    ),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_a_problem_that_says_so_and_nothing_changes(
    backend: MemoryBackend, order_id: str, case: str
) -> None:
    path, body, status, field, words = BAD_INPUT[case]
    report(backend, f"/orders/{order_id}/shipments/S-1", parcel(deliveredAt=DELIVERED_AT))
    before = stored(backend)
    answer = report(backend, f"/orders/{order_id}/{path}", body)
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    if status == 422:
        assert [error["field"] for error in answer.body["errors"]] == [field]
        assert words in answer.body["errors"][0]["message"]
    else:
        assert (answer.body["code"], words in answer.body["detail"]) == ("report_refused", True)
    assert stored(backend) == before


@pytest.mark.parametrize("kind", ["shipments", "refusals", "returns"])
def test_a_report_on_an_unknown_order_is_not_found(backend: MemoryBackend, kind: str) -> None:
    bodies = {
        "shipments": parcel(),
        "refusals": {"lines": lines(p1=1), "reason": "broken"},
        "returns": {"status": "RECEIVED", "lines": lines(p1=1)},
    }
    before = stored(backend)
    answer = report(backend, f"/orders/unknown/{kind}/X-1", bodies[kind])
    assert (answer.status, answer.body["code"]) == (404, "not_found")
    assert stored(backend) == before


def test_a_report_before_the_order_is_handed_over_is_refused(backend: MemoryBackend) -> None:
    order_id = backend.place_order("k2", p1=1)
    answer = report(backend, f"/orders/{order_id}/shipments/S-1", parcel(lines=lines(p1=1)))
    assert (answer.status, answer.body["code"]) == (409, "not_handed_over")


# --- signatures -------------------------------------------------------------------------------------------


def signed(
    backend: MemoryBackend,
    route: str,
    body: bytes,
    *,
    at: float | None = None,
    signed_route: str | None = None,
    signed_body: bytes | None = None,
    secret: str | None = None,
) -> HttpAnswer:
    """Sends a report whose signature may be of another time, route, body or secret."""
    timestamp = str(int(backend.seconds() if at is None else at))
    signature = sign_call(
        secret or backend.cloud.partner.secret,
        timestamp,
        signed_route or route,
        body if signed_body is None else signed_body,
    )
    headers = {"X-Orderflow-Timestamp": timestamp, "X-Orderflow-Signature": signature}
    return backend.api.put(route, body.decode(), headers=headers)


BODY = json.dumps(parcel()).encode()


@pytest.mark.parametrize(
    "change",
    [
        {"secret": "another"},
        {"at": -301},
        {"at": 301},
        {"signed_route": "/orders/another/shipments/S-1"},
        {"signed_route": "/orders/{order_id}/refusals/S-1"},
        {"signed_route": "/orders/{order_id}/shipments/S-2"},
        {"signed_body": BODY + b" "},
        {"signed_body": b""},
    ],
    ids=lambda change: "-".join(map(str, change.items())) if isinstance(change, dict) else None,
)
def test_a_signature_that_is_wrong_old_or_of_another_request_is_refused(
    backend: MemoryBackend, order_id: str, change: dict[str, Any]
) -> None:
    before = stored(backend)
    options = dict(change)
    if "at" in options:
        options["at"] += backend.seconds()
    if "signed_route" in options:
        options["signed_route"] = options["signed_route"].format(order_id=order_id)
    answer = signed(backend, f"/orders/{order_id}/shipments/S-1", BODY, **options)
    assert (answer.status, answer.body["code"]) == (401, "invalid_signature")
    assert "X-Orderflow-Signature" in answer.body["detail"]
    assert stored(backend) == before


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Orderflow-Timestamp": "0"},
        {"X-Orderflow-Timestamp": "-1", "X-Orderflow-Signature": "v1=0"},
        {"X-Orderflow-Timestamp": "١٢٣", "X-Orderflow-Signature": "v1=\udcff"},
    ],
)
def test_missing_and_malformed_signatures_are_refused(
    backend: MemoryBackend, order_id: str, headers: dict[str, str]
) -> None:
    answer = backend.api.put(f"/orders/{order_id}/shipments/S-1", parcel(), headers=headers)
    assert (answer.status, answer.body["code"]) == (401, "invalid_signature")


def test_a_body_is_not_judged_before_its_signature(backend: MemoryBackend, order_id: str) -> None:
    answer = backend.api.put(f"/orders/{order_id}/shipments/S-1", "{")
    assert answer.status == 401


def test_only_a_signed_request_receives_a_return(backend: MemoryBackend, order_id: str) -> None:
    report(backend, f"/orders/{order_id}/shipments/S-1", parcel())
    before = stored(backend)
    answer = backend.api.put(f"/orders/{order_id}/returns/T-1", {"status": "RECEIVED", "lines": lines(p1=1)})
    assert (answer.status, answer.body["code"]) == (401, "invalid_signature")
    assert stored(backend) == before


def test_a_secret_that_was_rotated_is_read_again(backend: MemoryBackend, order_id: str) -> None:
    route = f"/orders/{order_id}/shipments/S-1"
    report(backend, route, parcel())
    backend.cloud.partner.secret = "the next secret"
    assert report(backend, route, parcel()).status == 200


def test_a_stack_without_a_fulfillment_system_accepts_no_parcel() -> None:
    with installed(MemoryBackend()) as backend:
        answer = report(backend, "/orders/o-1/shipments/S-1", parcel())
    assert (answer.status, answer.body["code"]) == (401, "invalid_signature")
    assert answer.body["detail"].lower().startswith("this stack has no fulfillment system")
