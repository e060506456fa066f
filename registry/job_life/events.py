"""What happened in each job, numbered from 1 without gaps."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from afinador.errors import NotFoundError
from afinador.schemas import events as wire
from registry.ledger.pages import page
from registry.ledger.tables import Event, Job

_JOURNAL = "run"


def append(
    session: Session,
    job_id: str,
    message: str,
    *,
    level: wire.EventLevel = "info",
    type: str = "message",
    data: dict[str, Any] | None = None,
    created_at: float | None = None,
    dedup_key: str | None = None,
) -> Event | None:
    """Write an event down.

    Args:
        session: The transaction that the event belongs to.
        job_id: The job.
        message: One sentence for people.
        level: How much it matters.
        type: ``metrics`` for a row of the curves, whose figures are in ``data``; all others answer as ``message``.
        data: Figures and names for programs.
        created_at: When it happened, in Unix seconds; by default now.
        dedup_key: Events of one job with the same key are written once.

    Returns:
        The event; None when ``dedup_key`` is known already.

    Raises:
        NotFoundError: There is no such job.
    """
    # Where the database knows row locks, appends to one job wait for each other here.
    owner = select(Job.organization_id).where(Job.id == job_id).with_for_update(key_share=True)
    organization_id = session.scalar(owner)
    if organization_id is None:
        raise NotFoundError(f"There is no job {job_id!r}.", param="job", code="job_not_found")
    if dedup_key is not None and _is_known(session, job_id, dedup_key):
        return None
    event = Event(organization_id=organization_id, job_id=job_id, dedup_key=dedup_key)
    event.sequence = (session.scalar(select(func.max(Event.sequence)).where(Event.job_id == job_id)) or 0) + 1
    event.level, event.type, event.message, event.data = level, type, message, data or {}
    if created_at is not None:
        event.created_at = created_at
    session.add(event)
    session.flush()
    return event


def list_page(
    session: Session, organization_id: str, job_id: str, after: str | None = None, limit: int = 20
) -> tuple[list[Event], bool]:
    """Return a page of a job's events, newest first, and whether there are older ones.

    Raises:
        InvalidRequestError: ``after`` is none of them, or ``limit`` is not from 1 to 100.
    """
    return page(session, _of_job(organization_id, job_id), [Event.sequence], key=Event.id, after=after, limit=limit)


def metrics(session: Session, organization_id: str, job_id: str) -> list[dict[str, Any]]:
    """Return the rows of a job's curves, oldest first: ``step``, ``train_loss``, ``valid_loss`` and others."""
    query = _of_job(organization_id, job_id).where(Event.type == "metrics").order_by(Event.sequence)
    return [event.data for event in session.scalars(query)]


def journal_key(row: dict[str, Any]) -> str:
    """Return what an event of a run directory's journal is known by: its number, and what it is once about."""
    return ":".join([_JOURNAL, str(row["sequence"]), *([row["once"]] if row.get("once") else [])])


def journalled(session: Session, organization_id: str, job_id: str) -> list[dict[str, Any]]:
    """Return the events that came from the run directory's journal, oldest first, as rows of it."""
    of_journal = Event.dedup_key.startswith(f"{_JOURNAL}:", autoescape=True)
    rows = []
    for event in session.scalars(_of_job(organization_id, job_id).where(of_journal).order_by(Event.sequence)):
        _, sequence, *once = (event.dedup_key or "").split(":", 2)
        row = {"sequence": int(sequence), "type": event.type, "level": event.level, "message": event.message}
        row |= {"once": once[0]} if once else {}
        rows.append({**row, "timestamp_ms": round(event.created_at * 1000), "data": event.data})
    return rows


def to_wire(row: Event) -> wire.Event:
    """Return an event as it is answered."""
    return wire.Event(
        id=row.id,
        job_id=row.job_id,
        created_at=int(row.created_at),
        level=row.level,
        message=row.message,
        type="metrics" if row.type == "metrics" else "message",
        data=wire.with_openai_names(row.data) if row.type == "metrics" else row.data,
    )


def _of_job(organization_id: str, job_id: str) -> Any:
    return select(Event).where(Event.organization_id == organization_id, Event.job_id == job_id)


def _is_known(session: Session, job_id: str, dedup_key: str) -> bool:
    query = select(Event.id).where(Event.job_id == job_id, Event.dedup_key == dedup_key)
    return session.scalar(query) is not None
