"""The states of the model, and every step that may follow one.

A state holds one order, its products, the queue, the executions and the fulfillment systems. It also holds
every running invocation with its answers so far. The functions are the real ones (`replay`), the
state machine is the real file, and the store evaluates the real conditions. Only the queue, the fulfillment
system, faults and people are described here.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from functions.shared.domain.orders import Order
from functions.shared.persistence.order_items import order_from
from local.engine.stacks import table_schemas
from local.memory import state_machine as machine
from local.memory.backend import USER
from local.memory.cloud import FULFILLMENT
from local.memory.store import Store, client_error
from tests.model.replay import AT, LOST, Answer, Call, Functions, Invocation

PIECES = {"p1": 2, "p2": 1}
"""The pieces that the order has of each product. Most scopes have the first product only."""

SENDERS = frozenset({"place", "retry", "requeue_stalled_orders"})
"""What begins attempts and sends them to the queue."""


class Partner(NamedTuple):
    """What a fulfillment system did with the order."""

    name: str
    mode: str = ""  # "": it never got the order; "at once", "later", "refused", "cancelled"
    attempt: int = 0
    plan: tuple[str, ...] = ()  # its parcels and refusals, one after the other: "shipments/a", "refusals/b"
    facts: tuple[str, ...] = ()  # what it has shipped or refused so far
    reported: tuple[str, ...] = ()  # facts whose report was answered

    @property
    def shipped(self) -> bool:
        """Whether a parcel has left."""
        return self.mode == "at once" or any(fact.startswith("shipments/") for fact in self.facts)

    @property
    def has_parcels(self) -> bool:
        """Whether pieces have left, or will certainly leave."""
        will_ship = any(fact.startswith("shipments/") for fact in self.plan[len(self.facts) :])
        return self.shipped or (self.mode == "later" and will_ship)

    @property
    def is_active(self) -> bool:
        """Whether a fact is still to come, or the report of one has no answer yet."""
        expected = self.plan if self.mode == "later" else self.facts
        return set(self.reported) != set(expected)


class Budget(NamedTuple):
    """What may still happen in addition to the regular course."""

    faults: int = 0
    duplicates: int = 0  # of messages
    cancels: int = 0  # by the client
    retries: int = 0  # by the operator
    repeats: int = 0  # of answered reports
    returns: int = 0  # of one piece, which can be sold again
    overlaps: int = 0  # runs of the requeue while something else runs or waits
    requests: int = 0  # by the client, to place the order; without them the order is placed
    archives: int = 0  # of the first product, by the operator
    restocks: int = 0  # of the first product, by the operator, who sends a new number of pieces
    releases: int = 0  # by the operator


NOTHING = Budget()


class Execution(NamedTuple):
    """An execution: the results of its tasks so far, and the invocation that runs."""

    attempt: int
    results: tuple[machine.Ok | machine.Failure, ...] = ()
    invocation: Invocation | None = None


class World(NamedTuple):
    """A state. Equal states have the same future. Executions and invocations are numbers of the `Model`."""

    order: str  # the stored item, JSON; "" before it is placed
    products: str  # the stored items, JSON
    budget: Budget
    partners: tuple[Partner, ...] = ()
    system: int = 0  # the number of the partner that the stack is configured with
    queue: tuple[int, ...] = ()  # attempts
    sent: frozenset[int] = frozenset()  # attempts that were on the queue
    started: frozenset[int] = frozenset()  # names of STANDARD executions
    executions: tuple[int, ...] = ()
    others: tuple[int, ...] = ()  # invocations without an execution, or whose execution waits no more
    events: frozenset[str] = frozenset()  # ids
    added: int = 0  # pieces of the first product, by the operator
    stored_by: str = ""  # the event of the request that stored the order
    lacks_events: bool = False  # an execution ended where `docs/events.md` says that an event may be lost
    lacks_messages: bool = False  # what began an attempt ended, or got no answer
    wrong: str = ""  # what a client was answered wrongly

    @property
    def is_open(self) -> bool:
        """Whether the requeue finds the order."""
        return '"openShard"' in self.order

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs, waits or is owed."""
        is_shipping = any(partner.is_active for partner in self.partners)
        return not (self.queue or self.executions or self.others or self.is_open or is_shipping)


