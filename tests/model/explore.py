"""Explores every state of a model, and checks what must hold in each."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from functions.shared.domain.ids import event_id_for
from functions.shared.domain.moves import LEGAL_MOVES, conditions_hold
from functions.shared.domain.orders import UNFINISHED_STATUSES, Order, OrderStatus
from functions.shared.domain.shipping import held, returned, shipped
from local.memory.backend import MemoryBackend, installed
from local.memory.cloud import MemoryCloud
from tests.model.replay import KEY, connected
from tests.model.world import NOTHING, PIECES, Budget, Model, World, order_of, stock_of

MAX_ATTEMPTS = 2


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What a model includes: a stack, how its fulfillment systems may answer, and what may happen."""

    is_express: bool = False
    modes: tuple[str, ...] = ()
    plan: tuple[str, ...] = ("shipments/a",)
    systems: tuple[str, ...] = ("a",)  # with which the stack is configured, if it has `modes`; "" is none
    products: int = 1
    budget: Budget = NOTHING


SCOPES = {
    "EXPRESS, placed by the client": Scope(is_express=True, budget=Budget(faults=1, requests=2)),
    "EXPRESS in place": Scope(is_express=True, budget=Budget(faults=1, overlaps=1)),
    "EXPRESS in place, cancelled, messages twice": Scope(
        is_express=True, budget=Budget(duplicates=1, cancels=1, overlaps=1)
    ),
    "EXPRESS in place, archived, messages twice": Scope(
        is_express=True, budget=Budget(faults=1, duplicates=1, archives=1)
    ),
    "EXPRESS in place, two products, restocked": Scope(
        is_express=True, products=2, budget=Budget(faults=1, restocks=1)
    ),
    "STANDARD in place, retried": Scope(budget=Budget(faults=1, retries=1, overlaps=1)),
    "EXPRESS, shipped at once or refused": Scope(
        is_express=True, modes=("at once", "refused"), budget=Budget(faults=1, cancels=1)
    ),
    "STANDARD, shipped at once or refused, retried": Scope(
        modes=("at once", "refused"), budget=Budget(faults=1, duplicates=1, retries=1)
    ),
    "the fulfillment system is replaced": Scope(
        modes=("at once", "refused"), systems=("a", "b"), budget=Budget(faults=1, retries=1, releases=1)
    ),
    "the fulfillment system is removed": Scope(
        modes=("at once",), systems=("a", ""), budget=Budget(faults=1)
    ),
    "the fulfillment system is replaced, shipped later": Scope(
        modes=("later",), systems=("a", "b"), budget=Budget(cancels=1)
    ),
    "shipped at once, returned": Scope(modes=("at once",), budget=Budget(faults=1, returns=1)),
    "shipped later": Scope(modes=("later",), budget=Budget(faults=1)),
    "shipped later, cancelled": Scope(modes=("later", "refused"), budget=Budget(cancels=1, repeats=1)),
    "shipped later, returned": Scope(modes=("later",), budget=Budget(repeats=1, returns=2)),
    "two products, partly refused later": Scope(
        modes=("later",), plan=("shipments/a", "refusals/b"), products=2
    ),
    "refused later, retried": Scope(modes=("later",), plan=("refusals/b",), budget=Budget(retries=1)),
    "shipped later in two parcels": Scope(modes=("later",), plan=("shipments/a", "shipments/b")),
}
"""The scopes of every run. More in one scope multiplies its states."""

LARGE_SCOPES = {
    "EXPRESS in place, two faults": Scope(is_express=True, budget=Budget(faults=2)),
    "EXPRESS in place, everything once": Scope(
        is_express=True, budget=Budget(faults=1, duplicates=1, cancels=1, overlaps=1)
    ),
    "STANDARD, shipped at once or refused, everything once": Scope(
        modes=("at once", "refused"),
        budget=Budget(faults=1, duplicates=1, cancels=1, retries=1, overlaps=1),
    ),
    "shipped later, cancelled, a fault": Scope(
        modes=("later", "refused"), budget=Budget(faults=1, cancels=1)
    ),
    "shipped later in two parcels, cancelled": Scope(
        modes=("later",), plan=("shipments/a", "shipments/b"), budget=Budget(cancels=1)
    ),
    "shipped later in two parcels, a fault": Scope(
        modes=("later",), plan=("shipments/a", "shipments/b"), budget=Budget(faults=1)
    ),
    "the fulfillment system is replaced, shipped later, a fault": Scope(
        modes=("later",), systems=("a", "b"), budget=Budget(faults=1)
    ),
    "two products, partly refused later, cancelled": Scope(
        modes=("later",), plan=("shipments/a", "refusals/b"), products=2, budget=Budget(cancels=1)
    ),
}
"""The scopes of `python -m tests.model --large`."""


@dataclass(frozen=True)
class Explored:
    """The size of an exploration."""

    states: int
    steps: int
    ends: int  # states in which nothing runs, waits or is owed


class Violation(AssertionError):
    """A state that must not be, with the steps that lead to it."""


def explore(scope: Scope) -> Explored:
    """Visits every state of a scope, those with the fewest steps first. Raises `Violation`."""
    backend = MemoryBackend(MemoryCloud(is_express=scope.is_express), bool(scope.modes))
    products = tuple(PIECES)[: scope.products]
    with installed(backend):
        backend.add_products(**{product: PIECES[product] + 1 for product in products})
        order_id = backend.place_order(KEY, **{product: PIECES[product] for product in products})
    tables = backend.cloud.store.tables
    systems = scope.systems if scope.modes else ("",)
    with connected(
        backend, order_id, max_attempts=MAX_ATTEMPTS, is_catalog_fixed=not scope.budget.archives
    ) as functions:
        model = Model(functions, order_id, scope.is_express, scope.modes, scope.plan, systems, products)
        stored = [tables["products"].items[product] for product in products]
        return _explore(model, model.first(tables["orders"].items[order_id], stored, scope.budget))


