"""The fulfillment system of `local/partners`: its answers and its calls over time, over HTTP."""

from __future__ import annotations

import dataclasses
import re
import signal
import subprocess
import sys
import time
from itertools import pairwise

import pytest

from local.engine.program import PROJECT_ROOT
from local.partners.calls import CallPlan, sign_call, sign_request
from local.partners.fulfillment import Behavior, duration, partner_for
from local.partners.receiver import NO_ANSWER
from local.partners.shipping import Ids, PartnerOrder, ShippingPlan
from tests.local.partners.conftest import KEY, LINES, SECRET, running, wait_until

# --- What happens to an order ---


def test_without_options_an_order_ships_at_once_in_one_parcel_and_nothing_is_called() -> None:
    with running() as shop:
        first, second = shop.post(), shop.post(attempt=2)
        assert (first.status_code, first.json()) == (201, {"shipmentId": "parcel-1"})
        assert (second.status_code, second.json()) == (409, {"shipmentId": "parcel-1"})
        assert shop.server.partner.contents == {"o-1": LINES}
        assert shop.wait_for_calls() == []


def test_ships_after_accepts_the_order_and_calls_later() -> None:
    with running("--ships-after", "200ms") as shop:
        answer = shop.post()
        assert (answer.status_code, answer.json()) == (202, {})
        assert shop.server.partner.shipments == {}
        assert shop.wait_for_calls() == [("parcel-1 shipped", 201)]
        assert shop.receiver.quantities("o-1", "shipments") == LINES
        repeated = shop.post()
        assert repeated.status_code == 200
        (shipment,) = repeated.json()["shipments"]
        assert shipment == {
            "shipmentId": "parcel-1",
            **shop.receiver.facts["o-1"]["shipments", "parcel-1"],
        }


def test_parcels_split_each_line_and_ship_one_after_the_other() -> None:
    with running("--ships-after", "200ms", "--parcels", "2") as shop:
        shop.post()
        wait_until(lambda: shop.receiver.calls)
        answer = shop.post()
        assert answer.status_code == 202
        assert [shipment["lines"] for shipment in answer.json()["shipments"]] == [
            [{"productId": "lamp", "quantity": 2}, {"productId": "desk", "quantity": 1}]
        ]
        assert shop.wait_for_calls() == [("parcel-1 shipped", 201), ("parcel-2 shipped", 201)]
        assert shop.receiver.quantities("o-1", "shipments") == LINES
        first, second = shop.receiver.calls
        assert second.at - first.at > 0.1


def test_parcels_that_ship_at_once_are_in_the_answer() -> None:
    with running("--parcels", "2") as shop:
        answer = shop.post()
        assert answer.status_code == 200
        assert [shipment["shipmentId"] for shipment in answer.json()["shipments"]] == ["parcel-1", "parcel-2"]
        assert shop.post().json() == answer.json()
        assert shop.wait_for_calls() == []


def test_delivers_after_adds_the_delivery_to_each_parcel() -> None:
    with running("--ships-after", "50ms", "--parcels", "2", "--delivers-after", "300ms") as shop:
        shop.post()
        assert shop.wait_for_calls() == [
            ("parcel-1 shipped", 201),
            ("parcel-2 shipped", 201),
            ("parcel-1 delivered", 200),
            ("parcel-2 delivered", 200),
        ]
        assert all("deliveredAt" in shipment for shipment in shop.post().json()["shipments"])


@pytest.mark.parametrize("line", ["2", "desk"])
def test_refuses_a_line_by_its_number_or_product(line: str) -> None:
    with running("--ships-after", "50ms", "--refuses", line) as shop:
        shop.post()
        assert sorted(shop.wait_for_calls()) == [("parcel-1 shipped", 201), ("refusal-1", 201)]
        assert shop.receiver.quantities("o-1", "shipments") == {"lamp": 3}
        assert shop.receiver.quantities("o-1", "refusals") == {"desk": 1}
        answer = shop.post()
        assert answer.status_code == 200
        assert answer.json()["refusals"] == [
            {
                "refusalId": "refusal-1",
                "lines": [{"productId": "desk", "quantity": 1}],
                "reason": "out of stock",
            }
        ]


