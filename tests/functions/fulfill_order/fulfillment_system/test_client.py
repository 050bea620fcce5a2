"""The client of the fulfillment system, over real connections to the partner's program."""

from __future__ import annotations

import datetime
import json
import ssl
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from functions.shared.domain.errors import (
    FulfillmentRefused,
    FulfillmentUnavailable,
)
from functions.shared.domain.orders import Shipment
from local.memory.backend import MemoryBackend
from local.partners.fulfillment import Behavior, FulfillmentPartner, PartnerServer
from tests.functions.fulfill_order.fulfillment_system.conftest import SECRET, configure, ship


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

    documentation = (Path(__file__).parents[4] / "docs" / "fulfillment.md").read_text("utf-8")
    signature = sign(b"s3cret", "1767225600", b'{"orderId":"o-1"}')
    assert f"\n{signature}\n" in documentation


def test_a_repeat_is_answered_with_the_first_shipment(outside: FulfillmentPartner) -> None:
    assert ship() == ship(attempt=2) == Shipment(shipment_id="parcel-1")
    assert len(outside.received) == 2


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


REFUSAL = b'{"refused": true}'


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
        read_reply(Reply(status, REFUSAL))
    assert raised.typename == f"Fulfillment{error}"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"not found",
        b'{"refused": false}',
        b'{"refused": "true"}',
        b'{"title": "Not Found", "status": 404, "detail": "no route"}',
        b"[" * 100_000,
    ],
)
@pytest.mark.parametrize("status", [400, 404, 410, 413, 422])
def test_a_4xx_without_the_refusal_document_leaves_the_outcome_open(status: int, body: bytes) -> None:
    """It may come from something in between, after the fulfillment system has accepted the order."""
    from functions.fulfill_order.client import Reply, read_reply

    with pytest.raises(FulfillmentUnavailable):
        read_reply(Reply(status, body))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ('{"refused": true, "detail": "Straße unbekannt"}'.encode(), "Straße unbekannt"),
        ('{"refused": true, "detail": "Straße unbekannt"}'.encode("latin-1"), "Stra\ufffde unbekannt"),
        ('\ufeff{"refused": true, "detail": "no"}'.encode(), "no"),
    ],
)
def test_a_refusal_counts_in_whatever_encoding_its_reason_is(body: bytes, reason: str) -> None:
    from functions.fulfill_order.client import Reply, read_reply

    with pytest.raises(FulfillmentRefused, match=rf"refused the order \(422\): {reason}$"):
        read_reply(Reply(422, body))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"{}",
        b'{"shipmentId": ""}',
        b'{"shipmentId": 7}',
        b"\xff",
        b"{" * 5000,
        b'{"shipmentId": "\xdf"}',
    ],
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
    from functions.fulfill_order import client as fulfillment_client

    monkeypatch.setattr(fulfillment_client, "TIMEOUT", 0.5)
    outside.plan.append(behavior)
    start = time.monotonic()
    with pytest.raises(FulfillmentUnavailable):
        ship()
    assert 0.4 < time.monotonic() - start < 1.5


def test_nobody_listening_is_no_answer(backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    with PartnerServer(FulfillmentPartner(SECRET)) as server:
        configure(backend, server.url, monkeypatch)
    with pytest.raises(FulfillmentUnavailable):
        ship()


def secret_reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts, from now on, how often the secret is read."""
    from functions.fulfill_order import client as fulfillment_client

    reads: list[int] = []
    renew = fulfillment_client.SigningSecret.renew

    def counted(self: fulfillment_client.SigningSecret) -> bool:
        reads.append(1)
        return renew(self)

    monkeypatch.setattr(fulfillment_client.SigningSecret, "renew", counted)
    return reads


def test_the_secret_is_read_once_and_again_when_its_time_is_up(
    outside: FulfillmentPartner, monkeypatch: pytest.MonkeyPatch
) -> None:
    from functions.fulfill_order import client as fulfillment_client

    reads = secret_reads(monkeypatch)
    for _ in range(3):
        ship()
    assert len(reads) == 1
    monkeypatch.setattr(fulfillment_client, "SECRET_LIFETIME", 0.0)
    ship()
    assert len(reads) > 1


def test_a_rotated_secret_is_noticed_by_the_refused_signature(
    backend: MemoryBackend, outside: FulfillmentPartner
) -> None:
    ship()
    outside.secret = backend.cloud.partner.secret = "the next one"
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
    backend: MemoryBackend, outside: FulfillmentPartner, capfd: pytest.CaptureFixture[str]
) -> None:
    order_id = backend.create_validated_order({backend.create_product(): 1})
    outside.plan.extend([Behavior.LOCKED, Behavior.BUSY, Behavior.REFUSE])
    told = []
    for _ in range(3):
        with pytest.raises((FulfillmentUnavailable, FulfillmentRefused)) as raised:
            backend.reserve(order_id)
        told.append(str(raised.value))
    written = capfd.readouterr()
    assert SECRET not in "".join([*told, written.out, written.err])


def test_a_certificate_that_nobody_vouches_for_is_not_talked_to(tmp_path: Path) -> None:
    from functions.fulfill_order.client import open_transport, read_url

    partner = FulfillmentPartner(SECRET)
    with PartnerServer(partner) as server:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(self_signed(tmp_path))
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        url = read_url(f"https://localhost:{server.server_port}/", allow_http=False)
        with pytest.raises(FulfillmentUnavailable) as raised:
            open_transport()(url, b"{}", {}, 2.0)
    assert isinstance(raised.value.__cause__, ssl.SSLCertVerificationError)
    assert partner.received == []


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
