"""The report of a job: all that is known of it as one page, made anew each time, and kept when the job has ended."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from afinador.report.page import page
from afinador.report.record import AttemptRecord, JobRecord
from registry import certificates
from registry.data_sets import files
from registry.job_life import checkpoints, events, job_logs, job_views, turns
from registry.ledger.tables import Attempt, Certificate, Checkpoint, Event, File, HubVersion, Job, Organization
from registry.memory import Memory
from registry.publishing import hub

REPORT = "report.html"
MOST_EVENTS = 1000


def page_of(session: Session, memory: Memory, job: Job) -> str:
    """Return the page of a job as it is now.

    Raises:
        StorageError: The storage, which has the resources of a job that has ended, does not answer.
    """
    return page(_record(session, memory, job))


def keep(memory: Memory, job_id: str) -> Path | None:
    """Write the page of a job into its run directory and the storage.

    Returns:
        The page in the run directory; None where the job has none, for it never ran.

    Raises:
        InsufficientStorageError: The disk of a local storage is too full.
        StorageError: The storage refuses or does not answer.
    """
    with memory.database.reading() as session:
        job = session.get_one(Job, job_id)
        written = page_of(session, memory, job)
    path = job_logs.path_of(memory, job_id, REPORT)
    if not path.parent.is_dir():
        return None
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as stream:
        stream.write(written)
    Path(stream.name).replace(path)
    memory.storage.put_file(path, f"{job.organization_id}/jobs/{job_id}/{REPORT}")
    return path


def _record(session: Session, memory: Memory, job: Job) -> JobRecord:
    told, older = _messages(session, job)
    versions = session.scalars(_of(HubVersion, job).order_by(HubVersion.checkpoint_step)).all()
    final = [row for row in versions if row.checkpoint_step is None]
    return JobRecord(
        job=job_views.to_wire(job, turns.positions(session, [job]).get(job.id)),
        written_at=time.time(),
        organization=session.get_one(Organization, job.organization_id).name,
        events=[events.to_wire(row) for row in told],
        older_events=older,
        metrics=events.metrics(session, job.organization_id, job.id),
        resources=job_logs.resources(memory, job),
        attempts=[
            AttemptRecord(row.number, row.started_at, row.ended_at, row.end, row.host)
            for row in session.scalars(_of(Attempt, job).order_by(Attempt.number))
        ],
        checkpoints=[
            checkpoints.to_wire(row) for row in session.scalars(_of(Checkpoint, job).order_by(Checkpoint.step_number))
        ],
        certificates=[
            certificates.to_wire(row) for row in session.scalars(_of(Certificate, job).order_by(Certificate.created_at))
        ],
        files={
            field: files.to_wire(session.get_one(File, file_id))
            for field, file_id in (("training_file", job.training_file_id), ("validation_file", job.validation_file_id))
            if file_id is not None
        },
        published=hub.to_wire(final) if final else None,
        published_checkpoints=[hub.to_wire([row]) for row in versions if row.checkpoint_step is not None],
    )


def _messages(session: Session, job: Job) -> tuple[list[Event], int]:
    """Return the newest messages, oldest first, and how many there are before them."""
    messages = _of(Event, job).where(Event.type != "metrics")
    newest = list(session.scalars(messages.order_by(Event.sequence.desc()).limit(MOST_EVENTS)))
    if len(newest) < MOST_EVENTS:  # counting takes SQLite a look at all events of the organisation
        return newest[::-1], 0
    whole = session.scalar(messages.with_only_columns(func.count(Event.id))) or 0
    return newest[::-1], whole - len(newest)


def _of(table: Any, job: Job) -> Any:
    return select(table).where(table.organization_id == job.organization_id, table.job_id == job.id)