def test_an_order_whose_lines_are_all_refused_is_refused_at_once_or_later() -> None:
    with running("--refuses", "1", "--refuses", "2") as shop:
        answer = shop.post()
        assert (answer.status_code, answer.json()) == (422, {"refused": True, "detail": "out of stock"})
    with running("--refuses", "1", "--refuses", "2", "--ships-after", "50ms") as shop:
        assert shop.post().status_code == 202
        assert shop.wait_for_calls() == [("refusal-1", 201)]
        assert shop.post().json().keys() == {"refusals"}


def test_returns_after_receives_one_piece_after_the_delivery() -> None:
    with running("--delivers-after", "50ms", "--returns-after", "100ms", "--ships-after", "50ms") as shop:
        shop.post()
        assert [name for name, _ in shop.wait_for_calls()] == [
            "parcel-1 shipped",
            "parcel-1 delivered",
            "return-1",
        ]
        assert shop.receiver.facts["o-1"]["returns", "return-1"]["status"] == "RECEIVED"
        assert shop.receiver.quantities("o-1", "returns") == {"lamp": 1}


def test_an_order_with_a_reference_may_have_its_own_plan() -> None:
    with running() as shop:
        partner = shop.server.partner
        partner.shipping_by_reference["slow"] = ShippingPlan(ships_after=600)
        items = [{"productId": "lamp", "quantity": 1}]
        answers = [
            shop.send({"orderId": id_, "attempt": 1, "items": items, "reference": id_}, id_)
            for id_ in ("slow", "another")
        ]
        assert [answer.status_code for answer in answers] == [202, 201]


# --- Cancellation ---


def test_a_cancellation_stops_all_parcels_and_a_later_request_is_refused() -> None:
    with running("--ships-after", "10m", "--parcels", "2", "--delivers-after", "1s") as shop:
        shop.post()
        answers = [shop.cancel(), shop.cancel()]
        assert [(answer.status_code, answer.json()) for answer in answers] == [(200, {"cancelled": True})] * 2
        refused = shop.post(attempt=2)
        assert (refused.status_code, refused.json()["refused"]) == (422, True)
        assert shop.server.partner.orders["o-1"].facts == []


def test_a_cancellation_after_the_first_parcel_stops_the_second() -> None:
    with running("--ships-after", "300ms", "--parcels", "2", "--delivers-after", "500ms") as shop:
        shop.post()
        wait_until(lambda: shop.receiver.calls)
        assert shop.cancel().json() == {"cancelled": True}
        assert shop.wait_for_calls() == [("parcel-1 shipped", 201), ("parcel-1 delivered", 200)]
        answer = shop.post()
        assert answer.status_code == 200
        assert [shipment["shipmentId"] for shipment in answer.json()["shipments"]] == ["parcel-1"]


def test_a_cancellation_after_everything_has_shipped_is_too_late() -> None:
    with running("--delivers-after", "10m") as shop:
        shop.post()
        assert shop.cancel().json() == {"cancelled": False, "detail": "everything has shipped"}
        assert shop.post().status_code == 200


def test_too_late_answers_each_cancellation_and_ships_on() -> None:
    with running("--ships-after", "200ms", "--too-late") as shop:
        shop.post()
        assert shop.cancel().json() == {"cancelled": False, "detail": "the parcels are packed"}
        assert shop.wait_for_calls() == [("parcel-1 shipped", 201)]


def test_a_cancellation_before_the_request_refuses_it() -> None:
    with running() as shop:
        assert shop.cancel().json() == {"cancelled": True}
        assert shop.post().status_code == 422


def test_a_cancellation_needs_its_own_idempotency_key() -> None:
    with running("--ships-after", "10m") as shop:
        shop.post()
        answer = shop.send({"orderId": "o-1", "attempt": 1, "cancel": True}, "o-1")
        assert answer.status_code == 400
        assert shop.server.partner.orders["o-1"].cancelled_at is None


