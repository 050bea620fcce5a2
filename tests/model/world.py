"""The states of the model, and every step that may follow one.

A state holds one order, the stock of its product, the queue, the executions and the fulfillment system. It
also holds every running invocation with its answers so far. The functions are the real ones (`replay`), the
state machine is the real file, and the store evaluates the real conditions. Only the queue, the fulfillment
system, faults and people are described here.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from functions.shared.domain.orders import Order
from functions.shared.persistence.order_items import order_from
from local.engine.stacks import table_schemas
from local.memory import state_machine as machine
from local.memory.cloud import FULFILLMENT
from local.memory.store import Store, client_error
from tests.model.replay import AT, LOST, Answer, Call, Functions, Invocation

PRODUCT = "p1"
ORDERED = 2  # pieces


class Partner(NamedTuple):
    """What the fulfillment system did with the order."""

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


NOTHING = Budget()


class Execution(NamedTuple):
    """An execution: the results of its tasks so far, and the invocation that runs."""

    attempt: int
    results: tuple[machine.Ok | machine.Failure, ...] = ()
    invocation: Invocation | None = None


class World(NamedTuple):
    """A state. Equal states have the same future. Executions and invocations are numbers of the `Model`."""

    order: str  # the stored item, JSON
    stock: int
    budget: Budget
    queue: tuple[int, ...] = ()  # attempts
    started: frozenset[int] = frozenset()  # names of STANDARD executions
    executions: tuple[int, ...] = ()
    others: tuple[int, ...] = ()  # invocations without an execution, or whose execution waits no more
    events: frozenset[str] = frozenset()  # ids
    partner: Partner = Partner()
    lacks_events: bool = False  # an execution ended where `docs/events.md` says that an event may be lost

    @property
    def is_open(self) -> bool:
        """Whether the requeue finds the order."""
        return '"openShard"' in self.order

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs, waits or is owed."""
        return not (self.queue or self.executions or self.others or self.is_open or self.partner.is_active)


@cache
def order_of(item: str) -> Order:
    """Returns the order of a stored item."""
    return order_from(json.loads(item), "")


class Step(NamedTuple):
    """A step to the next state: what happens, and whether it is a fault."""

    name: str
    world: World
    is_fault: bool = False


