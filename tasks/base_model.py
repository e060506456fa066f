"""The base model of a run, where training reads it: a whole model that another job has published lies in the storage."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress

from afinador.config.spec import BaseModelReference
from afinador.errors import ModelError
from afinador.models.headers import inspect_model_folder, is_model_file
from afinador.storage import require_free_space
from registry.memory import Memory
from registry.models.base_model_folders import local_folder

_MOST_BYTES = 4
"""Of a parameter, in float32."""


def local_base(memory: Memory, base: BaseModelReference) -> BaseModelReference:
    """Return a base model whose path is local; where the storage is no local folder, it is fetched once.

    Raises:
        ModelError: Its files are gone, or not what was published.
        StorageError: The storage does not answer.
        InsufficientStorageError: The disk is too full.
    """
    folder = local_folder(memory, base)
    prefix = base.storage_prefix
    if prefix is not None and not (folder / "config.json").is_file():
        keys = [key for key in memory.storage.list(prefix) if is_model_file(key.removeprefix(f"{prefix}/"))]
        if not keys or memory.storage.is_local:
            memory.storage.check()  # gone, or is the whole storage away?
            raise ModelError(
                f"The files of {base.name} are gone from the storage. Create the job again, from another model."
            )
        temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
        require_free_space(temporary, base.parameters * _MOST_BYTES, f"Fetching {base.name}")
        for key in keys:
            memory.storage.get_file(key, temporary / key.removeprefix(f"{prefix}/"))
        if inspect_model_folder(temporary).sha256 != base.sha256:
            shutil.rmtree(temporary)
            raise ModelError(f"{base.name} is not what was published: its hash has changed. Start from another model.")
        with suppress(OSError):  # another job has fetched it meanwhile
            temporary.rename(folder)
        shutil.rmtree(temporary, ignore_errors=True)
    return base.model_copy(update={"path": str(folder)})
