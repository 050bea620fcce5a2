"""What goes to Lambda: the functions' own code, file by file, and the layer, whole or not at all."""

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from components import packaging
from components.packaging import PackagingError, code_version, function_files, layer_folder, zip_files
from components.settings import FUNCTION_NAMES

ZIP_BUDGET = 100_000  # bytes, own code of one function
LAYER_BUDGET = 1_500_000  # bytes zipped


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with two functions, and with what must not be packaged."""
    for name in (
        "__init__.py",
        *("orders_api/__init__.py", "orders_api/handler.py", "orders_api/page.html"),
        *("users_api/__init__.py", "users_api/handler.py"),
        *("shared/__init__.py", "shared/domain/orders.py", "shared/__pycache__/x.cpython-313.pyc"),
        *("shared/.DS_Store", "orders_api/.cache/old.py"),
    ):
        path = tmp_path / "functions" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {name}\n")
    (tmp_path / "functions" / "requirements.txt").write_text("example==1.0 --hash=sha256:00\n")
    return tmp_path


# --- Functions ---


def test_an_archive_holds_the_function_and_shared_code_and_nothing_else(project: Path) -> None:
    assert list(function_files("orders_api", project)) == [
        "functions/__init__.py",
        "functions/orders_api/__init__.py",
        "functions/orders_api/handler.py",
        "functions/orders_api/page.html",
        "functions/shared/__init__.py",
        "functions/shared/domain/orders.py",
    ]


def test_a_file_that_lambda_does_not_need_is_refused_by_name(project: Path) -> None:
    (project / "functions" / "shared" / "notes.txt").write_text("remember")
    with pytest.raises(
        PackagingError, match=r"^functions/shared/notes\.txt would go to Lambda, .*allow \.txt in"
    ):
        function_files("orders_api", project)


def test_a_function_without_a_handler_is_refused_by_name(project: Path) -> None:
    with pytest.raises(PackagingError, match=r"^There is no function refunds: functions/refunds/handler\.py"):
        function_files("refunds", project)


def test_the_version_changes_with_the_code_and_only_with_it(project: Path) -> None:
    def version() -> str:
        return code_version(("orders_api", "users_api"), project)

    first = version()
    (project / "functions" / "shared" / "__pycache__" / "y.pyc").write_text("compiled")
    (project / "functions" / "users_api" / "handler.py").touch()
    assert version() == first
    (project / "functions" / "users_api" / "handler.py").write_text("# changed\n")
    assert version() != first
    assert len(first) == 12


@pytest.mark.parametrize("name", FUNCTION_NAMES)
def test_each_function_stays_within_its_budget_and_brings_no_other_function(
    name: str, tmp_path: Path
) -> None:
    files = function_files(name)
    assert {inside.split("/")[1] for inside in files} == {"__init__.py", name, "shared"}
    assert zip_files(files, tmp_path / "function.zip") <= ZIP_BUDGET


@pytest.mark.parametrize("name", FUNCTION_NAMES)
def test_each_function_imports_own_code_from_its_archive_only(name: str) -> None:
    files = function_files(name)
    foreign = {other for other in FUNCTION_NAMES if other != name}
    for path in files.values():
        if path.suffix == ".py":
            text = path.read_text("utf-8")
            assert not [other for other in foreign if f"functions.{other}" in text], path


# --- The layer ---


@pytest.fixture(scope="module")
def layer() -> dict[str, Path]:
    folder = layer_folder()
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}


def test_the_layer_holds_what_lambda_imports_for_its_own_processor(layer: dict[str, Path]) -> None:
    assert "python/aws_lambda_powertools/__init__.py" in layer
    assert "python/msgspec/_core.cpython-313-aarch64-linux-gnu.so" in layer
    assert {name.split("/")[0] for name in layer} == {"python"}
    assert all("aarch64" in name for name in layer if ".so" in name)


def test_the_layer_leaves_out_what_nobody_imports_and_keeps_the_licences(layer: dict[str, Path]) -> None:
    for part in ("__pycache__", ".data/", "/RECORD", ".pyi", "/bin/", "/tests/"):
        assert not [name for name in layer if part in name]
    packages = {name.split("/")[1] for name in layer if name.endswith(".dist-info/METADATA")}
    assert {name.split("/")[1] for name in layer if name.endswith("/LICENSE")} == packages


def test_the_layer_stays_within_its_budget(layer: dict[str, Path], tmp_path: Path) -> None:
    assert zip_files(layer, tmp_path / "layer.zip") <= LAYER_BUDGET


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel that takes the place of what pip would download."""
    path = tmp_path / "example-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("example/__init__.py", "VALUE = 1\n")
        archive.writestr("example/py.typed", "")
        archive.writestr("example-1.0.dist-info/RECORD", "example/__init__.py,,\n")
        archive.writestr("example-1.0.dist-info/METADATA", "Name: example\n")
        archive.writestr("example-1.0.data/scripts/example", "#!python\n")

    def download(requirements: Path, folder: Path) -> None:
        folder.mkdir()
        shutil.copy(path, folder)

    monkeypatch.setattr(packaging, "_download_wheels", download)
    return path


