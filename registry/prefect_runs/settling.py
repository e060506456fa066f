"""Ledger and Prefect brought together again, whatever died or was clicked meanwhile.

The ledger decides. Prefect accepts any state from anybody and tells a flow nothing, so a run is only moved after the
ledger has moved its job, by a conditional update that a newer attempt makes fail.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import func, select, update

from afinador.errors import ServiceUnavailableError
from afinador.schemas.jobs import ENDED_STATUSES
from registry import jobs
from registry.job_life import events, job_logs, turns
from registry.job_life.job_attempts import RUNNING_STATUSES
from registry.job_life.job_ends import complete_if_published
from registry.job_life.job_times import counted
from registry.job_life.left_jobs import is_as_seen, start_settlement
from registry.ledger.tables import Attempt, Job
from registry.memory import Memory
from registry.prefect_api import Prefect, RunState
from registry.prefect_runs import job_reports, paused_runs
from registry.prefect_runs.flow_processes import flow_lives

STUCK_AFTER_SECONDS = 120
"""A run may take this long from Pending to the first line of its flow; under load 30 s were too short."""
MAX_FALSE_STARTS = 3
"""A flow that ends so often before its first line will not start the next time either."""
REPORT_SECONDS = 30
"""A worker may take this long to report a dead process, and a new process to take its run out of Crashed again."""
SECOND_REPORT_SECONDS = 5
"""A worker reports each dead process twice, and imports the flow in between, which takes seconds.

Prefect ignores the second report while the run is Crashed. A run that goes on before it is crashed once more by it.
"""
_FIRST_REPORT = "Process exited with status code"
_SECOND_REPORT = "Flow run infrastructure exited with non-zero status code"
_FINAL_STATES = {
    "succeeded": ("COMPLETED", "Completed"),
    "failed": ("FAILED", "Failed"),
    "cancelled": ("CANCELLED", "Cancelled"),
}

logger = logging.getLogger(__name__)


def settle(memory: Memory, *, since: float | None = None) -> None:
    """Look once at all open jobs and at all live runs, and put right what does not fit.

    - Flow process dead: the job is queued again and, once its worker has reported the death, the same run executed
      again; no attempts left: failed.
    - Cancelled in Prefect's UI: cancelled, or asked to be, in the ledger. Cancelled in the ledger: taken back from Prefect.
    - Suspended in Prefect's UI: asked to pause, or paused. Resumed there: queued. See ``registry.prefect_runs.paused_runs``.
    - Run deleted: the job gets a new submission number and waits for ``registry.prefect_runs.runs.submit_waiting``.
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
        found = jobs.open_jobs(session)
    open_jobs = {job.flow_run_id: job for job in found if job.flow_run_id}
    without_run = [job for job in found if not job.flow_run_id and job.status in RUNNING_STATUSES]
    with Prefect(memory.settings) as prefect:
        states = prefect.run_states(list(open_jobs))
        round_ = _Round(memory, prefect, since or 0.0)
        for run_id, job in open_jobs.items():
            with _alone(job):
                round_.settle_open(job, states.get(run_id))
        for job in without_run:
            with _alone(job):
                round_.settle_open(job, None)
        for job in _ended_jobs(memory, [run_id for run_id in states if run_id not in open_jobs]):
            with _alone(job):
                round_.settle_ended(job, states[job.flow_run_id or ""])


@contextmanager
def _alone(job: Job) -> Iterator[None]:
    """Keep what is wrong with one job from all others; only Prefect's being away concerns them all."""
    try:
        yield
    except ServiceUnavailableError:
        raise
    except Exception:
        logger.exception("Job %s could not be settled; the next round comes.", job.id)


def _ended_jobs(memory: Memory, run_ids: list[str]) -> list[Job]:
    if not run_ids:
        return []
    with memory.database.reading() as session:
        chosen = select(Job).where(Job.flow_run_id.in_(run_ids), Job.status.in_(ENDED_STATUSES))
        return list(session.scalars(chosen))


