"""What the flow that runs a job may do to it: claim it, and write down how it goes. How it ends is in ``job_ends``.

Each claim takes a new attempt number, the fence: what an older attempt tries to write changes nothing, and the function
says so by returning False. These functions go by job id alone; whoever knows one got it from the ledger.

Attempts are counted only while they add nothing: the first step that was never trained before sets
``fruitless_attempts`` back to 0.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, case, exists, func, or_, select, update
from sqlalchemy.orm import Session

from registry.job_life import events, leases
from registry.job_life.job_times import counted
from registry.ledger.database import changes
from registry.ledger.tables import Attempt, Job

RUNNING_STATUSES = ("running", "pausing")
"""The statuses of a job that an attempt may write about."""
_CLAIMABLE = ("queued", *RUNNING_STATUSES, "failed")
_GUARDED_FIELDS = {"id", "organization_id", "name", "status", "attempt", "spec", "request", "created_at"}


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

    A failed job may be claimed too, and begins to count its attempts anew: somebody pressed Retry. So may a paused one
    whose run was suspended, and one that an attempt is pausing: somebody pressed Resume. One that was asked to pause when
    its attempt had died keeps the request.

    Returns:
        The job, which runs, with the new attempt number; None when it has succeeded, was cancelled or paused, waits for
        its files, never had a specification that could be run (``max_attempts`` 0), or does not exist.
    """
    spec = session.scalar(select(Job.spec).where(Job.id == job_id))
    if spec is None or not spec["hyperparameters"]["max_attempts"]:
        return None
    resumed_by_hand = and_(Job.status == "paused", Job.request_state.is_(None))
    has_attempt = exists().where(Attempt.job_id == Job.id, Attempt.ended_at.is_(None))
    pauses = and_(Job.status == "pausing", Job.request_state == "pause", ~has_attempt)
    runner = {"flow_run_id": flow_run_id, "process_id": process_id, "host": host}
    statement = (
        update(Job)
        .where(Job.id == job_id, or_(Job.status.in_(_CLAIMABLE), resumed_by_hand))
        .values(
            **runner,
            **counted(),
            process_started_at=process_started_at,
            heartbeat_at=time.time(),
            attempt=Job.attempt + 1,
            fruitless_attempts=case((Job.status == "failed", 0), else_=Job.fruitless_attempts) + 1,
            turn_at=func.coalesce(Job.turn_at, time.time()),
            status=case((pauses, "pausing"), else_="running"),
            finished_at=None,
            error=None,
            request_state=case((or_(pauses, Job.request_state == "cancel"), Job.request_state), else_=None),
            progress=None,
        )
    )
    if not changes(session, statement):
        return None
    job = session.get_one(Job, job_id, populate_existing=True)
    _begin(session, job)
    started = "The job has started" if job.attempt == 1 else f"The job has started again (attempt {job.attempt})"
    events.append(session, job_id, started, data={"status": "running", "attempt": job.attempt, "host": host})
    return job


def start_again(session: Session, job_id: str, attempt: int, reason: str) -> Job | None:
    """Take a job whose trainer died as its next attempt, for the flow that runs it; its devices stay with it.

    Args:
        session: The transaction.
        job_id: The job.
        attempt: The attempt whose trainer died.
        reason: What died and from where it goes on, for people.

    Returns:
        The job with the new attempt number; None, with nothing changed, when the attempt is not the newest that runs, or
        the last that ``max_attempts`` allows.
    """
    spec = session.scalar(select(Job.spec).where(Job.id == job_id))
    if spec is None:
        return None
    may_go_on = Job.fruitless_attempts < spec["hyperparameters"]["max_attempts"]
    statement = (
        update(Job)
        .where(*of_running(job_id, attempt), may_go_on)
        .values(
            attempt=Job.attempt + 1,
            fruitless_attempts=Job.fruitless_attempts + 1,
            heartbeat_at=time.time(),
            progress=None,
        )
    )
    if not changes(session, statement):
        return None
    job = session.get_one(Job, job_id, populate_existing=True)
    _begin(session, job)
    leases.hand_on(session, job_id, job.attempt)
    events.append(session, job_id, reason, level="warn", data={"attempt": job.attempt, "host": job.host})
    return job


def withdraw_pause(session: Session, job_id: str, attempt: int) -> bool:
    """Let a job run on that was asked to pause and then to resume, before it had begun to stop."""
    asked = (*of_running(job_id, attempt), Job.request_state == "resume")
    is_withdrawn = changes(session, update(Job).where(*asked).values(status="running", request_state=None, **counted()))
    if is_withdrawn:
        told = {"status": "running", "attempt": attempt}
        events.append(session, job_id, "The job had not stopped yet and runs on.", data=told)
    return is_withdrawn


def look(session: Session, job_id: str) -> Look | None:
    """Return attempt, status and request of a job in one cheap query; None when there is no such job."""
    found = session.execute(select(Job.attempt, Job.status, Job.request_state).where(Job.id == job_id)).first()
    return None if found is None else Look(*found)


def heartbeat(session: Session, job_id: str, attempt: int) -> bool:
    """Say that an attempt lives; False when it is not the newest, or the job no longer runs."""
    return update_running(session, job_id, attempt, heartbeat_at=time.time())


def set_progress(session: Session, job_id: str, attempt: int, progress: dict[str, Any]) -> bool:
    """Write down how far an attempt is; counts as a heartbeat. False when it is not the newest that runs."""
    step = progress.get("step") or 0
    is_new = Job.reached_step < step
    return update_running(
        session,
        job_id,
        attempt,
        progress=progress,
        phase_seconds=_phases(session, job_id) | (progress.get("phase_seconds") or {}),
        seconds_per_epoch=progress.get("seconds_per_epoch") or Job.seconds_per_epoch,
        heartbeat_at=time.time(),
        reached_step=case((is_new, step), else_=Job.reached_step),
        fruitless_attempts=case((is_new, 0), else_=Job.fruitless_attempts),
    )


def add_phase(session: Session, job_id: str, attempt: int, phase: str, seconds: float) -> bool:
    """Add to how long a phase took that no training process measures; False when the attempt is not the newest that runs."""
    known = _phases(session, job_id)
    return update_running(
        session, job_id, attempt, phase_seconds=known | {phase: round(known.get(phase, 0.0) + seconds, 3)}
    )


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


def update_running(session: Session, job_id: str, attempt: int, **columns: Any) -> bool:
    """Set columns of a job that an attempt runs; False when it is not the newest, or the job does not run."""
    return changes(session, update(Job).where(*of_running(job_id, attempt)).values(**columns))


def of_running(job_id: str, attempt: int) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions that a job runs, and that this attempt is the one that runs it."""
    return Job.id == job_id, Job.attempt == attempt, Job.status.in_(RUNNING_STATUSES)


def close_attempts(session: Session, job_id: str, end: str) -> None:
    """Write down how the attempts of a job that are still open have ended."""
    session.execute(
        update(Attempt)
        .where(Attempt.job_id == job_id, Attempt.ended_at.is_(None))
        .values(ended_at=time.time(), end=end)
    )


def _phases(session: Session, job_id: str) -> dict[str, float]:
    return session.scalar(select(Job.phase_seconds).where(Job.id == job_id)) or {}


def _begin(session: Session, job: Job) -> None:
    close_attempts(session, job.id, "lost")
    runner = {"flow_run_id": job.flow_run_id, "process_id": job.process_id, "host": job.host}
    session.add(Attempt(organization_id=job.organization_id, job_id=job.id, number=job.attempt, **runner))
