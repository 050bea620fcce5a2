"""The contract test of fulfillment systems: right ones pass, and each deviation fails its check."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from local.partners import calls, check
from local.partners.calls import Api, CallPlan, sign_request
from local.partners.check import Difference, Order, Reply, Skipped, System, read, run_checks
from local.partners.fulfillment import Answer, Behavior, FulfillmentPartner, PartnerServer
from local.partners.receiver import CallReceiver, Problem, ReceiverServer, decode_fact, is_addition
from local.partners.shipping import Ids, PartnerOrder, ShippingPlan
from tests.local.partners.conftest import KEY, SECRET

LATER = ShippingPlan(ships_after=0.2, parcels=2, refuses=frozenset({"refused"}))


@contextmanager
def checked_system(
    partner: FulfillmentPartner, *, wait: float = 5, with_calls: bool = True
) -> Iterator[System]:
    """Runs a fulfillment system, and the part of the API that it calls."""
    receiver = CallReceiver(SECRET, KEY)
    with ReceiverServer(receiver) as api, PartnerServer(partner) as server:
        partner.api = Api(api.url, KEY)
        yield System(
            url=f"{server.url}orders?from=tests",
            secret=SECRET,
            products=("lamp", "desk"),
            refused_product="refused",
            wait=wait,
            receiver=receiver if with_calls else None,
        )


def failures(partner: FulfillmentPartner, **options: Any) -> dict[str, str]:
    """Returns the failed checks, each with its difference."""
    with checked_system(partner, **options) as system:
        return {result.title: result.detail for result in run_checks(system) if result.verdict == "FAIL"}


# --- Right systems ---


@pytest.mark.parametrize(
    ("shipping", "skipped"),
    [
        (ShippingPlan(refuses=frozenset({"refused"})), 3),
        (ShippingPlan(parcels=2, refuses=frozenset({"refused"})), 3),
        (ShippingPlan(refuses=frozenset({"desk", "refused"})), 3),
        (LATER, 0),
        (ShippingPlan(ships_after=0.1, delivers_after=0.1, refuses=frozenset({"2", "refused"})), 1),
        (ShippingPlan(ships_after=0.3, too_late=True, refuses=frozenset({"refused"})), 1),
    ],
    ids=["at once", "two parcels at once", "partly refused", "later", "delivered", "too late"],
)
def test_the_fulfillment_system_passes(shipping: ShippingPlan, skipped: int) -> None:
    partner = FulfillmentPartner(SECRET)
    partner.shipping = shipping
    partner.calls = CallPlan(pause=0.1)
    with checked_system(partner) as system:
        results = list(run_checks(system))
    assert [result for result in results if result.verdict == "FAIL"] == []
    assert len([result for result in results if result.verdict == "skip"]) == skipped
    assert len(results) == 19


def test_calls_that_are_twice_and_late_pass() -> None:
    partner = FulfillmentPartner(SECRET)
    partner.shipping = LATER
    partner.calls = CallPlan(pause=0.1, twice=True, late=0.2)
    assert failures(partner) == {}


# --- Deviations ---

ONCE = {
    "A repeated order has the same shipments, whatever its attempt",
    "Concurrent requests for one order ship once",
    "An order whose answer was lost ships once",
}
SIGNATURES = {
    check_.__doc__.rstrip(".") for check_ in check.CHECKS if check_.__doc__ and "401" in check_.__doc__
}
CANCELLED = "A cancellation is decided once, and its decision holds"
PARTLY_CANCELLED = "A shipment before an agreed cancellation is in the answers after it"
CANCELLED_FIRST = "A cancellation that arrives before its order stops the order"
CALLS = "Later shipments and refusals are reported by calls, which are repeated until they are answered"
FIELDS = "Each call has the right key, signature and fields"


class WithoutSignature(FulfillmentPartner):
    def _is_signed(self, headers: Mapping[str, str], body: bytes) -> bool:
        return True


class WithoutWindow(FulfillmentPartner):
    def _is_signed(self, headers: Mapping[str, str], body: bytes) -> bool:
        timestamp = headers.get("x-orderflow-timestamp", "")
        return sign_request(self.secret, timestamp, body) == headers.get("x-orderflow-signature")


class ShipsTwice(FulfillmentPartner):
    def _fulfill(self, request: Any, behavior: Behavior) -> tuple[int, dict[str, Any]]:
        self.orders.pop(request["orderId"], None)
        return super()._fulfill(request, behavior)


class WithoutKey(FulfillmentPartner):
    def handle(self, headers: Mapping[str, str], body: bytes) -> Answer:
        request = json.loads(body)
        key = request["orderId"] + ("/cancel" if "cancel" in request else "")
        return super().handle({**headers, "idempotency-key": key}, body)


class WithoutStoredRefusals(FulfillmentPartner):
    def _fulfill(self, request: Any, behavior: Behavior) -> tuple[int, dict[str, Any]]:
        if self._refused.pop(request["orderId"], None):
            self.shipping = ShippingPlan()
        return super()._fulfill(request, behavior)


class WithoutStoredCancellations(FulfillmentPartner):
    def _cancel(self, request: Any) -> tuple[int, dict[str, Any]]:
        return 200, {"cancelled": True}


class ForgetsShipments(FulfillmentPartner):
    def _fulfill(self, request: Any, behavior: Behavior) -> tuple[int, dict[str, Any]]:
        answer = super()._fulfill(request, behavior)
        is_cancelled = (
            self.orders[request["orderId"]].cancelled_at if request["orderId"] in self.orders else 0
        )
        return (422, {"refused": True}) if is_cancelled else answer


class WithChangingDecision(FulfillmentPartner):
    agrees = True

    def _cancel(self, request: Any) -> tuple[int, dict[str, Any]]:
        self.agrees = not self.agrees
        return 200, {"cancelled": self.agrees}


class CancelsWithoutDocument(FulfillmentPartner):
    def _cancel(self, request: Any) -> tuple[int, dict[str, Any]]:
        return 204, {}


class TakesFactsBack(FulfillmentPartner):
    def _fulfill(self, request: Any, behavior: Behavior) -> tuple[int, dict[str, Any]]:
        is_repeated = request["orderId"] in self.orders
        status, answer = super()._fulfill(request, behavior)
        for shipment in answer.get("shipments", []) if is_repeated else ():
            del shipment["trackingNumber"]
        return status, answer


class ShipsTooMuch(FulfillmentPartner):
    def _fulfill(self, request: Any, behavior: Behavior) -> tuple[int, dict[str, Any]]:
        for item in request["items"]:
            item["quantity"] += 1
        return super()._fulfill(request, behavior)


class DoneTooEarly(FulfillmentPartner):
    def _fulfill(self, request: Any, behavior: Behavior) -> tuple[int, dict[str, Any]]:
        status, answer = super()._fulfill(request, behavior)
        return 200 if status == 202 and answer else status, answer


class AnswersDifferently(FulfillmentPartner):
    def _fulfill(self, request: Any, behavior: Behavior) -> tuple[int, dict[str, Any]]:
        status, answer = super()._fulfill(request, behavior)
        for shipment in answer.get("shipments", []):
            shipment["trackingNumber"] = "another"
        return status, answer


AT_ONCE = ShippingPlan(refuses=frozenset({"refused"}))
LISTS_AT_ONCE = ShippingPlan(parcels=2, refuses=frozenset({"refused"}))


@pytest.mark.parametrize(
    ("kind", "shipping", "expected"),
    [
        (WithoutSignature, AT_ONCE, SIGNATURES),
        (WithoutWindow, AT_ONCE, {title for title in SIGNATURES if "six minutes" in title}),
        (ShipsTwice, AT_ONCE, ONCE),
        (ShipsTwice, LISTS_AT_ONCE, ONCE),
        (WithoutKey, AT_ONCE, {"An Idempotency-Key of another order is refused with 400"}),
        (WithoutStoredRefusals, LISTS_AT_ONCE, {"A refusal holds for its attempt and lower ones"}),
        (WithoutStoredCancellations, LATER, {CANCELLED, CANCELLED_FIRST}),
        (WithoutStoredCancellations, AT_ONCE, {CANCELLED, CANCELLED_FIRST}),
        (ForgetsShipments, LATER, {PARTLY_CANCELLED}),
        (WithChangingDecision, LATER, {CANCELLED, CANCELLED_FIRST}),
        (CancelsWithoutDocument, AT_ONCE, {CANCELLED, CANCELLED_FIRST}),
        (TakesFactsBack, LISTS_AT_ONCE, {"A repeated order has the same shipments, whatever its attempt"}),
        (DoneTooEarly, LATER, {"In the end each line is shipped or refused"}),
        (AnswersDifferently, LATER, {CALLS}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_deviation_fails_its_check(
    kind: type[FulfillmentPartner], shipping: ShippingPlan, expected: set[str]
) -> None:
    partner = kind(SECRET)
    partner.shipping = shipping
    partner.calls = CallPlan(pause=0.1)
    assert expected <= failures(partner).keys()


@pytest.mark.parametrize("kind", [FulfillmentPartner, ShipsTooMuch])
def test_a_system_with_another_secret_or_too_many_pieces_fails_the_first_check(
    kind: type[FulfillmentPartner],
) -> None:
    partner = kind(SECRET if kind is ShipsTooMuch else "another secret")
    partner.shipping = LISTS_AT_ONCE
    found = failures(partner, with_calls=False)["An order is accepted"]
    assert "answered 401" in found or "lamp: 3 shipped or refused, but 2 ordered" in found


@pytest.mark.parametrize(
    ("behavior", "message"),
    [
        (Behavior.BUSY, "an order was answered 503 {}. orderflow would repeat it"),
        (Behavior.GARBLED, "answered 200"),
        (Behavior.MUTE, "answered 409 {}"),
        (Behavior.REDIRECT, "answered 307"),
        (Behavior.HUGE, "bytes. Use at most 262144"),
        (Behavior.DROP_ANSWER, "no answer within 10 s: ConnectionError"),
        (Behavior.REFUSE, "the order was refused. Use --product"),
        (Behavior.SLOW, "the answer took 0.4 s. Answer within 0.3 s"),
    ],
)
def test_an_answer_that_orderflow_cannot_use_is_a_difference(
    behavior: Behavior, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "TIMEOUT", 0.3)
    partner = FulfillmentPartner(SECRET)
    partner.delay = 0.4
    partner.plan.append(behavior)
    with checked_system(partner) as system, pytest.raises(Difference) as raised:
        check.check_accepted(system)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"shipments": [{"lines": []}]}, "has no shipmentId"),
        (
            {"shipments": [{"shipmentId": "p", "lines": [], "shippedAt": "2026-01-01T00:00:00Z"}]},
            "at least one",
        ),
        (
            {"refusals": [{"refusalId": "r", "lines": [{"productId": "lamp", "quantity": 1}]}]},
            "missing fields",
        ),
        ({"shipmentId": ""}, "orderflow would repeat it"),
        ({}, "200 without a shipment or refusal. Answer 202"),
    ],
)
def test_a_list_with_a_wrong_field_is_a_difference(answer: object, message: str) -> None:
    with pytest.raises(Difference, match=message):
        read(Reply(200, json.dumps(answer).encode()), Order({"lamp": 1}))


@pytest.mark.parametrize("body", [b"", b"{}", b" \n"])
def test_a_202_may_have_an_empty_body(body: bytes) -> None:
    assert read(Reply(202, body), Order({"lamp": 1})).is_open


# --- Deviating calls ---


def change_signature(route: str) -> Callable[[str, str, str, bytes], str]:
    return lambda secret, timestamp, _route, body: sign_request(secret, timestamp, route.encode() + body)


@pytest.mark.parametrize(
    ("plan", "signature", "expected"),
    [
        (CallPlan(silent=True), None, {CALLS: "of {'lamp': 2, 'desk': 1}"}),
        (CallPlan(tries=1), None, {CALLS: "not repeated: PUT /orders/"}),
        (
            CallPlan(pause=0.1),
            lambda *_: "v1=00",
            {CALLS: "", FIELDS: "does not match method, route and body"},
        ),
        (CallPlan(pause=0.1), lambda s, t, _, b: sign_request(s, t, b), {FIELDS: "does not match method"}),
    ],
    ids=["silent", "not repeated", "wrong signature", "signature without route"],
)
def test_a_deviating_call_fails_its_check(
    plan: CallPlan,
    signature: Callable[[str, str, str, bytes], str] | None,
    expected: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if signature is not None:
        monkeypatch.setattr(calls, "sign_call", signature)
    partner = FulfillmentPartner(SECRET)
    partner.shipping = LATER
    partner.calls = plan
    found = failures(partner, wait=1.5)
    assert {title for title, detail in expected.items() if detail not in found.get(title, "-")} == set()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("shippedAt", "2026-01-01T00:00:00", "shippedAt is not a time in UTC"),
        ("shippedAt", "2026-01-01T00:00:00+02:00", "shippedAt is not a time in UTC"),
        ("shippedAt", 7, "shippedAt is not a time in UTC"),
        ("deliveredAt", "2020-01-01T00:00:00Z", "deliveredAt is before shippedAt"),
        ("trackingUrl", "http://example.com", "trackingUrl is not an https URL"),
        ("carrier", "", "carrier is not a text"),
        ("weight", 3, r"unknown fields: \['weight'\]"),
        ("lines", [], "at least one line"),
        ("lines", [{"productId": "lamp", "quantity": 0}], "at least 1"),
        ("lines", [{"productId": "lamp", "quantity": True}], "at least 1"),
        ("lines", [{"productId": "lamp"}], "exactly the fields"),
        ("lines", [{"productId": "lamp", "quantity": 1}] * 2, "a product is on two lines"),
    ],
)
def test_a_call_with_a_wrong_field_is_reported(field: str, value: object, message: str) -> None:
    order = PartnerOrder({"lamp": 1}, ShippingPlan(), Ids(), time.time())
    with pytest.raises(Problem, match=message):
        decode_fact("shipments", json.dumps({**order.facts[0].body, field: value}).encode())


@pytest.mark.parametrize(
    ("change", "is_allowed"),
    [
        ({"deliveredAt": "2099-01-01T00:00:00Z"}, True),
        ({"trackingNumber": "corrected"}, True),
        ({"shippedAt": "2020-01-01T00:00:00Z"}, False),
        ({"lines": [{"productId": "lamp", "quantity": 2}]}, False),
        ({"carrier": None}, False),
    ],
)
def test_a_later_report_adds_facts_and_takes_none_back(change: dict[str, Any], is_allowed: bool) -> None:
    before = PartnerOrder({"lamp": 1}, ShippingPlan(), Ids(), time.time()).facts[0].body
    after = {name: value for name, value in {**before, **change}.items() if value is not None}
    assert is_addition(before, after) is is_allowed


# --- The command ---


def test_the_command_prints_each_check_and_exits_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    with PartnerServer(FulfillmentPartner(SECRET)) as server:
        assert check.main([server.url, "--secret", SECRET]) == 0
    printed = capsys.readouterr().out
    assert "ok    An order is accepted\n" in printed
    assert "skip  A refusal holds for its attempt and lower ones\n      use --refused-product" in printed
    assert printed.endswith("15 ok, 0 failed, 4 skipped\n")
    assert SECRET not in printed


def test_the_command_exits_with_1_for_a_difference(capsys: pytest.CaptureFixture[str]) -> None:
    with PartnerServer(WithoutSignature(SECRET)) as server:
        assert check.main([server.url, "--secret", SECRET]) == 1
    assert "FAIL  A request without a signature is refused with 401\n      an order was answered 201" in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fulfillment.example.com", "--secret", "s"], "'fulfillment.example.com' is not a URL"),
        (["http://127.0.0.1/"], "no secret: use --secret or the environment variable FULFILLMENT_SECRET"),
        (["http://127.0.0.1/", "--secret", "s", "--calls-port", "1"], "--calls-port needs --api-key"),
    ],
)
def test_wrong_usage_exits_with_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FULFILLMENT_SECRET", "API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SystemExit) as raised:
        check.main(arguments)
    assert raised.value.code == 2
    assert message in capsys.readouterr().err


def test_without_a_system_at_the_url_one_sentence_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with PartnerServer(FulfillmentPartner(SECRET)) as server:
        url = server.url
    assert check.main([url, "--secret", SECRET]) == 1
    assert capsys.readouterr() == ("", f"Error: no connection to {url}. Start the fulfillment system first\n")


def test_an_order_that_ships_after_the_wait_is_skipped() -> None:
    partner = FulfillmentPartner(SECRET)
    partner.shipping = ShippingPlan(ships_after=60)
    with (
        checked_system(partner, wait=0.3, with_calls=False) as system,
        pytest.raises(Skipped, match=r"still open after 0\.3 s; use a longer --wait"),
    ):
        check.check_done(system)
