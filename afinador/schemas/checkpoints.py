"""Checkpoints of a job, usable as models."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from afinador.schemas.base import CreatedAt, Id, Wire
from afinador.schemas.jobs import HubName


class CheckpointPublication(Wire):
    """A checkpoint that is to be published."""

    model_config = ConfigDict(extra="forbid")

    output_model: HubName | None = Field(None, description="Hub name; by default that of the job.")


class Checkpoint(Wire):
    """State of a job after an optimizer step.

    Attributes:
        fine_tuning_job_id: The job that wrote it.
        step_number: Optimizer steps done.
        job_id: The same as ``fine_tuning_job_id``.
        fine_tuned_model_checkpoint: Name of the checkpoint as a model, ``…:ckpt-step-N``.
        metrics: ``step`` (always ``step_number``), ``train_loss``, ``valid_loss``, ``accuracy`` and ``macro_f1`` where they
            were measured; ``best_step``: that of the best evaluation so far.
    """

    id: Id
    object: Literal["fine_tuning.job.checkpoint"] = "fine_tuning.job.checkpoint"
    created_at: CreatedAt
    fine_tuning_job_id: str
    job_id: str
    step_number: int
    fine_tuned_model_checkpoint: str
    metrics: dict[str, Any] = Field(default_factory=dict)
