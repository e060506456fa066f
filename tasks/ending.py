"""How an attempt ends when it does not succeed: the reason goes to the job, to its events and to Prefect."""

from __future__ import annotations

import logging
from functools import partial

from sqlalchemy.exc import SQLAlchemyError

from afinador.errors import AfinadorError
from registry import job_logs, jobs
from tasks import trainer
from tasks.attempt import Attempt

logger = logging.getLogger(__name__)


class UnforeseenError(AfinadorError):
    """A fault of ours; the log of the job has the details."""

    code = "internal_error"


def unforeseen(error: Exception) -> UnforeseenError:
    """Put a fault of ours into words that a person can pass on to the operator."""
    return UnforeseenError(
        f"The service made an error ({type(error).__name__}). The log of the job's run in Prefect has the details; "
        "creating the job again may help, otherwise tell the operator."
    )


def failed(attempt: Attempt, error: AfinadorError) -> str:
    """End the job as failed and return the reason."""
    trainer.stop(attempt)
    _close(attempt, "FAILED")
    reason = {"code": error.code, "message": error.message, "param": error.param}
    with attempt.memory.database.session() as session:
        jobs.finish(
            session, attempt.job_id, attempt.number, "failed", error=reason, message=f"The job failed: {error.message}"
        )
    return error.message


def stopped(attempt: Attempt, request: str) -> str:
    """End the attempt as asked: ``cancel`` ends the job, ``hold`` puts it back into the queue."""
    trainer.stop(attempt)
    _close(attempt, "KILLED")
    with attempt.memory.database.session() as session:
        if request == "hold":
            message = "The service is going down; the job goes on at its next start."
            jobs.requeue(session, attempt.job_id, attempt.number, message)
        else:
            message = "The job was cancelled; its last checkpoint is kept."
            jobs.finish(session, attempt.job_id, attempt.number, "cancelled", message=message)
    return message


def interrupted(attempt: Attempt) -> None:
    """Stop training when this process is told to end; what becomes of the job is settled by housekeeping.

    A cancel from the Prefect UI arrives like this, as a signal.
    """
    trainer.stop(attempt)
    if attempt.request != "cancel":
        return
    try:
        stopped(attempt, "cancel")
    except (SQLAlchemyError, AfinadorError):
        logger.exception("The cancel could not be written down; housekeeping will.")


def _close(attempt: Attempt, status: str) -> None:
    """Keep the log and close what follows the run; whatever is away must not hide the reason of the end."""
    actions = [partial(close, status) for close in attempt.on_unhappy_end]
    keep_log = partial(job_logs.keep, attempt.memory, attempt.spec.organization_id, attempt.job_id)
    for action in (keep_log, *actions):
        try:
            action()
        except AfinadorError as error:
            logger.warning("Not closed as %s: %s", status, error.message)
