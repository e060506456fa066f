"""Files of checkpoints, on their way out of the storage."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from afinador.errors import NotFoundError
from afinador.training.checkpoints import MANIFEST
from registry.memory import Memory


def fetch_files(memory: Memory, prefix: str, folder: Path) -> None:
    """Copy all files below a prefix into a folder, as far as they are there; the manifest tells whether that was all.

    Raises:
        StorageError: The storage does not answer.
    """
    with suppress(NotFoundError):  # it is being removed
        for key in memory.storage.list(prefix):
            memory.storage.get_file(key, folder / key.removeprefix(f"{prefix}/"))
    if not (folder / MANIFEST).is_file():
        memory.storage.check()  # gone, or is the whole storage away?
