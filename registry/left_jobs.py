"""Jobs whose flow is gone and that will not get another one: a process of their own takes over what is left, and ends them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
from sqlalchemy import update

from afinador.settings import variables_of
from registry import job_logs
from registry.database import changes
from registry.job_attempts import of_running
from registry.memory import Memory
from registry.tables import Job

MODULE = "tasks.settlement"
"""Started by its name: it stands above this layer."""
_ROOT = Path(__file__).parents[1]


def start_settlement(memory: Memory, job: Job, request: str | None, reason: str) -> bool:
    """Start the process that stands for the dead flow of a job from now on, and lets the job end, or pause.

    The job keeps its status, its turn and its devices until the trainer that was left behind has stopped.

    Args:
        memory: The ledger.
        job: It runs, and its flow is dead.
        request: ``cancel`` or ``pause``, where somebody asked for it.
        reason: What its flow died of.

    Returns:
        False, with nothing done, when the job has left nothing on this machine.
    """
    folder = memory.settings.runs_dir / job.id
    if job.host != socket.gethostname() or not folder.is_dir():
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


def _takes_the_place(memory: Memory, job: Job, process_id: int) -> bool:
    is_left = (*of_running(job.id, job.attempt), Job.process_id.is_not_distinct_from(job.process_id))
    statement = (
        update(Job)
        .where(*is_left)
        .values(
            process_id=process_id,
            process_started_at=psutil.Process(process_id).create_time(),
            heartbeat_at=time.time(),
        )
    )
    with memory.database.session() as session:
        return changes(session, statement)