class _Round:
    """One look at everything."""

    def __init__(self, memory: Memory, prefect: Prefect, since: float) -> None:
        self.memory, self.prefect, self.since = memory, prefect, since

    def settle_open(self, job: Job, state: RunState | None) -> None:
        if job.status in RUNNING_STATUSES:
            self._settle_running(job, state)
        elif job.status == "queued":
            self._settle_queued(job, state)
        elif job.status == "paused":
            self._settle_paused(job, state)

    def _settle_running(self, job: Job, state: RunState | None) -> None:
        if (clicked := _clicked(job, state)) is not None:
            self._request(job, clicked)
            return  # the next round sees it in the ledger
        if job.request_state == "cancel" and state is not None and state.type == "CRASHED":
            self._close_run(job, state, "The job is being cancelled.")
        if flow_lives(job):
            return
        reason = f"The flow's process {job.process_id} on {job.host} has ended before the job had"
        if start_settlement(self.memory, job, reason):
            return
        with self.memory.database.session() as session:
            if not is_as_seen(session, job):
                return
            jobs.requeue(session, job.id, job.attempt, reason)
            moved = session.get_one(Job, job.id, populate_existing=True)
        if moved.attempt != job.attempt or moved.status in RUNNING_STATUSES:
            return
        if moved.status in ENDED_STATUSES:
            self._keep_records(moved)
        if moved.status == "cancelled":
            self._close_run(moved, state, "The job was cancelled.")
        elif state is not None:
            self.settle_open(moved, state)

    def _request(self, job: Job, clicked: str) -> None:
        if clicked == "cancel":
            self._request_cancel(job)
        else:
            paused_runs.request_pause(self.memory, job)

    def _keep_records(self, job: Job) -> None:
        """Keep log and report of a job that nobody else has ended."""
        try:
            job_logs.keep(self.memory, job.organization_id, job.id)
            job_reports.keep(self.memory, job.id)
        except Exception:
            logger.warning("Log and report of job %s are in its run directory alone.", job.id, exc_info=True)

    def _settle_paused(self, job: Job, state: RunState | None) -> None:
        if _is_cancel(state):
            self._request_cancel(job)
            self._close_run(job, state, "The job was cancelled in Prefect.")
        elif state is not None:
            is_due = state.timestamp < self._last_end_at(job) or self._is_stuck(job, state)
            paused_runs.settle(self.memory, self.prefect, job, state, has_no_process=is_due and not flow_lives(job))

    def _settle_queued(self, job: Job, state: RunState | None) -> None:
        is_held = job.request_state == "hold"
        if state is None:
            self._submit_anew(job)
        elif _is_cancel(state) and not is_held:
            self._request_cancel(job)
            self._close_run(job, state, "The job was cancelled in Prefect.")
        elif state.type == "PAUSED" and job.request_state is None:
            paused_runs.request_pause(self.memory, job)  # somebody has suspended it in Prefect
        elif state.type == "PAUSED" or state.name == paused_runs.SUSPENDING:
            paused_runs.resume(self.memory, self.prefect, job, state)
        elif state.type == "SCHEDULED":
            self._note_turn(job)
        elif self._is_on_its_way(job, state) or job.turn_at is None:
            return
        elif self._has_false_starts(job, state):
            message = f"The flow could not be started {MAX_FALSE_STARTS} times: {state.message or state.name}"
            self._fail_queued(job, message)
        else:
            self._execute_again(job, state, f"The run was {state.name}, its job is queued.")

    def _is_on_its_way(self, job: Job, state: RunState) -> bool:
        """Tell whether somebody is at the run of a queued job, so that executing it again would be once too often."""
        if state.type == "CRASHED":
            return self._is_report_due(job, state, state.timestamp)
        if state.type == "RUNNING" and state.timestamp < (died_at := self._last_end_at(job)):
            return self._is_report_due(job, state, died_at)
        return state.type in ("PENDING", "RUNNING") and not self._is_stuck(job, state)

    def _note_turn(self, job: Job) -> None:
        """Take a job out of the line whose run may be executed any moment: it was paused and resumed before Prefect knew."""
        if job.turn_at is None:
            with self.memory.database.session() as session:
                turns.note(session, job.id)

    def _is_report_due(self, job: Job, state: RunState, since: float) -> bool:
        """Tell whether a worker may yet crash the run for a process that died, or a new process be on its way in it.

        Args:
            job: A queued job.
            state: Crashed, or the Running that the dead process has left.
            since: Time of the crash, or of the death, in Unix seconds.
        """
        if job.host in (None, socket.gethostname()) and state.timestamp < self.since:
            return False  # the worker has gone as well
        is_recent = time.time() - since < patience_seconds(state)
        return is_recent and bool(self.prefect.workers_online(job.pool or "cpu"))

    def _last_end_at(self, job: Job) -> float:
        with self.memory.database.reading() as session:
            return session.scalar(select(func.max(Attempt.ended_at)).where(Attempt.job_id == job.id)) or 0.0

    def settle_ended(self, job: Job, state: RunState) -> None:
        """Close the live run of a job that has ended.

        A scheduled run of a failed or succeeded job is a Retry clicked in the UI: the flow's claim decides about it.
        """
        is_cancel = state.type == "CANCELLING" or job.status == "cancelled"
        if state.type in ("SCHEDULED", "PAUSED"):
            if job.status == "cancelled":
                self._close_run(job, state, "The job was cancelled.")
        elif not flow_lives(job) and (is_cancel or self._is_stuck(job, state)):
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
        if not paused_runs.is_still_queued(self.memory, job):
            return
        logger.info("Run %s of job %s (%s) is executed again: %s", job.flow_run_id, job.id, state.name, reason)
        self.prefect.set_state(job.flow_run_id or "", "SCHEDULED", "AwaitingRetry", reason)

    def _fail_queued(self, job: Job, message: str) -> None:
        error = {"code": "run_not_started", "message": message, "param": None}
        with self.memory.database.session() as session:
            complete_if_published(session, job.id)
            failed = session.scalar(
                update(Job)
                .where(Job.id == job.id, Job.status == "queued", Job.attempt == job.attempt)
                .values(status="failed", **counted(), finished_at=time.time(), error=error)
                .returning(Job.id)
            )
            if failed is not None:
                events.append(session, job.id, message, level="error", data={"status": "failed"})
        self._keep_records(job)

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


def patience_seconds(state: RunState) -> float:
    """Return how long after a death its worker may yet crash the run in this state, or a new process be on its way in it."""
    if state.type == "RUNNING" or state.message.startswith(_SECOND_REPORT):
        return REPORT_SECONDS
    # What the flow's process has said itself needs no report.
    return SECOND_REPORT_SECONDS if state.message.startswith(_FIRST_REPORT) else 0.0


def _is_cancel(state: RunState | None) -> bool:
    return state is not None and state.type in ("CANCELLING", "CANCELLED")


def _clicked(job: Job, state: RunState | None) -> str | None:
    """Return what somebody asked of a running job by what its run shows in Prefect, and the ledger does not know yet."""
    if _is_cancel(state) and job.request_state != "cancel":
        return "cancel"
    is_suspended = state is not None and state.type == "PAUSED"
    return "pause" if is_suspended and job.request_state is None else None
