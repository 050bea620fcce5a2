"""A burst of orders on the embedded AWS with injected faults: `python -m bench.faults`.

About one order in six is the checkout of a basket. The fulfillment system refuses, loses or delays a share of
the requests. Clients and the queue repeat requests and messages, and Lambda workers are killed while they
run. Afterwards every order must be final, none lost, none shipped twice, and the stock exact.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import requests

from functions.shared import clock
from functions.shared.domain.moves import LEGAL_MOVES
from functions.shared.domain.orders import Order, OrderStatus
from functions.shared.order_queue import OrderMessage, OrderQueue
from functions.shared.persistence.dynamodb import from_item
from functions.shared.persistence.open_index import OPEN_SHARDS, OpenOrder
from functions.shared.persistence.orders import OrderRepository
from local.partners.fulfillment import Behavior, FulfillmentPartner, PartnerServer, mixed_behavior
from local.stack import RunningStack, running_stack

# Each behavior's share of the fulfillment system's faults.
_BEHAVIORS: Final = {
    Behavior.BUSY: 0.3,
    Behavior.DROP_REQUEST: 0.2,
    Behavior.DROP_ANSWER: 0.2,
    Behavior.GARBLED: 0.1,
    Behavior.REFUSE: 0.1,
    Behavior.SLOW: 0.1,
}
_INTERVAL: Final = 0.5  # seconds between two checks of the progress
_STALLED_AFTER: Final = 10.0  # seconds, instead of the stack's ten minutes
_CLIENT_RETRIES: Final = 30
_CHECKOUT_EACH: Final = 5  # orders
_CLIENT_PAUSE: Final = 0.3  # seconds


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The parameters of a trial."""

    orders: int
    share: float = 0.05  # of requests, messages and workers that fail
    clients: int = 8  # concurrent
    products: int = 20
    seed: int = 1
    timeout: float = 900.0  # seconds until all orders must be final
    redelivery: int | None = None  # the queue's visibility timeout in seconds; None: as deployed


@dataclass(kw_only=True)
class Report:
    """The result of a trial. `problems` is empty when all guarantees hold."""

    orders: int = 0
    checkouts: int = 0  # among them
    seconds: float = 0.0
    p50: float = 0.0  # seconds from the creation to FULFILLED
    p99: float = 0.0
    peak_memory: int = 0  # bytes, of the emulator and all workers
    ends: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        """Orders per second, from the first request to the last final order."""
        return self.orders / self.seconds

    def lines(self) -> Iterator[str]:
        """Yields the lines of the printed report."""
        yield f"orders       {self.orders}, {self.checkouts} from baskets: {_counts(self.ends)}"
        yield f"faults       {_counts(self.faults)}"
        yield f"throughput   {self.per_second:.1f} orders/s ({self.seconds:.1f} s)"
        yield f"to FULFILLED p50 {self.p50:.1f} s, p99 {self.p99:.1f} s"
        yield f"peak memory  {self.peak_memory / 2**20:.0f} MB (emulator and workers, resident)"
        for problem in self.problems:
            yield f"PROBLEM      {problem}"
        if not self.problems:
            yield "all orders final, none lost, none shipped twice, stock exact"


@contextlib.contextmanager
def stack_with_partner(plan: Plan) -> Iterator[tuple[RunningStack, FulfillmentPartner]]:
    """Starts the embedded AWS with a fulfillment system that misbehaves as planned."""
    partner = FulfillmentPartner("")
    partner.behavior = mixed_behavior(
        {behavior: plan.share * part for behavior, part in _BEHAVIORS.items()}, plan.seed
    )
    with (
        PartnerServer(partner) as server,
        running_stack(config={"fulfillmentUrl": server.url}) as stack,
    ):
        partner.secret = str(stack.signing_secret)
        if plan.redelivery is not None:
            stack.client("sqs").set_queue_attributes(
                QueueUrl=stack.outputs["queueUrl"], Attributes={"VisibilityTimeout": str(plan.redelivery)}
            )
        yield stack, partner


