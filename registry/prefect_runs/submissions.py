"""Prefect runs that make jobs: what they have made, and what becomes of them when their process dies."""

from __future__ import annotations

import time

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from registry.creation import preparations
from registry.ledger.tables import Job
from registry.memory import Memory
from registry.prefect_api import Prefect, RunState
from registry.prefect_runs.settling import SECOND_REPORT_SECONDS, patience_seconds

POOL = "submission"
FLOWS = ("submit-fine-tune", "retrain")
SILENT_AFTER_SECONDS = 300
"""Such a run takes seconds; one that is busy for so long has no process any more."""
MAX_EXECUTIONS = 3
"""A run whose process has died so often will not fare better the next time."""
CRASHED_LATELY_SECONDS = 3600
"""Who finds a run crashed for longer than that has done by hand what it was for."""


def job_of(session: Session, organization_id: str, run_id: str) -> Job | None:
    """Return the job that a run has made, unless it failed before it began: that one may be tried again."""
    query = select(Job).where(
        Job.organization_id == organization_id,
        Job.submission_run_id == run_id,
        or_(Job.status != "failed", Job.attempt > 0),
    )
    return session.scalars(query).first()


def settle(memory: Memory, *, since: float | None = None) -> None:
    """Execute again the runs whose process has gone, for they hold the places of their pool and make no job.

    The process of a crashed run has gone, too, by the word of its worker. None is executed more than three times; a run that
    somebody has cancelled is not executed again.

    Args:
        memory: Ledger and the address of Prefect.
        since: When the supervisor of this host has started (Unix seconds); what was busy before has no process.

    Raises:
        ServiceUnavailableError: Prefect is away.
    """
    now = time.time()
    dead_before = max(since or 0.0, now - SILENT_AFTER_SECONDS)
    with memory.database.reading() as session:
        others = set(preparations.ids_of_runs(session))  # they may take long, and are settled by themselves
    with Prefect(memory.settings) as prefect:
        for run_id, state in prefect.busy_runs(POOL).items():
            if run_id in others or state.timestamp >= dead_before:
                continue
            if state.type == "CANCELLING":
                prefect.set_state(run_id, "CANCELLED", "Cancelled", "The run was cancelled; its process has gone.")
            else:
                _execute_again(prefect, run_id, state)
        for run_id, state in prefect.crashed_runs(POOL, FLOWS, after=now - CRASHED_LATELY_SECONDS).items():
            if now - state.timestamp >= max(patience_seconds(state), SECOND_REPORT_SECONDS):
                _execute_again(prefect, run_id, state)


def _execute_again(prefect: Prefect, run_id: str, state: RunState) -> None:
    if sum(past.name == "AwaitingRetry" for past in prefect.state_history(run_id)) + 1 >= MAX_EXECUTIONS:
        message = (
            f"The process of the run has gone {MAX_EXECUTIONS} times before its end. {state.message or f'It was {state.name}.'} "
            "See the run's log for the cause, then use Retry."
        )
        prefect.set_state(run_id, "FAILED", "Failed", message)
    else:
        message = "The process of the run has gone; it is executed again."
        prefect.set_state(run_id, "SCHEDULED", "AwaitingRetry", message)
