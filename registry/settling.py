"""Ledger and Prefect brought together again, whatever died or was clicked meanwhile.

The ledger decides. Prefect accepts any state from anybody and tells a flow nothing, so a run is only moved after the
ledger has moved its job, by a conditional update that a newer attempt makes fail.
"""

from __future__ import annotations

import logging
import socket
import time

import psutil
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from afinador.schemas.jobs import ENDED_STATUSES
from registry import events, jobs
from registry.memory import Memory
from registry.prefect_api import Prefect, RunState
from registry.tables import Job

STUCK_AFTER_SECONDS = 120
"""A run may take this long from Pending to the first line of its flow; under load 30 s were too short."""
SILENT_AFTER_SECONDS = 300
"""A flow on another host counts as dead after this long without a heartbeat."""
MAX_FALSE_STARTS = 3
"""A flow that ends so often before its first line will not start the next time either."""
_FINAL_STATES = {
    "succeeded": ("COMPLETED", "Completed"),
    "failed": ("FAILED", "Failed"),
    "cancelled": ("CANCELLED", "Cancelled"),
}

logger = logging.getLogger(__name__)


def settle(memory: Memory, *, since: float | None = None) -> None:
    """Look once at all open jobs and at all live runs, and put right what does not fit.

    - Flow process dead: the job is queued again and the same run executed again; no attempts left: failed.
    - Cancelled in Prefect's UI: cancelled, or asked to be, in the ledger. Cancelled in the ledger: taken back from Prefect.
    - Run deleted: the job gets a new submission number and waits for ``registry.runs.submit_waiting``.
    - Flow that cannot be started three times over: the job fails with the reason.
    - Job ended, run left behind by a dead process: the run is closed, so that it holds no slot of its work pool.

    Args:
        memory: Ledger and the address of Prefect.
        since: When the supervisor of this host has started (Unix seconds). What was Pending or Running before has no
            process any more.

    Raises:
        ServiceUnavailableError: Prefect is away; nothing is settled.
    """
    with memory.database.reading() as session:
        open_jobs = {job.flow_run_id: job for job in jobs.open_jobs(session) if job.flow_run_id}
    with Prefect(memory.settings) as prefect:
        states = prefect.run_states(list(open_jobs))
        round_ = _Round(memory, prefect, since or 0.0)
        for run_id, job in open_jobs.items():
            round_.settle_open(job, states.get(run_id))
        for job in _ended_jobs(memory, [run_id for run_id in states if run_id not in open_jobs]):
            round_.settle_ended(job, states[job.flow_run_id or ""])


def _ended_jobs(memory: Memory, run_ids: list[str]) -> list[Job]:
    if not run_ids:
        return []
    with memory.database.reading() as session:
        chosen = select(Job).where(Job.flow_run_id.in_(run_ids), Job.status.in_(ENDED_STATUSES))
        return list(session.scalars(chosen))


