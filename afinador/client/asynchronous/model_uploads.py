"""Base models of this machine: used in place where the service may read the folder, else sent file by file.

What is no model, or too large a one, is refused before a byte is sent. An upload that broke off goes on when the same
folder is registered under the same name again.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from afinador.client import calls
from afinador.client.asynchronous import waiting
from afinador.client.asynchronous.connection import AsyncConnection
from afinador.client.sending import Progress
from afinador.config.architectures import check_parameter_count
from afinador.errors import InvalidRequestError, PermissionDeniedError
from afinador.models.headers import PICKLE_SUFFIXES, describe_model_folder, model_files
from afinador.schemas.models import Visibility
from afinador.storage import sha256_of

PART_BYTES = 16 << 20
OUTSIDE_ROOTS = "outside_model_roots"


async def create(
    connection: AsyncConnection, name: str, source: str | Path, visibility: Visibility, on_progress: Progress | None
) -> dict[str, Any]:
    """Register a base model: a ``Path`` as ``register`` does, anything else as the service understands it."""
    if isinstance(source, Path):
        return await register(connection, name, source, visibility, on_progress)
    return await connection.json(calls.create_model(name, source, visibility))


async def register(
    connection: AsyncConnection,
    name: str,
    folder: Path,
    visibility: Visibility = "private",
    on_progress: Progress | None = None,
) -> dict[str, Any]:
    """Register a folder of this machine as a base model.

    Args:
        connection: Where to.
        name: Of the base model.
        folder: As ``save_pretrained`` of transformers writes it.
        visibility: ``private`` or ``public``.
        on_progress: Told bytes sent and bytes in all, when files are sent.

    Returns:
        The model as the service answers it; its files are checked in the background.

    Raises:
        ModelError: The folder holds no model that can be used, or one that is too large.
        AfinadorError: Whatever the service refuses.
    """
    if connection.access.is_on_this_machine:
        try:
            return await connection.json(calls.create_model(name, str(folder.absolute()), visibility))
        except PermissionDeniedError as error:
            if error.code != OUTSIDE_ROOTS:
                raise
    return await _send(connection, name, folder, visibility, on_progress)


def left_out(folder: Path) -> dict[str, str]:
    """Return the names in a model folder that are never sent, each with the reason."""
    kept = {file.relative_to(folder).parts[0] for file in model_files(folder)}
    return {
        entry.name: _reason(entry)
        for entry in sorted(folder.iterdir())
        if entry.name not in kept and not entry.name.startswith(".")
    }


def _reason(entry: Path) -> str:
    if entry.is_dir():
        return "folders are not read"
    if entry.suffix in PICKLE_SUFFIXES:
        return "this form of weights can run code when it is read"
    if entry.suffix == ".py":
        return "a model's own code is never run"
    return "not read"


async def _send(
    connection: AsyncConnection, name: str, folder: Path, visibility: Visibility, on_progress: Progress | None
) -> dict[str, Any]:
    check_parameter_count(name, describe_model_folder(folder).parameters)
    files = {file.relative_to(folder).as_posix(): file for file in model_files(folder)}
    announced = await waiting.work(_announced, files)
    model = await connection.json(calls.create_model_of_files(name, announced, visibility), "model_id")
    as_operator = visibility == "public"
    done_bytes, total_bytes = model["bytes_done"] or 0, model["bytes"] or 0
    for there in model["files"]:
        path = there["path"]
        if 0 < there["bytes"] == there["bytes_done"]:
            continue
        for offset, piece in _pieces(files[path], there["bytes_done"]):
            model = await _put(connection, model, path, offset, piece, as_operator=as_operator)
            done_bytes += len(piece)
            if on_progress:
                on_progress(done_bytes, total_bytes)
    return model


def _announced(files: dict[str, Path]) -> list[dict[str, Any]]:
    return [{"path": path, "bytes": file.stat().st_size, "sha256": sha256_of(file)} for path, file in files.items()]


def _pieces(file: Path, offset: int) -> Iterator[tuple[int, bytes]]:
    """Yield a file from an offset on, piece by piece; of an empty one a piece of nothing."""
    try:
        with file.open("rb") as stream:
            stream.seek(offset)
            piece = stream.read(PART_BYTES)
            while True:
                yield offset, piece
                offset += len(piece)
                if not (piece := stream.read(PART_BYTES)):
                    return
    except OSError as error:
        raise InvalidRequestError(f"Cannot read {file}: {error.strerror}.", param="source") from error


async def _put(
    connection: AsyncConnection, model: dict[str, Any], path: str, offset: int, piece: bytes, *, as_operator: bool
) -> dict[str, Any]:
    call = calls.send_model_file(model["model_id"], path, offset, piece, as_operator=as_operator)
    try:
        return await connection.json(call)
    except InvalidRequestError:
        now = await connection.json(calls.get_model(model["model_id"]))
        if now["status"] == "uploading":
            raise
        return now  # it took the last piece, and its answer was lost
