"""Step 3: train, with each checkpoint taken over as a task of its own."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks import artifacts
from tasks.attempt import Attempt
from tasks.following import Follower
from tasks.stops import stoppable


@task(task_run_name="train", cache_policy=NO_CACHE, persist_result=False)
@stoppable
def train(attempt: Attempt, follower: Follower) -> None:
    """Follow training until the weights are final; events, metrics and checkpoints are taken over meanwhile.

    Raises:
        AfinadorError: Training failed, with the reason that it gave.
        StopRequestedError: Somebody asked the job to stop.
    """
    follower.follow_until("evaluating", "done")
    artifacts.show_losses(attempt)
