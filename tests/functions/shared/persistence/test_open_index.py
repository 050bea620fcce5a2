"""The index of open orders."""

from __future__ import annotations

from msgspec.structs import replace

from functions.shared.domain.ids import order_id_for
from functions.shared.persistence.open_index import OPEN_SHARDS, OpenIndex, shard_of
from local.memory.backend import MemoryBackend
from local.memory.functions import invoke_task
from tests.functions.shared.domain.samples import AT, LATER, order
from tests.statemachines.paths import return_to_open_index


def index() -> OpenIndex:
    from functions.orders_api import handler

    return handler._orders.open_index


def entries(until: str) -> set[str]:
    return {entry.order_id for shard in OPEN_SHARDS for entry in index().list(shard, until, 100, None)[0]}


def test_orders_are_spread_over_all_shards_and_each_keeps_its_own() -> None:
    assert len(OPEN_SHARDS) == 16  # 1,000 writes a second each
    ids = [order_id_for("client-1", "u-1", f"key-{number}") for number in range(400)]
    shards = [shard_of(order_id) for order_id in ids]
    assert set(shards) == set(OPEN_SHARDS)
    assert max(shards.count(shard) for shard in OPEN_SHARDS) < 2 * 400 / 16
    assert shards == [shard_of(order_id) for order_id in ids]


def test_entries_due_by_a_time_are_listed_earliest_first_in_pages(backend: MemoryBackend) -> None:
    ids = [backend.create_order("u-1", {"p-1": 1}) for _ in range(3)]
    for number, order_id in enumerate(ids):
        backend.set_order(order_id, openShard="0", dueAt=f"2026-01-0{3 - number}T00:00:00.000Z")
    first, start = index().list("0", "2026-01-02T00:00:00.000Z", 1, None)
    assert [entry.order_id for entry in first] == [ids[2]]
    second, _ = index().list("0", "2026-01-02T00:00:00.000Z", 1, start)
    assert [entry.order_id for entry in second] == [ids[1]]


def test_a_final_order_leaves_the_index_and_can_be_entered_again(backend: MemoryBackend) -> None:
    order_id = backend.create_order("u-1", {"p-1": 1})
    invoke_task("update_order_status", order_id, status="FAILED", reason="broken")
    assert entries("2099") == set()
    backend.cloud.update_item(return_to_open_index(order_id, 1))
    assert entries("2099") == {order_id}
    index().record_sent(backend.order(order_id), due_at=None)
    assert entries("2099") == set()


def test_an_order_that_is_open_again_stays_and_is_not_entered_as_it_was(backend: MemoryBackend) -> None:
    order_id = backend.create_order("u-1", {"p-1": 1})
    invoke_task("update_order_status", order_id, status="FAILED", reason="broken")
    failed = backend.order(order_id)
    backend.retry_order(order_id)
    since = backend.stored_order(order_id)["dueAt"]
    index().record_sent(failed, due_at=None)
    backend.cloud.update_item(return_to_open_index(order_id, 1))
    assert backend.stored_order(order_id)["dueAt"] == since


def test_an_order_is_postponed_unless_it_changed_since_it_was_read(backend: MemoryBackend) -> None:
    backend.put("orders", replace(order(), due_at=AT, open_shard="0"))
    for number in (1, 2):  # without a revision, and with one
        read, due_at = backend.order("o-1"), f"2026-02-0{number}T00:00:00.000Z"
        index().postpone(read, due_at)
        index().postpone(read, LATER)
        assert backend.stored_order("o-1")["dueAt"] == due_at


def test_an_order_that_left_the_index_is_not_postponed(backend: MemoryBackend) -> None:
    backend.put("orders", order())
    index().postpone(backend.order("o-1"), LATER)
    assert "dueAt" not in backend.stored_order("o-1")