def test_a_cancellation_has_no_effect_while_the_system_is_busy() -> None:
    with running("--ships-after", "10m") as shop:
        shop.post()
        shop.server.partner.plan.append(Behavior.BUSY)
        assert shop.cancel().status_code == 503
        assert shop.post().status_code == 202


# --- Calls ---

SHIPPED_AND_DELIVERED = ("--ships-after", "100ms", "--delivers-after", "100ms")


def test_late_calls_after_the_fact_and_answers_earlier() -> None:
    with running("--ships-after", "10ms", "--late", "400ms") as shop:
        shop.post()
        wait_until(lambda: shop.post().status_code == 200)
        assert shop.receiver.calls == []
        assert shop.wait_for_calls() == [("parcel-1 shipped", 201)]


def test_twice_sends_each_call_two_times() -> None:
    with running(*SHIPPED_AND_DELIVERED, "--twice") as shop:
        shop.post()
        assert shop.wait_for_calls() == [
            ("parcel-1 shipped", 201),
            ("parcel-1 shipped", 200),
            ("parcel-1 delivered", 200),
            ("parcel-1 delivered", 200),
        ]


def test_out_of_order_sends_the_newest_call_first() -> None:
    options = ("--parcels", "2", "--returns-after", "50ms", "--out-of-order")
    with running(*SHIPPED_AND_DELIVERED, *options) as shop:
        shop.post()
        called = shop.wait_for_calls()
        assert called[0] == ("parcel-2 delivered", 201)
        assert ("parcel-1 shipped", 409) in called  # the delivery is known already
        assert called[-1] == ("return-1", 201)
        assert len(called) == 5
        assert shop.receiver.quantities("o-1", "shipments") == LINES


def test_silent_sends_no_call_and_answers_repeated_requests() -> None:
    with running(*SHIPPED_AND_DELIVERED, "--silent") as shop:
        shop.post()
        wait_until(lambda: "deliveredAt" in str(shop.post().json()))
        assert shop.receiver.calls == []


def test_without_an_api_url_no_call_is_sent() -> None:
    with running("--ships-after", "10ms") as shop:
        shop.server.partner.api = None
        shop.post()
        wait_until(lambda: shop.post().status_code == 200)
        assert shop.receiver.calls == []


def test_a_lost_call_is_repeated_until_it_is_answered() -> None:
    plan = CallPlan(loses=0.3, pause=0.01)
    with running(*SHIPPED_AND_DELIVERED, "--seed", "7", calls=plan) as shop:
        for number in range(20):
            shop.post(f"o-{number}")
        called = shop.wait_for_calls()
        lost = [line for line in shop.printed if line.startswith("lost")]
        assert len(lost) > 10
        assert len(called) > 40  # some answers were lost, so their calls arrived twice
        for number in range(20):
            (shipment,) = shop.receiver.facts[f"o-{number}"].values()
            assert "deliveredAt" in shipment


def test_loses_is_a_share_of_the_calls() -> None:
    partner, _ = partner_for(["--secret", "s", "--loses", "0.1"])
    assert partner.calls == CallPlan(loses=0.1)
    with running(*SHIPPED_AND_DELIVERED, "--loses", "1", "--tries", "1") as shop:
        shop.post()
        shop.wait_for_calls()
        assert [line.split()[0] for line in shop.printed if "/orders/" in line].count("lost") == 2
        assert shop.receiver.facts.get("o-1", {}).keys() <= {("shipments", "parcel-1")}


@pytest.mark.parametrize("status", [NO_ANSWER, 401, 403, 429, 500, 503])
def test_a_call_is_repeated_after_an_answer_that_is_not_final(status: int) -> None:
    with running("--ships-after", "10ms", calls=CallPlan(pause=0.05)) as shop:
        shop.receiver.plan.append(status)
        shop.post()
        assert shop.wait_for_calls() == [("parcel-1 shipped", status), ("parcel-1 shipped", 201)]


@pytest.mark.parametrize("status", [200, 201, 404, 409, 422])
def test_a_call_is_not_repeated_after_a_final_answer(status: int) -> None:
    with running(*SHIPPED_AND_DELIVERED) as shop:
        shop.receiver.plan.append(status)
        shop.post()
        assert len(shop.wait_for_calls()) == 2


