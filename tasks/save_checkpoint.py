"""A checkpoint on its way from the run directory into storage and ledger, as a task of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable

from prefect import task
from prefect.cache_policies import NO_CACHE

from afinador.errors import InsufficientStorageError, StorageError
from afinador.training.checkpoints import (
    CheckpointDamagedError,
    checkpoint_name,
    complete_checkpoints,
    is_complete,
    metrics_of,
    step_of,
    trainer_state_of,
    verify,
)
from registry.job_life import checkpoints, job_logs
from tasks.attempt import Attempt
from tasks.retrying import RETRY_DELAYS_SECONDS, TRANSIENT, is_transient, reason_of, said

logger = logging.getLogger(__name__)


@task(
    task_run_name="save checkpoint {step}",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=len(RETRY_DELAYS_SECONDS),
    retry_delay_seconds=RETRY_DELAYS_SECONDS,
    retry_condition_fn=is_transient,
)
def save_checkpoint(attempt: Attempt, step: int) -> None:
    """Verify a checkpoint by its manifest, copy it to the storage and register it; idempotent by job and step.

    The log as far as it goes is kept with it. Older ones beyond ``save_total_limit`` go after this one is complete. A checkpoint that training has pruned
    meanwhile, as it does while a flow is away, or that its manifest disproves, is left out and said so.

    Raises:
        StorageError: The storage does not take it; tried again.
        InsufficientStorageError: The storage's disk is full; the job waits for space, and it is copied when that goes on.
    """
    folder = attempt.run.checkpoints / checkpoint_name(step)
    removed = f"Checkpoint {step} was removed by save_total_limit before it could be copied to the storage."
    with attempt.memory.database.session() as session:
        if checkpoints.exists(session, attempt.job_id, step):
            return
    if folder.with_name(f".damaged-{folder.name}").exists():
        return  # an event of the run tells it
    if not folder.exists():
        attempt.say(removed, key=f"checkpoint-lost:{step}")
        return
    try:
        size_bytes = verify(folder)
        metrics = metrics_of(trainer_state_of(folder))
    except CheckpointDamagedError as error:
        newer = any(step_of(other) > step for other in complete_checkpoints(attempt.run))
        if newer and not is_complete(attempt.run, step):  # training has pruned it just now
            attempt.say(removed, key=f"checkpoint-lost:{step}")
            return
        attempt.say(f"Checkpoint {step} is not kept: {error.message}", level="warn", key=f"checkpoint-lost:{step}")
        return
    key = f"{attempt.spec.organization_id}/jobs/{attempt.job_id}/checkpoints/{folder.name}"
    with said(attempt, f"Saving checkpoint {step}"):
        try:
            attempt.memory.storage.put_folder(folder, key)
        except (StorageError, InsufficientStorageError):
            _withdraw(attempt, step, key)
            raise
        job = attempt.job()
        with attempt.memory.database.session() as session:
            checkpoints.register(session, job, step, key, metrics, size_bytes)
        job_logs.keep(attempt.memory, attempt.spec.organization_id, attempt.job_id)
        _prune(attempt)


def _withdraw(attempt: Attempt, step: int, key: str) -> None:
    """Remove what was copied of a checkpoint that could not be copied whole."""
    with attempt.memory.database.session() as session:
        if checkpoints.exists(session, attempt.job_id, step):
            return  # a newer attempt has saved it meanwhile
    try:
        attempt.memory.storage.delete(key)
    except StorageError as error:
        logger.warning("Left behind of checkpoint %d of %s: %s", step, attempt.job_id, error.message)


def save_or_say(attempt: Attempt, step: int, save: Callable[[Attempt, int], None]) -> None:
    """Save a checkpoint; where that is not possible an event says so: training is worth more than one copy of its past."""
    try:
        save(attempt, step)
    except TRANSIENT as error:
        attempt.say(f"Checkpoint {step} is not in the storage: {reason_of(error)}", level="warn")


def save_unsaved(attempt: Attempt, save: Callable[[Attempt, int], None]) -> None:
    """Save what is complete here and newer than all that is in the storage, and the best checkpoint if it is not there.

    The storage was away for too long when training announced them, or training was killed before it could.

    Args:
        attempt: Whose checkpoints.
        save: ``save_checkpoint``, or its function where Prefect takes no tasks any more.
    """
    here = complete_checkpoints(attempt.run)
    if not here:
        return
    with attempt.memory.database.reading() as session:
        kept = {row.step_number for row in checkpoints.newest_first(session, attempt.job_id)}
    newest, best = max(kept, default=0), trainer_state_of(here[-1]).get("best_step")
    for step in map(step_of, here):
        if step not in kept and (step > newest or step == best):
            save_or_say(attempt, step, save)


def _prune(attempt: Attempt) -> None:
    """Remove the oldest checkpoints beyond ``save_total_limit``, but for the best one; rows before bytes: what is listed is there."""
    with attempt.memory.database.session() as session:
        gone = checkpoints.prune(session, attempt.job_id, keep=attempt.spec.hyperparameters.save_total_limit)
    for key in gone:
        attempt.memory.storage.delete(key)
