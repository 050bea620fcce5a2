"""The client of the fulfillment system, over real connections."""

from __future__ import annotations

import datetime
import json
import ssl
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from functions.shared.domain.errors import (
    FulfillmentRefused,
    FulfillmentUnavailable,
)
from functions.shared.domain.shipping import Word
from local.memory.backend import MemoryBackend
from local.partners.fulfillment import Behavior, FulfillmentPartner, PartnerServer
from tests.functions.fulfill_order.fulfillment_system.conftest import SECRET, configure, request_shipment


def test_the_request_has_items_idempotency_key_correlation_id_and_timestamp(
    fulfillment_system: FulfillmentPartner,
) -> None:
    assert request_shipment() == Word("parcel-1", [], [])
    (request,) = fulfillment_system.received
    assert json.loads(request.body) == {
        "orderId": "o-1",
        "attempt": 1,
        "items": [{"productId": "p-1", "quantity": 2, "title": "Lamp"}],
    }
    assert request.headers["idempotency-key"] == "o-1"
    assert request.headers["x-correlation-id"] == "cid-1"
    assert request.headers["content-type"] == "application/json"
    assert abs(int(request.headers["x-orderflow-timestamp"]) - time.time()) < 5


def test_the_signature_equals_the_documented_one() -> None:
    from functions.shared.signatures import sign

    documentation = (Path(__file__).parents[4] / "docs" / "fulfillment.md").read_text("utf-8")
    signature = sign(b"s3cret", "1767225600", b'{"orderId":"o-1"}')
    assert f"\n{signature}\n" in documentation


def test_a_repeated_request_returns_the_first_shipment(fulfillment_system: FulfillmentPartner) -> None:
    assert request_shipment() == request_shipment(attempt=2) == Word("parcel-1", [], [])
    assert len(fulfillment_system.received) == 2


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
def test_an_unusable_answer_is_unavailable_and_the_next_request_succeeds(
    fulfillment_system: FulfillmentPartner, behavior: Behavior
) -> None:
    fulfillment_system.plan.append(behavior)
    with pytest.raises(FulfillmentUnavailable):
        request_shipment()
    assert request_shipment() == Word("parcel-1", [], [])
    assert len(fulfillment_system.received) == 2


def test_a_refusal_is_final_for_its_attempt_and_has_a_reason(fulfillment_system: FulfillmentPartner) -> None:
    fulfillment_system.plan.append(Behavior.REFUSE)
    with pytest.raises(FulfillmentRefused, match=r"refused the order \(422\): we do not deliver there$"):
        request_shipment()
    with pytest.raises(FulfillmentRefused):
        request_shipment()
    assert request_shipment(attempt=2) == Word("parcel-1", [], [])


REFUSAL = b'{"refused": true}'


@pytest.mark.parametrize(
    ("status", "error"),
    [
        *[(status, "Unavailable") for status in (100, 302, 401, 403, 408, 425, 429, 500, 503)],
        *[(status, "Refused") for status in (400, 404, 410, 422, 499)],
    ],
)
def test_only_a_definitive_4xx_refuses_an_order(status: int, error: str) -> None:
    from functions.shared.fulfillment_client import Reply, read_reply

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
    """A proxy may answer it after the fulfillment system has accepted the order."""
    from functions.shared.fulfillment_client import Reply, read_reply

    if status == 202 and body in (b"", b"{}"):
        pytest.skip("accepted: see test_an_order_may_be_accepted_and_shipped_later")
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
def test_a_refusal_may_have_a_reason_in_any_encoding(body: bytes, reason: str) -> None:
    from functions.shared.fulfillment_client import Reply, read_reply

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
def test_a_success_without_a_shipment_is_unavailable(status: int, body: bytes) -> None:
    from functions.shared.fulfillment_client import Reply, read_reply

    if status == 202 and body in (b"", b"{}"):
        pytest.skip("accepted: see test_an_order_may_be_accepted_and_shipped_later")
    with pytest.raises(FulfillmentUnavailable):
        read_reply(Reply(status, body))


@pytest.mark.parametrize("body", [b"", b" ", b"{}", b'{"shipments": []}'])
def test_an_order_may_be_accepted_and_shipped_later(body: bytes) -> None:
    from functions.shared.fulfillment_client import Reply, read_reply

    word = read_reply(Reply(202, body))
    assert (word.whole, list(word.shipments), list(word.refusals)) == (None, [], [])


