"""Packages for Lambda: the code of each function, and the layer with its dependencies."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bench.samples import ENVIRONMENT
from components import packaging
from components.packaging import (
    PackagingError,
    archive_files,
    code_version,
    function_files,
    function_names,
    layer_folder,
    zip_files,
)

ZIP_BUDGET = 100_000  # bytes zipped, of one function's code and data
BYTECODE_RATIO = 3.2  # of an archive with bytecode to one without: bytecode zips to twice its source
LAYER_BUDGET = 2_000_000  # bytes zipped


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with two functions, and with files that must not be packaged."""
    for name in (
        "__init__.py",
        *("orders_api/__init__.py", "orders_api/handler.py", "orders_api/page.html"),
        *("users_api/__init__.py", "users_api/handler.py"),
        *("shared/__init__.py", "shared/clock.py", "shared/table.json"),
        *("shared/domain/__init__.py", "shared/domain/orders.py", "shared/domain/users.py"),
        *("shared/__pycache__/x.cpython-313.pyc", "shared/.DS_Store", "orders_api/.cache/old.py"),
    ):
        path = tmp_path / "functions" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {name}\n")
    handler = tmp_path / "functions" / "orders_api" / "handler.py"
    handler.write_text("from functions.shared.domain.orders import Order\n")
    (tmp_path / "functions" / "requirements.txt").write_text("example==1.0 --hash=sha256:00\n")
    return tmp_path


# --- Functions ---


def test_an_archive_holds_the_function_the_shared_code_that_it_imports_and_nothing_else(
    project: Path,
) -> None:
    assert list(function_files("orders_api", project)) == [
        "functions/__init__.py",
        "functions/orders_api/__init__.py",
        "functions/orders_api/handler.py",
        "functions/orders_api/page.html",
        "functions/shared/__init__.py",
        "functions/shared/domain/__init__.py",
        "functions/shared/domain/orders.py",
        "functions/shared/table.json",
    ]


@pytest.mark.parametrize(
    "code",
    [
        "import functions.shared.clock",
        "from functions.shared import (\n    aws,\n    clock,\n)",
        "from functions.shared.clock import now as time",
        "def f():\n    from functions.shared import clock",
        "if TYPE_CHECKING:\n    from functions.shared.clock import Clock",
    ],
)
def test_an_archive_holds_shared_code_however_it_is_imported(project: Path, code: str) -> None:
    orders = project / "functions" / "shared" / "domain" / "orders.py"
    orders.write_text(code + "\n")
    assert "functions/shared/clock.py" in function_files("orders_api", project)
    assert "functions/shared/clock.py" not in function_files("users_api", project)


@pytest.mark.parametrize("name", function_names())
def test_each_function_starts_from_the_files_of_its_archive(name: str, tmp_path: Path) -> None:
    for inside, path in function_files(name).items():
        (tmp_path / inside).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / inside)
    code = f"import functions.{name}.handler as handler; print(handler.__file__)"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=dict(ENVIRONMENT), capture_output=True, text=True
    )
    assert run.stdout.strip() == str(tmp_path / "functions" / name / "handler.py"), run.stderr


def test_a_file_that_lambda_does_not_need_is_refused_by_name(project: Path) -> None:
    (project / "functions" / "shared" / "notes.txt").write_text("notes")
    with pytest.raises(
        PackagingError, match=r"^functions/shared/notes\.txt would go to Lambda, .*allow \.txt in"
    ):
        function_files("orders_api", project)


def test_a_function_without_a_handler_is_refused_by_name(project: Path) -> None:
    with pytest.raises(PackagingError, match=r"^There is no function refunds: functions/refunds/handler\.py"):
        function_files("refunds", project)


def test_the_version_changes_only_with_the_code(project: Path) -> None:
    def version() -> str:
        return code_version(project)

    first = version()
    (project / "functions" / "shared" / "__pycache__" / "y.pyc").write_text("compiled")
    (project / "functions" / "users_api" / "handler.py").touch()
    assert version() == first
    (project / "functions" / "users_api" / "handler.py").write_text("# changed\n")
    assert version() != first
    assert len(first) == 12


@pytest.mark.parametrize("name", function_names())
def test_each_function_stays_within_its_budget_and_contains_no_other_function(
    name: str, tmp_path: Path
) -> None:
    files = function_files(name)
    assert {inside.split("/")[1] for inside in files} == {"__init__.py", name, "shared"}
    size = zip_files(files, tmp_path / "function.zip")
    assert size <= ZIP_BUDGET
    assert zip_files(archive_files(name), tmp_path / "function.zip") <= BYTECODE_RATIO * size


