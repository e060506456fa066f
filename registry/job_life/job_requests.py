"""What people ask of a job: to be cancelled, paused, resumed.

A request to a job that waits is done at once; one to a job that runs is written down, and its flow does it at the next
safe place. A job that is queued because its flow died is asked as if that had died later: training may go on still, and
what it has left is taken over first. Asking twice is as good as once. What does not fit a job's state is refused with what does.
"""

from __future__ import annotations

import time

from sqlalchemy import ColumnElement, Update, and_, case, exists, or_, select, update
from sqlalchemy.orm import Session

from afinador.errors import IllegalTransitionError
from registry.job_life import events, waiting_jobs
from registry.job_life.job_ends import complete_if_published
from registry.job_life.job_queries import get
from registry.job_life.job_times import counted
from registry.ledger.database import changes
from registry.ledger.tables import Attempt, Job

_RUNNING = ("running", "pausing")
_MAY_BE = {
    "cancelled": "validating_files, queued, running, pausing or paused",
    "paused": "validating_files, queued or running",
    "resumed": "pausing or paused",
}


def request_cancel(session: Session, organization_id: str, id_or_name: str) -> Job:
    """Cancel a job: at once when it does not run, else as soon as its flow sees the request.

    One that waits although its result is in the hub, for its flow died right after the publication, succeeds.

    Raises:
        NotFoundError: The organisation has no such job.
        IllegalTransitionError: It has succeeded or failed.
    """
    job = _locked(session, get(session, organization_id, id_or_name))
    is_complete = complete_if_published(session, job.id)
    is_news = not is_complete and changes(session, _cancellation(job.id))
    session.refresh(job)
    if is_news and job.status == "cancelled":
        _tell(session, job, "The job was cancelled")
    elif is_news:
        _tell(session, job, "Cancel requested; the job stops after its current step")
    if job.status in ("succeeded", "failed") and not is_complete:
        raise _refusal(job, "cancelled")
    return job


def request_pause(session: Session, organization_id: str, id_or_name: str) -> Job:
    """Pause a job: at once when it does not run, else it is ``pausing`` until its flow has stopped at a safe place.

    Raises:
        NotFoundError: The organisation has no such job.
        IllegalTransitionError: It has ended, or is being cancelled.
    """
    job = _locked(session, get(session, organization_id, id_or_name))
    is_news = changes(session, _pause(job.id))
    session.refresh(job)
    if is_news and job.status == "paused":
        _tell(session, job, "The job was paused before it ran.")
    elif is_news:
        _tell(session, job, "Pause requested; the job stops after its current step and keeps a checkpoint.")
    if job.status not in ("pausing", "paused") or job.request_state == "cancel":
        raise _refusal(job, "paused")
    return job


def request_resume(session: Session, organization_id: str, id_or_name: str) -> Job:
    """Queue a paused job again; one that is still ``pausing`` goes on as soon as it has stopped.

    A job that waits or runs anyway is left as it is.

    Raises:
        NotFoundError: The organisation has no such job.
        IllegalTransitionError: It has ended, or is being cancelled.
    """
    job = get(session, organization_id, id_or_name)
    is_news = changes(session, _resumption(job.id))
    session.refresh(job)
    if is_news and job.status == "pausing":
        _tell(session, job, "Resume requested; the job goes on as soon as it has stopped.")
    elif is_news:
        _tell(session, job, "The job was resumed and waits for its turn.")
        waiting_jobs.settle_job(session, job)
    if (job.status in ("succeeded", "failed", "cancelled") and not is_news) or job.request_state == "cancel":
        raise _refusal(job, "resumed")
    return job


def resume_by_hand(session: Session, job_id: str) -> bool:
    """Queue a paused job whose suspended run somebody has resumed in Prefect; False when it is not such a one.

    It waits for no turn: its run is scheduled already.
    """
    suspended = (Job.id == job_id, Job.status == "paused", Job.request_state.is_(None))
    values = {"status": "queued", "turn_at": time.time(), **counted()}
    is_news = changes(session, update(Job).where(*suspended).values(**values))
    if is_news:
        events.append(session, job_id, "The job was resumed in Prefect.", data={"status": "queued"})
    return is_news


def _tell(session: Session, job: Job, message: str) -> None:
    events.append(session, job.id, message, data={"status": job.status})


def _locked(session: Session, job: Job) -> Job:
    """Wait, where the database knows row locks, until nobody else changes a job: its attempts are looked at, too."""
    session.execute(select(Job.id).where(Job.id == job.id).with_for_update(key_share=True))
    return job


def _is_left() -> ColumnElement[bool]:
    died = (Attempt.job_id == Job.id, Attempt.number == Job.attempt, Attempt.end == "lost")
    return and_(Job.status == "queued", exists().where(*died))


def _cancellation(job_id: str) -> Update:
    """Build the one statement that ends a job that waits, or asks one that runs to stop and was not asked before."""
    waits = and_(Job.status.in_(("validating_files", "queued", "paused")), ~_is_left())
    runs_unasked = and_(Job.status.in_(_RUNNING), Job.request_state.is_distinct_from("cancel"))
    return (
        update(Job)
        .where(Job.id == job_id, or_(waits, _is_left(), runs_unasked))
        .values(
            **counted(),
            status=case((waits, "cancelled"), (_is_left(), "running"), else_=Job.status),
            finished_at=case((waits, time.time()), else_=Job.finished_at),
            request_state=case((waits, None), else_="cancel"),
        )
    )


def _pause(job_id: str) -> Update:
    waits = and_(Job.status.in_(("validating_files", "queued")), ~_is_left())
    goes_on = or_(Job.request_state.is_(None), Job.request_state.in_(("hold", "resume")))
    return (
        update(Job)
        .where(Job.id == job_id, or_(waits, _is_left(), and_(Job.status.in_(_RUNNING), goes_on)))
        .values(status=case((waits, "paused"), else_="pausing"), request_state="pause", **counted())
    )


def _resumption(job_id: str) -> Update:
    """Build the one statement that queues a paused job, or makes one that is pausing go on.

    A job without a run goes by way of its files: they may not have been checked yet when it was paused. A paused job has
    given its turn back, and waits for another.
    """
    is_paused = Job.status == "paused"
    is_pausing = and_(Job.status == "pausing", Job.request_state == "pause")
    has_run = Job.flow_run_id.is_not(None)
    return (
        update(Job)
        .where(Job.id == job_id, or_(is_paused, is_pausing))
        .values(
            **counted(),
            status=case((is_pausing, "pausing"), (has_run, "queued"), else_="validating_files"),
            request_state=case((or_(is_pausing, has_run), "resume"), else_=None),
            turn_at=case((is_pausing, Job.turn_at), else_=None),
        )
    )


def _refusal(job: Job, wish: str) -> IllegalTransitionError:
    if job.request_state == "cancel":
        state, remedy = f"is {job.status} and being cancelled", "It ends after its current step; create a new one."
    else:
        state = f"was {job.status}" if job.status == "cancelled" else f"has {job.status}"
        remedy = "A job that has ended stays as it is; create a new one."
    return IllegalTransitionError(
        f"The job {job.name!r} {state}, so it cannot be {wish}; only jobs that are {_MAY_BE[wish]} can. {remedy}",
        param="job",
    )
