"""Paused jobs and their Prefect runs, which are suspended meanwhile: each brought to what the other says.

As long as Prefect has not been told of a pause, the job's ``request_state`` is ``pause``, and whatever its run does is
older than the pause. Once the run was seen suspended the mark goes, and a run that moves was resumed by somebody.
"""

from __future__ import annotations

import logging
import time

from sqlalchemy import select

from registry import jobs
from registry.ledger.tables import Job
from registry.memory import Memory
from registry.prefect_api import Prefect, RunState

MESSAGE = "The job is paused."
WAITS_MESSAGE = "The job was resumed and waits for its turn."
SUSPENDING = "Suspending"
"""Name of the state of a run that is put off, before it is suspended.

A worker that takes a run in the moment in which it is suspended ends with an error (Prefect 3.8.8), so the run is first
moved out of every worker's sight.
"""
PUT_OFF_SECONDS = 60
"""Workers look 10 s ahead."""
IN_HAND_SECONDS = 5
"""No worker has a run in hand any more that was put off so long ago."""
TAKEN_SECONDS = 120
"""A worker that took a run in the moment in which it was suspended brings its flow to its first line in this time."""

logger = logging.getLogger(__name__)


def settle(memory: Memory, prefect: Prefect, job: Job, state: RunState, *, has_no_process: bool) -> None:
    """Suspend the run of a paused job, or queue the job when somebody has resumed its run.

    Args:
        memory: The ledger.
        prefect: Prefect's server.
        job: A paused job with a run.
        state: Of the run; no cancel.
        has_no_process: A state in which a run should have a process was left behind by one that has gone.
    """
    run_id = job.flow_run_id or ""
    if state.type == "PAUSED" and job.request_state is None:
        if not state.is_lasting:  # as the button of the UI makes it, which lets the run fail after some minutes
            prefect.suspend(run_id, MESSAGE)
    elif state.type == "PAUSED":
        _confirm(memory, prefect, job, state)
    elif state.type in ("PENDING", "RUNNING") and job.request_state is not None:
        if has_no_process:
            prefect.suspend(run_id, MESSAGE)  # else its flow suspends it
    elif state.type == "SCHEDULED" and job.request_state is not None:
        if state.name != SUSPENDING:
            prefect.put_off(run_id, SUSPENDING, MESSAGE, PUT_OFF_SECONDS)
        elif time.time() - state.timestamp > IN_HAND_SECONDS:
            prefect.suspend(run_id, MESSAGE)
    elif state.type in ("SCHEDULED", "PENDING", "RUNNING"):
        logger.info("Run %s of the paused job %s is %s: it was resumed in Prefect", run_id, job.id, state.name)
        with memory.database.session() as session:
            jobs.resume_by_hand(session, job.id)
    else:
        prefect.suspend(run_id, MESSAGE)


def resume(memory: Memory, prefect: Prefect, job: Job, state: RunState) -> None:
    """Let the suspended run of a queued job, or one that was about to be suspended, be executed again in its turn."""
    run_id = job.flow_run_id or ""
    if job.turn_at is None:
        if state.name == SUSPENDING and time.time() - state.timestamp > IN_HAND_SECONDS:
            prefect.suspend(run_id, WAITS_MESSAGE)  # or it would go on when it was put off to
    elif is_still_queued(memory, job):
        logger.info("Run %s of job %s is resumed (%s)", run_id, job.id, job.request_state)
        if state.type == "PAUSED":
            prefect.resume(run_id)
        elif state.name == SUSPENDING:
            prefect.set_state(run_id, "SCHEDULED", "Resuming", "")


def request_pause(memory: Memory, job: Job) -> None:
    """Pause a job whose run somebody has suspended in Prefect, unless the job has moved on meanwhile."""
    with memory.database.session() as session:
        seen = jobs.look(session, job.id)
        if seen == jobs.Look(job.attempt, job.status, None):
            jobs.request_pause(session, job.organization_id, job.id)


def is_still_queued(memory: Memory, job: Job) -> bool:
    """Tell whether a job that was read as queued is so now, with the same run."""
    chosen = select(Job.id).where(Job.id == job.id, Job.status == "queued", Job.flow_run_id == job.flow_run_id)
    with memory.database.reading() as session:
        return session.scalar(chosen) is not None


def _confirm(memory: Memory, prefect: Prefect, job: Job, state: RunState) -> None:
    """Note that the run is suspended, unless a worker has taken it just before: its flow will find the job paused."""
    history = prefect.state_history(job.flow_run_id or "")
    before = [past for past in history[:-1] if past.name != SUSPENDING]
    was_taken = bool(before) and before[-1].type == "PENDING"
    if was_taken and time.time() - state.timestamp < TAKEN_SECONDS:
        return
    with memory.database.session() as session:
        jobs.confirm_suspended(session, job.id)
