"""What is uploaded to Lambda: each function's own code, and the one layer with the third-party packages.

Both are the same bytes on every machine, so that a preview shows a difference only where the code differs.
Function archives hold own code only and are listed file by file; the layer is built from the hash-locked
wheels of functions/requirements.txt, once, into `.build/` (ignored by git), and again when that file changes.
The wheels stay beside it, so that building it anew needs no network.

`python -m components.packaging` builds the layer ahead, so that later runs of the program need no network.
"""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

PROJECT_ROOT: Final = Path(__file__).resolve().parents[1]

RUNTIME: Final = "python3.13"
ARCHITECTURE: Final = "arm64"

# Lambda's python3.13 runs on Amazon Linux 2023 (glibc 2.34): every manylinux up to 2_34 fits, oldest first.
_WHEEL_PLATFORMS: Final = ("manylinux2014_aarch64", "manylinux_2_17_aarch64", "manylinux_2_28_aarch64")

# Raise it when the code below puts other files into the layer: one that was built before is then built anew.
_LAYER_FORMAT: Final = 1

# Seconds. A layer that nobody used for so long is removed when another one is built; a run that started
# before the pins changed has read its own by then.
_LAYER_LIFETIME: Final = 3600

# Files from elsewhere in the repository that a function carries in its own folder.
_CARRIED: Final[Mapping[str, Mapping[str, str]]] = {"service_api": {"openapi.json": "docs/openapi.json"}}

_CODE_SUFFIXES: Final = frozenset({".py"})
_DATA_SUFFIXES: Final = frozenset({".json", ".html"})


class PackagingError(Exception):
    """Something cannot be packaged; the message is one sentence that says what to do."""


# --- The functions' own code ---


def function_files(name: str, root: Path = PROJECT_ROOT) -> Mapping[str, Path]:
    """The files of one function's archive: name in the archive -> file, sorted by name.

    These are the function's folder and `functions/shared/`, code and data, under the same paths as in the
    repository, so that imports read the same in a test and in Lambda. Raises PackagingError when the function
    has no handler, or where a file is neither code nor data that a function may read, or is missing.
    """
    functions = root / "functions"
    if not (functions / name / "handler.py").is_file():
        raise PackagingError(f"There is no function {name}: functions/{name}/handler.py does not exist.")
    files = [functions / "__init__.py", *_own_files(functions / name), *_own_files(functions / "shared")]
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
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parts
        if path.is_dir() or "__pycache__" in inside or any(part.startswith(".") for part in inside):
            continue
        if path.suffix not in _CODE_SUFFIXES | _DATA_SUFFIXES:
            raise PackagingError(
                f"{path.relative_to(folder.parents[1])} would go to Lambda, but is neither code nor data: "
                f"move it, or allow {path.suffix or 'files without a suffix'} in components/packaging.py."
            )
        yield path


def _hash_of_files(files: Mapping[str, Path]) -> str:
    """SHA-256 over names and contents; time, mode and place of the files do not count."""
    total = hashlib.sha256()
    for name in sorted(files):
        total.update(f"{name}\0{hashlib.sha256(files[name].read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


# --- The dependency layer ---


def layer_folder(root: Path = PROJECT_ROOT) -> Path:
    """The folder whose contents are the layer (`python/...`), built first if it is missing, stale or damaged.

    Builds at the same time, and one that is cut off, leave either a whole layer or none. Raises
    PackagingError when the wheels cannot be had.
    """
    requirements = root / "functions" / "requirements.txt"
    target = root / ".build" / f"layer-{_layer_key(requirements)}"
    with contextlib.suppress(OSError):
        os.utime(target)  # in use: no neighbor removes it now
    if not _is_whole(target):
        _build_layer(requirements, target)
        _remove_stale(target)
    return target / "content"


def _layer_key(requirements: Path) -> str:
    """Changes with all that decides what is in the layer: pins, platform, and how it is put together."""
    try:
        pins = requirements.read_bytes()
    except OSError as error:
        raise PackagingError(f"{requirements} cannot be read: {error.strerror}.") from error
    parts = [
        pins,
        RUNTIME.encode(),
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
    with tempfile.TemporaryDirectory(prefix="layer-unfinished-", dir=target.parent) as scratch:
        new = Path(scratch, "layer")
        _get_wheels(requirements, new / "wheels", target.parent)
        for wheel in sorted((new / "wheels").glob("*.whl")):
            _unpack(wheel, new / "content" / "python")
        contents = {"sha256": _hash_of_files(_tree(new / "content"))}
        (new / "contents.json").write_text(json.dumps(contents), encoding="utf-8")
        _put_in_place(new, target)


def _put_in_place(new: Path, target: Path) -> None:
    """Rename `new` to `target` in one step; a damaged one there goes first, a neighbor's whole one stays."""
    if target.exists() and not _is_whole(target):
        target.rename(new.with_name("damaged"))
    try:
        new.rename(target)
    except OSError:
        if not _is_whole(target):
            raise


def _remove_stale(target: Path) -> None:
    """Remove the layers beside `target` that nobody used for long, and what builds that were killed left."""
    for other in target.parent.glob("layer-*"):
        with contextlib.suppress(FileNotFoundError):  # a neighbor was faster
            if other != target and time.time() - other.stat().st_mtime > _LAYER_LIFETIME:
                shutil.rmtree(other, ignore_errors=True)


def _refuse_markers(requirements: Path) -> None:
    if ";" in "".join(
        line for line in requirements.read_text("utf-8").splitlines() if not line.startswith("#")
    ):
        # pip would evaluate it for this machine, not for Lambda, and two machines could build two layers.
        raise PackagingError(f"{requirements.name} of the layer must be free of environment markers (';').")


def _get_wheels(requirements: Path, folder: Path, build: Path) -> None:
    """Put the wheels for Lambda into `folder`: those of earlier builds if they are all there, else new ones.

    Each one is checked against its hash, wherever it comes from.
    """
    # By the name of a finished one: a neighbor's download may be under way.
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
    """Run pip, under this very interpreter, and answer its errors."""
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
    """Unzip what Lambda imports. No installation: pip's scripts and records differ between machines."""
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            if member.is_dir() or not _belongs_into_layer(PurePosixPath(member.filename)):
                continue
            path = folder / member.filename
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(archive.read(member))


def _belongs_into_layer(path: PurePosixPath) -> bool:
    """Leave out what no import reads. Licenses and METADATA stay: owed the ones, asked for the other."""
    top = path.parts[0]
    if top.endswith(".data"):  # command line scripts
        return False
    if top.endswith(".dist-info"):  # RECORD would list files that are not there
        return path.name == "METADATA" or "licen" in str(path).lower()
    return path.suffix != ".pyi" and path.name != "py.typed" and "__pycache__" not in path.parts


def zip_files(files: Mapping[str, Path], target: Path) -> int:
    """Write `files` as a zip like the one that Lambda gets, and answer its size in bytes."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name), files[name].read_bytes(), zipfile.ZIP_DEFLATED, 9)
    return target.stat().st_size


def main() -> int:
    """Build the layer, say where it is and how large."""
    try:
        folder = layer_folder()
    except PackagingError as error:
        print(error, file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as scratch:
        size = zip_files(_tree(folder), Path(scratch, "layer.zip"))
    print(f"{os.path.relpath(folder)}: {size / 1e6:.2f} MB zipped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
