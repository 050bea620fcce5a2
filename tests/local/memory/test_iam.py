"""The crash tests' IAM: what is not granted is denied, and noticed even where the function gets over it."""

from __future__ import annotations

import pytest

from local.memory.backend import World, installed
from local.memory.iam import grants
from local.memory.permissions import Permission

pytestmark = pytest.mark.usefixtures("without_logs")


def without(function: str, permission: Permission) -> World:
    """A world with a stalled order, in which one function lacks one permission."""
    world = World()
    world.stock_up(p1=1)
    with installed(world):
        world.place("k", p1=1)
        world.cloud.queue.clear()
        world.wait(11)
        granted = dict(grants(workflowType="STANDARD"))
        assert permission in granted[function]
        granted[function] -= {permission}
        world.cloud.iam.granted = granted
        world.requeue()
    return world


@pytest.mark.parametrize(
    "permission",
    [
        Permission("dynamodb:Query", "ORDERS_TABLE/index/open"),  # the function fails
        Permission("cloudwatch:GetMetricStatistics", "*"),  # it goes on without
    ],
)
def test_a_call_without_a_grant_is_denied_and_noticed(permission: Permission) -> None:
    world = without("requeue_stalled_orders", permission)
    assert world.cloud.iam.denied == {("requeue_stalled_orders", permission)}
    with pytest.raises(AssertionError):
        world.check_always()
