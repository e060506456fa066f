"""One round of housekeeping."""

from __future__ import annotations

from prefect import task

from afinador.settings import read_settings
from registry import (
    base_model_uploads,
    certificate_runs,
    dataset_updates,
    preparation_runs,
    runs,
    submissions,
    work_queues,
)
from registry.memory import Memory


@task(task_run_name="settle jobs", persist_result=False)
def settle_jobs() -> str:
    """Bring ledger and Prefect together again, submit what waits, and say what was done."""
    memory = Memory.open(read_settings())
    runs.settle(memory)
    submissions.settle(memory)
    certificate_runs.settle(memory)
    preparation_runs.settle(memory)
    submitted = sum(each.submit_waiting(memory) for each in (runs, certificate_runs, preparation_runs))
    work_queues.apply(memory)
    told = dataset_updates.send(memory)
    ended = base_model_uploads.end_abandoned(memory)
    return (
        f"Settled; {submitted} waiting jobs, proofs and preparations submitted, {told} new versions of files announced, {ended} abandoned uploads "
        "ended."
    )
