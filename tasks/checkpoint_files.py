"""Files of checkpoints, on their way out of the storage."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from afinador.errors import NotFoundError
from afinador.training.checkpoints import MANIFEST
from registry.memory import Memory


def all_files(stored: Iterable[str]) -> dict[str, str]:
    """Keep every file, under its own name."""
    return {name: name for name in stored}


def fetch_files(
    memory: Memory, prefix: str, folder: Path, *, listed: Callable[[Iterable[str]], dict[str, str]] = all_files
) -> None:
    """Copy files below a prefix into a folder, as far as they are there; the manifest tells whether that was all.

    Args:
        memory: Where they are.
        prefix: Of their keys.
        folder: Where they go.
        listed: Makes of the stored names which are copied: ``{name in the folder: stored name}``.

    Raises:
        StorageError: The storage does not answer.
    """
    with suppress(NotFoundError):  # it is being removed
        stored = [key.removeprefix(f"{prefix}/") for key in memory.storage.list(prefix)]
        for name, stored_as in listed(stored).items():
            memory.storage.get_file(f"{prefix}/{stored_as}", folder / name)
    if not (folder / MANIFEST).is_file():
        memory.storage.check()  # gone, or is the whole storage away?
