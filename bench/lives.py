"""The lives that an order can have, each run once and counted in what AWS bills."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final
from unittest.mock import patch

from bench.billing import Call, Units, add, item_size
from bench.memory import Backend, backend

# The assumptions of the budgets. Lambda's own time per invocation and a run's length are given, not measured
# here: they depend on AWS, and `python -m bench warm` shows how little of the time is ours.
LAMBDA_SECONDS: Final = 0.020
LAMBDA_GB: Final = 128 / 1024
RUN_SECONDS: Final = 0.3
RUN_GB: Final = 64 / 1024  # EXPRESS bills memory in steps of 64 MB; a run of ours fits into one
BATCH: Final = 10  # messages of a full batch

_USER: Final = {"name": "Ada Lovelace", "email": "ada@example.com"}
_TITLES: Final = ("Desk lamp, brass", "Light bulb, E27, warm white")


@dataclass(frozen=True, kw_only=True)
class Life:
    """What one order of two lines used, from its POST to its end, and what it left."""

    name: str
    end: str
    calls: tuple[Call, ...]
    invocations: Mapping[str, int]  # of each function, at batch 1
    transitions: int
    requests: int  # to the API
    item_bytes: int  # the order's item at its end
    log_bytes: int
    metrics: frozenset[tuple[str, ...]] = field(repr=False)

    def units(self, workflow: str, *, batch: int) -> Units:
        """All that is billed for this order, without telemetry, when the consumer's batches hold `batch`."""
        # Of the consumer's invocation, and of the requests with which Lambda receives and deletes a batch,
        # an order has its share.
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


def live_all(log_level: str = "INFO") -> list[Life]:
    """Every life, in the order of the documentation. Takes about a second."""
    with _ticking_clock():
        return [_live(name, end, steps, log_level) for name, (end, steps) in _LIVES.items()]


def _fulfilled(made: Backend, user: str, products: list[str]) -> str:
    order = _place(made, user, products)
    made.deliver()
    return order


def _unknown_product(made: Backend, user: str, products: list[str]) -> str:
    return _fulfilled(made, user, [products[0], "no-such-product"])


def _out_of_stock(made: Backend, user: str, products: list[str]) -> str:
    return _fulfilled(made, user, [products[0], products[2]])


def _refused(made: Backend, user: str, products: list[str]) -> str:
    made.refusing = True
    return _fulfilled(made, user, products)


def _cancelled(made: Backend, user: str, products: list[str]) -> str:
    order = _place(made, user, products)
    made.api("orders_api", "POST", f"/orders/{order}/cancel")
    made.deliver()
    return order


_LIVES: Final[Mapping[str, tuple[str, Callable[[Backend, str, list[str]], str]]]] = {
    "fulfilled": ("FULFILLED", _fulfilled),
    "rejected, unknown product": ("REJECTED", _unknown_product),
    "rejected, out of stock": ("REJECTED", _out_of_stock),
    "refused and released": ("FAILED", _refused),
    "cancelled before the workflow": ("CANCELLED", _cancelled),
}


def _place(made: Backend, user: str, products: list[str]) -> str:
    lines = [{"productId": product, "quantity": 2} for product in products[:2]]
    return str(made.api("orders_api", "POST", "/orders", {"userId": user, "items": lines})["orderId"])


def _live(name: str, end: str, steps: Callable[[Backend, str, list[str]], str], log_level: str) -> Life:
    with backend(log_level) as made:
        user = made.api("users_api", "POST", "/users", _USER)["userId"]
        products = [
            made.api("products_api", "POST", "/products", {"title": title, "price": 1999, "stock": stock})
            for title, stock in (*((title, 100) for title in _TITLES), ("Rare lamp", 1))
        ]
        made.forget()
        order = steps(made, user, [product["productId"] for product in products])
        item = made.store.tables["orders"].items[order]
        if item["status"]["S"] != end:
            raise RuntimeError(f"the order ended {item['status']['S']}, not {end}")
        return Life(
            name=name,
            end=end,
            calls=tuple(made.ledger.calls),
            invocations=dict(made.invocations),
            transitions=made.transitions,
            requests=made.invocations["orders_api"],
            item_bytes=item_size(item),
            log_bytes=made.telemetry.log_bytes,
            metrics=frozenset(made.telemetry.metrics),
        )


@contextmanager
def _ticking_clock() -> Iterator[None]:
    """A clock that goes 50 ms further with each look, so that every run writes the same sizes."""
    ticks = itertools.count(0, 50)

    def now() -> str:
        tick = next(ticks)
        return f"2026-01-31T08:{tick // 60_000 % 60:02}:{tick // 1000 % 60:02}.{tick % 1000:03}Z"

    with patch("functions.shared.clock.now", now):
        yield
