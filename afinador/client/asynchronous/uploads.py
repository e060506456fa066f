"""Local data sets of a job: what can be refused is refused before a byte is sent, and no bytes are sent twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from afinador.client import calls
from afinador.client.asynchronous import following, paging, waiting
from afinador.client.asynchronous.connection import AsyncConnection
from afinador.client.call import Call
from afinador.client.received import sha256_of
from afinador.errors import AfinadorError, InvalidRequestError, NotFoundError
from afinador.schemas.dataset_formats import HUB_SCHEME
from afinador.schemas.datasets import DatasetReading

PURPOSE = "fine-tune"
FETCH_TIMEOUT_SECONDS = 3600.0
NOT_YET_UPLOADED = "/not-yet-uploaded"
"""Stands for a data set that is still to come; no file has this name, for names of files hold no slash."""


async def check_job(connection: AsyncConnection, body: Mapping[str, Any], local_fields: Iterable[str]) -> None:
    """Let the service refuse a job before its data sets are uploaded; nothing is created.

    Only the service knows its base models and its operator's ranges. It looks for the files last, so that an answer
    that misses nothing but those which are still to come means that all else is well.

    Args:
        connection: Where to ask.
        body: The request.
        local_fields: Those of its fields that name local files.

    Raises:
        AfinadorError: Whatever the service refuses.
    """
    await _check(connection, calls.create_job, body, local_fields)


async def check_job_spec(
    connection: AsyncConnection,
    name: str,
    request: Mapping[str, Any],
    retrain_on_update: bool,
    local_fields: Iterable[str],
) -> None:
    """Let the service refuse a job spec before its data sets are uploaded, as ``check_job`` does with a job."""

    def create(body: Mapping[str, Any]) -> Call:
        return calls.create_job_spec(name, body, retrain_on_update)

    await _check(connection, create, request, local_fields)


async def _check(
    connection: AsyncConnection,
    create: Callable[[Mapping[str, Any]], Call],
    body: Mapping[str, Any],
    local_fields: Iterable[str],
) -> None:
    try:
        await connection.json(create({**body, **dict.fromkeys(local_fields, NOT_YET_UPLOADED)}))
    except NotFoundError as error:
        if NOT_YET_UPLOADED not in error.message:
            raise
    # The service stops at the first data set that it misses, and the validation data come second.
    for field in {"validation_dataset", "validation_file"} & body.keys() - set(local_fields):
        if body[field] is not None:
            await _require_file(connection, str(body[field]))


async def _require_file(connection: AsyncConnection, reference: str) -> None:
    try:
        await connection.json(calls.get_file(reference))
    except NotFoundError as error:
        error.param = "validation_file"
        raise


def require_use(reading: DatasetReading | None, *datasets: object) -> None:
    """Do nothing if a reading is of any data set that it can be declared for: a local one, or one of the Hugging Face Hub.

    Raises:
        InvalidRequestError: It is not; of uploaded files it was declared at their upload.
    """
    of_hub = [isinstance(each, str) and each.startswith(HUB_SCHEME) for each in datasets]
    if reading is not None and not any(of_hub) and not any(isinstance(each, Path) for each in datasets):
        raise InvalidRequestError(
            "reading says how local data, or those of the Hugging Face Hub, are read; of an uploaded file it was declared at "
            "its upload. Leave it out, or upload the file again with it: client.files.create(path, reading=…).",
            param="reading",
        )


async def find_same(connection: AsyncConnection, path: Path) -> dict[str, Any] | None:
    """Return the newest data set of the service with the name and the bytes of a local file, or None."""
    try:
        newest = await connection.json(calls.get_file(path.name), "version")
        sha256 = await waiting.work(sha256_of, path)
    except (NotFoundError, OSError):  # what cannot be read is said by the upload
        return None
    if newest["version"] == 1:
        return newest if _is_same(newest, path.name, sha256) else None
    async for file in paging.iterate(connection, calls.list_files(PURPOSE)):
        if _is_same(file, path.name, sha256):
            return file
    return None


async def fetch(connection: AsyncConnection, source: str, reading: DatasetReading | None = None) -> str:
    """Have the service fetch a data set of the Hugging Face Hub, and return the id of its file once it was checked.

    The file is kept, also where it cannot be trained on; one that could not be fetched is deleted again.

    Args:
        connection: Where to ask.
        source: ``hf://owner/name[:config][@revision]``.
        reading: How it is to be read.

    Raises:
        InvalidRequestError: It cannot be fetched.
    """
    named = await connection.name_source(source, PURPOSE, reading)
    call = calls.get_file(named["id"])
    file = await following.await_settled(connection, call, "uploaded", timeout_seconds=FETCH_TIMEOUT_SECONDS)
    if file["status"] == "error" and not file["bytes"]:
        await withdraw(connection, [file["id"]])
        raise InvalidRequestError(file["status_details"], param="file")
    return str(file["id"])


async def withdraw(connection: AsyncConnection, file_ids: Iterable[str]) -> None:
    """Delete files that were uploaded for a job which was refused then; what cannot be deleted stays."""
    for file_id in file_ids:
        with suppress(AfinadorError):
            await connection.json(calls.delete_file(file_id))


def _is_same(file: dict[str, Any], name: str, sha256: str) -> bool:
    return (file["filename"], file["sha256"], file["purpose"]) == (name, sha256, PURPOSE)
