"""Fine-tuning jobs on this machine without a service: prepare data, start a job, look at it, register its model.

::

    fine_tuner = get_model_fine_tuner()
    config = FineTuningConfig(model_id="tiny", dataset_path="train.jsonl", output_dir="models")
    job_id = await fine_tuner.create_fine_tuning_job(config)
    job = await fine_tuner.wait_for_fine_tuning_job(job_id)
    model_id = await fine_tuner.register_fine_tuned_model(job_id)

Each job is a process of its own, which goes on when the program that started it has ended; what is known of jobs and
models lies below ``AFINADOR_HOME``. The clients of a service are ``afinador.Afinador`` and ``afinador.AsyncAfinador``.
"""

from __future__ import annotations

from afinador.fine_tuning.configuration import DatasetFormat, FineTuningConfig, FineTuningMethod
from afinador.fine_tuning.jobs import FineTuningJob
from afinador.fine_tuning.model_fine_tuner import ModelFineTuner, get_model_fine_tuner

__all__ = [
    "DatasetFormat",
    "FineTuningConfig",
    "FineTuningJob",
    "FineTuningMethod",
    "ModelFineTuner",
    "get_model_fine_tuner",
]
