"""The main story: from a queued job to a published adapter or model."""

from __future__ import annotations

import logging
from uuid import uuid4

from prefect import flow, runtime, suspend_flow_run
from prefect.client.schemas.objects import State
from prefect.exceptions import Pause
from prefect.states import Cancelled, Completed, Failed
from sqlalchemy.exc import SQLAlchemyError

from afinador.errors import AfinadorError, InsufficientStorageError
from afinador.storage import is_disk_full
from tasks import ending, run_log
from tasks.attempt import Attempt, StopRequestedError, claim
from tasks.evaluate import evaluate
from tasks.load_model import load_model
from tasks.publish import publish
from tasks.stops import take
from tasks.train import train
from tasks.trainer import TrainerDiedError
from tasks.validate import validate_dataset

logger = logging.getLogger(__name__)

PUBLISHED_ALREADY = "The result was in the hub already when the run was stopped."
CREATE_ANOTHER = "Create a new job to train again."


@flow(name="fine-tune", persist_result=False)
def fine_tune(job_id: str) -> State:
    """Turn one queued job into a published adapter or model.

    It may be executed again from this first line at any time (retry, restart of the machine): each step asks the
    ledger whether it is done.

    Args:
        job_id: A job, such as ``ftjob-7f3a19c2``. Everything else is in the ledger.
    """
    run_log.begin()
    attempt = claim(job_id, str(runtime.flow_run.id or ""))
    if attempt is None:
        return refused(job_id)
    while True:
        try:
            with attempt:
                return outcome(attempt)
        except TrainerDiedError as death:
            next_attempt = ending.died(attempt, death)
            if not isinstance(next_attempt, Attempt):
                return failed(attempt, next_attempt)
            attempt = next_attempt
        except OSError as error:  # the attempt could not even begin
            if not is_disk_full(error):
                raise
            return ended_as(attempt, ending.waits_for_space(attempt, ending.explained(error)))


def outcome(attempt: Attempt) -> State:
    """Tell the story of one attempt, and end the run as it ended; the death of a trainer is no end yet."""
    try:
        return Completed(message=tell(attempt))
    except StopRequestedError as stop:
        return ended_as(attempt, ending.stopped(attempt, stop.request))
    except TrainerDiedError:
        raise
    except SQLAlchemyError:
        logger.exception("The ledger is away for too long; housekeeping starts the job again.")
        ending.interrupted(attempt)
        raise
    except Exception as error:
        reason = ending.explained(error)
        if reason.code == InsufficientStorageError.code:
            return ended_as(attempt, ending.waits_for_space(attempt, reason))
        return failed(attempt, reason)
    except BaseException:
        ending.interrupted(attempt)
        raise


def ended_as(attempt: Attempt, status: str | None) -> State:
    """End the run as its job was stopped: cancelled, or suspended until the job is resumed or the stack is up again.

    One that is published has succeeded, however it was stopped.
    """
    if status in ("paused", "queued"):
        suspend(attempt.job_id)
    if status == "succeeded":
        return Completed(message=PUBLISHED_ALREADY)
    return Cancelled(message="The job was cancelled; its last checkpoint is kept.")


def failed(attempt: Attempt, reason: AfinadorError) -> State:
    """End the run as failed, unless the result of its job is in the hub already."""
    if ending.failed(attempt, reason) == "succeeded":
        return Completed(message=PUBLISHED_ALREADY)
    return Failed(message=reason.message)


def refused(job_id: str) -> State:
    """End the run of a job that may not run: it has ended, or was paused while this process was on its way."""
    status = ending.status_of(job_id)
    if status == "paused":
        suspend(job_id)
    if status == "succeeded":
        return Completed(message=f"Job {job_id} has succeeded already; nothing was done. {CREATE_ANOTHER}")
    return Cancelled(message=f"Job {job_id} has ended already; nothing was done. {CREATE_ANOTHER}")


def suspend(job_id: str) -> None:
    """Suspend this run, without an end to the pause; it raises, and Prefect ends the process.

    Raises:
        Pause: The run is suspended.
    """
    try:
        suspend_flow_run(timeout=None, key=uuid4().hex)
    except Pause:
        ending.suspended(job_id)
        raise


def tell(attempt: Attempt) -> str:
    """The story itself, in order; returns its last sentence."""
    take(validate_dataset, attempt)
    follower = take(load_model, attempt)
    take(train, attempt, follower)
    take(evaluate, attempt, follower)
    return take(publish, attempt, follower)
