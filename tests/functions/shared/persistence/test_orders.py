"""Each write of an order: which orders it accepts, and what it changes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError
from msgspec.structs import replace

from functions.shared import aws
from functions.shared.domain.errors import DomainError, NotFound, OrderRejected, StoreContention, Superseded
from functions.shared.domain.moves import LEGAL_MOVES, Move, MoveResult, conditions_hold
from functions.shared.domain.orders import (
    OPEN_STATUSES,
    Order,
    OrderLine,
    OrderStatus,
    Pricing,
    Refusal,
    Reservation,
    ReservationState,
    Shipment,
)
from functions.shared.persistence.open_index import shard_of
from functions.shared.persistence.orders import OrderRepository
from functions.shared.persistence.reservations import Reservations
from local.memory.backend import MemoryBackend
from local.memory.faults import FAULTS, CallRecorder, FaultAt
from tests.functions.shared.domain.samples import AT, LATER, RESERVATIONS, held_reservation, order

DUE = "2026-01-01T00:11:00.000Z"
ATTEMPT = 2
SYSTEM = "partner.example"


@pytest.fixture
def orders(backend: MemoryBackend) -> OrderRepository:
    return OrderRepository(aws.client("dynamodb"), "orders")


@pytest.fixture
def reservations(backend: MemoryBackend) -> Reservations:
    backend.add_products(**{"p-1": 5})
    return Reservations(aws.client("dynamodb"), "orders", "products")


def stored(
    backend: MemoryBackend, status: OrderStatus, reservation: Reservation | None = None, **changes: Any
) -> dict[str, Any]:
    """Stores an order in its second attempt. Returns what is stored."""
    kept = replace(
        order(attempt=ATTEMPT, reservation=reservation),
        status=status,
        open_shard="0" if status in OPEN_STATUSES else None,
        due_at=AT if status in OPEN_STATUSES else None,
        **changes,
    )
    backend.put("orders", kept)
    return stored_now(backend)


def stored_now(backend: MemoryBackend) -> dict[str, Any]:
    """Returns the stored order without the count of its writes."""
    return _without(backend.stored_order("o-1"), {"revision"})


def read(orders: OrderRepository) -> Order:
    return orders.get("o-1")


def is_made(write: Callable[[], MoveResult]) -> bool:
    """Makes a move. Returns whether it changed the order."""
    try:
        return write().changed
    except DomainError:
        return False


# --- moves ---


PARCEL = Shipment(shipment_id="s-0")
REFUSAL = Refusal(refusal_id="r-1", quantities=[1], reason="broken", attempt=1)


@pytest.mark.parametrize("shipments", [[], [PARCEL]], ids=["nothing shipped", "shipped"])
@pytest.mark.parametrize("to", OrderStatus)
@pytest.mark.parametrize("source", OrderStatus)
def test_a_move_is_made_exactly_where_the_tables_allow_it(
    backend: MemoryBackend,
    orders: OrderRepository,
    source: OrderStatus,
    to: OrderStatus,
    shipments: list[Shipment],
) -> None:
    for name, reservation in RESERVATIONS.items():
        for attempt in (1, 2, 3, None):
            before = stored(backend, source, reservation, shipments=shipments)
            is_legal = to in LEGAL_MOVES[source] and conditions_hold(read(orders), to)
            move = Move(order_id="o-1", to=to, at=LATER, attempt=attempt)
            is_expected = is_legal and attempt in (ATTEMPT, None)
            assert is_made(partial(orders.move, move)) is is_expected, (name, attempt)
            if is_expected:
                assert read(orders).status is to, (name, attempt)
            else:
                assert stored_now(backend) == before, (name, attempt)


def test_a_move_changes_only_the_status_the_time_and_the_history(
    backend: MemoryBackend, orders: OrderRepository
) -> None:
    before = stored(backend, OrderStatus.PENDING, status_reason="why before")
    result = orders.move(Move(order_id="o-1", to=OrderStatus.VALIDATED, at=LATER, attempt=ATTEMPT))
    after = stored_now(backend)
    assert after == {
        **_without(before, {"statusReason"}),
        "status": "VALIDATED",
        "updatedAt": LATER,
        "history": [*before["history"], {"status": "VALIDATED", "at": LATER}],
    }
    assert (result.changed, result.order) == (True, read(orders))


def test_a_move_stores_its_reason_prices_and_shipment(
    backend: MemoryBackend, orders: OrderRepository
) -> None:
    before = stored(backend, OrderStatus.VALIDATED, held_reservation(ATTEMPT))
    lines = [OrderLine("p-1", 2, "Lamp", 100)]
    move = Move(
        order_id="o-1",
        to=OrderStatus.FULFILLED,
        at=LATER,
        reason="why",
        pricing=Pricing(items=lines, total=200, currency="EUR"),
        shipment=Shipment(shipment_id="s-1"),
    )
    orders.move(move, stay_open=True)
    assert stored_now(backend) == {
        **before,
        "status": "FULFILLED",
        "updatedAt": LATER,
        "history": [*before["history"], {"status": "FULFILLED", "at": LATER, "reason": "why"}],
        "statusReason": "why",
        "items": [{"productId": "p-1", "quantity": 2, "title": "Lamp", "unitPrice": 100}],
        "total": 200,
        "currency": "EUR",
        "shipments": [{"shipmentId": "s-1"}],
    }


@pytest.mark.parametrize(
    "reported", [{"shipments": [PARCEL]}, {"refusals": [REFUSAL]}], ids=["a parcel", "a refusal"]
)
def test_a_move_with_a_shipment_does_not_overwrite_what_was_reported(
    backend: MemoryBackend, orders: OrderRepository, reported: dict[str, Any]
) -> None:
    before = stored(backend, OrderStatus.VALIDATED, held_reservation(ATTEMPT), **reported)
    shipment = Shipment(shipment_id="s-1")
    with pytest.raises(Superseded):
        orders.move(Move(order_id="o-1", to=OrderStatus.FULFILLED, at=LATER, shipment=shipment))
    assert stored_now(backend) == before


@pytest.mark.parametrize(
    ("to", "stay_open", "is_in_the_index"),
    [
        (OrderStatus.VALIDATED, False, True),
        (OrderStatus.VALIDATED, True, True),
        (OrderStatus.REJECTED, False, False),
        (OrderStatus.REJECTED, True, True),
    ],
)
@pytest.mark.parametrize("due_at", [None, DUE])
def test_only_a_final_order_leaves_the_open_index_and_only_another_is_due_later(
    backend: MemoryBackend,
    orders: OrderRepository,
    due_at: str | None,
    to: OrderStatus,
    stay_open: bool,
    is_in_the_index: bool,
) -> None:
    stored(backend, OrderStatus.PENDING)
    orders.move(Move(order_id="o-1", to=to, at=LATER, due_at=due_at), stay_open=stay_open)
    in_index = {name: backend.stored_order("o-1").get(name) for name in ("openShard", "dueAt")}
    due = AT if due_at is None or to is OrderStatus.REJECTED else due_at
    assert in_index == (
        {"openShard": "0", "dueAt": due} if is_in_the_index else {"openShard": None, "dueAt": None}
    )


def test_a_repeated_move_returns_the_order_and_changes_nothing(
    backend: MemoryBackend, orders: OrderRepository
) -> None:
    stored(backend, OrderStatus.PENDING)
    move = Move(order_id="o-1", to=OrderStatus.VALIDATED, at=LATER, attempt=ATTEMPT)
    first = orders.move(move)
    second = orders.move(move)
    assert (second.changed, second.order) == (False, first.order)


# --- attempts ---


def test_a_retry_begins_the_next_attempt_and_keeps_the_reservation(
    backend: MemoryBackend, orders: OrderRepository
) -> None:
    before = stored(backend, OrderStatus.FAILED, held_reservation(), status_reason="why")
    returned = orders.retry(read(orders), at=LATER, due_at=DUE)
    assert stored_now(backend) == {
        **_without(before, {"statusReason"}),
        "status": "PENDING",
        "updatedAt": LATER,
        "history": [*before["history"], {"status": "PENDING", "at": LATER}],
        "attempt": 3,
        "firstAttempt": 3,
        "openShard": shard_of("o-1"),
        "dueAt": DUE,
    }
    assert returned == read(orders)


@pytest.mark.parametrize("state", ReservationState)
def test_a_retry_drops_the_refusals_of_a_released_reservation(
    backend: MemoryBackend, orders: OrderRepository, state: ReservationState
) -> None:
    stored(backend, OrderStatus.FAILED, Reservation(state=state, attempt=1), refusals=[REFUSAL])
    retried = orders.retry(read(orders), at=LATER, due_at=DUE)
    assert retried.refusals == ([REFUSAL] if state is ReservationState.HELD else [])


def test_an_order_with_a_parcel_that_left_after_its_release_is_not_retried(
    backend: MemoryBackend, orders: OrderRepository
) -> None:
    before = stored(backend, OrderStatus.FAILED, RESERVATIONS["released"], shipments=[PARCEL])
    with pytest.raises(Superseded):
        orders.retry(read(orders), at=LATER, due_at=DUE)
    assert stored_now(backend) == before


def test_a_new_attempt_of_an_open_order_changes_nothing_else(
    backend: MemoryBackend, orders: OrderRepository
) -> None:
    before = stored(backend, OrderStatus.VALIDATED, held_reservation())
    returned = orders.begin_attempt(read(orders), at=LATER, due_at=DUE)
    assert stored_now(backend) == {**before, "attempt": 3, "dueAt": DUE, "updatedAt": LATER}
    assert returned == read(orders)


@pytest.mark.parametrize("write", ["retry", "begin_attempt"])
@pytest.mark.parametrize("status", OrderStatus)
def test_an_attempt_begins_only_after_the_attempt_that_was_read(
    backend: MemoryBackend, orders: OrderRepository, write: str, status: OrderStatus
) -> None:
    accepting = OPEN_STATUSES if write == "begin_attempt" else (OrderStatus.FAILED,)
    for attempt in (1, 2, 3):
        before = stored(backend, status)
        seen = replace(read(orders), attempt=attempt)
        if attempt == ATTEMPT and status in accepting:
            assert getattr(orders, write)(seen, at=LATER, due_at=DUE).attempt == 3
        else:
            with pytest.raises(Superseded):
                getattr(orders, write)(seen, at=LATER, due_at=DUE)
            assert stored_now(backend) == before


def test_a_write_of_an_unknown_order_is_not_found(
    backend: MemoryBackend, orders: OrderRepository, reservations: Reservations
) -> None:
    ghost = order()
    for write in (
        lambda: orders.get("o-1"),
        lambda: orders.move(Move(order_id="o-1", to=OrderStatus.VALIDATED, at=LATER)),
        lambda: orders.retry(ghost, at=LATER, due_at=DUE),
        lambda: orders.begin_attempt(ghost, at=LATER, due_at=DUE),
        lambda: reservations.reserve("o-1", 1, ghost.items, at=LATER),
        lambda: reservations.hand_over("o-1", 1, to=SYSTEM, at=LATER),
        lambda: reservations.release(ghost, at=LATER, even_if_handed_over=True),
    ):
        with pytest.raises(NotFound):
            write()
    assert orders.find("o-1") is None
    assert backend.stock("p-1") == 5


def test_a_second_create_returns_the_stored_order_and_changes_nothing(
    backend: MemoryBackend, orders: OrderRepository
) -> None:
    assert orders.create(order()) is None
    before = backend.stored_order("o-1")
    assert before["openShard"] == shard_of("o-1")
    assert orders.create(replace(order(), user_id="u-2")) == read(orders)
    assert stored_now(backend) == before


def test_a_create_whose_answer_was_lost_is_the_first_one(
    backend: MemoryBackend, orders: OrderRepository
) -> None:
    with backend.hooked(FaultAt(0, FAULTS["answer cut off once"])):
        assert orders.create(order()) is None
    assert orders.create(order()) == read(orders)
    other = replace(order(), user_id="u-2")
    with backend.hooked(FaultAt(0, FAULTS["answer cut off once"])):
        assert orders.create(other) == read(orders)


def test_an_order_is_read_consistently_unless_the_caller_saves_that(
    backend: MemoryBackend, orders: OrderRepository
) -> None:
    stored(backend, OrderStatus.PENDING)
    recorder = CallRecorder()
    with backend.hooked(recorder):
        orders.get("o-1")
        orders.find("o-1")
        orders.find("o-1", consistent=False)
    assert [call.parameters["ConsistentRead"] for call in recorder.calls] == [True, True, False]


# --- reservations ---


def may_reserve(status: OrderStatus, reservation: Reservation | None, attempt: int) -> bool:
    has_released_before = reservation is not None and reservation.state is ReservationState.RELEASED
    return (
        status is OrderStatus.VALIDATED
        and attempt == ATTEMPT
        and (reservation is None or (has_released_before and reservation.attempt < attempt))
    )


@pytest.mark.parametrize("status", OrderStatus)
def test_stock_is_reserved_only_for_the_current_attempt_of_a_validated_order(
    backend: MemoryBackend, orders: OrderRepository, reservations: Reservations, status: OrderStatus
) -> None:
    released = [Reservation(state=ReservationState.RELEASED, attempt=number) for number in (2, 3)]
    for reservation in (*RESERVATIONS.values(), *released):
        for attempt in (1, 2, 3):
            backend.add_products(**{"p-1": 5})
            before = stored(backend, status, reservation)
            case = (reservation, attempt)
            if may_reserve(status, reservation, attempt):
                assert reservations.reserve("o-1", attempt, order().items, at=LATER) is None, case
                assert read(orders).reservation == held_reservation(attempt), case
                changed = {"reservation", "updatedAt"}
                assert _without(stored_now(backend), changed) == _without(before, changed), case
                assert backend.stored_order("o-1")["updatedAt"] == LATER
                assert backend.stock("p-1") == 3, case
            else:
                with suppress(DomainError):
                    reservations.reserve("o-1", attempt, order().items, at=LATER)
                assert stored_now(backend) == before, case
                assert backend.stock("p-1") == 5, case


def _without(stored_order: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in stored_order.items() if name not in names}


def test_reserving_again_returns_the_order(backend: MemoryBackend, reservations: Reservations) -> None:
    stored(backend, OrderStatus.VALIDATED)
    assert reservations.reserve("o-1", ATTEMPT, order().items, at=LATER, handed_over_to=SYSTEM) is None
    again = reservations.reserve("o-1", ATTEMPT, order().items, at=LATER)
    assert again is not None
    assert again.reservation == held_reservation(ATTEMPT, handed_over_to=SYSTEM)
    assert backend.stock("p-1") == 3


@pytest.mark.parametrize("pieces", [2, 3])
def test_the_last_piece_can_be_reserved_and_each_change_of_stock_is_a_version(
    backend: MemoryBackend, reservations: Reservations, pieces: int
) -> None:
    backend.add_products(**{"p-1": pieces})
    stored(backend, OrderStatus.VALIDATED)
    reservations.reserve("o-1", ATTEMPT, order().items, at=LATER)
    product = backend.api.get("/products/p-1").body
    assert (product["stock"], product["version"], product["updatedAt"]) == (pieces - 2, 2, LATER)


@pytest.mark.parametrize("status", OrderStatus)
def test_an_order_is_handed_over_by_the_attempt_that_holds_its_stock(
    backend: MemoryBackend, reservations: Reservations, status: OrderStatus
) -> None:
    for reservation in RESERVATIONS.values():
        for attempt in (1, 2, 3):
            before = stored(backend, status, reservation)
            is_held = reservation is not None and reservation.state is ReservationState.HELD
            if status is OrderStatus.VALIDATED and attempt == ATTEMPT and is_held:
                reservations.hand_over("o-1", attempt, to=SYSTEM, at=LATER)
                assert stored_now(backend) == {
                    **before,
                    "reservation": {**before["reservation"], "handedOverTo": SYSTEM},
                    "updatedAt": LATER,
                }
            else:
                with pytest.raises(Superseded):
                    reservations.hand_over("o-1", attempt, to=SYSTEM, at=LATER)
                assert stored_now(backend) == before


def test_an_order_that_a_fulfillment_system_has_is_not_shipped_in_place(
    backend: MemoryBackend, orders: OrderRepository
) -> None:
    move = Move(
        order_id="o-1", to=OrderStatus.FULFILLED, at=LATER, shipment=Shipment(shipment_id="s"), in_place=True
    )
    before = stored(backend, OrderStatus.VALIDATED, held_reservation(ATTEMPT, handed_over_to=SYSTEM))
    with pytest.raises(Superseded, match=f"the fulfillment system {SYSTEM} has the order"):
        orders.move(move)
    assert stored_now(backend) == before

    stored(backend, OrderStatus.VALIDATED, held_reservation(ATTEMPT))
    assert orders.move(move).changed
    assert not orders.move(move).changed, "a repeat succeeds"


@pytest.mark.parametrize("status", OrderStatus)
def test_stock_is_released_by_the_current_attempt_of_an_open_or_failed_order(
    backend: MemoryBackend, orders: OrderRepository, reservations: Reservations, status: OrderStatus
) -> None:
    for name, reservation in RESERVATIONS.items():
        for attempt in (1, 2, 3):
            for even_if_handed_over in (False, True):
                backend.add_products(**{"p-1": 5})
                before = stored(backend, status, reservation)
                seen = replace(read(orders), attempt=attempt)
                case = (name, attempt, even_if_handed_over)
                is_released = (
                    status in (*OPEN_STATUSES, OrderStatus.FAILED)
                    and attempt == ATTEMPT
                    and (name == "held" or (name == "handed over" and even_if_handed_over))
                )
                if is_released:
                    assert (
                        reservations.release(seen, at=LATER, even_if_handed_over=even_if_handed_over) is True
                    )
                    assert stored_now(backend) == {
                        **before,
                        "reservation": {**before["reservation"], "state": "RELEASED", "attempt": ATTEMPT},
                        "updatedAt": LATER,
                    }, case
                    assert backend.stock("p-1") == 7, case
                    continue
                if attempt == ATTEMPT and name in {"none", "released"}:
                    assert (
                        reservations.release(seen, at=LATER, even_if_handed_over=even_if_handed_over) is False
                    )
                else:
                    with pytest.raises(Superseded):
                        reservations.release(seen, at=LATER, even_if_handed_over=even_if_handed_over)
                assert stored_now(backend) == before, case
                assert backend.stock("p-1") == 5, case


# --- transactions that DynamoDB cancels ---

# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
TRANSIENT = ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"]
LINES = [OrderLine("p-1", 2), OrderLine("p-2", 1)]


class CancellingClient:
    """A client whose transactions fail: each with the next error, and those after the last one not."""

    def __init__(self, *errors: ClientError) -> None:
        self.errors = list(errors)
        self.keys: list[list[str]] = []

    def transact_write_items(self, TransactItems: list[Any]) -> None:  # noqa: N803
        """Fails with the next error."""
        self.keys.append([next(iter(item["Update"]["Key"].values()))["S"] for item in TransactItems])
        if self.errors:
            raise self.errors.pop(0)


def failure(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code}}, "TransactWriteItems")


def cancelled(*codes: str, item: dict[str, Any] | None = None) -> ClientError:
    """A cancelled transaction, with the reason of the order and of each product."""
    reasons = [{"Code": code, **({"Item": item} if item else {})} for code in codes]
    return ClientError(
        {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons},
        "TransactWriteItems",
    )


def reserve(*errors: ClientError) -> object:
    return Reservations(CancellingClient(*errors), "orders", "products").reserve("o-1", 1, LINES, at=LATER)


def release(*errors: ClientError) -> list[list[str]]:
    """Releases. Returns the keys of each transaction."""
    client = CancellingClient(*errors)
    held = replace(order(reservation=held_reservation()), items=LINES)
    assert Reservations(client, "orders", "products").release(held, at=LATER, even_if_handed_over=False)
    return client.keys


@pytest.mark.parametrize("write", [reserve, release])
@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("code", TRANSIENT)
def test_a_transient_reason_is_contention_and_not_a_lack_of_stock(
    write: Callable[..., object], place: int, code: str
) -> None:
    codes = ["None", "None", "None"]
    codes[place] = code
    with pytest.raises(StoreContention):
        write(cancelled(*codes))


@pytest.mark.parametrize("write", [reserve, release])
@pytest.mark.parametrize("code", ["TransactionInProgressException", "TransactionConflictException"])
def test_a_transaction_that_meets_another_one_is_contention(write: Callable[..., object], code: str) -> None:
    with pytest.raises(StoreContention):
        write(failure(code))


@pytest.mark.parametrize("write", [reserve, release])
@pytest.mark.parametrize(
    "error", [failure("AccessDeniedException"), cancelled("None", "ValidationError", "None")]
)
def test_any_other_failure_is_raised_as_it_is(write: Callable[..., object], error: ClientError) -> None:
    with pytest.raises(ClientError) as raised:
        write(error)
    assert raised.value is error


def test_a_conflict_on_the_order_comes_before_a_lack_of_stock() -> None:
    """The order may have changed: whether its stock is lacking is not known."""
    with pytest.raises(StoreContention):
        reserve(cancelled("TransactionConflict", "ConditionalCheckFailed", "None"))


def test_a_lack_of_stock_comes_before_a_conflict_on_another_product() -> None:
    with pytest.raises(OrderRejected, match=r"^insufficient_stock: 1 of product p-2 ordered, 0 in stock$"):
        reserve(
            cancelled("None", "TransactionConflict", "ConditionalCheckFailed", item={"stock": {"N": "0"}})
        )


def test_a_release_is_repeated_without_the_deleted_products() -> None:
    gone = cancelled("None", "ConditionalCheckFailed", "None")
    assert release(gone) == [["o-1", "p-1", "p-2"], ["o-1", "p-2"]]
    assert release(gone, cancelled("None", "ConditionalCheckFailed"))[-1] == ["o-1"]


def test_a_release_that_meets_a_conflict_and_a_deleted_product_is_contention() -> None:
    with pytest.raises(StoreContention):
        release(cancelled("None", "ConditionalCheckFailed", "TransactionConflict"))
