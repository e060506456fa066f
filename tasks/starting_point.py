"""The checkpoint that a run starts from, brought from the storage to where training reads it."""

from __future__ import annotations

import shutil
from pathlib import Path

from afinador.config.spec import CheckpointReference, StartingPoint
from afinador.errors import NotFoundError
from afinador.storage import require_free_space, sha256_of
from afinador.training.checkpoints import MANIFEST, CheckpointDamagedError, checkpoint_name, verify
from registry.memory import Memory
from tasks.checkpoint_files import fetch_files

FOLDER = "start"
"""Below the run directory."""


def local_start(memory: Memory, folder: Path, start: StartingPoint) -> StartingPoint:
    """Return a starting point whose paths are local, fetched once, each file with the hash in its manifest.

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
    target = place / checkpoint_name(reference.step)
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
    require_free_space(folder, reference.bytes, f"Fetching the checkpoint {reference.name}")
    fetch_files(memory, reference.path, folder)
    if not (folder / MANIFEST).is_file():
        raise NotFoundError(
            f"The files of the checkpoint {reference.name} are gone from the storage. Create the job again, from another "
            "checkpoint.",
            param="from_checkpoint",
            code="checkpoint_not_found",
        )


def _require_same(folder: Path, reference: CheckpointReference) -> None:
    try:
        verify(folder)
    except CheckpointDamagedError as error:
        raise _damaged(reference, error.message) from error
    if sha256_of(folder / MANIFEST) != reference.manifest_sha256:
        raise _damaged(reference, "its manifest is not the one that it had when the job was created.")


def _damaged(reference: CheckpointReference, said: str) -> CheckpointDamagedError:
    return CheckpointDamagedError(
        f"The checkpoint {reference.name} is damaged in the storage: {said} Create the job again, from another checkpoint.",
        param="from_checkpoint",
    )
