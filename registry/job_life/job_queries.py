"""Jobs found again: one by name, an organisation's page by page, and those that housekeeping looks at."""

from __future__ import annotations

from typing import Any, Literal

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session, load_only

from afinador.errors import InvalidRequestError, NotFoundError, nearest
from afinador.schemas.jobs import ENDED_STATUSES, OPEN_STATUSES, JobStatus
from registry.ledger.pages import page
from registry.ledger.tables import Job

STATUS_ALIASES: dict[str, JobStatus] = {"pending": "queued", "completed": "succeeded"}


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
    everything, order = _of(organization_id), [Job.created_at, Job.id]
    return page(session, query, order, key=Job.id, after=after, limit=limit, places=everything)


def open_jobs(session: Session) -> list[Job]:
    """Return the jobs of all organisations that have not ended, oldest first; for housekeeping."""
    query = select(Job).where(Job.status.not_in(ENDED_STATUSES)).order_by(Job.created_at, Job.id)
    return list(session.scalars(query))


def waiting_for_submission(session: Session) -> list[Job]:
    """Return the queued jobs of all organisations that wait for their turn or a run, oldest first; for housekeeping.

    There may be thousands, and they are asked for often: only ``id``, ``pool`` and ``flow_run_id`` are read, and nothing
    else can be asked of them outside of the session.
    """
    return list(session.scalars(_waiting().options(load_only(Job.id, Job.pool, Job.flow_run_id))))


def due_for_submission(session: Session) -> list[Job]:
    """Return those that wait for a run and not for their turn any more, oldest first."""
    return list(session.scalars(_waiting().where(Job.turn_at.is_not(None))))


def waiting_with_file(session: Session, file_id: str) -> list[str]:
    """Return the ids of those that wait for their turn or a run and train or validate on a file, oldest first."""
    names_it = or_(Job.training_file_id == file_id, Job.validation_file_id == file_id)
    return list(session.scalars(_waiting().with_only_columns(Job.id).where(names_it)))


def _waiting() -> Select[tuple[Job]]:
    waits = (Job.status == "queued", or_(Job.flow_run_id.is_(None), Job.turn_at.is_(None)))
    return select(Job).where(*waits).order_by(Job.created_at, Job.id)


def _of(organization_id: str) -> Select[Any]:
    return select(Job).where(Job.organization_id == organization_id)


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
