"""A full disk is named by its folder, by each part that writes files."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from local.engine.program import PROJECT_ROOT

# A disk of a few megabytes, which only this command and its children have.
_MOUNT = 'mount -t tmpfs -o size="$1" tmpfs "$2" && shift 2 && exec "$@"'
_DISK = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", _MOUNT, "sh")
_LOCAL = (sys.executable, "-m", "local")


def on_disk(size: str, folder: Path, *command: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    folder.mkdir(exist_ok=True)
    return subprocess.run(
        [*_DISK, size, str(folder), *command],
        env=os.environ | {"ORDERFLOW_STATE_FOLDER": str(folder.parent / "state")} | variables,
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    folder = tmp_path / "disk"
    try:
        works = on_disk("1m", folder, "true").returncode == 0
    except FileNotFoundError:
        works = False
    if not works:
        pytest.skip("this machine does not let its users mount a disk in memory")
    return folder


@pytest.mark.parametrize("variable", ["TMPDIR", "ORDERFLOW_STATE_FOLDER"])
def test_a_start_on_a_full_disk_names_the_folder(disk: Path, variable: str) -> None:
    up = on_disk("500k", disk, *_LOCAL, "up", "--detach", **{variable: str(disk)})
    assert up.returncode == 1
    assert f"The disk of {disk} is full: 0.5 MB are free" in " ".join(up.stderr.split())
    assert "Traceback" not in up.stderr


def test_a_layer_that_does_not_fit_names_the_folder(tmp_path: Path, disk: Path) -> None:
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions" / "requirements.txt").write_text("")
    (tmp_path / ".build").symlink_to(disk)
    code = "import sys, pathlib, components.packaging as p; p.layer_folder(pathlib.Path(sys.argv[1]))"
    built = on_disk("500k", disk, sys.executable, "-c", code, str(tmp_path))
    assert f"PackagingError: The disk of {tmp_path / '.build'} is full: 0.5 MB are free" in built.stderr


_FILL_AND_CALL = """
import json, os, subprocess, sys, requests
from pathlib import Path
disk = Path(sys.argv[1])
local = [sys.executable, "-m", "local"]
subprocess.run([*local, "up", "--detach", "--keep"], check=True, stdout=subprocess.DEVNULL)
outputs = json.loads(subprocess.run([*local, "outputs"], check=True, capture_output=True).stdout)
url, headers = outputs["apiUrl"], {"x-api-key": outputs["apiKeys"]["paid"]}
def post():
    product = {"title": "Lamp" * 50, "description": "x" * 2000, "price": 1, "stock": 1}
    return requests.post(url + "/products", json=product, headers=headers, timeout=60)
answers = [post()]
with (disk / "filler").open("wb", buffering=0) as filler:
    try:
        while filler.write(bytes(4096)) == 4096:
            pass
    except OSError:
        pass
for _ in range(20):  # until the pages that the data has already are used
    answers.append(post())
    if answers[-1].status_code != 201:
        break
answers.append(requests.get(url + "/users", headers=headers, timeout=60))  # needs a new worker
status = subprocess.run([*local, "status"], capture_output=True, text=True).stdout
(disk / "filler").unlink()
answers.append(post())
stored = requests.get(url + "/products?limit=100", headers=headers, timeout=60).json()["items"]
log = subprocess.run([*local, "logs", "products_api"], capture_output=True, text=True).stdout
subprocess.run([*local, "down"], check=True, stdout=subprocess.DEVNULL)
subprocess.run([*local, "up", "--detach", "--keep"], check=True, stdout=subprocess.DEVNULL)
kept = requests.get(url + "/products?limit=100", headers=headers, timeout=60).json()["items"]
subprocess.run([*local, "down"], check=True, stdout=subprocess.DEVNULL)
print(json.dumps({
    "answers": [(answer.status_code, answer.json()) for answer in answers],
    "status": status, "log": log, "is_all_kept": kept == stored,
}))
"""


def test_a_disk_that_fills_up_is_named_in_responses_the_status_and_the_log_and_loses_no_data(
    disk: Path,
) -> None:
    run = on_disk(
        *("24m", disk, sys.executable, "-c", _FILL_AND_CALL, str(disk)),
        TMPDIR=str(disk),
        ORDERFLOW_STATE_FOLDER=str(disk / "state"),
    )
    assert run.returncode == 0, run.stderr
    seen = json.loads(run.stdout)
    first, *_, unwritten, new_worker, last = seen["answers"]
    assert first[0] == last[0] == 201
    assert unwritten[0] >= 500
    assert f"The data cannot be kept in {disk / 'state' / 'data'}: database or disk is full" in seen["log"]
    assert new_worker[0] == 500
    assert re.fullmatch(rf"The disk of {disk}/\S+ is full\.", new_worker[1]["detail"])
    assert f"thediskof{disk}/" in "".join(seen["status"].split())  # the table breaks the path
    assert seen["is_all_kept"]
