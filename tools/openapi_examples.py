"""The examples of the contract: instances of the functions' types, so they are always valid."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from functions.baskets_api.views import BasketView
from functions.shared.domain.addresses import Address
from functions.shared.domain.baskets import NewBasketLine, NewCheckout
from functions.shared.domain.orders import (
    HistoryEntry,
    Money,
    NewOrder,
    NewOrderLine,
    Order,
    OrderLine,
    OrderStatus,
    Reservation,
    ReservationState,
    ReturnStatus,
    Shipment,
)
from functions.shared.domain.pricing import NewQuote, quote
from functions.shared.domain.products import (
    BatchProduct,
    NewProduct,
    NewStockChange,
    Product,
    ProductBatch,
    ProductPatch,
    ProductPut,
    StockChange,
)
from functions.shared.domain.shipping import (
    RefusalReport,
    ReportedLine,
    ReturnedLine,
    ReturnReport,
    ShipmentReport,
    record_refusal,
    record_return,
    record_shipment,
)
from functions.shared.domain.users import NewUser, User, UserPatch
from functions.shared.order_view import view
from functions.shared.persistence.order_lists import OrderQuery
from functions.shared.persistence.pages import Page, Position, encode_position, encode_token
from functions.shared.violations import FieldError

REQUEST_ID: Final = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"

_USER_ID: Final = "0d2f7f5c-3f0e-4a57-9d5e-2f4a5f1f2b60"
_PRODUCT_ID: Final = "7b1e8a34-5c5e-4b0f-8f0a-6e1c9b7d2a11"
_ORDER_ID: Final = "5f0c6a3e-9a64-5e0e-8d3e-1d6b1a0f7c11"
_SHADE_ID: Final = "c2a0f1de-8f0b-4c57-9f7d-0a4b8e5d3c22"
_AT: Final = "2026-01-31T08:00:00.000Z"
_LATER: Final = "2026-01-31T08:00:01.250Z"

_user: Final = User(
    user_id=_USER_ID,
    name="Ada Lovelace",
    email="ada@example.com",
    version=1,
    created_at=_AT,
    updated_at=_AT,
)
_product: Final = Product(
    product_id=_PRODUCT_ID,
    title="Desk lamp",
    description="Bright, and warm on demand",
    price=1999,
    currency="EUR",
    stock=120,
    category="Lamps",
    version=1,
    created_at=_AT,
    updated_at=_AT,
)
_shade: Final = msgspec.structs.replace(
    _product, product_id=_SHADE_ID, title="Lamp shade", description=None, price=899, stock=1
)
_pending: Final = Order(
    order_id=_ORDER_ID,
    user_id=_USER_ID,
    items=[OrderLine(product_id=_PRODUCT_ID, quantity=2)],
    status=OrderStatus.PENDING,
    history=[HistoryEntry(status=OrderStatus.PENDING, at=_AT)],
    attempt=1,
    created_at=_AT,
    updated_at=_AT,
)
_fulfilled: Final = msgspec.structs.replace(
    _pending,
    items=[OrderLine(product_id=_PRODUCT_ID, quantity=2, title="Desk lamp", unit_price=1999)],
    status=OrderStatus.FULFILLED,
    history=[
        *_pending.history,
        HistoryEntry(status=OrderStatus.VALIDATED, at=_AT),
        HistoryEntry(status=OrderStatus.FULFILLED, at=_LATER),
    ],
    total=3998,
    currency="EUR",
    shipments=[Shipment(shipment_id="SHP-5f0c6a3e9a64")],
    updated_at=_LATER,
)
_reported: Final = [ReportedLine(_PRODUCT_ID, 1)]
_handed_over: Final = msgspec.structs.replace(
    _fulfilled,
    status=OrderStatus.IN_FULFILLMENT,
    history=[*_fulfilled.history[:-1], HistoryEntry(status=OrderStatus.IN_FULFILLMENT, at=_LATER)],
    reservation=Reservation(ReservationState.HELD, 1, "ship.example.com/"),
    shipments=[],
)
_first_parcel: Final = ShipmentReport(
    lines=_reported,
    shipped_at=datetime(2026, 1, 31, 9, tzinfo=UTC),
    carrier="DHL",
    tracking_number="JD014600006281",
)
_in_parcels: Final = record_refusal(
    record_shipment(_handed_over, "P-1", _first_parcel, at=_LATER).order,
    "N-1",
    RefusalReport(lines=_reported, reason="broken in storage"),
    at=_LATER,
).order
_coming_back: Final = record_return(
    _fulfilled,
    "R-1",
    ReturnReport(status=ReturnStatus.REQUESTED, lines=[ReturnedLine(_PRODUCT_ID, 1)], reason="too bright"),
    at=_LATER,
).order
_cancelled: Final = msgspec.structs.replace(
    _pending,
    status=OrderStatus.CANCELLED,
    history=[*_pending.history, HistoryEntry(status=OrderStatus.CANCELLED, at=_LATER)],
    updated_at=_LATER,
)


def _named(**bodies: msgspec.Struct) -> dict[str, Any]:
    """Returns the examples of a body by name."""
    return {
        name: {"summary": name.replace("_", " "), "value": msgspec.to_builtins(body)}
        for name, body in bodies.items()
    }


def _page(list_name: str, record: User | Product, key: dict[str, str]) -> Any:
    token = encode_token(list_name, {name: {"S": value} for name, value in key.items()})
    return msgspec.to_builtins(Page(items=[record], next_token=token))


def _page_of_orders(query: OrderQuery) -> Any:
    token = encode_position(query.fingerprint, Position(_AT, {0: _ORDER_ID}))
    return msgspec.to_builtins(Page(items=[view(_fulfilled)], next_token=token))


_lines: Final = [
    NewOrderLine(product_id=_PRODUCT_ID, quantity=2),
    NewOrderLine(product_id=_SHADE_ID, quantity=3),
    NewOrderLine(product_id="no-such-product", quantity=1),
]
_quote: Final = quote(_lines, {_PRODUCT_ID: _product, _SHADE_ID: _shade})


def _basket(*lines: NewOrderLine) -> Any:
    quoted = quote(lines, {_PRODUCT_ID: _product, _SHADE_ID: _shade})
    return msgspec.to_builtins(
        BasketView(
            items=quoted.items,
            total=quoted.total,
            currency=quoted.currency,
            basket_id="9e1c5a0e-2b7d-4d8e-a1f3-64c0d9b7e833",
        )
    )


# By the name of the body's type.
BODIES: Final[dict[str, Any]] = {
    "ShipmentReport": _named(
        a_parcel=ShipmentReport(
            lines=_reported,
            shipped_at=datetime(2026, 1, 31, 9, tzinfo=UTC),
            carrier="DHL",
            tracking_number="JD014600006281",
        ),
        a_delivered_parcel=ShipmentReport(
            lines=_reported,
            shipped_at=datetime(2026, 1, 31, 9, tzinfo=UTC),
            carrier="DHL",
            tracking_number="JD014600006281",
            delivered_at=datetime(2026, 2, 2, 11, 30, tzinfo=UTC),
        ),
    ),
    "RefusalReport": _named(one_lamp=RefusalReport(lines=_reported, reason="broken in storage")),
    "ReturnReport": _named(
        an_announced_return=ReturnReport(
            status=ReturnStatus.REQUESTED, lines=[ReturnedLine(_PRODUCT_ID, 1)], reason="too bright"
        ),
        a_received_return=ReturnReport(
            status=ReturnStatus.RECEIVED, lines=[ReturnedLine(_PRODUCT_ID, 1, restock=True)]
        ),
    ),
    "NewUser": _named(a_user=NewUser(name="Ada Lovelace", email="ada@example.com")),
    "UserPatch": _named(another_address=UserPatch(email="countess@example.com")),
    "NewProduct": _named(
        a_product=NewProduct(
            title="Desk lamp",
            description="Bright, and warm on demand",
            price=1999,
            currency="EUR",
            stock=120,
            category="Lamps",
        )
    ),
    "ProductPatch": _named(
        another_price=ProductPatch(price=1799),
        no_description=ProductPatch(description=None),
        no_longer_for_sale=ProductPatch(archived=True),
        a_counted_stock_with_If_Match=ProductPatch(stock=80),
    ),
    "NewQuote": _named(three_lines=NewQuote(items=_lines)),
    "NewCheckout": _named(
        nothing_more=NewCheckout(),
        with_the_total_that_the_customer_saw=NewCheckout(
            expected_total=Money(amount=3998, currency="EUR"), reference="WEB-7341"
        ),
    ),
    "NewBasketLine": _named(two_pieces=NewBasketLine(quantity=2)),
    "ProductPut": _named(
        a_product=ProductPut(title="Desk lamp", price=1999, currency="EUR", stock=120, category="Lamps"),
    ),
    "ProductBatch": _named(
        two_products=ProductBatch(
            items=[
                BatchProduct(product_id="LAMP-4.2", title="Desk lamp", price=1999, stock=120),
                BatchProduct(product_id="SOFA-1", title="Sofa", price=49900, category="Sofas"),
            ]
        ),
    ),
    "NewStockChange": _named(
        a_delivery=NewStockChange(change=50, reason="delivery 4711"),
        a_loss=NewStockChange(change=-1, reason="broken"),
    ),
    "NewOrder": _named(
        two_lamps=NewOrder(user_id=_USER_ID, items=[NewOrderLine(product_id=_PRODUCT_ID, quantity=2)]),
        two_lamps_at_a_price=NewOrder(
            user_id=_USER_ID,
            items=[NewOrderLine(product_id=_PRODUCT_ID, quantity=2)],
            expected_total=Money(amount=3998, currency="EUR"),
        ),
        two_lamps_to_an_address=NewOrder(
            user_id=_USER_ID,
            items=[NewOrderLine(product_id=_PRODUCT_ID, quantity=2)],
            reference="WEB-7341",
            metadata={"channel": "newsletter"},
            deliver_to=Address(
                name="Ada Lovelace",
                lines=["12 St James's Square"],
                postal_code="SW1Y 4JH",
                city="London",
                country="GB",
                phone="+44 20 7946 0000",
                instructions="Ring twice",
            ),
        ),
    ),
}

# By the name of the route's handler.
ANSWERS: Final[dict[str, Any]] = {
    "put_shipment": msgspec.to_builtins(view(_in_parcels)),
    "put_refusal": msgspec.to_builtins(view(_in_parcels)),
    "put_return": msgspec.to_builtins(view(_coming_back)),
    "create_user": msgspec.to_builtins(_user),
    "list_users": _page("user", _user, {"userId": _USER_ID}),
    "get_user": msgspec.to_builtins(_user),
    "change_user": msgspec.to_builtins(
        msgspec.structs.replace(_user, email="countess@example.com", version=2, updated_at=_LATER)
    ),
    "put_user": msgspec.to_builtins(_user),
    "put_product": msgspec.to_builtins(_product),
    "put_products": {
        "results": [
            {"status": 201, "productId": "LAMP-4.2", "version": 1},
            {
                "status": 422,
                "problem": {
                    "type": "about:blank",
                    "title": "Unprocessable Content",
                    "status": 422,
                    "code": "invalid_input",
                    "detail": "Invalid price: expected a whole number from 0 to 100000000.",
                    "requestId": REQUEST_ID,
                    "errors": [{"field": "price", "message": "expected a whole number from 0 to 100000000"}],
                },
            },
        ]
    },
    "change_stock": msgspec.to_builtins(
        msgspec.structs.replace(
            _product,
            stock=170,
            version=2,
            last_stock_change=StockChange(change=50, at=_LATER, reason="delivery 4711"),
            updated_at=_LATER,
        )
    ),
    "create_product": msgspec.to_builtins(_product),
    "list_products": _page("product", _product, {"productId": _PRODUCT_ID}),
    "get_product": msgspec.to_builtins(_product),
    "change_product": msgspec.to_builtins(
        msgspec.structs.replace(_product, price=1799, version=2, updated_at=_LATER)
    ),
    "create_quote": msgspec.to_builtins(_quote),
    "get_basket": _basket(*_lines[:2]),
    "put_basket_item": _basket(*_lines[:2]),
    "delete_basket_item": _basket(_lines[0]),
    "create_order": msgspec.to_builtins(view(_pending)),
    "get_order": msgspec.to_builtins(view(_fulfilled)),
    "list_orders": _page_of_orders(OrderQuery()),
    "list_orders_of_user": _page_of_orders(OrderQuery(user_id=_USER_ID)),
    "check_out_basket": msgspec.to_builtins(view(_pending)),
    "cancel_order": msgspec.to_builtins(view(_cancelled)),
    "health": {"status": "ok", "service": "orderflow", "stack": "prod", "version": "3f9c2a7be410"},
}

# The quote in each error that has one, by the error's name.
QUOTES: Final = {
    "NotOrderable": quote([_lines[0], _lines[2]], {_PRODUCT_ID: _product}),
    "ShortBasket": quote(_lines[:2], {_PRODUCT_ID: _product, _SHADE_ID: _shade}),
    "PriceChanged": quote(_lines[:1], {_PRODUCT_ID: _product}),
}

# The detail of each error, by the error's name. tests/documents/test_openapi.py compares them with the API.
DETAILS: Final = {
    "MalformedBody": "the body is not valid JSON",
    "MalformedIfMatch": 'expected If-Match: "3", the ETag of a response, or a list of at most 50',
    "UnknownParameter": "unknown: expected no query parameter",
    "InvalidPageToken": "this list did not hand out the nextToken",
    "InvalidOrderQuery": "2099-01-01 is in the future: expected a day up to 2026-06-01 (UTC)",
    "InvalidLimit": "expected a whole number from 1 to 100",
    "NotFound": f"there is no order {_ORDER_ID}",
    "EmailTaken": "another user has this e-mail address",
    "InvalidSignature": "expected X-Orderflow-Timestamp and X-Orderflow-Signature of this route and body",
    "NotHandedOver": "the order is PENDING, and no fulfillment system has it",
    "ReportRefused": f"3 of product {_PRODUCT_ID} are more than was ordered: 2",
    "TooLateToCancel": "its stock is reserved; only an order without a reservation can be cancelled",
    "MalformedIfNoneMatch": "expected If-None-Match: *, which only creates",
    "InsufficientStock": "a change of -5 is more than the 2 in stock",
    "AlreadyExists": f"there is a product {_PRODUCT_ID} already",
    "BasketEmpty": "the basket is empty: put a product in first",
    "NotOrderable": "remove what cannot be ordered: no-such-product (unknown_product)",
    "ShortBasket": f"too little is in stock: {_SHADE_ID} (3 wanted, 1 left)",
    "PriceChanged": "the total is 3998 EUR, not 3598 EUR (minor units)",
    "VersionMismatch": "the product was changed since the version that If-Match names",
    "BodyTooLarge": "expected a body of at most 65536 bytes",
    "UnsupportedMediaType": "expected a body of type application/json, not text/plain",
    "IdempotencyKeyReused": "this Idempotency-Key came with another request before",
    "VersionRequired": "a change of stock needs If-Match with the product's ETag",
}

WRONG_FIELDS: Final = [FieldError("items[0].quantity", "expected a whole number from 1 to 1000")]
