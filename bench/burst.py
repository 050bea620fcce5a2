"""Sends a burst of orders to the embedded AWS: measures its processing, and checks that no order is lost."""

from __future__ import annotations

import json
import subprocess
import threading
import time
import urllib.error
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from bench.embedded import FINAL, StackClient
from bench.report import Figure, read, table, write
from functions.shared import clock
from functions.shared.domain.orders import UNFINISHED_STATUSES
from functions.shared.persistence.dynamodb import from_item
from local.partners.calls import Api, CallPlan
from local.partners.fulfillment import FulfillmentPartner, PartnerServer
from local.partners.shipping import ShippingPlan
from local.stack import RunningStack, running_stack

SIZES: Final = (200, 500, 2000)
_CLIENTS: Final = 8
_HAPPY: Final = ("PENDING", "VALIDATED", "FULFILLED")
_PRODUCTS: Final = 20
_STANDSTILL_TIMEOUT: Final = 75.0  # seconds without an order getting final; a retry waits for up to 60


def burst(sizes: Sequence[int] = SIZES) -> bool:
    """Sends bursts of these sizes, each to a new stack. Returns whether all orders and stocks are correct."""
    rows, results, is_correct = [], [], True
    for size in sizes:
        result = _burst(size)
        results.append(result)
        faults = result["faults"]
        is_correct = is_correct and not faults
        rows.append(
            [
                f"{size:,}",
                f"{result['ordersPerSecond']:.1f}",
                f"{result['p50']:.1f}",
                f"{result['p99']:.1f}",
                f"{result['peakBytes'] / 1e9:.2f}",
                f"{result['triedAgain']}",
                f"{result['requeued']}",
                "[green]all final, none lost or twice, stock exact" if not faults else f"[red]{faults}",
            ]
        )
    table(
        f"Burst: orders of two lines from {_CLIENTS} clients at once, on the embedded AWS",
        ["orders", "orders/s", "p50, s", "p99, s", "peak, GB", "tried again", "requeued", "outcome"],
        rows,
        "p50, p99: from POST to FULFILLED. Peak: the emulator and all Lambda workers. Tried again: by the "
        "clients. Requeued: orders whose execution failed because functions were throttled too often.",
    )
    last = read("burst") or {"bursts": []}  # keeps the results of other sizes
    kept = [one for one in last["bursts"] if one["orders"] not in sizes]
    write("burst", {"bursts": sorted([*kept, *results], key=lambda one: int(one["orders"]))})
    return is_correct


def reports(size: int = SIZES[0]) -> bool:
    """Sends orders that ship in two parcels, while a tenth of the fulfillment system's calls is lost.

    The requeue asks about all orders in fulfillment every few seconds. Returns whether all orders are
    DELIVERED, each with two parcels, and the stocks are exact.
    """
    partner = FulfillmentPartner("", seed=1)
    partner.shipping = ShippingPlan(ships_after=2.0, parcels=2, delivers_after=1.0)
    partner.calls = CallPlan(loses=0.1, pause=0.2)
    lines: list[str] = []
    with (
        PartnerServer(partner, report=lines.append) as server,
        running_stack(config={"fulfillmentUrl": f"{server.url}orders"}) as stack,
    ):
        partner.secret = str(stack.signing_secret)
        partner.api = Api(stack.api_url, stack.api_keys["paid"])
        clients = _Clients.of(stack, size, quantity=2)
        began = time.monotonic()
        clients.create_orders(size)
        answered = 0

        def ask() -> None:
            nonlocal answered
            answered += _requeue(stack, {"IN_FULFILLMENT"})["answered"]

        final = FINAL - {"FULFILLED"}
        orders = _await_all(stack, size, final, ask)
        requeued = sum(order["status"] not in final for order in orders)
        if requeued:
            _requeue(stack, UNFINISHED_STATUSES)
            orders = _await_all(stack, size, final, ask)
        seconds = time.monotonic() - began
        faults = _faults(clients, size, orders, stack)
    ends = Counter(
        (order["status"], sum("deliveredAt" in parcel for parcel in order.get("shipments", ())))
        for order in orders
    )
    if ends != {("DELIVERED", 2): size}:
        faults.append(f"statuses and delivered parcels {dict(ends)}")
    result = {
        "orders": size,
        "calls": sum(line.startswith("PUT") for line in lines),
        "lostCalls": sum(line.startswith("lost") for line in lines),
        "answeredQuestions": answered,
        "requeued": requeued,
        "seconds": seconds,
        "faults": faults,
    }
    table(
        "Reports: orders that ship in two parcels, on the embedded AWS",
        ["orders", "calls", "lost", "questions answered", "requeued", "seconds", "outcome"],
        [
            [
                *(f"{result[name]:,}" for name in list(result)[:5]),
                f"{seconds:.0f}",
                f"[red]{faults}" if faults else "[green]all delivered, none lost or twice, stock exact",
            ]
        ],
        "Lost: the request or the answer. Requeued: orders whose execution failed, because functions were "
        "throttled too often.",
    )
    write("reports", result)
    return not faults


def short_burst() -> bool:
    """Runs `burst` without the largest size, which takes several minutes."""
    return burst(SIZES[:-1])


