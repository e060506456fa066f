"""The end of a job whose flow is gone for good: what training has left is taken over, and only then is the job ended.

Housekeeping starts it as ``python -m tasks.settlement JOB_ID ATTEMPT REASON``, a process that stands for the flow, as
that attempt. It needs no Prefect. Killed, it is started again, three times at most; then the ledger alone ends the job.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time

from afinador.config.spec import FineTuningSpec
from afinador.errors import AfinadorError
from afinador.settings import read_settings
from afinador.training.run_dir import RunDir
from registry import jobs
from registry.job_life.job_attempts import RUNNING_STATUSES
from registry.job_life.job_ends import exhausted, is_exhausted
from registry.ledger.tables import Job
from registry.memory import Memory
from tasks import ending
from tasks.attempt import PATIENCE_SECONDS, Attempt

PLACE_TIMEOUT_SECONDS = 10

logger = logging.getLogger(__name__)


def main(arguments: list[str] | None = None) -> int:
    """Settle one job; returns 1 when this process may not, for the job is another one's."""
    parser = argparse.ArgumentParser(prog="python -m tasks.settlement", description=__doc__)
    parser.add_argument("job_id")
    parser.add_argument("attempt", type=int)
    parser.add_argument("reason", help="what the flow died of")
    parser.add_argument("--request", choices=("cancel", "pause"), help="what was asked of the job")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    memory = Memory.open(read_settings(), patience_seconds=PATIENCE_SECONDS)
    job = _job_of_mine(memory, given.job_id, given.attempt)
    if job is None:
        return 1
    try:
        spec, run = FineTuningSpec.model_validate(job.spec), RunDir(memory.settings.runs_dir / job.id)
        with Attempt(memory, job.id, job.attempt, "", spec, run, job.pool or "cpu", given.request) as attempt:
            settle(attempt, given.request, given.reason)
    except Exception:
        logger.exception("Not all could be taken over; the job ends all the same.")
        with memory.database.session() as session:
            jobs.requeue(session, job.id, job.attempt, given.reason)
    return 0


def settle(attempt: Attempt, request: str | None, reason: str) -> None:
    """Stop the trainer that is left, take over its last rows and checkpoints, and end the job, or pause it.

    Without a request the attempts of the job are used up; where training has come further than the flow had seen, the job
    is queued again.

    Args:
        attempt: Of the job, whose flow is dead.
        request: ``cancel`` or ``pause``, where somebody asked for it.
        reason: What the flow died of.
    """
    ending.take_over(attempt)
    asked = attempt.job().request_state  # it took a while
    request = asked if asked in ("cancel", "pause") else request
    if request is not None:
        ending.stopped(attempt, request)
    elif is_exhausted(job := attempt.job()):
        told = exhausted(f"{reason.rstrip('.')}.", job.fruitless_attempts)
        ending.failed(attempt, AfinadorError(told["message"], code=told["code"]))
    else:
        ending.requeued(attempt, reason)


def _job_of_mine(memory: Memory, job_id: str, number: int) -> Job | None:
    """Return the job whose flow this process stands for, once the ledger says so; None when it never does."""
    end = time.monotonic() + PLACE_TIMEOUT_SECONDS
    while time.monotonic() < end:
        with memory.database.reading() as session:
            job = session.get(Job, job_id)
        if job is None or job.attempt != number or job.status not in RUNNING_STATUSES:
            return None
        if job.process_id == os.getpid():
            return job
        time.sleep(0.1)
    return None


if __name__ == "__main__":
    sys.exit(main())