def test_tries_gives_a_call_up() -> None:
    with running("--ships-after", "10ms", calls=CallPlan(tries=2, pause=0.02)) as shop:
        shop.receiver.plan.extend([503] * 9)
        shop.post()
        assert [status for _, status in shop.wait_for_calls()] == [503, 503]


def test_the_pause_between_tries_doubles() -> None:
    with running("--ships-after", "10ms", calls=CallPlan(pause=0.1)) as shop:
        shop.receiver.plan.extend([503] * 3)
        shop.post()
        shop.wait_for_calls()
        times = [call.at for call in shop.receiver.calls]
        pauses = [later - earlier for earlier, later in pairwise(times)]
        assert [pause > wanted for pause, wanted in zip(pauses, (0.1, 0.2, 0.4), strict=True)] == [True] * 3


def test_an_old_secret_is_refused_and_the_call_succeeds_after_the_rotation() -> None:
    with running("--ships-after", "10ms", calls=CallPlan(pause=0.02)) as shop:
        shop.post()
        shop.server.partner.secret = "an old one"
        wait_until(lambda: shop.receiver.calls)
        shop.server.partner.secret = SECRET
        called = shop.wait_for_calls()
        assert called[0][1] == 401
        assert called[-1][1] == 201


# --- Facts over time ---


def test_at_every_instant_each_line_is_shipped_refused_or_open_and_no_fact_is_lost() -> None:
    plan = ShippingPlan(ships_after=1, parcels=3, delivers_after=1.5, refuses=frozenset({"2"}))
    lines = {"lamp": 7, "desk": 1, "chair": 2}
    order = PartnerOrder(lines, plan, Ids(), 0.0)
    before: dict[str, dict[str, object]] = {}
    for instant in range(60):
        now = instant / 10
        current = order.current("shipments", now)
        for parcel, body in before.items():
            assert body.items() <= current[parcel].items()
        before = current
        shipped = order.shipped(now)
        assert all(shipped[product] <= lines[product] for product in shipped)
        assert order.is_open(now) == (now < 3)
    assert order.shipped(9) == {"lamp": 7, "chair": 2}


@pytest.mark.parametrize(
    ("lines", "parcels", "expected"),
    [
        ({"lamp": 1}, 5, [{"lamp": 1}]),
        ({"lamp": 2}, 2, [{"lamp": 1}, {"lamp": 1}]),
        ({"lamp": 5, "desk": 1}, 3, [{"lamp": 2, "desk": 1}, {"lamp": 2}, {"lamp": 1}]),
    ],
)
def test_a_parcel_is_never_empty(lines: dict[str, int], parcels: int, expected: list[dict[str, int]]) -> None:
    order = PartnerOrder(lines, ShippingPlan(parcels=parcels), Ids(), 0.0)
    contents = [fact.body["lines"] for fact in order.facts]
    assert [{line["productId"]: line["quantity"] for line in content} for content in contents] == expected


# --- The command ---


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("3s", 3), ("2m", 120), ("1.5h", 5400), ("4", 4)]
)
def test_a_duration_has_a_unit_or_is_in_seconds(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no secret: use --secret or the environment variable FULFILLMENT_SECRET"),
        (["--secret", "s", "--api-url", "http://127.0.0.1:1"], "--api-url needs --api-key"),
        (["--secret", "s", "--ships-after", "soon"], "'soon' is not a duration. Use for example 500ms"),
        (["--secret", "s", "--ships-after", "-3s"], "--ships-after"),
        (["--secret", "s", "--parcels", "0"], "'0' is not allowed. Use a whole number from 1 to 50"),
        (["--secret", "s", "--parcels", "51"], "'51' is not allowed"),
        (["--secret", "s", "--loses", "10"], "'10' is not a share. Use a number from 0 to 1"),
        (["--secret", "s", "--busy", "0.6", "--slow", "0.5"], "1.1 together. Use at most 1"),
    ],
)
def test_a_wrong_option_is_reported_with_its_value(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FULFILLMENT_SECRET", "API_URL", "API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SystemExit) as raised:
        partner_for(arguments)
    assert raised.value.code == 2
    assert message in capsys.readouterr().err


