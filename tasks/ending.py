"""How an attempt ends when it does not succeed: the reason goes to the job, to its events and to Prefect."""

from __future__ import annotations

import logging
import os
from functools import partial

from sqlalchemy.exc import SQLAlchemyError

from afinador.errors import AfinadorError, InsufficientStorageError
from afinador.schemas.jobs import ENDED_STATUSES
from afinador.settings import read_settings
from afinador.storage import is_disk_full
from afinador.training.checkpoints import complete_checkpoints
from registry import jobs
from registry.job_life import job_logs
from registry.job_life.job_ends import exhausted
from registry.memory import Memory
from registry.publishing.hub_publishing import version_of
from tasks import run_directory, trainer
from tasks.attempt import Attempt, go_on
from tasks.following import Follower
from tasks.report import keep_report
from tasks.result_file import keep_what_was_trained
from tasks.save_checkpoint import save_checkpoint, save_unsaved

MLFLOW_TIMEOUT_SECONDS = 30.0
"""So long an end waits for the last curves of a trainer that was left behind to reach MLflow."""

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


def explained(error: Exception) -> AfinadorError:
    """Return the reason for whatever ended an attempt: itself, a disk that is full, or a fault of ours, told to the log."""
    if isinstance(error, AfinadorError):
        return error
    if is_disk_full(error):
        return InsufficientStorageError("The disk of the service's home is full. Free some space.")
    logger.error("An error that nobody foresaw.", exc_info=error)
    return unforeseen(error)


def take_over(attempt: Attempt) -> None:
    """Stop training, also that of an attempt before whose flow died, and forward what nobody has forwarded."""
    trainer.stop(attempt)
    try:
        has_former = attempt.trainer is None and attempt.run.status() is not None and run_directory.is_kept(attempt)
        if has_former:
            trainer.end_left(attempt, attempt.request or "cancel")
        if attempt.take_over is not None:
            attempt.take_over()
        elif has_former:
            follower = Follower(attempt)
            follower.forward(attempt.run.status() or {}, in_prefect=False)
            follower.curves.close(MLFLOW_TIMEOUT_SECONDS)
    except (AfinadorError, OSError, ValueError) as error:
        logger.warning("What training has left is in the run directory alone.", exc_info=error)


def failed(attempt: Attempt, error: AfinadorError) -> str | None:
    """End the job as failed and return its status, which is ``succeeded`` where its result is in the hub."""
    _save_and_close(attempt, "FAILED")
    reason = {"code": error.code, "message": error.message, "param": error.param}
    message = f"The job failed: {error.message}"
    with attempt.memory.database.session() as session:
        status = jobs.finish(session, attempt.job_id, attempt.number, "failed", error=reason, message=message)
    _keep_records(attempt, status)
    return status


def waits_for_space(attempt: Attempt, error: AfinadorError) -> str | None:
    """Pause the job because a disk is full, and return its status: nothing is lost, and somebody must make space."""
    attempt.say(
        f"{error.message} The job is paused and keeps its last good checkpoint; resume it when there is space.",
        level="error",
    )
    return stopped(attempt, "pause")


def stopped(attempt: Attempt, request: str) -> str | None:
    """End the attempt as asked and return the job's status.

    It is ``cancelled``, or ``paused`` or ``queued`` to be resumed, or ``succeeded`` where its result is in the hub.
    """
    _save_and_close(attempt, "KILLED")
    with attempt.memory.database.session() as session:
        status = jobs.stop(session, attempt.job_id, attempt.number, request)
    _keep_records(attempt, status)
    return status


def suspended(job_id: str) -> None:
    """Note that Prefect shows the run of a job as suspended; housekeeping would see it a little later."""
    with Memory.open(read_settings()).database.session() as session:
        jobs.confirm_suspended(session, job_id)


def status_of(job_id: str) -> str | None:
    """Return the status of a job that could not be claimed; None when there is no such job."""
    with Memory.open(read_settings()).database.reading() as session:
        seen = jobs.look(session, job_id)
    return seen.status if seen else None


def interrupted(attempt: Attempt) -> None:
    """Stop training when this process is told to end; what it leaves unwritten is settled by housekeeping.

    A cancel in the Prefect UI arrives like this, as a signal that leaves 30 s, and a suspension, as Prefect's refusal of
    the next task: so the last checkpoint is saved here, without one.
    """
    request = attempt.asked_in_prefect() or attempt.request
    trainer.stop(attempt, trainer.SIGNAL_GRACE_SECONDS)
    try:
        if attempt.take_over is not None:
            attempt.take_over()
        if request is not None:
            stopped(attempt, request)
    except (SQLAlchemyError, AfinadorError):
        logger.exception("The end of the attempt could not be written down; housekeeping will.")


def requeued(attempt: Attempt, reason: str) -> None:
    """Give the job back to the queue; its next attempt goes on with the same run in MLflow."""
    for close in attempt.on_unhappy_end:
        close(None)
    with attempt.memory.database.session() as session:
        jobs.requeue(session, attempt.job_id, attempt.number, reason)


def died(attempt: Attempt, death: trainer.TrainerDiedError) -> Attempt | AfinadorError:
    """Go on with a new attempt after the trainer's death, unless the attempts are used up.

    Call it when the attempt is closed. A process whose job another one has taken ends here, without a word to Prefect.

    Returns:
        The next attempt, or the reason why there is none: the job is to end with it.
    """
    number = attempt.number + 1
    next_attempt = go_on(attempt, f"{death.message} The job goes on as attempt {number}{_from_where(attempt)}.")
    if next_attempt is not None:
        for close in attempt.on_unhappy_end:
            close(None)
        return next_attempt
    job = attempt.job()
    if job.attempt != attempt.number:
        os._exit(0)
    told = exhausted(death.message, job.fruitless_attempts)
    return AfinadorError(told["message"], code=told["code"])


def _from_where(attempt: Attempt) -> str:
    kept = complete_checkpoints(attempt.run)
    if kept:
        return f" from its newest checkpoint, {kept[-1].name}"
    start = attempt.spec.start_from
    return f" from {start.name}" if start is not None and start.state == "whole" else " from the beginning"


def _save_and_close(attempt: Attempt, status: str) -> None:
    """Stop the trainer, keep its last checkpoint and its log, and close what follows the run.

    Whatever is away must not hide the reason of the end, and stopping needs no space.
    """
    take_over(attempt)
    try:
        save_unsaved(attempt, save_checkpoint.fn)
    except InsufficientStorageError as full:  # it is copied when the job goes on
        attempt.say(f"The newest checkpoint is on this machine alone: {full.message}", level="warn")
    if version_of(attempt.memory, attempt.spec.organization_id, attempt.spec.output.alias) is not None:
        status = "FINISHED"
    actions = [partial(close, status) for close in attempt.on_unhappy_end]
    keep_log = partial(job_logs.keep, attempt.memory, attempt.spec.organization_id, attempt.job_id)
    for action in (keep_log, *actions):
        try:
            action()
        except AfinadorError as error:
            logger.warning("Not closed as %s: %s", status, error.message)


def _keep_records(attempt: Attempt, status: str | None) -> None:
    if status in ENDED_STATUSES:
        keep_what_was_trained(attempt)
        keep_report(attempt)