class Trial:
    """One run of a plan on a new stack."""

    def __init__(self, stack: RunningStack, partner: FulfillmentPartner, plan: Plan) -> None:
        self._stack = stack
        self._partner = partner
        self._plan = plan
        self._chance = random.Random(plan.seed)  # noqa: S311
        tables = stack.outputs["tableNames"]
        self._products_table: str = tables["products"]
        self._orders_table: str = tables["orders"]
        self._orders = OrderRepository(stack.client("dynamodb"), self._orders_table)
        self._queue = OrderQueue(stack.client("sqs"), stack.outputs["queueUrl"])
        self._requeue = stack.functions["requeue_stalled_orders"]
        self._local = threading.local()
        self._repeated: deque[str] = deque()  # orders whose message will be sent again
        self._stock: dict[str, int] = {}
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._peak = 0
        self._draw_behavior, partner.behavior = partner.behavior, self._draw_and_count_behavior

    def run(self) -> Report:
        """Creates all orders, waits until they are final, and checks them."""
        user = self._call("POST", "/users", {"name": "Ada", "email": "ada@example.com"})["userId"]
        # One order in ten contains the first product, whose stock does not suffice for all.
        for number in range(self._plan.products):
            stock = self._plan.orders if number else self._plan.orders // 50
            body = {"title": f"Product {number}", "price": 100 + number, "stock": stock}
            self._stock[self._call("POST", "/products", body)["productId"]] = stock
        started = time.monotonic()
        with ThreadPoolExecutor(self._plan.clients) as clients:
            bodies = {f"key-{number}": self._new_order(user) for number in range(self._plan.orders)}
            requests_sent = [
                clients.submit(
                    self._check_out if self._is_checkout(number, body) else self._create_order, key, body
                )
                for number, (key, body) in enumerate(bodies.items())
            ]
            self._run_until_final(requests_sent, started + self._plan.timeout)
            ids = [future.result() for future in requests_sent]
        return self._check(ids, time.monotonic() - started)

    # --- requests and faults ------------------------------------------------------------------------------

    def _new_order(self, user: str) -> dict[str, Any]:
        lines = self._chance.sample(sorted(self._stock), self._chance.randint(1, 3))
        items = [{"productId": product, "quantity": self._chance.randint(1, 3)} for product in lines]
        return {"userId": user, "items": items}

    def _is_checkout(self, number: int, body: Mapping[str, Any]) -> bool:
        """Returns whether an order is a checkout. One with the scarce product could be refused at once."""
        scarce = next(iter(self._stock))
        return number % _CHECKOUT_EACH == 0 and all(line["productId"] != scarce for line in body["items"])

    def _create_order(self, key: str, body: Mapping[str, Any]) -> str:
        return self._place(key, lambda: str(self._call("POST", "/orders", body, key)["orderId"]))

    def _check_out(self, key: str, body: Mapping[str, Any]) -> str:
        """Orders the same lines from the basket of a user of their own, who is created under the key."""
        self._call("PUT", f"/users/{key}", {"name": "Ada", "email": f"{key}@example.com"})
        basket = f"/users/{key}/basket"
        for line in body["items"]:
            item = {"quantity": line["quantity"]}
            self._call("PUT", f"{basket}/items/{line['productId']}", item)
        self._count("checkouts")
        return self._place(key, lambda: str(self._call("POST", f"{basket}/checkout", {})["orderId"]))

    def _place(self, key: str, send: Callable[[], str]) -> str:
        order_id = send()
        chance = random.Random(f"{self._plan.seed}/{key}")  # noqa: S311
        if chance.random() < self._plan.share:
            self._count("requests repeated")
            again = send()
            if again != order_id:
                raise AssertionError(f"one key or basket created two orders: {order_id} and {again}")
        if chance.random() < self._plan.share:
            self._repeated.append(order_id)
        self._count("created")
        return order_id

    def _count(self, what: str, times: int = 1) -> None:
        with self._lock:
            self._counts[what] += times

    def _call(self, method: str, path: str, body: object, key: str | None = None) -> Any:
        """Sends a request, and repeats it while the API is unavailable or throttles."""
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
            self._local.session.headers["x-api-key"] = self._stack.api_keys["paid"]
        headers = {"Idempotency-Key": key} if key else {}
        failure = ""
        for _ in range(_CLIENT_RETRIES):
            try:
                answer = self._local.session.request(
                    method, self._stack.api_url + path, json=body, headers=headers, timeout=40
                )
            except requests.RequestException as error:
                failure = str(error)
            else:
                if answer.status_code < 300:
                    return answer.json()
                failure = f"{answer.status_code} {answer.text[:200]}"
                if answer.status_code < 500 and answer.status_code != 429:
                    break
            self._count("requests failed")
            time.sleep(_CLIENT_PAUSE)
        raise AssertionError(f"{method} {path} failed: {failure}")

    def _draw_and_count_behavior(self) -> Behavior:
        behavior = self._draw_behavior()
        if behavior is not Behavior.ACCEPT:
            self._count(f"answers: {behavior}")
        return behavior

    def _run_until_final(self, requests_sent: list[Future[str]], deadline: float) -> None:
        while time.monotonic() < deadline:
            time.sleep(_INTERVAL)
            all_created = all(future.done() for future in requests_sent)
            open_orders = self._open_orders()
            created = self._counts["created"]
            self._kill_workers(created, created - len(open_orders))
            self._repeat_messages()
            if all_created and not open_orders:
                return
            if all_created and self._is_queue_empty():
                self._requeue_stalled(open_orders)

    def _open_orders(self) -> list[OpenOrder]:
        """Returns the orders in the open index."""
        found: list[OpenOrder] = []
        for shard in OPEN_SHARDS:
            start = None
            while True:
                entries, start = self._orders.open_index.list(shard, "9", 1000, start)
                found += entries
                if start is None:
                    break
        return found

    def _kill_workers(self, created: int, done: int) -> None:
        workers, memory = _processes_of(self._stack.pid)
        self._peak = max(self._peak, memory)
        due = round(self._plan.share * (created + done) / 2) - self._counts["workers killed"]
        for pid in self._chance.sample(workers, min(due, len(workers) // 2)) if due > 0 else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self._count("workers killed")

    def _repeat_messages(self) -> None:
        while self._repeated:
            order = self._orders.get(self._repeated.popleft())
            self._queue.send(OrderMessage(order_id=order.order_id, attempt=order.attempt, correlation_id="x"))
            self._count("messages repeated")

    def _is_queue_empty(self) -> bool:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self._stack.client("sqs").get_queue_attributes(
            QueueUrl=self._stack.outputs["queueUrl"], AttributeNames=names
        )
        return all(answer["Attributes"][name] == "0" for name in names)

    def _requeue_stalled(self, open_orders: list[OpenOrder]) -> None:
        """Sets stalled orders back by an hour and invokes the requeue.

        Call it with an empty queue: before that, orders may only wait for their delivery.
        """
        now = clock.now()
        wait = 60 * float(self._stack.outputs["stalledAfterMinutes"])
        stalled = [
            order.order_id
            for order in open_orders
            if clock.seconds_between(order.due_at, now) >= _STALLED_AFTER - wait
        ]
        if not stalled:
            return
        dynamodb = self._stack.client("dynamodb")
        for order_id in stalled:
            with contextlib.suppress(dynamodb.exceptions.ConditionalCheckFailedException):
                dynamodb.update_item(
                    TableName=self._orders_table,
                    Key={"orderId": {"S": order_id}},
                    UpdateExpression="SET dueAt = :then",
                    ConditionExpression="attribute_exists(openShard)",
                    ExpressionAttributeValues={":then": {"S": clock.minutes_before(now, 60)}},
                )
        answer = self._stack.client("lambda").invoke(FunctionName=self._requeue)
        if "FunctionError" not in answer:
            report = msgspec.json.decode(answer["Payload"].read())
            self._count("orders requeued", report.get("requeued", 0))

    # --- checks -------------------------------------------------------------------------------------------

    def _check(self, ids: list[str], seconds: float) -> Report:
        orders = {order.order_id: order for order in self._stored_orders()}
        done = [order for order in orders.values() if order.status is OrderStatus.FULFILLED]
        times = sorted(clock.seconds_between(order.created_at, order.history[-1].at) for order in done)
        quantiles = statistics.quantiles(times, n=100) if len(times) > 1 else [0.0] * 99
        report = Report(
            orders=len(ids),
            seconds=seconds,
            p50=quantiles[49],
            p99=quantiles[98],
            peak_memory=self._peak,
            ends=Counter(_end_of(order) for order in orders.values()),
            checkouts=self._counts["checkouts"],
            faults=self._counts - Counter(created=len(ids), checkouts=self._counts["checkouts"]),
        )
        report.problems += self._lost_or_unexpected(ids, orders)
        for order in orders.values():
            report.problems += [f"order {order.order_id} {fault}" for fault in self._faults_of(order)]
        report.problems += self._stock_faults(orders)
        return report

    def _lost_or_unexpected(self, ids: list[str], orders: Mapping[str, Order]) -> Iterator[str]:
        if len(set(ids)) != self._plan.orders:
            yield f"{self._plan.orders} keys and baskets created {len(set(ids))} orders"
        for order_id in set(ids) - set(orders):
            yield f"order {order_id} was accepted and is lost"
        for order_id in set(orders) - set(ids):
            yield f"order {order_id} exists, but no client created it"
        for order_id in self._partner.shipments.keys() - orders.keys():
            yield f"order {order_id} was shipped and does not exist"

    def _faults_of(self, order: Order) -> Iterator[str]:
        if order.is_open or order.due_at is not None:
            yield f"is {order.status.value} and still open"
        moves = zip(order.history, order.history[1:], strict=False)
        for before, after in moves:
            if after.status not in LEGAL_MOVES[before.status]:
                yield f"moved from {before.status.value} to {after.status.value}"
        shipped = self._partner.contents.get(order.order_id)
        if order.status is OrderStatus.FULFILLED:
            if shipped != {line.product_id: line.quantity for line in order.items}:
                yield f"is FULFILLED, but {shipped} was shipped"
            shipment_id = self._partner.shipments.get(order.order_id)
            if [shipment.shipment_id for shipment in order.shipments] != [shipment_id]:
                yield "has a wrong shipment id"
        elif shipped is not None and not order.is_handed_over:
            yield f"was shipped, and is {order.status.value} without a reservation"

    def _stock_faults(self, orders: Mapping[str, Order]) -> Iterator[str]:
        reserved = Counter[str]()
        for order in orders.values():
            if order.holds_stock:
                reserved.update({line.product_id: line.quantity for line in order.items})
        for product, initial in self._stock.items():
            key = {"productId": {"S": product}}
            item = self._stack.client("dynamodb").get_item(TableName=self._products_table, Key=key)["Item"]
            left = from_item(item)["stock"]
            if left != initial - reserved[product]:
                yield f"product {product}: stock {left}, expected {initial} - {reserved[product]}"

    def _stored_orders(self) -> Iterator[Order]:
        pages = self._stack.client("dynamodb").get_paginator("scan").paginate(TableName=self._orders_table)
        for page in pages:
            for item in page["Items"]:
                yield msgspec.convert(from_item(item), Order)


def run(plan: Plan) -> Report:
    """Runs a plan on a new stack."""
    with stack_with_partner(plan) as (stack, partner):
        return Trial(stack, partner, plan).run()


def _end_of(order: Order) -> str:
    if order.status is not OrderStatus.FAILED:
        return order.status.value
    return f"FAILED ({order.status_reason})"


def _processes_of(group: int) -> tuple[list[int], int]:
    """Returns the Lambda workers in a process group, and the group's resident memory in bytes."""
    columns = ["ps", "-eo", "pid=,pgid=,rss=,args="]
    listed = subprocess.run(columns, capture_output=True, text=True, check=True).stdout
    rows = [line.split(maxsplit=3) for line in listed.splitlines()]
    members = [row for row in rows if len(row) == 4 and row[1] == str(group)]
    workers = [int(pid) for pid, _, _, command in members if "awslambdaric" in command]
    return workers, sum(int(kilobytes) for _, _, kilobytes, _ in members) * 1024


def _counts(counter: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counter.items()) if count) or "none"


def main() -> int:
    """Runs a trial and prints its report. Returns exit code 0 when all guarantees hold, else 1."""
    parser = argparse.ArgumentParser(prog="python -m bench.faults", description=__doc__)
    parser.add_argument("--orders", type=int, default=2000, help="number of orders (2000)")
    parser.add_argument(
        "--share", type=float, default=0.05, help="share of requests, messages and workers that fail (0.05)"
    )
    parser.add_argument("--clients", type=int, default=8, help="number of concurrent clients (8)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the random faults (1)")
    options = parser.parse_args()
    plan = Plan(orders=options.orders, share=options.share, clients=options.clients, seed=options.seed)
    report = run(plan)
    for line in report.lines():
        print(line)
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
