"""Proofs on a job: that its training resumes exactly, that it repeats."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from afinador.schemas.base import CreatedAt, Failure, FinishedAt, Id, RunUrl, Wire

DEFAULT_STEPS, LEAST_STEPS, MOST_STEPS = 20, 2, 10_000
"""Optimizer steps of a proof of exact resume."""


class ResumeProofRequest(Wire):
    """A proof of exact resume to be made."""

    model_config = ConfigDict(extra="forbid")

    steps: int = Field(
        DEFAULT_STEPS,
        description=f"Optimizer steps, {LEAST_STEPS} to {MOST_STEPS:,}; of a job that has fewer, all of them.",
    )


class Certificate(Wire):
    """A proof that was asked for, is being made, or was made.

    Attributes:
        fine_tuning_job_id: The job that it is about.
        job_id: The same as ``fine_tuning_job_id``.
        type: ``resume``: steps trained straight, and again with a stop in the middle; ``reproduction``: the whole job again.
        status: ``succeeded`` when it was made, whatever it says.
        equal: Whether everything compared is equal to the bit; None until it was made.
        steps: Optimizer steps of a proof of exact resume.
        certificate: All of it: hashes, first difference, environment, model, data, seed and hyperparameters.
    """

    id: Id
    object: Literal["fine_tuning.job.certificate"] = "fine_tuning.job.certificate"
    created_at: CreatedAt
    finished_at: FinishedAt = None
    fine_tuning_job_id: str
    job_id: str
    type: Literal["resume", "reproduction"]
    status: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    equal: bool | None = None
    steps: int | None = None
    run_url: RunUrl = None
    error: Failure = None
    certificate: dict[str, Any] | None = None
