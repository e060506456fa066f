"""How long a job has waited and stood paused: counted by every change of its status, in the statement that makes it."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import case

from afinador.schemas.jobs import PHASES, JobTimes
from registry.ledger.tables import Job

WAITING_STATUSES = ("validating_files", "queued")
"""What counts as waiting in the queue: for the verdict on the files, for a turn, for a process."""


def counted() -> dict[str, Any]:
    """Return the columns that a change of the status sets beside it: they add the time since the change before."""
    now = time.time()
    since = now - Job.status_at
    return {
        "status_at": now,
        "waited_seconds": Job.waited_seconds + case((Job.status.in_(WAITING_STATUSES), since), else_=0.0),
        "paused_seconds": Job.paused_seconds + case((Job.status == "paused", since), else_=0.0),
    }


def times_of(job: Job) -> JobTimes:
    """Return how long a job and its parts have taken, up to now where it has not ended."""
    now = time.time()
    since = max(0.0, now - job.status_at)
    return JobTimes(
        total_seconds=_rounded((job.finished_at or now) - job.created_at),
        queue_seconds=_rounded(job.waited_seconds + (since if job.status in WAITING_STATUSES else 0.0)),
        paused_seconds=_rounded(job.paused_seconds + (since if job.status == "paused" else 0.0)),
        phase_seconds={phase: job.phase_seconds[phase] for phase in PHASES if phase in job.phase_seconds},
        seconds_per_epoch=job.seconds_per_epoch,
    )


def _rounded(seconds: float) -> float:
    return round(max(0.0, seconds), 3)
