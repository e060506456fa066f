"""The Prefect runs of jobs: given to a work pool, settled after a death, told of what people ask."""

from __future__ import annotations

import logging
import socket
from typing import Any

from sqlalchemy import func, select, update

from afinador.errors import AfinadorError, ServiceUnavailableError
from afinador.settings import Settings
from registry import events, jobs, paused_runs
from registry.job_attempts import RUNNING_STATUSES
from registry.memory import Memory
from registry.prefect_api import FLOW, Prefect
from registry.settling import settle
from registry.tables import Job, Organization

__all__ = ["POOLS", "follow_up", "health", "hold", "settle", "submit", "submit_waiting"]

POOLS = ("gpu", "cpu")

logger = logging.getLogger(__name__)


def submit(memory: Memory, job_id: str) -> bool:
    """Give a queued job to Prefect, unless that was done.

    Nothing is raised while Prefect is away: the job stays queued, an event says what it waits for, and
    ``submit_waiting`` tries again.

    Returns:
        Whether the job has a run now.
    """
    with memory.database.reading() as session:
        job = session.get(Job, job_id)
        if job is None or job.status != "queued" or job.flow_run_id:
            return job is not None and job.flow_run_id is not None
        organization = session.get_one(Organization, job.organization_id).name
    try:
        with Prefect(memory.settings) as prefect:
            return _submit(memory, prefect, job, organization)
    except ServiceUnavailableError as error:
        logger.warning("Job %s waits: %s", job.id, error.message)
        message = f"Waiting for Prefect at {memory.settings.prefect_api_url}; the job starts when it is back."
        with memory.database.session() as session:
            events.append(session, job.id, message, level="warn", dedup_key=f"waiting-for-prefect:{job.submission}")
        return False


def _submit(memory: Memory, prefect: Prefect, job: Job, organization: str) -> bool:
    pool = job.pool or ("gpu" if prefect.workers_online("gpu") else "cpu")
    for each in POOLS:
        prefect.make_queue(each, organization)
    run_id = prefect.create_run(
        f"{FLOW}/{pool}",
        parameters={"job_id": job.id},
        name=f"{job.name} · {job.base_model} · {job.tuning_method}",
        tags=[f"organization:{organization}", f"base:{job.base_model}", f"method:{job.tuning_method}"],
        idempotency_key=f"{job.id}:{job.submission}",
        work_queue=organization,
    )
    nobody_online = not prefect.workers_online(pool)
    still_waiting = (Job.id == job.id, Job.submission == job.submission, Job.flow_run_id.is_(None))
    with memory.database.session() as session:
        session.execute(
            update(Job)
            .where(*still_waiting)
            .values(flow_run_id=run_id, flow_run_url=prefect.run_page(run_id), pool=pool)
        )
        if nobody_online:
            message = _no_worker(pool)
            events.append(session, job.id, message, level="warn", dedup_key=f"waiting-for-worker:{job.submission}")
    return True


def _no_worker(pool: str) -> str:
    message = f"Waiting: no worker of the work pool {pool!r} is online."
    if pool == "gpu":
        return (
            f"{message} `afinador up` starts one on a machine with an NVIDIA GPU. To train on the CPU, cancel this job "
            "and create it with `pool: cpu`, or without a pool."
        )
    return f"{message} `afinador up` starts one."


def submit_waiting(memory: Memory) -> int:
    """Give all queued jobs that have no run yet to Prefect, and return how many have one now."""
    with memory.database.reading() as session:
        waiting = [job.id for job in jobs.waiting_for_submission(session)]
    submitted = 0
    for job_id in waiting:
        if not submit(memory, job_id):
            break
        submitted += 1
    return submitted


def hold(memory: Memory) -> int:
    """Ask all jobs that run on this host to stop at a checkpoint and go back to the queue.

    They are executed again once ``settle`` is called after they have stopped, so stop calling it first. Those that pause
    stop anyway, and stay paused.

    Returns:
        How many still run.
    """
    runs_here = (Job.status.in_(RUNNING_STATUSES), Job.host == socket.gethostname())
    with memory.database.session() as session:
        session.execute(update(Job).where(*runs_here, Job.request_state.is_(None)).values(request_state="hold"))
        return session.scalar(select(func.count()).select_from(Job).where(*runs_here)) or 0


def follow_up(memory: Memory, job: Job) -> None:
    """Tell Prefect at once what was asked of a job that waits: its run is cancelled, suspended or resumed.

    A run that has begun is left alone: its flow reads the request in the ledger. While Prefect is away nothing happens;
    ``settle`` does the same later.
    """
    with memory.database.reading() as session:
        job = session.get_one(Job, job.id)
    if job.status == "queued" and job.flow_run_id is None:
        submit(memory, job.id)
    if job.flow_run_id is None:
        return
    try:
        with Prefect(memory.settings) as prefect:
            state = prefect.run_states([job.flow_run_id]).get(job.flow_run_id)
            if state is None or state.type not in ("SCHEDULED", "PAUSED"):
                return
            if job.status == "cancelled":
                prefect.set_state(job.flow_run_id, "CANCELLED", "Cancelled", "The job was cancelled.")
            elif job.status == "paused":
                paused_runs.settle(memory, prefect, job, state, has_no_process=False)
            elif job.status == "queued" and job.request_state == "resume":
                paused_runs.resume(memory, prefect, job, state)
    except ServiceUnavailableError as error:
        logger.warning("Run %s of job %s is told later: %s", job.flow_run_id, job.id, error.message)


def health(settings: Settings) -> dict[str, Any]:
    """Ask Prefect and its work pools how they are; takes at most some seconds and raises nothing.

    Returns:
        ``{"prefect": {"status", "message"}, "workers": {"status", "message", "gpu", "cpu"}}``; status is ``ok`` or
        ``unavailable``, gpu and cpu are the numbers of workers online.
    """
    try:
        with Prefect(settings, timeout_seconds=2) as prefect:
            prefect.check()
            online = {pool: len(prefect.workers_online(pool)) for pool in POOLS}
    except AfinadorError as error:
        away = {"status": "unavailable", "message": error.message}
        return {"prefect": away, "workers": {**away, **dict.fromkeys(POOLS, 0)}}
    if not any(online.values()):
        workers = {"status": "unavailable", "message": "no worker is online; `afinador up` starts one"}
    else:
        workers = {"status": "ok", "message": f"online: {online['gpu']} gpu, {online['cpu']} cpu"}
    return {"prefect": {"status": "ok", "message": "answers"}, "workers": {**workers, **online}}
