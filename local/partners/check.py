"""Checks a fulfillment system against `docs/fulfillment.md`.

Signatures, repeats, lost answers, refusals, cancellations, and the system's own calls:

    python -m local.partners.check http://127.0.0.1:8787/ --product 4b7e --product 77aa

Sends orders as orderflow does. Run it against a test system: the orders may ship.
Exit codes: 0 no difference; 1 differences; 2 wrong usage.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPSConnection
from itertools import pairwise
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import requests

from local.environment import bypass_proxies_for_loopback
from local.partners.calls import sign_request
from local.partners.fulfillment import duration
from local.partners.receiver import NO_ANSWER, CallReceiver, Problem, ReceiverServer, decode_fact, is_addition
from local.partners.shipping import ID_NAMES, Kind
from local.terminal import visible

TIMEOUT: Final = 4.0  # seconds within which orderflow needs an answer
MAX_ANSWER_BYTES: Final = 256 * 1024
_PATIENCE: Final = 10.0  # seconds after which a request is given up
_PAUSE: Final = 0.2  # seconds between two requests that wait for a change
_CONCURRENT: Final = 8
_UNANSWERED: Final = (503, NO_ANSWER)  # answers to the first calls, which must be repeated
_NOT_A_REFUSAL: Final = frozenset({401, 403, 408, 409, 425, 429})


class Difference(Exception):
    """What differs from the contract. The message is for the developer of the system."""


class Skipped(Exception):
    """Why a check could not be made."""


class Reply(NamedTuple):
    """An answer of the fulfillment system."""

    status: int
    body: bytes

    def __str__(self) -> str:
        return f"{self.status} {visible(self.body[:200].decode('utf-8', 'replace'))}".strip()


@dataclass
class Outcome:
    """What an answer says about an order."""

    is_open: bool = False  # a line is neither shipped nor refused
    refused: bool = False  # as a whole
    single: str | None = None  # the id of the one parcel with all lines
    facts: dict[tuple[Kind, str], dict[str, Any]] = field(default_factory=dict)

    def quantities(self, *kinds: Kind) -> dict[str, int]:
        """Returns the quantity of each product in the shipments or refusals."""
        total: dict[str, int] = {}
        for (kind, _), fact in self.facts.items():
            for line in fact["lines"] if kind in kinds else ():
                total[line["productId"]] = total.get(line["productId"], 0) + line["quantity"]
        return total


@dataclass
class Order:
    """An order that a check sends."""

    lines: dict[str, int]
    order_id: str = field(default_factory=lambda: f"check-{uuid.uuid4()}")

    def body(self, attempt: int = 1, **more: object) -> bytes:
        """Returns the body of a request."""
        items = [
            {"productId": product, "quantity": quantity, "title": "Check"}
            for product, quantity in self.lines.items()
        ]
        return json.dumps({"orderId": self.order_id, "attempt": attempt, "items": items, **more}).encode()

    @property
    def cancellation(self) -> bytes:
        """The body of a cancellation."""
        return json.dumps({"orderId": self.order_id, "attempt": 1, "cancel": True}).encode()


@dataclass
class System:
    """The fulfillment system under test."""

    url: str
    secret: str = field(repr=False)
    products: Sequence[str]
    refused_product: str | None
    wait: float  # seconds for what happens later
    receiver: CallReceiver | None

    def new_order(self, *products: str) -> Order:
        """Returns an order of two pieces of the first product, and one of each other one."""
        first, *others = products or self.products
        order = Order({first: 2, **dict.fromkeys(others, 1)})
        if self.receiver is not None:
            self.receiver.orders[order.order_id] = order.lines
        return order

    def send(
        self,
        body: bytes,
        key: str,
        *,
        signed: bytes | None = None,
        secret: str | None = None,
        age: int = 0,
        unsigned: bool = False,
    ) -> Reply:
        """Sends a request. The options make its signature wrong."""
        headers = self._headers(body if signed is None else signed, key, secret or self.secret, age)
        if unsigned:
            del headers["X-Orderflow-Signature"]
        began = time.monotonic()
        try:
            answer = requests.post(
                self.url, data=body, headers=headers, timeout=_PATIENCE, allow_redirects=False
            )
        except requests.RequestException as error:
            raise Difference(f"no answer within {_PATIENCE:g} s: {type(error).__name__}") from None
        seconds = time.monotonic() - began
        if seconds > TIMEOUT:
            raise Difference(f"the answer took {seconds:.1f} s. Answer within {TIMEOUT:g} s")
        if len(answer.content) > MAX_ANSWER_BYTES:
            raise Difference(f"the answer has {len(answer.content)} bytes. Use at most {MAX_ANSWER_BYTES}")
        return Reply(answer.status_code, answer.content)

    def send_without_reading(self, order: Order) -> None:
        """Sends an order and closes the connection before the answer."""
        url = urlsplit(self.url)
        kind = HTTPSConnection if url.scheme == "https" else HTTPConnection
        body = order.body()
        target = f"{url.path or '/'}{f'?{url.query}' if url.query else ''}"
        try:
            with contextlib.closing(kind(url.hostname or "", url.port, timeout=TIMEOUT)) as connection:
                connection.request("POST", target, body, self._headers(body, order.order_id, self.secret, 0))
        except OSError as error:
            raise Difference(f"the connection failed: {type(error).__name__}") from None

    def fulfill(self, order: Order, attempt: int = 1) -> Outcome:
        """Sends an order. Returns what the answer says."""
        return read(self.send(order.body(attempt), order.order_id), order)

    def cancel(self, order: Order) -> bool:
        """Sends a cancellation. Returns whether the system agrees."""
        reply = self.send(order.cancellation, f"{order.order_id}/cancel")
        content = _json(reply)
        agreed = content.get("cancelled") if isinstance(content, dict) else None
        if reply.status != 200 or not isinstance(agreed, bool):
            raise Difference(
                f"a cancellation was answered {reply}. "
                'Answer 200 {"cancelled": true} or {"cancelled": false}'
            )
        return agreed

    def wait_until_done(self, order: Order) -> Outcome:
        """Repeats an order until no line is open. Raises Skipped if the time is up."""
        deadline = time.monotonic() + self.wait
        while (outcome := self.fulfill(order)).is_open:
            if time.monotonic() > deadline:
                raise Skipped(f"the order is still open after {self.wait:g} s; use a longer --wait")
            time.sleep(_PAUSE)
        return outcome

    def wait_until_partly_shipped(self, order: Order) -> Outcome:
        """Repeats an order until a part has shipped. Raises Skipped if that does not happen."""
        deadline = time.monotonic() + self.wait
        while not (outcome := self.fulfill(order)).quantities("shipments") and outcome.is_open:
            if time.monotonic() > deadline:
                raise Skipped(f"nothing has shipped after {self.wait:g} s; use a longer --wait")
            time.sleep(_PAUSE / 4)
        if not outcome.is_open:
            raise Skipped("the system ships an order in one parcel; use two values of --product")
        return outcome

    def _headers(self, signed: bytes, key: str, secret: str, age: int) -> dict[str, str]:
        timestamp = str(int(time.time()) - age)
        return {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "User-Agent": "orderflow-check",
            "Idempotency-Key": key,
            "X-Correlation-Id": f"check-{uuid.uuid4()}",
            "X-Orderflow-Timestamp": timestamp,
            "X-Orderflow-Signature": sign_request(secret, timestamp, signed),
        }


def _json(reply: Reply) -> Any:
    try:
        return json.loads(reply.body)
    except ValueError:
        return None


def read(reply: Reply, order: Order) -> Outcome:
    """Returns what an answer to an order says. Raises Difference if orderflow cannot use it."""
    content = _json(reply) if reply.body.strip() else {}
    if 400 <= reply.status < 500 and reply.status not in _NOT_A_REFUSAL:
        if isinstance(content, dict) and content.get("refused") is True:
            return Outcome(refused=True)
    elif isinstance(content, dict) and (200 <= reply.status < 300 or reply.status == 409):
        shipment_id = content.get("shipmentId")
        if isinstance(shipment_id, str) and 1 <= len(shipment_id) <= 128:
            return Outcome(single=shipment_id)
        if reply.status in {200, 202} and shipment_id is None:
            return _read_lists(reply, content, order)
    raise Difference(f"an order was answered {reply}. orderflow would repeat it")


def _read_lists(reply: Reply, content: Mapping[str, Any], order: Order) -> Outcome:
    outcome = Outcome(is_open=reply.status == 202)
    kinds: tuple[Kind, ...] = ("shipments", "refusals")
    for kind in kinds:
        for fact in content.get(kind, ()):
            found = dict(fact) if isinstance(fact, dict) else {}
            id_ = found.pop(ID_NAMES[kind], None)
            if not isinstance(id_, str):
                raise Difference(f"an element of {kind} has no {ID_NAMES[kind]}: {reply}")
            try:
                outcome.facts[kind, id_] = decode_fact(kind, json.dumps(found).encode())
            except Problem as problem:
                raise Difference(f"{kind} {visible(id_)}: {problem}") from None
    for product, quantity in outcome.quantities(*kinds).items():
        ordered = order.lines.get(product, 0)
        if quantity > ordered:
            raise Difference(f"{visible(product)}: {quantity} shipped or refused, but {ordered} ordered")
    if reply.status == 200 and not outcome.facts:
        raise Difference("200 without a shipment or refusal. Answer 202 for an order that ships later")
    return outcome


def check_growth(before: Outcome, after: Outcome) -> None:
    """Raises Difference if a later answer does not have all that an earlier one said."""
    if before.refused or after.refused:
        if not (before.refused and after.refused):
            raise Difference("one answer refuses the order, another one does not")
        return
    if before.single is not None and before.single != after.single:
        raise Difference(f"the shipment was {before.single}, later {after.single}. Ship once per order")
    for (kind, id_), fact in before.facts.items():
        later = after.facts.get((kind, id_))
        if later is None or not is_addition(fact, later):
            raise Difference(f"{kind} {visible(id_)} was {fact}, later {later}. Facts are not taken back")


# --- The checks ---


def check_accepted(system: System) -> None:
    """An order is accepted."""
    if system.fulfill(system.new_order()).refused:
        raise Difference(f"the order was refused. Use --product with products that exist: {system.products}")


def check_more_fields(system: System) -> None:
    """An order with an address and with unknown fields is accepted."""
    order = system.new_order()
    address = {
        "name": "Ada Lovelace",
        "lines": ["12 St James's Square"],
        "postalCode": "SW1Y 4JH",
        "city": "London",
        "country": "GB",
    }
    body = order.body(reference="A-1042", metadata={"gift": "yes"}, deliverTo=address, newField=[1])
    if read(system.send(body, order.order_id), order).refused:
        raise Difference("the order was refused. Ignore fields that you do not use")


def check_repeated(system: System) -> None:
    """A repeated order has the same shipments, whatever its attempt."""
    order = system.new_order()
    outcomes = [system.fulfill(order, attempt) for attempt in (1, 1, 2, 1)]
    for before, after in pairwise(outcomes):
        check_growth(before, after)


def check_concurrent(system: System) -> None:
    """Concurrent requests for one order ship once."""
    order = system.new_order()
    with ThreadPoolExecutor(_CONCURRENT) as pool:
        replies = list(pool.map(lambda _: system.send(order.body(), order.order_id), range(_CONCURRENT)))
    last = system.fulfill(order)
    for reply in replies:
        if reply.status < 500 and reply.status != 429:  # busy is allowed
            check_growth(read(reply, order), last)


def check_lost_answer(system: System) -> None:
    """An order whose answer was lost ships once."""
    order = system.new_order()
    system.send_without_reading(order)
    check_growth(system.fulfill(order), system.fulfill(order))


def check_done(system: System) -> None:
    """In the end each line is shipped or refused."""
    order = system.new_order()
    first = system.fulfill(order)
    last = system.wait_until_done(order)
    check_growth(first, last)
    handled = last.quantities("shipments", "refusals")
    if last.single is None and not last.refused and handled != order.lines:
        raise Difference(
            f"200 with {handled} shipped or refused, but {order.lines} ordered. Answer 202 until then"
        )


def _refused_signature(title: str, **options: Any) -> Callable[[System], None]:
    def check(system: System) -> None:
        order = system.new_order()
        for body, key in (
            (order.body(), order.order_id),
            (order.cancellation, f"{order.order_id}/cancel"),
        ):
            reply = system.send(body, key, **options)
            if reply.status != 401:
                name = "a cancellation" if key.endswith("/cancel") else "an order"
                raise Difference(f"{name} was answered {reply}. Answer 401")
        if system.fulfill(order).refused:
            raise Difference("after a request with a wrong signature, the right one is refused")

    check.__doc__ = title
    return check


def check_key(system: System) -> None:
    """An Idempotency-Key of another order is refused with 400."""
    order = system.new_order()
    for body, key in ((order.body(), "another"), (order.cancellation, order.order_id)):
        reply = system.send(body, key)
        if reply.status != 400:
            raise Difference(f"Idempotency-Key {key} was answered {reply}. Answer 400")
    if system.fulfill(order).refused:
        raise Difference("after a request with a wrong key, the right one is refused")


def check_refused(system: System) -> None:
    """A refusal holds for its attempt and lower ones."""
    if system.refused_product is None:
        raise Skipped("use --refused-product with a product that the system refuses")
    order = system.new_order(system.refused_product)
    first = system.fulfill(order, 2)
    if not first.refused:
        last = system.wait_until_done(order)
        if last.quantities("refusals") != order.lines:
            raise Difference(f"the order was not refused: {last}")
        return
    for attempt in (2, 1):
        if not system.fulfill(order, attempt).refused:
            raise Difference(f"attempt 2 was refused, but a later request with attempt {attempt} was not")


def check_cancelled(system: System) -> None:
    """A cancellation is decided once, and its decision holds."""
    order = system.new_order()
    before = system.fulfill(order)
    agreed = system.cancel(order)
    _check_decision(system, order, agreed)
    after = system.fulfill(order)
    if not agreed:
        check_growth(before, after)
    elif not before.is_open and not before.refused:
        raise Difference("the whole order had shipped. Answer that it is too late")
    elif before.facts or not after.refused:
        check_growth(before, after)
        _check_nothing_more_ships(system, order, after)


def check_partly_cancelled(system: System) -> None:
    """A shipment before an agreed cancellation is in the answers after it."""
    order = system.new_order()
    before = system.wait_until_partly_shipped(order)
    if system.cancel(order):
        check_growth(before, system.fulfill(order))


def check_cancelled_first(system: System) -> None:
    """A cancellation that arrives before its order stops the order."""
    order = system.new_order()
    agreed = system.cancel(order)
    _check_decision(system, order, agreed)
    if not agreed:
        raise Difference("an order that was never received cannot be too late. Agree")
    if not system.fulfill(order, 1).refused or not system.fulfill(order, 2).refused:
        raise Difference("the order was accepted after its cancellation. Refuse it")


def check_concurrent_cancellation(system: System) -> None:
    """An order and its cancellation at the same time have one end."""
    order = system.new_order()
    with ThreadPoolExecutor(2) as pool:
        agreed = pool.submit(system.cancel, order)
        system.send(order.body(), order.order_id)
    _check_decision(system, order, agreed.result())
    after = system.fulfill(order)
    if agreed.result():
        if not after.refused:
            _check_nothing_more_ships(system, order, after)
    elif after.refused:
        raise Difference("the system did not agree to the cancellation, but refuses the order")


def _check_decision(system: System, order: Order, agreed: bool) -> None:
    repeated = system.cancel(order)
    if repeated != agreed:
        raise Difference(f"cancelled was {agreed}, and {repeated} in the repeat. Answer the first decision")


def _check_nothing_more_ships(system: System, order: Order, before: Outcome) -> None:
    """Raises Difference if a cancelled order ships more. Waits a second at most."""
    time.sleep(min(system.wait, 1.0))
    after = system.fulfill(order)
    if before.single is not None or after.quantities("shipments") != before.quantities("shipments"):
        raise Difference(f"a cancelled order ships on: {after}")


def check_calls(system: System) -> None:
    """Later shipments and refusals are reported by calls, which are repeated until they are answered."""
    receiver = system.receiver
    if receiver is None:
        raise Skipped("use --calls-port, and give your system the URL that --help names")
    receiver.plan.extend(_UNANSWERED)
    order = system.new_order()
    answered = system.fulfill(order)
    if not answered.is_open:
        receiver.plan.clear()
        raise Skipped("the system ships at once, so it has nothing to report")
    early = answered.quantities("shipments", "refusals")
    deadline = time.monotonic() + system.wait
    while True:
        called = receiver.quantities(order.order_id, "shipments", "refusals")
        reported = {product: early.get(product, 0) + called.get(product, 0) for product in order.lines}
        lost = {call.path for call in receiver.calls if call.status in _UNANSWERED}
        lost -= {call.path for call in receiver.calls if 200 <= call.status < 300}
        if reported == order.lines and not lost:
            break
        if time.monotonic() > deadline:
            unrepeated = "".join(f"; not repeated: PUT {visible(path)}" for path in sorted(lost))
            raise Difference(
                f"after {system.wait:g} s the calls have reported {reported} of {order.lines}{unrepeated}"
            )
        time.sleep(_PAUSE)
    facts = system.fulfill(order).facts
    for (kind, id_), fact in receiver.facts.get(order.order_id, {}).items():
        if kind in {"shipments", "refusals"} and not fact.items() <= facts.get((kind, id_), {}).items():
            raise Difference(f"{id_} was reported as {fact}. The repeated order must have the same")


def check_call_answers(system: System) -> None:
    """Each call has the right key, signature and fields."""
    if system.receiver is None or not system.receiver.calls:
        raise Skipped("there were no calls")
    for call in system.receiver.calls:
        if call.detail and not call.detail.endswith("takes a fact back"):
            raise Difference(f"PUT {visible(call.path)} was answered {call.status}: {visible(call.detail)}")


CHECKS: Final[Sequence[Callable[[System], None]]] = (
    check_accepted,
    check_more_fields,
    check_repeated,
    check_concurrent,
    check_lost_answer,
    _refused_signature("A request without a signature is refused with 401.", unsigned=True),
    _refused_signature("A signature of another secret is refused with 401.", secret="another secret"),  # noqa: S106
    _refused_signature("A signature of another body is refused with 401.", signed=b"{}"),
    _refused_signature("A signature of six minutes ago is refused with 401.", age=360),
    _refused_signature("A signature of six minutes ahead is refused with 401.", age=-360),
    check_key,
    check_refused,
    check_cancelled,
    check_partly_cancelled,
    check_cancelled_first,
    check_concurrent_cancellation,
    check_calls,
    check_done,
    check_call_answers,
)


class Result(NamedTuple):
    """The result of a check: `ok`, `FAIL` or `skip`."""

    verdict: str
    title: str
    detail: str = ""


def run_checks(system: System) -> Iterator[Result]:
    """Runs all checks, one after the other."""
    for check in CHECKS:
        title = (check.__doc__ or "").rstrip(".")
        try:
            check(system)
        except Difference as difference:
            yield Result("FAIL", title, str(difference))
        except Skipped as skipped:
            yield Result("skip", title, str(skipped))
        else:
            yield Result("ok", title)


def _is_reachable(url: str) -> bool:
    parts = urlsplit(url)
    port = parts.port or {"https": 443}.get(parts.scheme, 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=TIMEOUT).close()
    except OSError:
        return False
    return True


def options() -> argparse.ArgumentParser:
    """Returns the command's options."""
    parser = argparse.ArgumentParser(
        prog="python -m local.partners.check",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="DURATION is for example 500ms, 3s, 2m or 1h.",
    )
    parser.add_argument("url", metavar="URL", help="where the fulfillment system receives orders")
    parser.add_argument(
        "--secret",
        default=os.environ.get("FULFILLMENT_SECRET", ""),
        metavar="TEXT",
        help="shared secret that signs the requests; required [FULFILLMENT_SECRET]",
    )
    parser.add_argument(
        "--product",
        action="append",
        metavar="ID",
        help="a product that the system ships; may be repeated (check-product-1, check-product-2)",
    )
    parser.add_argument("--refused-product", metavar="ID", help="a product that the system refuses")
    parser.add_argument(
        "--wait",
        type=duration,
        default=10.0,
        metavar="DURATION",
        help="time within which the system ships an order (10s)",
    )
    parser.add_argument(
        "--calls-port",
        type=int,
        metavar="PORT",
        help="receive the system's calls at http://127.0.0.1:PORT/v1, and check them",
    )
    parser.add_argument(
        "--api-key",
        default=os.environ.get("API_KEY", ""),
        metavar="TEXT",
        help="key that the calls must have; required with --calls-port [API_KEY]",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the checks and prints a line for each. Returns the exit code."""
    bypass_proxies_for_loopback()
    parser = options()
    chosen = parser.parse_args(arguments)
    if urlsplit(chosen.url).scheme not in {"http", "https"} or not urlsplit(chosen.url).hostname:
        parser.error(f"{chosen.url!r} is not a URL. Use for example https://fulfillment.example.com/orders")
    if not chosen.secret:
        parser.error("no secret: use --secret or the environment variable FULFILLMENT_SECRET")
    if chosen.calls_port is not None and not chosen.api_key:
        parser.error("--calls-port needs --api-key, or the environment variable API_KEY")
    receiver = CallReceiver(chosen.secret, chosen.api_key) if chosen.calls_port is not None else None
    system = System(
        url=chosen.url,
        secret=chosen.secret,
        products=chosen.product or ("check-product-1", "check-product-2"),
        refused_product=chosen.refused_product,
        wait=chosen.wait,
        receiver=receiver,
    )
    if not _is_reachable(chosen.url):
        print(f"Error: no connection to {chosen.url}. Start the fulfillment system first", file=sys.stderr)
        return 1
    results: list[Result] = []
    with contextlib.ExitStack() as stack:
        if receiver is not None:
            stack.enter_context(ReceiverServer(receiver, chosen.calls_port))
        for result in run_checks(system):
            results.append(result)
            detail = f"\n      {result.detail}" if result.detail else ""
            print(f"{result.verdict:<5} {result.title}{detail}", flush=True)
    counts = {
        verdict: sum(result.verdict == verdict for result in results) for verdict in ("ok", "FAIL", "skip")
    }
    print(f"{counts['ok']} ok, {counts['FAIL']} failed, {counts['skip']} skipped")
    return 1 if counts["FAIL"] else 0


if __name__ == "__main__":
    sys.exit(main())
