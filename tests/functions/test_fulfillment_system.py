"""FulfillOrder with a fulfillment system outside: over real connections to a small warehouse."""

from __future__ import annotations

import datetime
import json
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from functions.shared.domain.errors import (
    FulfillmentRefused,
    FulfillmentUnavailable,
    OrderRejected,
    Superseded,
)
from functions.shared.domain.orders import OrderLine, Shipment
from functions.shared.environment import InvalidEnvironmentVariable
from local.memory.functions import World, invoke_task
from local.partners.fulfillment import Behavior, FulfillmentPartner, PartnerServer

SECRET = "a secret that nobody may see"


@pytest.fixture
def warehouse() -> FulfillmentPartner:
    return FulfillmentPartner(SECRET)


@pytest.fixture
def server(warehouse: FulfillmentPartner) -> Iterator[PartnerServer]:
    with PartnerServer(warehouse) as server:
        yield server


@pytest.fixture
def secrets(world: World, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Secrets Manager, holding the secret under the name that the stack knows."""
    client = boto3.client("secretsmanager")
    arn = client.create_secret(Name="fulfillment", SecretString=SECRET)["ARN"]
    monkeypatch.setenv("FULFILLMENT_SECRET_ARN", arn)
    return client


@pytest.fixture
def outside(
    world: World, server: PartnerServer, secrets: Any, monkeypatch: pytest.MonkeyPatch
) -> FulfillmentPartner:
    """The warehouse, with FulfillOrder configured as the local stack does it."""
    from functions.fulfill_order import handler

    monkeypatch.setenv("FULFILLMENT_URL", f"{server.url}orders?from=tests")
    monkeypatch.setenv("FULFILLMENT_ALLOW_HTTP", "true")
    monkeypatch.setattr(handler, "_fulfillment_system", handler._outside())
    return server.warehouse


def ship(attempt: int = 1) -> Shipment:
    """Ask for a shipment without any order behind it."""
    from functions.fulfill_order import handler

    assert handler._fulfillment_system is not None
    handler._fulfillment_system.prepare()
    line = OrderLine(product_id="p-1", quantity=2, title="Lamp", unit_price=100)
    return handler._fulfillment_system.ship("o-1", attempt, [line], correlation_id="cid-1")


# --- the request ------------------------------------------------------------------------------------------


def test_the_request_names_the_goods_and_carries_key_correlation_and_signature(
    outside: FulfillmentPartner,
) -> None:
    assert ship() == Shipment(shipment_id="parcel-1")
    (request,) = outside.received
    assert json.loads(request.body) == {
        "orderId": "o-1",
        "attempt": 1,
        "items": [{"productId": "p-1", "quantity": 2, "title": "Lamp"}],
    }
    assert request.headers["idempotency-key"] == "o-1"
    assert request.headers["x-correlation-id"] == "cid-1"
    assert request.headers["content-type"] == "application/json"
    assert abs(int(request.headers["x-orderflow-timestamp"]) - time.time()) < 5


def test_the_signature_is_the_one_of_the_documentation() -> None:
    from functions.fulfill_order.client import sign

    documentation = (Path(__file__).parents[2] / "docs" / "fulfillment.md").read_text("utf-8")
    signature = sign(b"s3cret", "1767225600", b'{"orderId":"o-1"}')
    assert f"\n{signature}\n" in documentation


def test_a_repeat_is_answered_with_the_first_shipment(outside: FulfillmentPartner) -> None:
    assert ship() == ship(attempt=2) == Shipment(shipment_id="parcel-1")
    assert len(outside.received) == 2


# --- the answer -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "behavior",
    [
        Behavior.BUSY,
        Behavior.THROTTLE,
        Behavior.DROP_REQUEST,
        Behavior.DROP_ANSWER,
        Behavior.GARBLED,
        Behavior.MUTE,
        Behavior.HUGE,
        Behavior.REDIRECT,
    ],
)
def test_an_answer_that_cannot_be_relied_on_is_no_answer_and_the_next_one_counts(
    outside: FulfillmentPartner, behavior: Behavior
) -> None:
    outside.plan.append(behavior)
    with pytest.raises(FulfillmentUnavailable):
        ship()
    assert ship() == Shipment(shipment_id="parcel-1")
    assert len(outside.received) == 2


def test_a_refusal_is_final_and_gives_its_reason(outside: FulfillmentPartner) -> None:
    outside.plan.append(Behavior.REFUSE)
    with pytest.raises(FulfillmentRefused, match=r"refused the order \(422\): we do not deliver there$"):
        ship()
    with pytest.raises(FulfillmentRefused):
        ship()
    assert ship(attempt=2) == Shipment(shipment_id="parcel-1")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        *[(status, "Unavailable") for status in (100, 302, 401, 403, 408, 425, 429, 500, 503)],
        *[(status, "Refused") for status in (400, 404, 410, 422, 499)],
    ],
)
def test_only_a_definitive_no_refuses_an_order(status: int, error: str) -> None:
    from functions.fulfill_order.client import Reply, read_reply

    with pytest.raises((FulfillmentRefused, FulfillmentUnavailable)) as raised:
        read_reply(Reply(status, b"[]"))
    assert raised.typename == f"Fulfillment{error}"


@pytest.mark.parametrize(
    "body", [b"", b"null", b"{}", b'{"shipmentId": ""}', b'{"shipmentId": 7}', b"\xff", b"{" * 5000]
)
@pytest.mark.parametrize("status", [200, 202, 204, 409])
def test_a_success_without_a_shipment_is_no_answer(status: int, body: bytes) -> None:
    from functions.fulfill_order.client import Reply, read_reply

    with pytest.raises(FulfillmentUnavailable):
        read_reply(Reply(status, body))


@pytest.mark.parametrize("behavior", [Behavior.SLOW, Behavior.TRICKLE])
def test_an_answer_that_takes_too_long_is_cut_off_in_time(
    outside: FulfillmentPartner, monkeypatch: pytest.MonkeyPatch, behavior: Behavior
) -> None:
    from functions.fulfill_order import client as warehouse

    monkeypatch.setattr(warehouse, "TIMEOUT", 0.5)
    outside.plan.append(behavior)
    start = time.monotonic()
    with pytest.raises(FulfillmentUnavailable):
        ship()
    assert 0.4 < time.monotonic() - start < 1.5


def test_nobody_listening_is_no_answer(world: World, secrets: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from functions.fulfill_order import handler

    with PartnerServer(FulfillmentPartner(SECRET)) as server:
        monkeypatch.setenv("FULFILLMENT_URL", server.url)
        monkeypatch.setenv("FULFILLMENT_ALLOW_HTTP", "true")
    monkeypatch.setattr(handler, "_fulfillment_system", handler._outside())
    with pytest.raises(FulfillmentUnavailable):
        ship()


# --- the secret -------------------------------------------------------------------------------------------


def secret_reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts, from now on, how often the secret is read."""
    from functions.fulfill_order import client as warehouse

    reads: list[int] = []
    renew = warehouse.SigningSecret.renew

    def counted(self: warehouse.SigningSecret) -> bool:
        reads.append(1)
        return renew(self)

    monkeypatch.setattr(warehouse.SigningSecret, "renew", counted)
    return reads


def test_the_secret_is_read_once_and_again_when_its_time_is_up(
    outside: FulfillmentPartner, monkeypatch: pytest.MonkeyPatch
) -> None:
    from functions.fulfill_order import client as warehouse

    reads = secret_reads(monkeypatch)
    for _ in range(3):
        ship()
    assert len(reads) == 1
    monkeypatch.setattr(warehouse, "SECRET_LIFETIME", 0.0)
    ship()
    assert len(reads) > 1


def test_a_rotated_secret_is_noticed_by_the_refused_signature(
    outside: FulfillmentPartner, secrets: Any
) -> None:
    ship()
    outside.secret = "the next one"
    secrets.put_secret_value(SecretId="fulfillment", SecretString="the next one")
    assert ship() == Shipment(shipment_id="parcel-1")
    assert len(outside.received) == 3


def test_a_signature_that_stays_refused_fails_no_order(
    outside: FulfillmentPartner, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = secret_reads(monkeypatch)
    outside.plan.extend([Behavior.LOCKED, Behavior.LOCKED])
    with pytest.raises(FulfillmentUnavailable, match="401"):
        ship()
    assert (len(reads), len(outside.received)) == (2, 1)  # the same secret is not tried twice


def test_the_secret_is_never_logged_nor_told(
    world: World, outside: FulfillmentPartner, capfd: pytest.CaptureFixture[str]
) -> None:
    order_id = world.validated_order({world.product(): 1})
    outside.plan.extend([Behavior.LOCKED, Behavior.BUSY, Behavior.REFUSE])
    told = []
    for _ in range(3):
        with pytest.raises((FulfillmentUnavailable, FulfillmentRefused)) as raised:
            world.reserve(order_id)
        told.append(str(raised.value))
    written = capfd.readouterr()
    assert SECRET not in "".join([*told, written.out, written.err])


# --- where it may go --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "allow_http"),
    [
        ("http://warehouse.example/orders", False),
        ("http://warehouse.example/orders", True),
        ("http://127.0.0.1:8787/", False),
        ("http://127.0.0.1.example:8787/", True),
        ("https://user:password@warehouse.example/", False),
        ("https://", False),
        ("ftp://warehouse.example/", True),
        ("warehouse.example", True),
    ],
)
def test_only_https_without_credentials_is_accepted_at_the_start(
    world: World, monkeypatch: pytest.MonkeyPatch, url: str, allow_http: bool
) -> None:
    from functions.fulfill_order import handler

    monkeypatch.setenv("FULFILLMENT_SECRET_ARN", "arn")
    monkeypatch.setenv("FULFILLMENT_URL", url)
    monkeypatch.setenv("FULFILLMENT_ALLOW_HTTP", "true" if allow_http else "")
    with pytest.raises(InvalidEnvironmentVariable, match="FULFILLMENT_URL"):
        handler._outside()


def test_without_a_url_orders_are_fulfilled_in_place(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from functions.fulfill_order import handler

    monkeypatch.setenv("FULFILLMENT_URL", "")
    assert handler._outside() is None


def test_a_certificate_that_nobody_vouches_for_is_not_talked_to(tmp_path: Path) -> None:
    from functions.fulfill_order.client import open_transport, read_url

    warehouse = FulfillmentPartner(SECRET)
    with PartnerServer(warehouse) as server:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(self_signed(tmp_path))
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        url = read_url(f"https://localhost:{server.server_port}/", allow_http=False)
        with pytest.raises(FulfillmentUnavailable) as raised:
            open_transport()(url, b"{}", {}, 2.0)
    assert isinstance(raised.value.__cause__, ssl.SSLCertVerificationError)
    assert warehouse.received == []


def self_signed(folder: Path) -> Path:
    """A certificate for localhost, with its key, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    today = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


# --- the order --------------------------------------------------------------------------------------------


def test_an_order_is_handed_over_in_the_very_transaction_that_takes_its_goods(
    world: World, outside: FulfillmentPartner
) -> None:
    product = world.product(stock=5)
    order_id = world.validated_order({product: 2})
    assert world.reserve(order_id) == {"shipmentId": "parcel-1"}
    assert world.stored_order(order_id)["reservation"] == {
        "state": "HELD",
        "attempt": 1,
        "handedOver": True,
    }
    assert outside.contents == {order_id: {product: 2}}


def test_an_answer_that_was_lost_after_the_order_was_accepted_ends_in_one_shipment(
    world: World, outside: FulfillmentPartner
) -> None:
    product = world.product(stock=5)
    order_id = world.validated_order({product: 2})
    outside.plan.append(Behavior.DROP_ANSWER)
    with pytest.raises(FulfillmentUnavailable):
        world.reserve(order_id)
    assert world.reserve(order_id) == {"shipmentId": "parcel-1"}
    assert len(outside.shipments) == 1
    assert world.stock(product) == 3


def test_goods_that_were_held_in_place_are_handed_over_before_they_are_shipped(
    world: World, outside: FulfillmentPartner, monkeypatch: pytest.MonkeyPatch
) -> None:
    from functions.fulfill_order import handler

    order_id = world.validated_order({world.product(): 1})
    with monkeypatch.context() as before_the_url_was_set:
        before_the_url_was_set.setattr(handler, "_fulfillment_system", None)
        world.reserve(order_id)
    outside.plan.append(Behavior.DROP_REQUEST)
    with pytest.raises(FulfillmentUnavailable):
        world.reserve(order_id)
    assert world.stored_order(order_id)["reservation"]["handedOver"] is True


def test_an_order_that_went_outside_is_not_shipped_in_place_as_well(
    world: World, outside: FulfillmentPartner, monkeypatch: pytest.MonkeyPatch
) -> None:
    from functions.fulfill_order import handler

    order_id = world.validated_order({world.product(): 1})
    outside.plan.append(Behavior.DROP_ANSWER)
    with pytest.raises(FulfillmentUnavailable):
        world.reserve(order_id)
    monkeypatch.setattr(handler, "_fulfillment_system", None)
    with pytest.raises(FulfillmentUnavailable):
        world.reserve(order_id)


def test_a_fulfilled_order_is_answered_without_asking_again(
    world: World, outside: FulfillmentPartner
) -> None:
    order_id = world.validated_order({world.product(): 1})
    shipment = world.reserve(order_id)
    invoke_task("update_order_status", order_id, status="FULFILLED", shipment=shipment)
    assert world.reserve(order_id) == shipment
    assert len(outside.received) == 1


def test_an_order_that_is_rejected_or_superseded_never_goes_outside(
    world: World, outside: FulfillmentPartner
) -> None:
    order_id = world.validated_order({world.product(stock=1): 2})
    with pytest.raises(OrderRejected):
        world.reserve(order_id)
    with pytest.raises(Superseded):
        world.reserve(order_id, attempt=2)
    assert outside.received == []


def test_a_secret_that_cannot_be_read_leaves_the_order_in_our_hands(
    world: World, outside: FulfillmentPartner, secrets: Any
) -> None:
    product = world.product(stock=5)
    order_id = world.validated_order({product: 2})
    secrets.delete_secret(SecretId="fulfillment", ForceDeleteWithoutRecovery=True)
    with pytest.raises(Exception, match="ResourceNotFoundException"):
        world.reserve(order_id)
    assert "reservation" not in world.stored_order(order_id)
    assert world.stock(product) == 5
