"""The event ``afinador.dataset.updated``: what was uploaded under a known name, told to Prefect.

It is written down in the transaction of the upload and sent afterwards, until Prefect has kept it, so that neither its
absence nor its death delays an upload or loses an event.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from registry.ledger.tables import DatasetUpdate, File, JobSpec, Organization
from registry.memory import Memory
from registry.prefect_api import EVENTS_PAGE, Prefect

EVENT = "afinador.dataset.updated"
ACTED_ON_AFTER_SECONDS = 10
"""By then a trigger has made its run of an event that Prefect has stored, or the server has died."""
AT_ONCE = 500
"""So many are sent and waited for; Prefect remembers the ids of its last 1000 events, and may take older ones as new."""
Update = tuple[DatasetUpdate, str]
"""A new version, and the name of its organisation."""


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
    """Tell Prefect of the new versions that it has not kept yet, the oldest 500, and return how many it has kept now.

    Prefect answers before it has stored an event, and may die before a trigger has acted on it. So each is sent, whenever
    this is called, until Prefect finds it, and once more when it has had it for some seconds. A server that has seen it
    passes over it, by its id; one that was started since takes it as new, and two runs for one version make one job.

    Raises:
        ServiceUnavailableError: Prefect is away; they are kept.
    """
    waiting = _waiting(memory)
    if not waiting:
        return 0
    kept = 0
    with Prefect(memory.settings) as prefect:
        for start in range(0, len(waiting), EVENTS_PAGE):
            batch = waiting[start : start + EVENTS_PAGE]
            stored = prefect.events_since([row.id for row, _ in batch])
            ripe = {id for id, since in stored.items() if since < time.time() - ACTED_ON_AFTER_SECONDS}
            if events := _events(memory, [each for each in batch if each[0].id not in stored.keys() - ripe]):
                prefect.emit(events)
            if ripe:
                with memory.database.session() as session:
                    session.execute(delete(DatasetUpdate).where(DatasetUpdate.id.in_(ripe)))
                kept += len(ripe)
    return kept


def specs_naming(session: Session, organization_id: str, filename: str) -> list[JobSpec]:
    """Return the saved specs that retrain and give a file by this name, with or without its extension; oldest first."""
    query = select(JobSpec).where(JobSpec.organization_id == organization_id, JobSpec.retrain_on_update)
    names = (filename, PurePosixPath(filename).stem)
    return [
        spec
        for spec in session.scalars(query.order_by(JobSpec.created_at, JobSpec.id))
        if any(spec.request.get(field) in names for field in ("training_file", "validation_file"))
    ]


def _waiting(memory: Memory) -> list[Update]:
    query = (
        select(DatasetUpdate, Organization.name)
        .join(Organization, Organization.id == DatasetUpdate.organization_id)
        .order_by(DatasetUpdate.created_at, DatasetUpdate.filename, DatasetUpdate.version)
        .limit(AT_ONCE)
    )
    with memory.database.reading() as session:
        return [(row, organization) for row, organization in session.execute(query)]


def _events(memory: Memory, updates: list[Update]) -> list[dict[str, Any]]:
    with memory.database.reading() as session:
        return [
            _event(row, organization, len(specs_naming(session, row.organization_id, row.filename)))
            for row, organization in updates
        ]


def _event(row: DatasetUpdate, organization: str, specs: int) -> dict[str, Any]:
    return {
        "id": row.id,
        "event": EVENT,
        # The time of telling: a trigger passes over what occurred before it has fired, and its run may have been lost.
        "occurred": datetime.now(UTC).isoformat(),
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
