"""Step 2: take a device and start the process that loads the model, and quantises it for QLoRA."""

from __future__ import annotations

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks import following, trainer
from tasks.attempt import Attempt
from tasks.leasing import take_lease
from tasks.stops import stoppable


def _task_run_name(parameters: dict[str, Any]) -> str:
    """Say in the Prefect UI whether the model is quantised."""
    attempt: Attempt = parameters["attempt"]
    return "load model" if attempt.spec.hyperparameters.quantization_bits is None else "load/quantize model"


@task(task_run_name=_task_run_name, cache_policy=NO_CACHE, persist_result=False)  # type: ignore[arg-type]
@stoppable
def load_model(attempt: Attempt) -> following.Follower:
    """Start training's process and follow it until the model is in memory.

    Returns:
        The follower, for the steps that go on watching the same process.

    Raises:
        AfinadorError: The model cannot be loaded, with the reason that training gave.
        StopRequestedError: Somebody asked the job to stop.
    """
    attempt.check()
    follower = following.Follower(attempt)
    follower.forward({})  # what an earlier attempt left untold stands before what this one does
    devices = take_lease(attempt)
    attempt.say(f"Loading {attempt.spec.base_model.name} on {', '.join(devices)}.", key=f"loading:{attempt.number}")
    trainer.start(attempt)
    follower.follow_until("training", "saving", "evaluating", "done")
    return follower
