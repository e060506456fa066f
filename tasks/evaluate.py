"""Step 4: the base model against the tuned one, on the validation file."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from registry import jobs
from registry.job_life import leases
from tasks import artifacts
from tasks.attempt import Attempt
from tasks.following import Follower
from tasks.stops import stoppable


@task(task_run_name="evaluate", cache_policy=NO_CACHE, persist_result=False)
@stoppable
def evaluate(attempt: Attempt, follower: Follower) -> None:
    """Follow the evaluation to the end of the training process, keep its figures and give the device back.

    Raises:
        AfinadorError: The evaluation failed, with the reason that it gave.
        StopRequestedError: Somebody asked the job to stop.
    """
    follower.follow_until()
    result, evaluation = attempt.run.result() or {}, attempt.run.evaluation() or {}
    samples = {"samples": evaluation["samples"]} if evaluation.get("samples") else {}
    with attempt.memory.database.session() as session:
        is_newest = jobs.set_fields(
            session,
            attempt.job_id,
            attempt.number,
            metrics=(result.get("metrics") or {}) | samples,
            trained_tokens=result.get("trained_tokens"),
        )
        if is_newest:  # else the device is that of another attempt
            leases.free(session, attempt.job_id)
    artifacts.show_comparison(attempt, evaluation)