@pytest.mark.parametrize("status", [200, 202, 409])
def test_an_answer_may_name_parcels_and_refusals(status: int) -> None:
    from functions.shared.fulfillment_client import Reply, read_reply

    lines = [{"productId": "p-1", "quantity": 1}]
    shipment = {"shipmentId": "S-1", "lines": lines, "shippedAt": "2026-01-31T08:00:00Z", "box": "red"}
    refusal = {"refusalId": "N-1", "lines": lines, "reason": "broken"}
    body = json.dumps({"shipments": [shipment], "refusals": [refusal]}).encode()
    word = read_reply(Reply(status, body))
    assert [(name, report.lines[0].product_id) for name, report in word.shipments] == [("S-1", "p-1")]
    assert [(name, report.reason) for name, report in word.refusals] == [("N-1", "broken")]


@pytest.mark.parametrize("behavior", [Behavior.SLOW, Behavior.TRICKLE])
def test_a_slow_answer_is_unavailable_after_the_timeout(
    fulfillment_system: FulfillmentPartner, monkeypatch: pytest.MonkeyPatch, behavior: Behavior
) -> None:
    from functions.shared import fulfillment_client

    monkeypatch.setattr(fulfillment_client, "TIMEOUT", 0.5)
    fulfillment_system.plan.append(behavior)
    start = time.monotonic()
    with pytest.raises(FulfillmentUnavailable):
        request_shipment()
    assert 0.4 < time.monotonic() - start < 1.5


def test_a_refused_connection_is_unavailable(backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    with PartnerServer(FulfillmentPartner(SECRET)) as server:
        configure(backend, server.url, monkeypatch)
    with pytest.raises(FulfillmentUnavailable):
        request_shipment()


def record_secret_reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Returns a list that gets an element with each later read of the secret."""
    from functions.shared import signatures

    reads: list[int] = []
    renew = signatures.SigningSecret.renew

    def counted(self: Any) -> Any:
        reads.append(1)
        return renew(self)

    monkeypatch.setattr(signatures.SigningSecret, "renew", counted)
    return reads


def test_the_secret_is_read_once_per_lifetime(
    fulfillment_system: FulfillmentPartner, monkeypatch: pytest.MonkeyPatch
) -> None:

    reads = record_secret_reads(monkeypatch)
    for _ in range(3):
        request_shipment()
    assert len(reads) == 1
    from functions.shared import signatures

    monkeypatch.setattr(signatures, "SECRET_LIFETIME", 0.0)
    request_shipment()
    assert len(reads) > 1


def test_after_a_refused_signature_the_rotated_secret_is_read(
    backend: MemoryBackend, fulfillment_system: FulfillmentPartner
) -> None:
    request_shipment()
    fulfillment_system.secret = backend.cloud.partner.secret = "the next one"
    assert request_shipment() == Word("parcel-1", [], [])
    assert len(fulfillment_system.received) == 3


def test_a_signature_that_stays_refused_is_unavailable(
    fulfillment_system: FulfillmentPartner, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = record_secret_reads(monkeypatch)
    fulfillment_system.plan.extend([Behavior.LOCKED, Behavior.LOCKED])
    with pytest.raises(FulfillmentUnavailable, match="401"):
        request_shipment()
    assert (len(reads), len(fulfillment_system.received)) == (2, 1)  # the same secret is not tried twice


def test_no_log_line_and_no_error_contains_the_secret(
    backend: MemoryBackend, fulfillment_system: FulfillmentPartner, capfd: pytest.CaptureFixture[str]
) -> None:
    order_id = backend.create_validated_order({backend.create_product(): 1})
    fulfillment_system.plan.extend([Behavior.LOCKED, Behavior.BUSY, Behavior.REFUSE])
    errors = []
    for _ in range(3):
        with pytest.raises((FulfillmentUnavailable, FulfillmentRefused)) as raised:
            backend.reserve(order_id)
        errors.append(str(raised.value))
    written = capfd.readouterr()
    assert SECRET not in "".join([*errors, written.out, written.err])


def test_no_request_is_sent_to_a_server_with_an_untrusted_certificate(tmp_path: Path) -> None:
    from functions.shared.fulfillment_client import open_transport

    partner = FulfillmentPartner(SECRET)
    with PartnerServer(partner) as server:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(self_signed(tmp_path))
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        url = urlsplit(f"https://localhost:{server.server_port}/")
        with pytest.raises(FulfillmentUnavailable) as raised:
            open_transport()(url, b"{}", {}, 2.0)
    assert isinstance(raised.value.__cause__, ssl.SSLCertVerificationError)
    assert partner.received == []


def self_signed(folder: Path) -> Path:
    """Writes a self-signed certificate for localhost and its key. Returns their file."""
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
