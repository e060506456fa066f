"""Prefect runs that make jobs: what they have made, and what becomes of them when their process dies."""

from __future__ import annotations

import time

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from registry.creation import preparations
from registry.ledger.tables import Job
from registry.memory import Memory
from registry.prefect_api import Prefect

POOL = "submission"
SILENT_AFTER_SECONDS = 300
"""Such a run takes seconds; one that is busy for so long has no process any more."""


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

    Args:
        memory: Ledger and the address of Prefect.
        since: When the supervisor of this host has started (Unix seconds); what was busy before has no process.

    Raises:
        ServiceUnavailableError: Prefect is away.
    """
    dead_before = max(since or 0.0, time.time() - SILENT_AFTER_SECONDS)
    with memory.database.reading() as session:
        others = set(preparations.ids_of_runs(session))  # they may take long, and are settled by themselves
    with Prefect(memory.settings) as prefect:
        for run_id, state in prefect.busy_runs(POOL).items():
            if run_id in others or state.timestamp >= dead_before:
                continue
            if state.type == "CANCELLING":
                prefect.set_state(run_id, "CANCELLED", "Cancelled", "The run was cancelled; its process has gone.")
            else:
                message = "The process of the run has gone; it is executed again."
                prefect.set_state(run_id, "SCHEDULED", "AwaitingRetry", message)
