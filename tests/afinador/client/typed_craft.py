"""A program of a user's that fine-tunes without a service; ``test_surface`` has mypy read it, and nothing runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, assert_type

import afinador.client
import afinador.training
from afinador import AfinadorError
from afinador.fine_tuning import (
    FineTuningConfig,
    FineTuningJob,
    FineTuningMethod,
    ModelFineTuner,
    get_model_fine_tuner,
)
from afinador.training import FineTuner, Result

str(afinador.FineTuner)  # type: ignore[attr-defined]
str(afinador.client.AfinadorClient)  # type: ignore[attr-defined]
str(afinador.training.Trainer)  # type: ignore[attr-defined]


def in_this_process() -> None:
    """Fine-tune, and look at what came of it."""
    tuner = assert_type(FineTuner.from_file("job.yaml"), FineTuner)
    FineTuner.from_file(3)  # type: ignore[arg-type]
    FineTuner.from_file("job.yaml", nonsense=True)  # type: ignore[call-arg]
    tuner.rum()  # type: ignore[attr-defined]
    result = assert_type(FineTuner.from_fields({"base_model": "tiny"}, run_dir="runs/first").run(), Result)
    assert_type(result.model_path, Path)
    assert_type(result.metrics, dict[str, Any])
    assert_type(result.checkpoints, list[Path])
    str(result.status)  # type: ignore[attr-defined]


async def on_this_machine() -> None:
    """Start a job of this machine, and register its model."""
    tuner = assert_type(get_model_fine_tuner(), ModelFineTuner)
    prepared = assert_type(await tuner.prepare_dataset("raw.csv", "csv"), str)
    config = FineTuningConfig(model_id="tiny", dataset_path=prepared, output_dir="models", method=FineTuningMethod.FULL)
    FineTuningConfig(model="tiny", dataset_path=prepared, output_dir="models")  # type: ignore[call-arg]
    try:
        job_id = assert_type(await tuner.create_fine_tuning_job(config), str)
    except AfinadorError as error:
        assert_type(error.message, str)
        return
    job = assert_type(await tuner.wait_for_fine_tuning_job(job_id, timeout_seconds=60), FineTuningJob)
    assert_type(job.status, Literal["pending", "running", "completed", "failed", "cancelled"])
    assert_type(await tuner.register_fine_tuned_model(job_id), str)
