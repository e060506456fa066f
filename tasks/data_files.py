"""Data sets of a run, brought from the storage to where training reads them."""

from __future__ import annotations

import shutil
from pathlib import Path

from afinador.config.spec import DataFile
from afinador.errors import DataError
from afinador.storage import require_free_space, sha256_of
from registry.memory import Memory


def local_copy(memory: Memory, folder: Path, data_file: DataFile, field: str) -> Path:
    """Return a local path of a file, fetched once, with the hash that it was uploaded with.

    Args:
        memory: Where its bytes are.
        folder: Of the run; where the storage is no local folder, they are fetched into ``data`` below it.
        data_file: The file, its path a key of the storage.
        field: Of the request, for errors.

    Raises:
        DataError: The bytes are gone, or not what was uploaded.
        StorageError: The storage does not answer.
        InsufficientStorageError: The disk is too full.
    """
    storage = memory.storage
    local = storage.local_path(data_file.path)
    if local is None:
        local = folder / "data" / Path(data_file.path).name
        if not local.exists():
            require_free_space(folder, data_file.bytes, f"Fetching {data_file.name}")
            storage.get_file(data_file.path, local)
    if not local.exists():
        storage.check()  # gone, or is the whole storage away?
        raise DataError(
            f"The bytes of {data_file.name} ({data_file.file_id}) are gone from the storage. Upload the file again.",
            param=field,
        )
    if sha256_of(local) != data_file.sha256:
        if folder in local.parents:
            shutil.rmtree(local.parent)
        raise DataError(
            f"{data_file.name} ({data_file.file_id}) is not what was uploaded: its hash has changed. Upload it again.",
            param=field,
        )
    return local
