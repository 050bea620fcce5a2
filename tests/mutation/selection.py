"""The tests that must kill the mutants of each file, fastest first: the first failure ends a run."""

from __future__ import annotations

from typing import Final

_F: Final = "tests/functions"
_STEPS: Final = (
    f"{_F}/validate_order",
    f"{_F}/update_order_status",
    *(f"{_F}/fulfill_order/test_words.py", f"{_F}/fulfill_order/test_fulfillment.py"),
    f"{_F}/release_order",
)
_ORDERS: Final = (f"{_F}/orders_api", f"{_F}/requeue_stalled_orders", "tests/ops/test_orders.py")
_FULFILLING: Final = (
    *(f"{_F}/fulfill_order/test_words.py", f"{_F}/fulfill_order/test_fulfillment.py"),
    *(f"{_F}/fulfill_order/fulfillment_system/test_{part}.py" for part in ("fulfillment", "handler")),
    "tests/observability",
)
_REPEATS: Final = "tests/crashes/test_repeated_calls.py"
_P: Final = f"{_F}/shared/persistence"
# All but the tests of long lists.
_RECORDS: Final = (f"{_P}/test_records.py", f"{_P}/test_puts.py", f"{_P}/test_dynamodb.py")
_WRITES: Final = (
    *(f"{_P}/test_orders.py", f"{_P}/test_reservations.py", f"{_P}/test_open_index.py"),
    f"{_P}/test_order_items.py",
    *(f"{_P}/test_reports.py", *_RECORDS, *_STEPS, *_ORDERS),
)
_D: Final = f"{_F}/shared/domain"

TESTS: Final[dict[str, tuple[str, ...]]] = {
    "functions/shared/domain/baskets.py": (f"{_D}/test_baskets.py",),
    "functions/shared/domain/addresses.py": (f"{_D}/test_addresses.py",),
    "functions/shared/domain/currencies.py": (f"{_D}/test_currencies.py",),
    "functions/shared/domain/errors.py": (f"{_D}/test_errors.py",),
    "functions/shared/domain/ids.py": (f"{_D}/test_ids.py", f"{_F}/shared/test_violations.py"),
    "functions/shared/domain/moves.py": (f"{_D}/test_moves.py",),
    "functions/shared/domain/orders.py": (f"{_D}/test_orders.py",),
    "functions/shared/domain/obligations.py": (f"{_D}/test_obligations.py",),
    "functions/shared/domain/preconditions.py": (f"{_F}/products_api",),
    "functions/shared/domain/pricing.py": (f"{_D}/test_pricing.py", f"{_F}/products_api"),
    "functions/shared/domain/quotes.py": (f"{_D}/test_pricing.py", f"{_F}/products_api"),
    "functions/shared/domain/shipping.py": (f"{_D}/test_shipping.py",),
    "functions/shared/domain/products.py": (f"{_D}/test_requests.py",),
    "functions/shared/domain/texts.py": (f"{_D}/test_texts.py", f"{_D}/test_addresses.py"),
    "functions/shared/domain/users.py": (f"{_D}/test_requests.py", f"{_D}/test_addresses.py"),
    "functions/shared/lifecycle.py": (f"{_F}/shared/test_lifecycle.py", *_STEPS, *_ORDERS),
    "functions/shared/persistence/baskets.py": (
        *(f"{_P}/test_baskets.py", f"{_F}/baskets_api", f"{_F}/orders_api", _REPEATS),
    ),
    "functions/shared/persistence/dynamodb.py": _RECORDS,
    "functions/shared/persistence/open_index.py": _WRITES,
    "functions/shared/persistence/order_items.py": _WRITES,
    "functions/shared/persistence/order_lists.py": (f"{_P}/test_order_lists.py", f"{_F}/orders_api"),
    "functions/shared/persistence/orders.py": _WRITES,
    "functions/shared/persistence/pages.py": (f"{_P}/test_pages.py", f"{_F}/orders_api"),
    "functions/shared/persistence/records.py": (
        *(*_RECORDS, f"{_F}/products_api", f"{_F}/users_api", f"{_F}/baskets_api", _REPEATS),
    ),
    "functions/shared/persistence/users.py": (f"{_F}/users_api", *_RECORDS, _REPEATS),
    "functions/shared/persistence/requests.py": (
        *(f"{_F}/shared/test_idempotency.py", f"{_F}/orders_api/test_checkout.py"),
    ),
    "functions/shared/persistence/reports.py": (
        *(f"{_P}/test_reports.py", f"{_F}/reports_api", "tests/observability"),
    ),
    "functions/shared/persistence/reservations.py": _WRITES,
    "functions/shared/persistence/stock.py": (f"{_F}/products_api", f"{_F}/shared/test_idempotency.py"),
    "functions/products_api/batch.py": (f"{_F}/products_api",),
    "functions/products_api/catalog.py": (f"{_P}/test_puts.py", f"{_F}/products_api"),
    "functions/validate_order/handler.py": (f"{_F}/validate_order", f"{_F}/shared/test_task.py"),
    "functions/validate_order/validation.py": (f"{_F}/validate_order",),
    "functions/fulfill_order/fulfillment.py": _FULFILLING,
    "functions/fulfill_order/handler.py": _FULFILLING,
    "functions/release_order/handler.py": (f"{_F}/release_order", f"{_F}/shared/test_task.py"),
    "functions/release_order/release.py": (f"{_F}/release_order",),
    "functions/update_order_status/handler.py": (f"{_F}/update_order_status", "tests/observability"),
    "functions/requeue_stalled_orders/asking.py": (f"{_F}/requeue_stalled_orders",),
    "functions/requeue_stalled_orders/backlog.py": (f"{_F}/requeue_stalled_orders",),
    "functions/requeue_stalled_orders/executions.py": (f"{_F}/requeue_stalled_orders",),
    "functions/requeue_stalled_orders/handler.py": (f"{_F}/requeue_stalled_orders", "tests/observability"),
    "functions/requeue_stalled_orders/requeue.py": (f"{_F}/requeue_stalled_orders",),
    "ops/orders.py": tuple(
        f"tests/ops/test_{part}.py" for part in ("orders", "shipping", "reconciliation", "replay")
    ),
    "statemachines/order_fulfillment.asl.json": (
        "tests/statemachines/test_paths.py",
        "tests/statemachines/test_structure.py",
    ),
}

