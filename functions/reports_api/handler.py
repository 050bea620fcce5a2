"""The routes of reports on an order: its parcels, its refusals, and items that come back.

Parcels and refusals are the fulfillment system's. A client announces a return; who gets them reports it.
"""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Any

from functions.shared import aws, clock
from functions.shared.domain.errors import InvalidSignature, NotHandedOver, ReportRefused
from functions.shared.domain.orders import ReturnStatus
from functions.shared.domain.shipping import (
    Recorded,
    RefusalReport,
    ReturnReport,
    ShipmentReport,
    record_refusal,
    record_return,
    record_shipment,
)
from functions.shared.environment import optional, required
from functions.shared.events import EventBus
from functions.shared.http import Answer, Api
from functions.shared.lifecycle import OrderLifecycle
from functions.shared.observability import emit, logger
from functions.shared.order_view import OrderView, view
from functions.shared.persistence.orders import OrderRepository
from functions.shared.persistence.reports import Reports
from functions.shared.reporting import Reporting
from functions.shared.signatures import SigningSecret, check_signature

api = Api()
_dynamodb = aws.client("dynamodb")
_secret_arn = optional("FULFILLMENT_SECRET_ARN")
_secret = SigningSecret(lambda: aws.client("secretsmanager"), _secret_arn) if _secret_arn else None
_reporting = Reporting(
    Reports(_dynamodb, required("ORDERS_TABLE"), required("PRODUCTS_TABLE")),
    OrderLifecycle(
        OrderRepository(_dynamodb, required("ORDERS_TABLE")),
        EventBus.of_stack(lambda: aws.client("events")),
    ),
    overdue_hours=int(optional("FULFILLMENT_OVERDUE_HOURS") or 0),
)


@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answers one request."""
    return api.handle(event, context)


def _authorize() -> None:
    if _secret is None:
        raise InvalidSignature("this stack has no fulfillment system")
    check_signature(api, _secret)


@api.route(
    "PUT",
    "/orders/<order_id>/shipments/<shipment_id>",
    takes=ShipmentReport,
    raises=(InvalidSignature, NotHandedOver, ReportRefused),
    authorize=_authorize,
)
def put_shipment(order_id: str, shipment_id: str, body: ShipmentReport) -> Answer[OrderView]:
    """Report a parcel, or add to what was reported of it.

    For the fulfillment system, with a signature. 201 for a new parcel, 200 for a repeat or an addition.
    """
    at = clock.now()
    decide = partial(record_shipment, shipment_id=shipment_id, report=body, at=at)
    recorded = _reporting.record(order_id, decide, at=at)
    if recorded.is_unexpected:
        # The order was given up before: an operator has to look.
        logger.error("a parcel of an order that was given up", shipment_id=shipment_id)
        emit(counts=("UnexpectedShipments",))
    return _answer(recorded)


@api.route(
    "PUT",
    "/orders/<order_id>/refusals/<refusal_id>",
    takes=RefusalReport,
    raises=(InvalidSignature, NotHandedOver, ReportRefused),
    authorize=_authorize,
)
def put_refusal(order_id: str, refusal_id: str, body: RefusalReport) -> Answer[OrderView]:
    """Report lines that will not be shipped. They go back to stock.

    For the fulfillment system, with a signature. 201 for a new refusal, 200 for a repeat.
    """
    at = clock.now()
    decide = partial(record_refusal, refusal_id=refusal_id, report=body, at=at)
    return _answer(_reporting.record(order_id, decide, at=at))


@api.route(
    "PUT",
    "/orders/<order_id>/returns/<return_id>",
    takes=ReturnReport,
    raises=(InvalidSignature, ReportRefused),
)
def put_return(order_id: str, return_id: str, body: ReturnReport) -> Answer[OrderView]:
    """Announce a return, or report that they arrived.

    A client announces it (REQUESTED) and may change it until it is received. RECEIVED is final and needs the
    signature of the fulfillment system; an operator uses `ops orders receive`. What can be sold again
    (`restock`) goes back to stock. 201 for a new return, 200 for a repeat or a change.
    """
    if body.status is ReturnStatus.RECEIVED:
        _authorize()
    at = clock.now()
    decide = partial(record_return, return_id=return_id, report=body, at=at)
    return _answer(_reporting.record(order_id, decide, at=at))


def _answer(recorded: Recorded) -> Answer[OrderView]:
    return Answer(HTTPStatus.CREATED if recorded.is_new else HTTPStatus.OK, view(recorded.order))
