"""Random sequences of steps by clients, AWS, the fulfillment system and an operator, with faults.

The invariants hold after every step. Once the faults stop, every order becomes final.
`ANY_SEQUENCE=1000` runs 1000 sequences instead of 50.
"""

from __future__ import annotations

import os
import uuid
from contextlib import ExitStack, suppress
from itertools import count
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from functions.shared.domain.ids import basket_order_id, order_id_for
from local.memory.backend import USER, MemoryBackend, installed
from local.memory.cloud import Hook, Killed
from local.memory.faults import FAULTS, FaultAt
from local.memory.functions import ApiClient
from local.memory.invariants import check_final_state, check_invariants
from local.partners.fulfillment import Behavior

pytestmark = pytest.mark.usefixtures("without_logs")

PRODUCTS = ("p1", "p2", "p3")
KEYS = ("a", "b", "c", "d")

quantities = st.dictionaries(st.sampled_from((*PRODUCTS, "ghost")), st.integers(1, 3), min_size=1, max_size=3)
# Two of three steps have no fault. The others have one at one of their first calls.
faults = st.one_of(
    st.none(),
    st.none(),
    st.tuples(st.integers(0, 6), st.sampled_from(list(FAULTS))),
)


class AnySequence(RuleBasedStateMachine):
    """The steps and the invariants."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.backend = MemoryBackend()
        self.bodies: dict[str, dict[str, int]] = {}
        self.was_stopped = False
        self.basket_orders: set[str] = set()  # the ids of the orders that baskets may have become
        self.basket_version = 0

    @initialize(uses_fulfillment_system=st.booleans(), is_express=st.booleans(), stock=st.integers(0, 5))
    def begin(self, uses_fulfillment_system: bool, is_express: bool, stock: int) -> None:
        self.backend = MemoryBackend(uses_fulfillment_system=uses_fulfillment_system)
        self.backend.cloud.is_express = is_express
        self.backend.add_products(p1=stock, p2=3, p3=1)
        self.stack.enter_context(installed(self.backend))
        # The ids of orders from baskets must be the same when a sequence is run again.
        numbers = count(1)
        self.stack.enter_context(patch("uuid.uuid4", lambda: uuid.UUID(int=next(numbers))))

    def set_fault(self, fault: tuple[int, str] | None) -> None:
        """Make one call of the next step fail, or none."""
        if fault is None:
            self.backend.cloud.hook = Hook()
            return
        number, kind = fault
        self.backend.cloud.hook = FaultAt(number, FAULTS[kind])

    # --- clients ---

    @rule(key=st.sampled_from(KEYS), wanted=quantities, fault=faults)
    def place_order(self, key: str, wanted: dict[str, int], fault: tuple[int, str] | None) -> None:
        self.set_fault(fault)
        self.backend.place_order(key, **self.bodies.setdefault(key, wanted))

    @rule(product=st.sampled_from(PRODUCTS), quantity=st.integers(0, 3), fault=faults)
    def change_basket(self, product: str, quantity: int, fault: tuple[int, str] | None) -> None:
        self.set_fault(fault)
        path = f"/users/{USER}/basket/items/{product}"
        if quantity:
            self.backend.send("PUT", path, {"quantity": quantity})
        else:
            self.backend.send("DELETE", path)

    @rule(by_version=st.booleans(), fault=faults)
    def check_out(self, by_version: bool, fault: tuple[int, str] | None) -> None:
        for basket in self.backend.baskets():
            self.basket_orders.add(basket_order_id(basket.basket_id or ""))
            self.basket_version = basket.version
        self.set_fault(fault)
        status = self.backend.order_basket(version=self.basket_version if by_version else None)
        assert status in {200, 201, 409}

    @precondition(lambda self: self.backend.orders())
    @rule(data=st.data(), fault=faults)
    def cancel_order(self, data: Any, fault: tuple[int, str] | None) -> None:
        self.set_fault(fault)
        order_id = data.draw(st.sampled_from(sorted(self.backend.orders())))
        status = self.backend.cancel_order(order_id)
        assert status in {200, 409}
        assert (status == 200) is (self.backend.status(order_id) == "CANCELLED")

    @rule(
        product=st.sampled_from(PRODUCTS),
        change=st.fixed_dictionaries({}, optional={"stock": st.integers(0, 6), "price": st.integers(1, 500)}),
        fault=faults,
    )
    def edit_product(self, product: str, change: dict[str, int], fault: tuple[int, str] | None) -> None:
        if product not in self.backend.pieces_added:
            return
        before = self.backend.stock(product)
        version = self.backend.cloud.store.tables["products"].items[product]["version"]["N"]
        self.set_fault(fault)
        with suppress(Killed):
            ApiClient().patch(f"/products/{product}", change, headers={"If-Match": f'"{version}"'})
        self.backend.pieces_added[product] += self.backend.stock(product) - before

    @rule(product=st.sampled_from(PRODUCTS))
    def delete_product(self, product: str) -> None:
        self.set_fault(None)
        ApiClient().delete(f"/products/{product}")
        self.backend.pieces_added.pop(product, None)

    # --- AWS ---

    @rule(count=st.integers(1, 3), fault=faults)
    def deliver_messages(self, count: int, fault: tuple[int, str] | None) -> None:
        self.set_fault(fault)
        self.backend.deliver_messages(count)

    @precondition(lambda self: self.backend.cloud.queue)
    @rule(copies=st.integers(0, 2), turns=st.integers(0, 3))
    def repeat_and_reorder_messages(self, copies: int, turns: int) -> None:
        queue = self.backend.cloud.queue
        queue.extend([queue[0]] * copies)
        queue.rotate(turns)

    @precondition(lambda self: self.backend.running_executions())
    @rule(data=st.data(), steps=st.integers(1, 4), fault=faults)
    def run_execution(self, data: Any, steps: int, fault: tuple[int, str] | None) -> None:
        self.set_fault(fault)
        running = self.backend.running_executions()
        execution = running[data.draw(st.integers(0, len(running) - 1))]
        for _ in range(steps):
            if execution.end is None:
                self.backend.step(execution)

    @precondition(lambda self: self.backend.running_executions())
    @rule()
    def stop_executions(self) -> None:
        self.backend.stop_executions()
        self.was_stopped = True

    @precondition(lambda self: self.backend.cloud.queue)
    @rule()
    def lose_messages(self) -> None:
        self.backend.cloud.queue.clear()

    @rule(minutes=st.sampled_from((1, 11, 30)), fault=faults)
    def run_schedule(self, minutes: int, fault: tuple[int, str] | None) -> None:
        self.backend.wait(minutes)
        self.set_fault(fault)
        self.backend.run_schedule()

    # --- the fulfillment system and the operator ---

    @rule(behavior=st.lists(st.sampled_from(list(Behavior)), min_size=1, max_size=3))
    def change_behavior(self, behavior: list[Behavior]) -> None:
        self.backend.cloud.partner.plan.extend(behavior)

    @precondition(lambda self: self.backend.failed_orders())
    @rule(data=st.data(), fault=faults)
    def retry_order(self, data: Any, fault: tuple[int, str] | None) -> None:
        self.set_fault(fault)
        self.backend.retry_order(data.draw(st.sampled_from(self.backend.failed_orders())))

    @precondition(lambda self: self.backend.failed_orders())
    @rule(data=st.data())
    def release_reservation(self, data: Any) -> None:
        # An operator releases only after checking that nothing was shipped.
        order_id = data.draw(st.sampled_from(self.backend.failed_orders()))
        if order_id not in self.backend.cloud.partner.shipments:
            self.set_fault(None)
            self.backend.release_reservation(order_id)

    # --- invariants ---

    @invariant()
    def every_invariant_holds(self) -> None:
        check_invariants(self.backend)

    @invariant()
    def each_key_and_each_basket_makes_one_order(self) -> None:
        client = self.backend.api.api_key_id
        by_key = {order_id_for(client, USER, key) for key in self.bodies}
        assert set(self.backend.orders()) <= by_key | self.basket_orders

    def teardown(self) -> None:
        with self.stack:
            self.set_fault(None)
            self.backend.cloud.partner.plan.clear()
            self.backend.run_until_idle()
            check_final_state(self.backend, all_announced=not self.was_stopped)


# Every run tests the same sequences, unless the variable is set.
AnySequence.TestCase.settings = settings(
    max_examples=int(os.environ.get("ANY_SEQUENCE", "50")),
    stateful_step_count=40,
    derandomize="ANY_SEQUENCE" not in os.environ,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
TestAnySequence = AnySequence.TestCase