@dataclass
class Model:
    """The steps of a stack: its workflow type, and how its fulfillment system may answer."""

    functions: Functions
    order_id: str
    is_express: bool
    modes: tuple[str, ...] = ()  # of a `Partner`
    plan: tuple[str, ...] = ()  # of a `Partner` that ships later
    _applied: dict[Any, Any] = field(default_factory=dict)
    _machine: dict[Any, machine.Invoke | machine.End] = field(default_factory=dict)
    _values: list[Any] = field(default_factory=list)
    _numbers: dict[str, int] = field(default_factory=dict)

    def first(self, item: Mapping[str, Any], stock: int, budget: Budget) -> World:
        """Returns the state with a new order and its message."""
        return World(_normal(item), stock, budget, queue=(1,))

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
        yield from self._partner(world)
        is_busy = world.queue or world.executions or world.others
        if world.is_open and (world.budget.overlaps or not is_busy):
            before = _spend(world, "overlaps") if is_busy else world
            yield Step("schedule", self._continue(before, Invocation("requeue_stalled_orders", "{}")))

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
        if world.budget.cancels:
            yield Step("client cancels", self._continue(_spend(world, "cancels"), Invocation("cancel", "0")))
        if world.budget.retries and order_of(world.order).status == "FAILED":
            yield Step("operator retries", self._continue(_spend(world, "retries"), Invocation("retry", "0")))

    def _partner(self, world: World) -> Iterator[Step]:
        partner = world.partner
        if partner.mode == "later" and partner.facts != partner.plan:
            fact = partner.plan[len(partner.facts)]
            yield Step(fact, world._replace(partner=partner._replace(facts=(*partner.facts, fact))))
        for fact in partner.facts:
            report = self._report(fact, self._content(fact))
            if any(self._values[number][:2] == report[:2] for number in world.others):
                continue
            if fact not in partner.reported:
                yield Step(f"report of {fact}", self._continue(world, report))
            elif world.budget.repeats:
                yield Step(f"report of {fact} again", self._continue(_spend(world, "repeats"), report))
        if world.budget.returns and order_of(world.order).shipments:
            lines = [{"productId": PRODUCT, "quantity": 1, "restock": True}]
            report = self._report("returns/r", {"status": "RECEIVED", "lines": lines})
            yield Step("report of a return", self._continue(_spend(world, "returns"), report))

    def _report(self, fact: str, body: Any) -> Invocation:
        return Invocation("report", json.dumps({"route": f"/orders/{self.order_id}/{fact}", "body": body}))

    def _content(self, fact: str) -> dict[str, Any]:
        """Returns a parcel or a refusal: of an equal part of the order."""
        lines = [{"productId": PRODUCT, "quantity": ORDERED // len(self.plan)}]
        is_parcel = fact.startswith("shipments/")
        return {"lines": lines, **({"shippedAt": AT} if is_parcel else {"reason": "broken"})}

    def _answer_order(self, world: World, request: Mapping[str, Any]) -> Iterator[tuple[World, Answer]]:
        """Returns what the fulfillment system may do with a request."""
        partner, attempt = world.partner, request["attempt"]
        if request.get("cancel"):
            agrees = partner.mode == "cancelled" or not partner.shipped
            now = partner._replace(mode="cancelled") if agrees else partner
            yield world._replace(partner=now), _reply(200, {"cancelled": agrees})
            return
        is_new = not partner.mode or (partner.mode == "refused" and attempt > partner.attempt)
        for mode in self.modes if is_new else (partner.mode,):
            now = Partner(mode, attempt, self.plan if mode == "later" else ()) if is_new else partner
            after = world._replace(partner=now)
            if mode == "at once":
                yield after, _reply(200, {"shipmentId": "whole"})
            elif mode == "later":
                yield after, _reply(202, self._facts(now))
            else:
                yield after, _reply(422, {"refused": True})

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
            zombie = spent._replace(others=_with(spent.others, self._number(invocation)))
            for result in self._failures(execution, "States.Timeout"):
                timed_out = self._proceed(zombie, execution, *result)
                # It may make the final move after the workflow has returned the order to the index.
                timed_out = timed_out._replace(lacks_events=len(result) > 1)
                yield Step(f"{where} {invocation.function} times out, and runs on", timed_out, is_fault=True)
            yield Step(f"{where} is cut off", spent._replace(lacks_events=True), is_fault=True)

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
            return invocation._replace(answers=(*invocation.answers, answer))

        for after, answer in self._apply(world, call):
            yield name, after, with_answer(answer), False
            if world.budget.faults:
                spent = _spend(after, "faults")
                yield f"{name}, its answer is lost", spent, with_answer(LOST), True
                yield f"{name}, and is killed", spent, None, True
                if call.service == FULFILLMENT:
                    of_proxy = _reply(404, {"message": "not found"})
                    yield f"{name}, which a proxy answers with 404", spent, with_answer(of_proxy), True
        if world.budget.faults:
            spent = _spend(world, "faults")
            yield f"{name} is lost", spent, with_answer(LOST), True
            yield f"{invocation.function} is killed", spent, None, True

    def _apply(self, world: World, call: Call) -> Iterator[tuple[World, Answer]]:
        request = json.loads(call.request)
        if call.service == FULFILLMENT:
            yield from self._answer_order(world, request)
        elif call.service == "dynamodb":
            order, stock, answer = self._store(world.order, world.stock, call)
            yield world._replace(order=order, stock=stock), answer
        elif call.service == "sqs":
            bodies = [one["MessageBody"] for one in request.get("Entries", [request])]
            attempts = [json.loads(body)["attempt"] for body in bodies]
            queue = tuple(sorted([*world.queue, *attempts]))
            successful = [{"Id": entry["Id"]} for entry in request.get("Entries", ())]
            yield world._replace(queue=queue), _response({"Successful": successful})
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

    def _store(self, order: str, stock: int, call: Call) -> tuple[str, int, Answer]:
        key = (order, stock, call)
        if key not in self._applied:
            store = Store(table_schemas())
            store.tables["orders"].items[self.order_id] = json.loads(order)
            store.tables["products"].items[PRODUCT] = {
                "productId": {"S": PRODUCT},
                "stock": {"N": str(stock)},
            }
            request = json.loads(call.request)
            if call.operation == "TransactWriteItems":
                request.setdefault("ClientRequestToken", "token")
            try:
                answer = _response(store.call(call.operation, request))
            except ClientError as error:
                error.response.setdefault("ResponseMetadata", {})["RetryAttempts"] = 0
                answer = Answer("error", json.dumps(error.response, sort_keys=True))
            left = int(store.tables["products"].items[PRODUCT]["stock"]["N"])
            item = store.tables["orders"].items[self.order_id]
            now = order if item == json.loads(order) else _normal(item)
            if answer.kind == "response" and '"Attributes"' in answer.body:
                answer = _response({"Attributes": json.loads(now)})
            self._applied[key] = now, left, answer
        known: tuple[str, int, Answer] = self._applied[key]
        return known

    def _continue(self, world: World, invocation: Invocation | None) -> World:
        """Adds an invocation without an execution, unless it has ended."""
        if invocation is None:
            return world
        ended = self.functions.advance(invocation)
        if isinstance(ended, Call):
            return world._replace(others=_with(world.others, self._number(invocation)))
        status = ended.result if isinstance(ended, machine.Ok) else None
        if invocation.function == "report" and status is not None and status < 500:
            fact = "/".join(json.loads(invocation.event)["route"].split("/")[-2:])
            if fact in world.partner.facts:
                reported = tuple(sorted({*world.partner.reported, fact}))
                world = world._replace(partner=world.partner._replace(reported=reported))
        return world

    def _proceed(self, world: World, execution: Execution, *results: machine.Ok | machine.Failure) -> World:
        """Continues an execution up to the next call of its next task, or to its end."""
        known = execution.results + results
        while True:
            following = self._next(execution.attempt, known)
            if isinstance(following, machine.End):
                return world
            invocation = Invocation(following.function, json.dumps(following.payload, sort_keys=True))
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
    """Returns an item as JSON, without what grows with every write.

    The revision becomes a checksum: it changes with the content. An open order is always due.
    """
    content = {name: value for name, value in item.items() if name != "revision"}
    if "dueAt" in content:
        content["dueAt"] = {"S": AT}
    text = json.dumps(content, sort_keys=True)
    return json.dumps({**content, "revision": {"N": str(zlib.crc32(text.encode()))}}, sort_keys=True)


def _spend(world: World, what: str) -> World:
    left = getattr(world.budget, what) - 1
    return world._replace(budget=world.budget._replace(**{what: left}))


def _with(elements: tuple[int, ...], one: int) -> tuple[int, ...]:
    return tuple(sorted((*elements, one)))


def _without(elements: tuple[int, ...], one: int) -> tuple[int, ...]:
    at = elements.index(one)
    return elements[:at] + elements[at + 1 :]


def _response(body: Any) -> Answer:
    return Answer("response", json.dumps(body, sort_keys=True))


def _reply(status: int, document: Any) -> Answer:
    return Answer("response", json.dumps([status, document]))
