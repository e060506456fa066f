"""The log and the resources of a job: in its run directory while it runs, in the storage once it has ended."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from afinador.errors import NotFoundError
from registry.ledger.tables import Job
from registry.memory import Memory

LOG = "log.txt"
RESOURCES = "resources.jsonl"


def path_of(memory: Memory, job_id: str, name: str = LOG) -> Path:
    """Return where training writes one of them on its machine."""
    return memory.settings.runs_dir / job_id / name


def keep(memory: Memory, organization_id: str, job_id: str) -> None:
    """Copy both into the storage; nothing happens where none was written.

    Raises:
        InsufficientStorageError: The disk of a local storage is too full.
        StorageError: The storage refuses or does not answer.
    """
    for name in (LOG, RESOURCES):
        path = path_of(memory, job_id, name)
        if path.is_file():
            memory.storage.put_file(path, _key(organization_id, job_id, name))


def restore(memory: Memory, organization_id: str, job_id: str) -> None:
    """Bring both back to where training writes them; what was not kept stays as it is.

    Raises:
        StorageError: The storage does not answer.
    """
    for name in (LOG, RESOURCES):
        with suppress(NotFoundError):
            memory.storage.get_file(_key(organization_id, job_id, name), path_of(memory, job_id, name))


def kept(memory: Memory, organization_id: str, job_id: str, name: str = LOG) -> bytes:
    """Return one of them as it was kept; empty when none was.

    Raises:
        StorageError: The storage does not answer.
    """
    try:
        return b"".join(memory.storage.chunks(_key(organization_id, job_id, name)))
    except NotFoundError:
        return b""


def resources(memory: Memory, job: Job) -> list[dict[str, Any]]:
    """Return what a job has used, oldest first, whether it runs or has ended.

    Raises:
        StorageError: The storage does not answer.
    """
    path = path_of(memory, job.id, RESOURCES)
    content = path.read_bytes() if path.is_file() else kept(memory, job.organization_id, job.id, RESOURCES)
    rows = []
    for line in content.splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue  # half a line: it is being written, or its writer was killed
    return rows


def _key(organization_id: str, job_id: str, name: str) -> str:
    return f"{organization_id}/jobs/{job_id}/{name}"
