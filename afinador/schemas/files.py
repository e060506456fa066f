"""Files that people upload and that jobs make."""

from __future__ import annotations

from typing import Any, Literal

from afinador.schemas.base import Wire
from afinador.schemas.datasets import DatasetReading

FileStatus = Literal["uploaded", "processed", "error"]
FileType = Literal["dataset", "model", "log"]


class File(Wire):
    """A file; OpenAI's attributes and the specification's ``path`` and ``type``.

    Attributes:
        version: 1 for the first file of this name in the organisation, then counted up.
        status: ``uploaded`` until it was checked, then ``processed`` or ``error``.
        status_details: Why the check refused it; left out of the answer otherwise.
        path: Key in the object storage.
        reading: What was declared of how it is to be read; left out of the answer where nothing was.
        source: ``hf://owner/name[:config]@commit`` of a data set of the Hugging Face Hub; its bytes are fetched in the
            background, before the check.
        lineage: Of a file that a preparation has made: the preparation, and ``file_id``, ``filename`` and ``sha256`` of its source.
    """

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    filename: str
    purpose: str
    status: FileStatus
    status_details: str | None = None
    expires_at: int | None = None
    path: str
    type: FileType = "dataset"
    version: int = 1
    sha256: str
    organization_id: str
    records: int | None = None
    reading: DatasetReading | None = None
    source: str | None = None
    lineage: dict[str, Any] | None = None