@cache
def order_of(item: str) -> Order:
    """Returns the order of a stored item."""
    return order_from(json.loads(item), "")


@cache
def stock_of(products: str) -> tuple[int, ...]:
    """Returns the pieces in stock of each stored product."""
    return tuple(int(item["stock"]["N"]) for item in json.loads(products))


class Step(NamedTuple):
    """A step to the next state: what happens, and whether it is a fault."""

    name: str
    world: World
    is_fault: bool = False


@dataclass
class Model:
    """The steps of a stack: its workflow type, and how its fulfillment systems may answer."""

    functions: Functions
    order_id: str
    is_express: bool
    modes: tuple[str, ...] = ()  # of a `Partner`
    plan: tuple[str, ...] = ()  # of a `Partner` that ships later
    systems: tuple[str, ...] = ("",)  # with which the stack is configured, one after the other; "" is none
    products: tuple[str, ...] = ("p1",)
    _applied: dict[Any, Any] = field(default_factory=dict)
    _machine: dict[Any, machine.Invoke | machine.End] = field(default_factory=dict)
    _values: list[Any] = field(default_factory=list)
    _numbers: dict[str, int] = field(default_factory=dict)

    def first(self, item: Mapping[str, Any], products: Sequence[Mapping[str, Any]], budget: Budget) -> World:
        """Returns the state with a new order and its message, or without an order if a client places it."""
        stored = json.dumps([_normal_product(product) for product in products], sort_keys=True)
        partners = tuple(Partner(system) for system in self.systems if system)
        if budget.requests:
            return World("", stored, budget, partners)
        return World(
            _normal({**item, "dueAt": {"S": AT}}), stored, budget, partners, queue=(1,), sent=frozenset({1})
        )

    def steps(self, world: World) -> Iterator[Step]:
        """Returns every step that may follow a state."""
        for number in world.executions:
            if self._commutes(self._values[number].invocation):
                yield from self._of_execution(world, number)
                return
        for number in world.others:
            if self._commutes(self._values[number]):
                yield from self._of_invocation(world, number)
                return
        yield from self._deliveries(world)
        for number in world.executions:
            yield from self._of_execution(world, number)
        for number in world.others:
            yield from self._of_invocation(world, number)
        yield from self._people(world)
        for number in range(len(world.partners)):
            yield from self._of_partner(world, number)
        yield from self._returns(world)
        is_busy = world.queue or world.executions or world.others
        if world.is_open and (world.budget.overlaps or not is_busy):
            before = _spend(world, "overlaps") if is_busy else world
            system = self.systems[world.system]
            yield Step("schedule", self._continue(before, Invocation("requeue_stalled_orders", "{}", system)))
        if world.system + 1 < len(self.systems):
            yield Step("the fulfillment system is replaced", world._replace(system=world.system + 1))

    def _commutes(self, invocation: Invocation) -> bool:
        """Returns whether the next call of an invocation commutes with all others: events have no order.

        Then no other step is needed before it.
        """
        call = self.functions.advance(invocation)
        return isinstance(call, Call) and call.service == "events"

    def _number(self, value: Execution | Invocation) -> int:
        """Returns the number of a value, which compares faster than the value."""
        key = repr(value)
        if key not in self._numbers:
            self._numbers[key] = len(self._values)
            self._values.append(value)
        return self._numbers[key]

    # --- the queue, people and the fulfillment system -------------------------------------------------------

    def _deliveries(self, world: World) -> Iterator[Step]:
        for attempt in dict.fromkeys(world.queue):
            started = self._start(world, attempt)
            yield Step(f"deliver {attempt}", started._replace(queue=_without(world.queue, attempt)))
            if world.budget.duplicates:
                yield Step(f"deliver {attempt}, and again", _spend(started, "duplicates"), is_fault=True)

    def _start(self, world: World, attempt: int) -> World:
        if not self.is_express:
            if attempt in world.started:
                return world
            world = world._replace(started=world.started | {attempt})
        return self._proceed(world, Execution(attempt))

    def _people(self, world: World) -> Iterator[Step]:
        budget = world.budget
        order = order_of(world.order) if world.order else None
        product = self.products[0]

        def act(name: str, what: str, function: str, event: object) -> Step:
            invocation = Invocation(function, json.dumps(event, sort_keys=True))
            return Step(name, self._continue(_spend(world, what), invocation))

        if budget.requests:
            lines = [{"productId": one, "quantity": PIECES[one]} for one in self.products]
            event = {"left": budget.requests, "body": {"userId": USER, "items": lines}}
            yield act("client places the order", "requests", "place", event)
        if budget.cancels and order is not None:
            yield act("client cancels", "cancels", "cancel", 0)
        if budget.archives:
            yield act("operator archives the product", "archives", "archive", {"product": product})
        for if_match in (None, "*") if budget.restocks else ():
            event = {"product": product, "ifMatch": if_match}
            yield act(f"operator restocks, If-Match: {if_match or 'version'}", "restocks", "restock", event)
        if order is None or order.status != "FAILED":
            return
        if budget.retries:
            yield act("operator retries", "retries", "retry", 0)
        # The fulfillment system's operators say that nothing is shipped, and nothing is on its way to them.
        is_shipped = any(partner.mode not in {"", "refused"} for partner in world.partners)
        is_busy = world.queue or world.executions or world.others
        if budget.releases and order.holds_stock and not (is_shipped or is_busy):
            yield act("operator releases", "releases", "release", 0)

    def _of_partner(self, world: World, number: int) -> Iterator[Step]:
        partner = world.partners[number]
        if partner.mode == "later" and partner.facts != partner.plan:
            fact = partner.plan[len(partner.facts)]
            shipped = partner._replace(facts=(*partner.facts, fact))
            yield Step(fact, world._replace(partners=_replaced(world.partners, number, shipped)))
        for fact in partner.facts:
            report = self._report(fact, self._content(fact))
            if any(self._values[number][:2] == report[:2] for number in world.others):
                continue
            if fact not in partner.reported:
                yield Step(f"report of {fact}", self._continue(world, report))
            elif world.budget.repeats:
                yield Step(f"report of {fact} again", self._continue(_spend(world, "repeats"), report))

    def _returns(self, world: World) -> Iterator[Step]:
        if world.budget.returns and world.order and order_of(world.order).shipments:
            lines = [{"productId": self.products[0], "quantity": 1, "restock": True}]
            report = self._report("returns/r", {"status": "RECEIVED", "lines": lines})
            yield Step("report of a return", self._continue(_spend(world, "returns"), report))

    def _report(self, fact: str, body: Any) -> Invocation:
        return Invocation("report", json.dumps({"route": f"/orders/{self.order_id}/{fact}", "body": body}))

    def _content(self, fact: str) -> dict[str, Any]:
        """Returns a parcel or a refusal: of an equal part of the order."""
        pieces = [product for product in self.products for _ in range(PIECES[product])]
        part = Counter(pieces[self.plan.index(fact) :: len(self.plan)])
        lines = [{"productId": product, "quantity": quantity} for product, quantity in part.items()]
        is_parcel = fact.startswith("shipments/")
        return {"lines": lines, **({"shippedAt": AT} if is_parcel else {"reason": "broken"})}

    def _answer_order(self, world: World, call: Call) -> Iterator[tuple[World, Answer]]:
        """Returns what the fulfillment system may do with a request."""
        request = json.loads(call.request)
        names = [partner.name for partner in world.partners]
        number = names.index(call.operation.removeprefix("POST to "))
        partner, attempt = world.partners[number], request["attempt"]

        def after(now: Partner) -> World:
            return world._replace(partners=_replaced(world.partners, number, now))

        if request.get("cancel"):
            agrees = partner.mode == "cancelled" or not partner.shipped
            now = partner._replace(mode="cancelled") if agrees else partner
            yield after(now), _reply(200, {"cancelled": agrees})
            return
        is_new = not partner.mode or (partner.mode == "refused" and attempt > partner.attempt)
        for mode in self.modes if is_new else (partner.mode,):
            now = partner
            if is_new:
                now = Partner(partner.name, mode, attempt, self.plan if mode == "later" else ())
            if mode == "at once":
                yield after(now), _reply(200, {"shipmentId": "whole"})
            elif mode == "later":
                yield after(now), _reply(202, self._facts(now))
            else:
                yield after(now), _reply(422, {"refused": True})

    def _facts(self, partner: Partner) -> dict[str, Any]:
        """Returns the facts so far, as the fulfillment system answers them."""
        document: dict[str, Any] = {}
        for fact in partner.facts:
            kind, _, name = fact.partition("/")
            key = "shipmentId" if kind == "shipments" else "refusalId"
            document.setdefault(kind, []).append({key: name, **self._content(fact)})
        return document

    # --- executions and invocations -------------------------------------------------------------------------

    def _of_invocation(self, world: World, number: int) -> Iterator[Step]:
        without = world._replace(others=_without(world.others, number))
        for name, after, following, is_fault in self._calls(without, self._values[number]):
            yield Step(name, self._continue(after, following), is_fault)

    def _of_execution(self, world: World, number: int) -> Iterator[Step]:
        execution = self._values[number]
        invocation = execution.invocation
        without = world._replace(executions=_without(world.executions, number))
        where = f"{execution.attempt}:"
        for name, after, following, is_fault in self._calls(without, invocation):
            if following is None:
                for result in self._failures(execution, "Lambda.Unknown"):
                    if invocation.function == machine.UPDATE_ITEM and len(result) > 1:
                        after = after._replace(lacks_events=True)
                    yield Step(f"{where} {name}", self._proceed(after, execution, *result), is_fault=True)
            else:
                ended = self.functions.advance(following)
                if not isinstance(ended, Call):
                    after = self._proceed(after, execution, ended)
                else:
                    running = execution._replace(invocation=following)
                    after = after._replace(executions=_with(after.executions, self._number(running)))
                yield Step(f"{where} {name}", after, is_fault)
        if world.budget.faults:
            spent = _spend(without, "faults")
            # Until the order is closed, the requeue or another execution publishes what this one did not.
            lacks_events = world.lacks_events or not world.is_open
            zombie = spent._replace(others=_with(spent.others, self._number(invocation)))
            for result in self._failures(execution, "States.Timeout"):
                timed_out = self._proceed(zombie, execution, *result)
                # It may make the final move after the workflow has returned the order to the index.
                timed_out = timed_out._replace(lacks_events=world.lacks_events or len(result) > 1)
                yield Step(f"{where} {invocation.function} times out, and runs on", timed_out, is_fault=True)
            yield Step(f"{where} is cut off", spent._replace(lacks_events=lacks_events), is_fault=True)

    def _failures(self, execution: Execution, error: str) -> Iterator[tuple[machine.Failure, ...]]:
        """Returns the results of one failed try, and of all tries of a task."""
        once = (machine.Failure(error),)
        yield once
        state = self._next(execution.attempt, execution.results).state
        results: tuple[machine.Failure, ...] = once
        while True:
            following = self._next(execution.attempt, execution.results + results)
            if isinstance(following, machine.End) or following.state != state:
                break
            results += once
        yield results

    def _calls(
        self, world: World, invocation: Invocation
    ) -> Iterator[tuple[str, World, Invocation | None, bool]]:
        """Makes the next call of an invocation, in each way that it may end. None: the invocation ended.

        `world` is without the invocation.
        """
        call = self.functions.advance(invocation)
        assert isinstance(call, Call)
        name = f"{invocation.function} {call.operation}"

        def with_answer(answer: Answer) -> Invocation:
            return invocation._replace(answers=(*invocation.answers, answer), is_repeated=False)

        def failed(world: World) -> World:
            lacks_messages = world.lacks_messages or invocation.function in SENDERS
            return _spend(world, "faults")._replace(lacks_messages=lacks_messages)

        for after, answer in self._apply(world, call, invocation):
            yield name, after, with_answer(answer), False
            if world.budget.faults:
                spent = failed(after)
                yield f"{name}, its answer is lost", spent, with_answer(LOST), True
                yield f"{name}, and is killed", spent, None, True
                # botocore repeats a transaction under its token, which has the same answer.
                if call.operation in {"PutItem", "UpdateItem"} and invocation.function != machine.UPDATE_ITEM:
                    repeated = invocation._replace(is_repeated=True)
                    yield f"{name}, its answer is lost once", _spend(after, "faults"), repeated, True
                if call.service == FULFILLMENT:
                    of_proxy = _reply(404, {"message": "not found"})
                    yield f"{name}, which a proxy answers with 404", spent, with_answer(of_proxy), True
        if world.budget.faults:
            spent = failed(world)
            yield f"{name} is lost", spent, with_answer(LOST), True
            yield f"{invocation.function} is killed", spent, None, True

    def _apply(self, world: World, call: Call, invocation: Invocation) -> Iterator[tuple[World, Answer]]:
        request = json.loads(call.request)
        if call.service == FULFILLMENT:
            yield from self._answer_order(world, call)
        elif call.service == "dynamodb":
            order, products, answer = self._store(world.order, world.products, call, invocation.is_repeated)
            after = world._replace(order=order, products=products)
            if answer.kind == "response" and call.operation == "PutItem":
                after = after._replace(stored_by=invocation.event)
            if answer.kind == "response" and "#stock = :" in request.get("UpdateExpression", ""):
                after = after._replace(added=world.added + 1)
            yield after, answer
        elif call.service == "sqs":
            bodies = [one["MessageBody"] for one in request.get("Entries", [request])]
            attempts = [json.loads(body)["attempt"] for body in bodies]
            queue = tuple(sorted([*world.queue, *attempts]))
            successful = [{"Id": entry["Id"]} for entry in request.get("Entries", ())]
            after = world._replace(queue=queue, sent=world.sent | set(attempts))
            yield after, _response({"Successful": successful})
        elif call.service == "events":
            ids = {json.loads(entry["Detail"])["eventId"] for entry in request["Entries"]}
            entries = {"FailedEntryCount": 0, "Entries": []}
            yield world._replace(events=world.events | ids), _response(entries)
        else:
            assert call.operation == "DescribeExecution", call
            attempt = int(request["executionArn"].rpartition("-")[2])
            is_running = any(self._values[one].attempt == attempt for one in world.executions)
            if attempt in world.started:
                yield world, _response({"status": "RUNNING" if is_running else "FAILED"})
            else:
                error = client_error(call.operation, "ExecutionDoesNotExist")
                yield world, Answer("error", json.dumps(error.response))  # type: ignore[attr-defined]

    def _store(self, order: str, products: str, call: Call, is_repeated: bool) -> tuple[str, str, Answer]:
        key = (order, products, call, is_repeated)
        if key not in self._applied:
            store = Store(table_schemas())
            orders, catalog = store.tables["orders"].items, store.tables["products"].items
            if order:
                orders[self.order_id] = json.loads(order)
            for product in json.loads(products):
                catalog[product["productId"]["S"]] = product
            request = json.loads(call.request)
            if call.operation == "TransactWriteItems":
                request.setdefault("ClientRequestToken", "token")
            try:
                answer = _response(store.call(call.operation, request))
            except ClientError as error:
                error.response.setdefault("ResponseMetadata", {})["RetryAttempts"] = int(is_repeated)
                answer = Answer("error", json.dumps(error.response, sort_keys=True))
            before = json.loads(products)  # no product is deleted
            after = [catalog[item["productId"]["S"]] for item in before]
            if after != before:
                products = json.dumps([_normal_product(item) for item in after], sort_keys=True)
            item = orders.get(self.order_id)
            now = order if item is None or (order and item == json.loads(order)) else _normal(item)
            if (
                answer.kind == "response"
                and '"Attributes"' in answer.body
                and request["TableName"] == "orders"
            ):
                answer = _response({"Attributes": json.loads(now)})
            self._applied[key] = now, products, answer
        known: tuple[str, str, Answer] = self._applied[key]
        return known

    def _continue(self, world: World, invocation: Invocation | None) -> World:
        """Adds an invocation without an execution, unless it has ended."""
        if invocation is None:
            return world
        ended = self.functions.advance(invocation)
        if isinstance(ended, Call):
            return world._replace(others=_with(world.others, self._number(invocation)))
        result = ended.result if isinstance(ended, machine.Ok) else None
        if invocation.function == "report" and result is not None and result < 500:
            fact = "/".join(json.loads(invocation.event)["route"].split("/")[-2:])
            for number, partner in enumerate(world.partners):
                if fact in partner.facts:
                    reported = partner._replace(reported=tuple(sorted({*partner.reported, fact})))
                    world = world._replace(partners=_replaced(world.partners, number, reported))
        if invocation.function == "place" and result is not None and result["status"] < 300:
            wrong = _wrong_answer(world, invocation, result)
            return world._replace(wrong=wrong) if wrong else world
        return world

    def _proceed(self, world: World, execution: Execution, *results: machine.Ok | machine.Failure) -> World:
        """Continues an execution up to the next call of its next task, or to its end."""
        known = execution.results + results
        while True:
            following = self._next(execution.attempt, known)
            if isinstance(following, machine.End):
                return world
            system = self.systems[world.system] if following.function == "fulfill_order" else ""
            payload = json.dumps(following.payload, sort_keys=True)
            invocation = Invocation(following.function, payload, system)
            ended = self.functions.advance(invocation)
            if isinstance(ended, Call):
                running = Execution(execution.attempt, known, invocation)
                return world._replace(executions=_with(world.executions, self._number(running)))
            known = (*known, ended)

    def _next(
        self, attempt: int, results: tuple[machine.Ok | machine.Failure, ...]
    ) -> machine.Invoke | machine.End:
        """Returns what the state machine does after these results of its tasks."""
        key = (attempt, repr(results))
        if key not in self._machine:
            event = {"orderId": self.order_id, "attempt": attempt, "correlationId": "c"}
            steps = machine.run(event, machine.Coverage())
            try:
                following: machine.Invoke | machine.End = next(steps)
                for result in results:
                    following = steps.send(result)
            except StopIteration as stop:
                following = stop.value
            self._machine[key] = following
        return self._machine[key]


