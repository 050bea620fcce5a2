"""Runs each path of an order once, and counts what AWS bills."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from bench.billing import BilledCall, Units, add, item_size
from bench.metering import MeteredBackend, metered_backend
from local.partners.fulfillment import Behavior
from local.partners.shipping import ShippingPlan

# The assumptions of the budgets. The durations of an invocation and of an execution depend on AWS.
# `python -m bench warm` measures this project's share of an invocation.
LAMBDA_SECONDS: Final = 0.020
LAMBDA_GB: Final = 128 / 1024
RUN_SECONDS: Final = 0.3
RUN_GB: Final = 64 / 1024  # EXPRESS bills memory in steps of 64 MB; an execution needs one step
BATCH: Final = 10  # messages of a full batch

_ADDRESS: Final = {
    "name": "Ada Lovelace",
    "company": "Analytical Engines Ltd",
    "lines": ["12 St James's Square", "Second floor"],
    "postalCode": "SW1Y 4JH",
    "city": "London",
    "country": "GB",
    "phone": "+44 20 7946 0958",
    "email": "ada@example.com",
    "instructions": "Ring twice, and leave it with the porter",
}
_METADATA: Final = {
    "campaign": "spring-2026",
    "card": "Happy birthday, dear Grace! " * 7,
    "packaging": "Gift wrap with a blue ribbon. " * 5,
    "shop": "web",
}
CONTENTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "fulfilled, with an address": {"deliverTo": _ADDRESS},
    "fulfilled, with address and metadata": {"deliverTo": _ADDRESS, "metadata": _METADATA},
}
"""Paths of an order about which the client says more."""
TWO_PARCELS: Final = ShippingPlan(ships_after=1.0, parcels=2, delivers_after=1.5)

_USER: Final = {"name": "Ada Lovelace", "email": "ada@example.com"}
_TITLES: Final = ("Desk lamp, brass", "Light bulb, E27, warm white")


@dataclass(frozen=True, kw_only=True)
class OrderPath:
    """The use of AWS by one order of two lines, from its POST to its final status."""

    name: str
    end: str
    calls: tuple[BilledCall, ...]
    invocations: Mapping[str, int]  # of each function, at batch 1
    transitions: int
    requests: int  # to the API
    item_bytes: int  # the final item of the order
    log_bytes: int
    metrics: frozenset[tuple[str, ...]] = field(repr=False)

    def units(self, workflow: str, *, batch: int) -> Units:
        """Returns the billed units of the order without telemetry, with `batch` messages in a batch."""
        # The orders of a batch share the consumer's invocation and Lambda's queue requests.
        invocations = sum(self.invocations.values()) - 1 + 1 / batch
        units: Units = {}
        for call in self.calls:
            add(units, call.units)
        add(
            units,
            {
                "apiRequests": self.requests,
                "invocations": invocations,
                "gbSeconds": invocations * LAMBDA_SECONDS * LAMBDA_GB,
                "queueRequests": 2 / batch,
            },
        )
        if workflow == "STANDARD":
            add(units, {"transitions": self.transitions})
        else:
            add(units, {"expressRequests": 1, "expressGbSeconds": RUN_SECONDS * RUN_GB})
        return units


def measure_all_paths(log_level: str = "INFO") -> list[OrderPath]:
    """Measures every path, in the order of docs/cost.md. Takes about a second."""
    return [_measure(name, end, run, log_level) for name, (end, run) in _PATHS.items()]


Run = Callable[[MeteredBackend, str, list[str]], str]
"""Creates an order of a user with some of these products, runs it to its end, and returns its id."""


def _fulfilled(meter: MeteredBackend, user: str, products: list[str], **fields: Any) -> str:
    order = _create_order(meter, user, products, **fields)
    meter.backend.run_workflow()
    return order


def _two_parcels(meter: MeteredBackend, user: str, products: list[str]) -> str:
    meter.backend.cloud.partner.shipping = TWO_PARCELS
    order = _fulfilled(meter, user, products)
    meter.backend.wait(1)
    meter.backend.deliver_reports()
    return order


def _unknown_product(meter: MeteredBackend, user: str, products: list[str]) -> str:
    return _fulfilled(meter, user, [products[0], "no-such-product"])


def _out_of_stock(meter: MeteredBackend, user: str, products: list[str]) -> str:
    return _fulfilled(meter, user, [products[0], products[2]])


def _refused(meter: MeteredBackend, user: str, products: list[str]) -> str:
    meter.backend.cloud.partner.plan.append(Behavior.REFUSE)
    return _fulfilled(meter, user, products)


def _cancelled(meter: MeteredBackend, user: str, products: list[str]) -> str:
    order = _create_order(meter, user, products)
    meter.request("POST", f"/orders/{order}/cancel")
    meter.backend.run_workflow()
    return order


_PATHS: Final[Mapping[str, tuple[str, Run]]] = {
    "fulfilled": ("FULFILLED", _fulfilled),
    **{name: ("FULFILLED", partial(_fulfilled, **fields)) for name, fields in CONTENTS.items()},
    "delivered in two parcels": ("DELIVERED", _two_parcels),
    "rejected, unknown product": ("REJECTED", _unknown_product),
    "rejected, out of stock": ("REJECTED", _out_of_stock),
    "refused and released": ("FAILED", _refused),
    "cancelled before the workflow": ("CANCELLED", _cancelled),
}


def _create_order(meter: MeteredBackend, user: str, products: list[str], **fields: Any) -> str:
    lines = [{"productId": product, "quantity": 2} for product in products[:2]]
    return str(meter.request("POST", "/orders", {"userId": user, "items": lines, **fields})["orderId"])


def _measure(name: str, end: str, run: Run, log_level: str) -> OrderPath:
    with metered_backend(log_level, uses_fulfillment_system=run in (_refused, _two_parcels)) as meter:
        user = meter.request("POST", "/users", _USER)["userId"]
        products = [
            meter.request("POST", "/products", {"title": title, "price": 1999, "stock": stock})
            for title, stock in (*((title, 100) for title in _TITLES), ("Rare lamp", 1))
        ]
        meter.reset()
        order = run(meter, user, [product["productId"] for product in products])
        if meter.backend.status(order) != end:
            raise RuntimeError(f"the order is {meter.backend.status(order)}, expected {end}")
        return OrderPath(
            name=name,
            end=end,
            calls=tuple(meter.ledger.calls),
            invocations=dict(meter.invocations),
            transitions=meter.transitions,
            requests=meter.invocations["orders_api"] + meter.invocations["reports_api"],
            item_bytes=item_size(meter.backend.cloud.store.tables["orders"].items[order]),
            log_bytes=meter.telemetry.log_bytes,
            metrics=frozenset(meter.telemetry.metrics),
        )