@pytest.mark.parametrize("name", function_names())
def test_each_function_imports_own_code_from_its_archive_only(name: str) -> None:
    files = function_files(name)
    foreign = {other for other in function_names() if other != name}
    for path in files.values():
        if path.suffix == ".py":
            text = path.read_text("utf-8")
            assert not [other for other in foreign if f"functions.{other}" in text], path


def test_service_api_contains_the_contract(project: Path) -> None:
    handler = project / "functions" / "service_api" / "handler.py"
    handler.parent.mkdir()
    handler.write_text("")
    with pytest.raises(
        PackagingError, match=r"^docs/openapi\.json, which service_api carries, does not exist"
    ):
        function_files("service_api", project)
    contract = project / "docs" / "openapi.json"
    contract.parent.mkdir()
    contract.write_text("{}")
    files = function_files("service_api", project)
    assert files["functions/service_api/openapi.json"] == contract
    assert list(files) == sorted(files)


# --- Bytecode ---


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> str:
    """A Python of Lambda's version."""
    found = interpreter(packaging.RUNTIME.removeprefix("python"))
    monkeypatch.setattr(packaging, "compiler", lambda: found)
    return found


def test_an_archive_has_the_bytecode_of_each_module_and_nothing_else_more(
    project: Path, compiler: str
) -> None:
    sources = function_files("orders_api", project)
    files = archive_files("orders_api", project)
    assert list(files) == sorted(files)
    assert files.keys() - sources.keys() == {
        "functions/__pycache__/__init__.cpython-313.pyc",
        "functions/orders_api/__pycache__/__init__.cpython-313.pyc",
        "functions/orders_api/__pycache__/handler.cpython-313.pyc",
        "functions/shared/__pycache__/__init__.cpython-313.pyc",
        "functions/shared/domain/__pycache__/__init__.cpython-313.pyc",
        "functions/shared/domain/__pycache__/orders.cpython-313.pyc",
    }
    assert {files[name] for name in sources} == set(sources.values())


def test_without_a_compiler_an_archive_has_the_sources_only(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packaging, "compiler", lambda: None)
    assert archive_files("orders_api", project) == function_files("orders_api", project)