def test_secret_url_and_key_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULFILLMENT_SECRET", SECRET)
    monkeypatch.setenv("API_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("API_KEY", KEY)
    partner, port = partner_for([])
    assert partner.api is not None
    assert (partner.secret, partner.api.url, partner.api.key, port) == (
        SECRET,
        "http://127.0.0.1:1/v1",
        KEY,
        8787,
    )
    assert KEY not in repr(partner.api)


def test_neither_secret_nor_key_is_printed() -> None:
    """The command runs with a call that fails, an order that ships, and a request with a wrong signature."""
    with running("--ships-after", "10ms") as shop:
        shop.receiver.api_key = "another one"
        shop.post()
        wait_until(lambda: any("403" in line for line in shop.printed))
        assert shop.server.partner.waiting_calls == 1
        assert SECRET not in "\n".join(shop.printed)
        assert KEY not in "\n".join(shop.printed)


def test_the_command_serves_until_it_is_interrupted() -> None:
    command = [sys.executable, "-m", "local.partners.fulfillment", "--port", "0", "--secret", SECRET]
    with subprocess.Popen(
        command, cwd=PROJECT_ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
    assert first.startswith("serving on http://127.0.0.1:")
    assert "sends no calls" in first
    assert rest == "0 requests, 0 orders shipped\n"
    assert SECRET not in first + rest


def test_help_names_every_option_of_both_plans(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        partner_for(["--help"])
    printed = capsys.readouterr().out
    fields = [*dataclasses.fields(ShippingPlan), *dataclasses.fields(CallPlan)]
    names = {f"--{field.name.replace('_', '-')}" for field in fields} - {"--pause"}
    assert {name for name in names if name not in printed} == set()


# --- Signatures ---


def test_the_documented_signatures_are_those_of_the_code_and_of_openssl() -> None:
    text = (PROJECT_ROOT / "docs" / "fulfillment.md").read_text("utf-8")
    body = b'{"lines":[{"productId":"lamp","quantity":1}],"shippedAt":"2026-01-01T00:00:00Z"}'
    signatures = [
        sign_request("s3cret", "1767225600", b'{"orderId":"o-1"}'),
        sign_call("s3cret", "1767225600", "/orders/o-1/shipments/p-1", body),
    ]
    assert re.findall(r"^v1=.*$", text, re.MULTILINE) == signatures
    one_line = re.findall(r"`(printf .* openssl .*)`", text)
    block = re.findall(r"```sh\n(body=.*?)```", text, re.DOTALL)
    for command, signature in zip([*one_line, *block], signatures, strict=True):
        printed = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True).stdout
        assert f"v1={printed.split()[-1]}" == signature


def test_a_call_is_signed_over_timestamp_method_route_and_body() -> None:
    signature = sign_call("s3cret", "1767225600", "/orders/o-1/shipments/p-1", b"{}")
    assert signature != sign_call("s3cret", "1767225600", "/orders/o-2/shipments/p-1", b"{}")
    assert signature != sign_call("s3cret", "1767225600", "/orders/o-1/refusals/p-1", b"{}")
    assert signature == sign_request("s3cret", "1767225600", b"PUT /orders/o-1/shipments/p-1.{}")


def test_the_receiver_refuses_an_old_signature_and_one_of_another_route() -> None:
    with running() as shop:
        shop.receiver.orders["o-1"] = LINES
        path, body = (
            "/orders/o-1/refusals/r-1",
            b'{"lines": [{"productId": "lamp", "quantity": 1}], "reason": "no"}',
        )
        for age, signed, status in (
            (0, path, 201),
            (301, path, 401),
            (-301, path, 401),
            (0, path + "2", 401),
        ):
            timestamp = str(int(time.time()) - age)
            headers = {
                "x-api-key": KEY,
                "x-orderflow-timestamp": timestamp,
                "x-orderflow-signature": sign_call(SECRET, timestamp, signed, body),
            }
            assert shop.receiver.handle(path, headers, body)[0] == status
