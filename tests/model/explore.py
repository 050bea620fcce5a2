"""Explores every state of a model, and checks what must hold in each."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from functions.shared.domain.ids import event_id_for
from functions.shared.domain.moves import LEGAL_MOVES, conditions_hold
from functions.shared.domain.orders import UNFINISHED_STATUSES, OrderStatus
from functions.shared.domain.shipping import held, returned, shipped
from local.memory.backend import MemoryBackend, installed
from local.memory.cloud import MemoryCloud
from tests.model.replay import connected
from tests.model.world import NOTHING, ORDERED, PRODUCT, Budget, Model, World, order_of

STOCK = ORDERED + 1
MAX_ATTEMPTS = 2


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What a model includes: a stack, how its fulfillment system may answer, and what may happen."""

    is_express: bool = False
    modes: tuple[str, ...] = ()
    plan: tuple[str, ...] = ("shipments/a",)
    budget: Budget = NOTHING


SCOPES = {
    "EXPRESS in place": Scope(is_express=True, budget=Budget(faults=1, overlaps=1)),
    "EXPRESS in place, cancelled, messages twice": Scope(
        is_express=True, budget=Budget(duplicates=1, cancels=1, overlaps=1)
    ),
    "STANDARD in place, retried": Scope(budget=Budget(faults=1, retries=1, overlaps=1)),
    "EXPRESS, shipped at once or refused": Scope(
        is_express=True, modes=("at once", "refused"), budget=Budget(faults=1, cancels=1)
    ),
    "STANDARD, shipped at once or refused, retried": Scope(
        modes=("at once", "refused"), budget=Budget(faults=1, duplicates=1, retries=1)
    ),
    "shipped later": Scope(modes=("later",), budget=Budget(faults=1)),
    "shipped later, cancelled": Scope(modes=("later", "refused"), budget=Budget(cancels=1, repeats=1)),
    "shipped later, returned": Scope(modes=("later",), budget=Budget(repeats=1, returns=2)),
    "partly refused later": Scope(modes=("later",), plan=("shipments/a", "refusals/b")),
    "refused later, retried": Scope(modes=("later",), plan=("refusals/b",), budget=Budget(retries=1)),
    "shipped later in two parcels": Scope(modes=("later",), plan=("shipments/a", "shipments/b")),
}
"""The scopes of every run. More in one scope multiplies its states."""

LARGE_SCOPES = {
    "EXPRESS in place, two faults": Scope(is_express=True, budget=Budget(faults=2)),
    "EXPRESS in place, everything once": Scope(is_express=True, budget=Budget(1, 1, 1, 0, 0, 1)),
    "STANDARD, shipped at once or refused, everything once": Scope(
        modes=("at once", "refused"), budget=Budget(1, 1, 1, 1, 0, 1)
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
    with installed(backend):
        backend.add_products(**{PRODUCT: STOCK})
        order_id = backend.place_order("key", **{PRODUCT: ORDERED})
    item = backend.cloud.store.tables["orders"].items[order_id]
    with connected(backend, order_id, max_attempts=MAX_ATTEMPTS) as functions:
        model = Model(functions, order_id, scope.is_express, scope.modes, scope.plan)
        return _explore(model, model.first(item, STOCK, scope.budget))


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
    order = order_of(world.order)
    found = []
    back = returned(order, only_restocked=True)
    outside = sum(held(order)) + sum(shipped(order)) - sum(back)
    if world.stock + outside != STOCK or min(*held(order), *shipped(order)) < 0:
        found.append(
            f"stock is lost: {world.stock}, {held(order)} held, {shipped(order)} shipped, {back} returned"
        )
    statuses = [entry.status for entry in order.history]
    if any(after not in LEGAL_MOVES[before] for before, after in pairwise(statuses)):
        found.append(f"an illegal move: {statuses}")
    is_held_for_an_operator = order.status is OrderStatus.FAILED
    is_unfinished = order.status in {OrderStatus.PENDING, OrderStatus.VALIDATED}
    if not (is_unfinished or is_held_for_an_operator or conditions_hold(order, order.status)):
        found.append(f"the conditions of {order.status} do not hold")
    if (order.status in UNFINISHED_STATUSES or order.unsent) and not world.is_open:
        found.append("the order is lost: it is not in the open index")
    if world.partner.has_parcels and not order.is_handed_over:
        found.append("the reservation is released, and a parcel is on its way")
    if world.is_idle:
        found += _violations_at_the_end(world, order_id)
    return found


def _violations_at_the_end(world: World, order_id: str) -> list[str]:
    order, partner = order_of(world.order), world.partner
    found = []
    announced = [
        number
        for number, entry in enumerate(order.history)
        if entry.status not in {OrderStatus.PENDING, OrderStatus.IN_FULFILLMENT}
    ]
    missing = [number for number in announced if event_id_for(order_id, number) not in world.events]
    if missing and not world.lacks_events:
        found.append(f"events are missing: moves {missing} of {[entry.status for entry in order.history]}")
    if order.status in UNFINISHED_STATUSES:
        found.append("the order is not final")
    if partner.mode == "cancelled" and order.status is not OrderStatus.CANCELLED:
        found.append(f"the fulfillment system agreed to cancel, and the order is {order.status}")
    ended_well = {OrderStatus.FULFILLED, OrderStatus.DELIVERED, OrderStatus.FAILED}
    if partner.has_parcels and order.status not in ended_well:
        found.append(f"parcels have left, and the order is {order.status}")
    return found