@pytest.mark.parametrize("found", [True, False])
def test_the_compiler_is_a_python_of_lambdas_version(
    found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = tmp_path / packaging.RUNTIME
    command.write_text(f"#!/bin/sh\necho cpython-{'313' if found else '314'}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "absent"))
    packaging.compiler.cache_clear()
    try:
        assert packaging.compiler() == (packaging.RUNTIME if found else None)
    finally:
        packaging.compiler.cache_clear()


def test_code_that_lambdas_python_cannot_compile_is_refused(project: Path, compiler: str) -> None:
    handler = project / "functions" / "orders_api" / "handler.py"
    handler.write_text('f"{0x_}"\n' if sys.version_info < (3, 12) else "nonlocal x\n")
    with pytest.raises(
        PackagingError, match=r"could not compile(?s:.*)/var/task/functions/orders_api/handler"
    ):
        packaging._bytecode({"functions/orders_api/handler.py": handler}, project / ".build")


def test_lambdas_python_uses_the_bytecode_until_its_source_is_edited(
    project: Path, compiler: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    handler = project / "functions" / "orders_api" / "handler.py"
    handler.write_text("def f():\n    return 1\n\nprint(f(), f.__code__.co_filename)\n")
    task = tmp_path_factory.mktemp("task")
    for inside, path in archive_files("orders_api", project).items():
        (task / inside).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, task / inside)

    def start() -> tuple[str, bool]:
        code = "import functions.orders_api.handler"
        run = subprocess.run(
            [compiler, "-v", "-B", "-c", code], cwd=task, capture_output=True, text=True, check=True
        )
        bytecode = task / "functions" / "orders_api" / "__pycache__" / "handler.cpython-313.pyc"
        return run.stdout, f"code object from '{bytecode}'" in run.stderr

    deployed = task / "functions" / "orders_api" / "handler.py"
    assert start() == (f"1 {deployed}\n", True)
    edited = deployed.read_text().replace("return 1", "return 2")
    deployed.write_text(edited)  # of the same size, and then of the same time
    os.utime(deployed, (0, 0))
    assert start() == (f"2 {deployed}\n", False)


# --- The layer ---


@pytest.fixture(scope="module")
def layer() -> dict[str, Path]:
    folder = layer_folder()
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}


def test_the_layer_holds_the_dependencies_for_arm(layer: dict[str, Path]) -> None:
    assert "python/aws_lambda_powertools/__init__.py" in layer
    assert "python/msgspec/_core.cpython-313-aarch64-linux-gnu.so" in layer
    assert {name.split("/")[0] for name in layer} == {"python"}
    assert all("aarch64" in name for name in layer if ".so" in name)


def test_the_layer_omits_unused_files_and_keeps_the_licenses(layer: dict[str, Path]) -> None:
    for part in (".data/", "/RECORD", ".pyi", "/bin/", "/tests/"):
        assert not [name for name in layer if part in name]
    packages = {name.split("/")[1] for name in layer if name.endswith(".dist-info/METADATA")}
    assert {name.split("/")[1] for name in layer if name.endswith("/LICENSE")} == packages


def test_the_layer_has_the_bytecode_of_each_module_that_a_function_imports(layer: dict[str, Path]) -> None:
    if packaging.compiler() is None:
        pytest.skip("there is no Python of Lambda's version on PATH: the layer has sources only")
    code = "import sys, " + ", ".join(f"functions.{name}.handler" for name in function_names())
    run = subprocess.run(
        [sys.executable, "-c", f"{code}; print(*sys.modules)"],
        cwd=packaging.PROJECT_ROOT,
        env=dict(ENVIRONMENT),
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {
        name
        for module in run.stdout.split()
        for name in (
            f"python/{module.replace('.', '/')}.py",
            f"python/{module.replace('.', '/')}/__init__.py",
        )
        if name in layer
    }
    assert "python/aws_lambda_powertools/logging/formatter.py" in imported
    bytecode = {name for name in layer if "/__pycache__/" in name}
    assert {packaging._bytecode_name(name) for name in imported} <= bytecode
    assert bytecode <= {packaging._bytecode_name(name) for name in layer if name.endswith(".py")}


def test_the_layer_stays_within_its_budget(layer: dict[str, Path], tmp_path: Path) -> None:
    assert zip_files(layer, tmp_path / "layer.zip") <= LAYER_BUDGET


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel that is used instead of a download."""
    path = tmp_path / "example-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("example/__init__.py", "VALUE = 1\n")
        archive.writestr("example/py.typed", "")
        archive.writestr("example-1.0.dist-info/RECORD", "example/__init__.py,,\n")
        archive.writestr("example-1.0.dist-info/METADATA", "Name: example\n")
        archive.writestr("example-1.0.data/scripts/example", "#!python\n")

    def download(_requirements: Path, folder: Path, *_sources: str) -> list[str]:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder)
        return []

    monkeypatch.setattr(packaging, "_download", download)
    monkeypatch.setattr(packaging, "compiler", lambda: None)
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
        offline.setattr(packaging, "_download", lambda *_: pytest.fail("the layer was already built"))
        assert layer_folder(project) == first

    (project / "functions" / "requirements.txt").write_text("example==1.0 --hash=sha256:01\n")
    assert layer_folder(project) != first


@pytest.mark.usefixtures("wheel")
def test_a_compiler_makes_another_layer_with_bytecode(project: Path, request: pytest.FixtureRequest) -> None:
    sources = layer_folder(project)
    request.getfixturevalue("compiler")
    whole = layer_folder(project)
    assert whole != sources
    assert layer_files(whole).keys() - layer_files(sources).keys() == {
        "python/example/__pycache__/__init__.cpython-313.pyc"
    }


@pytest.mark.usefixtures("wheel")
def test_a_layer_that_was_changed_by_hand_is_built_again(project: Path) -> None:
    folder = layer_folder(project)
    whole = layer_files(folder)
    (folder / "python" / "example" / "__init__.py").write_text("VALUE = 2\n")
    (folder / "python" / "stray.txt").write_text("")
    assert layer_files(layer_folder(project)) == whole


@pytest.mark.usefixtures("wheel")
def test_parallel_builds_make_one_complete_layer(project: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        folders = set(threads.map(lambda _: layer_folder(project), range(8)))
    assert len(folders) == 1
    assert len(layer_files(folders.pop())) == 2
    assert len(list((project / ".build").iterdir())) == 1


@pytest.mark.usefixtures("wheel")
def test_a_change_of_the_packaging_code_builds_a_new_layer_only_with_a_new_format(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = layer_folder(project)
    monkeypatch.setattr(packaging, "__file__", str(project / "elsewhere.py"))
    assert layer_folder(project) == first
    monkeypatch.setattr(packaging, "_LAYER_FORMAT", packaging._LAYER_FORMAT + 1)
    assert layer_folder(project) != first


@pytest.mark.usefixtures("wheel")
def test_a_new_layer_replaces_layers_that_were_unused_for_long(project: Path) -> None:
    build = project / ".build"
    old, recent = layer_folder(project).parent, build / "layer-0123456789ab"
    unfinished, other = build / "layer-unfinished-x", build / "bench"
    for folder in (recent, unfinished, other):
        folder.mkdir()
    for folder in (old, unfinished, other):
        os.utime(folder, (0, 0))
    (project / "functions" / "requirements.txt").write_text("example==1.0 --hash=sha256:01\n")
    new = layer_folder(project).parent
    assert set(build.iterdir()) == {new, recent, other}


@pytest.mark.usefixtures("wheel")
def test_a_recently_used_layer_is_kept(project: Path) -> None:
    pins = project / "functions" / "requirements.txt"
    first, before = layer_folder(project).parent, pins.read_text()
    os.utime(first, (0, 0))
    layer_folder(project)  # uses it
    pins.write_text("example==1.0 --hash=sha256:01\n")
    layer_folder(project)
    pins.write_text(before)
    assert layer_folder(project).parent == first


def test_a_layer_is_built_offline_from_the_wheels_of_earlier_builds(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        Path(command[-1]).mkdir(parents=True)
        return subprocess.CompletedProcess([], 0, "", "")

    wheels = project / ".build" / "layer-0123456789ab" / "wheels"
    wheels.mkdir(parents=True)
    (project / ".build" / "layer-unfinished-x" / "wheels").mkdir(parents=True)
    monkeypatch.setattr(subprocess, "run", run)
    layer_folder(project)
    (command,) = commands
    assert "--no-index" in command
    assert "--require-hashes" in command
    assert [part for part in command if part.startswith("--find-links")] == [f"--find-links={wheels}"]


@pytest.mark.usefixtures("wheel")
def test_an_interrupted_build_leaves_no_layer(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as interrupted:
        interrupted.setattr(packaging, "_unpack", interrupt)
        with pytest.raises(KeyboardInterrupt):
            layer_folder(project)
    assert list((project / ".build").iterdir()) == []
    assert len(layer_files(layer_folder(project))) == 2


def test_without_a_network_the_error_names_the_command_to_run(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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


# --- Locked versions ---

LOCKS = (
    "requirements.txt",
    "requirements-uv.txt",
    "requirements-local.txt",
    "requirements-dev.txt",
    "functions/requirements.txt",
    "policy/requirements.txt",
    "tests/references/requirements-localstack.txt",
    "tests/references/requirements-runtime.txt",
)


@pytest.mark.parametrize("lock", LOCKS)
def test_every_requirement_is_pinned_and_locked_by_hash(lock: str) -> None:
    text = (packaging.PROJECT_ROOT / lock).read_text("utf-8").replace("\\\n", " ")
    pins = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert pins
    for pin in pins:
        assert re.match(r"[a-z0-9._-]+(\[[a-z,]+\])?==[^\s;]+ ", pin), pin
        assert "--hash=sha256:" in pin, pin


@pytest.mark.parametrize(
    ("lock", "groups"),
    [
        ("requirements.txt", []),
        ("functions/requirements.txt", ["layer"]),
        ("requirements-local.txt", ["layer", "local"]),
        ("requirements-dev.txt", ["layer", "local", "uv", "dev"]),
        ("tests/references/requirements-localstack.txt", ["localstack"]),
        ("tests/references/requirements-runtime.txt", ["runtime"]),
    ],
)
def test_a_lock_holds_the_versions_that_the_project_names(lock: str, groups: list[str]) -> None:
    project = tomllib.loads((packaging.PROJECT_ROOT / "pyproject.toml").read_text("utf-8"))
    named = [pin for group in groups for pin in project["dependency-groups"][group]]
    if not lock.startswith(("functions/", "tests/")):  # these do not contain the program
        named += project["project"]["dependencies"]
    text = (packaging.PROJECT_ROOT / lock).read_text("utf-8")
    for pin in named:
        name, _, version = pin.partition("==")
        assert re.search(
            rf"^{re.escape(name.partition('[')[0])}(\[[a-z,]+\])?=={re.escape(version)} ", text, re.M
        ), pin


# Without requirements.txt: the policy pack's SDK requires an older protobuf than the program does.
@pytest.mark.parametrize("part", ["requirements-uv.txt", "requirements-local.txt"])
def test_the_tests_have_the_versions_that_the_demo_installs(part: str) -> None:
    """Another version would replace the one that the demo uses."""

    def pins(lock: str) -> set[str]:
        return set(re.findall(r"^\S+==[^\s;]+", (packaging.PROJECT_ROOT / lock).read_text("utf-8"), re.M))

    assert pins(part)
    assert pins(part) <= pins("requirements-dev.txt")


# --- Reproducible packages ---

PACKAGE = """
import hashlib, json, sys, tempfile, zlib
from pathlib import Path
from components import packaging

def digests(files):
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder, "archive.zip")
        packaging.zip_files(files, archive)
        zipped = hashlib.sha256(archive.read_bytes()).hexdigest()
    # Other versions of zlib compress the same contents to other bytes.
    return {"contents": packaging._hash_of_files(files), f"zlib {zlib.ZLIB_RUNTIME_VERSION}": zipped}

functions = sorted(path.parent.name for path in Path("functions").glob("*/handler.py"))
found = {name: digests(packaging.archive_files(name)) for name in functions}
found["layer"] = digests(packaging._tree(packaging.layer_folder()))
json.dump(found, sys.stdout)
"""


EVERY_PYTHON = "REQUIRE_EVERY_PYTHON"
"""Name of a variable. If it is set, a missing Python fails the test instead of skipping it."""


def interpreter(version: str) -> str:
    """Returns a Python of this version. If there is none, skips or fails the test."""
    if sys.version_info[:2] == tuple(int(part) for part in version.split(".")):
        return sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    installed = [str(path) for path in sorted(pyenv.glob(f"versions/{version}.*/bin/python"))]
    for candidate in (f"python{version}", *installed):
        try:
            answer = subprocess.run([candidate, "-m", "pip", "--version"], capture_output=True, check=False)
        except FileNotFoundError:
            continue
        if answer.returncode == 0:
            return candidate
    missing = f"there is no Python {version} with pip on this machine"
    if os.environ.get(EVERY_PYTHON):
        pytest.fail(missing)
    pytest.skip(missing)


def copy_checkout(target: Path, *, mode: int, time: int) -> Path:
    """Copies the tracked files, with this mode and time, and the wheels of the built layer."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", "components", "functions", "docs/openapi.json"],
        cwd=packaging.PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("this is not a git checkout")
    for name in filter(None, listed.stdout.split("\0")):
        source, copy = packaging.PROJECT_ROOT / name, target / name
        if source.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(source.read_bytes())
            copy.chmod(mode)
            os.utime(copy, (time, time))
    wheels = layer_folder().parent / "wheels"
    shutil.copytree(wheels, target / ".build" / "layer-000000000000" / "wheels")
    return target


