"""Files: bytes in the storage, a row for each version, and the verdict of their check."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import exists, inspect, or_, select, update
from sqlalchemy.orm import Session, defer

from afinador.data.files.loaders import require_allowed_loader
from afinador.errors import InUseError, StorageError
from afinador.schemas import files as wire
from afinador.schemas.dataset_formats import HUB_SCHEME
from afinador.schemas.dataset_reports import DatasetReport
from afinador.schemas.datasets import DatasetReading
from afinador.schemas.jobs import OPEN_STATUSES
from registry.data_sets import dataset_updates, token_caches
from registry.data_sets.file_checks import check, unchecked
from registry.data_sets.file_references import find, find_data_set, find_deleted, live
from registry.data_sets.hub_datasets import find_fetched, only_config
from registry.data_sets.new_files import RESULT_PURPOSE, TRAINING_PURPOSE, checked_name, insert, stored
from registry.hugging_face.hub_sources import parse_dataset_source, source_of
from registry.ledger.database import after_commit, changes
from registry.ledger.ids import new_id
from registry.ledger.pages import page
from registry.ledger.tables import File, Job
from registry.memory import Memory

__all__ = [
    "RESULT_PURPOSE", "check", "checked_name", "create", "create_from_hub", "delete", "find", "find_data_set", "find_deleted",
    "list_page", "require_fetched", "to_wire", "unchecked",
]  # fmt: skip

_DATA_SETS = ("training_file", "dataset", "validation_file", "validation_dataset")

_logger = logging.getLogger(__name__)


def create(
    session: Session,
    memory: Memory,
    organization_id: str,
    source: Path,
    filename: str,
    purpose: str,
    sha256: str,
    size: int,
    reading: DatasetReading | None = None,
    lineage: dict[str, Any] | None = None,
) -> File:
    """Move a local file into the storage and write its row; a known name makes a new version, of which as a data set Prefect hears.

    The bytes are copied before the transaction's first statement here, so hand in a fresh one: a large file holds
    nobody up. Files of the purpose ``fine-tune-results`` are ours and need no check.

    Args:
        session: A fresh transaction.
        memory: Where the bytes go.
        organization_id: Whose file it is.
        source: Local file; it is gone afterwards.
        filename: Name as uploaded; folders in it are dropped.
        purpose: OpenAI's word for what it is for.
        sha256: Hex hash of the bytes.
        size: Number of bytes.
        reading: What is declared of how to read it.
        lineage: What it was made of, see ``registry.ledger.tables.File``.

    Raises:
        InvalidRequestError: The name is empty or longer than 255 characters, or the loader is of no allowed module.
        InsufficientStorageError: The disk of a local storage is too full.
        StorageError: The storage refuses or does not answer.
    """
    require_allowed_loader(reading, memory.operator.get("loaders", []))
    file = stored(memory, organization_id, source, filename, purpose, sha256, size, lineage=lineage)
    file.reading = reading.to_json() if reading else None
    try:
        insert(session, file)
    except BaseException:
        memory.storage.delete(file.storage_key)
        raise
    source.unlink(missing_ok=True)
    return file


def create_from_hub(
    session: Session,
    memory: Memory,
    organization_id: str,
    source: str,
    reading: DatasetReading | None = None,
    purpose: str = TRAINING_PURPOSE,
) -> File:
    """Write the row of a data set of the Hugging Face Hub; its bytes are fetched by its check.

    Raises:
        InvalidRequestError: It is no ``hf://owner/name[:config][@revision]``, or the loader is of no allowed module.
    """
    require_allowed_loader(reading, memory.operator.get("loaders", []))
    wanted = parse_dataset_source(source)
    file = File(organization_id=organization_id, filename=wanted.filename, purpose=purpose, source=str(wanted))
    file.id = new_id("file-")
    file.storage_key = f"{organization_id}/files/{file.id}/{file.filename}"
    file.sha256, file.bytes = "", 0
    # The archive has the whole README.md, which declares other configs too.
    file.reading = {**(reading.to_json() if reading else {}), **only_config(wanted)} or None
    insert(session, file)
    return file


def require_fetched(session: Session, memory: Memory, organization_id: str, request: Mapping[str, Any]) -> list[str]:
    """Write rows for the data sets of a job that are to come from the Hugging Face Hub, and return their ids.

    They are fetched by their check. What the organisation has of the same name is taken as it is.

    Args:
        session: The transaction to write in.
        memory: With the operator's configuration.
        organization_id: Whose files they become.
        request: The body of a job's request.

    Raises:
        InvalidRequestError: One is no ``hf://owner/name[:config][@revision]``.
    """
    named = {field: request.get(field) for field in _DATA_SETS}
    sources = {name: field for field, name in named.items() if isinstance(name, str) and name.startswith(HUB_SCHEME)}
    return [
        create_from_hub(session, memory, organization_id, source).id
        for source, field in sources.items()
        if find_fetched(session, organization_id, source, param=field) is None
    ]


def list_page(
    session: Session,
    organization_id: str,
    *,
    after: str | None = None,
    limit: int = 10_000,
    purpose: str | None = None,
    order: Literal["asc", "desc"] = "desc",
) -> tuple[list[File], bool]:
    """Return a page of an organisation's files, without their reports, and whether there are more.

    ``after`` may be deleted by now: who deletes what a page shows goes on behind its last file.

    Raises:
        InvalidRequestError: ``after`` never was one of them, or ``limit`` is not from 1 to 10000.
    """
    query = live(organization_id).options(defer(File.report))  # ten times as large as all the rest of a row
    if purpose is not None:
        query = query.where(File.purpose == purpose)
    return page(
        session,
        query,
        [File.created_at, File.id],
        key=File.id,
        after=after,
        limit=limit,
        places=select(File).where(File.organization_id == organization_id),
        descending=order == "desc",
        largest_limit=10_000,
    )


def delete(session: Session, memory: Memory, organization_id: str, reference: str) -> File:
    """Delete a file; its bytes go once the transaction is committed.

    Raises:
        NotFoundError: The organisation has no such file.
        InUseError: Jobs that have not ended use it; names them.
    """
    file = find(session, organization_id, reference)
    # Whoever creates a job holds this row too, so that no job can begin to use it meanwhile.
    session.execute(select(File.id).where(File.id == file.id).with_for_update(key_share=True))
    is_used = or_(Job.training_file_id == file.id, Job.validation_file_id == file.id)
    in_use = (Job.organization_id == organization_id, is_used, Job.status.in_(OPEN_STATUSES))
    statement = (
        update(File)
        .where(File.id == file.id, File.deleted_at.is_(None), ~exists(select(Job.id).where(*in_use)))
        .values(deleted_at=time.time())
    )
    if not changes(session, statement):
        jobs = ", ".join(session.scalars(select(Job.name).where(*in_use).order_by(Job.created_at).limit(5)))
        raise InUseError(
            f"{file.filename} ({file.id}) is used by jobs that have not ended: {jobs}. Cancel them or wait for them."
        )
    dataset_updates.forget(session, file)
    after_commit(session, lambda: _delete_bytes(memory, file.storage_key))
    after_commit(session, lambda: token_caches.forget(memory.settings, organization_id, file.sha256))
    return file


def to_wire(row: File) -> wire.File:
    """Return a file as it is answered."""
    return wire.File(
        id=row.id,
        bytes=row.bytes,
        created_at=int(row.created_at),
        filename=row.filename,
        purpose=row.purpose,
        status=row.status,
        status_details=row.status_details,
        **_doubts(row),
        path=row.storage_key,
        type=row.type,
        version=row.version,
        sha256=row.sha256,
        organization_id=row.organization_id,
        records=row.records,
        reading=DatasetReading.model_validate(row.reading) if row.reading else None,
        source=source_of(row.source, row.revision),
        lineage=row.lineage,
    )


def _doubts(row: File) -> dict[str, Any]:
    """Return what the verdict doubts, where it was loaded; those of a list are not."""
    if "report" in inspect(row).unloaded or row.report is None:
        return {}
    report = DatasetReport(file=row.filename, valid=row.status == "processed", **row.report)
    return {
        "warnings": report.found()["warning"],
        "not_read": report.not_read(is_of_hub=row.source is not None) or None,
    }


def _delete_bytes(memory: Memory, key: str) -> None:
    try:
        memory.storage.delete(key)
    except StorageError as error:
        _logger.warning("The file is deleted, but its bytes remain: %s", error.message)
