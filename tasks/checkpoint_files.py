"""Files of checkpoints, on their way out of the storage."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from afinador.errors import NotFoundError
from afinador.training.checkpoints import MANIFEST
from registry.memory import Memory


def fetch_files(
    memory: Memory, prefix: str, folder: Path, *, is_wanted: Callable[[str], bool] = lambda name: True
) -> None:
    """Copy files below a prefix into a folder, as far as they are there; the manifest tells whether that was all.

    Args:
        memory: Where they are.
        prefix: Of their keys.
        folder: Where they go.
        is_wanted: Whether to copy what has this name below the prefix.

    Raises:
        StorageError: The storage does not answer.
    """
    with suppress(NotFoundError):  # it is being removed
        for name in (key.removeprefix(f"{prefix}/") for key in memory.storage.list(prefix)):
            if is_wanted(name):
                memory.storage.get_file(f"{prefix}/{name}", folder / name)
    if not (folder / MANIFEST).is_file():
        memory.storage.check()  # gone, or is the whole storage away?