def _normal(item: Mapping[str, Any]) -> str:
    """Returns an order's item as JSON, without what grows with every write.

    The revision becomes a checksum: it changes with the content.
    """
    content = {name: value for name, value in item.items() if name != "revision"}
    if "revision" in item:
        content["revision"] = _checksum(content)
    return json.dumps(content, sort_keys=True)


def _normal_product(item: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a product's item, whose version becomes a checksum."""
    content = {name: value for name, value in item.items() if name != "version"}
    return {**content, "version": _checksum(content)}


def _checksum(content: Mapping[str, Any]) -> dict[str, str]:
    return {"N": str(zlib.crc32(json.dumps(content, sort_keys=True).encode()))}


def _wrong_answer(world: World, invocation: Invocation, result: Mapping[str, Any]) -> str:
    """Returns what is wrong with the answer to a client that placed the order, or "".

    An order that something else moved on may be shown as a repeat.
    """
    order = order_of(world.order)
    if order.status != "PENDING" or order.attempt != 1:
        return ""
    if invocation.event == world.stored_by and result["status"] != HTTPStatus.CREATED:
        return f"the client that placed the order is answered {result['status']}"
    if LOST not in invocation.answers and 1 not in world.sent:
        return "the order is accepted, and not sent to the queue"
    return ""


def _spend(world: World, what: str) -> World:
    left = getattr(world.budget, what) - 1
    return world._replace(budget=world.budget._replace(**{what: left}))


def _with(elements: tuple[int, ...], one: int) -> tuple[int, ...]:
    return tuple(sorted((*elements, one)))


def _replaced(partners: tuple[Partner, ...], number: int, one: Partner) -> tuple[Partner, ...]:
    return (*partners[:number], one, *partners[number + 1 :])


def _without(elements: tuple[int, ...], one: int) -> tuple[int, ...]:
    at = elements.index(one)
    return elements[:at] + elements[at + 1 :]


def _response(body: Any) -> Answer:
    return Answer("response", json.dumps(body, sort_keys=True))


def _reply(status: int, document: Any) -> Answer:
    return Answer("response", json.dumps([status, document]))