# All their mutants were killed in the last run. `--since`, and so CI, tests the mutants of these.
COMPLETE: Final = {
    "functions/fulfill_order/fulfillment.py",
    "functions/fulfill_order/handler.py",
    "functions/products_api/batch.py",
    "functions/products_api/catalog.py",
    "functions/release_order/handler.py",
    "functions/release_order/release.py",
    "functions/requeue_stalled_orders/asking.py",
    "functions/requeue_stalled_orders/backlog.py",
    "functions/requeue_stalled_orders/executions.py",
    "functions/requeue_stalled_orders/handler.py",
    "functions/requeue_stalled_orders/requeue.py",
    "functions/shared/domain/addresses.py",
    "functions/shared/domain/baskets.py",
    "functions/shared/domain/currencies.py",
    "functions/shared/domain/errors.py",
    "functions/shared/domain/ids.py",
    "functions/shared/domain/moves.py",
    "functions/shared/domain/obligations.py",
    "functions/shared/domain/orders.py",
    "functions/shared/domain/preconditions.py",
    "functions/shared/domain/pricing.py",
    "functions/shared/domain/products.py",
    "functions/shared/domain/quotes.py",
    "functions/shared/domain/shipping.py",
    "functions/shared/domain/texts.py",
    "functions/shared/domain/users.py",
    "functions/shared/lifecycle.py",
    "functions/shared/persistence/baskets.py",
    "functions/shared/persistence/dynamodb.py",
    "functions/shared/persistence/open_index.py",
    "functions/shared/persistence/order_items.py",
    "functions/shared/persistence/orders.py",
    "functions/shared/persistence/pages.py",
    "functions/shared/persistence/records.py",
    "functions/shared/persistence/reports.py",
    "functions/shared/persistence/requests.py",
    "functions/shared/persistence/reservations.py",
    "functions/shared/persistence/stock.py",
    "functions/shared/persistence/users.py",
    "functions/update_order_status/handler.py",
    "functions/validate_order/handler.py",
    "functions/validate_order/validation.py",
    "statemachines/order_fulfillment.asl.json",
}
