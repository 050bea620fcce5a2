"""A route that the program no longer declares, under the real engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from local.engine.provider_account import ProviderCall
from tests.engine.workspace import Deployed, Workspace

DEPLOYMENT = "aws:apigateway/deployment:Deployment"
METHOD = "aws:apigateway/method:Method"
STAGE = "aws:apigateway/stage:Stage"
# What the stage, the clients' keys and other projects refer to by its id.
KEPT = {
    "aws:apigateway/apiKey:ApiKey",
    "aws:apigateway/resource:Resource",
    "aws:apigateway/restApi:RestApi",
    "aws:apigateway/usagePlan:UsagePlan",
    STAGE,
}
REMOVED = (
    'api.route("DELETE", "/products/{productId}", products_api)\n',
    # The only route of its path, so the path is removed too.
    'api.route("GET", "/users/{userId}/orders", orders_api)\n',
)


def methods_at_last_deployment(calls: Sequence[ProviderCall]) -> set[str]:
    """The logical names of the methods that were in the API when it was last deployed."""
    (*_, deployed) = [
        number for number, call in enumerate(calls) if (call.method, call.type) == ("create", DEPLOYMENT)
    ]
    existing: dict[str, str] = {}
    for call in calls[:deployed]:
        if call.type == METHOD and call.method == "create":
            existing[call.id] = call.name
        elif call.type == METHOD and call.method == "delete":
            existing.pop(call.id, None)
    return set(existing.values())


def remove_routes(workspace: Workspace) -> None:
    program = workspace.project / "__main__.py"
    text = program.read_text("utf-8")
    for line in REMOVED:
        assert text.count(line) == 1
        text = text.replace(line, "")
    program.write_text(text, "utf-8")


def test_a_removed_route_is_not_in_the_next_deployment(deployed: Deployed, tmp_path: Path) -> None:
    workspace = deployed.copy("dev", tmp_path / "dev")
    before = methods_at_last_deployment(workspace.calls())
    remove_routes(workspace)
    with workspace.changes() as changes:
        workspace.up()

    gone = {
        "orderflow-delete-products-productId",
        "orderflow-get-users-userId-orders",
        "orderflow-head-users-userId-orders",
        "orderflow-options-users-userId-orders",
    }
    assert gone < before
    assert methods_at_last_deployment(workspace.calls()) == before - gone
    names = {found.name for found in workspace.resources() if found.type == METHOD}
    assert names == before - gone

    replaced = {token for token, _ in changes().replaced}
    assert not replaced & KEPT
    assert changes().updated[STAGE, "orderflow"] == {"deployment"}
    workspace.up("--expect-no-changes")
