"""Published models, adapters and checkpoints as local folders, every file checked against its SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from afinador.client import calls
from afinador.client.asynchronous import waiting
from afinador.client.asynchronous.connection import AsyncConnection
from afinador.client.received import lies_there, safe_path
from afinador.errors import StorageError
from afinador.figures import counted

FileProgress = Callable[[str, int, int], None]
"""Told now and then: file, bytes done, bytes in all (of all files)."""


async def download_hub(
    connection: AsyncConnection,
    kind: calls.Kind,
    name: str,
    folder: Path,
    on_progress: FileProgress | None = None,
) -> list[Path]:
    """Fetch all files of a published model or adapter.

    Each file is written beside its place, checked and renamed, so that a file under its own name is always whole.
    Files that lie there already with the right hash are kept.

    Args:
        connection: Where to ask.
        kind: ``model`` or ``adapter``; either finds a name.
        name: Hub name (its newest version) or the ``ft:…`` alias of one version.
        folder: Made if it is not there.
        on_progress: Told while bytes arrive.

    Returns:
        The files, in the service's order.

    Raises:
        NotFoundError: There is no such name.
        StorageError: A file arrived with another hash, or cannot be written.
    """
    entry = await connection.json(calls.get_hub(kind, name), "files")
    version = None if name.startswith("ft:") else entry["version"]  # one version throughout, whatever is published now
    return await _download(
        connection, entry["files"], lambda path: calls.hub_file(kind, name, path, version), folder, on_progress
    )


async def download_checkpoint(
    connection: AsyncConnection, job: str, checkpoint: str, folder: Path, on_progress: FileProgress | None = None
) -> list[Path]:
    """Fetch all files of a checkpoint, named by its id or step, as ``download_hub`` does.

    Raises:
        NotFoundError: There is no such job or checkpoint.
        StorageError: A file arrived with another hash, or cannot be written.
    """
    listed = await connection.json(calls.list_checkpoint_files(job, checkpoint), "data")
    return await _download(
        connection, listed["data"], lambda path: calls.checkpoint_file(job, checkpoint, path), folder, on_progress
    )


async def _download(
    connection: AsyncConnection,
    files: list[dict[str, Any]],
    call_for: Callable[[str], calls.Call],
    folder: Path,
    on_progress: FileProgress | None,
) -> list[Path]:
    total_bytes = sum(file["bytes"] for file in files)
    done_bytes = 0
    targets = []
    for file in files:
        target = folder / safe_path(file["path"])

        def report(bytes_of_file: int, before: int = done_bytes, path: str = file["path"]) -> None:
            if on_progress:
                on_progress(path, before + bytes_of_file, total_bytes)

        if not await waiting.work(lies_there, target, file):
            await fetch(connection, call_for(file["path"]), target, file["sha256"], report)
        done_bytes += file["bytes"]
        report(file["bytes"])
        targets.append(target)
    return targets


async def content(connection: AsyncConnection, call: calls.Call) -> bytes:
    """Return the bytes of one file, whole.

    Raises:
        StorageError: The answer broke off.
    """
    parts = []
    async for chunk in connection.chunks(call):
        parts.append(chunk)
    return b"".join(parts)


async def fetch(
    connection: AsyncConnection, call: calls.Call, target: Path, sha256: str, report: Callable[[int], None]
) -> None:
    """Fetch one file, which appears whole under its name or not at all.

    Raises:
        StorageError: It arrived with another hash, or cannot be written.
    """
    temporary = target.with_name(f"{target.name}.part")
    digest = hashlib.sha256()
    received_bytes = 0
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as stream:
            async for chunk in connection.chunks(call):
                stream.write(chunk)
                digest.update(chunk)
                received_bytes += len(chunk)
                report(received_bytes)
        if digest.hexdigest() != sha256:
            raise StorageError(
                f"{target.name} arrived with another SHA-256 than the service states ({counted(received_bytes, 'byte')}); "
                "nothing was kept of it. Try again."
            )
        temporary.replace(target)
    except OSError as error:
        raise StorageError(f"Cannot write {target}: {error.strerror}.") from error
    finally:
        temporary.unlink(missing_ok=True)