def _explore(model: Model, first: World) -> Explored:
    numbers = {first: 0}
    worlds = [first]
    reached_by: list[tuple[int, str]] = [(0, "")]
    before: list[list[int]] = [[]]  # the states from which a regular step leads to a state
    waiting = deque([0])
    steps, ends = 0, []

    def fail(number: int, message: str) -> None:
        names: list[str] = []
        state = worlds[number]
        while number:
            number, name = reached_by[number]
            names.insert(0, name)
        raise Violation(f"{message}\nafter {'; '.join(names)}\n{state}")

    while waiting:
        number = waiting.popleft()
        world = worlds[number]
        for message in violations(world, model.order_id):
            fail(number, message)
        if world.is_idle:
            ends.append(number)
        for step in model.steps(world):
            steps += 1
            following = numbers.setdefault(step.world, len(worlds))
            if following == len(worlds):
                worlds.append(step.world)
                reached_by.append((number, step.name))
                before.append([])
                waiting.append(following)
            if not step.is_fault:
                before[following].append(number)
    lost = _unreached(before, ends)
    if lost is not None:
        fail(lost, "the order is lost: no course without further faults leads to its end")
    return Explored(len(worlds), steps, len(ends))


def _unreached(before: Sequence[Sequence[int]], ends: Sequence[int]) -> int | None:
    """Returns the first state from which no end can be reached, or None."""
    reached = set(ends)
    waiting = list(ends)
    while waiting:
        for number in before[waiting.pop()]:
            if number not in reached:
                reached.add(number)
                waiting.append(number)
    return next((number for number in range(len(before)) if number not in reached), None)


def violations(world: World, order_id: str) -> list[str]:
    """Returns what is wrong with a state, in words."""
    found = [world.wrong] if world.wrong else []
    order = order_of(world.order) if world.order else None
    found += _violations_of_stock(world, order)
    if order is None:
        return found
    statuses = [entry.status for entry in order.history]
    if any(after not in LEGAL_MOVES[before] for before, after in pairwise(statuses)):
        found.append(f"an illegal move: {statuses}")
    is_held_for_an_operator = order.status is OrderStatus.FAILED
    is_unfinished = order.status in {OrderStatus.PENDING, OrderStatus.VALIDATED}
    if not (is_unfinished or is_held_for_an_operator or conditions_hold(order, order.status)):
        found.append(f"the conditions of {order.status} do not hold")
    if (order.status in UNFINISHED_STATUSES or order.unsent) and not world.is_open:
        found.append("the order is lost: it is not in the open index")
    shipping = [partner.name for partner in world.partners if partner.has_parcels]
    if shipping and not order.is_handed_over:
        found.append("the reservation is released, and a parcel is on its way")
    if any(shipment.shipment_id == f"shipment-{order_id}" for shipment in order.shipments):
        shipping.append("the stack")
    if len(shipping) > 1:
        found.append(f"several ship the order: {shipping}")
    if world.is_idle:
        found += _violations_at_the_end(world, order, order_id)
    return found


def _violations_of_stock(world: World, order: Order | None) -> list[str]:
    found = []
    for number, (in_stock, pieces) in enumerate(zip(stock_of(world.products), PIECES.values(), strict=False)):
        outside = 0
        parts: tuple[int, ...] = ()
        if order is not None:
            back = returned(order, only_restocked=True)[number]
            parts = held(order)[number], shipped(order)[number], back
            outside = parts[0] + parts[1] - back
        put_in = pieces + 1 + (0 if number else world.added)
        if in_stock + outside != put_in or min(parts, default=0) < 0:
            found.append(f"stock is lost: {put_in} put in, {in_stock} left, held, shipped, returned: {parts}")
    return found


def _violations_at_the_end(world: World, order: Order, order_id: str) -> list[str]:
    found = []
    announced = [
        number
        for number, entry in enumerate(order.history)
        if entry.status not in {OrderStatus.PENDING, OrderStatus.IN_FULFILLMENT}
    ]
    missing = [number for number in announced if event_id_for(order_id, number) not in world.events]
    if missing and not world.lacks_events:
        found.append(f"events are missing: {[order.history[number].status.value for number in missing]}")
    if order.status in UNFINISHED_STATUSES:
        found.append("the order is not final")
    # An order whose attempts are used up fails under one more, which has no message.
    failed = [entry for entry, after in pairwise(order.history) if after.status is OrderStatus.PENDING]
    given_up = sum((entry.reason or "").startswith("attempts_used_up") for entry in failed)
    unsent = set(range(1, order.attempt + 1)) - world.sent
    excused = given_up + (order.attempts_used > MAX_ATTEMPTS)
    needs_none = world.lacks_messages or order.status is OrderStatus.CANCELLED
    if len(unsent) > excused and not needs_none:
        found.append(f"an attempt is used up, and was not sent to the queue: {unsent}")
    for partner in world.partners:
        if partner.mode == "cancelled" and order.status is not OrderStatus.CANCELLED:
            found.append(f"the fulfillment system agreed to cancel, and the order is {order.status}")
        ended_well = {OrderStatus.FULFILLED, OrderStatus.DELIVERED, OrderStatus.FAILED}
        if partner.has_parcels and order.status not in ended_well:
            found.append(f"parcels have left, and the order is {order.status}")
    return found
