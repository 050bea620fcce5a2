"""IAM in memory denies a call without a grant. The invariants report it even if the function continues."""

from __future__ import annotations

import pytest

from local.memory.backend import MemoryBackend, installed
from local.memory.iam import grants
from local.memory.invariants import check_invariants
from local.memory.permissions import Permission

pytestmark = pytest.mark.usefixtures("without_logs")


def requeue_without(function: str, permission: Permission) -> MemoryBackend:
    """Runs the requeue over a stalled order while a function lacks one permission. Returns the backend."""
    backend = MemoryBackend()
    backend.add_products(p1=1)
    with installed(backend):
        backend.place_order("k", p1=1)
        backend.cloud.queue.clear()
        backend.wait(11)
        granted = dict(grants(workflowType="STANDARD"))
        assert permission in granted[function]
        granted[function] -= {permission}
        backend.cloud.iam.granted = granted
        backend.run_schedule()
    return backend


@pytest.mark.parametrize(
    "permission",
    [
        Permission("dynamodb:Query", "ORDERS_TABLE/index/open"),  # the function fails
        Permission("cloudwatch:GetMetricStatistics", "*"),  # the function continues
    ],
)
def test_a_call_without_a_grant_is_denied_and_reported(permission: Permission) -> None:
    backend = requeue_without("requeue_stalled_orders", permission)
    assert backend.cloud.iam.denied == {("requeue_stalled_orders", permission)}
    with pytest.raises(AssertionError):
        check_invariants(backend)
