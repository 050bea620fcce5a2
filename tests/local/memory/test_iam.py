"""The crash tests' IAM: what is not granted is denied, and noticed even where the function gets over it."""

from __future__ import annotations

import pytest

from local.memory.backend import MemoryBackend, installed
from local.memory.iam import grants
from local.memory.invariants import check_invariants
from local.memory.permissions import Permission

pytestmark = pytest.mark.usefixtures("without_logs")


def without(function: str, permission: Permission) -> MemoryBackend:
    """A backend with a stalled order, in which one function lacks one permission."""
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
        Permission("cloudwatch:GetMetricStatistics", "*"),  # it goes on without
    ],
)
def test_a_call_without_a_grant_is_denied_and_noticed(permission: Permission) -> None:
    backend = without("requeue_stalled_orders", permission)
    assert backend.cloud.iam.denied == {("requeue_stalled_orders", permission)}
    with pytest.raises(AssertionError):
        check_invariants(backend)
