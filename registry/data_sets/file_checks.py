"""The check of an uploaded file: once, in the background, its verdict kept and shared by equal bytes."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from afinador.data.files.formats import extension_of
from afinador.data.validation import validate_dataset
from afinador.errors import AfinadorError, NotFoundError, StorageError
from afinador.schemas.datasets import DatasetReading
from registry.data_sets import hub_datasets
from registry.job_life import waiting_jobs
from registry.ledger.database import changes
from registry.ledger.tables import File
from registry.memory import Memory

logger = logging.getLogger(__name__)


def check(memory: Memory, file_id: str) -> None:
    """Check a file that was uploaded or is to be fetched, keep the verdict, and settle the jobs that wait for it.

    Equal bytes under the same extension that the organisation had checked before are not read again. Nothing happens
    when the file is checked or deleted already.

    Raises:
        StorageError: The storage does not answer; the file stays ``uploaded``.
    """
    with memory.database.session() as session:
        file = session.get(File, file_id)
        if file is None or file.status != "uploaded" or file.deleted_at is not None:
            return
    if file.source is not None and not file.revision:
        file = _fetched(memory, file)
        if file is None:
            return
    with memory.database.session() as session:
        verdict = _known_verdict(session, file)
        if verdict is not None:
            _settle(session, file_id, verdict)
            return
    verdict = _fresh_verdict(memory, file)
    with memory.database.session() as session:
        _settle(session, file_id, verdict)


def _fetched(memory: Memory, file: File) -> File | None:
    """Bring the bytes of a data set of the Hub into the storage; None where the file was settled, or is gone."""
    try:
        return hub_datasets.fetch(memory, file)
    except StorageError:
        raise
    except AfinadorError as error:
        said = f"{file.source} cannot be fetched: {error.message} Then name it again."
        with memory.database.session() as session:
            _settle(session, file.id, {"status": "error", "status_details": said})
        return None


def unchecked(session: Session) -> list[str]:
    """Return the ids of all files, of all organisations, that are still to be checked; for a restart."""
    query = select(File.id).where(File.status == "uploaded", File.deleted_at.is_(None))
    return list(session.scalars(query.order_by(File.created_at)))


def _known_verdict(session: Session, file: File) -> dict[str, Any] | None:
    same_bytes = select(File).where(
        File.organization_id == file.organization_id,
        File.sha256 == file.sha256,
        File.status != "uploaded",
        File.report.is_not(None),
    )
    for other in session.scalars(same_bytes):
        # The format is found from the extension too, and what is declared decides before all.
        if extension_of(other.filename) == extension_of(file.filename) and other.reading == file.reading:
            return {
                field: getattr(other, field) for field in ("status", "status_details", "report", "format", "records")
            }
    return None


def _fresh_verdict(memory: Memory, file: File) -> dict[str, Any]:
    reading = DatasetReading.model_validate(file.reading) if file.reading else None
    try:
        with local_copy(memory, file) as path:
            report = validate_dataset(path, file.filename, reading)
    except NotFoundError:
        return {"status": "error", "status_details": f"The bytes of {file.filename!r} are gone; upload it again."}
    except AfinadorError:
        raise
    except Exception as error:  # a fault of ours; what bytes people send is not known, and jobs wait for the verdict
        logger.exception("The check of %s failed.", file.id)
        said = f"The service could not check {file.filename!r} ({type(error).__name__}). Save it anew, or tell the operator."
        return {"status": "error", "status_details": said}
    return {
        "status": "error" if report.errors else "processed",
        "status_details": report.summary() if report.errors else None,
        "report": report.to_json(),
        "format": report.format,
        "records": report.records,
    }


@contextmanager
def local_copy(memory: Memory, file: File) -> Iterator[Path]:
    """Give a file on this disk, fetched for the while where the storage is elsewhere.

    Raises:
        NotFoundError: Its bytes are gone.
        StorageError: The storage does not answer.
    """
    local = memory.storage.local_path(file.storage_key)
    if local is not None:
        if not local.is_file():
            raise NotFoundError(f"The storage has no {file.storage_key!r}.")
        yield local
        return
    with tempfile.TemporaryDirectory(prefix="afinador-check-") as folder:
        copy = Path(folder) / PurePosixPath(file.storage_key).name
        memory.storage.get_file(file.storage_key, copy)
        yield copy


def _settle(session: Session, file_id: str, verdict: dict[str, Any]) -> None:
    if changes(session, update(File).where(File.id == file_id, File.status == "uploaded").values(**verdict)):
        waiting_jobs.settle(session, file_id)
