"""Checkouts and changes of one basket at the same time, interleaved at every call."""

from __future__ import annotations

from collections import Counter

import pytest

from local.memory.backend import USER, MemoryBackend, installed
from local.memory.functions import HttpAnswer
from local.memory.interleaving import Actor, Setting, explore
from tests.interleavings.test_interleavings import CASES, Count, check_outcome, consume_and_execute

pytestmark = pytest.mark.usefixtures("without_logs")

BASKET = f"/users/{USER}/basket"
Answers = list[HttpAnswer]


def new_backend(**quantities: int) -> MemoryBackend:
    """Returns a backend with four products, and with a basket if quantities are given."""
    backend = MemoryBackend()
    backend.cloud.is_express = True
    backend.add_products(p1=9, p2=9, p3=9, p4=9)
    with installed(backend):
        if quantities:
            backend.fill_basket(USER, quantities)
    return backend


def send(answers: Answers, method: str, path: str = "", body: object = None, **headers: str) -> Actor:
    """Returns an actor that sends a request, again as long as the answer is a 503, and records the answer."""

    def run(backend: MemoryBackend) -> None:
        while True:
            answer = backend.api.request(method, BASKET + path, body, headers=headers)
            if answer.status != 503:
                answers.append(answer)
                return

    return run


def check_out(answers: Answers, **headers: str) -> Actor:
    return send(answers, "POST", "/checkout", {}, **headers)


def put(answers: Answers, product: str, quantity: int) -> Actor:
    return send(answers, "PUT", f"/items/{product}", {"quantity": quantity})


def in_basket(backend: MemoryBackend) -> dict[str, int]:
    return {product: pieces for basket in backend.baskets() for product, pieces in basket.quantities.items()}


def ordered(backend: MemoryBackend) -> dict[str, int]:
    total: Counter[str] = Counter()
    for order in backend.orders().values():
        total.update({line.product_id: line.quantity for line in order.items})
    return dict(total)


@pytest.mark.parametrize("clients", [2, 3])
@pytest.mark.parametrize("headers", [{}, {"If-Match": '"2"'}], ids=["plain", "by_version"])
def test_checkouts_of_one_basket_make_one_order_that_all_get(
    clients: int, headers: dict[str, str], count_cases: Count
) -> None:
    answers: Answers = []

    def setting() -> Setting:
        answers.clear()
        return new_backend(p1=2, p2=1), [check_out(answers, **headers) for _ in range(clients)]

    def check(backend: MemoryBackend) -> None:
        assert sorted(answer.status for answer in answers) == [200] * (clients - 1) + [201]
        assert {answer.body["orderId"] for answer in answers} == set(backend.orders())
        assert (ordered(backend), in_basket(backend)) == ({"p1": 2, "p2": 1}, {})
        check_outcome(backend)
        assert backend.stock("p1") == 7

    explored = explore(setting, check)
    count_cases(CASES, explored.situations)


def test_a_checkout_and_its_repeat_while_the_order_is_executed_make_one_order(count_cases: Count) -> None:
    answers: Answers = []

    def twice(backend: MemoryBackend) -> None:
        for _ in range(2):
            check_out(answers)(backend)

    def setting() -> Setting:
        answers.clear()
        return new_backend(p1=2), [twice, consume_and_execute, consume_and_execute]

    def check(backend: MemoryBackend) -> None:
        assert [answer.status for answer in answers] == [201, 200]
        check_outcome(backend)
        (order,) = backend.orders().values()
        assert (order.status, backend.stock("p1")) == ("FULFILLED", 7)

    explored = explore(setting, check)
    count_cases(CASES, explored.situations)


