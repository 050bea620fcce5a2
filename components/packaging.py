"""The files that are uploaded to Lambda: each function's own code, and the layer with third-party packages.

A Python of Lambda's version writes bytecode beside the sources. Both have the same bytes on every machine
with such a Python, so a preview shows a difference only if the code differs. On other machines both have
sources only. A function's archive has its own code and the shared code that it imports, file by file. The
layer is built from the hash-locked wheels of functions/requirements.txt into `.build/` (ignored by git), and
again when that file changes. The wheels stay beside it, so a second build needs no network.

`python -m components.packaging` builds the layer ahead. Later runs of the program need no network then.
"""

import ast
import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Final

PROJECT_ROOT: Final = Path(__file__).resolve().parents[1]

RUNTIME: Final = "python3.13"
ARCHITECTURE: Final = "arm64"

# Lambda's python3.13 runs on Amazon Linux 2023 (glibc 2.34): every manylinux up to 2_34 works, oldest first.
_WHEEL_PLATFORMS: Final = ("manylinux2014_aarch64", "manylinux_2_17_aarch64", "manylinux_2_28_aarch64")

# The name that Lambda's Python gives to its bytecode: https://peps.python.org/pep-3147/
_TAG: Final = f"cpython-{RUNTIME.removeprefix('python').replace('.', '')}"

# Where Lambda puts the archive and the layer. Stack traces show these paths.
_TASK_FOLDER: Final = "/var/task"
_LAYER_FOLDER: Final = "/opt"

# Parts of the layer that no function imports.
_NEVER_IMPORTED: Final = re.compile(
    r"python/aws_lambda_powertools/(event_handler|utilities/(?!__init__|jmespath_utils))"
)

# Runs in the compiler. Python compares this bytecode with the hash of its source at each import, so an
# edit in Lambda's console takes effect: https://peps.python.org/pep-0552/
_COMPILE: Final = """
import json, py_compile, sys
for source, deployed, target in json.load(sys.stdin):
    py_compile.compile(source, target, deployed, doraise=True, optimize=0,
                       invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
"""

# Raise it when the code below puts other files into the layer. Earlier layers are then built again.
_LAYER_FORMAT: Final = 2
_LAYER_MEGABYTES: Final = 20  # with the wheels, while it is built

# Seconds. A layer that was unused for this long is removed when another one is built. A run that started
# before the pins changed has read its layer by then.
_LAYER_LIFETIME: Final = 3600

# Other files of the repository that packaging adds to a function's folder.
_CARRIED: Final[Mapping[str, Mapping[str, str]]] = {"service_api": {"openapi.json": "docs/openapi.json"}}

_CODE_SUFFIXES: Final = frozenset({".py"})
_DATA_SUFFIXES: Final = frozenset({".json", ".html"})


class PackagingError(Exception):
    """Something cannot be packaged. The message is one sentence with what to do."""


# --- The functions' own code ---


def archive_files(name: str, root: Path = PROJECT_ROOT) -> Mapping[str, Path]:
    """Returns the files of one function's archive: name in the archive -> file, sorted by name.

    They are `function_files`, and the bytecode of each module if this machine has a `compiler`. Raises
    PackagingError.
    """
    files = function_files(name, root)
    return dict(sorted({**files, **_bytecode(files, root / ".build" / "bytecode")}.items()))


def function_files(name: str, root: Path = PROJECT_ROOT) -> Mapping[str, Path]:
    """Returns the code and data of one function: name in the archive -> file, sorted by name.

    They are the function's folder, code and data, and what it imports of `functions/shared/`, under their
    paths in the repository. So imports are the same in a test and in Lambda. Raises PackagingError if the
    function has no handler, or if a file is missing or neither code nor data.
    """
    functions = root / "functions"
    if not (functions / name / "handler.py").is_file():
        raise PackagingError(f"There is no function {name}: functions/{name}/handler.py does not exist.")
    own, shared = (list(_own_files(functions / folder)) for folder in (name, "shared"))
    files = [functions / "__init__.py", *own, *_needed(own, shared, root)]
    archive = {path.relative_to(root).as_posix(): path for path in files}
    for inside, source in _CARRIED.get(name, {}).items():
        if not (root / source).is_file():
            raise PackagingError(f"{source}, which {name} carries, does not exist.")
        archive[f"functions/{name}/{inside}"] = root / source
    return dict(sorted(archive.items()))


