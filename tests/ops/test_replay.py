"""`python -m ops events replay`."""

from __future__ import annotations

from typing import Any

import pytest

from local.memory.backend import OUTPUTS, MemoryBackend, installed
from local.memory.cloud import Hook, ServiceCall
from local.memory.faults import Failing, refusal
from local.memory.scenarios import SCENARIOS, Scenario, play
from ops.replay import find_events
from ops.stacks import on_aws
from tests.ops.conftest import STACK, Ops

MONTH = ("--from", "2026-06-01")


def details(events: list[Any]) -> dict[str, Any]:
    """The details of events by their id, as they were sent last."""
    return {event["detail"]["eventId"]: (event["detail-type"], event["detail"]) for event in events}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_the_events_of_every_scenario_are_sent_again_with_their_ids_and_content(scenario: Scenario) -> None:
    backend = play(scenario, Hook())
    with installed(backend):
        first = details(backend.take_events())
        stack = on_aws("test", OUTPUTS)
        found, are_more = find_events(stack, first="0", before="9", placed_from="0", limit=100)
        stack.bus.send(found)
        assert details(backend.take_events()) == first
    assert first
    assert not are_more


@pytest.fixture
def orders(backend: MemoryBackend) -> list[str]:
    """The ids of two fulfilled orders, the second placed a day after the first."""
    user, product = backend.create_user(), backend.create_product()
    placed = []
    for _ in range(2):
        placed.append(backend.create_order(user, {product: 1}))
        backend.run_workflow()
        backend.wait(24 * 60)
    return placed


def test_the_events_of_a_period_are_sent_again_oldest_first(
    backend: MemoryBackend, ops: Ops, orders: list[str]
) -> None:
    first = backend.take_events()
    result = ops("events", "replay", *MONTH, "--yes")
    assert result.out == "Sent 4 events of 2 orders (2 OrderValidated, 2 OrderFulfilled)."
    assert backend.take_events() == first
    assert ops("events", "replay", *MONTH, "--to", "2026-06-01", "--yes").code == 0
    assert backend.take_events() == first[:2]
    assert ops("events", "replay", "--from", "2026-06-02T00:00Z", "--yes").code == 0
    assert backend.take_events() == first[2:]
    assert ops("events", "replay", *MONTH, "--placed-from", "2026-06-02", "--yes").code == 0
    assert backend.take_events() == first[2:]


def test_only_orders_placed_within_a_month_are_read_unless_the_operator_says_more(
    backend: MemoryBackend, ops: Ops
) -> None:
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    backend.wait(31 * 24 * 60)
    ops("orders", "cancel", order_id, "--yes")
    since = ("--from", "2026-07-02", "--dry-run")
    assert ops("events", "replay", *since).out.startswith("Would send 0 events")
    result = ops("events", "replay", *since, "--placed-from", "2026-06-01")
    assert result.out == "Would send 1 events of 1 orders (1 OrderCancelled)."


@pytest.mark.usefixtures("orders")
def test_a_dry_run_sends_nothing_and_asks_nothing(backend: MemoryBackend, ops: Ops) -> None:
    first = backend.take_events()
    planned = ops("events", "replay", *MONTH, "--dry-run", "--json").json
    assert planned["events"] == [
        {"detailType": event["detail-type"], "detail": event["detail"]} for event in first
    ]
    assert (planned["dryRun"], planned["nextFrom"]) == (True, None)
    assert backend.take_events() == []


@pytest.mark.usefixtures("orders")
def test_the_question_gives_the_number_of_events(backend: MemoryBackend, ops: Ops) -> None:
    backend.take_events()
    result = ops("events", "replay", *MONTH, typed="n\n")
    assert (result.code, backend.take_events()) == (1, [])
    assert f"(2 OrderValidated, 2 OrderFulfilled) again on stack {STACK}?" in result.err


@pytest.mark.usefixtures("orders")
def test_a_limit_sends_the_oldest_and_says_where_to_continue(backend: MemoryBackend, ops: Ops) -> None:
    first = backend.take_events()
    result = ops("events", "replay", *MONTH, "--limit", "3", "--yes", "--json").json
    assert backend.take_events() == first[:3]
    assert result["nextFrom"] == first[2]["detail"]["occurredAt"]
    ops("events", "replay", "--from", result["nextFrom"], "--yes")
    assert backend.take_events() == first[2:]
    screen = ops("events", "replay", *MONTH, "--limit", "3", "--dry-run").out
    assert screen.endswith(f"There are more than these 3: continue with --from {result['nextFrom']}.")


class _SecondFails(Hook):
    """The second PutEvents is throttled."""

    calls = 0

    def before(self, call: ServiceCall, request: Any) -> None:
        if call.operation == "PutEvents":
            self.calls += 1
            if self.calls > 1:
                raise refusal("ThrottlingException")(call, request)


def test_a_replay_that_the_bus_accepts_in_part_says_where_to_continue(
    backend: MemoryBackend, ops: Ops
) -> None:
    user, product = backend.create_user(), backend.create_product()
    for _ in range(6):
        backend.create_order(user, {product: 1})
    backend.run_workflow()
    backend.take_events()
    with backend.hooked(_SecondFails()):
        result = ops("events", "replay", *MONTH, "--yes")
    assert result.code == 1
    assert "Only the first 10 of 12 events were sent" in result.err
    sent = backend.take_events()
    ops("events", "replay", "--from", result.err.rpartition("--from ")[2].rstrip("."), "--yes")
    assert len(details([*sent, *backend.take_events()])) == 12


@pytest.mark.usefixtures("orders")
def test_a_bus_that_accepts_nothing_is_reported_as_by_every_command(backend: MemoryBackend, ops: Ops) -> None:
    with backend.hooked(Failing(refusal("AccessDeniedException"), "PutEvents")):
        assert ops("events", "replay", *MONTH, "--yes").code == 5


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--from", "June"], "--from 'June' is not valid. Write a time in UTC, such as 2026-01-31T08:00."),
        (
            ["--from", "2026-06-02", "--to", "2026-06-01"],
            "--from 2026-06-02T00:00:00.000Z is not before --to 2026-06-02T00:00:00.000Z.",
        ),
    ],
)
def test_a_wrong_period_is_refused(ops: Ops, options: list[str], sentence: str) -> None:
    result = ops("events", "replay", *options, "--yes")
    assert (result.code, result.err) == (2, f"Error: {sentence}")
