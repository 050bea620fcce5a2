"""Measures the sizes of the layer and of each function's archive."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from bench.report import Limit, table, write
from bench.samples import PROJECT_ROOT, function_packages
from components.packaging import archive_files, function_files, layer_folder, zip_files

LAYER_MB: Final = Limit(must=2.0, aim=1.5)
FUNCTION_KB: Final = Limit(must=100.0)


def package() -> bool:
    """Zips the archives as for Lambda. Returns whether every limit holds."""
    names = [name.removeprefix("functions.") for name in function_packages()]
    folder = layer_folder()
    layer_files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch, "archive.zip")
        layer = zip_files(layer_files, target) / 1e6
        functions = {name: zip_files(function_files(name), target) / 1e3 for name in names}
        archives = {name: zip_files(archive_files(name), target) / 1e3 for name in names}
    parts: dict[str, int] = {}
    for name, path in layer_files.items():
        part = name.split("/")[1]
        parts[part] = parts.get(part, 0) + path.stat().st_size
    table(
        "Package: what Lambda loads, zipped",
        ["what", "code and data", "with bytecode"],
        [
            ["layer (arm64), MB", "", LAYER_MB.colored(layer)],
            *(
                [f"{name}, KB", FUNCTION_KB.colored(size), f"{archives[name]:.1f}"]
                for name, size in functions.items()
            ),
        ],
    )
    write(
        "package",
        {
            "layerMb": layer,
            "functionKb": functions,
            "archiveKb": archives,
            "layerUnpackedBytes": parts,
            "layer": str(folder.relative_to(PROJECT_ROOT)),
        },
    )
    return layer <= LAYER_MB.must and all(size <= FUNCTION_KB.must for size in functions.values())
