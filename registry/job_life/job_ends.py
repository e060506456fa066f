"""How an attempt at a job ends: well, badly, as somebody asked for, or by the death of its process."""

from __future__ import annotations

import time
from typing import Any, Literal

from sqlalchemy import Row, case, select, update
from sqlalchemy.orm import Session

from afinador.schemas.events import EventLevel
from registry.job_life import events, leases
from registry.job_life.job_attempts import close_attempts, of_running, update_running
from registry.job_life.job_times import counted
from registry.ledger.database import changes
from registry.ledger.tables import Attempt, HubVersion, Job

End = Literal["succeeded", "failed", "cancelled"]
Request = Literal["cancel", "pause", "resume", "hold"]

_END_EVENTS: dict[str, tuple[EventLevel, str]] = {
    "succeeded": ("info", "The job has successfully completed"),
    "failed": ("error", "The job failed: {reason}"),
    "cancelled": ("info", "The job was cancelled"),
}
_GOES_ON = {
    "hold": "The service is going down; the job goes on at its next start.",
    "resume": "The job has stopped at a checkpoint and goes on at once, as was asked.",
}


def finish(
    session: Session,
    job_id: str,
    attempt: int,
    status: End,
    *,
    error: dict[str, Any] | None = None,
    message: str | None = None,
) -> End | None:
    """End a running job and its attempt, free its devices, and write the event.

    A job whose result is in the hub has succeeded, whatever was asked or went wrong since.

    Args:
        session: The transaction.
        job_id: The job.
        attempt: The attempt that ends it.
        status: How it ends.
        error: ``{"code", "message", "param"}`` of a failed job.
        message: The event's sentence; one that fits the status if omitted.

    Returns:
        How it has ended; None, with nothing changed, when the attempt is not the newest or the job does not run.
    """
    published = _result(session, job_id)
    result = {} if published is None else {"fine_tuned_model": published.alias}
    if published is not None and status != "succeeded":
        status, error, message = "succeeded", None, publication_message(published)
    if status == "failed" and error is None:
        error = {"code": "error", "message": message or "No reason was given; see the job's log.", "param": None}
    ended = update_running(
        session,
        job_id,
        attempt,
        status=status,
        **counted(),
        finished_at=time.time(),
        request_state=None,
        error=error if status == "failed" else None,
        **result,
    )
    if not ended:
        return None
    _close_attempts(session, job_id, attempt, status)
    leases.free(session, job_id)
    level, sentence = _END_EVENTS[status]
    reason = error["message"] if error else ""
    told = {"status": status, "attempt": attempt}
    events.append(session, job_id, message or sentence.format(reason=reason), level=level, data=told)
    return status


def complete_if_published(session: Session, job_id: str) -> bool:
    """End a job that waits, though its result is in the hub: its flow died, or was paused, right after the publication."""
    published = _result(session, job_id)
    if published is None:
        return False
    waits = (Job.id == job_id, Job.status.in_(("queued", "paused")))
    ended = {"status": "succeeded", "finished_at": time.time(), "request_state": None, "error": None}
    statement = update(Job).where(*waits).values(**ended, **counted(), fine_tuned_model=published.alias)
    if not changes(session, statement):
        return False
    events.append(session, job_id, publication_message(published), data={"status": "succeeded"})
    return True


def publication_message(version: HubVersion) -> str:
    """Return the sentence with which a job ends well."""
    return f"Published {version.kind} {version.name}, version {version.version}, as {version.alias}."


def stop(session: Session, job_id: str, attempt: int, request: str | None = None) -> str | None:
    """End an attempt that has stopped because it was asked to; its devices are free.

    What the ledger says counts, for it is newer: ``cancel`` ends the job, ``pause`` makes it ``paused``, ``resume`` and
    ``hold`` put it back into the queue. None of these attempts counts towards ``max_attempts``. A job whose result is in
    the hub has succeeded.

    Args:
        session: The transaction.
        job_id: The job.
        attempt: The attempt that has stopped.
        request: What the attempt was asked for, where the ledger may not know of it: somebody did it in Prefect.

    Returns:
        The job's new status; None, with nothing changed, when the attempt is not the newest that runs.
    """
    job = _running(session, job_id, attempt)
    if job is None:
        return None
    wanted = "cancel" if request == "cancel" else job.request_state or request or "hold"
    if wanted == "cancel" or _result(session, job_id) is not None:
        message = "The job was cancelled; its last checkpoint is kept."
        return finish(session, job_id, attempt, "cancelled", message=message)
    if wanted == "pause":
        _give_up(session, job_id, attempt, "paused", status="paused", request_state="pause")
        step = (job.progress or {}).get("step")
        where = f" after step {step}" if step else ""
        message = f"The job is paused{where} and holds no device; it goes on when it is resumed."
        events.append(session, job_id, message, data={"status": "paused", "attempt": attempt, "step": step})
        return "paused"
    _give_up(session, job_id, attempt, "held", status="queued", request_state=wanted)
    events.append(session, job_id, _GOES_ON[wanted], data={"status": "queued", "attempt": attempt})
    return "queued"


