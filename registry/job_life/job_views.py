"""A job as it is answered: OpenAI's attributes, the specification's, and ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from afinador.schemas import jobs as wire
from registry.job_life.job_times import times_of
from registry.ledger.tables import Job

UNRESOLVED = "unresolved"
"""Key in the ``spec`` of a job whose request could not be resolved: the hyperparameters that it names itself."""


def to_wire(row: Job, queue_position: int | None = None, workers_online: Mapping[str, int] | None = None) -> wire.Job:
    """Return a job as it is answered.

    Args:
        row: The job.
        queue_position: Its place among ``registry.job_life.turns.positions``.
        workers_online: How many workers each pool has; of a pool that is missing nothing is known.
    """
    return wire.Job(
        id=row.id,
        name=row.name,
        organization_id=row.organization_id,
        created_at=int(row.created_at),
        finished_at=None if row.finished_at is None else int(row.finished_at),
        estimated_finish=_estimated_finish(row),
        status=row.status,
        model=row.base_model,
        base_model=row.base_model,
        training_file=row.training_file_id,
        dataset=row.training_file_id,
        validation_file=row.validation_file_id,
        fine_tuned_model=_fine_tuned_model(row),
        output_model=row.output_model,
        trained_tokens=row.trained_tokens,
        result_files=row.result_files,
        error=wire.JobError.model_validate(row.error) if row.status == "failed" and row.error else None,
        hyperparameters=_hyperparameters(row),
        method=row.method,
        tuning_method=row.tuning_method,
        task=row.task,
        seed=row.seed,
        suffix=row.suffix,
        metadata=row.metadata_,
        domain=row.domain,
        tags=row.tags,
        pool=row.pool,
        priority=row.priority,
        queue_position=queue_position,
        waiting_for=_waiting_for(row, workers_online or {}),
        job_spec=row.job_spec,
        attempt=row.attempt,
        times=times_of(row),
        progress=row.progress,
        metrics=row.metrics or {},
        spec=_public_spec(row),
        run_url=row.flow_run_url,
    )


def _fine_tuned_model(row: Job) -> str | None:
    # Clients take a name here as the sign that the model can be used.
    return row.fine_tuned_model if row.status == "succeeded" else None


def no_worker(pool: str) -> str:
    """Say that a job waits for a worker of a pool, and what to do about it."""
    message = f"Waiting: no worker of the work pool {pool!r} is online."
    if pool == "gpu":
        return (
            f"{message} `afinador up` starts one on a machine with an NVIDIA GPU. To train on the CPU, cancel this job "
            "and create it with `pool: cpu`, or without a pool."
        )
    return f"{message} `afinador up` starts one."


def _waiting_for(row: Job, workers_online: Mapping[str, int]) -> str | None:
    if row.status not in ("validating_files", "queued") or row.pool is None or workers_online.get(row.pool) != 0:
        return None
    return no_worker(row.pool)


def _hyperparameters(row: Job) -> dict[str, Any]:
    """Return the resolved numbers under OpenAI's names and ours; of a request that could not be resolved its own."""
    if UNRESOLVED in row.spec:
        return dict(row.spec[UNRESOLVED]["hyperparameters"])
    resolved = row.spec["hyperparameters"]
    in_openai_words = (row.method or {}).get("supervised", {}).get("hyperparameters", {})
    return {**in_openai_words, **{key: value for key, value in resolved.items() if value is not None}}


def _public_spec(row: Job) -> dict[str, Any]:
    """Return the specification with what it was computed on, and without the folder of the base model.

    Where things lie on a server is its own affair.
    """
    if UNRESOLVED in row.spec:
        return dict(row.spec[UNRESOLVED])
    base_model = {key: value for key, value in row.spec["base_model"].items() if key != "path"}
    return {**row.spec, "base_model": base_model, "environment": row.environment}


def _estimated_finish(row: Job) -> int | None:
    seconds_left = (row.progress or {}).get("eta_seconds")
    if row.status != "running" or seconds_left is None or row.heartbeat_at is None:
        return None
    return int(row.heartbeat_at + seconds_left)
