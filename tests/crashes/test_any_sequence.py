"""Any life of any orders: clients, AWS, the warehouse and an operator do what they like, in any order.

Whatever happens, the invariants of `World.check_always` hold after every step; and once the faults stop,
every order becomes final.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from functions.shared.domain.orders import OrderStatus, order_id_for
from local.memory.backend import USER, World, installed
from local.memory.cloud import Hook, Killed
from local.memory.faults import AFTER, BEFORE, CONFLICT, FaultAt
from local.memory.functions import ApiClient
from local.partners.fulfillment import Behavior

pytestmark = pytest.mark.usefixtures("without_logs")

PRODUCTS = ("p1", "p2", "p3")
KEYS = ("a", "b", "c", "d")

quantities = st.dictionaries(st.sampled_from((*PRODUCTS, "ghost")), st.integers(1, 3), min_size=1, max_size=3)
# Most steps go well; the others fail at one of their first calls.
faults = st.one_of(
    st.none(),
    st.none(),
    st.tuples(st.integers(0, 6), st.sampled_from([*BEFORE, *AFTER, *CONFLICT])),
)


class AnyLife(RuleBasedStateMachine):
    """What may happen."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.world = World()
        self.bodies: dict[str, dict[str, int]] = {}
        self.was_stopped = False

    @initialize(is_outside=st.booleans(), is_express=st.booleans(), stock=st.integers(0, 5))
    def begin(self, is_outside: bool, is_express: bool, stock: int) -> None:
        self.world = World(is_outside=is_outside)
        self.world.cloud.is_express = is_express
        self.world.stock_up(p1=stock, p2=3, p3=1)
        self.stack.enter_context(installed(self.world))

    def upset(self, fault: tuple[int, str] | None) -> None:
        """Let one of the next step's calls fail."""
        if fault is None:
            self.world.cloud.hook = Hook()
            return
        number, kind = fault
        before = {**BEFORE, **CONFLICT}.get(kind)
        self.world.cloud.hook = FaultAt(number, before, AFTER.get(kind))

    # --- clients ---

    @rule(key=st.sampled_from(KEYS), wanted=quantities, fault=faults)
    def place(self, key: str, wanted: dict[str, int], fault: tuple[int, str] | None) -> None:
        self.upset(fault)
        self.world.place(key, **self.bodies.setdefault(key, wanted))

    @precondition(lambda self: self.world.orders())
    @rule(data=st.data(), fault=faults)
    def cancel(self, data: Any, fault: tuple[int, str] | None) -> None:
        self.upset(fault)
        order_id = data.draw(st.sampled_from(sorted(self.world.orders())))
        status = self.world.cancel(order_id)
        assert status in {200, 409}
        assert (status == 200) is (self.world.status(order_id) == "CANCELLED")

    @rule(
        product=st.sampled_from(PRODUCTS),
        change=st.fixed_dictionaries({}, optional={"stock": st.integers(0, 6), "price": st.integers(1, 500)}),
        fault=faults,
    )
    def edit_product(self, product: str, change: dict[str, int], fault: tuple[int, str] | None) -> None:
        if product not in self.world.shelved:
            return
        before = self.world.stock(product)
        version = self.world.cloud.store.tables["products"].items[product]["version"]["N"]
        self.upset(fault)
        with suppress(Killed):
            ApiClient().patch(f"/products/{product}", change, headers={"If-Match": f'"{version}"'})
        self.world.shelved[product] += self.world.stock(product) - before

    @rule(product=st.sampled_from(PRODUCTS))
    def delete_product(self, product: str) -> None:
        self.upset(None)
        ApiClient().delete(f"/products/{product}")
        self.world.shelved.pop(product, None)

    # --- AWS ---

    @rule(count=st.integers(1, 3), fault=faults)
    def deliver(self, count: int, fault: tuple[int, str] | None) -> None:
        self.upset(fault)
        self.world.deliver(count)

    @precondition(lambda self: self.world.cloud.queue)
    @rule(copies=st.integers(0, 2), turns=st.integers(0, 3))
    def repeat_and_reorder_messages(self, copies: int, turns: int) -> None:
        queue = self.world.cloud.queue
        queue.extend([queue[0]] * copies)
        queue.rotate(turns)

    @precondition(lambda self: self.world.running())
    @rule(data=st.data(), steps=st.integers(1, 4), fault=faults)
    def run_execution(self, data: Any, steps: int, fault: tuple[int, str] | None) -> None:
        self.upset(fault)
        running = self.world.running()
        execution = running[data.draw(st.integers(0, len(running) - 1))]
        for _ in range(steps):
            if execution.end is None:
                self.world.step(execution)

    @precondition(lambda self: self.world.running())
    @rule()
    def stop_executions(self) -> None:
        self.world.stop_executions()
        self.was_stopped = True

    @precondition(lambda self: self.world.cloud.queue)
    @rule()
    def lose_messages(self) -> None:
        self.world.cloud.queue.clear()

    @rule(minutes=st.sampled_from((1, 11, 30)), fault=faults)
    def run_schedule(self, minutes: int, fault: tuple[int, str] | None) -> None:
        self.world.wait(minutes)
        self.upset(fault)
        self.world.requeue()

    # --- the warehouse and the operator ---

    @rule(behavior=st.lists(st.sampled_from(list(Behavior)), min_size=1, max_size=3))
    def upset_the_warehouse(self, behavior: list[Behavior]) -> None:
        self.world.cloud.warehouse.plan.extend(behavior)

    @precondition(lambda self: self.failed())
    @rule(data=st.data(), fault=faults)
    def retry(self, data: Any, fault: tuple[int, str] | None) -> None:
        self.upset(fault)
        self.world.retry(data.draw(st.sampled_from(self.failed())))

    @precondition(lambda self: self.failed())
    @rule(data=st.data())
    def release(self, data: Any) -> None:
        # An operator asks the warehouse first.
        order_id = data.draw(st.sampled_from(self.failed()))
        if order_id not in self.world.cloud.warehouse.shipments:
            self.upset(None)
            self.world.release(order_id)

    def failed(self) -> list[str]:
        orders = self.world.orders().values()
        return sorted(order.order_id for order in orders if order.status is OrderStatus.FAILED)

    # --- what must hold ---

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        self.world.check_always()

    @invariant()
    def equal_keys_make_one_order(self) -> None:
        assert set(self.world.orders()) <= {order_id_for(USER, key) for key in self.bodies}

    def teardown(self) -> None:
        with self.stack:
            self.upset(None)
            self.world.cloud.warehouse.plan.clear()
            self.world.settle()
            self.world.check(all_announced=not self.was_stopped)


# Always the same lives, so that a red build is red for everybody; more of them with ANY_LIFE=<how many>.
AnyLife.TestCase.settings = settings(
    max_examples=int(os.environ.get("ANY_LIFE", "50")),
    stateful_step_count=40,
    derandomize="ANY_LIFE" not in os.environ,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
TestAnyLife = AnyLife.TestCase
