"""Files that people upload and that jobs make."""

from __future__ import annotations

from typing import Any, Literal

from afinador.schemas.base import CreatedAt, Id, OrganizationId, Sha256, Wire
from afinador.schemas.datasets import DatasetReading

Purpose = Literal["fine-tune", "assistants", "batch", "vision", "user_data", "evals"]
"""OpenAI's words for what an uploaded file is for."""
FilePurpose = Literal[Purpose, "fine-tune-results"]
"""The last is that of the files that jobs make."""
FileStatus = Literal["uploaded", "processed", "error"]
FileType = Literal["dataset", "model", "log"]


class File(Wire):
    """A file; OpenAI's attributes and the specification's ``path`` and ``type``.

    Attributes:
        bytes: Its size; 0 until a data set of the Hugging Face Hub was fetched.
        filename: May be given wherever its id may, then meaning the newest version; also without its extension.
        purpose: OpenAI's word for what it is for; ``fine-tune-results`` of what a job has made.
        expires_at: OpenAI's; files do not expire, so it is left out.
        type: ``log`` of the curves that a job has made, else ``dataset``.
        records: How many it holds, once it was checked.
        version: 1 for the first file of this name in the organisation, then counted up.
        status: ``uploaded`` until it was checked, then ``processed`` or ``error``.
        status_details: Why the check refused it; left out of the answer otherwise.
        warnings: How many its check has found; ``POST /datasets/validate`` tells them. Left out of lists.
        not_read: Which files of a folder or an archive the check has not read, in sentences. Left out of lists.
        path: Key in the object storage.
        reading: What was declared of how it is to be read; left out of the answer where nothing was.
        source: ``hf://owner/name[:config]@commit`` of a data set of the Hugging Face Hub; its bytes are fetched in the
            background, before the check.
        lineage: Of a file that a preparation has made: the preparation, and ``file_id``, ``filename`` and ``sha256`` of its source.
    """

    id: Id
    object: Literal["file"] = "file"
    bytes: int
    created_at: CreatedAt
    filename: str
    purpose: str
    status: FileStatus
    status_details: str | None = None
    warnings: int | None = None
    not_read: list[str] | None = None
    expires_at: int | None = None
    path: str
    type: FileType = "dataset"
    version: int = 1
    sha256: Sha256
    organization_id: OrganizationId
    records: int | None = None
    reading: DatasetReading | None = None
    source: str | None = None
    lineage: dict[str, Any] | None = None
