"""Files that arrive: where they may lie, and whether they are there already."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath
from typing import Any

from afinador.errors import StorageError


def sha256_of(path: Path) -> str:
    """Return the hash of a file's bytes, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def safe_path(path: str) -> PurePosixPath:
    """Keep a service from writing outside of the folder.

    Raises:
        StorageError: The path leads out of it.
    """
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts or not parts.parts:
        raise StorageError(f"The service offers a file {path!r}, which would lie outside of the folder; refused.")
    return parts


def lies_there(target: Path, file: dict[str, Any]) -> bool:
    """Tell whether a local file has the size and the hash that the service states."""
    return target.is_file() and target.stat().st_size == file["bytes"] and sha256_of(target) == file["sha256"]