def requeue(session: Session, job_id: str, attempt: int, reason: str) -> bool:
    """Give back a job whose attempt died: to the queue while it may be started again, else it fails with the reason.

    A job that was asked to stop has done so by dying, see ``stop``; but for ``resume``, which it is queued for.

    Returns:
        True when the job is queued again; False when it has ended or is paused, by this or before, or the attempt is not
        the newest.
    """
    job = _running(session, job_id, attempt)
    if job is None:
        return False
    if job.request_state is not None:
        return stop(session, job_id, attempt) == "queued"
    sentence = f"{reason.rstrip('.')}."
    if is_exhausted(job):
        finish(session, job_id, attempt, "failed", error=exhausted(sentence, job.fruitless_attempts))
        return False
    update_running(session, job_id, attempt, status="queued", **counted(), process_id=None, process_started_at=None)
    close_attempts(session, job_id, "lost")  # the devices stay with the job: its trainer may not have stopped yet
    told = {"status": "queued", "attempt": attempt}
    events.append(session, job_id, f"{sentence} The job goes on as attempt {attempt + 1}.", level="warn", data=told)
    return True


def is_exhausted(job: Job | Row[Any]) -> bool:
    """Tell whether as many attempts in a row as ``max_attempts`` allows have trained no new step."""
    allowed: int = job.spec["hyperparameters"]["max_attempts"]
    return job.fruitless_attempts >= allowed


def exhausted(sentence: str, attempts: int) -> dict[str, Any]:
    """Return the error of a job whose attempts are used up.

    Args:
        sentence: What the last one died of.
        attempts: How many in a row have trained no new step.
    """
    tried = "1 attempt has" if attempts == 1 else f"{attempts} attempts in a row have"
    message = f"{sentence} {tried} trained no new step, which is all that max_attempts allows."
    return {"code": "attempts_exhausted", "message": message, "param": None}


def confirm_suspended(session: Session, job_id: str) -> None:
    """Note that Prefect shows the run of a paused job as suspended; if it moves now, somebody has resumed it there."""
    told = (Job.id == job_id, Job.status == "paused", Job.request_state == "pause")
    changes(session, update(Job).where(*told).values(request_state=None))


def _result(session: Session, job_id: str) -> HubVersion | None:
    of_job = (HubVersion.job_id == job_id, HubVersion.checkpoint_step.is_(None))
    return session.scalars(select(HubVersion).where(*of_job)).first()


def _running(session: Session, job_id: str, attempt: int) -> Row[Any] | None:
    columns = (Job.request_state, Job.progress, Job.fruitless_attempts, Job.spec)
    return session.execute(select(*columns).where(*of_running(job_id, attempt)).with_for_update(key_share=True)).first()


def _close_attempts(session: Session, job_id: str, attempt: int, end: str) -> None:
    """Write down how an attempt has ended, one too that had died before its job was asked to stop."""
    close_attempts(session, job_id, end)
    died = (Attempt.job_id == job_id, Attempt.number == attempt, Attempt.end == "lost")
    session.execute(update(Attempt).where(*died).values(end=end))


def _give_up(session: Session, job_id: str, attempt: int, end: str, **columns: Any) -> None:
    """End an attempt that was asked to stop, as if it had not been made; the process may still be there."""
    uncounted = case((Job.fruitless_attempts > 0, Job.fruitless_attempts - 1), else_=0)
    update_running(session, job_id, attempt, fruitless_attempts=uncounted, **counted(), **columns)
    _close_attempts(session, job_id, attempt, end)
    leases.free(session, job_id)