@dataclass
class _Clients:
    """Concurrent clients that create orders. Each order has an idempotency key and is sent until accepted."""

    client: StackClient
    user: str
    products: Sequence[str]
    quantity: int = 1  # of each line
    tried_again: int = 0
    accepted: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, stack: RunningStack, size: int, quantity: int = 1) -> _Clients:
        """Creates a user, and products with stock for that many orders."""
        client = StackClient(stack)
        products = [client.create_product(size * quantity) for _ in range(_PRODUCTS)]
        return cls(client, client.create_user(), products, quantity)

    def create_orders(self, size: int) -> None:
        """Creates that many orders."""
        with ThreadPoolExecutor(_CLIENTS) as pool:
            list(pool.map(self.create_order, range(size)))

    def create_order(self, number: int) -> None:
        """Creates the order with this number."""
        lines = [self.products[(number + line) % len(self.products)] for line in (0, 7)]
        while True:
            try:
                order = self.client.create_order(self.user, lines, self.quantity, key=f"burst-{number}")
            except urllib.error.HTTPError as error:
                if error.code not in {429, 500, 502, 503, 504}:
                    raise
                with self._lock:
                    self.tried_again += 1
                time.sleep(0.2)
                continue
            with self._lock:
                self.accepted[order] += 1
            return


def _burst(size: int) -> dict[str, Any]:
    with running_stack() as stack, _memory(stack) as peak:
        clients = _Clients.of(stack, size)
        clients.create_orders(size)
        left = sum(order["status"] not in FINAL for order in _await_all(stack, size))
        if left:
            _requeue(stack, UNFINISHED_STATUSES)
        orders = _await_all(stack, size)
        took = [
            _moment(order["updatedAt"]) - _moment(order["createdAt"])
            for order in orders
            if order["status"] == "FULFILLED"
        ]
        begin = min(_moment(order["createdAt"]) for order in orders)
        end = max(_moment(order["updatedAt"]) for order in orders)
        ranked = sorted(took)
        return {
            "orders": size,
            "ordersPerSecond": len(took) / (end - begin),
            "p50": Figure.of(took).median,
            "p99": ranked[min(len(ranked) - 1, int(len(ranked) * 0.99))],
            "peakBytes": peak[0],
            "triedAgain": clients.tried_again,
            "requeued": left,
            "faults": [*_faults(clients, size, orders, stack), *_unexpected_histories(orders)],
        }


def _faults(
    clients: _Clients, size: int, orders: Sequence[Mapping[str, Any]], stack: RunningStack
) -> list[str]:
    """Returns the differences from the expected orders and stocks."""
    faults = []
    if len(clients.accepted) != size or {order["orderId"] for order in orders} != set(clients.accepted):
        faults.append(f"{len(clients.accepted)} accepted and {len(orders)} stored of {size}")
    reserved = Counter(
        line["productId"] for order in orders if "reservation" in order for line in order["items"]
    )
    stocks = {item["productId"]: item["stock"] for item in _scan(stack, "products")}
    wrong = sum(stock != clients.quantity * (size - reserved[product]) for product, stock in stocks.items())
    if wrong:
        faults.append(f"stock of {wrong} products wrong")
    return faults


def _unexpected_histories(orders: Sequence[Mapping[str, Any]]) -> list[str]:
    histories = Counter(tuple(entry["status"] for entry in order["history"]) for order in orders)
    other = {states: count for states, count in histories.items() if states != _HAPPY}
    return [f"histories {other}"] if other else []


def _requeue(stack: RunningStack, statuses: Collection[str]) -> dict[str, Any]:
    """Makes every order in these statuses due, and invokes the requeue. Returns its report."""
    dynamodb = stack.client("dynamodb")
    for order in _scan(stack, "orders"):
        if "dueAt" in order and order["status"] in statuses:
            with suppress(dynamodb.exceptions.ConditionalCheckFailedException):  # it is final by now
                dynamodb.update_item(
                    TableName=stack.outputs["tableNames"]["orders"],
                    Key={"orderId": {"S": order["orderId"]}},
                    UpdateExpression="SET dueAt = :then",
                    ConditionExpression="attribute_exists(openShard)",
                    ExpressionAttributeValues={":then": {"S": clock.now()}},
                )
    name = stack.functions["requeue_stalled_orders"]
    answer = stack.client("lambda").invoke(FunctionName=name, Payload=b"{}")
    text = answer["Payload"].read().decode()
    if "FunctionError" in answer:
        raise RuntimeError(f"the requeue failed: {text}")
    report: dict[str, Any] = json.loads(text)
    return report


def _await_all(
    stack: RunningStack,
    size: int,
    final: Collection[str] = FINAL,
    meanwhile: Callable[[], object] = int,
) -> list[dict[str, Any]]:
    """Returns all orders once they are final, or once no more get final. Calls `meanwhile` each second."""
    moved = time.monotonic()
    known = -1
    while True:
        orders = _scan(stack, "orders")
        number = sum(order["status"] in final for order in orders)
        if number == size:
            return orders
        if number != known:
            known, moved = number, time.monotonic()
        elif time.monotonic() - moved > _STANDSTILL_TIMEOUT:
            return orders
        time.sleep(1.0)
        meanwhile()


def _scan(stack: RunningStack, name: str) -> list[dict[str, Any]]:
    pages = (
        stack.client("dynamodb")
        .get_paginator("scan")
        .paginate(TableName=stack.outputs["tableNames"][name], ConsistentRead=True)
    )
    return [from_item(item) for page in pages for item in page["Items"]]


def _moment(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()


@contextmanager
def _memory(stack: RunningStack) -> Iterator[list[int]]:
    """Measures the resident memory of the stack's processes. The list's one element is the peak in bytes."""
    peak, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.5):
            lines = subprocess.run(
                ["ps", "-A", "-o", "pgid=,rss="], capture_output=True, text=True, check=True
            ).stdout.splitlines()
            rows = (line.split() for line in lines)
            peak[0] = max(peak[0], sum(int(rss) * 1024 for group, rss in rows if int(group) == stack.pid))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()