def flow_lives(job: Job) -> bool:
    """Tell whether the process that claimed a job last is there: by process id and start time on this host."""
    if job.host != socket.gethostname():
        return time.time() - (job.heartbeat_at or 0) < SILENT_AFTER_SECONDS
    if job.process_id is None or job.process_started_at is None:
        return False
    try:
        process = psutil.Process(job.process_id)
        is_same = abs(process.create_time() - job.process_started_at) < 1
        return is_same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class _Round:
    """One look at everything."""

    def __init__(self, memory: Memory, prefect: Prefect, since: float) -> None:
        self.memory, self.prefect, self.since = memory, prefect, since

    def settle_open(self, job: Job, state: RunState | None) -> None:
        if job.status == "running":
            self._settle_running(job, state)
        elif job.status == "queued":
            self._settle_queued(job, state)

    def _settle_running(self, job: Job, state: RunState | None) -> None:
        wants_cancel = job.request_state == "cancel" or _is_cancel(state)
        if flow_lives(job):
            if wants_cancel and job.request_state != "cancel":
                self._request_cancel(job)
            return
        if wants_cancel:
            with self.memory.database.session() as session:
                jobs.finish(session, job.id, job.attempt, "cancelled", message="The job was cancelled.")
            self._close_run(job, state, "The job was cancelled.")
            return
        with self.memory.database.session() as session:
            reason = f"The flow's process {job.process_id} on {job.host} has ended before the job had"
            is_moved = jobs.requeue(session, job.id, job.attempt, reason)
        if is_moved and state is not None and state.type != "PAUSED":
            self._execute_again(job, state, reason)

    def _settle_queued(self, job: Job, state: RunState | None) -> None:
        is_held = job.request_state == "hold"
        if state is None:
            self._submit_anew(job)
        elif _is_cancel(state) and not is_held:
            self._request_cancel(job)
            self._close_run(job, state, "The job was cancelled in Prefect.")
        elif state.type == "PAUSED" and not is_held:
            return  # suspended by hand in Prefect's UI, and resumed there
        elif state.type == "SCHEDULED" or (state.type in ("PENDING", "RUNNING") and not self._is_stuck(job, state)):
            return  # on its way
        elif self._has_false_starts(job, state):
            message = f"The flow could not be started {MAX_FALSE_STARTS} times: {state.message or state.name}"
            self._fail_queued(job, message)
        else:
            self._execute_again(job, state, f"The run was {state.name}, its job is queued.")

    def settle_ended(self, job: Job, state: RunState) -> None:
        """Close the live run of a job that has ended.

        A scheduled run of a failed or succeeded job is a Retry clicked in the UI: the flow's claim decides about it.
        """
        if state.type in ("SCHEDULED", "PAUSED"):
            if job.status == "cancelled":
                self._close_run(job, state, "The job was cancelled.")
        elif not flow_lives(job) and (state.type == "CANCELLING" or self._is_stuck(job, state)):
            self._close_run(job, state, f"The job has {job.status}; its process has gone.")

    def _is_stuck(self, job: Job, state: RunState) -> bool:
        if job.host in (None, socket.gethostname()) and state.timestamp < self.since:
            return True
        return time.time() - state.timestamp > STUCK_AFTER_SECONDS

    def _has_false_starts(self, job: Job, state: RunState) -> bool:
        """Tell whether the run has failed so often without its flow having claimed the job."""
        if state.type not in ("FAILED", "CRASHED"):
            return False
        bad_ends = [
            past for past in self.prefect.state_history(job.flow_run_id or "") if past.type in ("FAILED", "CRASHED")
        ]
        return len(bad_ends) - job.attempt >= MAX_FALSE_STARTS

    def _execute_again(self, job: Job, state: RunState, reason: str) -> None:
        with self.memory.database.reading() as session:
            if not _is_still_queued(session, job):
                return
        logger.info("Run %s of job %s (%s) is executed again: %s", job.flow_run_id, job.id, state.name, reason)
        self.prefect.set_state(job.flow_run_id or "", "SCHEDULED", "AwaitingRetry", reason)

    def _fail_queued(self, job: Job, message: str) -> None:
        error = {"code": "run_not_started", "message": message, "param": None}
        with self.memory.database.session() as session:
            failed = session.scalar(
                update(Job)
                .where(Job.id == job.id, Job.status == "queued", Job.attempt == job.attempt)
                .values(status="failed", finished_at=time.time(), error=error)
                .returning(Job.id)
            )
            if failed is not None:
                events.append(session, job.id, message, level="error")

    def _submit_anew(self, job: Job) -> None:
        logger.info("Run %s of job %s was deleted; the job gets a new one", job.flow_run_id, job.id)
        with self.memory.database.session() as session:
            session.execute(
                update(Job)
                .where(Job.id == job.id, Job.status == "queued", Job.flow_run_id == job.flow_run_id)
                .values(flow_run_id=None, flow_run_url=None, submission=Job.submission + 1)
            )

    def _request_cancel(self, job: Job) -> None:
        with self.memory.database.session() as session:
            jobs.request_cancel(session, job.organization_id, job.id)

    def _close_run(self, job: Job, state: RunState | None, message: str) -> None:
        type, name = _FINAL_STATES.get(job.status, _FINAL_STATES["cancelled"])
        if state is not None and state.type != type:
            self.prefect.set_state(job.flow_run_id or "", type, name, message)


def _is_cancel(state: RunState | None) -> bool:
    return state is not None and state.type in ("CANCELLING", "CANCELLED")


def _is_still_queued(session: Session, job: Job) -> bool:
    chosen = select(Job.id).where(Job.id == job.id, Job.status == "queued", Job.flow_run_id == job.flow_run_id)
    return session.scalar(chosen) is not None
