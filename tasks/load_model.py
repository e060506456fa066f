"""Step 2: take a device and start the process that loads the model, and quantises it for QLoRA."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks import following, trainer
from tasks.attempt import Attempt
from tasks.leasing import take_lease


@task(task_run_name="load model", cache_policy=NO_CACHE, persist_result=False)
def load_model(attempt: Attempt) -> following.Follower:
    """Start training's process and follow it until the model is in memory.

    Returns:
        The follower, for the steps that go on watching the same process.

    Raises:
        AfinadorError: The model cannot be loaded, with the reason that training gave.
        StopRequestedError: Somebody asked the job to stop.
    """
    attempt.check()
    devices = take_lease(attempt)
    attempt.say(f"Loading {attempt.spec.base_model.name} on {', '.join(devices)}.", key=f"loading:{attempt.number}")
    follower = following.Follower(attempt)
    trainer.start(attempt)
    follower.follow_until("training", "saving", "evaluating", "done")
    return follower
