"""Base models whose files are sent: announced with their hashes, taken piece by piece, and checked when all are there."""

from __future__ import annotations

import errno
import re
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from sqlalchemy import select, update

from afinador.errors import (
    InsufficientStorageError,
    InvalidRequestError,
    NotFoundError,
    RequestTooLargeError,
    nearest,
)
from afinador.figures import counted
from afinador.models.headers import is_model_file
from afinador.schemas.models import BaseModelRequest, UploadedFile
from afinador.settings import Settings
from afinador.storage import require_free_space
from registry.ledger.database import changes
from registry.ledger.tables import BaseModel
from registry.memory import Memory
from registry.models.base_model_folders import own_folder, part_of, remove_own_folder

SOURCE = "upload"
MAX_BYTES = 64_000_000_000
"""Of all files of a model: 15B parameters in 32 bits, the largest that is trained, take 60 GB."""
MAX_FILES = 500
ABANDONED_AFTER_SECONDS = 24 * 60 * 60
"""An upload of which nothing has come for so long is ended."""
_NAME = re.compile(r"(additional_chat_templates/)?[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")


def announced(settings: Settings, request: BaseModelRequest, files: list[UploadedFile]) -> dict[str, dict[str, Any]]:
    """Check what is going to be sent, and return it as the ledger keeps it.

    Raises:
        InvalidRequestError: No files, too many, one twice, or a name that is none of a model's files.
        RequestTooLargeError: More than 64 GB.
        InsufficientStorageError: They do not fit on the disk.
    """
    if not 0 < len(files) <= MAX_FILES:
        raise InvalidRequestError(f"files names {len(files)} files; a model has 1 to {MAX_FILES}.", param="files")
    for file in files:
        if not _NAME.fullmatch(file.path) or not is_model_file(file.path):
            raise InvalidRequestError(
                f"files names {file.path!r}, which is no file of a base model: send *.safetensors, configuration, "
                "tokenizer, model card and licence, without folders.",
                param="files",
            )
    by_path = {file.path: {"bytes": file.bytes, "sha256": file.sha256} for file in files}
    if len(by_path) < len(files):
        raise InvalidRequestError("files names a file twice.", param="files")
    total_bytes = sum(file.bytes for file in files)
    if total_bytes > MAX_BYTES:
        raise RequestTooLargeError(
            f"The files have {total_bytes / 1e9:.1f} GB; at most {MAX_BYTES / 1e9:.0f} GB are taken.", param="files"
        )
    require_free_space(settings.home, total_bytes, f"The base model {request.name}")
    return by_path


def end_abandoned(memory: Memory) -> int:
    """End the uploads of all organisations of which nothing has come for a day, and remove what had; for housekeeping.

    Returns:
        How many there were.
    """
    before = time.time() - ABANDONED_AFTER_SECONDS
    query = select(BaseModel).where(BaseModel.status == "uploading", BaseModel.created_at < before)
    with memory.database.reading() as session:
        begun = list(session.scalars(query))
    ended = [row for row in begun if _last_came_at(own_folder(memory.settings, row)) < before and _end(memory, row)]
    for row in ended:
        remove_own_folder(memory.settings, row)
    return len(ended)


def _last_came_at(folder: Path) -> float:
    return max((path.stat().st_mtime for path in (folder, *folder.rglob("*")) if path.exists()), default=0.0)


def _end(memory: Memory, row: BaseModel) -> bool:
    mine = update(BaseModel).where(BaseModel.id == row.id, BaseModel.status == "uploading")
    message = (
        f"Nothing of it has come for {ABANDONED_AFTER_SECONDS // 3600} hours, so the upload was ended and what had come "
        "was removed. Delete this entry and register it again."
    )
    with memory.database.session() as session:
        return changes(session, mine.values(status="error", status_details=message))


class Part:
    """Takes bytes of one file, from an offset on; what lay behind the offset is sent anew.

    Args:
        memory: Ledger and home.
        organization_id: Whose upload it is.
        model: Its id.
        path: Of the file.
        offset: Where the bytes begin.

    Raises:
        NotFoundError: The organisation has no such upload under way, or it has no such file.
        InvalidRequestError: The bytes before the offset are not there yet.
    """

    def __init__(self, memory: Memory, organization_id: str, model: str, path: str, offset: int) -> None:
        self._memory = memory
        self.row = _upload(memory, organization_id, model)
        files = self.row.files or {}
        if path not in files:
            raise NotFoundError(
                f"No file {path!r} was announced for {self.row.name!r}.{nearest(path, files)}",
                param="path",
                code="file_not_found",
            )
        self._path, self._size, self._offset = path, int(files[path]["bytes"]), offset
        folder = own_folder(memory.settings, self.row)
        self._target, self._part = folder / path, part_of(folder, path)
        self._part.parent.mkdir(parents=True, exist_ok=True)
        if self._target.is_file():
            self._target.rename(self._part)
        there = self._part.stat().st_size if self._part.is_file() else 0
        if not 0 <= offset <= there:
            raise InvalidRequestError(
                f"offset is {offset}, but of {path} there is {counted(there, 'byte')}; go on from {there}.",
                param="offset",
            )
        self._stream = self._part.open("r+b" if there else "wb")
        self._stream.truncate(offset)
        self._stream.seek(offset)

    def __enter__(self) -> Part:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def write(self, data: bytes) -> None:
        """Take the next bytes; blocks.

        Raises:
            RequestTooLargeError: More than were announced.
            InsufficientStorageError: The disk is too full.
        """
        if self._stream.tell() + len(data) > self._size:
            raise RequestTooLargeError(
                f"{self._path} was announced with {counted(self._size, 'byte')}; more came. Delete {self.row.name!r} and begin anew.",
                param="path",
            )
        require_free_space(self._part.parent, len(data), f"{self._path} of {self.row.name}")
        try:
            self._stream.write(data)
            self._stream.flush()
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise InsufficientStorageError(
                    f"The service's disk is full, so that {self._path} of {self.row.name!r} does not fit; free some space."
                ) from error
            raise

    def finish(self) -> bool:
        """Put a file in its place that is whole; return whether it was the last of its model.

        Whoever is told True has to see to ``registry.models.base_models.complete``.
        """
        self._stream.close()
        if self._part.stat().st_size == self._size:
            self._part.rename(self._target)
        if not _are_all_there(self._target, self._path, self.row.files or {}):
            return False
        mine = update(BaseModel).where(BaseModel.id == self.row.id, BaseModel.status == "uploading")
        with self._memory.database.session() as session:
            return changes(session, mine.values(status="registering"))


def _upload(memory: Memory, organization_id: str, model: str) -> BaseModel:
    with memory.database.reading() as session:
        mine = (BaseModel.organization_id == organization_id, BaseModel.id == model)
        row = session.scalars(select(BaseModel).where(*mine)).first()
    if row is None:
        raise NotFoundError(
            f"There is no base model with the id {model!r}; POST /v1/models with 'files' begins an upload.",
            param="model",
            code="model_not_found",
        )
    if row.status != "uploading":
        raise InvalidRequestError(f"The files of {row.name!r} are not being sent: it is {row.status!r}.", param="model")
    return row


def _are_all_there(target: Path, path: str, files: dict[str, Any]) -> bool:
    folder = target.parents[path.count("/")]
    return all(
        (folder / name).is_file() and (folder / name).stat().st_size == file["bytes"] for name, file in files.items()
    )
