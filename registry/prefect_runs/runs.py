"""The Prefect runs of jobs: given to a work pool, settled after a death, told of what people ask."""

from __future__ import annotations

import logging
import socket
from typing import Any

from sqlalchemy import func, select, update

from afinador.errors import AfinadorError, ServiceUnavailableError
from afinador.schemas.events import EventLevel
from afinador.settings import Settings
from registry import jobs
from registry.job_life import events, turns
from registry.job_life.job_attempts import RUNNING_STATUSES
from registry.job_life.job_views import no_worker
from registry.ledger.tables import Event, Job, Organization
from registry.memory import Memory
from registry.prefect_api import FLOW, POOLS, Prefect
from registry.prefect_runs import paused_runs
from registry.prefect_runs.settling import settle

__all__ = ["POOLS", "follow_up", "health", "hold", "settle", "submit", "submit_waiting"]

logger = logging.getLogger(__name__)


def submit(memory: Memory, job_id: str) -> bool:
    """Give a queued job to Prefect if it is its turn, else tell it where it stands in the line.

    Nothing is raised while Prefect is away: the job stays queued, an event says what it waits for, and
    ``submit_waiting`` tries again.

    Returns:
        Whether the job has a run now.
    """
    with memory.database.reading() as session:
        job = session.get(Job, job_id)
    if job is not None and job.status == "queued" and job.flow_run_id is None:
        submit_waiting(memory)
        with memory.database.reading() as session:
            job = session.get_one(Job, job_id)
    return job is not None and job.flow_run_id is not None


def submit_waiting(memory: Memory) -> int:
    """Give turns to queued jobs while their pools have free slots, and give those whose turn it is to Prefect.

    A job that waits is told what for, once: for Prefect, for a worker, for the jobs before it.

    Returns:
        How many have a run now that had none before.
    """
    with memory.database.reading() as session:
        waiting = jobs.waiting_for_submission(session)
    if not waiting:
        return 0
    try:
        with Prefect(memory.settings) as prefect:
            return _give_turns(memory, prefect, waiting)
    except ServiceUnavailableError as error:
        logger.warning("%d jobs wait: %s", len(waiting), error.message)
        message = f"Waiting for Prefect at {memory.settings.prefect_api_url}; the job starts when it is back."
        _say(memory, {job.id: message for job in waiting if job.flow_run_id is None}, "waiting-for-prefect", "warn")
        return 0


def _give_turns(memory: Memory, prefect: Prefect, waiting: list[Job]) -> int:
    _choose_pools(memory, prefect, [job.id for job in waiting if job.pool is None])
    for pool in POOLS:
        with memory.database.reading() as session:
            is_waited_for = bool(turns.line(session, pool))
        if is_waited_for:
            slots = prefect.slots(pool)
            with memory.database.session() as session:
                turns.give(session, pool, slots)
            _tell_those_who_wait(memory, prefect, pool)
    with memory.database.reading() as session:
        due = jobs.due_for_submission(session)
    for job in due:
        _submit(memory, prefect, job)
    return len(due)


def _choose_pools(memory: Memory, prefect: Prefect, undecided: list[str]) -> None:
    """Send jobs that may run anywhere to the GPUs, if any worker there is online."""
    if undecided:
        pool = "gpu" if prefect.workers_online("gpu") else "cpu"
        with memory.database.session() as session:
            session.execute(update(Job).where(Job.id.in_(undecided), Job.pool.is_(None)).values(pool=pool))


def _tell_those_who_wait(memory: Memory, prefect: Prefect, pool: str) -> None:
    """Tell each job in the line of a pool how many come before it: once, and again when it is the next."""
    with memory.database.reading() as session:
        places = {place.job_id: number for number, place in enumerate(turns.line(session, pool), 1)}
    behind_others = {job_id: _in_line(pool, number) for job_id, number in places.items() if number > 1}
    _say(memory, behind_others, "in-line")
    _say(memory, {job_id: _in_line(pool, 1) for job_id, number in places.items() if number == 1}, "next-in-line")
    if places and not prefect.workers_online(pool):
        _say(memory, dict.fromkeys(places, no_worker(pool)), "waiting-for-worker", "warn")


def _in_line(pool: str, position: int) -> str:
    if position == 1:
        return f"Waiting for a free slot of the pool {pool!r}; position 1, which is next."
    others = "1 job" if position == 2 else f"{position - 1} jobs"
    return f"Waiting behind {others} of the pool {pool!r}; position {position}."


def _say(memory: Memory, messages: dict[str, str], what: str, level: EventLevel = "info") -> None:
    """Write one event for each job, unless it had such a one since it last ran; ``messages`` by job."""
    if not messages:
        return
    with memory.database.reading() as session:
        rows = session.execute(select(Job.id, Job.submission, Job.attempt).where(Job.id.in_(list(messages))))
        keys = {row.id: f"{what}:{row.submission}:{row.attempt}" for row in rows}
        known = select(Event.job_id, Event.dedup_key).where(Event.dedup_key.in_(set(keys.values())))
        told = {(row.job_id, row.dedup_key) for row in session.execute(known)}
    untold = keys.items() - told
    if untold:
        with memory.database.session() as session:
            for job_id, key in untold:
                events.append(session, job_id, messages[job_id], level=level, dedup_key=key)


def _submit(memory: Memory, prefect: Prefect, job: Job) -> None:
    pool = job.pool or "cpu"
    with memory.database.reading() as session:
        organization = session.get_one(Organization, job.organization_id)
    for each in POOLS:
        prefect.make_queue(each, organization.name, concurrency_limit=organization.concurrency_limit)
    run_id = prefect.create_run(
        f"{FLOW}/{pool}",
        parameters={"job_id": job.id},
        name=f"{job.name} · {job.base_model} · {job.tuning_method}",
        tags=_tags(job, organization),
        idempotency_key=f"{job.id}:{job.submission}",
        work_queue=organization.name,
    )
    still_waiting = (Job.id == job.id, Job.submission == job.submission, Job.flow_run_id.is_(None))
    with memory.database.session() as session:
        run = {"flow_run_id": run_id, "flow_run_url": prefect.run_page(run_id)}
        session.execute(update(Job).where(*still_waiting).values(**run))
    if not prefect.workers_online(pool):
        _say(memory, {job.id: no_worker(pool)}, "waiting-for-worker", "warn")


def _tags(job: Job, organization: Organization) -> list[str]:
    tags = [f"organization:{organization.name}", f"base:{job.base_model}", f"method:{job.tuning_method}"]
    return [*tags, f"job_spec:{job.job_spec}"] if job.job_spec else tags


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
    submit_waiting(memory)
    with memory.database.reading() as session:
        job = session.get_one(Job, job.id)
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
