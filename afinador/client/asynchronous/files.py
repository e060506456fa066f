"""Files: up, down, and whether they can be trained on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from afinador.client import calls, results
from afinador.client.answers import read_as
from afinador.client.asynchronous import downloads, following
from afinador.client.asynchronous.nouns import AsyncListing, AsyncNoun
from afinador.client.sending import Progress
from afinador.errors import InvalidRequestError
from afinador.schemas.base import Deleted
from afinador.schemas.dataset_formats import HUB_SCHEME
from afinador.schemas.datasets import DatasetReading, parse_reading
from afinador.schemas.files import FilePurpose, Purpose


class AsyncFiles(AsyncNoun):
    """Data sets, and what jobs write. Wherever a file is named, its id, its name and the file itself are the same."""

    async def create(
        self,
        file: Path | str | bytes,
        purpose: Purpose = "fine-tune",
        on_progress: Progress | None = None,
        *,
        filename: str | None = None,
        reading: DatasetReading | Mapping[str, Any] | None = None,
    ) -> results.File:
        """Upload a file; a name that is in use gets a new version. It is checked in the background, see ``wait``.

        Args:
            file: Path of a local file or folder, the bytes themselves, or ``hf://owner/name[:config][@revision]``, which the service
                fetches.
            purpose: OpenAI's word for what it is for.
            on_progress: Told bytes done and bytes in all.
            filename: Name of bytes, with the extension of their format; a local file has its own.
            reading: How it is to be read, where name and content do not say it: ``{"mapping": {"label": "category"}}``.

        Raises:
            InvalidRequestError: The file cannot be read, bytes have no name, or ``reading`` is not understood.
        """
        declared = reading if isinstance(reading, DatasetReading | None) else parse_reading(reading)
        if isinstance(file, bytes):
            if filename is None:
                raise InvalidRequestError(
                    "Bytes need a filename, whose extension says their format: filename='train.jsonl'.",
                    param="filename",
                )
            made = await self._connection.upload_bytes(file, filename, purpose, on_progress, declared)
        elif isinstance(file, str) and file.startswith(HUB_SCHEME):
            made = await self._connection.name_source(file, purpose, declared)
        else:
            made = await self._connection.upload(Path(file), purpose, on_progress, declared)
        return read_as(results.File, made, self._connection.access.root_url)

    def list(self, purpose: FilePurpose | None = None, order: calls.Order = "desc") -> AsyncListing[results.File]:
        """List the files, newest first, or oldest first with ``order="asc"``; with ``purpose`` only those for it."""
        return AsyncListing(self._connection, calls.list_files(purpose, order), results.File)

    async def get(self, file: results.File | str) -> results.File:
        """Get a file by id or name."""
        return await self._ask(calls.get_file(file), results.File)

    async def wait(self, file: results.File | str, timeout_seconds: float = 3600) -> results.File:
        """Wait until a file was checked: ``processed`` or ``error``, with the reason in ``status_details``."""
        checked = await following.await_settled(
            self._connection, calls.get_file(file), "uploaded", timeout_seconds=timeout_seconds
        )
        return read_as(results.File, checked, self._connection.access.root_url)

    async def content(self, file: results.File | str) -> bytes:
        """Read a file's bytes, whole."""
        return await downloads.content(self._connection, calls.file_content(file))

    async def download(self, file: results.File | str, path: Path | str, on_progress: Progress | None = None) -> Path:
        """Fetch a file's bytes, checked against its SHA-256.

        Args:
            file: Id, name, or the file itself.
            path: Where to; a folder that is there gets the file under its own name.
            on_progress: Told bytes done and bytes in all.

        Raises:
            StorageError: It arrived with another hash, or cannot be written.
        """
        stated = await self.get(file)
        target = Path(path)
        if target.is_dir():
            target /= Path(stated.filename).name

        def report(done_bytes: int) -> None:
            if on_progress:
                on_progress(done_bytes, stated.bytes)

        await downloads.fetch(self._connection, calls.file_content(stated.id), target, stated.sha256, report)
        return target

    async def delete(self, file: results.File | str) -> Deleted:
        """Delete a file; ``InUseError`` while an open job needs it."""
        return await self._ask(calls.delete_file(file), Deleted)