def function_names(root: Path = PROJECT_ROOT) -> tuple[str, ...]:
    """Returns the names of all functions: the folders of `functions/` with a `handler.py`."""
    return tuple(sorted(handler.parent.name for handler in (root / "functions").glob("*/handler.py")))


def code_version(root: Path = PROJECT_ROOT) -> str:
    """Returns the first 12 hexadecimal digits of the hash over the own code of all functions."""
    files: dict[str, Path] = {}
    for name in function_names(root):
        files.update(function_files(name, root))
    return _hash_of_files(files)[:12]


def _own_files(folder: Path) -> Iterator[Path]:
    for place, inner, names in os.walk(folder):
        inner[:] = sorted(name for name in inner if name != "__pycache__" and not name.startswith("."))
        for path in (Path(place, name) for name in sorted(names) if not name.startswith(".")):
            if path.suffix not in _CODE_SUFFIXES | _DATA_SUFFIXES:
                raise PackagingError(
                    f"{path.relative_to(folder.parents[1])} would go to Lambda, but is neither code nor "
                    f"data: move it, or allow {path.suffix or 'files without a suffix'} in "
                    "components/packaging.py."
                )
            yield path


def _needed(own: Sequence[Path], shared: Sequence[Path], root: Path) -> Iterator[Path]:
    """Yields the shared files that a function's own files import, directly or not, and all shared data."""
    modules = {_module(path, root): path for path in shared if path.suffix == ".py"}
    unread = [path for path in own if path.suffix == ".py"]
    while unread:
        for name in _imports(unread.pop().read_text("utf-8")):
            parts = name.split(".")
            for length in range(1, len(parts) + 1):  # a module, after the packages that it is in
                path = modules.pop(".".join(parts[:length]), None)
                if path is not None:
                    unread.append(path)
                    yield path
    yield from (path for path in shared if path.suffix != ".py")


def _module(path: Path, root: Path) -> str:
    return ".".join(path.with_suffix("").parts[len(root.parts) :]).removesuffix(".__init__")


