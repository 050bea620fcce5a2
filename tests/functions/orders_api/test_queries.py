"""The query parameters of the lists of orders."""

from __future__ import annotations

import pytest

from local.memory.backend import MemoryBackend

# The clock of the backend starts at 2026-06-01.
LISTS = ("/orders", "/users/u-1/orders")


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    ("query", "field", "message"),
    [
        ({"status": "SHIPPED"}, "status", "expected one of PENDING, VALIDATED"),
        ({"status": "pending"}, "status", "expected one of PENDING, VALIDATED"),
        ({"status": ""}, "status", "expected one of PENDING, VALIDATED"),
        ({"from": "2026-05-31", "to": "2026-05-30"}, "from", "2026-05-31 is after to"),
        ({"from": "2026-06-02"}, "from", "2026-06-02 is in the future: expected a day up to 2026-06-01"),
        ({"to": "2026-06-02"}, "to", "2026-06-02 is in the future: expected a day up to 2026-06-01"),
        ({"from": "2026-02-30"}, "from", "expected a day such as 2026-01-31"),
        ({"from": "20260131"}, "from", "expected a day such as 2026-01-31"),
        ({"to": "2026-W05-1"}, "to", "expected a day such as 2026-01-31"),
        ({"to": "2026-01-31T00:00:00Z"}, "to", "expected a day such as 2026-01-31"),
        ({"to": "٢٠٢٦-01-31"}, "to", "expected a day such as 2026-01-31"),
        ({"from": ""}, "from", "expected a day such as 2026-01-31"),
        ({"since": "2026-01-31"}, "since", "unknown: expected status, from, to, "),
    ],
)
def test_a_wrong_parameter_is_a_422_that_names_it(
    backend: MemoryBackend, path: str, query: dict[str, str], field: str, message: str
) -> None:
    answer = backend.api.get(path, query=query)
    assert (answer.status, answer.body["code"]) == (422, "invalid_input")
    (error,) = answer.body["errors"]
    assert error["field"] == field
    assert error["message"].startswith(message)


@pytest.mark.parametrize("reference", ["", "  ", "x" * 65, "a\nb", "a\u202eb"])
def test_a_reference_that_no_order_can_have_is_a_422(backend: MemoryBackend, reference: str) -> None:
    answer = backend.api.get("/orders", query={"reference": reference})
    assert (answer.status, answer.body["errors"][0]["field"]) == (422, "reference")


def test_the_list_of_a_user_has_no_reference(backend: MemoryBackend) -> None:
    answer = backend.api.get("/users/u-1/orders", query={"reference": "PO-1"})
    message = "unknown: expected status, from, to, limit or nextToken"
    assert answer.status == 422
    assert answer.body["errors"] == [{"field": "reference", "message": message}]


@pytest.mark.parametrize("path", LISTS)
def test_from_and_to_are_days_and_both_are_included(backend: MemoryBackend, path: str) -> None:
    orders = {}
    for at in (
        "2026-05-29T23:59:59.999Z",
        "2026-05-30T00:00:00.000Z",
        "2026-05-31T23:59:59.999Z",
        "2026-06-01T00:00:00.000Z",
    ):
        orders[at] = backend.create_order("u-1", {"p-1": 1})
        backend.set_order(orders[at], createdAt=at)

    def days(**query: str) -> list[str]:
        return [order["createdAt"] for order in backend.api.get(path, query=query).body["items"]]

    first, second, third, last = orders
    assert days() == [last, third, second, first]
    assert days(**{"from": "2026-05-30", "to": "2026-05-31"}) == [third, second]
    assert days(**{"from": "2026-05-31"}) == [last, third]
    assert days(to="2026-05-29") == [first]
    assert days(**{"from": "2026-06-01", "to": "2026-06-01"}) == [last]