def layer_files(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_layer_is_built_once_and_again_when_the_pins_change(
    project: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = layer_folder(project)
    assert set(layer_files(first)) == {"python/example/__init__.py", "python/example-1.0.dist-info/METADATA"}

    with monkeypatch.context() as offline:
        offline.setattr(packaging, "_download_wheels", lambda *_: pytest.fail("it was there already"))
        assert layer_folder(project) == first

    (project / "functions" / "requirements.txt").write_text("example==1.0 --hash=sha256:01\n")
    assert layer_folder(project) != first


@pytest.mark.usefixtures("wheel")
def test_a_layer_that_was_changed_by_hand_is_built_again(project: Path) -> None:
    folder = layer_folder(project)
    whole = layer_files(folder)
    (folder / "python" / "example" / "__init__.py").write_text("VALUE = 2\n")
    (folder / "python" / "stray.txt").write_text("")
    assert layer_files(layer_folder(project)) == whole


@pytest.mark.usefixtures("wheel")
def test_builds_at_the_same_time_end_with_one_whole_layer(project: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        folders = set(threads.map(lambda _: layer_folder(project), range(8)))
    assert len(folders) == 1
    assert len(layer_files(folders.pop())) == 2
    assert len(list((project / ".build").iterdir())) == 1


@pytest.mark.usefixtures("wheel")
def test_a_build_that_is_cut_off_leaves_nothing_that_counts(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as interrupted:
        interrupted.setattr(packaging, "_unpack", cut_off)
        with pytest.raises(KeyboardInterrupt):
            layer_folder(project)
    assert list((project / ".build").iterdir()) == []
    assert len(layer_files(layer_folder(project))) == 2


def test_without_a_network_the_error_says_what_to_do(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], 1, "", "WARNING: retrying\nERROR: No matching distribution\n")

    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(PackagingError) as error:
        layer_folder(project)
    assert "python -m components.packaging" in str(error.value)
    assert str(error.value).endswith("ERROR: No matching distribution")


def test_pins_that_depend_on_the_machine_are_refused(project: Path) -> None:
    (project / "functions" / "requirements.txt").write_text("example==1.0 ; sys_platform == 'linux'\n")
    with pytest.raises(PackagingError, match="environment markers"):
        layer_folder(project)


def test_packaging_needs_nothing_but_python() -> None:
    """`make install` runs it before anything else is known to work, and it must be quick."""
    code = "import sys, components.packaging; print(json.dumps([m for m in sys.modules if 'pulumi' in m]))"
    result = subprocess.run(
        [sys.executable, "-c", f"import json; {code}"],
        capture_output=True,
        text=True,
        check=True,
        cwd=packaging.PROJECT_ROOT,
    )
    assert json.loads(result.stdout) == []
