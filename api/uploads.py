"""Uploaded files: from the network to the disk, once the key was found good."""

from __future__ import annotations

import inspect
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, get_args
from uuid import uuid4

from fastapi import Depends, Request
from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool

from afinador.errors import InvalidRequestError
from afinador.schemas.datasets import DatasetReading, parse_reading
from afinador.schemas.files import Purpose
from afinador.storage import require_free_space
from api import upload_forms
from api.keys import CurrentOrganization
from api.openapi_description import split_docstring
from api.service import TheService
from api.upload_forms import Form, Sink

ABANDONED_SECONDS = 24 * 3600
PURPOSES = get_args(Purpose)


@dataclass(frozen=True)
class Upload:
    """A file that arrived whole, or the name of a data set of the Hugging Face Hub.

    Attributes:
        path: Where it lies until the answer is given; what was not moved away is removed then.
        filename: Without folders.
        reading: What is declared of how to read it.
        source: ``hf://…`` instead of bytes.
    """

    path: Path
    filename: str
    purpose: str
    sha256: str
    size: int
    reading: DatasetReading | None
    source: str | None


async def receive_upload(request: Request, service: TheService, _: CurrentOrganization) -> AsyncIterator[Upload]:
    """Receive the file of a multipart request; the key was checked before the first byte is read.

    Raises:
        InvalidRequestError: No multipart body, a field is missing, unknown or wrong, or the file is empty.
        RequestTooLargeError: More than 1 GB.
        InsufficientStorageError: The disk is too full.
    """
    boundary = _boundary(request.headers.get("content-type", ""))
    announced_bytes = int(request.headers.get("content-length", "0"))
    if announced_bytes > upload_forms.MAX_FILE_BYTES + upload_forms.MAX_FIELD_BYTES:
        raise upload_forms.too_large()
    folder = upload_folder(service.memory.settings.home)
    require_free_space(folder, announced_bytes, "This upload")
    sink = Sink(folder / f"{uuid4().hex}.part")
    try:
        form = Form(boundary, sink)
        async for chunk in request.stream():
            form.feed(chunk)
            if sink.is_full:
                await run_in_threadpool(sink.flush)
        purpose = _checked(form)
        reading = parse_reading({name: form.fields.get(name) for name in upload_forms.READING_FIELDS})
        sha256 = await run_in_threadpool(sink.finish)
        source = form.fields.get("source")
        yield Upload(sink.path, form.filename or "", purpose, sha256, sink.size, reading, source)
    finally:
        sink.close()
        sink.path.unlink(missing_ok=True)


ReceivedUpload = Annotated[Upload, Depends(receive_upload)]

_, _MEANINGS = split_docstring(inspect.getdoc(DatasetReading) or "")
_READING = {
    name: {"type": "string", "description": _MEANINGS[name] + (" As JSON." if name in ("mapping", "columns") else "")}
    for name in upload_forms.READING_FIELDS
}

UPLOAD_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["purpose"],
                    "properties": {
                        "file": {
                            "type": "string",
                            "format": "binary",
                            "description": "A data set: JSON Lines, JSON, CSV, TEXT, Parquet, Arrow or an archive.",
                        },
                        "purpose": {
                            "type": "string",
                            "enum": list(PURPOSES),
                            "description": "OpenAI's word for what it is for; only what is for `fine-tune` is taken as a data set.",
                        },
                        "source": {
                            "type": "string",
                            "description": "`hf://owner/name[:config][@revision]` of the Hugging Face Hub, instead of a file.",
                        },
                        **_READING,
                    },
                }
            }
        },
    }
}
"""Describes the body for the API description."""


def upload_folder(home: Path) -> Path:
    """Return the folder where uploads arrive; what a crashed process left there a day ago is removed."""
    folder = home / "uploads"
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.part"):
        try:
            if path.stat().st_mtime < time.time() - ABANDONED_SECONDS:
                path.unlink()
        except FileNotFoundError:  # another request was faster
            continue
    return folder


def _boundary(content_type: str) -> bytes:
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise InvalidRequestError(
            "Send the file as multipart/form-data with the parts 'file' and 'purpose', "
            "for example: curl -F purpose=fine-tune -F file=@data.jsonl …/v1/files"
        )
    return options[b"boundary"]


def _checked(form: Form) -> str:
    """Return the purpose once the whole body was read."""
    if not form.is_complete:
        raise InvalidRequestError("The multipart body ends too early; send the file again.")
    if form.filename is None and "source" not in form.fields:
        raise InvalidRequestError("The part 'file' is missing.", param="file")
    if form.filename is not None and "source" in form.fields:
        raise InvalidRequestError("Send either a file, or the source of one; not both.", param="source")
    purpose = form.fields.get("purpose", "")
    if purpose not in PURPOSES:
        given = f"purpose is {purpose!r}" if "purpose" in form.fields else "The field 'purpose' is missing"
        raise InvalidRequestError(f"{given}; allowed: {', '.join(PURPOSES)}.", param="purpose")
    if form.filename is not None and form.received_bytes == 0:
        raise InvalidRequestError(f"The file {form.filename!r} is empty.", param="file")
    return purpose
