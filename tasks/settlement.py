"""The end of a job whose flow is gone for good: what training has left is taken over, and only then is the job ended.

Housekeeping starts it as ``python -m tasks.settlement JOB_ID ATTEMPT REASON``, a process that stands for the flow, as
that attempt. It needs no Prefect. Killed, it is started again.
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
from registry.job_attempts import RUNNING_STATUSES
from registry.job_ends import exhausted, is_exhausted
from registry.memory import Memory
from registry.tables import Job
from tasks import ending
from tasks.attempt import PATIENCE_SECONDS, Attempt

PLACE_TIMEOUT_SECONDS = 10


def main(arguments: list[str] | None = None) -> int:
    """Settle one job; returns 1 when this process may not, for the job is another one's."""
    parser = argparse.ArgumentParser(prog="python -m tasks.settlement", description=__doc__)
    parser.add_argument("job_id")
    parser.add_argument("attempt", type=int)
    parser.add_argument("reason", help="what the flow died of")
    parser.add_argument("--request", choices=("cancel", "pause"), help="what was asked of the job")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    attempt = _place_of(given.job_id, given.attempt, given.request)
    if attempt is None:
        return 1
    with attempt:
        settle(attempt, given.request, given.reason)
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
    if request is not None:
        ending.stopped(attempt, request)
    elif is_exhausted(job := attempt.job()):
        told = exhausted(f"{reason.rstrip('.')}.", job.fruitless_attempts)
        ending.failed(attempt, AfinadorError(told["message"], code=told["code"]))
    else:
        ending.requeued(attempt, reason)


def _place_of(job_id: str, number: int, request: str | None) -> Attempt | None:
    """Return the attempt that this process stands for, once the ledger says that it does; None when it never does."""
    memory = Memory.open(read_settings(), patience_seconds=PATIENCE_SECONDS)
    end = time.monotonic() + PLACE_TIMEOUT_SECONDS
    while time.monotonic() < end:
        with memory.database.reading() as session:
            job = session.get(Job, job_id)
        if job is None or job.attempt != number or job.status not in RUNNING_STATUSES:
            return None
        if job.process_id == os.getpid():
            spec, run = FineTuningSpec.model_validate(job.spec), RunDir(memory.settings.runs_dir / job_id)
            return Attempt(memory, job_id, number, "", spec, run, job.pool or "cpu", request)
        time.sleep(0.1)
    return None


if __name__ == "__main__":
    sys.exit(main())