def packaged(root: Path, python: str) -> dict[str, dict[str, str]]:
    """Returns the digests of the packages that a Python builds offline in a checkout."""
    result = subprocess.run(
        [python, "-c", PACKAGE],
        cwd=root,
        env={**os.environ, "PIP_NO_INDEX": "1", "PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    found: dict[str, dict[str, str]] = json.loads(result.stdout)
    return found


@pytest.fixture(scope="module")
def first_checkout(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    root = copy_checkout(tmp_path_factory.mktemp("first"), mode=0o644, time=1_000_000_000)
    return packaged(root, sys.executable)


@pytest.mark.parametrize("version", ["3.11", "3.13"])
def test_another_checkout_under_another_python_packages_the_same_bytes(
    version: str, first_checkout: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    second = packaged(copy_checkout(tmp_path, mode=0o755, time=1_700_000_000), interpreter(version))
    assert second.keys() == first_checkout.keys()
    for name, digests in second.items():
        for kind in digests.keys() & first_checkout[name].keys():
            assert digests[kind] == first_checkout[name][kind], f"{name}: {kind}"


def test_a_missing_python_fails_the_test_if_every_python_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(EVERY_PYTHON, raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"3\.99"):
        interpreter("3.99")
    monkeypatch.setenv(EVERY_PYTHON, "true")
    with pytest.raises(pytest.fail.Exception, match=r"3\.99"):
        interpreter("3.99")


def test_the_deployed_layer_equals_that_of_a_clean_checkout(
    first_checkout: dict[str, dict[str, str]],
) -> None:
    """Fails if the code puts other files into the layer under the same `_LAYER_FORMAT`."""
    tree = packaging._tree(layer_folder())
    assert packaging._hash_of_files(tree) == first_checkout["layer"]["contents"]


def test_packaging_does_not_import_the_sdk() -> None:
    """`make install` runs it first, and it must be fast."""
    code = "import sys, components.packaging; print(json.dumps([m for m in sys.modules if 'pulumi' in m]))"
    result = subprocess.run(
        [sys.executable, "-c", f"import json; {code}"],
        capture_output=True,
        text=True,
        check=True,
        cwd=packaging.PROJECT_ROOT,
    )
    assert json.loads(result.stdout) == []