def test_a_line_put_in_during_a_checkout_is_ordered_or_stays_in_the_basket(count_cases: Count) -> None:
    answers: Answers = []
    outcomes = set()

    def setting() -> Setting:
        answers.clear()
        return new_backend(p1=2), [check_out(answers), put(answers, "p2", 3)]

    def check(backend: MemoryBackend) -> None:
        assert {answer.status for answer in answers} == {200, 201}
        in_order, left = ordered(backend), in_basket(backend)
        assert {**in_order, **left} == {"p1": 2, "p2": 3}
        assert in_order.keys().isdisjoint(left)
        outcomes.add(tuple(left))
        check_outcome(backend)

    explored = explore(setting, check)
    count_cases(CASES, explored.situations)
    assert outcomes == {(), ("p2",)}


def test_a_checkout_by_version_orders_exactly_the_lines_of_that_version(count_cases: Count) -> None:
    answers: Answers = []
    outcomes = set()

    def setting() -> Setting:
        answers.clear()
        return new_backend(p1=2), [check_out(answers, **{"If-Match": '"1"'}), put(answers, "p2", 3)]

    def check(backend: MemoryBackend) -> None:
        (checkout,) = [answer for answer in answers if answer.status != 200]
        outcomes.add(checkout.status)
        assert ordered(backend) == ({"p1": 2} if checkout.status == 201 else {})
        assert in_basket(backend) == ({"p2": 3} if checkout.status == 201 else {"p1": 2, "p2": 3})
        check_outcome(backend)

    explored = explore(setting, check)
    count_cases(CASES, explored.situations)
    assert outcomes == {201, 412}


@pytest.mark.parametrize(
    ("method", "path", "remaining"),
    [("DELETE", "/items/p1", {"p2": 1}), ("DELETE", "", {}), ("PUT", "/items/p1", {"p1": 5, "p2": 1})],
    ids=["remove", "clear", "change"],
)
def test_a_change_during_a_checkout_is_made_before_it_or_after_it(
    method: str, path: str, remaining: dict[str, int], count_cases: Count
) -> None:
    answers: Answers = []
    outcomes = set()
    body = {"quantity": 5} if method == "PUT" else None

    def setting() -> Setting:
        answers.clear()
        return new_backend(p1=2, p2=1), [check_out(answers), send(answers, method, path, body)]

    def check(backend: MemoryBackend) -> None:
        in_order, left = ordered(backend), in_basket(backend)
        change_first = (in_order, left) == (remaining, {})
        checkout_first = (in_order, left) == ({"p1": 2, "p2": 1}, {"p1": 5} if method == "PUT" else {})
        assert change_first or checkout_first
        outcomes.add(change_first)
        statuses = {answer.status for answer in answers}
        assert (409 in statuses) is (in_order == {})
        check_outcome(backend)

    explored = explore(setting, check)
    count_cases(CASES, explored.situations)
    assert outcomes == {True, False}


@pytest.mark.parametrize("present", [{}, {"p4": 1}], ids=["first_basket", "present_basket"])
def test_changes_of_different_lines_are_all_kept(present: dict[str, int], count_cases: Count) -> None:
    answers: Answers = []

    def setting() -> Setting:
        answers.clear()
        actors = [
            put(answers, product, quantity) for product, quantity in {"p1": 1, "p2": 2, "p3": 3}.items()
        ]
        return new_backend(**present), actors

    def check(backend: MemoryBackend) -> None:
        assert [answer.status for answer in answers] == [200, 200, 200]
        assert in_basket(backend) == {**present, "p1": 1, "p2": 2, "p3": 3}
        (basket,) = backend.baskets()
        assert basket.version == len(present) + 3

    explored = explore(setting, check)
    count_cases(CASES, explored.situations)


def test_of_two_changes_of_one_version_one_is_made_and_the_other_refused(count_cases: Count) -> None:
    answers: Answers = []

    def setting() -> Setting:
        answers.clear()
        headers = {"If-Match": '"1"'}
        return new_backend(p1=1), [
            send(answers, "PUT", "/items/p1", {"quantity": 2}, **headers),
            send(answers, "DELETE", "/items/p1", **headers),
        ]

    def check(_backend: MemoryBackend) -> None:
        assert sorted(answer.status for answer in answers) == [200, 412]

    explored = explore(setting, check)
    count_cases(CASES, explored.situations)
