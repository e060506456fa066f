"""What the flow that runs a job may do to it: claim it, write down how it goes, and end it.

Each claim takes a new attempt number, the fence: what an older attempt tries to write changes nothing, and the function
says so by returning False. These functions go by job id alone; whoever knows one got it from the ledger.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Select, case, func, or_, select, update
from sqlalchemy.orm import Session

from afinador.schemas.events import EventLevel
from registry import events, leases
from registry.database import changes
from registry.tables import Attempt, Job

End = Literal["succeeded", "failed", "cancelled"]

_CLAIMABLE = ("queued", "running", "failed")
_GUARDED_FIELDS = {"id", "organization_id", "name", "status", "attempt", "spec", "request", "created_at"}
_END_EVENTS: dict[str, tuple[EventLevel, str]] = {
    "succeeded": ("info", "The job has successfully completed"),
    "failed": ("error", "The job failed: {reason}"),
    "cancelled": ("info", "The job was cancelled"),
}


@dataclass(frozen=True)
class Look:
    """What a running flow must know every second."""

    attempt: int
    status: str
    request_state: str | None


def claim(
    session: Session,
    job_id: str,
    *,
    flow_run_id: str | None,
    process_id: int,
    process_started_at: float,
    host: str,
) -> Job | None:
    """Take a job as its next attempt; the attempt before, if it had not ended, is closed as lost.

    A failed job may be claimed too: somebody pressed Retry.

    Returns:
        The job, ``running``, with the new attempt number; None when it has succeeded, was cancelled, waits for its
        files, has failed or died as often as ``max_attempts`` allows, or does not exist.
    """
    spec = session.scalar(select(Job.spec).where(Job.id == job_id))
    if spec is None:
        return None
    may_run = _failures(job_id).scalar_subquery() < spec["hyperparameters"]["max_attempts"]
    runner = {"flow_run_id": flow_run_id, "process_id": process_id, "host": host}
    statement = (
        update(Job)
        .where(Job.id == job_id, Job.status.in_(_CLAIMABLE), may_run)
        .values(
            **runner,
            process_started_at=process_started_at,
            heartbeat_at=time.time(),
            attempt=Job.attempt + 1,
            status="running",
            finished_at=None,
            error=None,
            request_state=case((Job.request_state == "hold", None), else_=Job.request_state),
            progress=None,
        )
    )
    if not changes(session, statement):
        return None
    job = session.get_one(Job, job_id, populate_existing=True)
    _close_attempts(session, job_id, "lost")
    session.add(Attempt(organization_id=job.organization_id, job_id=job_id, number=job.attempt, **runner))
    started = "The job has started" if job.attempt == 1 else f"The job has started again (attempt {job.attempt})"
    events.append(session, job_id, started, data={"attempt": job.attempt, "host": host})
    return job


def look(session: Session, job_id: str) -> Look | None:
    """Return attempt, status and request of a job in one cheap query; None when there is no such job."""
    found = session.execute(select(Job.attempt, Job.status, Job.request_state).where(Job.id == job_id)).first()
    return None if found is None else Look(*found)


def heartbeat(session: Session, job_id: str, attempt: int) -> bool:
    """Say that an attempt lives; False when it is not the newest, or the job no longer runs."""
    return _update_running(session, job_id, attempt, heartbeat_at=time.time())


def set_progress(session: Session, job_id: str, attempt: int, progress: dict[str, Any]) -> bool:
    """Write down how far an attempt is; counts as a heartbeat. False when it is not the newest that runs."""
    return _update_running(session, job_id, attempt, progress=progress, heartbeat_at=time.time())


def set_fields(session: Session, job_id: str, attempt: int, **columns: Any) -> bool:
    """Set columns of a job, whatever its status; False when the attempt is not the newest.

    Raises:
        TypeError: A column that only other functions may change.
    """
    guarded = _GUARDED_FIELDS & columns.keys()
    if guarded:
        raise TypeError(f"set_fields cannot change {', '.join(sorted(guarded))}")
    return changes(session, update(Job).where(Job.id == job_id, Job.attempt == attempt).values(**columns))


def mark_done(session: Session, job_id: str, attempt: int, step: str) -> bool:
    """Remember that a step of the flow needs no repetition; False when the attempt is not the newest."""
    done = session.scalar(
        select(Job.steps_done).where(Job.id == job_id, Job.attempt == attempt).with_for_update(key_share=True)
    )
    if done is None:
        return False
    return step in done or set_fields(session, job_id, attempt, steps_done=[*done, step])


def is_done(session: Session, job_id: str, step: str) -> bool:
    """Tell whether a step of the flow was done, by whichever attempt."""
    return step in (session.scalar(select(Job.steps_done).where(Job.id == job_id)) or [])


def finish(
    session: Session,
    job_id: str,
    attempt: int,
    status: End,
    *,
    error: dict[str, Any] | None = None,
    message: str | None = None,
) -> bool:
    """End a running job and its attempt, free its devices, and write the event.

    Args:
        session: The transaction.
        job_id: The job.
        attempt: The attempt that ends it.
        status: How it ends.
        error: ``{"code", "message", "param"}`` of a failed job.
        message: The event's sentence; one that fits the status if omitted.

    Returns:
        False, with nothing changed, when the attempt is not the newest or the job does not run.
    """
    if status == "failed" and error is None:
        error = {"code": "error", "message": message or "No reason was given; see the job's log.", "param": None}
    ended = _update_running(
        session,
        job_id,
        attempt,
        status=status,
        finished_at=time.time(),
        request_state=None,
        error=error if status == "failed" else None,
    )
    if not ended:
        return False
    _close_attempts(session, job_id, status)
    leases.free(session, job_id)
    level, sentence = _END_EVENTS[status]
    reason = error["message"] if error else ""
    events.append(session, job_id, message or sentence.format(reason=reason), level=level, data={"attempt": attempt})
    return True


def requeue(session: Session, job_id: str, attempt: int, reason: str) -> bool:
    """Give back a job whose attempt died: to the queue while it may be started again, else it fails with the reason.

    A job that was asked to be cancelled is cancelled instead. An attempt that was asked to ``hold`` ends as held and
    does not count towards ``max_attempts``.

    Returns:
        True when the job is queued again; False when it has ended, by this or before, or the attempt is not the newest.
    """
    job = session.execute(
        select(Job.request_state, Job.spec)
        .where(Job.id == job_id, Job.attempt == attempt, Job.status == "running")
        .with_for_update(key_share=True)
    ).first()
    if job is None:
        return False
    if job.request_state == "cancel":
        finish(session, job_id, attempt, "cancelled")
        return False
    was_held = job.request_state == "hold"
    sentence = f"{reason.rstrip('.')}."
    failures = session.scalar(_failures(job_id)) or 0
    if failures >= job.spec["hyperparameters"]["max_attempts"] and not was_held:
        message = f"{sentence} It was tried {failures} times, which is all that max_attempts allows."
        error = {"code": "attempts_exhausted", "message": message, "param": None}
        finish(session, job_id, attempt, "failed", error=error)
        return False
    _update_running(session, job_id, attempt, status="queued", process_id=None, process_started_at=None)
    _close_attempts(session, job_id, "held" if was_held else "lost")
    leases.free(session, job_id)
    level: EventLevel = "info" if was_held else "warn"
    events.append(session, job_id, f"{sentence} The job goes on as attempt {attempt + 1}.", level=level)
    return True


def _failures(job_id: str) -> Select[tuple[int]]:
    """Count the attempts that failed or died; the one that is still open counts, for whoever asks sees it dead."""
    return (
        select(func.count())
        .select_from(Attempt)
        .where(Attempt.job_id == job_id, or_(Attempt.end.in_(("failed", "lost")), Attempt.ended_at.is_(None)))
    )


def _update_running(session: Session, job_id: str, attempt: int, **columns: Any) -> bool:
    runs = (Job.id == job_id, Job.attempt == attempt, Job.status == "running")
    return changes(session, update(Job).where(*runs).values(**columns))


def _close_attempts(session: Session, job_id: str, end: str) -> None:
    session.execute(
        update(Attempt)
        .where(Attempt.job_id == job_id, Attempt.ended_at.is_(None))
        .values(ended_at=time.time(), end=end)
    )