@cache
def _imports(code: str) -> Sequence[str]:
    """Returns the names that code imports, anywhere in it: of modules, or of what is in them."""
    names = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def _hash_of_files(files: Mapping[str, Path]) -> str:
    """Returns the SHA-256 over names and contents. Time, mode and place of the files do not count."""
    total = hashlib.sha256()
    for name in sorted(files):
        total.update(f"{name}\0{hashlib.sha256(files[name].read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


# --- Bytecode ---


@cache
def compiler() -> str | None:
    """Returns the command of a Python of Lambda's version on this machine, or None.

    It is the Python that runs this, or the one on PATH.
    """
    for command in (sys.executable, RUNTIME):
        with contextlib.suppress(OSError):
            found = _run_python(command, "import sys; print(sys.implementation.cache_tag)", "")
            if found.stdout.strip() == _TAG:
                return command
    return None


def _run_python(command: str, code: str, text: str) -> subprocess.CompletedProcess[str]:
    """Runs code in a Python, with `text` as standard input. This machine's settings have no effect on it."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    # pyenv's command requires a version.
    variables |= {"PYTHONHASHSEED": "0", "PYENV_VERSION": RUNTIME.removeprefix("python")}
    return subprocess.run(
        [command, "-S", "-c", code], input=text, env=variables, capture_output=True, text=True, check=False
    )


def _bytecode(files: Mapping[str, Path], folder: Path) -> Mapping[str, Path]:
    """Returns the bytecode of a function's modules: name in the archive -> file in `folder`.

    The files in `folder` are named by a hash of what they are made of, and made once.
    """
    if compiler() is None:
        return {}
    found: dict[str, Path] = {}
    missing = []
    for name, path in files.items():
        if path.suffix == ".py":
            key = hashlib.sha256(f"{_TAG}\0{name}\0".encode() + path.read_bytes()).hexdigest()[:32]
            found[_bytecode_name(name)] = target = folder / f"{key}.pyc"
            if not target.is_file():
                missing.append((path, f"{_TASK_FOLDER}/{name}", target))
    _compile(missing)
    return found


def _bytecode_name(name: str) -> str:
    path = PurePosixPath(name)
    return str(path.parent / "__pycache__" / f"{path.stem}.{_TAG}.pyc")


def _compile(modules: Sequence[tuple[Path, str, Path]]) -> None:
    """Writes the bytecode of modules: source, its path in Lambda, and the file to write."""
    command = compiler()
    if command is None or not modules:
        return
    found = _run_python(command, _COMPILE, json.dumps([[str(part) for part in module] for module in modules]))
    if found.returncode:
        raise PackagingError(f"{command} could not compile the code for Lambda: {found.stderr.strip()}")


# --- The dependency layer ---


def layer_folder(root: Path = PROJECT_ROOT) -> Path:
    """Returns the folder with the contents of the layer (`python/...`).

    Builds it first if it is missing, stale or damaged. A concurrent or interrupted build leaves either a
    whole layer or none. Raises PackagingError if the wheels cannot be downloaded.
    """
    requirements = root / "functions" / "requirements.txt"
    target = root / ".build" / f"layer-{_layer_key(requirements)}"
    with contextlib.suppress(OSError):
        os.utime(target)  # in use: no other process removes it now
    if not _is_whole(target):
        _build_layer(requirements, target)
        _remove_stale(target)
    return target / "content"


def _layer_key(requirements: Path) -> str:
    """Returns a key that changes with all inputs of the layer: pins, platform, and this code."""
    try:
        pins = requirements.read_bytes()
    except OSError as error:
        raise PackagingError(f"{requirements} cannot be read: {error.strerror}.") from error
    parts = [
        pins,
        RUNTIME.encode(),
        b"sources" if compiler() is None else _TAG.encode(),
        *(platform.encode() for platform in _WHEEL_PLATFORMS),
        str(_LAYER_FORMAT).encode(),
    ]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]


def _is_whole(target: Path) -> bool:
    try:
        expected = json.loads((target / "contents.json").read_bytes())
    except (OSError, ValueError):
        return False
    return bool(expected == {"sha256": _hash_of_files(_tree(target / "content"))})


def _tree(folder: Path) -> Mapping[str, Path]:
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}


def _build_layer(requirements: Path, target: Path) -> None:
    _refuse_markers(requirements)
    target.parent.mkdir(exist_ok=True)
    free = shutil.disk_usage(target.parent).free / 1_000_000
    if free < _LAYER_MEGABYTES:
        raise PackagingError(
            f"The disk of {target.parent} is full: {free:.1f} MB are free, and building the layer needs "
            f"{_LAYER_MEGABYTES} MB."
        )
    with tempfile.TemporaryDirectory(prefix="layer-unfinished-", dir=target.parent) as scratch:
        new = Path(scratch, "layer")
        _get_wheels(requirements, new / "wheels", target.parent)
        for wheel in sorted((new / "wheels").glob("*.whl")):
            _unpack(wheel, new / "content" / "python")
        _compile(
            [
                (path, f"{_LAYER_FOLDER}/{name}", new / "content" / _bytecode_name(name))
                for name, path in sorted(_tree(new / "content").items())
                if path.suffix == ".py" and not _NEVER_IMPORTED.match(name)
            ]
        )
        contents = {"sha256": _hash_of_files(_tree(new / "content"))}
        (new / "contents.json").write_text(json.dumps(contents), encoding="utf-8")
        _put_in_place(new, target)


def _put_in_place(new: Path, target: Path) -> None:
    """Renames `new` to `target` in one step. Removes a damaged target first, and keeps a whole one."""
    if target.exists() and not _is_whole(target):
        target.rename(new.with_name("damaged"))
    try:
        new.rename(target)
    except OSError:
        if not _is_whole(target):
            raise


def _remove_stale(target: Path) -> None:
    """Removes layers beside `target` that were unused for long, and the remains of killed builds."""
    for other in target.parent.glob("layer-*"):
        with contextlib.suppress(FileNotFoundError):  # another process was faster
            if other != target and time.time() - other.stat().st_mtime > _LAYER_LIFETIME:
                shutil.rmtree(other, ignore_errors=True)


def _refuse_markers(requirements: Path) -> None:
    if ";" in "".join(
        line for line in requirements.read_text("utf-8").splitlines() if not line.startswith("#")
    ):
        # pip would evaluate it for this machine and not for Lambda. Two machines could build two layers.
        raise PackagingError(f"{requirements.name} of the layer must be free of environment markers (';').")


def _get_wheels(requirements: Path, folder: Path, build: Path) -> None:
    """Puts the wheels for Lambda into `folder`: those of earlier builds if all exist, else downloaded ones.

    Each one is checked against its hash.
    """
    # By the names of finished downloads: another process may be downloading.
    kept = [f"--find-links={wheels}" for wheels in sorted(build.glob(f"layer-{'[0-9a-f]' * 12}/wheels"))]
    if kept and not _download(requirements, folder, "--no-index", *kept):
        return
    errors = _download(requirements, folder)
    if errors:
        raise PackagingError(
            "The dependency layer could not be built, because pip could not download the wheels that "
            "functions/requirements.txt pins (without a network, run `python -m components.packaging` where "
            "there is one): "
            f"{errors[-1]}"
        )


def _download(requirements: Path, folder: Path, *sources: str) -> list[str]:
    """Runs pip with this interpreter, and returns its errors."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--require-hashes", "--no-deps", "--only-binary=:all:"]
    command += ["--implementation", "cp", "--python-version", RUNTIME.removeprefix("python")]
    for platform in _WHEEL_PLATFORMS:
        command += ["--platform", platform]
    command += [*sources, "--requirement", str(requirements), "--dest", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if not result.returncode:
        return []
    lines = [line for line in result.stderr.splitlines() if line.startswith("ERROR")]
    return lines or [result.stderr.strip()]


def _unpack(wheel: Path, folder: Path) -> None:
    """Unzips what Lambda imports. pip installs scripts and records that differ between machines."""
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            if member.is_dir() or not _belongs_into_layer(PurePosixPath(member.filename)):
                continue
            path = folder / member.filename
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(archive.read(member))


def _belongs_into_layer(path: PurePosixPath) -> bool:
    """Returns whether an import needs the file. Licenses and METADATA also stay."""
    top = path.parts[0]
    if top.endswith(".data"):  # command line scripts
        return False
    if top.endswith(".dist-info"):  # RECORD lists files that are left out
        return path.name == "METADATA" or "licen" in str(path).lower()
    return path.suffix != ".pyi" and path.name != "py.typed" and "__pycache__" not in path.parts


def zip_files(files: Mapping[str, Path], target: Path) -> int:
    """Writes `files` as a zip like Lambda's, and returns its size in bytes."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name), files[name].read_bytes(), zipfile.ZIP_DEFLATED, 9)
    return target.stat().st_size


def main() -> int:
    """Builds the layer, and prints its folder and size."""
    try:
        folder = layer_folder()
    except PackagingError as error:
        print(error, file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as scratch:
        size = zip_files(_tree(folder), Path(scratch, "layer.zip"))
    contents = "sources only" if compiler() is None else "sources and bytecode"
    print(f"{os.path.relpath(folder)}: {contents}, {size / 1e6:.2f} MB zipped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
