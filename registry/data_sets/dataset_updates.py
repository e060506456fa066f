"""The event ``afinador.dataset.updated``: what was uploaded under a known name, told to Prefect.

It is written down in the transaction of the upload and sent afterwards, so that Prefect's absence neither delays an
upload nor loses an event.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from registry.ledger.tables import DatasetUpdate, File, JobSpec, Organization
from registry.memory import Memory
from registry.prefect_api import Prefect

EVENT = "afinador.dataset.updated"
_BATCH = 100


def note(session: Session, file: File) -> None:
    """Write down that a file is a new version of a known name."""
    session.add(
        DatasetUpdate(
            organization_id=file.organization_id, file_id=file.id, filename=file.filename, version=file.version
        )
    )


def forget(session: Session, file: File) -> None:
    """Tell nobody of a version that was deleted before Prefect has heard of it."""
    mine = DatasetUpdate.organization_id == file.organization_id
    session.execute(delete(DatasetUpdate).where(mine, DatasetUpdate.file_id == file.id))


def send(memory: Memory) -> int:
    """Tell Prefect of all new versions that it has not heard of, oldest first, and return how many that were.

    A process that dies in between sends some of them twice, under the same ids.

    Raises:
        ServiceUnavailableError: Prefect is away; they are kept.
    """
    sent = 0
    while batch := _unsent(memory):
        with Prefect(memory.settings) as prefect:
            prefect.emit(list(batch.values()))
        with memory.database.session() as session:
            session.execute(delete(DatasetUpdate).where(DatasetUpdate.id.in_(batch)))
        sent += len(batch)
    return sent


def specs_naming(session: Session, organization_id: str, filename: str) -> list[JobSpec]:
    """Return the saved specs that retrain and give a file by this name, with or without its extension; oldest first."""
    query = select(JobSpec).where(JobSpec.organization_id == organization_id, JobSpec.retrain_on_update)
    names = (filename, PurePosixPath(filename).stem)
    return [
        spec
        for spec in session.scalars(query.order_by(JobSpec.created_at, JobSpec.id))
        if any(spec.request.get(field) in names for field in ("training_file", "validation_file"))
    ]


def _unsent(memory: Memory) -> dict[str, dict[str, Any]]:
    """Return the next events, as Prefect wants them, by the ids of their rows."""
    query = (
        select(DatasetUpdate, Organization.name)
        .join(Organization, Organization.id == DatasetUpdate.organization_id)
        .order_by(DatasetUpdate.created_at, DatasetUpdate.filename, DatasetUpdate.version)
        .limit(_BATCH)
    )
    with memory.database.reading() as session:
        return {
            row.id: _event(row, organization, len(specs_naming(session, row.organization_id, row.filename)))
            for row, organization in session.execute(query)
        }


def _event(row: DatasetUpdate, organization: str, specs: int) -> dict[str, Any]:
    return {
        "id": row.id,
        "event": EVENT,
        "occurred": datetime.fromtimestamp(row.created_at, UTC).isoformat(),
        "resource": {
            "prefect.resource.id": f"afinador.dataset.{organization}.{row.filename}",
            "prefect.resource.name": row.filename,
            # A trigger matches labels only: without a spec to retrain, no run is to be made.
            "afinador.retrains": "yes" if specs else "no",
        },
        "related": [],
        "payload": {
            "organization": organization,
            "name": row.filename,
            "version": row.version,
            "file_id": row.file_id,
        },
    }
