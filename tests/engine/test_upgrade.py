"""The program updates a stack that an earlier release has deployed.

`states/` has one exported state per release, of a stack with the defaults. At a release, write the next one:
`python -m tests.engine.test_upgrade VERSION`.
"""

from __future__ import annotations

import gzip
import json
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import pytest
from pulumi.runtime import rpc

from local.engine.provider_account import Account
from tests.engine.workspace import NEVER_REPLACED, Deployed, Workspace, require_cli

STATES: Final = Path(__file__).parent / "states"
# Says where on a machine a resource was declared, and when.
_OMITTED: Final = ("created", "modified", "sourcePosition", "stackTrace")


def releases() -> list[str]:
    return sorted(path.name.removesuffix(".json.gz") for path in STATES.glob("*.json.gz"))


def plain(value: Any) -> Any:
    """A value of a state without the marks of secrets."""
    if isinstance(value, dict):
        if value.get(rpc._special_sig_key) == rpc._special_secret_sig:
            return json.loads(value["plaintext"])
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def restore(workspace: Workspace, release: str) -> None:
    """Makes the release's state that of the selected stack, and fills the account with its resources."""
    path = workspace.folder / "release.json"
    path.write_bytes(gzip.decompress((STATES / f"{release}.json.gz").read_bytes()))
    account = Account(workspace.account_file)
    for found in json.loads(path.read_text("utf-8"))["deployment"]["resources"]:
        if found["type"].startswith("aws:"):
            inputs, outputs = plain(found["inputs"]), plain(found["outputs"])
            account.create(found["type"], found["id"], found["urn"], inputs, outputs)
    workspace.pulumi("stack", "import", "--file", str(path))


@pytest.mark.parametrize("release", releases())
def test_a_stack_of_an_earlier_release_is_updated(release: str, tmp_path: Path) -> None:
    require_cli()
    workspace = Workspace.make(tmp_path)
    workspace.init("defaults", {})
    restore(workspace, release)
    with workspace.changes() as changes:
        workspace.up("--refresh")
    assert not NEVER_REPLACED & {token for token, _ in changes().replaced | changes().deleted}
    workspace.up("--expect-no-changes")


def main() -> None:
    """Writes the state that the program deploys now as that of a release."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Deployed(Path(folder)).copy("defaults", Path(folder) / "copy")
        state = json.loads(workspace.pulumi("stack", "export", "--show-secrets").text)
    for resource in state["deployment"]["resources"]:
        for key in _OMITTED:
            resource.pop(key, None)
    text = json.dumps(state, separators=(",", ":"))
    (STATES / f"{sys.argv[1]}.json.gz").write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    main()
