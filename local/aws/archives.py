"""Zips the program's archives. The same contents always give the same bytes."""

import io
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pulumi

from local.aws.core import DeployError

# The earliest time that a zip can hold. Files' own times would change the bytes.
_EPOCH = (1980, 1, 1, 0, 0, 0)


def zip_archive(archive: Any, root: Path, extra: Mapping[str, bytes] | None = None) -> bytes:
    """Returns the zip of a FileArchive (folder or zip file) or AssetArchive. Relative paths start at `root`.

    Adds the `extra` files as executables. Without any, a zip file is returned unchanged.
    """
    if isinstance(archive, pulumi.FileArchive) and not extra:
        path = root / archive.path
        if path.is_file():
            return path.read_bytes()
    entries = dict(_entries(archive, root, ""))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for name in sorted(entries):
            _add(target, name, entries[name], 0o644)
        for name, content in sorted((extra or {}).items()):
            _add(target, name, content, 0o755)
    return buffer.getvalue()


def _add(target: zipfile.ZipFile, name: str, content: bytes, mode: int) -> None:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.external_attr = (0o100000 | mode) << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    target.writestr(info, content, compresslevel=1)  # the quickest


def _entries(archive: Any, root: Path, prefix: str) -> Iterator[tuple[str, bytes]]:
    if isinstance(archive, pulumi.AssetArchive):
        for name, item in archive.assets.items():
            yield from _item(item, root, f"{prefix}{name}")
    elif isinstance(archive, pulumi.FileArchive):
        yield from _from_path(root / archive.path, prefix)
    else:
        raise DeployError(f"{type(archive).__name__} is not supported; use FileArchive or AssetArchive")


def _item(item: Any, root: Path, name: str) -> Iterator[tuple[str, bytes]]:
    if isinstance(item, pulumi.StringAsset):
        yield name, item.text.encode()
    elif isinstance(item, pulumi.FileAsset):
        path = root / item.path
        if not path.is_file():
            raise DeployError(f"the file {item.path} of an archive does not exist")
        yield name, path.read_bytes()
    else:
        yield from _entries(item, root, f"{name}/")


def _from_path(path: Path, prefix: str) -> Iterator[tuple[str, bytes]]:
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.is_file():
                yield f"{prefix}{file.relative_to(path).as_posix()}", file.read_bytes()
    elif path.is_file():
        with zipfile.ZipFile(path) as source:
            for info in source.infolist():
                if not info.is_dir():
                    yield f"{prefix}{info.filename}", source.read(info)
    else:
        raise DeployError(f"the archive {path} does not exist")
