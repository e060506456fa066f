"""Jobs whose flow is gone and that will not get another one: a process of their own takes over what is left, and ends them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from afinador.settings import variables_of
from afinador.training.run_dir import RunDir
from registry.job_life import job_logs
from registry.job_life.job_attempts import of_running
from registry.job_life.job_ends import is_exhausted
from registry.ledger.database import changes
from registry.ledger.tables import Job
from registry.memory import Memory

MOST_STARTS = 3
MODULE = "tasks.settlement"
"""Started by its name: it stands above this layer."""
_ROOT = Path(__file__).parents[2]
_STARTS = "settlement.json"


def start_settlement(memory: Memory, job: Job, reason: str) -> bool:
    """Start the process that stands for the dead flow of a job from now on, and lets the job end, or pause.

    The job keeps its status, its turn and its devices until the trainer that was left behind has stopped.

    Args:
        memory: The ledger.
        job: It runs, and its flow is dead.
        reason: What its flow died of.

    Returns:
        False, with nothing done, when the job gets another flow, has left nothing on this machine, or such processes
        have died before.
    """
    request = job.request_state if job.request_state in ("cancel", "pause") else None
    if request is None and (job.request_state is not None or not is_exhausted(job)):
        return False
    folder = memory.settings.runs_dir / job.id
    if job.host != socket.gethostname() or not folder.is_dir() or not _may_try(RunDir(folder), job.attempt):
        return False
    command = [sys.executable, "-m", MODULE, job.id, str(job.attempt), reason]
    with job_logs.path_of(memory, job.id).open("ab") as log:
        process = subprocess.Popen(
            command if request is None else [*command, "--request", request],
            cwd=_ROOT,
            env={**os.environ, **variables_of(memory.settings)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    if not _takes_the_place(memory, job, process.pid):
        process.kill()
    return True


def is_as_seen(session: Session, job: Job) -> bool:
    """Tell whether nobody has asked anything of a job since it was read, nor has begun to run or to settle it."""
    chosen = select(Job.id).where(*_as_seen(job)).with_for_update(key_share=True)
    return session.scalar(chosen) is not None


def _as_seen(job: Job) -> tuple[ColumnElement[bool], ...]:
    same_process = Job.process_id.is_not_distinct_from(job.process_id)
    return *of_running(job.id, job.attempt), same_process, Job.request_state.is_not_distinct_from(job.request_state)


def _may_try(run: RunDir, attempt: int) -> bool:
    """Count the processes that were started for an attempt; what always dies must not keep its job from ending."""
    try:
        known = run.read_document(_STARTS) or {}
        starts = known["starts"] + 1 if known.get("attempt") == attempt else 1
        run.write_document(_STARTS, {"attempt": attempt, "starts": starts})
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return starts <= MOST_STARTS


def _takes_the_place(memory: Memory, job: Job, process_id: int) -> bool:
    born = psutil.Process(process_id).create_time()
    values = {"process_id": process_id, "process_started_at": born, "heartbeat_at": time.time()}
    with memory.database.session() as session:
        return changes(session, update(Job).where(*_as_seen(job)).values(**values))
