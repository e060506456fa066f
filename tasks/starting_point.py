"""The checkpoint or adapter that a run starts from, brought from the storage to where training reads it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from afinador.config.spec import CheckpointReference, StartingPoint
from afinador.errors import NotFoundError
from afinador.models.headers import hash_of_files
from afinador.storage import require_free_space, sha256_of
from afinador.training.checkpoints import MANIFEST, CheckpointDamagedError, checkpoint_name, seal, verify
from registry.memory import Memory
from registry.publishing.hub_publishing import listed_files
from tasks.checkpoint_files import all_files, fetch_files

_PARAMS = {"checkpoint": "from_checkpoint", "adapter": "model"}
FOLDER = "start"
"""Below the run directory."""


def local_start(memory: Memory, folder: Path, start: StartingPoint) -> StartingPoint:
    """Return a starting point whose paths are local, fetched once, each file with the hash that it was kept with.

    Args:
        memory: Where the bytes are.
        folder: Of the run.
        start: Its paths are prefixes in the storage.

    Raises:
        NotFoundError: The bytes are gone.
        CheckpointDamagedError: They are not what was saved.
        StorageError: The storage does not answer.
        InsufficientStorageError: The disk is too full.
    """
    local = start.model_copy(deep=True)
    for reference in filter(None, (local, local.best)):
        reference.path = str(_fetched(memory, folder / FOLDER, reference))
    return local


def _fetched(memory: Memory, place: Path, reference: CheckpointReference) -> Path:
    target = place / ("adapter" if reference.kind == "adapter" else checkpoint_name(reference.step))
    if target.is_dir():
        try:
            _require_same(target, reference)
            return target
        except CheckpointDamagedError:  # it was cut, by a full disk or by hand: fetched again
            shutil.rmtree(target)
    temporary = place / f".{target.name}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    _fetch(memory, temporary, reference)
    _require_same(temporary, reference)
    temporary.rename(target)
    return target


def _fetch(memory: Memory, folder: Path, reference: CheckpointReference) -> None:
    require_free_space(folder, reference.bytes, f"Fetching the {reference.kind} {reference.name}")
    is_published = reference.kind == "adapter"
    fetch_files(memory, reference.path, folder, listed=listed_files if is_published else all_files)
    if is_published and folder.is_dir():
        seal(folder)  # the hashes of its files are held against those of its publication, see _require_same
    if not (folder / MANIFEST).is_file():
        raise NotFoundError(
            f"The files of the {reference.kind} {reference.name} are gone from the storage. Create the job again, from "
            f"another {reference.kind}.",
            param=_PARAMS[reference.kind],
            code=f"{reference.kind}_not_found",
        )


def _require_same(folder: Path, reference: CheckpointReference) -> None:
    try:
        verify(folder)
    except CheckpointDamagedError as error:
        raise _damaged(reference, error.message) from error
    manifest = folder / MANIFEST
    if reference.kind == "adapter":
        if hash_of_files(json.loads(manifest.read_text(encoding="utf-8"))["files"]) != reference.manifest_sha256:
            raise _damaged(reference, "its files are not those that it had when the job was created.")
    elif sha256_of(manifest) != reference.manifest_sha256:
        raise _damaged(reference, "its manifest is not the one that it had when the job was created.")


def _damaged(reference: CheckpointReference, said: str) -> CheckpointDamagedError:
    return CheckpointDamagedError(
        f"The {reference.kind} {reference.name} is damaged in the storage: {said} Create the job again, from another "
        f"{reference.kind}.",
        param=_PARAMS[reference.kind],
    )
