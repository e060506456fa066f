"""Jobs: one name for all that is done with them.

How a job comes to be is in ``job_creation``, what its flow may do in ``job_attempts``, how it is answered in
``job_views``, and what a verdict on its files does in ``waiting_jobs``. Every change of state is one conditional
update::

    validating_files ──► queued ──► running ──► succeeded | failed | cancelled
           │               │  ◄────────┘ (its attempt died)      │
           └► failed, cancelled ◄┘       ▲───────────────────────┘ (a failed one, by Retry)
"""

from __future__ import annotations

import time
from typing import Any, Literal

from sqlalchemy import Select, Update, and_, case, or_, select, update
from sqlalchemy.orm import Session

from afinador.errors import IllegalTransitionError, InvalidRequestError, NotFoundError, nearest
from afinador.schemas.jobs import ENDED_STATUSES, OPEN_STATUSES
from registry import events
from registry.database import changes
from registry.job_attempts import (
    Look,
    claim,
    finish,
    heartbeat,
    is_done,
    look,
    mark_done,
    requeue,
    set_fields,
    set_progress,
)
from registry.job_creation import create
from registry.job_views import to_wire
from registry.pages import page
from registry.tables import Job

__all__ = [
    "Look",
    "claim",
    "create",
    "finish",
    "get",
    "heartbeat",
    "is_done",
    "list_page",
    "look",
    "mark_done",
    "open_jobs",
    "request_cancel",
    "requeue",
    "set_fields",
    "set_progress",
    "to_wire",
    "waiting_for_submission",
]

STATUS_ALIASES = {"pending": "queued", "completed": "succeeded"}
"""Other words for a status that a filter may use."""
_WAITING_STATUSES = ("validating_files", "queued", "paused")


def get(session: Session, organization_id: str, id_or_name: str) -> Job:
    """Return a job.

    Raises:
        NotFoundError: The organisation has no such job; names the nearest.
    """
    query = _of(organization_id).where(or_(Job.id == id_or_name, Job.name == id_or_name))
    found = {row.id: row for row in session.scalars(query)}
    if not found:
        newest = _of(organization_id).with_only_columns(Job.name).order_by(Job.created_at.desc()).limit(1000)
        raise NotFoundError(
            f"There is no job {id_or_name!r} in this organization.{nearest(id_or_name, session.scalars(newest))}",
            param="job",
            code="job_not_found",
        )
    return found.get(id_or_name) or next(iter(found.values()))


def list_page(
    session: Session,
    organization_id: str,
    *,
    after: str | None = None,
    limit: int = 20,
    status: str | None = None,
    metadata: dict[str, str] | Literal["null"] | None = None,
) -> tuple[list[Job], bool]:
    """Return a page of an organisation's jobs, newest first, and whether there are older ones.

    Args:
        session: The transaction to read in.
        organization_id: Whose jobs.
        after: Id of the last job of the page before.
        limit: Jobs of a page, 1 to 100.
        status: Only those in this status; ``pending`` and ``completed`` are understood.
        metadata: Only those that carry all these pairs; ``"null"``: only those that carry none.

    Raises:
        InvalidRequestError: ``after``, ``limit``, ``status`` or a key of ``metadata`` is none that there can be.
    """
    query = _of(organization_id)
    if status is not None:
        query = query.where(Job.status == _checked_status(status))
    if metadata == "null":
        query = query.where(Job.metadata_.is_(None))
    elif metadata:
        for key, value in metadata.items():
            query = query.where(Job.metadata_[_checked_key(key)].as_string() == value)
    return page(session, query, [Job.created_at, Job.id], key=Job.id, after=after, limit=limit)


def request_cancel(session: Session, organization_id: str, id_or_name: str) -> Job:
    """Cancel a job: at once when it does not run, else as soon as its flow sees the request.

    Doing it twice changes nothing.

    Raises:
        NotFoundError: The organisation has no such job.
        IllegalTransitionError: It has succeeded or failed.
    """
    job = get(session, organization_id, id_or_name)
    is_news = changes(session, _cancellation(job.id))
    session.refresh(job)
    if is_news and job.status == "cancelled":
        events.append(session, job.id, "The job was cancelled")
    elif is_news:
        events.append(session, job.id, "Cancel requested; the job stops after its current step")
    if job.status in ("succeeded", "failed"):
        raise IllegalTransitionError(
            f"The job {job.name!r} has {job.status}; only jobs that have not ended can be cancelled "
            f"({', '.join(OPEN_STATUSES)}).",
            param="job",
        )
    return job


def open_jobs(session: Session) -> list[Job]:
    """Return the jobs of all organisations that have not ended, oldest first; for housekeeping."""
    query = select(Job).where(Job.status.not_in(ENDED_STATUSES)).order_by(Job.created_at, Job.id)
    return list(session.scalars(query))


def waiting_for_submission(session: Session) -> list[Job]:
    """Return the queued jobs of all organisations that have no flow run yet, oldest first; for housekeeping."""
    query = select(Job).where(Job.status == "queued", Job.flow_run_id.is_(None)).order_by(Job.created_at, Job.id)
    return list(session.scalars(query))


def _of(organization_id: str) -> Select[Any]:
    return select(Job).where(Job.organization_id == organization_id)


def _cancellation(job_id: str) -> Update:
    """Build the one statement that ends a job that waits, or asks one that runs to stop and was not asked before."""
    waits = Job.status.in_(_WAITING_STATUSES)
    runs_unasked = and_(Job.status.in_(("running", "pausing")), Job.request_state.is_distinct_from("cancel"))
    return (
        update(Job)
        .where(Job.id == job_id, or_(waits, runs_unasked))
        .values(
            status=case((waits, "cancelled"), else_=Job.status),
            finished_at=case((waits, time.time()), else_=Job.finished_at),
            request_state=case((waits, None), else_="cancel"),
        )
    )


def _checked_status(status: str) -> str:
    known = (*OPEN_STATUSES, *ENDED_STATUSES)
    meant = STATUS_ALIASES.get(status, status)
    if meant not in known:
        raise InvalidRequestError(
            f"status is {status!r}; allowed are: {', '.join((*known, *STATUS_ALIASES))}.", param="status"
        )
    return meant


def _checked_key(key: str) -> str:
    if '"' in key:
        raise InvalidRequestError(f"metadata[{key}] cannot be asked for: the key holds a quote.", param="metadata")
    return key
