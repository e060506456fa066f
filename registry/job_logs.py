"""The log of a job: in its run directory while it runs, in the storage once it has ended."""

from __future__ import annotations

from pathlib import Path

from afinador.errors import NotFoundError
from registry.memory import Memory


def path_of(memory: Memory, job_id: str) -> Path:
    """Return where training writes the log on its machine."""
    return memory.settings.runs_dir / job_id / "log.txt"


def keep(memory: Memory, organization_id: str, job_id: str) -> None:
    """Copy the log into the storage; nothing happens where none was written.

    Raises:
        InsufficientStorageError: The disk of a local storage is too full.
        StorageError: The storage refuses or does not answer.
    """
    path = path_of(memory, job_id)
    if path.is_file():
        memory.storage.put_file(path, _key(organization_id, job_id))


def kept(memory: Memory, organization_id: str, job_id: str) -> bytes:
    """Return the log as it was kept; empty when none was.

    Raises:
        StorageError: The storage does not answer.
    """
    try:
        return b"".join(memory.storage.chunks(_key(organization_id, job_id)))
    except NotFoundError:
        return b""


def _key(organization_id: str, job_id: str) -> str:
    return f"{organization_id}/jobs/{job_id}/log.txt"
